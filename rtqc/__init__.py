"""Quality control for radiotherapy plans: drafts the heart, compares, and says what a difference does to the dose.

>>> import rtqc
>>> grid = rtqc.Grid.regular(shape=(40, 64, 64), spacing_mm=(2.5, 1.0, 1.0))
>>> grid.shape
(40, 64, 64)

What is imported from here is the public API; everything else may move. Names are loaded when they are first used,
so that ``import rtqc`` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rtqc.comparison import compare
    from rtqc.core import Assessment, Case, Dose, Finding, Grid, Image, Mask, Orientation, Structure
    from rtqc.dicom import read_case, read_cases
    from rtqc.dosimetry import DVH, dvh
    from rtqc.geometry import rasterize, trace
    from rtqc.heart import Draft, draft_heart
    from rtqc.pipeline import Options, assess, assess_fully, write_rtstruct
    from rtqc.qc import load_protocol, structure_findings
    from rtqc.report import write_report

#: Name -> the module that has it.
_HOMES = {
    "Assessment": "rtqc.core",
    "Case": "rtqc.core",
    "DVH": "rtqc.dosimetry",
    "Dose": "rtqc.core",
    "Draft": "rtqc.heart",
    "Finding": "rtqc.core",
    "Grid": "rtqc.core",
    "Image": "rtqc.core",
    "Mask": "rtqc.core",
    "Options": "rtqc.pipeline",
    "Orientation": "rtqc.core",
    "Structure": "rtqc.core",
    "assess": "rtqc.pipeline",
    "assess_fully": "rtqc.pipeline",
    "compare": "rtqc.comparison",
    "draft_heart": "rtqc.heart",
    "dvh": "rtqc.dosimetry",
    "load_protocol": "rtqc.qc",
    "rasterize": "rtqc.geometry",
    "read_case": "rtqc.dicom",
    "read_cases": "rtqc.dicom",
    "structure_findings": "rtqc.qc",
    "trace": "rtqc.geometry",
    "write_report": "rtqc.report",
    "write_rtstruct": "rtqc.pipeline",
}

__all__ = [
    "DVH",
    "Assessment",
    "Case",
    "Dose",
    "Draft",
    "Finding",
    "Grid",
    "Image",
    "Mask",
    "Options",
    "Orientation",
    "Structure",
    "assess",
    "assess_fully",
    "compare",
    "draft_heart",
    "dvh",
    "load_protocol",
    "rasterize",
    "read_case",
    "read_cases",
    "structure_findings",
    "trace",
    "write_report",
    "write_rtstruct",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'rtqc' has no attribute '{name}'")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
