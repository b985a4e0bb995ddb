"""Where schools begin the heart: named definitions of its upper end, each with its source and where it lies from the atlas that drafts are drawn to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

#: Names of definitions, as a protocol's ``heart.upper_end`` gives them.
UpperEndName = Literal["feng2011", "rtog1106", "right_pulmonary_artery", "left_atrium", "model"]


@dataclass(frozen=True)
class UpperEndDefinition:
    """A school's upper end of the heart.

    Attributes:
        about: the end of a sentence that begins "the heart begins".
        from_feng_mm: where it lies from Feng's, in mm, positive upward: the lowest and the highest of usual patients.
        source: who says so, and where the distance comes from.
    """

    about: str
    from_feng_mm: tuple[float, float]
    source: str


_SEEN = "distances from the carina as read by eye in nine CTs and 21 planning CTs of one hospital (docs/commissioning.md)"

#: Drafts are drawn to ``feng2011`` where the model sees its level; the others say where a contour may lie from it.
DEFINITIONS: Mapping[UpperEndName, UpperEndDefinition] = {
    "feng2011": UpperEndDefinition(
        "just below the left pulmonary artery", (0.0, 0.0), "Feng et al., IJROBP 79:10 (2011), heart atlas for breast plans"
    ),
    "rtog1106": UpperEndDefinition(
        "below the aortic arch, at the aorto-pulmonary window",
        (10.0, 30.0),
        "atlas of RTOG 1106 (Kong et al., IJROBP 81:1442, 2011; from knowledge): the window lies at the carina or a slice above it, and Feng's "
        "limit 10 to 26 mm below the carina; " + _SEEN,
    ),
    "right_pulmonary_artery": UpperEndDefinition(
        "below the right pulmonary artery",
        (-25.0, -5.0),
        "trials of lung and oesophagus (from knowledge): the right artery crosses the midline one to two cm below the left one's lower border",
    ),
    "left_atrium": UpperEndDefinition(
        "at the roof of the left atrium",
        (-40.0, -10.0),
        "usual in lung and oesophagus clinics (from knowledge): one hospital began 10 to 58 mm below the carina; " + _SEEN,
    ),
    "model": UpperEndDefinition("where the model's teachers began", (0.0, 0.0), "the model's card"),
}

#: The lowest and the highest upper end of any school, from Feng's, in mm.
SCHOOLS_MM = (
    min(d.from_feng_mm[0] for d in DEFINITIONS.values()),
    max(d.from_feng_mm[1] for d in DEFINITIONS.values()),
)
SCHOOLS_SOURCE = (
    "spread between definitions of the upper end: RTOG 1106 begins up to 30 mm above Feng's atlas, clinics that begin at the roof of the left "
    "atrium up to 40 mm below it (rtqc protocol, docs/protocols.md)"
)
