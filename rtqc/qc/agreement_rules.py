"""Rules about contour against draft. All are estimates, and silent when the draft is not trusted."""

from __future__ import annotations

from collections.abc import Iterable

from rtqc.core.assessment import Agreement
from rtqc.qc.measurements import Measurements
from rtqc.qc.protocol import Limits
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


@rule("agreement.upper_end", "warning", "estimate", "The contour's upper end is not where the draft's is.", "trusted_draft")
def upper_end(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """Highest planes."""
    yield from _end(m, limits, upper=True)


@rule("agreement.lower_end", "warning", "estimate", "The contour's lower end is not where the draft's is.", "trusted_draft")
def lower_end(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """Lowest planes."""
    yield from _end(m, limits, upper=False)


def _end(m: Measurements, limits: Limits, upper: bool) -> Iterable[Hit]:
    limit = limits.agreement_end
    if m.heart is None or m.draft is None or m.draft.structure.is_empty:
        return
    ends = [s.positions_mm[-1 if upper else 0] for s in (m.heart, m.draft.structure)]
    difference = float(ends[0] - ends[1])
    if abs(difference) > limit.value:
        word = "above" if difference > 0 else "below"
        end = "upper" if upper else "lower"
        yield Hit(
            f"The {end} end of {m.heart.name} lies {abs(difference):.0f} mm {word} the draft's: check the slices from {min(ends):.1f} to {max(ends):.1f} mm.",
            (float(min(ends)), float(max(ends))),
            abs(difference),
            limit,
            (m.heart.name,),
        )


@rule("agreement.dice", "fail", "estimate", "Contour and draft overlap too little.", "trusted_draft")
def dice(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """Dice under the failure limit of the clinical study."""
    limit = limits.agreement_dice
    if m.agreement is not None and m.heart is not None and m.agreement.dice < limit.value:
        where = worst_slices(m.agreement)
        yield Hit(
            f"{m.heart.name} and the draft overlap with a Dice of {m.agreement.dice:.2f}, below {limit.value:.2f}; they differ most at {where[0]:.1f} mm.",
            where,
            m.agreement.dice,
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
    """HD95 above the limit."""
    limit = limits.agreement_hausdorff95
    value = m.agreement.hausdorff95_mm if m.agreement is not None else None
    if value is not None and m.agreement is not None and value > limit.value:
        where = worst_slices(m.agreement)
        yield Hit(
            f"5 % of one surface, the contour's or the draft's, lie more than {value:.0f} mm from the other (limit {limit.value:g} mm), most at {where[0]:.1f} mm.",
            where,
            value,
            limit,
        )


@rule("agreement.mean_surface_distance", "warning", "estimate", "The surfaces are too far apart on average.", "trusted_draft")
def mean_surface_distance(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """MASD above the limit."""
    limit = limits.agreement_surface_distance
    value = m.agreement.mean_surface_distance_mm if m.agreement is not None else None
    if value is not None and m.agreement is not None and value > limit.value:
        yield Hit(
            f"Contour and draft are {value:.1f} mm apart on average (limit {limit.value:g} mm).",
            worst_slices(m.agreement),
            value,
            limit,
        )


@rule("agreement.volume", "warning", "estimate", "The volumes differ too much.", "trusted_draft")
def volume(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """Draft minus contour, in percent of the contour."""
    limit = limits.agreement_volume
    if m.agreement is None or m.heart is None or m.draft is None:
        return
    percent = 100 * m.agreement.volume_difference_ml / m.heart.volume_ml
    if abs(percent) > limit.value:
        word = "larger" if percent > 0 else "smaller"
        yield Hit(
            f"The draft is {abs(percent):.0f} % {word} than {m.heart.name} ({m.draft.structure.volume_ml:.0f} against {m.heart.volume_ml:.0f} ml).",
            measured=abs(percent),
            limit=limit,
            structures=(m.heart.name,),
        )
