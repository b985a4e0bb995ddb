"""Which charts there are: what is measured, and of whom."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from rtqc.nightly.store import Row
from rtqc.nightly.trends.changes import Change, changes_of
from rtqc.nightly.trends.charts import Chart, Limits, ewma
from rtqc.nightly.trends.rules import Signal, nelson

#: Limits come from so many plans; a group is judged when it has as many again and a few.
BASELINE, LEAST = 60, 80
#: Nelson's rules that are marked on charts: the four that Western Electric's are, and no more: eight rules cry wolf.
MARKED_RULES = (1, 2, 5, 6)


@dataclass(frozen=True)
class Metric:
    """Something that every plan has.

    Attributes:
        name: as the columns are called.
        about: in words.
        unit, decimals: of its values.
        worth: a change smaller than this is not worth a sentence, however sure it is.
        value: of a plan; None where it has none.
        of_input: whether it tells of CT and model rather than of contours.
        is_share: whether a plan has it or has it not (100 or 0), and a group in so many percent of its plans.
    """

    name: str
    about: str
    unit: str
    decimals: int
    worth: float
    value: Callable[[Row], float | None]
    of_input: bool = False
    is_share: bool = False


def _judged(value: Callable[[Row], float | None]) -> Callable[[Row], float | None]:
    """Of drafts that are trusted."""
    return lambda row: value(row) if row.trusted else None


def _share(has: Callable[[Row], bool | None]) -> Callable[[Row], float | None]:
    """100 or 0; None where a plan does not count."""

    def value(row: Row) -> float | None:
        found = has(row)
        return None if found is None else 100.0 * found

    return value


def _is_flagged(row: Row) -> bool | None:
    return None if row.verdict == "error" else row.verdict == "flag"


METRICS: tuple[Metric, ...] = (
    Metric("dice", "Dice, contour and draft", "", 3, 0.01, _judged(lambda r: r.dice)),
    Metric("mean_surface_distance_mm", "Mean surface distance", "mm", 2, 0.3, _judged(lambda r: r.mean_surface_distance_mm)),
    Metric("size_difference_percent", "Volume, draft − contour", "%", 1, 3.0, _judged(lambda r: r.size_difference_percent)),
    Metric(
        "mean_dose_difference_gy",
        "Mean heart dose, draft − contour",
        "Gy",
        2,
        0.1,
        _judged(lambda r: r.mean_dose_difference_gy),
    ),
    Metric("flag_rate", "Plans flagged", "%", 0, 3.0, _share(_is_flagged), is_share=True),
    Metric("predicted_dice", "Predicted Dice of the draft", "", 3, 0.01, lambda r: r.predicted_dice, True),
    Metric("slice_spacing_mm", "Slice spacing", "mm", 2, 0.2, lambda r: r.slice_spacing_mm, True),
    Metric("noise_hu", "Noise inside the heart", "HU", 1, 2.0, lambda r: r.noise_hu, True),
    Metric("table_rate", "Plans with a table in view", "%", 0, 10.0, _share(lambda r: r.has_table), True, True),
    Metric("heart_hu", "CT number inside the heart (contrast agent)", "HU", 0, 15.0, lambda r: r.heart_hu, True),
)

#: What plans are grouped by: name -> in words, and a plan's group.
GROUPINGS: dict[str, tuple[str, Callable[[Row], str]]] = {
    "clinic": ("All plans", lambda r: "all"),
    "protocol": ("Protocol", lambda r: r.protocol),
    "planner": ("Planner", lambda r: r.planner),
    "reviewer": ("Reviewer", lambda r: r.reviewer),
    "planning_system": ("Planning system", lambda r: r.planning_system),
    "scanner": ("Scanner", lambda r: r.scanner),
}


#: Of fewer plans since it began nobody says that something has changed: one outlier moves an average beyond its limits.
_LEAST_SINCE = 5


@dataclass(frozen=True)
class Drift:
    """A metric of a group is not what it was: since which plan, from what level to what."""

    since_date: str
    plans: int
    before: float
    after: float


@dataclass(frozen=True, eq=False)
class Trend:
    """A chart of one metric of one group.

    Attributes:
        rows: the plans, in order.
        chart: None where the group is too small to be judged.
        signals: Nelson's rules, of those that are marked.
        changes: of the mean.
        drift: what has changed by now; None where nothing has.
    """

    metric: Metric
    grouping: str
    group: str
    rows: tuple[Row, ...]
    chart: Chart | None
    signals: tuple[Signal, ...] = ()
    changes: tuple[Change, ...] = ()
    drift: Drift | None = None


def trends_of(rows: Iterable[Row], groupings: Iterable[str] = tuple(GROUPINGS)) -> list[Trend]:
    """All charts, clinic first. Plans that were exported again count once.

    Args:
        rows: results in the order of their plans.
        groupings: keys of :data:`GROUPINGS`.
    """
    counted = [r for r in rows if not r.repeats]
    found = []
    for grouping in groupings:
        _, group_of = GROUPINGS[grouping]
        groups: dict[str, list[Row]] = {}
        for row in counted:
            groups.setdefault(group_of(row), []).append(row)
        for name, members in sorted(groups.items(), key=lambda item: (-len(item[1]), item[0])):
            if name and not (grouping != "clinic" and len(groups) == 1):
                found += [_trend(metric, grouping, name, members) for metric in METRICS]
    return found


def _trend(metric: Metric, grouping: str, group: str, members: list[Row]) -> Trend:
    pairs = [(row, value) for row in members if (value := metric.value(row)) is not None]
    rows = tuple(row for row, _ in pairs)
    if len(pairs) < LEAST:
        return Trend(metric, grouping, group, rows, None)
    values = np.array([value for _, value in pairs], float)
    if metric.is_share:
        return _share_trend(metric, grouping, group, rows, values)
    chart = Chart.of(values, BASELINE)
    signals = tuple(nelson(values, chart.limits, MARKED_RULES))
    changes = tuple(changes_of(values, chart.limits))
    return Trend(metric, grouping, group, rows, chart, signals, changes, _drift(metric, chart, changes, rows))


def _share_trend(metric: Metric, grouping: str, group: str, rows: tuple[Row, ...], values: np.ndarray) -> Trend:
    """Yes or no: the baseline's share p, with a standard deviation of sqrt(p (1 - p)); nothing is moved to the limits."""
    # One yes and one no more (after Agresti and Coull): a baseline without any does not promise that there will never be one.
    share = (float((values[:BASELINE] > 0).sum()) + 1) / (BASELINE + 2)
    limits = Limits(100 * share, 100 * float(np.sqrt(share * (1 - share))), BASELINE)
    average, half = ewma(values, limits.centre, limits.sigma)
    chart = Chart(values, limits, average, half)
    return Trend(metric, grouping, group, rows, chart, (), (), _drift(metric, chart, (), rows))


def _drift(metric: Metric, chart: Chart, changes: tuple[Change, ...], rows: tuple[Row, ...]) -> Drift | None:
    """What is different now: the average is beyond its limits. Dated by the last change of the mean, where there is one."""
    since = chart.drift
    if since is None:
        return None
    at = max((c.at for c in changes), default=since)
    level = np.median if changes else np.mean
    before, after = chart.limits.centre, float(level(chart.values[at:]))
    if abs(after - before) < metric.worth or len(rows) - at < _LEAST_SINCE:
        return None
    return Drift(rows[at].plan_date, len(rows) - at, before, after)
