"""Which organ near the heart an ROI is, by its name: spinal cord and canal, vertebrae, oesophagus.

Names after TG-263 (Mayo et al., IJROBP 2018) and the spellings of clinics. What is derived from an organ (``SpinalCord_PRV05``,
``Esophagus-PTV``, ``zCord``) is not the organ.
"""

from __future__ import annotations

from typing import Literal

from rtqc.core.names import is_derived, without_digraphs, words

Organ = Literal["cord", "canal", "vertebra", "oesophagus"]

_CORD = frozenset(
    {
        "cord",
        "spinalcord",
        "myelon",
        "medulla",
        "medula",
        "moelle",
        "midollo",
        "ruckenmark",
        "ryggmarg",
        "ruggenmerg",
    }
)
_CANAL = frozenset({"canal", "spinalcanal", "spinalkanal", "spinalchannel", "thecalsac", "wirbelkanal", "myelonkanal"})
_VERTEBRA = frozenset(
    {
        "vertebra",
        "vertebrae",
        "vertebral",
        "vb",
        "vbs",
        "wirbel",
        "wirbelkorper",
        "wirbelsaule",
        "spine",
        "vertebre",
        "vertebres",
        "rachis",
    }
)
_OESOPHAGUS = frozenset(
    {"esophagus", "oesophagus", "osophagus", "oesophage", "esofago", "speiserohre", "slokdarm", "esophag", "oesoph", "esoph", "ruokatorvi", "esofagus", "matstrupe"}
)  # fmt: skip
#: Words that may stand beside the organ's without making it another thing.
_NEUTRAL = frozenset(
    {"spinal", "oar", "organ", "roi", "s", "e", "thoracic", "t", "th", "l", "c", "body", "bodies", "bone", "full", "whole", "total", "final", "ai", "auto", "edited", "column", "the"}
)  # fmt: skip


_KNOWN = _CORD | _CANAL | _VERTEBRA | _OESOPHAGUS | _NEUTRAL


def _spelled(word: str) -> str:
    """A word as the lists have it: ``Speiseroehre`` is ``Speiseröhre``."""
    return word if word in _KNOWN else without_digraphs(word)


def organ_of(name: str) -> Organ | None:
    """The organ that a name means; None for any other, and for what is derived from it.

    >>> [organ_of(n) for n in ("SpinalCord", "Spinal Canal", "Esophagus", "VB_T5", "Myelon")]
    ['cord', 'canal', 'oesophagus', 'vertebra', 'cord']
    >>> [organ_of(n) for n in ("Speiseroehre", "Rückenmark", "Wirbelkoerper")]
    ['oesophagus', 'cord', 'vertebra']
    >>> [organ_of(n) for n in ("SpinalCord_PRV05", "Esophagus-PTV", "PTV_Spine", "Heart")]
    [None, None, None, None]
    """
    if is_derived(name):
        return None
    parts = [_spelled(w) for w in words(name) if not w.isdigit()]
    groups: tuple[tuple[Organ, frozenset[str]], ...] = (
        ("canal", _CANAL), ("cord", _CORD), ("oesophagus", _OESOPHAGUS), ("vertebra", _VERTEBRA),
    )  # fmt: skip
    known = _KNOWN
    if not parts or any(w not in known for w in parts):
        return None
    return next((organ for organ, group in groups if group & set(parts)), None)
