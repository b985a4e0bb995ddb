"""Rules about contour against draft. All are estimates, and silent when the draft is not trusted. How ends are judged: :mod:`rtqc.qc.ends`."""

from __future__ import annotations

from collections.abc import Iterable

from rtqc.core.assessment import Agreement
from rtqc.qc.ends import Side, judged_agreement, judged_end, volume_habit
from rtqc.qc.measurements import Measurements
from rtqc.qc.protocol import Limit, Limits
from rtqc.qc.rule import Hit, rule

#: Slices named as the worst in a message.
_WORST_SLICES = 3


def worst_slices(agreement: Agreement) -> tuple[float, ...]:
    """Positions of the slices with the largest area that only one of the two has, worst first."""
    ranked = sorted(agreement.slices, key=lambda s: -(s.only_a_mm2 + s.only_b_mm2))
    return tuple(s.position_mm for s in ranked[:_WORST_SLICES])


@rule("draft.no_heart", "warning", "estimate", "The model found no heart on the CT.")
def draft_no_heart(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """Nothing to compare with."""
    if m.draft is not None and m.draft.structure.is_empty:
        yield Hit(
            f"The model found no heart on the CT: {m.draft.doubts[0]}. Nothing was compared; if the heart is in view, contour and check it by hand."
        )


@rule("draft.cut_off", "warning", "estimate", "The heart leaves the field of view.")
def draft_cut_off(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """The draft touches the image's border."""
    if m.draft is not None and m.draft.cut_off:
        yield Hit(
            f"The heart is cut off by the image ({', '.join(m.draft.cut_off)}): volume and dose are those of the visible part."
        )


@rule("draft.untrusted", "warning", "estimate", "The draft is not good enough to judge a contour.")
def draft_untrusted(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """Low confidence, implausible volume, cut off."""
    if m.draft is not None and not m.draft.trusted and not m.draft.structure.is_empty:
        yield Hit(
            f"The draft is not trusted because {'; '.join(m.draft.doubts)}: the agreement is shown but not judged. Check the contour by hand.",
            measured=m.draft.predicted_dice,
        )


@rule(
    "agreement.upper_end",
    "warning",
    "estimate",
    "The contour's upper end is not where it should be from the draft's.",
    "trusted_draft",
)
def upper_end(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """Highest planes, against the clinic's habit, the definition that the protocol names, or the spread between schools."""
    yield from _end(m, limits, "upper")


@rule(
    "agreement.lower_end",
    "warning",
    "estimate",
    "The contour's lower end is not where it should be from the draft's.",
    "trusted_draft",
)
def lower_end(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """Lowest planes, against the clinic's habit, or the draft's."""
    yield from _end(m, limits, "lower")


def _end(m: Measurements, limits: Limits, side: Side) -> Iterable[Hit]:
    end = judged_end(m, limits, side)
    if end is None or end.accepted or m.heart is None or m.draft is None:
        return
    heights = [s.positions_mm[-1 if side == "upper" else 0] for s in (m.heart, m.draft.structure)]
    usual = heights[1] + end.usual_mm
    low, high = sorted((float(heights[0]), float(usual)))
    against = "the draft's"
    if end.by == "habit" and m.commissioned is not None:
        against = f"where this clinic ends hearts ({distance_in_words(end.usual_mm)} the draft's end, by {m.commissioned.cases} contours)"
    elif end.by == "definition" and end.usual_mm:
        against = f"where the protocol's definition ends hearts ({distance_in_words(end.usual_mm)} the draft's end)"
    elif end.by == "schools":
        against = "the draft's, further than schools differ"
    yield Hit(
        f"The {side} end of {m.heart.name} lies {distance_in_words(end.off_mm)} {against}: check the slices from {low:.1f} to {high:.1f} mm.",
        (low, high),
        abs(end.off_mm),
        end.limit,
        (m.heart.name,),
    )


def distance_in_words(mm: float) -> str:
    """Millimetres and a side.

    >>> distance_in_words(-12.3), distance_in_words(4.0)
    ('12 mm below', '4 mm above')
    """
    return f"{abs(mm):.0f} mm {'above' if mm > 0 else 'below'}"


@rule(
    "agreement.upper_end_definition",
    "info",
    "estimate",
    "The contour begins where another school begins the heart.",
    "trusted_draft",
)
def upper_end_definition(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """An upper end that a definition explains is not judged, nor are Dice and distances by it."""
    end = judged_end(m, limits, "upper")
    part = m.agreement.between_ends if m.agreement is not None else None
    if end is None or not end.is_another_school or m.heart is None:
        return
    rest = (
        "."
        if part is None
        else f", and what is judged is the part that both have: Dice {part.dice:.2f} from {part.from_mm:.1f} to {part.to_mm:.1f} mm."
    )
    yield Hit(
        f"{m.heart.name} begins {distance_in_words(end.difference_mm)} the draft. Schools differ by so much, so the upper end is not judged{rest}"
        " Name your definition in the protocol, or learn it with rtqc commission.",
        measured=abs(end.difference_mm),
        limit=end.limit,
        structures=(m.heart.name,),
    )


@rule(
    "protocol.other_model",
    "warning",
    "fact",
    "The protocol was commissioned with another heart model than the one that drew the draft.",
)
def other_model(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """A clinic's habit is measured from one model's drafts; from another's it says nothing."""
    told = m.choice.protocol.commissioned if m.choice is not None else None
    if told is None or m.draft is None or m.commissioned is not None:
        return
    yield Hit(
        f"The protocol was commissioned with drafts by {told.model} ({told.model_hash[:12]}), and this draft is by {m.draft.model} "
        f"({m.draft.model_hash[:12]}): where this clinic ends hearts was not used. Check with --model {told.model}, or commission again.",
        measured=m.draft.model,
    )


@rule("agreement.dice", "fail", "estimate", "Contour and draft overlap too little.", "trusted_draft")
def dice(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """Dice under the limit; between the ends that both have where the ends are accepted as they are."""
    limit = limits.agreement_dice
    judged, where_words = judged_agreement(m, limits)
    if judged is not None and m.agreement is not None and m.heart is not None and judged.dice < limit.value:
        where = worst_slices(m.agreement)
        yield Hit(
            f"{m.heart.name} and the draft overlap with a Dice of {judged.dice:.2f}{where_words}, below {limit.value:.2f}; they differ most at {where[0]:.1f} mm.",
            where,
            judged.dice,
            limit,
            (m.heart.name,),
        )


@rule(
    "agreement.hausdorff95",
    "warning",
    "estimate",
    "The surfaces are too far apart at their worst (95th percentile).",
    "trusted_draft",
)
def hausdorff95(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """HD95 above the limit; between the ends where these are accepted."""
    limit = limits.agreement_hausdorff95
    judged, where_words = judged_agreement(m, limits)
    value = judged.hausdorff95_mm if judged is not None else None
    if value is not None and m.agreement is not None and value > limit.value:
        where = worst_slices(m.agreement)
        yield Hit(
            f"5 % of one surface, the contour's or the draft's, lie more than {value:.0f} mm from the other{where_words} (limit {limit.value:g} mm), most at {where[0]:.1f} mm.",
            where,
            value,
            limit,
        )


@rule("agreement.mean_surface_distance", "warning", "estimate", "The surfaces are too far apart on average.", "trusted_draft")
def mean_surface_distance(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """MASD above the limit; between the ends where these are accepted."""
    limit = limits.agreement_surface_distance
    judged, where_words = judged_agreement(m, limits)
    value = judged.mean_surface_distance_mm if judged is not None else None
    if value is not None and m.agreement is not None and value > limit.value:
        yield Hit(
            f"Contour and draft are {value:.1f} mm apart on average{where_words} (limit {limit.value:g} mm).",
            worst_slices(m.agreement),
            value,
            limit,
        )


@rule("agreement.volume", "warning", "estimate", "The volumes differ too much.", "trusted_draft")
def volume(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """Draft minus contour, in percent of the contour; from the clinic's usual difference where that is known."""
    limit = limits.agreement_volume
    if m.agreement is None or m.heart is None or m.draft is None:
        return
    judged, where_words = judged_agreement(m, limits)
    habit = volume_habit(m)
    part = m.agreement.between_ends
    if judged is part and part is not None:
        percent, volumes = part.volume_difference_percent, ""
    else:
        percent = 100 * m.agreement.volume_difference_ml / m.heart.volume_ml
        volumes = f" ({m.draft.structure.volume_ml:.0f} against {m.heart.volume_ml:.0f} ml)"
    if habit is not None and m.commissioned is not None and part is not None and judged is part:
        larger = 100 * (1 / (1 + percent / 100) - 1)
        off = larger - habit.median
        if abs(off) > habit.limit:
            yield Hit(
                f"{m.heart.name} is {abs(off):.0f} % of the draft {'larger' if off > 0 else 'smaller'} than this clinic draws hearts{where_words}: "
                f"{larger:+.0f} % of the draft, usual {habit.median:+.0f} %.",
                measured=abs(off),
                limit=Limit(value=habit.limit, unit="% from the clinic's median", source=m.commissioned.source),
                structures=(m.heart.name,),
            )
        return
    if abs(percent) > limit.value:
        word = "larger" if percent > 0 else "smaller"
        yield Hit(
            f"The draft is {abs(percent):.0f} % {word} than {m.heart.name}{where_words}{volumes}.",
            measured=abs(percent),
            limit=limit,
            structures=(m.heart.name,),
        )
