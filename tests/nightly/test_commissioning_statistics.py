"""What few contours say: held against published numbers, independent formulas and simulation."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from scipy.stats import t as student_t

from rtqc.nightly.cohort.statistics import bland_altman
from rtqc.nightly.commissioning.statistics import (
    median_interval,
    prediction_width,
    qn,
    two_habits,
    widened,
)


def test_qn_is_the_quarter_of_all_distances_by_its_definition() -> None:
    values = np.array([1.0, 4.0, 9.0, 16.0, 25.0])
    distances = sorted(abs(a - b) for a, b in combinations(values, 2))
    # n = 5: h = 3, the third smallest of ten distances; d5 = 0.844 (Croux and Rousseeuw 1992).
    assert qn(values) == pytest.approx(2.2219 * 0.844 * distances[2], rel=1e-6)


@pytest.mark.parametrize("n", [10, 11, 20, 50])
def test_qn_is_the_standard_deviation_of_normal_values_and_more_precise_than_the_mad(n: int) -> None:
    rng = np.random.default_rng(3)
    drawn = rng.normal(0, 4, (3000, n))
    found = np.array([qn(row) for row in drawn])
    mads = 1.4826 * np.median(np.abs(drawn - np.median(drawn, axis=1, keepdims=True)), axis=1)
    assert found.mean() == pytest.approx(4, rel=0.03)
    assert found.std() / found.mean() < 0.85 * mads.std() / mads.mean()


def test_a_third_of_gross_errors_does_not_move_qn_far() -> None:
    values = np.concatenate([np.random.default_rng(1).normal(0, 4, 20), np.full(9, 300.0) + np.arange(9)])
    assert qn(values) < 9


@pytest.mark.parametrize("n", [6, 10, 25])
def test_the_interval_of_a_median_holds_it_as_often_as_it_says(n: int) -> None:
    rng = np.random.default_rng(5)
    held = [low <= np.log(2) <= high for low, high in (median_interval(rng.exponential(1, n)) for _ in range(2000))]
    # Order statistics of few values hold it more often than asked, never less.
    assert 0.94 <= np.mean(held) <= 0.99


def test_the_interval_of_ten_values_lies_between_the_second_and_the_ninth() -> None:
    # Conover, Practical Nonparametric Statistics: n = 10, 97.9 %.
    assert median_interval(np.arange(1.0, 11.0)) == (2.0, 9.0)


def test_a_prediction_limit_is_passed_as_rarely_as_it_says() -> None:
    rng = np.random.default_rng(7)
    n, beyond = 12, []
    for _ in range(6000):
        values = rng.normal(0, 4, n + 1)
        beyond.append(abs(values[-1] - values[:-1].mean()) > prediction_width(float(values[:-1].std(ddof=1)), n, 0.05))
    assert np.mean(beyond) == pytest.approx(0.05, abs=0.01)


def test_a_spread_of_few_values_is_widened_and_of_many_is_not() -> None:
    assert widened(10, 5.5) == pytest.approx(student_t.isf(1.899e-8, 9) / 5.5 * np.sqrt(1.1), rel=1e-3)
    assert widened(10, 5.5) > 3
    assert widened(5000, 5.5) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("n", [10, 20, 40])
def test_one_habit_is_not_taken_for_two(n: int) -> None:
    rng = np.random.default_rng(11)
    found = [two_habits(rng.normal(-20, 8, n), 10) is not None for _ in range(400)]
    assert np.mean(found) <= 0.025


@pytest.mark.parametrize(("low", "high"), [(6, 6), (4, 10), (12, 18)])
def test_two_habits_are_found_with_their_medians(low: int, high: int) -> None:
    rng = np.random.default_rng(13)
    found = 0
    for _ in range(40):
        values = np.concatenate([rng.normal(-28, 4, low), rng.normal(0, 4, high)])
        split = two_habits(values, 10)
        if split is not None and split.below.sum() == low:
            found += 1
            assert split.lower == pytest.approx(-28, abs=9)
            assert split.upper == pytest.approx(0, abs=9)
    assert found >= 35


def test_single_errors_are_no_second_habit() -> None:
    values = np.append(np.random.default_rng(2).normal(-20, 4, 12), [20.0, 25.0])
    assert two_habits(values, 10) is None
    assert two_habits(np.full(12, -20.0), 10) is None
    assert two_habits(np.array([0.0, 30.0, 0.0]), 10) is None


def test_limits_of_agreement_have_the_published_intervals() -> None:
    # Bland and Altman 1986, table 1, peak flow with two meters (17 people, large minus mini): bias -2.1, SD 38.8 l/min,
    # limits -79.7 and 75.5 by two standard deviations; standard error of a limit sqrt(3 s² / n) = 16.3.
    large = [494, 395, 516, 434, 476, 557, 413, 442, 650, 433, 417, 656, 267, 478, 178, 423, 427]
    mini = [512, 430, 520, 428, 500, 600, 364, 380, 658, 445, 432, 626, 260, 477, 259, 350, 451]
    found = bland_altman(mini, large)
    assert found is not None
    assert found.bias == pytest.approx(-2.1, abs=0.05)
    assert found.upper - found.bias == pytest.approx(1.96 * 38.8, abs=0.1)
    half = (found.upper_high - found.upper_low) / 2
    # The 1986 paper rounds 1.71² to 3 and divides by n.
    assert half == pytest.approx(2.12 * 16.3, rel=0.03)
    assert (found.lower_low + found.lower_high) / 2 == pytest.approx(found.lower)
