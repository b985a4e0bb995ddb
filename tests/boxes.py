"""A plan whose numbers are known by heart: a box of 60 x 60 mm on 21 slices of 3 mm (226.8 ml) in a dose that rises by 0.1 Gy a millimetre (mean 20 Gy)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset

from rtqc.core import Grid, Image
from rtqc.core.volumes import Dose
from rtqc.dicom.study import Contour, DrawnRoi, Study
from rtqc.dicom.write_study import write_study

#: Slices of the heart, and what it holds.
HEART_SLICES = [float(-30 + 3 * k) for k in range(21)]
HEART_ML, MEAN_GY = 226.8, 20.0
#: A liver of 20 x 20 mm on the same slices.
LIVER_ML = 25.2


def box(x0: float, x1: float, y0: float, y1: float, z: float, kind: str = "CLOSED_PLANAR") -> Contour:
    """A rectangle on a slice."""
    return Contour(np.array([(x0, y0, z), (x1, y0, z), (x1, y1, z), (x0, y1, z)], float), kind)


def heart(kind_below: str = "CLOSED_PLANAR", below: int = 0) -> DrawnRoi:
    """The heart; its lowest slices may be drawn as another kind of contour."""
    contours = (box(-30, 30, -30, 30, z, kind_below if k < below else "CLOSED_PLANAR") for k, z in enumerate(HEART_SLICES))
    return DrawnRoi("Heart", contours=tuple(contours))


def box_study(patient: str = "P1", name: str = "Test^One", **changes: object) -> Study:
    """Everything of the plan, with what is changed."""
    grid = Grid.regular((41, 64, 64), (3.0, 3.0, 3.0), (-94.5, -94.5, -60.0))
    points = Grid.regular((51, 64, 64), (3.0, 3.0, 3.0), (-94.5, -94.5, -75.0))
    gy = np.broadcast_to(20 + 0.1 * np.array(points.slice_positions_mm)[:, None, None], points.shape).astype(np.float32)
    liver = DrawnRoi("Liver", contours=tuple(box(50, 70, 50, 70, z) for z in HEART_SLICES))
    study = Study(
        key=patient, image=Image(grid, np.full(grid.shape, 40, np.float32)), rois=(heart(), liver), dose=Dose(grid=points, gy=gy),
        patient_id=patient, patient_name=name, prescription_gy=50.0, fractions=25,
    )  # fmt: skip
    return replace(study, **changes)  # type: ignore[arg-type]


def write_box(folder: Path, patient: str = "P1", name: str = "Test^One", **changes: object) -> Path:
    """Write it."""
    return write_study(box_study(patient, name, **changes), folder)


def changed(file: Path, target: Path, change: Callable[[Dataset], object]) -> Path:
    """A copy of a DICOM file with one thing changed."""
    dataset = pydicom.dcmread(file)
    change(dataset)
    dataset.save_as(target)
    return target


def without_contours(dataset: Dataset) -> None:
    """Half of the first ROI's contours are gone."""
    drawn = dataset.ROIContourSequence[0]
    drawn.ContourSequence = list(drawn.ContourSequence)[:10]
