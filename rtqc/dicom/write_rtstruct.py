"""Structure -> RTSTRUCT that planning systems import (PS3.3 A.19), and that says for ever that a machine drew it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydicom.dataset import Dataset, FileDataset
from pydicom.errors import InvalidDicomError
from pydicom.sequence import Sequence as DicomSequence
from pydicom.uid import RTStructureSetStorage, generate_uid

from rtqc.core.case import Case, Provenance
from rtqc.core.structure import Structure
from rtqc.dicom.bounded import read_object
from rtqc.dicom.elements import is_cut_off, items, number, referenced_series, text
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
from rtqc.dicom.rtstruct_items import Writing, colour_of, placed_in, sequences_of


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
    seen, dataset = _readable(existing), read_object(existing, force=False)
    _check_is_of_case(seen, case, existing)
    original = text(seen, "SOPInstanceUID")
    used = [int(number(item, "ROINumber") or 0) for item in items(seen, "StructureSetROISequence")]
    observations = [int(number(item, "ObservationNumber") or 0) for item in items(seen, "RTROIObservationsSequence")]
    placed = placed_in(
        drafts,
        {text(item, "ROIName") for item in items(seen, "StructureSetROISequence")},
        {colour_of(item) for item in items(seen, "ROIContourSequence")},
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
    for keyword, more in sequences_of(placed, case, drawn_by, how).items():
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
        dataset = read_object(existing, force=False)
    except InvalidDicomError as error:
        raise ValueError(f"{existing.name} is not a DICOM file: give the structure set to append to") from error
    if is_cut_off(dataset) or text(dataset, "SOPClassUID") != RTStructureSetStorage:
        raise ValueError(f"{existing.name} is not a whole RTSTRUCT: give the structure set to append to, or export it again")
    return dataset


def _check_is_of_case(dataset: Dataset, case: Case, existing: Path) -> None:
    names = [text(frame, "FrameOfReferenceUID") for frame in items(dataset, "ReferencedFrameOfReferenceSequence")]
    if case.provenance.frame_of_reference_uid not in names:
        raise ValueError(
            f"{existing.name} is not a structure set of this CT (its frames of reference: {', '.join(names) or 'none'}): append to one that is"
        )
    series = [text(s, "SeriesInstanceUID") for s in referenced_series(dataset)]
    if series and case.provenance.ct_series_uid not in series:
        raise ValueError(
            f"{existing.name} is not a structure set of this CT series (it refers to {', '.join(series)}): append to one that is"
        )


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
    for keyword, entries in sequences_of(placed_in(drafts, set(), set(), 1, 1), case, drawn_by, how).items():
        setattr(dataset, keyword, DicomSequence(entries))
    return dataset


def _referenced_frame(provenance: Provenance) -> Dataset:
    series = Dataset()
    series.SeriesInstanceUID = provenance.ct_series_uid
    series.ContourImageSequence = DicomSequence([image_reference(*uids) for uids in dict.fromkeys(provenance.slice_uids)])
    study = Dataset()
    study.ReferencedSOPClassUID = "1.2.840.10008.3.1.2.3.1"
    study.ReferencedSOPInstanceUID = provenance.study_uid
    study.RTReferencedSeriesSequence = DicomSequence([series])
    frame = Dataset()
    frame.FrameOfReferenceUID = provenance.frame_of_reference_uid
    frame.RTReferencedStudySequence = DicomSequence([study])
    return frame
