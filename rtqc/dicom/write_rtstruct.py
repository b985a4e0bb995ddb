"""Structure -> RTSTRUCT that planning systems import (PS3.3 A.19), and that says for ever that a machine drew it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import numpy as np
import shapely
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset, FileDataset
from pydicom.errors import InvalidDicomError
from pydicom.sequence import Sequence as DicomSequence
from pydicom.uid import RTStructureSetStorage, generate_uid
from shapely.geometry import Polygon

from rtqc.core.case import Case, Provenance
from rtqc.core.names import words
from rtqc.core.structure import Structure
from rtqc.dicom.contour_hash import contour_hash
from rtqc.dicom.elements import is_cut_off, items, number, numbers, text
from rtqc.dicom.objects import (
    AlreadyThereError,
    DrawnBy,
    ascii_text,
    describe_series,
    free_path,
    image_reference,
    new_object,
    save_whole,
)

#: Coordinates are written to 0.01 mm, as planning systems do; far within DS's 16 characters.
COORDINATE_DECIMALS = 2
#: Contours are thinned until they deviate by this much at most, in mm: about 200 points for a heart's slice.
SIMPLIFY_MM = 0.08
#: Points nearer than this would be one after rounding, in mm.
_SHORTEST_EDGE_MM = 0.02
#: Colours of drafts: orange first, which no planning system gives the heart; the others where that is taken.
DRAFT_COLOURS = ((255, 140, 0), (255, 0, 200), (0, 220, 220), (170, 255, 0), (160, 90, 255))


@dataclass(frozen=True)
class Writing:
    """How a structure set is written.

    Attributes:
        holes: ``keyhole``: one contour that walks to the hole and back (PS3.3 C.8.8.6.3, read by everything); ``xor``: a contour of
            its own, all of the ROI's marked CLOSEDPLANAR_XOR.
        replace: whether an existing file may be replaced.
        now: time of writing; None: the present.
    """

    holes: Literal["keyhole", "xor"] = "keyhole"
    replace: bool = False
    now: datetime | None = None

    @property
    def moment(self) -> datetime:
        """Time of writing."""
        return self.now or datetime.now(UTC).astimezone()


def write_rtstruct(
    structures: Structure | Sequence[Structure], case: Case, path: str | Path, drawn_by: DrawnBy, how: Writing = Writing()
) -> Path:
    """Write structures as a new structure set of the case's CT.

    Args:
        structures: one or several drafts, on planes of the case's CT.
        case: with an image; its identifiers are copied.
        path: the file.
        drawn_by: what drew them.
        how: holes, time, and whether a file may be replaced.

    Returns:
        The path.

    Raises:
        AlreadyThereError: the file exists and may not be replaced.
        ValueError: the case has no image, or a structure is empty.
        OSError: the file cannot be written; nothing half-written stays.
    """
    target = free_path(path, how.replace)
    save_whole(_structure_set(_drafts(structures, case), case, drawn_by, how), target)
    return target


def _drafts(structures: Structure | Sequence[Structure], case: Case) -> list[Structure]:
    drafts = [structures] if isinstance(structures, Structure) else list(structures)
    if case.image is None:
        raise ValueError("a structure set needs the CT that it refers to")
    for structure in drafts:
        if structure.is_empty:
            raise ValueError(f"{structure.name} is empty: there is nothing to write")
    if not drafts:
        raise ValueError("there is nothing to write")
    return drafts


def append_rtstruct(
    structures: Structure | Sequence[Structure],
    case: Case,
    existing: Path,
    path: str | Path,
    drawn_by: DrawnBy,
    how: Writing = Writing(),
) -> Path:
    """Write a copy of a structure set with more ROIs; the original is not touched.

    Whatever the original holds is written as it was read, byte for byte: what stands there twice, with a wrong VR or in another
    character set is the planning system's own affair.

    Args:
        structures: one or several drafts, on planes of the case's CT.
        case: with an image.
        existing: the structure set that is copied.
        path: the new file.
        drawn_by: what drew the structures.
        how: holes, time, and whether a file may be replaced; the original never is.

    Returns:
        The path.

    Raises:
        AlreadyThereError: the file exists and may not be replaced, or it is the original.
        ValueError: a structure is empty, the case has no image, or the structure set is of another frame of reference or CT series.
        OSError: a file cannot be read or written; nothing half-written stays.
    """
    target = Path(path)
    if target.exists() and (not how.replace or target.samefile(existing)):
        raise AlreadyThereError(f"{target} exists already: give another name (the original structure set is never replaced)")
    drafts = _drafts(structures, case)
    # Looked at in one copy, written from another: pydicom writes a value that nobody has asked for as the bytes that it was.
    seen, dataset = _readable(existing), dcmread(existing)
    _check_is_of_case(seen, case, existing)
    original = text(seen, "SOPInstanceUID")
    used = [int(number(item, "ROINumber") or 0) for item in items(seen, "StructureSetROISequence")]
    observations = [int(number(item, "ObservationNumber") or 0) for item in items(seen, "RTROIObservationsSequence")]
    placed = _placed(
        drafts,
        {text(item, "ROIName") for item in items(seen, "StructureSetROISequence")},
        {_colour_of(item) for item in items(seen, "ROIContourSequence")},
        max(used, default=0) + 1,
        max(observations, default=0) + 1,
    )
    moment = how.moment
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid(prefix=None)
    dataset.SeriesInstanceUID = generate_uid(prefix=None)
    dataset.StructureSetDate, dataset.StructureSetTime = moment.strftime("%Y%m%d"), moment.strftime("%H%M%S")
    dataset.InstanceCreationDate, dataset.InstanceCreationTime = dataset.StructureSetDate, dataset.StructureSetTime
    dataset.ApprovalStatus = "UNAPPROVED"
    for keyword in ("ReviewDate", "ReviewTime", "ReviewerName"):
        if keyword in dataset:
            delattr(dataset, keyword)
    dataset.PredecessorStructureSetSequence = DicomSequence([image_reference(RTStructureSetStorage, original)])
    for keyword, more in _sequences(placed, case, drawn_by, how).items():
        if keyword in dataset:
            dataset[keyword].value.extend(more)
        else:
            setattr(dataset, keyword, DicomSequence(more))
    save_whole(dataset, target)
    return target


def _readable(existing: Path) -> FileDataset:
    """A structure set, whole.

    Raises:
        ValueError: it is none, or only a part of one.
    """
    try:
        dataset = dcmread(existing)
    except InvalidDicomError as error:
        raise ValueError(f"{existing.name} is not a DICOM file: give the structure set to append to") from error
    if is_cut_off(dataset) or text(dataset, "SOPClassUID") != RTStructureSetStorage:
        raise ValueError(f"{existing.name} is not a whole RTSTRUCT: give the structure set to append to, or export it again")
    return dataset


def _check_is_of_case(dataset: Dataset, case: Case, existing: Path) -> None:
    frames = items(dataset, "ReferencedFrameOfReferenceSequence")
    names = [text(frame, "FrameOfReferenceUID") for frame in frames]
    if case.provenance.frame_of_reference_uid not in names:
        raise ValueError(
            f"{existing.name} is not a structure set of this CT (its frames of reference: {', '.join(names) or 'none'}): append to one that is"
        )
    series = [
        text(s, "SeriesInstanceUID")
        for frame in frames
        for study in items(frame, "RTReferencedStudySequence")
        for s in items(study, "RTReferencedSeriesSequence")
    ]
    if series and case.provenance.ct_series_uid not in series:
        raise ValueError(
            f"{existing.name} is not a structure set of this CT series (it refers to {', '.join(series)}): append to one that is"
        )


@dataclass(frozen=True)
class _Placed:
    """A structure with the numbers and the colour that it has in the file."""

    structure: Structure
    number: int
    observation: int
    colour: tuple[int, int, int]


def _colour_of(item: Dataset) -> tuple[int, ...]:
    """ROI Display Color of an item; empty where absent."""
    return tuple(int(v) for v in numbers(item, "ROIDisplayColor") or ())


def _placed(
    drafts: list[Structure], names: set[str], colours: set[tuple[int, ...]], number: int, observation: int
) -> list[_Placed]:
    """Drafts with names, numbers and colours that nothing else in the file has."""
    placed: list[_Placed] = []
    for k, structure in enumerate(drafts):
        name = next(n for n in (structure.name, *(f"{structure.name}_{i}" for i in range(2, 1000))) if n not in names)
        colour = next((c for c in DRAFT_COLOURS if c not in colours), DRAFT_COLOURS[0])
        names, colours = names | {name}, colours | {colour}
        placed.append(_Placed(structure.renamed(name), number + k, observation + k, colour))
    return placed


def _sequences(placed: list[_Placed], case: Case, drawn_by: DrawnBy, how: Writing) -> dict[str, list[Dataset]]:
    """The items that the structures have in the three sequences of a structure set."""
    contours = [_contours(p, case, how.holes) for p in placed]
    return {
        "StructureSetROISequence": [_roi(p, c, case.provenance, drawn_by, how) for p, c in zip(placed, contours, strict=True)],
        "ROIContourSequence": contours,
        "RTROIObservationsSequence": [_observation(p) for p in placed],
    }


def _structure_set(drafts: list[Structure], case: Case, drawn_by: DrawnBy, how: Writing) -> FileDataset:
    now = how.moment
    dataset = new_object(RTStructureSetStorage, case.provenance)
    describe_series(dataset, "RTSTRUCT", "rtqc draft", drawn_by, now)
    provenance = case.provenance
    dataset.FrameOfReferenceUID = provenance.frame_of_reference_uid
    dataset.PositionReferenceIndicator = provenance.position_reference
    label = "converted" if drawn_by.converted_from else "rtqc draft"
    dataset.StructureSetLabel = dataset.StructureSetName = label
    told = f"Heart drawn by {drawn_by.name} {drawn_by.version}, {drawn_by.software}; not approved"
    if drawn_by.converted_from:
        told = f"Converted from {drawn_by.converted_from} by {drawn_by.software}; not approved"
    dataset.StructureSetDescription = ascii_text(told)
    dataset.StructureSetDate, dataset.StructureSetTime = now.strftime("%Y%m%d"), now.strftime("%H%M%S")
    dataset.ApprovalStatus = "UNAPPROVED"
    dataset.ReferencedFrameOfReferenceSequence = DicomSequence([_referenced_frame(provenance)])
    for keyword, entries in _sequences(_placed(drafts, set(), set(), 1, 1), case, drawn_by, how).items():
        setattr(dataset, keyword, DicomSequence(entries))
    return dataset


def _referenced_frame(provenance: Provenance) -> Dataset:
    series = Dataset()
    series.SeriesInstanceUID = provenance.ct_series_uid
    series.ContourImageSequence = DicomSequence([image_reference(*uids) for uids in provenance.slice_uids])
    study = Dataset()
    study.ReferencedSOPClassUID = "1.2.840.10008.3.1.2.3.1"
    study.ReferencedSOPInstanceUID = provenance.study_uid
    study.RTReferencedSeriesSequence = DicomSequence([series])
    frame = Dataset()
    frame.FrameOfReferenceUID = provenance.frame_of_reference_uid
    frame.RTReferencedStudySequence = DicomSequence([study])
    return frame


def _roi(placed: _Placed, contours: Dataset, provenance: Provenance, drawn_by: DrawnBy, how: Writing) -> Dataset:
    roi = Dataset()
    structure = placed.structure
    roi.ROINumber = placed.number
    roi.ReferencedFrameOfReferenceUID = provenance.frame_of_reference_uid
    roi.ROIName = structure.name
    roi.ROIVolume = f"{structure.volume_ml:.3f}"
    if drawn_by.converted_from:
        roi.ROIGenerationAlgorithm = ""
        roi.ROIDescription = ascii_text(f"Converted from {drawn_by.converted_from} by {drawn_by.software}, not approved")
        return roi
    roi.ROIGenerationAlgorithm = "AUTOMATIC"
    roi.ROIGenerationDescription = ascii_text(f"{drawn_by.name} {drawn_by.version} {drawn_by.digest[:12]}", 64)
    points = [np.array(c.ContourData, float).reshape(-1, 3) for c in contours.ContourSequence]
    told = [
        f"Draft by {drawn_by.software}, not approved",
        f"model {drawn_by.name} {drawn_by.version} sha256:{drawn_by.digest}",
        f"contours sha256:{contour_hash(points)}",
        f"drawn {how.moment.isoformat(timespec='seconds')}" + (f" on {drawn_by.device}" if drawn_by.device else ""),
        f"trained on {drawn_by.training}" if drawn_by.training else "",
    ]
    roi.ROIDescription = ascii_text("; ".join(t for t in told if t), 1024)
    return roi


def _observation(placed: _Placed) -> Dataset:
    observation = Dataset()
    structure = placed.structure
    observation.ObservationNumber = placed.observation
    observation.ReferencedROINumber = placed.number
    observation.RTROIInterpretedType = structure.kind or "ORGAN"
    observation.ROIInterpreter = ""
    if "heart" in words(structure.name):
        code = Dataset()
        code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "80891009", "SCT", "Heart"
        observation.RTROIIdentificationCodeSequence = DicomSequence([code])
    return observation


def _contours(placed: _Placed, case: Case, holes: Literal["keyhole", "xor"]) -> Dataset:
    assert case.image is not None
    structure = placed.structure
    grid = case.image.grid
    sign = round(float(grid.orientation.transform_to(structure.orientation)[2, 2]))
    heights = grid.positions_mm * sign
    drawn = []
    kind = "CLOSEDPLANAR_XOR" if holes == "xor" and _has_holes(structure) else "CLOSED_PLANAR"
    for w, area in structure.planes.items():
        nearest = int(np.abs(heights - w).argmin())
        for ring in (ring for polygon in area.geoms for ring in _written_rings(polygon, holes)):
            frame = np.column_stack([ring, np.full(len(ring), w)])
            points = np.round(structure.orientation.to_patient(frame), COORDINATE_DECIMALS) + 0.0
            contour = Dataset()
            contour.ContourImageSequence = DicomSequence([image_reference(*case.provenance.slice_uids[nearest])])
            contour.ContourGeometricType = kind
            contour.NumberOfContourPoints = len(points)
            contour.ContourData = [f"{v:.{COORDINATE_DECIMALS}f}" for v in points.ravel()]
            drawn.append(contour)
    result = Dataset()
    result.ROIDisplayColor = list(placed.colour)
    result.ReferencedROINumber = placed.number
    result.ContourSequence = DicomSequence(drawn)
    return result


def _has_holes(structure: Structure) -> bool:
    return any(len(p.interiors) > 0 for area in structure.planes.values() for p in area.geoms)


def _written_rings(polygon: Polygon, holes: Literal["keyhole", "xor"]) -> list[NDArray[np.float64]]:
    """A polygon's rings as they are written: thinned, rounded, no repeats, not crossing themselves, outer ones counter-clockwise."""
    thin = polygon.simplify(SIMPLIFY_MM, preserve_topology=True)
    shape = shapely.set_precision(thin, 10.0**-COORDINATE_DECIMALS)
    if not isinstance(shape, Polygon) or shape.is_empty or shape.area < 0.1:
        parts = [p for p in getattr(shape, "geoms", []) if isinstance(p, Polygon)]
        if not parts:
            return []
        shape = max(parts, key=lambda p: p.area)
    oriented = shapely.geometry.polygon.orient(shape)
    ring, *inner = (shapely.get_coordinates(r)[:-1] for r in (oriented.exterior, *oriented.interiors))
    rings = [ring, *inner]
    if holes == "keyhole":
        for hole in inner:
            ring = _with_keyhole(ring, hole)
        rings = [ring]
    thinned = (r[np.r_[True, np.linalg.norm(np.diff(r, axis=0), axis=1) >= _SHORTEST_EDGE_MM / 2]] for r in rings)
    return [r for r in thinned if len(r) >= 3]


def _with_keyhole(ring: NDArray[np.float64], hole: NDArray[np.float64]) -> NDArray[np.float64]:
    """Walk to the hole along the shortest bridge, around it, and back."""
    distances = np.linalg.norm(ring[:, None] - hole[None], axis=2)
    i, j = np.unravel_index(int(distances.argmin()), distances.shape)
    around = np.roll(hole, -int(j), axis=0)
    return np.vstack([ring[: i + 1], around, around[:1], ring[i:]])
