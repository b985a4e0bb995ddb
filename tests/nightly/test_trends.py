"""Control charts, against textbooks' tables; change points and drift, against where they were planted."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta

import numpy as np
import pytest

from rtqc.nightly.dashboard.charts import chart_view, sentence
from rtqc.nightly.store import Row
from rtqc.nightly.store.results import ROW_COLUMNS
from rtqc.nightly.trends import METRICS, Chart, Limits, Trend, changes_of, ewma, limits_of, nelson, trends_of

#: NIST/SEMATECH e-Handbook of Statistical Methods, 6.3.2.2: flow rates of ten batches.
FLOW = np.array([49.6, 47.6, 49.9, 51.3, 47.8, 51.2, 52.6, 52.4, 53.6, 52.1])
#: The same, 6.3.2.4: twenty values, EWMA with weight 0.3 from 50, standard deviation 2.0539, and the averages that it prints.
VALUES = np.array(
    [52.0, 47.0, 53.0, 49.3, 50.1, 47.0, 51.0, 50.1, 51.2, 50.5, 49.6, 47.6, 49.9, 51.3, 47.8, 51.2, 52.6, 52.4, 53.6, 52.1]
)
AVERAGES = [50.60, 49.52, 50.56, 50.18, 50.16, 49.21, 49.75, 49.85, 50.26, 50.33, 50.11, 49.36, 49.52, 50.05, 49.38, 49.92, 50.73, 51.23, 51.94, 51.99]  # fmt: skip
STANDARD = Limits(0.0, 1.0, 100)


def test_limits_of_single_values_are_those_of_the_handbook() -> None:
    limits = limits_of(FLOW)
    assert limits.centre == pytest.approx(50.81)
    assert (limits.lower, limits.upper) == pytest.approx((45.8159, 55.8041), abs=1e-3)


def test_the_moving_average_is_that_of_the_handbook() -> None:
    average, half = ewma(VALUES, 50.0, 2.0539, weight=0.3, width=3.0, kind="steady")
    np.testing.assert_allclose(average, AVERAGES, atol=0.006)
    assert (50 - half[-1], 50 + half[-1]) == pytest.approx((47.4115, 52.5884), abs=1e-3)


def test_run_lengths_are_those_of_the_table() -> None:
    """Montgomery, table 9.11: weight 0.1 and width 2.814 alarm once in 500 values without a change, and after 10.3 with one of one sigma."""
    rng = np.random.default_rng(1)

    def first(shift: float, count: int) -> float:
        average, half = ewma(rng.normal(size=count) + shift, 0.0, 1.0, weight=0.1, width=2.814, kind="steady")
        out = np.flatnonzero(np.abs(average) > half)
        return float(out[0] + 1) if out.size else float(count)

    assert np.mean([first(0.0, 6000) for _ in range(300)]) == pytest.approx(500, rel=0.15)
    assert np.mean([first(1.0, 300) for _ in range(600)]) == pytest.approx(10.3, rel=0.06)


@pytest.mark.parametrize(
    ("rule", "values", "at"),
    [
        (1, [0, 0.5, 3.1, 0.2], [2]),
        (1, [0, -3.1, 2.9], [1]),
        (2, [-0.1] + [0.3] * 9 + [-0.1], [9]),
        (2, [-0.1] + [0.3] * 8 + [-0.1], []),
        (3, [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.1], [5]),
        (3, [0.5, 0.4, 0.3, 0.2, 0.1, 0.1], []),
        (4, [0.1, -0.1] * 7, [13]),
        (4, [0.1, -0.1] * 6 + [0.1], []),
        (5, [0, 2.1, 0.3, 2.2, 0], [3]),
        (5, [0, 2.1, -2.2, 0], []),
        (6, [1.1, 1.2, -0.1, 1.3, 1.1, 0], [4]),
        (6, [1.1, 1.2, -0.1, -1.3, 1.1, 0], []),
        (7, [0.5, -0.5, 0.2] * 5, [14]),
        (7, [0.5, -0.5, 0.2] * 4 + [0.1, 0.1, 1.5], []),
        (8, [1.5, -1.5] * 4, [7]),
        (8, [1.5, -1.5] * 3 + [0.5, 1.5], []),
    ],
)
def test_nelsons_rules(rule: int, values: list[float], at: list[int]) -> None:
    assert [s.at for s in nelson(np.array(values, float), STANDARD, (rule,))] == at


def test_a_few_gross_errors_in_the_baseline_do_not_widen_its_limits() -> None:
    rng = np.random.default_rng(2)
    values = rng.normal(0.95, 0.01, 60)
    values[[7, 30]] = 0.5
    robust, plain = limits_of(values, robust=True), limits_of(values)
    assert robust.sigma == pytest.approx(0.01, rel=0.35)
    assert plain.sigma > 2 * robust.sigma


def test_noise_has_no_change_and_a_step_is_found_where_it_is() -> None:
    rng = np.random.default_rng(3)
    limits = Limits(0.0, 1.0, 60)
    false = sum(bool(changes_of(rng.normal(size=600), limits)) for _ in range(100))
    assert false <= 3
    offs = []
    for _ in range(50):
        values = rng.normal(size=460)
        values[400:] += 1.2
        (change,) = changes_of(values, limits)
        offs.append(abs(change.at - 400))
        assert change.size == pytest.approx(1.2, abs=0.6)
    assert np.median(offs) <= 2


def row(number: int, **changes: object) -> Row:
    day = (date(2026, 1, 1) + timedelta(days=number)).strftime("%Y%m%d")
    plain: dict[str, object] = dict.fromkeys(ROW_COLUMNS, "")
    plain |= {
        "id": number, "run_id": 1, "created": datetime(2026, 1, 1), "verdict": "pass", "plan_date": day, "protocol": "breast", "flips": 0,
        "trusted": True, "dice": None, "has_table": None, "repeats": False, "has_report": False, "has_thumbnail": False, "seconds": 1.0,
    }  # fmt: skip
    for name in ROW_COLUMNS:
        if (
            name not in changes
            and plain[name] == ""
            and name.endswith(("_mm", "_ml", "_gy", "_percent", "_hu", "dice", "confidence"))
        ):
            plain[name] = None
    return Row(**(plain | changes))  # type: ignore[arg-type]


def named(trends: list[Trend], grouping: str, metric: str) -> list[Trend]:
    return [t for t in trends if t.grouping == grouping and t.metric.name == metric]


def test_a_planner_who_begins_to_draw_less_is_named_with_day_and_size() -> None:
    rng = np.random.default_rng(4)
    rows = []
    for k in range(300):
        planner = "P-a" if k % 2 else "P-b"
        drift = 8.0 if planner == "P-a" and k >= 200 else 0.0
        rows.append(row(k, planner=planner, size_difference_percent=float(rng.normal(2, 2)) + drift))
    trends = trends_of(rows)
    (a,) = (t for t in named(trends, "planner", "size_difference_percent") if t.group == "P-a")
    (b,) = (t for t in named(trends, "planner", "size_difference_percent") if t.group == "P-b")
    assert b.drift is None
    assert a.drift is not None
    since = datetime.strptime(a.drift.since_date, "%Y%m%d").date()
    assert abs((since - date(2026, 7, 20)).days) <= 6
    assert a.drift.after - a.drift.before == pytest.approx(8, abs=1.5)
    assert "has changed from" in sentence(a)
    assert "2026-07" in sentence(a)
    view = chart_view(a)
    assert view is not None
    assert view.drifts
    assert len(view.steps) == 1


def test_a_small_group_is_not_judged() -> None:
    rows = [row(k, dice=0.9, planner="P-new" if k < 30 else "P-old") for k in range(200)]
    (new,) = (t for t in named(trends_of(rows), "planner", "dice") if t.group == "P-new")
    assert new.chart is None
    assert "too few" in sentence(new)


def test_what_was_exported_again_and_what_nobody_trusts_does_not_count() -> None:
    rng = np.random.default_rng(5)
    good = [row(k, dice=float(rng.normal(0.95, 0.01))) for k in range(120)]
    more = [row(k, dice=0.2, trusted=False) for k in range(120, 180)] + [
        row(k, dice=0.2, repeats=True) for k in range(180, 240)
    ]
    (dice,) = named(trends_of(good + more), "clinic", "dice")
    assert len(dice.rows) == 120
    assert dice.drift is None


def test_more_flags_than_before_are_a_drift() -> None:
    rng = np.random.default_rng(6)
    verdicts = ["flag" if rng.random() < (0.04 if k < 200 else 0.35) else "pass" for k in range(260)]
    rows = [row(k, verdict=v) for k, v in enumerate(verdicts)]
    (rate,) = named(trends_of(rows), "clinic", "flag_rate")
    assert rate.drift is not None
    (quiet,) = named(trends_of(rows[:200]), "clinic", "flag_rate")
    assert quiet.drift is None


def test_values_that_never_change_are_no_drift_and_a_new_scanner_protocol_is() -> None:
    rows = [row(k, slice_spacing_mm=3.0, noise_hu=12.0) for k in range(150)]
    rows += [row(k, slice_spacing_mm=5.0, noise_hu=12.0) for k in range(150, 180)]
    trends = trends_of(rows)
    (spacing,) = named(trends, "clinic", "slice_spacing_mm")
    (noise,) = named(trends, "clinic", "noise_hu")
    assert spacing.drift is not None
    assert (spacing.drift.before, spacing.drift.after) == (3.0, 5.0)
    assert noise.drift is None
    assert all(np.isfinite([t.chart.limits.sigma]).all() for t in trends if t.chart is not None)


def test_a_chart_moves_single_gross_values_to_its_limits() -> None:
    values = np.concatenate([np.random.default_rng(7).normal(size=100), [500.0]])
    chart = Chart.of(values, 60)
    assert not chart.drifting[-1]
    assert replace(chart, values=values).limits.upper < 6


def test_every_metric_has_a_size_worth_a_sentence() -> None:
    assert all(m.worth > 0 for m in METRICS)


@pytest.mark.parametrize("last", [1, 2, 4])
def test_the_last_few_plans_are_no_change_however_far_they_lie(last: int) -> None:
    rng = np.random.default_rng(3)
    rows = [row(k, noise_hu=float(rng.normal(12, 0.5)) + (30 if k >= 200 - last else 0)) for k in range(200)]
    (trend,) = named(trends_of(rows, ["clinic"]), "clinic", "noise_hu")
    assert trend.drift is None
    lasting = [row(k, noise_hu=float(rng.normal(12, 0.5)) + (30 if k >= 180 else 0)) for k in range(200)]
    (trend,) = named(trends_of(lasting, ["clinic"]), "clinic", "noise_hu")
    assert trend.drift is not None
