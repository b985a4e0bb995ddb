"""Which ROIs are targets, and which of them a prescription is for."""

from __future__ import annotations

from rtqc.core.case import Case, Prescription, Roi
from rtqc.core.names import words

#: RT ROI Interpreted Types of targets (PS3.3 C.8.8.8.1).
TARGET_TYPES = frozenset({"GTV", "CTV", "PTV", "TREATED_VOLUME", "IRRAD_VOLUME"})
#: First words of the names of targets (TG-263), with the suffixes that ICRU 83 gives to primary tumour and nodes.
_TARGET_WORDS = frozenset(
    {stem + suffix for stem in ("gtv", "ctv", "ptv", "itv") for suffix in ("", "p", "n", "m", "t", "b", "sb", "v", "x")}
    | {"igtv", "ictv", "ptveval", "ptvopt"}
)


def is_target(roi: Roi) -> bool:
    """Whether an ROI is a target by its interpreted type or by the first word of its name, whatever its type is: planners type optimised targets as organs."""
    first = words(roi.structure.name)[:1]
    return roi.structure.kind.upper() in TARGET_TYPES or any(w in _TARGET_WORDS for w in first)


def contoured_targets(case: Case) -> tuple[Roi, ...]:
    """Targets that have contours, in file order."""
    return tuple(roi for roi in case.rois if is_target(roi) and not roi.structure.is_empty)


def targets_of(prescription: Prescription, case: Case) -> tuple[Roi, ...]:
    """Contoured targets that a prescription is for: by its ROI Number, else by the name that it gives.

    Args:
        prescription: of the case's plan.
        case: as read.

    Returns:
        Empty where the prescription names none of them.
    """
    targets = contoured_targets(case)
    by_number = tuple(r for r in targets if prescription.roi_number is not None and r.number == prescription.roi_number)
    if by_number:
        return by_number
    wanted = words(prescription.target)
    return tuple(r for r in targets if wanted and words(r.structure.name) == wanted)
