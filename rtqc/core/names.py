"""Which ROI is the heart: the spellings of clinics, and what only looks like one of them.

TG-263 (Mayo et al., IJROBP 2018) says ``Heart``; archives hold forty years of other spellings. A name is taken apart into
words; it is a heart when one word is a heart and nothing else in it says otherwise.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

#: Words for the heart, without accents, in lower case.
HEART_WORDS = frozenset(
    {
        "heart", "herz", "hart", "coeur", "cuore", "corazon", "cor", "coracao", "hjerte", "hjarta", "sydan", "serce",
        "srdce", "kalp", "inima", "sziv", "kardia", "serdce", "serdtse", "сердце", "心脏", "心臓", "心臟", "ハート", "심장", "hrt",
    }
)  # fmt: skip

#: Words that may stand beside it without changing what it is.
_NEUTRAL_WORDS = frozenset(
    {
        "oar", "organ", "organs", "roi", "risk", "p", "whole", "total", "gesamt", "all", "final", "contour", "contours", "manual",
        "auto", "ai", "atlas", "edited", "approved", "planning", "plan", "ct", "md", "dr", "free", "breathing", "fb", "dibh", "bh",
        "the", "avg", "ave", "mean", "new", "pericardium", "incl", "with",
    }
)  # fmt: skip

#: A leading z or x (or an underscore with it) marks a helper structure in most planning systems' habits (TG-263, 4.2).
_HELPER = re.compile(r"^[zx](?=[A-Z_\-. ])|^[zx]_|^_")

#: A margin or a difference: ``Heart+5mm``, ``Heart - 5``, ``Heart-0.5``; and ``Heart-05`` and ``Heart-5``, which are a heart cropped by 5 mm (TG-263 writes
#: crops with two digits, clinics with one). ``Heart-1`` and ``Heart-2`` are a heart with the number of a copy: nobody crops by so little.
_MARGIN = re.compile(
    r"[+!]|\d\s*(mm|cm)\b|\s[-–]\s*\d|[-–]\s+\d|[-–]\d+[.,]\d|[-–]\d{3}|(?<=[^\W\d_])[-–](0\d|[3-9]|\d\d)(?!\d)"
)


def is_derived(name: str) -> bool:
    """Whether a name says that a structure was made from another one: a helper, a margin around it, a difference with it.

    >>> [is_derived(n) for n in ("zHeart", "Heart+5mm", "Heart - 5", "LAD-0.5", "_Cord", "Heart-1", "A_LAD")]
    [True, True, True, True, True, False, False]
    """
    plain = unicodedata.normalize("NFKC", name.strip())
    return bool(_HELPER.match(plain) or _MARGIN.search(plain))


@dataclass(frozen=True)
class NameTable:
    """Spellings of the heart.

    Attributes:
        words: words for the heart, on top of :data:`HEART_WORDS`.
        accepted: whole names that a clinic says are the heart.
        rejected: whole names that a clinic says are not.
    """

    words: tuple[str, ...] = ()
    accepted: tuple[str, ...] = ()
    rejected: tuple[str, ...] = ()


def heart_score(name: str, table: NameTable | None = None) -> int:
    """How surely a name means the heart: 100 is TG-263's own spelling, 0 is another thing.

    >>> [heart_score(n) for n in ("Heart", "HEART", "Herz", "OAR Heart", "heart 2", "Heart-1")]
    [100, 95, 90, 80, 60, 60]
    >>> [heart_score(n) for n in ("zHeart_old", "Heart PRV", "LAD", "Heart-PTV", "Heart_rtqc", "Heart+5mm", "Heart-5")]
    [0, 0, 0, 0, 0, 0, 0]
    """
    table = table or NameTable()
    plain = name.strip()
    if _folded(plain) in {_folded(n) for n in table.rejected}:
        return 0
    if _folded(plain) in {_folded(n) for n in table.accepted}:
        return 98
    if plain == "Heart":
        return 100
    if is_derived(plain):
        return 0
    parts = words(unicodedata.normalize("NFKC", plain))
    hearts = _FOLDED_HEART_WORDS | {_folded(w) for w in table.words}
    found = [w for w in parts if w in hearts]
    rest = [w for w in parts if w not in hearts and not w.isdigit()]
    if not found or any(w not in _NEUTRAL_WORDS for w in rest):
        return 0
    if any(w.isdigit() for w in parts):
        return 60
    if rest:
        return 80
    return 95 if found[0] == "heart" else 90


def find_hearts(names: Iterable[str], table: NameTable | None = None) -> list[str]:
    """Names that mean the heart, surest first; equally sure ones in the order given."""
    scored = [(name, heart_score(name, table)) for name in names]
    return [name for name, score in sorted(scored, key=lambda pair: -pair[1]) if score > 0]


#: Lungs, for the rules that compare with them. Side -> words that mean it.
_LUNG_WORDS = frozenset({"lung", "lungs", "lunge", "long", "poumon", "polmone", "pulmon", "pulmao", "lng"})
_LEFT = frozenset(
    {"l", "lt", "left", "li", "links", "linke", "link", "g", "gauche", "izq", "izquierdo", "sx", "sin", "sinistro", "sinister"}
)
_RIGHT = frozenset(
    {"r", "rt", "right", "re", "rechts", "rechte", "droit", "dr", "der", "derecho", "dx", "dex", "destro", "dexter", "d"}
)


def lung_side(name: str) -> str | None:
    """``left`` or ``right`` for a whole lung, else None.

    >>> lung_side("Lung_L"), lung_side("Lt Lung"), lung_side("Lungs"), lung_side("Lung_L-PTV")
    ('left', 'left', None, None)
    """
    if is_derived(name):
        return None
    parts = words(name)
    if not any(w in _LUNG_WORDS for w in parts):
        return None
    rest = [w for w in parts if w not in _LUNG_WORDS and w not in {"total", "whole", "oar", "organ"}]
    if len(rest) != 1:
        return None
    return "left" if rest[0] in _LEFT else "right" if rest[0] in _RIGHT else None


def is_body(name: str, kind: str = "") -> bool:
    """Whether a structure is the patient's outline."""
    return kind.upper() == "EXTERNAL" or without_digraphs(_folded(name)) in {
        "body",
        "external",
        "skin",
        "patient",
        "outline",
        "outer contour",
        "korper",
        "haut",
        "contour externe",
    }


def words(name: str) -> list[str]:
    """A name's words: lower case, no accents; separators, case changes and digits part them.

    >>> words("OAR_LungLeft2")
    ['oar', 'lung', 'left', '2']
    """
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Za-z])(?=\d)|(?<=\d)(?=[A-Za-z])", " ", name)
    return re.findall(r"[^\W\d_]+|\d+", _folded(spaced))


def without_digraphs(word: str) -> str:
    """A folded word whose German umlauts were written with an e, as the fold of the umlauts would be.

    >>> without_digraphs("speiseroehre"), words("Speiseröhre")
    ('speiserohre', ['speiserohre'])
    """
    return word.replace("ae", "a").replace("oe", "o").replace("ue", "u")


def _folded(name: str) -> str:
    """A name without accents, width and case; Hangul composed, also from letters that stand one by one."""
    split = unicodedata.normalize("NFKD", name.replace("œ", "oe").replace("Œ", "OE"))
    plain = "".join(c for c in split if not unicodedata.combining(c)).casefold().strip()
    return unicodedata.normalize("NFC", _FINAL.sub(lambda found: found[1] + _FINALS[found[2]], plain))


#: Hangul consonants as they begin a syllable (U+1100 ...), as single half-width letters all do, and as they end one (U+11A8 ...).
_FINALS = dict(
    zip(
        (chr(0x1100 + k) for k in (0, 1, 2, 3, 5, 6, 7, 9, 10, 11, 12, 14, 15, 16, 17, 18)),
        (chr(0x11A7 + k) for k in (1, 2, 4, 7, 8, 16, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27)),
        strict=True,
    )
)
#: A consonant behind a vowel that no vowel follows ends the syllable.
_FINAL = re.compile("([\u1161-\u1175])([" + "".join(_FINALS) + "])(?![\u1161-\u1175])")
_FOLDED_HEART_WORDS = frozenset(_folded(word) for word in HEART_WORDS)
