"""What every room speaks: grids, images, structures, cases, findings and assessments.

Values only: nothing here reads a file, a clock or the environment. Patient coordinates are LPS in mm, dose is in Gy.
"""

from rtqc.core.assessment import Agreement, Assessment
from rtqc.core.case import (
    Beam,
    Case,
    ContourDefect,
    DoseAttributes,
    Plan,
    Prescription,
    Provenance,
    Roi,
    StructureSetAttributes,
)
from rtqc.core.finding import Certainty, Evidence, Finding, Severity
from rtqc.core.grid import Grid
from rtqc.core.orientation import AXIAL, Orientation
from rtqc.core.structure import Structure
from rtqc.core.volumes import Dose, Image, Mask

__all__ = [
    "AXIAL",
    "Agreement",
    "Assessment",
    "Beam",
    "Case",
    "Certainty",
    "ContourDefect",
    "Dose",
    "DoseAttributes",
    "Evidence",
    "Finding",
    "Grid",
    "Image",
    "Mask",
    "Orientation",
    "Plan",
    "Prescription",
    "Provenance",
    "Roi",
    "Severity",
    "Structure",
    "StructureSetAttributes",
]
