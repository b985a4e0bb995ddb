"""Structure -> RTSTRUCT that planning systems import (PS3.3 A.19), and that says for ever that a machine drew it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, ExplicitVRLittleEndian, RTStructureSetStorage, generate_uid
from shapely.geometry import Polygon

from rtqc.core.case import Case, Provenance
from rtqc.core.structure import Structure
from rtqc.core.whole_file import whole_file
from rtqc.dicom.elements import items, number, text

#: Coordinates are written to 0.01 mm, as planning systems do; far within DS's 16 characters.
COORDINATE_DECIMALS = 2
#: Contours are thinned until they deviate by this much at most, in mm: about 200 points for a heart's slice.
SIMPLIFY_MM = 0.08
#: Points nearer than this would be one after rounding, in mm.
_SHORTEST_EDGE_MM = 0.02
#: Colour of the draft: orange, which no planning system gives the heart.
DRAFT_COLOUR = (255, 140, 0)
#: rtqc's implementation class UID: a UUID-derived UID (PS3.5 B.2), fixed for all versions.
IMPLEMENTATION_UID = UID("2.25.229851234816049325148170336925174015893")


class AlreadyThereError(FileExistsError):
    """The file exists and nobody asked to replace it."""


@dataclass(frozen=True)
class DrawnBy:
    """What drew a structure; goes into the file.

    Attributes:
        name, version, digest: of the model.
        software: name and version of the program.
    """

    name: str
    version: str
    digest: str
    software: str


def write_rtstruct(
    structure: Structure,
    case: Case,
    path: str | Path,
    drawn_by: DrawnBy,
    *,
    replace: bool = False,
    now: datetime | None = None,
) -> Path:
    """Write one structure as a new structure set of the case's CT.

    Args:
        structure: on planes of the case's CT; holes are written as keyholes.
        case: with an image; its identifiers are copied.
        path: the file.
        drawn_by: what drew it.
        replace: whether an existing file may be replaced.
        now: time of writing.

    Returns:
        The path.

    Raises:
        AlreadyThereError: the file exists and ``replace`` is false.
        ValueError: the case has no image, or the structure is empty.
        OSError: the file cannot be written; nothing half-written stays.
    """
    target = Path(path)
    if target.exists() and not replace:
        raise AlreadyThereError(f"{target} exists already: give another name, or --force to replace it")
    if case.image is None:
        raise ValueError("a structure set needs the CT that it refers to")
    if structure.is_empty:
        raise ValueError(f"{structure.name} is empty: there is nothing to write")
    dataset = _structure_set(structure, case, drawn_by, now or datetime.now(UTC).astimezone())
    save_whole(dataset, target)
    return target


def append_rtstruct(
    structure: Structure,
    case: Case,
    existing: Path,
    path: str | Path,
    drawn_by: DrawnBy,
    *,
    replace: bool = False,
    now: datetime | None = None,
) -> Path:
    """Write a copy of a structure set with one ROI more; the original is not touched.

    Args:
        structure: on planes of the case's CT.
        case: with an image.
        existing: the structure set that is copied; every ROI and private attribute of it stays.
        path: the new file.
        drawn_by: what drew the structure.
        replace: whether an existing file may be replaced; never the original.
        now: time of writing.

    Returns:
        The path.

    Raises:
        AlreadyThereError: the file exists and ``replace`` is false, or it is the original.
        ValueError: the structure is empty, the case has no image, or the structure set is of another frame of reference.
        OSError: a file cannot be read or written; nothing half-written stays.
    """
    target = Path(path)
    if target.exists() and (not replace or target.samefile(existing)):
        raise AlreadyThereError(f"{target} exists already: give another name (the original structure set is never replaced)")
    if case.image is None or structure.is_empty:
        raise ValueError("there is nothing to append: the draft is empty or there is no CT")
    moment = now or datetime.now(UTC).astimezone()
    dataset = dcmread(existing)
    frame = case.provenance.frame_of_reference_uid
    frames = [text(item, "FrameOfReferenceUID") for item in items(dataset, "ReferencedFrameOfReferenceSequence")]
    if frame not in frames:
        raise ValueError(
            f"{existing.name} is not a structure set of this CT (its frames of reference: {', '.join(frames) or 'none'}): append to one that is"
        )
    original = text(dataset, "SOPInstanceUID")
    numbers = [int(number(item, "ROINumber") or 0) for item in items(dataset, "StructureSetROISequence")]
    observations = [int(number(item, "ObservationNumber") or 0) for item in items(dataset, "RTROIObservationsSequence")]
    names = {text(item, "ROIName") for item in items(dataset, "StructureSetROISequence")}
    name = next(n for n in (structure.name, *(f"{structure.name}_{k}" for k in range(2, 1000))) if n not in names)
    placed = _Placed(structure.renamed(name), max(numbers, default=0) + 1, max(observations, default=0) + 1)
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid(prefix=None)
    dataset.SeriesInstanceUID = generate_uid(prefix=None)
    dataset.StructureSetDate, dataset.StructureSetTime = moment.strftime("%Y%m%d"), moment.strftime("%H%M%S")
    dataset.InstanceCreationDate, dataset.InstanceCreationTime = dataset.StructureSetDate, dataset.StructureSetTime
    dataset.ApprovalStatus = "UNAPPROVED"
    for keyword in ("ReviewDate", "ReviewTime", "ReviewerName"):
        if keyword in dataset:
            delattr(dataset, keyword)
    dataset.PredecessorStructureSetSequence = Sequence([image_reference(RTStructureSetStorage, original)])
    for keyword, item in (
        ("StructureSetROISequence", _roi(placed, case.provenance, drawn_by)),
        ("ROIContourSequence", _contours(placed, case)),
        ("RTROIObservationsSequence", _observation(placed)),
    ):
        setattr(dataset, keyword, Sequence([*items(dataset, keyword), item]))
    save_whole(dataset, target)
    return target


@dataclass(frozen=True)
class _Placed:
    """A structure with the numbers that it has in the file."""

    structure: Structure
    number: int = 1
    observation: int = 1


def _structure_set(structure: Structure, case: Case, drawn_by: DrawnBy, now: datetime) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = RTStructureSetStorage
    meta.MediaStorageSOPInstanceUID = generate_uid(prefix=None)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = IMPLEMENTATION_UID
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID = RTStructureSetStorage
    dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    _patient_and_study(dataset, case.provenance)
    _series_and_equipment(dataset, drawn_by, now)
    provenance = case.provenance
    dataset.FrameOfReferenceUID = provenance.frame_of_reference_uid
    dataset.PositionReferenceIndicator = provenance.position_reference
    dataset.StructureSetLabel = "rtqc draft"
    dataset.StructureSetName = "rtqc draft"
    dataset.StructureSetDescription = f"Heart drawn by {drawn_by.name} {drawn_by.version}, {drawn_by.software}; not approved"
    dataset.StructureSetDate, dataset.StructureSetTime = now.strftime("%Y%m%d"), now.strftime("%H%M%S")
    dataset.ApprovalStatus = "UNAPPROVED"
    placed = _Placed(structure)
    dataset.ReferencedFrameOfReferenceSequence = Sequence([_referenced_frame(provenance)])
    dataset.StructureSetROISequence = Sequence([_roi(placed, provenance, drawn_by)])
    dataset.ROIContourSequence = Sequence([_contours(placed, case)])
    dataset.RTROIObservationsSequence = Sequence([_observation(placed)])
    return dataset


def _patient_and_study(dataset: Dataset, provenance: Provenance) -> None:
    dataset.PatientName = provenance.patient_name
    dataset.PatientID = provenance.patient_id
    dataset.PatientBirthDate = provenance.patient_birth_date
    dataset.PatientSex = provenance.patient_sex
    dataset.StudyInstanceUID = provenance.study_uid
    dataset.StudyDate = provenance.study_date
    dataset.StudyTime = provenance.study_time
    dataset.StudyID = provenance.study_id
    dataset.AccessionNumber = provenance.accession_number
    dataset.ReferringPhysicianName = provenance.referring_physician


def _series_and_equipment(dataset: Dataset, drawn_by: DrawnBy, now: datetime) -> None:
    dataset.Modality = "RTSTRUCT"
    dataset.SeriesInstanceUID = generate_uid(prefix=None)
    dataset.SeriesNumber = 1
    dataset.SeriesDescription = "rtqc draft"
    dataset.SeriesDate, dataset.SeriesTime = now.strftime("%Y%m%d"), now.strftime("%H%M%S")
    dataset.InstanceNumber = 1
    dataset.InstanceCreationDate, dataset.InstanceCreationTime = dataset.SeriesDate, dataset.SeriesTime
    # Type 2: the human who takes the draft over stands here, so it stays empty.
    dataset.OperatorsName = ""
    dataset.Manufacturer = "rtqc"
    dataset.ManufacturerModelName = drawn_by.name[:64]
    dataset.SoftwareVersions = drawn_by.software[:64]
    dataset.DeviceSerialNumber = drawn_by.digest[:16]


def _referenced_frame(provenance: Provenance) -> Dataset:
    series = Dataset()
    series.SeriesInstanceUID = provenance.ct_series_uid
    series.ContourImageSequence = Sequence([image_reference(*uids) for uids in provenance.slice_uids])
    study = Dataset()
    study.ReferencedSOPClassUID = "1.2.840.10008.3.1.2.3.1"
    study.ReferencedSOPInstanceUID = provenance.study_uid
    study.RTReferencedSeriesSequence = Sequence([series])
    frame = Dataset()
    frame.FrameOfReferenceUID = provenance.frame_of_reference_uid
    frame.RTReferencedStudySequence = Sequence([study])
    return frame


def image_reference(sop_class: str, sop_instance: str) -> Dataset:
    """An item that refers to one SOP instance."""
    reference = Dataset()
    reference.ReferencedSOPClassUID = sop_class
    reference.ReferencedSOPInstanceUID = sop_instance
    return reference


def _roi(placed: _Placed, provenance: Provenance, drawn_by: DrawnBy) -> Dataset:
    roi = Dataset()
    structure = placed.structure
    roi.ROINumber = placed.number
    roi.ReferencedFrameOfReferenceUID = provenance.frame_of_reference_uid
    roi.ROIName = structure.name
    roi.ROIVolume = f"{structure.volume_ml:.3f}"
    roi.ROIGenerationAlgorithm = "AUTOMATIC"
    roi.ROIGenerationDescription = f"{drawn_by.name} {drawn_by.version} {drawn_by.digest[:12]}"[:64]
    return roi


def _observation(placed: _Placed) -> Dataset:
    observation = Dataset()
    structure = placed.structure
    observation.ObservationNumber = placed.observation
    observation.ReferencedROINumber = placed.number
    observation.ROIObservationLabel = structure.name[:16]
    observation.RTROIInterpretedType = structure.kind or "ORGAN"
    observation.ROIInterpreter = ""
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "80891009", "SCT", "Heart"
    observation.RTROIIdentificationCodeSequence = Sequence([code])
    return observation


def _contours(placed: _Placed, case: Case) -> Dataset:
    assert case.image is not None
    structure = placed.structure
    grid = case.image.grid
    sign = round(float(grid.orientation.transform_to(structure.orientation)[2, 2]))
    heights = grid.positions_mm * sign
    drawn = []
    for w, area in structure.planes.items():
        nearest = int(np.abs(heights - w).argmin())
        for polygon in area.geoms:
            ring = _written_ring(polygon)
            if ring is None:
                continue
            frame = np.column_stack([ring, np.full(len(ring), w)])
            points = np.round(structure.orientation.to_patient(frame), COORDINATE_DECIMALS) + 0.0
            contour = Dataset()
            contour.ContourImageSequence = Sequence([image_reference(*case.provenance.slice_uids[nearest])])
            contour.ContourGeometricType = "CLOSED_PLANAR"
            contour.NumberOfContourPoints = len(points)
            contour.ContourData = [f"{v:.{COORDINATE_DECIMALS}f}" for v in points.ravel()]
            drawn.append(contour)
    result = Dataset()
    result.ROIDisplayColor = list(DRAFT_COLOUR)
    result.ReferencedROINumber = placed.number
    result.ContourSequence = Sequence(drawn)
    return result


def _written_ring(polygon: Polygon) -> NDArray[np.float64] | None:
    """A polygon's points as they are written: thinned, rounded, no repeats, not crossing itself; holes by keyhole."""
    thin = polygon.simplify(SIMPLIFY_MM, preserve_topology=True)
    shape = shapely.set_precision(thin, 10.0**-COORDINATE_DECIMALS)
    if not isinstance(shape, Polygon) or shape.is_empty or shape.area < 0.1:
        parts = [p for p in getattr(shape, "geoms", []) if isinstance(p, Polygon)]
        if not parts:
            return None
        shape = max(parts, key=lambda p: p.area)
    oriented = shapely.geometry.polygon.orient(shape)
    ring = shapely.get_coordinates(oriented.exterior)[:-1]
    for hole in oriented.interiors:
        ring = _with_keyhole(ring, shapely.get_coordinates(hole)[:-1])
    kept = np.r_[True, np.linalg.norm(np.diff(ring, axis=0), axis=1) >= _SHORTEST_EDGE_MM / 2]
    ring = ring[kept]
    return ring if len(ring) >= 3 else None


def _with_keyhole(ring: NDArray[np.float64], hole: NDArray[np.float64]) -> NDArray[np.float64]:
    """Walk to the hole along the shortest bridge, around it, and back."""
    distances = np.linalg.norm(ring[:, None] - hole[None], axis=2)
    i, j = np.unravel_index(int(distances.argmin()), distances.shape)
    around = np.roll(hole, -int(j), axis=0)
    return np.vstack([ring[: i + 1], around, around[:1], ring[i:]])


def save_whole(dataset: FileDataset, target: Path, durable: bool = True) -> None:
    """Write a DICOM file whole or not at all; see :func:`rtqc.core.whole_file.whole_file`."""
    with whole_file(target, durable) as file:
        dataset.save_as(file, enforce_file_format=True)
