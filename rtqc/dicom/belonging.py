"""Whose a file is, whether or not it can be read, and how to name a file to one patient without naming another.

A Patient ID says whose an object is; without one its study does. A file that cannot be read says nothing: it belongs to the
one patient who has files in its folder, else in the nearest folder above.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from rtqc.core.finding import Finding

if TYPE_CHECKING:
    from rtqc.dicom.index import Header, Index

#: A folder that holds files of several patients.
SHARED = object()
#: Words of a Person Name that are shorter are initials, which are in every file name.
_SHORTEST_WORD = 3
#: Words in which Person Names are written (PS3.5 6.2.1: components by ``^``, groups by ``=``) and file names.
_WORDS = re.compile(r"[\W_]+")


def patient_key(header: Header) -> str:
    """Whose an object is: its Patient ID, else its study; a Patient ID never equals a study's key."""
    return header.patient_id or f"\0{header.study_uid}"


def headers_of(index: Index) -> Iterator[Header]:
    """Every header of an index."""
    for series in index.ct.values():
        yield from series
    yield from index.structure_sets
    yield from index.plans
    yield from index.doses


def series_by_patient(index: Index) -> dict[tuple[str, str], list[Header]]:
    """CT series by patient key and Series Instance UID: an anonymiser may have given two patients one UID."""
    found: dict[tuple[str, str], list[Header]] = {}
    for uid, series in index.ct.items():
        for header in series:
            found.setdefault((patient_key(header), uid), []).append(header)
    return found


def folder_owners(owned: Iterable[tuple[object, Header]]) -> dict[str, object]:
    """Who has files in or below each folder.

    Args:
        owned: who owns it, and an object.

    Returns:
        Folder, relative to the one that was read, to its owner; :data:`SHARED` where there are several.
    """
    owners: dict[str, object] = {}
    for owner, header in owned:
        folder = _parent(header.name)
        for above in (folder, *folder.parents):
            known = owners.setdefault(str(above), owner)
            if known != owner:
                owners[str(above)] = SHARED
    return owners


def finding_folder(finding: Finding) -> str:
    """The folder that a finding is about: that of its first file; of a folder (its name ends with ``/``) the folder itself."""
    files = finding.evidence.files
    if not files:
        return "."
    return str(PurePosixPath(files[0])) if files[0].endswith("/") else str(_parent(files[0]))


def owner_of_folder(folder: str, owners: dict[str, object]) -> object | None:
    """Whose a folder is: of the nearest folder, itself or above, that holds anybody's files; None where those are several patients'."""
    for above in (folder, *(str(p) for p in PurePosixPath(folder).parents)):
        if above in owners:
            return None if owners[above] is SHARED else owners[above]
    return None


def findings_beside(index: Index, patient: str) -> list[Finding]:
    """What was found of files that could not be read and are this patient's.

    An index that holds findings and no headers was made for one case: all of them are its own.
    """
    if not index.findings:
        return []
    owners = _patients(index)
    if not owners:
        return list(index.findings)
    return [f for f in index.findings if owner_of_folder(finding_folder(f), owners) == patient]


def findings_of_nobody(index: Index) -> list[Finding]:
    """What was found of files that could not be read and lie in folders of several patients, or of none."""
    owners = _patients(index)
    if not owners:
        return []
    return [f for f in index.findings if owner_of_folder(finding_folder(f), owners) is None]


def _patients(index: Index) -> dict[str, object]:
    """Owners of an index's folders by patient; worked out once."""
    if index.owners is None:
        index.owners = folder_owners((patient_key(h), h) for h in headers_of(index))
    return index.owners


def name_for(reader: str, header: Header) -> str:
    """A file's name for the reader of one patient's results: another patient's file is not named where its name could say whose it is.

    Args:
        reader: the patient key of whom the results are.
        header: of the file.

    Returns:
        The name relative to the folder that was read, its last part, or words without any name.
    """
    if patient_key(header) == reader:
        return header.name
    last = header.name.replace("\\", "/").rpartition("/")[2]
    named = _WORDS.sub("", last).casefold()
    words = [w for w in _WORDS.split(header.patient_name) if len(w) >= _SHORTEST_WORD]
    secrets = [_WORDS.sub("", header.patient_id), *words]
    return "a file whose name is another patient's" if any(s and s.casefold() in named for s in secrets) else last


def _parent(name: str) -> PurePosixPath:
    """The folder of a name, which Windows' archivers may have written with backslashes."""
    return PurePosixPath(name.replace("\\", "/")).parent
