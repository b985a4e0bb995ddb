"""An archive -> one index a patient, so that what is wrong with one patient's files speaks for him alone."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath

from rtqc.core.finding import Finding
from rtqc.dicom.index import Header, Index


def split_archive(index: Index) -> list[Index]:
    """Split what lies in an archive into what belongs together.

    Together belong the objects of a patient (of a study, where there is no Patient ID) and objects that refer to each other. A file that cannot
    be read goes to whom its folder belongs: to the one patient who has files in it, else in the nearest folder above. Unreadable files of folders
    that belong to nobody or to several are an index of their own, one a folder, with nothing but findings: nothing is silently left out.

    Returns:
        In the order of the archive.
    """
    groups = _Groups()
    for header in _headers(index):
        groups.join(("object", header.uid), *_belongs_with(header))
    parts: dict[object, Index] = {}

    def part_of(header: Header) -> Index:
        key = groups.find(("object", header.uid))
        return parts.setdefault(key, Index(index.root))

    for series in index.ct.values():
        for header in series:
            part_of(header).ct[header.series_uid].append(header)
    for name in ("structure_sets", "plans", "doses"):
        for header in getattr(index, name):
            getattr(part_of(header), name).append(header)
    owners = _owners(parts)
    homeless: dict[str, Index] = {}
    for finding in index.findings:
        folder = _folder_of(finding)
        owner = _owner_of(folder, owners)
        if owner is None:
            homeless.setdefault(folder, Index(index.root)).findings.append(finding)
        else:
            parts[owner].findings.append(finding)
    return [*parts.values(), *homeless.values()]


def _headers(index: Index) -> Iterable[Header]:
    for series in index.ct.values():
        yield from series
    yield from index.structure_sets
    yield from index.plans
    yield from index.doses


def _belongs_with(header: Header) -> list[object]:
    """What an object shares with those that it belongs to."""
    with_whom: list[object] = [("patient", header.patient_id) if header.patient_id else ("study", header.study_uid)]
    if header.modality == "CT":
        with_whom.append(("series", header.series_uid))
    kind = "series" if header.modality == "RTSTRUCT" else "object"
    return with_whom + [(kind, uid) for uid in header.refers_to]


class _Groups:
    """Disjoint sets."""

    def __init__(self) -> None:
        self._parent: dict[object, object] = {}

    def find(self, item: object) -> object:
        parent = self._parent.setdefault(item, item)
        while parent != item:
            above = self._parent[parent]
            self._parent[item] = above
            item, parent = parent, above
        return item

    def join(self, first: object, *others: object) -> None:
        root = self.find(first)
        for other in others:
            self._parent[self.find(other)] = root


#: A folder of several.
_SHARED = object()


def _owners(parts: dict[object, Index]) -> dict[str, object]:
    """Folder -> whose files lie in or below it."""
    owners: dict[str, object] = {}
    for key, part in parts.items():
        folders = {str(PurePosixPath(h.name).parent) for h in _headers(part)}
        for folder in {str(above) for f in folders for above in (PurePosixPath(f), *PurePosixPath(f).parents)}:
            owners[folder] = key if owners.get(folder, key) == key else _SHARED
    return owners


def _folder_of(finding: Finding) -> str:
    files = finding.evidence.files
    return str(PurePosixPath(files[0]).parent) if files else "."


def _owner_of(folder: str, owners: dict[str, object]) -> object | None:
    for above in (folder, *(str(p) for p in PurePosixPath(folder).parents)):
        if above in owners:
            return None if owners[above] is _SHARED else owners[above]
    return None
