"""Whether everything that a plan refers to has arrived, and a name for just these files."""

from __future__ import annotations

import hashlib

from pydicom import dcmread

from rtqc.dicom.elements import items, referenced_series, text
from rtqc.dicom.parts import Parts


def is_complete(parts: Parts) -> bool:
    """Whether plan, its structure set, its dose and every CT slice that the structure set lists are here.

    A structure set that lists no slices says nothing about them: such a case is never known to be complete.
    """
    plan, structure_set = parts.plan, parts.structure_set
    if plan is None or structure_set is None or structure_set.uid not in plan.refers_to:
        return False
    if not parts.series or not any(plan.uid in dose.refers_to for dose in parts.doses):
        return False
    listed = _listed_slices(parts)
    return bool(listed) and listed <= {header.uid for header in parts.series}


def fingerprint(parts: Parts) -> str:
    """A name for a case of just these objects: another slice or another dose is another case; a copy of one is not."""
    uids = sorted({header.uid for header in parts.headers})
    return hashlib.sha256("\n".join(uids).encode()).hexdigest()[:24]


def _listed_slices(parts: Parts) -> set[str]:
    assert parts.structure_set is not None
    try:
        dataset = dcmread(parts.structure_set.path, force=True, specific_tags=["ReferencedFrameOfReferenceSequence"])
    except Exception:  # what is wrong with it is said when it is read
        return set()
    return {
        text(image, "ReferencedSOPInstanceUID")
        for series in referenced_series(dataset)
        for image in items(series, "ContourImageSequence")
    }
