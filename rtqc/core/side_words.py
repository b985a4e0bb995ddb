"""Which side a text names: left, right, both or neither, in the languages and habits of clinics.

A plan is called ``Breast_L``, ``Mamma re``, ``LT CW+SCV``, ``MammaLi 50Gy`` or ``Sein D``. Whole words for a side count wherever they stand.
Letters and short words (``L``, ``Rt``, ``re``, ``dx``) count only beside an organ that there are two of, because they also mean other things:
``R`` research or a revision, ``RT`` radiotherapy, ``Re`` again, ``L2`` a vertebra, ``Dx`` a diagnosis, ``der`` an article.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Literal

NamedSide = Literal["left", "right", "both", "midline"]

#: Words that mean a side wherever they stand.
_LEFT_WORDS = frozenset(
    {
        "left", "links", "linke", "linker", "linkes", "linken", "linksseitig", "gauche", "izquierda", "izquierdo", "sinistra", "sinistro",
        "sinister", "sinistrum", "esquerda", "esquerdo", "venstre", "vanster", "vasen", "lewa", "lewy", "lewe", "lewej", "leva", "levy",
        "leve", "stanga", "stang", "lul", "lll", "lingula",
    }
)  # fmt: skip
_RIGHT_WORDS = frozenset(
    {
        "right", "rechts", "rechte", "rechter", "rechtes", "rechten", "rechtsseitig", "droite", "droit", "derecha", "derecho", "destra",
        "destro", "dexter", "dextra", "direita", "direito", "hojre", "hoyre", "hoger", "oikea", "prawa", "prawy", "prawe", "prawej", "prava",
        "pravy", "prave", "dreapta", "dreapt", "rul", "rml", "rll",
    }
)  # fmt: skip
#: Characters and stems of languages that are not written in Latin letters.
_LEFT_STEMS, _RIGHT_STEMS = ("左", "좌측", "왼", "лев", "αριστερ"), ("右", "우측", "오른", "прав", "δεξι")
_BOTH_STEMS = ("両側", "双侧", "双側", "양측")
_BOTH_WORDS = frozenset(
    {
        "both",
        "bilateral",
        "bilat",
        "bil",
        "bilaterale",
        "bilaterales",
        "bilateralis",
        "beidseits",
        "beidseitig",
        "bds",
        "bdsts",
        "beide",
    }
)
_MIDLINE_WORDS = frozenset(
    {
        "mediastinum", "mediastinal", "mediastin", "mediast", "sternum", "oesophagus", "esophagus", "osophagus", "oesophage", "esofago", "spine",
        "midline", "thymus", "thymom", "thymoma", "trachea", "vertebra",
    }
)  # fmt: skip
#: Letters and short words that mean a side beside a paired organ.
_LEFT_LETTERS = frozenset({"l", "lt", "li", "lks", "sx", "sn", "sin", "izq", "g", "i", "lft", "bal", "sol", "e"})
_RIGHT_LETTERS = frozenset({"r", "rt", "re", "rts", "dx", "dex", "der", "dcha", "d", "dr", "jobb", "sag"})
#: Organs and regions that there are two of, in names of plans and targets.
_PAIRED = frozenset(
    {
        "breast", "breasts", "brst", "bre", "br", "pecho", "mamma", "mammae", "mama", "mamme", "mam", "brust", "sein", "seno", "mammella", "bryst", "brost", "borst", "meme",
        "piers", "prs", "prsa", "emlo", "rinta", "thoraxwand", "thxwand", "brustwand", "chestwall", "thoracicwall", "thoraxwall", "cw", "paroi", "parete",
        "pared", "axilla", "axillary", "axilar", "ax", "scv", "sclav", "sclv", "scf", "supraclav", "infraclav", "supraclavicular", "lung", "lungs",
        "lunge", "long", "poumon", "polmone", "pulmon", "pulmao", "tudo", "akciger", "lobe", "hilum", "hilus", "hilar", "pleura", "rib", "imn",
        "imc", "kidney", "arm", "shoulder", "clavicle", "scapula", "tumorbed", "lumpectomy", "cavity", "seroma", "mastectomy", "wbi", "pbi", "apbi",
        "pmrt", "lumpectomybed", "tangents", "tang",
    }
)  # fmt: skip
#: Languages in which single letters are used, by the organ's name: French (gauche, droit), Spanish (izquierda, derecha), Portuguese (esquerda, direita).
_OF_FRENCH, _OF_SPANISH = frozenset({"sein", "poumon", "paroi"}), frozenset({"mama", "pecho", "pulmon", "pared"})
_OF_PORTUGUESE = frozenset({"mama", "pulmao"})
_OF_TURKISH, _OF_HUNGARIAN = frozenset({"meme", "akciger"}), frozenset({"emlo", "tudo"})
_NEEDS_LANGUAGE = {
    "g": _OF_FRENCH, "d": _OF_FRENCH | _OF_SPANISH | _OF_PORTUGUESE, "e": _OF_PORTUGUESE, "dr": _OF_FRENCH, "i": _OF_SPANISH, "der": _OF_SPANISH, "sol": _OF_TURKISH, "sag": _OF_TURKISH,
    "sn": frozenset({"mammella", "seno", "polmone", "parete"}), "bal": _OF_HUNGARIAN, "jobb": _OF_HUNGARIAN,
}  # fmt: skip
#: A letter before one of these is none of a side: ``Re-plan``, ``R1``, ``RT plan``.
_AFTER_RE = frozenset(
    {"plan", "planning", "planned", "rt", "irradiation", "irrad", "treat", "treatment", "opt", "calc", "try", "contour", "boost", "do", "scan", "ct", "sim"}
)  # fmt: skip
_VERTEBRAE = frozenset({"spine", "vertebra", "vertebrae", "lws", "bws", "lwk", "bwk", "wk", "lumbar", "rachis", "vb"})
#: Two words that together mean a paired organ or region.
_PAIRED_TOGETHER = frozenset(
    {"chestwall", "thxwand", "tumorbed", "tumourbed", "thoracicwall", "lymphnodes", "upperlobe", "lowerlobe"}
)

#: Letters of ``PTV``, ``CTV`` and ``GTV``.
_KIND_LETTERS = 3
#: Letters that have no accent to take off.
_LETTERS = str.maketrans(
    {"ø": "o", "Ø": "O", "æ": "ae", "Æ": "AE", "ł": "l", "Ł": "L", "ß": "ss", "ı": "i", "œ": "oe", "Œ": "OE"}
)


def side_of_text(text: str, context: str = "") -> NamedSide | None:
    """The side that a text names; None where it names none.

    Args:
        text: name of a plan, a target or a prescription.
        context: other names of the same plan, which may hold the organ beside which letters count.

    >>> [side_of_text(t) for t in ("Breast_L", "Mamma re", "MammaLi 50Gy", "LT CW+SCV", "Sein D", "Bilateral breasts")]
    ['left', 'right', 'left', 'left', 'right', 'both']
    >>> [side_of_text(t) for t in ("Research", "Breast RT", "RePlan Mamma", "PTV_L2", "LN", "Breast R1", "Level_II")]
    [None, None, None, None, None, None, None]
    """
    tokens = _tokens(text)
    plain = [t.casefold() for t in tokens]
    whole = _folded(text).casefold()
    left = bool(_LEFT_WORDS & set(plain)) or any(_folded(s) in whole for s in _LEFT_STEMS)
    right = bool(_RIGHT_WORDS & set(plain)) or any(_folded(s) in whole for s in _RIGHT_STEMS)
    if _BOTH_WORDS & set(plain) or any(_folded(s) in whole for s in _BOTH_STEMS) or (left and right):
        return "both"
    if not left and not right:
        organs = _paired(plain) | _paired([t.casefold() for t in _tokens(context)])
        letters = [side for side in (_letter(tokens, k, organs) for k in range(len(tokens))) if side]
        left, right = "left" in letters, "right" in letters
        if left and right:
            # "RT LT BREAST" is radiotherapy of the left breast.
            ambiguous = [k for k, t in enumerate(plain) if t == "rt"]
            right = any(_letter(tokens, k, organs) == "right" for k in range(len(tokens)) if k not in ambiguous)
    if left and right:
        return "both"
    if left or right:
        return "left" if left else "right"
    return "midline" if _MIDLINE_WORDS & set(plain) else None


def _folded(text: str) -> str:
    """The text without accents, letters of other alphabets composed alike."""
    split = unicodedata.normalize("NFKD", text.translate(_LETTERS))
    return "".join(c for c in split if not unicodedata.combining(c))


def _tokens(text: str) -> list[str]:
    """Words with their case, digits apart; ``RBreast`` and ``BREASTL`` are two words each."""
    kept = "".join(c if c.isalnum() else " " for c in _folded(text))
    kept = re.sub(r"([PCGI]TV)(?=[a-z]{3})", r"\1 ", kept)
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", kept)
    tokens: list[str] = []
    for token in re.findall(r"[^\W\d_]+|\d+", spaced):
        tokens += _split_off(token)
    return [t for t in tokens if t]


def _split_off(token: str) -> list[str]:
    """``LBREAST``, ``BREASTL``, ``PTVbreast``: a side or a kind of target stuck to an organ."""
    kinds: list[str] = []
    # A loop, because a damaged text may repeat a prefix thousands of times.
    while (low := token.casefold()).startswith(("ptv", "ctv", "gtv")) and len(low) > _KIND_LETTERS + 2:
        kinds.append(token[:_KIND_LETTERS])
        token = token[_KIND_LETTERS:]
    if low in _PAIRED:
        return [*kinds, token]
    for letters in ("lt", "rt", "li", "re", "l", "r"):
        if low.startswith(letters) and low[len(letters) :] in _PAIRED:
            return [*kinds, token[: len(letters)], token[len(letters) :]]
        if low.endswith(letters) and low[: -len(letters)] in _PAIRED:
            return [*kinds, token[: -len(letters)], token[-len(letters) :]]
    return [*kinds, token]


def _paired(plain: list[str]) -> frozenset[str]:
    together = {a + b for a, b in zip(plain, plain[1:], strict=False)} & _PAIRED_TOGETHER
    return frozenset((set(plain) & _PAIRED) | together)


def _letter(tokens: list[str], k: int, organs: frozenset[str]) -> NamedSide | None:
    """The side that one short word means beside paired organs."""
    token = tokens[k].casefold()
    if not organs or token not in _LEFT_LETTERS | _RIGHT_LETTERS:
        return None
    before = tokens[k - 1].casefold() if k else ""
    after = tokens[k + 1].casefold() if k + 1 < len(tokens) else ""
    if token in _NEEDS_LANGUAGE and not organs & _NEEDS_LANGUAGE[token]:
        return None
    if token == "e" and after.isalpha():
        return None  # "mama e axila": and
    if token == "re" and after in _AFTER_RE:
        return None
    if token in ("l", "r") and after.isdigit() and len(after) == 1 and before not in _PAIRED:
        return None  # a vertebra, a revision
    if token == "r" and after.isdigit() and len(after) == 1:
        return None
    if token == "sin" and after in ("bolus", "bolo"):
        return None
    if token == "l" and {t.casefold() for t in tokens} & _VERTEBRAE:
        return None
    if token == "rt" and (before == "re" or not _is_right(tokens, k, after)):
        return None
    return "left" if token in _LEFT_LETTERS else "right"


def _is_right(tokens: list[str], k: int, after: str) -> bool:
    """``Rt`` and ``RT Breast`` are right; ``Breast RT``, ``RT plan`` and ``RT`` alone are radiotherapy."""
    if tokens[k] == "Rt" or (k == 0 and tokens[k] == "rt"):
        return after not in ("plan", "planning")
    together = after + (tokens[k + 2].casefold() if k + 2 < len(tokens) else "")
    return after in _PAIRED or together in _PAIRED_TOGETHER
