"""Files that cannot both be right: one SOP Instance UID, two contents."""

from __future__ import annotations

from collections.abc import Iterable

from rtqc.core.finding import Finding
from rtqc.dicom.content import content_digest
from rtqc.dicom.index import Header
from rtqc.dicom.notes import named, note
from rtqc.dicom.parts import Parts

_KINDS = {"RTSTRUCT": "structure set", "RTPLAN": "plan", "RTDOSE": "dose", "CT": "CT slice"}


def contradicting_copies(parts: Parts) -> list[Finding]:
    """Findings of files of one case that share a SOP Instance UID and differ in content; true copies are none.

    Only files whose UID occurs more than once are opened.
    """
    objects = [h for h in (parts.plan, parts.structure_set, *parts.doses) if h is not None]
    groups = [(header, [c for c in parts.copies if (c.modality, c.uid) == (header.modality, header.uid)]) for header in objects]
    findings = [_finding([header, *copies]) for header, copies in groups if copies and _differ([header, *copies])]
    by_uid: dict[str, list[Header]] = {}
    for header in parts.series:
        by_uid.setdefault(header.uid, []).append(header)
    slices = [group for uid, group in by_uid.items() if uid and len(group) > 1 and _differ(group)]
    if slices:
        names = [h.name for group in slices for h in group]
        kept = [group[0].name for group in slices]
        what = "SOP Instance UID of the CT stands" if len(slices) == 1 else "SOP Instance UIDs of the CT stand"
        used = f"{named(kept)} {'was' if len(kept) == 1 else 'were'} used"
        message = f"{len(slices)} {what} for slices of different content ({named(names, most=12)}); {used}: export the series again into an empty folder."
        findings.append(note("reference.same_uid", message, files=names, measured=float(len(slices))))
    return findings


def _differ(headers: Iterable[Header]) -> bool:
    return len({content_digest(h.path) for h in headers}) > 1


def _finding(headers: list[Header]) -> Finding:
    """The first is the one that is used."""
    names = sorted(h.name for h in headers)
    kind = _KINDS.get(headers[0].modality, "object")
    message = (
        f"{named(names[:-1], most=12)} and {names[-1]} have one SOP Instance UID but different content; {headers[0].name} was used as the {kind}: "
        "export it again into an empty folder."
    )
    return note("reference.same_uid", message, files=names, measured=headers[0].uid)
