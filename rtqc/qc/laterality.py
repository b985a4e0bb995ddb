"""Which side a plan treats, as its texts say it: the plan's label and description, its prescriptions and the names of its targets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from rtqc.core.case import Case
from rtqc.core.names import words

Laterality = Literal["left", "right", "both", "midline", "unknown"]

#: Words for a side, lower case, without accents.
_LEFT = frozenset(
    {"l", "lt", "left", "li", "links", "linke", "linker", "linkes", "gauche", "izq", "izquierda", "izquierdo", "sx", "sinistra", "sinistro", "sin", "lul", "lll", "venstre", "vanster"}
)  # fmt: skip
_RIGHT = frozenset(
    {"r", "rt", "right", "re", "rechts", "rechte", "rechter", "rechtes", "droit", "droite", "der", "derecha", "derecho", "dx", "destra", "destro", "rul", "rml", "rll", "hojre", "hoger"}
)  # fmt: skip
_BOTH = frozenset({"both", "bilateral", "bilat", "bilaterale", "beidseits", "bds", "beide"})
_MIDLINE = frozenset({"mediastinum", "mediastinal", "mediastin", "sternum", "oesophagus", "esophagus", "spine", "midline"})
_TARGET_TYPES = {"GTV", "CTV", "PTV", "TREATED_VOLUME", "IRRAD_VOLUME"}
_TARGET_WORDS = {"gtv", "ctv", "ptv", "itv", "igtv", "ptveval"}


def laterality_of(case: Case) -> Laterality:
    """The side that the plan's texts name: ``both`` where they name two, ``midline`` for targets in the middle, else ``unknown``.

    Args:
        case: as read; organs at risk say nothing, whatever side they lie on.
    """
    found = {word for text in _texts(case) for word in words(text)}
    left, right = bool(found & _LEFT), bool(found & _RIGHT)
    if found & _BOTH or (left and right):
        return "both"
    if left or right:
        return "left" if left else "right"
    return "midline" if found & _MIDLINE else "unknown"


def _texts(case: Case) -> Iterator[str]:
    if case.plan is not None:
        yield f"{case.plan.label} {case.plan.description}"
        yield from (p.target for p in case.plan.prescriptions)
    for roi in case.rois:
        first = words(roi.structure.name)[:1]
        if roi.structure.kind.upper() in _TARGET_TYPES or any(w in _TARGET_WORDS for w in first):
            yield roi.structure.name
