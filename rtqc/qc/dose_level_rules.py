"""Rules about the level of the dose: does it belong to the prescription."""

from __future__ import annotations

from collections.abc import Iterable

from rtqc.core.case import Plan
from rtqc.qc.dose_level import (
    PROTON_RBE,
    USUAL_MAXIMUM,
    USUAL_MEDIAN,
    USUAL_STEREOTACTIC,
    Expected,
    Level,
    TargetLevel,
    cause_of,
    expected_of,
    is_direct,
    is_implausible,
    is_stereotactic,
)
from rtqc.qc.measurements import Measurements
from rtqc.qc.protocol import Limit, Limits
from rtqc.qc.rule import Hit, rule

#: Dose Summation Types (PS3.3 C.8.8.3) of doses that hold more than this plan gives: only too little can be wrong with them.
_OF_SEVERAL_PLANS = {"MULTI_PLAN"}


@rule(
    "dose.level",
    "fail",
    "fact",
    "The dose does not belong to the prescription: one fraction's, in cGy, or normalised otherwise.",
)
def dose_level(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """Highest and near-maximum dose of the grid and median dose of the prescribed targets against the prescriptions."""
    checked = _checked(m, limits)
    if checked is None:
        return
    plan, level, expected = checked
    yield from _of_grid(m, limits, plan, level, expected) or _of_target(m, limits, plan)


def _of_grid(m: Measurements, limits: Limits, plan: Plan, level: Level, expected: Expected) -> list[Hit]:
    low, high = _low(m, limits), _high(m, limits, plan)
    if _fits(level, expected, low, high):
        return []
    fraction = plan.alike_fractions
    too_low = level.maximum_gy < low * expected.lowest_maximum_gy
    prescribed = expected.highest_gy
    if too_low and level.cut and level.maximum_gy > _CUT_TRUSTED * expected.lowest_maximum_gy:
        return []  # dose.level_not_checked says it
    measured = level.maximum_gy if level.maximum_gy < low * prescribed else level.near_maximum_gy
    # A factor is known by its size, whatever shape the dose has: as wide as for plans whose depth doses alone decide.
    widest = min(high, limits.dose_level_unusual_direct.value / 100)
    lowest = low * (_CUT_TRUSTED if level.cut else 1)
    cause = cause_of(measured / prescribed, lowest, widest, fraction, prescribed, _usual_maximum(m, limits, plan))
    what = "reaches at most" if level.maximum_gy < low * prescribed else "has a near-maximum of"
    limit = limits.dose_level_low if measured < prescribed else _limit_high(limits, plan)
    sentence = f"The dose {what} {measured:.2f} Gy, {_share(measured, prescribed)}: {cause}."
    return [Hit(sentence, measured=100 * measured / prescribed, limit=limit)]


def _usual_maximum(m: Measurements, limits: Limits, plan: Plan) -> tuple[float, float]:
    """Range of the highest dose over the prescription in plans with nothing wrong."""
    low, high = USUAL_STEREOTACTIC if is_stereotactic(plan) else USUAL_MAXIMUM
    if is_direct(plan):
        high = max(high, limits.dose_level_unusual_direct.value / 100)
    return low * _physical(m), high * _physical(m)


#: A grid that was cut off in the region treated still shows a factor as large as a number of fractions: its maximum is at least this
#: part of the prescription where only a margin of the region lies in it.
_CUT_TRUSTED = 0.2


def _of_target(m: Measurements, limits: Limits, plan: Plan) -> list[Hit]:
    """Of the targets that are covered evenly, the one nearest to its prescription, where none has it."""
    even = _even_targets(m, plan)
    low = limits.dose_level_target_low.value / 100 * _physical(m)
    if not even or any(low <= ratio <= _ceiling(m, limits.dose_level_target_high, t) for ratio, t in even):
        return []
    ratio, target = min(even, key=lambda e: abs(e[0] - 1))
    usual = (USUAL_MEDIAN[0] * _physical(m), USUAL_MEDIAN[1] * _physical(m))
    high, prescribed = limits.dose_level_target_high.value / 100, target.prescription.dose_gy
    cause = cause_of(ratio, low, high, plan.alike_fractions, prescribed, usual)
    limit = limits.dose_level_target_low if ratio < 1 else limits.dose_level_target_high
    return [Hit(f"{_covered_evenly(target)}: {cause}.", measured=100 * ratio, limit=limit, structures=(target.name,))]


def _even_targets(m: Measurements, plan: Plan) -> list[tuple[float, TargetLevel]]:
    """Targets that are covered evenly, with D50% over their prescription; none of plans whose targets may have any dose."""
    if is_stereotactic(plan) or plan.has_brachytherapy:
        return []
    return [(t.d50_gy / t.prescription.dose_gy, t) for t in m.target_levels if t.even]


def _ceiling(m: Measurements, limit: Limit, target: TargetLevel) -> float:
    """Highest ratio of D50% to a target's prescription: a boost in it, or after it, may give it the dose of that."""
    expected = expected_of(m.case.plan) if m.case.plan is not None else None
    if expected is None or _of_several(m):
        return float("inf")
    return limit.value / 100 * max(expected.levels_gy) / target.prescription.dose_gy


def _covered_evenly(target: TargetLevel) -> str:
    return f"{target.name} is covered evenly with {target.d50_gy:.2f} Gy (D50%), {_share(target.d50_gy, target.prescription.dose_gy)}"


@rule("dose.level_unusual", "warning", "fact", "The maximum of the dose is unusually high or low for the prescription.")
def dose_level_unusual(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """What may be meant, and is worth a look."""
    checked = _checked(m, limits)
    if checked is None or list(dose_level(m, limits)):
        return
    plan, level, expected = checked
    highest = expected.highest_gy
    reached = limits.dose_level_reached
    needed = reached.value / 100 * _physical(m) * (min(highest, expected.lowest_maximum_gy) if _of_beams(plan) else highest)
    if level.maximum_gy < needed and not level.cut:
        yield Hit(
            f"No point of the dose grid reaches the prescribed {highest:g} Gy; the highest has {level.maximum_gy:.2f} Gy ({100 * level.maximum_gy / highest:.0f} %): check the normalisation.",
            measured=100 * level.maximum_gy / highest,
            limit=reached,
        )
    if is_stereotactic(plan) or plan.has_brachytherapy or _of_several(m):
        return
    hot = _hot_target(m, limits, plan)
    limit = limits.dose_level_unusual_direct if is_direct(plan) else limits.dose_level_unusual
    ceiling = max(expected.levels_gy)
    if hot is not None:
        yield hot
    elif level.near_maximum_gy > limit.value / 100 * ceiling:
        yield Hit(
            f"The near-maximum dose is {level.near_maximum_gy:.2f} Gy, {_share(level.near_maximum_gy, ceiling)}: check hot spots and normalisation.",
            measured=100 * level.near_maximum_gy / ceiling,
            limit=limit,
        )


def _hot_target(m: Measurements, limits: Limits, plan: Plan) -> Hit | None:
    """The coolest of the evenly covered targets, where even that has too high a median."""
    even, limit = _even_targets(m, plan), limits.dose_level_target_unusual
    if not even or any(ratio <= _ceiling(m, limit, t) for ratio, t in even):
        return None
    ratio, target = min(even, key=lambda e: e[0])
    return Hit(
        f"{_covered_evenly(target)}: check the normalisation.", measured=100 * ratio, limit=limit, structures=(target.name,)
    )


@rule("dose.level_not_checked", "warning", "fact", "The level of the dose could not be held against the prescription.")
def dose_level_not_checked(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """The region treated goes on beyond the grid."""
    checked = _checked(m, limits)
    if checked is None or list(dose_level(m, limits)):
        return
    _, level, expected = checked
    if level.cut and level.maximum_gy < _low(m, limits) * expected.lowest_maximum_gy:
        yield Hit(
            f"The highest dose, {level.maximum_gy:.2f} Gy, lies on the edge of the dose grid, so its level was not held against the prescribed {expected.highest_gy:g} Gy: export the whole grid.",
            measured=100 * level.maximum_gy / expected.highest_gy,
            limit=limits.dose_level_low,
        )


@rule("dose.target_coverage", "warning", "estimate", "No contoured target gets the prescribed dose.")
def target_coverage(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """D95% of the best covered target against its prescription."""
    if _checked(m, limits) is None or list(dose_level(m, limits)):
        return
    limit = limits.dose_target_coverage
    levels = m.target_levels
    needed = limit.value / 100 * _physical(m)
    if not levels or levels[0].d95_gy >= needed * levels[0].prescription.dose_gy:
        return
    best: TargetLevel = levels[0]
    prescribed = best.prescription.dose_gy
    yield Hit(
        f"D95% of {best.name} is {best.d95_gy:.2f} Gy, {_share(best.d95_gy, prescribed)} (mean {best.mean_gy:.2f} Gy): check target, prescription and isocentre.",
        measured=100 * best.d95_gy / prescribed,
        limit=limit,
        structures=(best.name,),
    )


def _checked(m: Measurements, limits: Limits) -> tuple[Plan, Level, Expected] | None:
    """What is compared; None where there is nothing to compare, or nothing comparable."""
    plan, level = m.case.plan, m.dose_level
    expected = expected_of(plan) if plan is not None else None
    # A dose that is zero everywhere has its own finding, and no level.
    if plan is None or level is None or level.maximum_gy <= 0 or expected is None or not _comparable(m):
        return None
    # Nothing is held against a prescription that is none: what is wrong with it is the cause, and said.
    if is_implausible(plan, limits):
        return None
    return plan, level, expected


def _comparable(m: Measurements) -> bool:
    """Whether dose and prescription count the same; where they do not, the rules on the dose's type say so.

    Physical doses of heavy ions and effective doses of photons are no multiples of what is prescribed.
    """
    plan, effective = m.case.plan, m.case.dose_attributes.dose_type == "EFFECTIVE"
    if plan is None or plan.kind != "ion":
        return not effective
    return effective or all(b.radiation_type.upper() in ("", "PROTON") for b in plan.treatment_beams)


def _physical(m: Measurements) -> float:
    """Part of a prescription that physical doses have: protons are prescribed with their biological effect."""
    ion = m.case.plan is not None and m.case.plan.kind == "ion"
    return 1 / PROTON_RBE if ion and m.case.dose_attributes.dose_type != "EFFECTIVE" else 1.0


def _of_several(m: Measurements) -> bool:
    return m.case.dose_attributes.summation_type.upper() in _OF_SEVERAL_PLANS


def _of_beams(plan: Plan) -> bool:
    return all(p.stated_for == "beams" for p in plan.prescriptions)


def _low(m: Measurements, limits: Limits) -> float:
    return limits.dose_level_low.value / 100 * _physical(m)


def _limit_high(limits: Limits, plan: Plan) -> Limit:
    if is_stereotactic(plan):
        return limits.dose_level_high_stereotactic
    return limits.dose_level_high_direct if is_direct(plan) else limits.dose_level_high


def _high(m: Measurements, limits: Limits, plan: Plan) -> float:
    """Doses of several plans may be any multiple, and near its sources so may that of brachytherapy."""
    unbounded = plan.has_brachytherapy or _of_several(m)
    return float("inf") if unbounded else _limit_high(limits, plan).value / 100


def _fits(level: Level, expected: Expected, low: float, high: float) -> bool:
    """Whether the prescribed dose is reached somewhere, and not exceeded by far in a sizeable volume."""
    return low * expected.lowest_maximum_gy <= level.maximum_gy and level.near_maximum_gy <= high * max(expected.levels_gy)


def _share(gy: float, prescribed_gy: float) -> str:
    """A dose as a part or a multiple of the one prescribed, for a sentence."""
    ratio = gy / prescribed_gy
    if ratio >= _MULTIPLE:
        return f"{ratio:.0f} times the prescribed {prescribed_gy:g} Gy"
    percent = f"{100 * ratio:.1f}" if ratio < 0.1 else f"{100 * ratio:.0f}"
    return f"{percent} % of the prescribed {prescribed_gy:g} Gy"


#: From this ratio on, a dose is said to be a multiple of the one prescribed instead of a percentage.
_MULTIPLE = 5.0
