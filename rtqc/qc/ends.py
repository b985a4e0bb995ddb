"""How the ends of a contour are judged: by the clinic's habit where it is known, by its school's definition, else by what schools differ.

What then is compared is the rest: where both ends are accepted, Dice, distances and volume are those between the ends that both have.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rtqc.core.assessment import Agreement, BetweenEnds
from rtqc.qc.commissioned import Habit
from rtqc.qc.measurements import Measurements
from rtqc.qc.protocol import Limit, Limits
from rtqc.qc.upper_ends import DEFINITIONS, SCHOOLS_MM, SCHOOLS_SOURCE

Side = Literal["upper", "lower"]
SIDES: tuple[Side, ...] = ("upper", "lower")


@dataclass(frozen=True)
class JudgedEnd:
    """An end of the contour, held against the draft's.

    Attributes:
        difference_mm: contour minus draft, positive upward.
        accepted: whether it is one that this clinic, its school or any school draws.
        by: what it was held against: the clinic's ``habit``, the ``definition`` that the protocol names, the spread between ``schools``, or the
            ``draft`` itself.
        usual_mm: where such an end lies, from the draft's.
        limit: how far it may lie from there.
    """

    difference_mm: float
    accepted: bool
    by: Literal["habit", "definition", "schools", "draft"]
    usual_mm: float
    limit: Limit

    @property
    def is_another_school(self) -> bool:
        """Whether it lies from the draft as no scatter explains, and as some school draws it."""
        return self.accepted and self.by == "schools"

    @property
    def off_mm(self) -> float:
        """How far it lies from the usual place, in mm."""
        return self.difference_mm - self.usual_mm


def judged_end(m: Measurements, limits: Limits, side: Side) -> JudgedEnd | None:
    """An end, judged; None where there is no contour or no draft."""
    found = m.ends_mm
    if found is None or m.draft is None:
        return None
    place = 1 if side == "upper" else 0
    difference = found[0][place] - found[1][place]
    commissioned = m.commissioned
    habit = getattr(commissioned, f"{side}_end_mm") if commissioned is not None else None
    if commissioned is not None and habit is not None:
        limit = Limit(value=habit.limit, unit="mm from the clinic's median", source=commissioned.source)
        return JudgedEnd(difference, abs(difference - habit.median) <= habit.limit, "habit", habit.median, limit)
    own = limits.agreement_end
    if side == "lower":
        return JudgedEnd(difference, abs(difference) <= own.value, "draft", 0.0, own)
    if m.upper_end is not None:
        low, high = DEFINITIONS[m.upper_end].from_feng_mm
        usual = (low + high) / 2
        limit = own.model_copy(update={"value": own.value + (high - low) / 2, "source": DEFINITIONS[m.upper_end].source})
        return JudgedEnd(difference, abs(difference - usual) <= limit.value, "definition", usual, limit if high > low else own)
    if abs(difference) <= own.value:
        return JudgedEnd(difference, True, "draft", 0.0, own)
    reach = SCHOOLS_MM[1] if difference > 0 else -SCHOOLS_MM[0]
    return JudgedEnd(difference, abs(difference) <= reach, "schools", 0.0, Limit(value=reach, unit="mm", source=SCHOOLS_SOURCE))


def judged_agreement(m: Measurements, limits: Limits) -> tuple[Agreement | BetweenEnds | None, str]:
    """What Dice, distances and volume are judged by, and words that say so: between the ends where both are accepted, else of the whole."""
    agreement = m.agreement
    if agreement is None or agreement.between_ends is None:
        return agreement, ""
    ends = [judged_end(m, limits, side) for side in SIDES]
    if any(end is None or not end.accepted for end in ends) or all(end is not None and end.by == "draft" for end in ends):
        return agreement, ""
    part = agreement.between_ends
    return part, f" between the ends that both have ({part.from_mm:.1f} to {part.to_mm:.1f} mm)"


def volume_habit(m: Measurements) -> Habit | None:
    """The clinic's usual volume against the draft's; None where it is not known."""
    return m.commissioned.volume_percent if m.commissioned is not None else None
