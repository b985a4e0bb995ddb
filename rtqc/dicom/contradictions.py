"""Files of one SOP Instance UID that are not one object: two contents, of which one is wrong, and copies that are damaged."""

from __future__ import annotations

from rtqc.core.finding import Finding
from rtqc.core.wording import listed
from rtqc.dicom.content import damaged_copies, have_one_content
from rtqc.dicom.index import Header
from rtqc.dicom.notes import note
from rtqc.dicom.parts import Parts

_KINDS = {"RTSTRUCT": "structure set", "RTPLAN": "plan", "RTDOSE": "dose"}


def contradicting_copies(parts: Parts) -> list[Finding]:
    """Findings of a case's plans, structure sets and doses that share a SOP Instance UID and differ in content; true copies are none.

    A damaged copy is no other content: the one that can be read is used, and the other is named. Only files whose UID occurs more
    than once are opened. CT slices are compared where they are read (:mod:`rtqc.dicom.ct_choice`).
    """
    findings = []
    for header in (h for h in (parts.plan, parts.structure_set, *parts.doses) if h is not None):
        group = [header, *(c for c in parts.copies if (c.modality, c.uid) == (header.modality, header.uid))]
        whole, damaged = without_damaged(group)
        if damaged:
            findings.append(damaged_finding(damaged, whole[:1]))
        if len(whole) > 1 and not have_one_content(h.path for h in whole):
            findings.append(_finding(whole))
    return findings


def without_damaged(copies: list[Header]) -> tuple[list[Header], list[Header]]:
    """Copies of one object that can be read, and those that are damaged, in their order."""
    damaged = damaged_copies(h.path for h in copies) if len(copies) > 1 else frozenset()
    return [h for h in copies if h.path not in damaged], [h for h in copies if h.path in damaged]


def damaged_finding(damaged: list[Header], used: list[Header]) -> Finding:
    """Damaged copies, and the intact ones that were used instead.

    Args:
        damaged: at least one.
        used: at least one.
    """
    names, instead = [h.name for h in damaged], [h.name for h in used]
    verb, copy, them = ("is", "a copy", "it") if len(names) == 1 else ("are", "copies", "them")
    message = f"{listed(names)} {verb} cut off or damaged, {copy} of {listed(instead)}, which {'was' if len(instead) == 1 else 'were'} used: remove {them}."
    return note("file.unreadable", message, files=[*names, *instead])


def _finding(headers: list[Header]) -> Finding:
    """The first is the one that is used."""
    names = sorted(h.name for h in headers)
    kind = _KINDS.get(headers[0].modality, "object")
    message = (
        f"{listed(names[:-1], most=12)} and {names[-1]} have one SOP Instance UID but different content; {headers[0].name} was used as the {kind}: "
        "export it again into an empty folder."
    )
    return note("reference.same_uid", message, files=names, measured=headers[0].uid)
