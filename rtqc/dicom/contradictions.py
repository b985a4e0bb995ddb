"""Files that cannot both be right: one SOP Instance UID, two contents."""

from __future__ import annotations

from rtqc.core.finding import Finding
from rtqc.dicom.content import have_one_content
from rtqc.dicom.index import Header
from rtqc.dicom.notes import named, note
from rtqc.dicom.parts import Parts

_KINDS = {"RTSTRUCT": "structure set", "RTPLAN": "plan", "RTDOSE": "dose"}


def contradicting_copies(parts: Parts) -> list[Finding]:
    """Findings of a case's plans, structure sets and doses that share a SOP Instance UID and differ in content; true copies are none.

    Only files whose UID occurs more than once are opened. CT slices are compared where they are read (:mod:`rtqc.dicom.ct_choice`).
    """
    objects = [h for h in (parts.plan, parts.structure_set, *parts.doses) if h is not None]
    groups = [(header, [c for c in parts.copies if (c.modality, c.uid) == (header.modality, header.uid)]) for header in objects]
    return [
        _finding([header, *copies])
        for header, copies in groups
        if copies and not have_one_content(h.path for h in (header, *copies))
    ]


def _finding(headers: list[Header]) -> Finding:
    """The first is the one that is used."""
    names = sorted(h.name for h in headers)
    kind = _KINDS.get(headers[0].modality, "object")
    message = (
        f"{named(names[:-1], most=12)} and {names[-1]} have one SOP Instance UID but different content; {headers[0].name} was used as the {kind}: "
        "export it again into an empty folder."
    )
    return note("reference.same_uid", message, files=names, measured=headers[0].uid)
