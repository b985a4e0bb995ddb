"""Limits from a clinic's own contours, and how many of them each would flag."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rtqc.nightly.cohort.statistics import wilson
from rtqc.nightly.commissioning.result import CaseMeasured, ProposedLimit, Rate
from rtqc.nightly.commissioning.statistics import Values, median_interval, prediction_width, qn, spread_in_slices
from rtqc.qc.commissioned import Habit
from rtqc.qc.protocol import Limits

#: A habit, and limits of its own, are had from so many contours.
LEAST_CASES = 10
#: Each limit is made so that a contour like the clinic's others passes it once in a hundred times.
FLAGGED_SHARE = 0.01
#: No limit is drawn closer than this, whatever a few contours say: ends come in slices; the others are half of what the shipped limits allow.
LEAST_END_SLICES, LEAST_VOLUME_PERCENT = 2.0, 8.0


@dataclass(frozen=True)
class _Metric:
    """A number of a contour that has a limit.

    Attributes:
        limit: name in the protocol's limits.
        value: of a case.
        scale, back: to where the number is spread evenly, and back.
        above: whether what lies above the limit is flagged.
        closest: no proposal is stricter than this, and why.
    """

    limit: str
    unit: str
    value: Callable[[CaseMeasured], float | None]
    scale: Callable[[float], float]
    back: Callable[[float], float]
    above: bool
    closest: float
    why: str


def _logit(p: float) -> float:
    p = min(max(p, 1e-4), 1 - 1e-4)
    return float(np.log(p / (1 - p)))


def _expit(x: float) -> float:
    return float(1 / (1 + np.exp(-x)))


def _log(mm: float) -> float:
    return float(np.log(max(mm, 0.05)))


_METRICS: tuple[_Metric, ...] = (
    _Metric("agreement_dice", "", lambda c: c.dice, _logit, _expit, False, 0.90, "not above 0.90: two observers differ by as much"),
    _Metric("agreement_hausdorff95", "mm", lambda c: c.hausdorff95_mm, _log, lambda x: float(np.exp(x)), True, 9.0, "not under 9 mm: three slices"),
    _Metric(
        "agreement_surface_distance", "mm", lambda c: c.mean_surface_distance_mm, _log, lambda x: float(np.exp(x)), True, 2.5,
        "not under 2.5 mm: the model's own on hearts that it had not seen",
    ),
)  # fmt: skip
_NAMES: Mapping[str, str] = {
    "agreement_dice": "Dice", "agreement_hausdorff95": "HD95", "agreement_surface_distance": "Mean surface distance",
    "agreement_volume": "Volume, from the clinic's median", "upper_end": "Upper end, from the clinic's median",
    "lower_end": "Lower end, from the clinic's median",
}  # fmt: skip


def habit_of(values: Values, least: float, least_cases: int = LEAST_CASES) -> Habit | None:
    """Centre, spread and limit of a number that a clinic draws in its own way; None of too few contours.

    Args:
        values: one a contour.
        least: the limit is not closer, and the spread not less than a quarter of it.
        least_cases: fewer contours are too few.
    """
    n = values.size
    if n < least_cases:
        return None
    low, high = median_interval(values)
    deviation = max(qn(values), least / 4)
    return Habit(
        median=round(float(np.median(values)), 2) + 0.0,
        low=round(low, 2),
        high=round(high, 2),
        deviation=round(deviation, 2),
        cases=n,
        limit=round(max(prediction_width(deviation, n, FLAGGED_SHARE), least), 1),
    )


@dataclass(frozen=True)
class Rules:
    """What contours are held against: limits by name, and habits; None where there are too few contours."""

    limits: Mapping[str, float]
    upper_end: Habit | None
    lower_end: Habit | None
    volume: Habit | None

    def flags(self, case: CaseMeasured) -> tuple[str, ...]:
        """Names of the limits that a contour does not keep."""
        found = []
        for m in _METRICS:
            value, limit = m.value(case), self.limits.get(m.limit)
            if value is not None and limit is not None and (value > limit if m.above else value < limit):
                found.append(m.limit)
        for name, habit, value in (
            ("upper_end", self.upper_end, case.upper_end_mm),
            ("lower_end", self.lower_end, case.lower_end_mm),
            ("agreement_volume", self.volume, case.volume_percent),
        ):
            if habit is not None and abs(value - habit.median) > habit.limit:
                found.append(name)
        return tuple(found)


def rules_of(cases: Sequence[CaseMeasured], ends: tuple[bool, bool] = (True, True), least_cases: int = LEAST_CASES) -> Rules:
    """Limits and habits of contours.

    Args:
        cases: they are made from.
        ends: whether upper and lower end follow one habit each.
        least_cases: fewer contours make no limit.
    """
    if len(cases) < least_cases:
        return Rules({}, None, None, None)
    limits = {}
    for m in _METRICS:
        values = np.array([m.scale(v) for c in cases if (v := m.value(c)) is not None])
        if values.size < least_cases:
            continue
        # One side only: twice the share on both.
        width = prediction_width(max(qn(values), 1e-3), values.size, 2 * FLAGGED_SHARE)
        found = m.back(float(np.median(values)) + (width if m.above else -width))
        limits[m.limit] = round(max(found, m.closest) if m.above else min(found, m.closest), 1 if m.above else 3)
    slice_mm = float(np.median([c.slice_spacing_mm for c in cases]))
    slices = LEAST_END_SLICES * slice_mm
    upper, lower, volume = (
        np.array(v) for v in zip(*((c.upper_end_mm, c.lower_end_mm, c.volume_percent) for c in cases), strict=True)
    )
    return Rules(
        limits,
        habit_of(spread_in_slices(upper, slice_mm), slices, least_cases) if ends[0] else None,
        habit_of(spread_in_slices(lower, slice_mm), slices, least_cases) if ends[1] else None,
        habit_of(volume, LEAST_VOLUME_PERCENT, least_cases),
    )


def left_out_flags(cases: Sequence[CaseMeasured], ends: tuple[bool, bool]) -> list[tuple[str, ...]]:
    """Of each contour, what it would not keep of the limits that all the others make; nothing of too few contours."""
    if len(cases) < LEAST_CASES:
        return [() for _ in cases]
    return [rules_of([*cases[:k], *cases[k + 1 :]], ends, LEAST_CASES - 1).flags(case) for k, case in enumerate(cases)]


def rate(found: int, count: int) -> Rate:
    """A share with its interval."""
    low, high = wilson(found, count)
    percent = 100 * found / count if count else 0.0
    return Rate(
        found=found, count=count, percent=round(percent, 1), low_percent=round(100 * low, 1), high_percent=round(100 * high, 1)
    )


def proposed(
    cases: Sequence[CaseMeasured], rules: Rules, flags: Sequence[tuple[str, ...]], shipped: Limits
) -> tuple[ProposedLimit, ...]:
    """Each limit beside the one that it takes the place of."""
    found = []
    n = len(cases)
    base = f"{n} of this clinic's contours, prediction limit for one contour in {1 / FLAGGED_SHARE:.0f}"
    why = {m.limit: m.why for m in _METRICS}
    above = {m.limit: m.above for m in _METRICS}
    values = {m.limit: [m.value(c) for c in cases] for m in _METRICS}
    for name, limit in rules.limits.items():
        old = getattr(shipped, name).value
        beyond = sum(v is not None and (v > old if above[name] else v < old) for v in values[name])
        found.append(
            ProposedLimit(
                name=_NAMES[name], unit="" if name == "agreement_dice" else "mm", shipped=old, shipped_rate=rate(beyond, n),
                proposed=limit, proposed_rate=rate(sum(name in f for f in flags), n), source=f"{base}; {why[name]}",
            )
        )  # fmt: skip
    for name, habit, key, value in (
        ("agreement_volume", rules.volume, "agreement_volume", [abs(c.volume_percent) for c in cases]),
        ("upper_end", rules.upper_end, "agreement_end", [abs(c.upper_end_mm) for c in cases]),
        ("lower_end", rules.lower_end, "agreement_end", [abs(c.lower_end_mm) for c in cases]),
    ):
        if habit is None:
            continue
        old = getattr(shipped, key).value
        found.append(
            ProposedLimit(
                name=_NAMES[name], unit="%" if name == "agreement_volume" else "mm", shipped=old, shipped_rate=rate(sum(v > old for v in value), n),
                proposed=habit.limit, proposed_rate=rate(sum(name in f for f in flags), n), source=base,
            )
        )  # fmt: skip
    return tuple(found)
