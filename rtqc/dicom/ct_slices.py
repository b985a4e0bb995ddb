"""One slice of a CT, from a file of its own or from a frame of an Enhanced CT."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from rtqc.core.limits import refuse_extent, refuse_matrix, refuse_places, refuse_spacing
from rtqc.core.orientation import Orientation
from rtqc.dicom.decoder import pixels_of
from rtqc.dicom.elements import number, numbers, text
from rtqc.dicom.index import Header


@dataclass(frozen=True)
class Slice:
    """One slice, decoded; stored pixel values, which slope and intercept make CT numbers of.

    Attributes:
        header: the file that it is of.
        orientation, corner, spacing: Image Orientation (Patient), Image Position (Patient) and Pixel Spacing (rows, columns), in mm.
        pixels: stored values (rows, columns).
        slope, intercept: Rescale Slope and Intercept; None where absent.
        tilt_deg: Gantry/Detector Tilt.
        acquisition: what tells acquisitions of one series apart: Acquisition Number, or the stack and phase of a frame; empty where unknown.
        instance: Instance Number; None where absent, and for frames.
        frame: number of the frame, from 1; 0 for a file of its own.
    """

    header: Header
    orientation: Orientation
    corner: tuple[float, float, float]
    spacing: tuple[float, float]
    pixels: NDArray[np.integer]
    slope: float | None
    intercept: float | None
    tilt_deg: float
    acquisition: str = ""
    instance: int | None = None
    frame: int = 0

    @property
    def rescaled(self) -> bool:
        """Whether the file says how stored values become CT numbers."""
        return self.slope is not None and self.intercept is not None

    @property
    def name(self) -> str:
        """The file, and which of its frames, for messages."""
        return f"{self.header.name} (frame {self.frame})" if self.frame else self.header.name


def slice_of(header: Header, dataset: Dataset) -> Slice:
    """The slice of a single-frame CT.

    Raises:
        LimitError: it is larger than a patient, or lies further away than a room is wide; nothing of it was decoded.
        DecoderDiedError: its compressed pixels brought the decoder down.
        ValueError: it does not say where it lies, or is no single-frame grey-scale image.
        Exception: whatever pydicom and its codecs raise on damaged pixels.
    """
    orientation, corner, spacing = plane_of(dataset, dataset, dataset)
    refuse_plane(dataset, spacing)
    pixels = pixels_of(dataset)
    if pixels.ndim != 2:
        raise ValueError("not a single-frame grey-scale image")
    instance = number(dataset, "InstanceNumber")
    return Slice(
        header,
        orientation,
        corner,
        spacing,
        pixels,
        number(dataset, "RescaleSlope"),
        number(dataset, "RescaleIntercept"),
        number(dataset, "GantryDetectorTilt") or 0.0,
        text(dataset, "AcquisitionNumber"),
        None if instance is None else int(instance),
    )


def plane_of(
    position: Dataset, orientation: Dataset, measures: Dataset
) -> tuple[Orientation, tuple[float, float, float], tuple[float, float]]:
    """Orientation, corner and pixel spacing, each from the item that holds it.

    Raises:
        LimitError: no scanner makes such pixels, and no room is as wide as it is far away.
        ValueError: one of them is absent or unusable.
    """
    directions = numbers(orientation, "ImageOrientationPatient", 6)
    corner = numbers(position, "ImagePositionPatient", 3)
    spacing = numbers(measures, "PixelSpacing", 2)
    if directions is None or corner is None or spacing is None or min(spacing) <= 0:
        raise ValueError("no usable Image Plane attributes")
    refuse_spacing(spacing)
    refuse_places(corner)
    row, column = directions[:3], directions[3:]
    return (
        Orientation((row[0], row[1], row[2]), (column[0], column[1], column[2])),
        (corner[0], corner[1], corner[2]),
        (spacing[0], spacing[1]),
    )


def refuse_plane(dataset: Dataset, spacing: tuple[float, float]) -> None:
    """Whether planes of an object are larger than a patient.

    Raises:
        LimitError: they are.
    """
    rows, columns = number(dataset, "Rows") or 1, number(dataset, "Columns") or 1
    refuse_matrix(rows, columns)
    refuse_extent((rows * spacing[0], columns * spacing[1], 0.0), "PixelSpacing")
