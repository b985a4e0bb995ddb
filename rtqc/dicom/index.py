"""What lies in a folder: headers of every DICOM object, sorted by what they say, never by their file names."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from errno import ENOENT
from pathlib import Path
from stat import S_ISREG
from types import MappingProxyType
from typing import Protocol

from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.tag import BaseTag, Tag

from rtqc.core.finding import Finding
from rtqc.core.limits import MOST_HEADER_SEQUENCE_BYTES, LimitError
from rtqc.core.walk import shown_name, walk
from rtqc.dicom.bounded import read_object
from rtqc.dicom.elements import items, referenced_series, text
from rtqc.dicom.not_judged import NOT_JUDGED
from rtqc.dicom.notes import note

#: Read from every file; pixels and contours stay on disk.
_HEADER_TAGS: list[BaseTag] = [
    Tag(keyword)
    for keyword in (
        "SOPClassUID",
        "SOPInstanceUID",
        "Modality",
        "ImageType",
        "PatientID",
        "PatientName",
        "StudyInstanceUID",
        "SeriesInstanceUID",
        "FrameOfReferenceUID",
        "ReferencedFrameOfReferenceSequence",
        "ReferencedStructureSetSequence",
        "ReferencedRTPlanSequence",
        "StructureSetLabel",
        "RTPlanLabel",
        "InstanceCreationDate",
        "InstanceCreationTime",
    )
]

#: A file of these endings claims to be DICOM: if it is not, somebody must know.
_DICOM_ENDINGS = {".dcm", ".dicom", ".ima", ".dic"}
_PREAMBLE = 132


@dataclass(frozen=True, slots=True)
class Header:
    """What the index knows of a file.

    Attributes:
        path: the file.
        name: its path relative to the folder that was read, for messages.
        modality: Modality; RT objects are told by their SOP Class.
        refers_to: SOP Instance UIDs (or, for a structure set, Series Instance UIDs) that it is based on.
    """

    path: Path
    name: str
    sop_class: str
    uid: str
    modality: str
    patient_id: str
    patient_name: str
    study_uid: str
    series_uid: str
    frame_uid: str
    image_type: str
    refers_to: tuple[str, ...]
    label: str
    created: str


@dataclass
class Index:
    """All headers of a folder.

    Attributes:
        root: the folder (or file) that was read.
        ct: Series Instance UID -> CT headers.
        structure_sets, plans, doses: RT objects in the order of their creation.
        findings: files that could not be read.
        others: number of DICOM objects of other kinds.
        owners: whose each folder is, once somebody has asked (:mod:`rtqc.dicom.belonging`).
        not_judged: radiotherapy objects among them (:mod:`rtqc.dicom.not_judged`).
    """

    root: Path
    ct: dict[str, list[Header]] = field(default_factory=lambda: defaultdict(list))
    structure_sets: list[Header] = field(default_factory=list)
    plans: list[Header] = field(default_factory=list)
    doses: list[Header] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    others: int = 0
    owners: dict[str, object] | None = field(default=None, repr=False, compare=False)
    not_judged: list[Header] = field(default_factory=list)


#: What a file turned out to be: a DICOM object, something that somebody must know of, or nothing of ours.
Scanned = Header | Finding | None


class Memory(Protocol):
    """What earlier readings found, by a file's name, size and time of change."""

    def recall(self, path: Path, name: str, size: int, changed_ns: int) -> tuple[Scanned] | None:
        """What the file was, in a tuple; None where it is not known or has changed."""

    def remember(self, name: str, size: int, changed_ns: int, scanned: Scanned) -> None:
        """Keep what the file was."""


#: Folders that hold copies of what lies elsewhere, or what somebody threw away: recycle bins, snapshots and thumbnails of file servers.
SKIPPED_FOLDERS = frozenset(
    name.casefold()
    for name in (
        "$RECYCLE.BIN", "RECYCLER", "System Volume Information", "lost+found", "#recycle", "@Recycle", "@Recently-Snapshot",
        "@eaDir", "@__thumb", "#snapshot", "~snapshot", "__MACOSX",
    )
)  # fmt: skip

#: Modality by SOP Class; a CT is a CT Image Storage object or its multi-frame form.
_MODALITY_OF_CLASS = {
    "1.2.840.10008.5.1.4.1.1.2": "CT",
    "1.2.840.10008.5.1.4.1.1.2.1": "CT",  # Enhanced CT Image Storage: all slices in one object, or in the parts of a concatenation
    "1.2.840.10008.5.1.4.1.1.2.2": "CT",  # Legacy Converted Enhanced CT Image Storage
    "1.2.840.10008.5.1.4.1.1.481.2": "RTDOSE",
    "1.2.840.10008.5.1.4.1.1.481.3": "RTSTRUCT",
    "1.2.840.10008.5.1.4.1.1.481.5": "RTPLAN",
    "1.2.840.10008.5.1.4.1.1.481.8": "RTPLAN",  # RT Ion Plan
}


def index_folder(
    root: Path,
    progress: Callable[[int], None] | None = None,
    memory: Memory | None = None,
    *,
    skipped: Mapping[str, str] = MappingProxyType({}),
    before: Callable[[int, str], None] | None = None,
) -> Index:
    """Read the headers of all files below a folder (or of one file).

    Args:
        root: folder or file.
        progress: called with the number of files read so far.
        memory: of earlier readings; a file that has not changed is not opened again.
        skipped: names of files that are not to be opened, because reading their headers took a process down, and how it ended.
        before: called with a file's number and name before it is opened.

    Raises:
        FileNotFoundError: ``root`` does not exist.
    """
    if not root.exists():
        raise FileNotFoundError(f"{root} does not exist")
    index = Index(root)
    for number, (path, name) in enumerate(_files(root, index)):
        if before is not None:
            before(number, name)
        if name in skipped:
            scanned: Scanned = _skipped(name, skipped[name])
        else:
            scanned = _scan(path, name, path == root) if memory is None else _recalled(path, name, memory)
        if isinstance(scanned, Finding):
            index.findings.append(scanned)
        elif scanned is not None:
            _sort_in(index, scanned)
        if progress:
            progress(number + 1)
    for headers in (index.structure_sets, index.plans, index.doses):
        headers.sort(key=lambda h: (h.created, h.name))
    return index


def _files(root: Path, index: Index) -> Iterator[tuple[Path, str]]:
    """Files with their names from the root, a folder's together."""
    if root.is_file():
        yield root, shown_name(root.name)
        return

    def refused(error: OSError) -> None:
        name = relative(Path(error.filename), root) if error.filename else str(root)
        index.findings.append(
            note(
                "file.unreadable",
                f"The folder {name} could not be listed ({error.strerror}): check its permissions.",
                files=[f"{name}/"],
            )
        )

    for folder, folders, names in walk(root, refused):
        folders[:] = sorted(f for f in folders if not f.startswith(".") and f.casefold() not in SKIPPED_FOLDERS)
        above = relative(folder, root) if folder != root else ""
        for name in sorted(names):
            if name != "DICOMDIR" and not name.startswith("."):
                yield folder / name, shown_name(f"{above}/{name}" if above else name)


def relative(path: Path, root: Path) -> str:
    """The path as messages show it: below the folder that was read, else its last part."""
    try:
        return shown_name(path.relative_to(root if root.is_dir() else root.parent).as_posix() or path.name)
    except ValueError:
        return shown_name(path.name)


def _recalled(path: Path, name: str, memory: Memory) -> Scanned:
    try:
        stat = path.stat()
    except OSError as error:
        if not path.is_symlink() and isinstance(error, FileNotFoundError):
            return None  # it was there a moment ago: whoever took it away knows
        return _unopened(name, error)
    if not S_ISREG(stat.st_mode):
        return None
    known = memory.recall(path, name, stat.st_size, stat.st_mtime_ns)
    if known is not None and not _is_of_a_kind_unknown_then(known[0]):
        return known[0]
    scanned = _scan(path, name, False)
    if not isinstance(scanned, Finding):
        memory.remember(name, stat.st_size, stat.st_mtime_ns, scanned)
    return scanned


def _is_of_a_kind_unknown_then(scanned: Scanned) -> bool:
    """Whether an object was remembered by a version that did not read its kind, and so not what it refers to."""
    return isinstance(scanned, Header) and scanned.modality != _MODALITY_OF_CLASS.get(scanned.sop_class, scanned.modality)


def _scan(path: Path, name: str, asked_for: bool) -> Scanned:
    claims = asked_for or path.suffix.lower() in _DICOM_ENDINGS
    try:
        dataset = _read_header(path)
    except (InvalidDicomError, EOFError):
        if claims or _is_empty(path):
            size = "is empty" if _is_empty(path) else "is not a DICOM file"
            return note("file.unreadable", f"{name} {size}: export it again or remove it.", files=[name])
        return None
    except OSError as error:
        return _unopened(name, error)
    except LimitError as error:
        message = f"{name} was left out: {error}. No file of a patient has that: export it again or remove it."
        return note("file.beyond_limits", message, files=[name])
    except Exception as error:  # a damaged header makes pydicom raise nearly anything
        message = f"{name} is damaged and was left out ({type(error).__name__}): export it again."
        return note("file.unreadable", message, files=[name])
    header = _header(path, name, dataset)
    if claims and not header.modality and not header.sop_class:
        return note("file.unreadable", f"{name} has no SOP Class and was left out: export it again.", files=[name])
    return header


def _skipped(name: str, how: str) -> Finding:
    message = f"{name} was left out: the process that read its header {how}. Remove it, or export it again."
    return note("file.beyond_limits", message, files=[name])


def _unopened(name: str, error: OSError) -> Finding:
    message = f"{name} could not be opened ({error.strerror or error}): check its permissions."
    return note("file.unreadable", message, files=[name])


def _is_empty(path: Path) -> bool:
    try:
        return path.stat().st_size == 0
    except OSError:
        return False


def _read_header(path: Path) -> Dataset:
    if not path.is_file():  # a pipe would never end, and a link to nowhere is no file
        raise (
            InvalidDicomError(f"{path} is no file")
            if path.exists()
            else FileNotFoundError(ENOENT, os.strerror(ENOENT), str(path))
        )
    with path.open("rb") as file:
        start = file.read(_PREAMBLE)
        file.seek(0)
        if start[128:132] == b"DICM":
            return _of_usual_size(read_object(file, header=True, tags=_HEADER_TAGS, force=False))
        # Old archives leave out the preamble: a file that begins with group 0002 or 0008 is a data set all the same.
        if start[:2] in (b"\x02\x00", b"\x08\x00") and start[3:4] == b"\x00":
            dataset = _of_usual_size(read_object(file, header=True, tags=_HEADER_TAGS))
            if text(dataset, "SOPClassUID"):
                return dataset
    raise InvalidDicomError(f"{path} is not DICOM")


def _of_usual_size(dataset: Dataset) -> Dataset:
    """A header, unless its references are megabytes: each byte becomes a hundred when they are read.

    Raises:
        LimitError: they are.
    """
    for keyword in ("ReferencedFrameOfReferenceSequence", "ReferencedStructureSetSequence", "ReferencedRTPlanSequence"):
        raw = dataset.get_item(Tag(keyword), keep_deferred=False) if keyword in dataset else None
        value = getattr(raw, "value", None)
        if isinstance(value, bytes) and len(value) > MOST_HEADER_SEQUENCE_BYTES:
            raise LimitError(f"its {keyword} has {len(value) >> 20} MiB, more than {MOST_HEADER_SEQUENCE_BYTES >> 20}")
    return dataset


def _header(path: Path, name: str, dataset: Dataset) -> Header:
    modality = _MODALITY_OF_CLASS.get(text(dataset, "SOPClassUID"), "")
    if not modality and not text(dataset, "SOPClassUID"):
        modality = text(dataset, "Modality")
    return Header(
        path=path,
        name=name,
        sop_class=text(dataset, "SOPClassUID"),
        uid=text(dataset, "SOPInstanceUID"),
        modality=modality,
        patient_id=text(dataset, "PatientID"),
        patient_name=text(dataset, "PatientName"),
        study_uid=text(dataset, "StudyInstanceUID"),
        series_uid=text(dataset, "SeriesInstanceUID"),
        frame_uid=text(dataset, "FrameOfReferenceUID") or _referenced_frame(dataset),
        image_type="\\".join(str(v) for v in (dataset.get("ImageType") or [])),
        refers_to=_references(dataset, modality),
        # Of the thousands of slices nobody asks for these.
        label="" if modality == "CT" else text(dataset, "StructureSetLabel") or text(dataset, "RTPlanLabel"),
        created="" if modality == "CT" else text(dataset, "InstanceCreationDate") + text(dataset, "InstanceCreationTime"),
    )


def _referenced_frame(dataset: Dataset) -> str:
    for frame in items(dataset, "ReferencedFrameOfReferenceSequence"):
        uid = text(frame, "FrameOfReferenceUID")
        if uid:
            return uid
    return ""


def _references(dataset: Dataset, modality: str) -> tuple[str, ...]:
    if modality == "RTPLAN":
        return tuple(text(i, "ReferencedSOPInstanceUID") for i in items(dataset, "ReferencedStructureSetSequence"))
    if modality == "RTDOSE":
        return tuple(text(i, "ReferencedSOPInstanceUID") for i in items(dataset, "ReferencedRTPlanSequence"))
    if modality == "RTSTRUCT":
        return tuple(text(series, "SeriesInstanceUID") for series in referenced_series(dataset))
    return ()


def _sort_in(index: Index, header: Header) -> None:
    if header.modality == "CT":
        # A scout view shares the series' folder and often its series; it is no slice of it.
        if "LOCALIZER" not in header.image_type.upper():
            index.ct[header.series_uid].append(header)
    elif header.modality == "RTSTRUCT":
        index.structure_sets.append(header)
    elif header.modality == "RTPLAN":
        index.plans.append(header)
    elif header.modality == "RTDOSE":
        index.doses.append(header)
    elif header.sop_class:
        index.others += 1
        if header.sop_class in NOT_JUDGED:
            index.not_judged.append(header)
