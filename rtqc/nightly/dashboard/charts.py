"""A trend as geometry for SVG, and as a sentence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rtqc.nightly.trends import NELSON, Trend
from rtqc.nightly.trends.groups import GROUPINGS
from rtqc.report.plots import Tick

#: Inner size of a chart, in SVG units.
WIDTH, HEIGHT = 560.0, 150.0
#: Shown beyond the limits, as a share of their distance.
_MARGIN = 0.1
_MOST_MARKS, _MOST_WORDS = 400, 3
#: A month's name needs so much room.
_TICK_ROOM = 85.0


@dataclass(frozen=True)
class Step:
    """A change of the mean."""

    x: float
    text: str


@dataclass(frozen=True)
class ChartView:
    """Everything that a chart's SVG needs; ``points`` and ``marks`` are path data, ``sentence`` says what the picture shows."""

    title: str
    group: str
    points: str
    marks: str
    average: str
    centre: float
    lower: float
    upper: float
    baseline: float
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    steps: tuple[Step, ...]
    drifts: bool
    sentence: str


def group_name(trend: Trend) -> str:
    """``All plans``, ``Planner P-3f2a``."""
    about, _ = GROUPINGS[trend.grouping]
    return about if trend.grouping == "clinic" else f"{about} {trend.group}"


def chart_view(trend: Trend) -> ChartView | None:
    """A chart; None for a group that is too small."""
    chart = trend.chart
    if chart is None:
        return None
    limits = chart.limits
    values, count = chart.values, chart.values.size
    reach = max(limits.upper - limits.lower, 1e-9)
    inside = np.clip(values, limits.lower - reach, limits.upper + reach)
    low = min(float(inside.min()), limits.lower) - _MARGIN * reach
    high = max(float(inside.max()), limits.upper) + _MARGIN * reach
    if trend.metric.is_share:  # no share is less than none or more than all
        low, high = -5.0, 105.0

    def x(k: float) -> float:
        return round(float(k) / max(count - 1, 1) * WIDTH, 1)

    def y(value: float) -> float:
        return round((1 - (float(np.clip(value, low, high)) - low) / (high - low)) * HEIGHT, 1)

    dots = "".join(f"M{x(k)} {y(v)}h0" for k, v in enumerate(values))
    signalled = sorted({s.at for s in trend.signals if s.rule == 1})[-_MOST_MARKS:]
    marks = "".join(f"M{x(k)} {y(values[k])}h0" for k in signalled)
    step = max(count // 800, 1)
    average = "M" + "L".join(f"{x(k)} {y(chart.average[k])}" for k in range(0, count, step))
    return ChartView(
        title=f"{trend.metric.about}{f' ({trend.metric.unit})' if trend.metric.unit else ''}",
        group=group_name(trend),
        points=dots,
        marks=marks,
        average=average,
        centre=y(limits.centre),
        lower=y(limits.lower),
        upper=y(limits.upper),
        baseline=x(min(limits.count, count - 1)),
        x_ticks=_dates(trend, x),
        y_ticks=tuple(Tick(y(v), _number(v, trend)) for v in (limits.lower, limits.centre, limits.upper) if low <= v <= high),
        steps=_steps(trend, x),
        drifts=trend.drift is not None,
        sentence=sentence(trend),
    )


def _steps(trend: Trend, x: Callable[[float], float]) -> tuple[Step, ...]:
    """Changes of the mean, the last few with their sizes: more words would lie on each other."""
    return tuple(
        Step(x(c.at), f"{_number(c.before, trend)} → {_number(c.after, trend)}" if c in trend.changes[-_MOST_WORDS:] else "")
        for c in trend.changes
    )


def sentence(trend: Trend) -> str:
    """What a chart says."""
    if trend.chart is None:
        return f"{group_name(trend)}: {len(trend.rows)} plans are too few to be judged."
    if trend.drift is not None:
        d = trend.drift
        unit = f" {trend.metric.unit}" if trend.metric.unit else ""
        return (
            f"{trend.metric.about} has changed from {_number(d.before, trend)} to {_number(d.after, trend)}{unit}"
            f" since {date_text(d.since_date) or 'an unknown day'} ({d.plans} plans)."
        )
    odd = [s for s in trend.signals if s.rule == 1]
    if odd:
        return f"No drift. {len(odd)} of {len(trend.rows)} plans lie beyond the limits ({NELSON[1]})."
    return f"No drift in {len(trend.rows)} plans."


def date_text(date: str) -> str:
    """A DICOM date as ISO; as it is where it is none.

    >>> date_text("20261125")
    '2026-11-25'
    """
    return f"{date[:4]}-{date[4:6]}-{date[6:8]}" if len(date) == 8 and date.isdigit() else date


def _number(value: float, trend: Trend) -> str:
    text = f"{value:.{trend.metric.decimals}f}"
    return (text if float(text) else text.lstrip("-")).replace("-", "−")


def _dates(trend: Trend, x: Callable[[float], float]) -> tuple[Tick, ...]:
    """The first plan of a month, as many as there is room for."""
    first: dict[str, int] = {}
    for k, row in enumerate(trend.rows):
        if row.plan_date[:6]:
            first.setdefault(row.plan_date[:6], k)
    chosen: list[Tick] = []
    for month, k in sorted(first.items(), key=lambda item: item[1]):
        if not chosen or x(k) - chosen[-1].at >= _TICK_ROOM:
            chosen.append(Tick(x(k), f"{month[:4]}-{month[4:6]}"))
    return tuple(chosen)
