"""Which ROI is a substructure of the heart: the left anterior descending artery and the left ventricle, by the spellings of clinics.

TG-263 (Mayo et al., IJROBP 2018) says ``A_LAD`` and ``Ventricle_L``. As for the heart (:mod:`rtqc.core.names`), a name is taken
apart into words; margins, planning risk volumes and helper structures are no substructures.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rtqc.core.names import is_derived, words
from rtqc.core.structure import Structure

LAD, LEFT_VENTRICLE = "A_LAD", "Ventricle_L"

#: In words, for sentences.
SUBSTRUCTURE_WORDS: Mapping[str, str] = {LAD: "left anterior descending artery", LEFT_VENTRICLE: "left ventricle"}

#: Spellings as words in a row -> TG-263 name. The longest that fits is taken.
_SPELLINGS: Mapping[tuple[str, ...], str] = {
    **{
        tuple(s.split()): LAD
        for s in (
            "lad", "lada", "ladca", "lca lad", "left anterior descending", "left ant desc", "anterior descending", "anterior descending left",
            "riva", "ramus interventricularis anterior", "ramus interventricularis ant", "iva", "interventriculaire anterieure", "interventricular anterior",
            "descendente anteriore", "descendente anterior", "descendente anterior izquierda", "discendente anteriore",
        )
    },
    **{
        tuple(s.split()): LEFT_VENTRICLE
        for s in (
            "lv", "ventricle l", "ventricle left", "ventricle lt", "left ventricle", "l ventricle", "lt ventricle", "ventriculus sinister",
            "ventrikel links", "linker ventrikel", "linke ventrikel", "linkes ventrikel", "linke herzkammer", "ventrikel l", "l ventrikel",
            "vg", "ventricule gauche", "ventricolo sinistro", "ventriculo izquierdo", "ventriculo esquerdo", "venstre ventrikel",
            "vanster kammare", "vanster ventrikel", "linkerventrikel", "leftventricle",
        )
    },
}  # fmt: skip
_LONGEST = max(len(spelling) for spelling in _SPELLINGS)

#: Words that may stand beside a spelling without changing what it is.
_NEUTRAL_WORDS = frozenset(
    {
        "a", "artery", "arteria", "arterie", "artere", "art", "coronary", "coronaria", "coronaire", "koronar", "coron", "cor", "branch", "descending",
        "heart", "herz", "hart", "coeur", "cuore", "cardiac", "oar", "organ", "roi", "risk", "whole", "total", "final", "contour", "manual",
        "auto", "ai", "atlas", "edited", "approved", "plan", "ct", "fb", "dibh", "bh", "avg", "ave", "new", "left", "l", "ca", "des",
    }
)  # fmt: skip


def substructure_of(name: str) -> str | None:
    """The TG-263 name of the substructure that a name means; None where it means another thing.

    >>> [substructure_of(n) for n in ("A_LAD", "LAD_artery", "RIVA", "Ventricle_L", "Linker Ventrikel", "LV")]
    ['A_LAD', 'A_LAD', 'A_LAD', 'Ventricle_L', 'Ventricle_L', 'Ventricle_L']
    >>> [substructure_of(n) for n in ("LAD_PRV", "LAD+5mm", "zLAD_opt", "Ventricle_R", "Heart", "Ladder")]
    [None, None, None, None, None, None]
    """
    plain = name.strip()
    if is_derived(plain):
        return None
    parts = [w for w in words(plain) if not w.isdigit()]
    for length in range(min(_LONGEST, len(parts)), 0, -1):
        for start in range(len(parts) - length + 1):
            meant = _SPELLINGS.get(tuple(parts[start : start + length]))
            rest = parts[:start] + parts[start + length :]
            if meant is not None and all(w in _NEUTRAL_WORDS for w in rest):
                return meant
    return None


def resolved(name: str, structures: Mapping[str, Structure]) -> str | None:
    """The name, in a structure set, of the structure that a protocol calls so.

    Args:
        name: as the protocol writes it; a substructure's TG-263 name (or any spelling of it) stands for all its spellings.
        structures: by name, in file order.

    Returns:
        The very name where it is there with contours, else that of the first substructure of that meaning that has contours, else of one
        that is empty; None where there is none.
    """
    if name in structures and not structures[name].is_empty:
        return name
    meant = substructure_of(name)
    alike = [n for n in structures if meant is not None and substructure_of(n) == meant]
    return next((n for n in alike if not structures[n].is_empty), None) or (
        name if name in structures else next(iter(alike), None)
    )


def substructures_in(names: Iterable[str]) -> dict[str, str]:
    """ROI name -> TG-263 name, of those that are a substructure of the heart."""
    return {name: meant for name in names if (meant := substructure_of(name)) is not None}
