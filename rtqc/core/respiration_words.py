"""What a description says about respiration: a projection of a 4D CT, one of its phases, a breath hold, or free breathing."""

from __future__ import annotations

import re

from rtqc.core.acquisition import Respiration, RespirationKind

#: What is written to a word without a gap: ``4DMIP``, ``tMIP``, ``AvgCT``, ``DIBH1``.
_STUCK, _END = r"(?<![a-z])(?:4d|ct|[tv])?", r"(?:ct|4d)?(?![a-z])"
_MAXIMUM = re.compile(rf"{_STUCK}mip{_END}|\bmax[ _-]?ip\b|\bmax(imum)?[ _-]?intens", re.I)
_MINIMUM = re.compile(rf"\bmin[ _-]?ip{_END}|\bmin(imum)?[ _-]?intens", re.I)
_AVERAGE = re.compile(
    rf"{_STUCK}(avg|avrg|ave|average|averaged|mittelwert|moyenne|promedio|aip|ave[ _-]?ip|avg[ _-]?ip|mean[ _-]?ip|untagged){_END}",
    re.I,
)
_BREATH_HOLD = re.compile(
    rf"{_STUCK}m?dibh{_END}|\b(dbh|ebh|eebh|bh|bhi|abc|breath[ _-]?hold\w*|atemanhalt\w*|inspir\w*[ _-]?hold|deep[ _-]?insp\w*)\b",
    re.I,
)
_FREE = re.compile(r"\b(fb|free[ _-]?b(?:reath\w*|r)?|freie[ _-]?atmung|frei[ _-]?atmend)\b", re.I)
_NO_HOLD = re.compile(r"\b(no|non|without|ohne|sans|w/o)[ _-]*(m?dibh|bh|breath[ _-]?hold\w*|atemanhalt\w*)\b", re.I)
_PERCENT = re.compile(r"(?<![\d.])(\d{1,2}|100)(?:\.0+)?\s?%")
#: ``T00`` to ``T90`` without a percent sign is a phase beside a word of 4D CT; ``T10`` alone is a vertebra.
_PHASE = re.compile(r"\b(?:t|ct|phase|ph|ex|in)[ _=-]?(\d0|00)\b", re.I)
#: The phase of a 4D CT in which the tumour is nearest to its mean position.
_MID_VENTILATION = re.compile(r"\bmid[ _-]?vent\w*|\bmidv\b", re.I)
_FOUR_D = re.compile(r"4d|\bresp|\bgated\b|\bphases?\b|\batem|\bbreath", re.I)
#: Percentages that are none of respiration: iterative reconstruction, the heart's phase, contrast agent, dose.
_OTHER_PERCENT = re.compile(
    r"asir|safire|admire|idose|aidr|veo|deep ?learning|ecg|ekg|cardiac|diast|syst|bpm|contrast|iod|kev|dose|r-?r\b", re.I
)


def respiration_of_text(text: str) -> Respiration:
    """What a text says; an empty value where it says nothing.

    >>> [respiration_of_text(t).kind for t in ("4D AVG", "MIP", "MinIP", "T=50%", "Thorax DIBH", "FB Thorax")]
    ['average', 'maximum', 'minimum', 'phase', 'breath_hold', 'free']
    >>> [respiration_of_text(t).kind for t in ("Planning CT", "Thorax ASIR 30%", "T10 spine", "Best Diast 75%")]
    ['', '', '', '']
    """
    # Underscores are letters to a regular expression, and separators to people.
    plain = re.sub(r"[_/,;()\[\]]", " ", text)
    kinds: tuple[tuple[RespirationKind, re.Pattern[str]], ...] = (
        ("minimum", _MINIMUM), ("maximum", _MAXIMUM), ("average", _AVERAGE),
    )  # fmt: skip
    for kind, pattern in kinds:
        if pattern.search(plain):
            return Respiration(kind, None, text)
    percent = _phase(plain)
    if percent is not None:
        return Respiration("phase", percent, text)
    if _MID_VENTILATION.search(plain):
        return Respiration("phase", None, text)
    if _NO_HOLD.search(plain) or _FREE.search(plain):
        return Respiration("free", None, text)
    return Respiration("breath_hold", None, text) if _BREATH_HOLD.search(plain) else Respiration()


def _phase(text: str) -> float | None:
    if _OTHER_PERCENT.search(text):
        return None
    found = _PERCENT.search(text) or (_PHASE.search(text) if _FOUR_D.search(text) else None)
    return float(found.group(1)) if found else None
