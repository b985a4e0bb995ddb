"""Is the contouring drifting? Control charts of what plans have in common, by clinic, protocol, planner, planning system and scanner."""

from rtqc.nightly.trends.changes import Change, changes_of
from rtqc.nightly.trends.charts import Chart, Limits, ewma, limits_of
from rtqc.nightly.trends.groups import METRICS, Drift, Metric, Trend, trends_of
from rtqc.nightly.trends.rules import NELSON, Signal, nelson

__all__ = [
    "METRICS",
    "NELSON",
    "Change",
    "Chart",
    "Drift",
    "Limits",
    "Metric",
    "Signal",
    "Trend",
    "changes_of",
    "ewma",
    "limits_of",
    "nelson",
    "trends_of",
]
