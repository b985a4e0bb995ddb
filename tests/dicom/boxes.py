"""A small CT and a box-shaped heart on it, written by pydicom from formulas: 60 x 60 mm on slices from -30 to 30 mm, 226.8 ml."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian, RTStructureSetStorage, generate_uid

#: Slices of the CT and of the heart, in mm.
SLICES = tuple(float(z) for z in range(-60, 61, 3))
HEART_SLICES = tuple(z for z in SLICES if -30 <= z <= 30)
PIXELS, PIXEL_MM, CORNER_MM = 32, 6.0, -93.0

Points = list[tuple[float, float, float]]
Contour = tuple[str, Points]


def uid(*key: object) -> UID:
    """A UID that is the same in every run."""
    return generate_uid(entropy_srcs=["boxes", *map(str, key)])


def square(low: float, high: float, z: float, x: float = 0.0) -> Contour:
    """A closed contour around (low, low) to (high, high), moved by ``x``."""
    corners = ((low, low), (high, low), (high, high), (low, high))
    return ("CLOSED_PLANAR", [(u + x, v, z) for u, v in corners])


def heart(slices: Iterable[float] = HEART_SLICES) -> list[Contour]:
    """The box."""
    return [square(-30, 30, z) for z in slices]


def write_ct(
    folder: Path,
    slices: Sequence[float] = SLICES,
    series: str = "ct",
    prefix: str = "CT",
    hu: float = 40,
    edit: Callable[[int, Dataset], None] | None = None,
) -> list[UID]:
    """A CT of one value; returns the slices' UIDs.

    Args:
        folder: made where absent.
        slices: z of each, in mm.
        series, prefix: of UIDs and of file names.
        hu: value everywhere.
        edit: changes the dataset of a slice, given its number.
    """
    folder.mkdir(parents=True, exist_ok=True)
    uids = []
    for k, z in enumerate(slices):
        dataset = _object(CTImageStorage, "CT", uid(series, prefix, k), series)
        dataset.InstanceNumber, dataset.ImageType = k + 1, ["ORIGINAL", "PRIMARY", "AXIAL"]
        dataset.ImagePositionPatient = [CORNER_MM, CORNER_MM, float(f"{z:.6f}")]
        dataset.ImageOrientationPatient, dataset.PixelSpacing = [1, 0, 0, 0, 1, 0], [PIXEL_MM, PIXEL_MM]
        dataset.SliceThickness, dataset.Rows, dataset.Columns = 3, PIXELS, PIXELS
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 1
        dataset.RescaleSlope, dataset.RescaleIntercept, dataset.RescaleType = 1, -1024, "HU"
        dataset.PixelData = np.full((PIXELS, PIXELS), hu + 1024, np.int16).tobytes()
        dataset["PixelData"].VR = "OW"
        if edit is not None:
            edit(k, dataset)
        uids.append(UID(dataset.SOPInstanceUID))
        dataset.save_as(folder / f"{prefix}.{k:03d}.dcm", enforce_file_format=True)
    return uids


def write_structures(
    folder: Path,
    rois: Sequence[tuple[int, str, Sequence[Contour]]],
    uids: Iterable[str] | None = None,
    series: str | None = "ct",
    edit: Callable[[FileDataset], None] | None = None,
    name: str = "RS.dcm",
) -> Path:
    """A structure set.

    Args:
        folder: made where absent.
        rois: number, name and contours of each.
        uids: slices that it refers to; None: none of them.
        series: series that it refers to; None: none.
        edit: changes the dataset before it is written.
        name: of the file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    dataset = _object(RTStructureSetStorage, "RTSTRUCT", uid("structures", name), "structures")
    dataset.StructureSetLabel = "box"
    frame, study = Dataset(), Dataset()
    frame.FrameOfReferenceUID = uid("frame")
    if series is not None:
        referenced = Dataset()
        referenced.SeriesInstanceUID = uid(series)
        referenced.ContourImageSequence = [_image(u) for u in uids or ()]
        study.RTReferencedSeriesSequence = [referenced]
        frame.RTReferencedStudySequence = [study]
    dataset.ReferencedFrameOfReferenceSequence = [frame]
    dataset.StructureSetROISequence = [_entry(number, roi) for number, roi, _ in rois]
    dataset.ROIContourSequence = [contours_of(number, contours) for number, _, contours in rois]
    dataset.RTROIObservationsSequence = []
    if edit is not None:
        edit(dataset)
    dataset.save_as(folder / name, enforce_file_format=True)
    return folder / name


def contours_of(number: int, contours: Sequence[Contour]) -> Dataset:
    """An item of the ROI Contour Sequence."""
    item = Dataset()
    item.ReferencedROINumber = number
    item.ContourSequence = []
    for kind, points in contours:
        contour = Dataset()
        contour.ContourGeometricType, contour.NumberOfContourPoints = kind, len(points)
        contour.ContourData = [f"{v:.4f}" for v in np.ravel(points)]
        item.ContourSequence.append(contour)
    return item


def _entry(number: int, name: str) -> Dataset:
    entry = Dataset()
    entry.ROINumber, entry.ROIName, entry.ROIGenerationAlgorithm = number, name, "MANUAL"
    entry.ReferencedFrameOfReferenceUID = uid("frame")
    return entry


def _image(instance: str) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = CTImageStorage, instance
    return item


def _object(sop_class: UID, modality: str, instance: UID, series: str) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = sop_class, instance
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID, dataset.SOPInstanceUID, dataset.Modality = sop_class, instance, modality
    dataset.PatientID, dataset.PatientName, dataset.StudyInstanceUID = "BOX", "Box^Heart", uid("study")
    dataset.SeriesInstanceUID, dataset.FrameOfReferenceUID = uid(series), uid("frame")
    return dataset
