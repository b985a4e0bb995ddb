"""Whether everything that a plan refers to has arrived, and a name for just these files."""

from __future__ import annotations

import hashlib

from rtqc.dicom.bounded import read_object
from rtqc.dicom.elements import items, referenced_series, text
from rtqc.dicom.parts import Parts


def is_complete(parts: Parts) -> bool:
    """Whether plan, its structure set, its dose and every CT slice that the structure set lists are here.

    So must be the doses of the patient's other plans: one that is still on its way may belong to the course. A structure set that lists
    no slices says nothing about them: such a case is never known to be complete.
    """
    plan, structure_set = parts.plan, parts.structure_set
    if plan is None or structure_set is None or structure_set.uid not in plan.refers_to:
        return False
    if not parts.series or not _has_dose(parts) or not all(map(_has_dose, parts.siblings)):
        return False
    listed = _listed_slices(parts)
    return bool(listed) and listed <= {header.uid for header in parts.series}


def fingerprint(parts: Parts) -> str:
    """A name for a case of just these objects: another slice, another dose or another plan of the patient's is another case; a copy of one is not."""
    uids = sorted({header.uid for header in parts.headers})
    beside = sorted({header.uid for header in parts.sibling_headers})
    return hashlib.sha256("\n".join([*uids, *(["beside", *beside] if beside else [])]).encode()).hexdigest()[:24]


def _has_dose(parts: Parts) -> bool:
    return parts.plan is not None and any(parts.plan.uid in dose.refers_to for dose in parts.doses)


def _listed_slices(parts: Parts) -> set[str]:
    assert parts.structure_set is not None
    try:
        dataset = read_object(parts.structure_set.path, header=True, tags=["ReferencedFrameOfReferenceSequence"])
    except Exception:  # what is wrong with it is said when it is read
        return set()
    return {
        text(image, "ReferencedSOPInstanceUID")
        for series in referenced_series(dataset)
        for image in items(series, "ContourImageSequence")
    }
