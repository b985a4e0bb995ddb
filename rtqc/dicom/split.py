"""An archive -> one index a patient, so that what is wrong with one patient's files speaks for him alone."""

from __future__ import annotations

from rtqc.dicom.belonging import finding_folder, folder_owners, headers_of, owner_of_folder, patient_key
from rtqc.dicom.index import Header, Index


def split_archive(index: Index) -> list[Index]:
    """Split what lies in an archive into what belongs together.

    Together belong the objects of a patient (of a study, where there is no Patient ID) and objects that refer to each other. A file that cannot
    be read goes to whom its folder belongs: to the one patient who has files in it, else in the nearest folder above. A folder in which nothing
    can be read is an index of its own, with nothing but findings: it may be a whole export. A file that cannot be read among the files of several
    patients is nobody's case: it stays among the findings of the archive.

    Returns:
        In the order of the archive.
    """
    groups = _Groups()
    for header in headers_of(index):
        groups.join(_itself(header), *_belongs_with(header))
    parts: dict[object, Index] = {}

    def part_of(header: Header) -> Index:
        key = groups.find(_itself(header))
        return parts.setdefault(key, Index(index.root))

    for series in index.ct.values():
        for header in series:
            part_of(header).ct[header.series_uid].append(header)
    for name in ("structure_sets", "plans", "doses"):
        for header in getattr(index, name):
            getattr(part_of(header), name).append(header)
    of_patient = {patient_key(header): part for part in parts.values() for header in headers_of(part)}
    for header in index.not_judged:
        # One that is nobody's who has a plan here is no case either.
        if (whose := of_patient.get(patient_key(header))) is not None:
            whose.not_judged.append(header)
    owners = folder_owners((key, header) for key, part in parts.items() for header in headers_of(part))
    homeless: dict[str, Index] = {}
    for finding in index.findings:
        folder = finding_folder(finding)
        owner = owner_of_folder(folder, owners)
        if owner is not None:
            parts[owner].findings.append(finding)
        elif folder not in owners:
            homeless.setdefault(folder, Index(index.root)).findings.append(finding)
    return [*parts.values(), *homeless.values()]


def _itself(header: Header) -> object:
    """An object; those without a UID are told apart by their names."""
    return ("object", header.uid) if header.uid else ("file", header.name)


def _belongs_with(header: Header) -> list[object]:
    """What an object shares with those that it belongs to."""
    with_whom: list[object] = [("patient", patient_key(header))]
    if header.modality == "CT" and header.series_uid:
        with_whom.append(("series", header.series_uid))
    kind = "series" if header.modality == "RTSTRUCT" else "object"
    return with_whom + [(kind, uid) for uid in header.refers_to if uid]


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
