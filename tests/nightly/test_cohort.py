"""The study on a store, and the detection study: errors are as large as they say, and counted right."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from rtqc import compare
from rtqc.core import Structure
from rtqc.nightly.cohort import Detection, Trial, run_detection, study_of
from rtqc.nightly.cohort.errors import GradedError, graded_errors
from rtqc.nightly.cohort.statistics import bland_altman, wilson
from rtqc.nightly.store import Acknowledgement
from rtqc.phantom import Anatomy, Resolution, SyntheticPlan, synthetic_plan
from tests.cli.run import rtqc
from tests.nightly.conftest import opened
from tests.nightly.test_store import begun, result
from tests.nightly.test_trends import row


@pytest.fixture(scope="module")
def errors(clean_plan: SyntheticPlan) -> dict[tuple[str, float], GradedError]:
    """Every error of every size on a synthetic heart."""
    other = synthetic_plan(Anatomy.random(9), Resolution(96, 6.0), key="other").heart
    return {(e.kind, e.size): e for e in graded_errors(clean_plan.heart, other)}


def off(good: Structure, error: GradedError) -> np.ndarray:
    return np.asarray(error.heart.centroid_mm - good.centroid_mm)


def test_errors_are_as_large_as_they_say(clean_plan: SyntheticPlan, errors: dict[tuple[str, float], GradedError]) -> None:
    good = clean_plan.heart
    for way, direction in (
        ("to the left", (1, 0, 0)),
        ("to the right", (-1, 0, 0)),
        ("to the front", (0, -1, 0)),
        ("to the back", (0, 1, 0)),
    ):
        np.testing.assert_allclose(off(good, errors[f"shifted {way}", 12.0]), 12 * np.array(direction), atol=0.01)
    # Slices are 3 mm apart: 5 mm up are two of them.
    np.testing.assert_allclose(off(good, errors["shifted up", 5.0]), (0, 0, 6), atol=0.01)
    np.testing.assert_allclose(off(good, errors["shifted down", 2.0]), (0, 0, -3), atol=0.01)
    for size in (3.0, 8.0):
        assert compare(good, errors["grown", size].heart).hausdorff_mm == pytest.approx(size, abs=0.8)
        assert errors["shrunk", size].heart.volume_ml < good.volume_ml < errors["grown", size].heart.volume_ml
    low, high = good.positions_mm[[0, -1]]
    assert errors["upper end cut", 12.0].heart.positions_mm[-1] == pytest.approx(high - 12)
    assert errors["lower end cut", 12.0].heart.positions_mm[0] == pytest.approx(low + 12)
    assert errors["upper end added to", 6.0].heart.positions_mm[-1] == pytest.approx(high + 6)
    assert errors["lower end added to", 24.0].heart.positions_mm[0] == pytest.approx(low - 24)
    assert len(good.planes) - len(errors["slices missing", 3.0].heart.planes) == 3
    island = errors["island, radius", 6.0].heart
    assert island.volume_ml - good.volume_ml == pytest.approx(np.pi * 36 * 3 / 1000, rel=0.02)
    copied = errors["one outline copied", 4.0].heart
    assert (
        sum(a.equals(b) for a, b in zip(list(copied.planes.values())[:-1], list(copied.planes.values())[1:], strict=True)) == 3
    )
    assert np.abs(off(good, errors["another patient's", 1.0])).max() < 3
    assert len(errors) > 60


def trial(kind: str, size: float, found: bool, major: bool = False, moved: float = 5.0) -> Trial:
    return Trial("p", kind, size, "mm", major, None, moved, ("contour.hole",) if found else ())


def test_what_was_found_is_counted() -> None:
    trials = [trial("untouched", 0.0, k == 0, moved=0.0) for k in range(20)]
    trials += [trial("grown", 8.0, True, True) for _ in range(10)]
    trials += [trial("grown", 5.0, k < 9, False) for k in range(10)]
    trials += [trial("grown", 3.0, k < 5, False) for k in range(10)]
    trials += [trial("smoothed", 5.0, False, False, moved=0.3) for _ in range(10)]
    study = Detection(trials)
    assert study.false_flags == (1, 20)
    assert study.rate(True) == (10, 10)
    assert study.rate(False) == (14, 20)
    assert study.smallest_certain() == {"grown": "5 mm"}
    text = "\n".join(study.markdown())
    assert (
        "| major errors (mean heart dose by ≥ 0.5 Gy or 10 %, or ≥ 8 mm) | 10 of 10, 100.0 % | 72.2 to 100.0 % | ≥ 95 % |"
        in text
    )
    assert "| grown | 5 mm | 9 of 10 | `contour.hole` | 5 mm |" in text


def test_a_good_heart_of_the_study_is_not_flagged() -> None:
    study = run_detection([7000], graded=0)
    assert study.false_flags == (0, 1)


def test_intervals_are_those_of_the_textbooks() -> None:
    """Wilson: Newcombe, Stat Med 17:857, 1998, table I. Bland and Altman's own peak-flow example, Lancet 1986: mean -2.1, SD 38.8."""
    for found, count, interval in (
        (81, 263, (0.2553, 0.3662)),
        (15, 148, (0.0624, 0.1605)),
        (0, 20, (0.0, 0.1611)),
        (29, 29, (0.8831, 1.0)),
    ):
        assert wilson(found, count) == pytest.approx(interval, abs=1e-4)
    large = [494, 395, 516, 434, 476, 557, 413, 442, 650, 433, 417, 656, 267, 478, 178, 423, 427]
    mini = [512, 430, 520, 428, 500, 600, 364, 380, 658, 445, 432, 626, 260, 477, 259, 350, 451]
    found = bland_altman(mini, large)
    assert found is not None
    assert found.bias == pytest.approx(-2.1, abs=0.05)
    assert (found.upper - found.bias) / 1.96 == pytest.approx(38.8, abs=0.1)
    # Their interval of the bias: 2.12, Student's t of 16 degrees of freedom, times a standard error of 9.4.
    assert (found.bias_low, found.bias_high) == pytest.approx((-22.0, 17.8), abs=0.1)
    assert bland_altman([1.0], [2.0]) is None


def test_three_pairs_are_as_uncertain_as_three_pairs_are() -> None:
    """Differences 1, 2, 3: mean 2, SD 1, t of two degrees of freedom 4.303 (not 1.96)."""
    found = bland_altman([0, 0, 0], [1, 2, 3])
    assert found is not None
    assert (found.bias_low, found.bias_high) == pytest.approx((2 - 4.3027 / 3**0.5, 2 + 4.3027 / 3**0.5), abs=1e-3)
    assert (found.lower, found.upper) == pytest.approx((2 - 1.96, 2 + 1.96), abs=1e-3)


def test_the_study_counts_failures_and_sorts_them_by_what_reviewers_found() -> None:
    rows = [row(k, key=f"k{k}", dice=0.95, volume_ml=600.0, size_difference_percent=1.0) for k in range(8)]
    rows += [
        row(
            k,
            key=f"k{k}",
            dice=0.7,
            volume_ml=600.0,
            size_difference_percent=-10.0,
            mean_dose_gy=2.0,
            mean_dose_difference_gy=0.5,
        )
        for k in range(8, 10)
    ]
    rows += [row(10, key="k10", verdict="error", reason="No CT."), row(11, key="k11", dice=0.1, repeats=True)]
    reviews = {
        "k8": [
            Acknowledgement("k8", datetime(2026, 1, 1), "P", "model", ""),
            Acknowledgement("k8", datetime(2026, 1, 2), "P", "contour", ""),
        ]
    }
    study = study_of(rows, reviews)
    assert (study.plans, study.compared, study.failures) == (11, 10, 2)
    assert study.dice is not None
    assert study.dice[1] == pytest.approx(0.95)
    assert study.reviewed == {"contour error": 1, "not reviewed": 1}
    assert study.not_compared == {"No CT.": 1}
    assert study.volume is not None
    assert study.volume.bias == pytest.approx((8 * 6 - 2 * 60) / 10)
    assert study.mean_dose is not None
    assert (study.mean_dose.count, study.mean_dose.bias) == (2, pytest.approx(0.5))


def test_the_command_prints_and_writes_the_study(tmp_path: Path) -> None:
    with opened(tmp_path / "s.sqlite") as store:
        run = begun(store)
        for k in range(5):
            store.save(run, result(k))
    outcome = rtqc("cohort", "--store", tmp_path / "s.sqlite", "--out", tmp_path / "study")
    assert outcome.status == 0, outcome.err
    assert "Dice under 0.85: 5 of 5" in outcome.out
    page = (tmp_path / "study" / "cohort.html").read_text()
    assert "Median Dice 0.800, 5 of 5 under 0.85" in page
    assert "<script" not in page
    assert json.loads((tmp_path / "study" / "cohort.json").read_text())["failures"] == 5
    assert rtqc("cohort", "--store", tmp_path / "s.sqlite", "--out", tmp_path / "study").status == 2
    assert "give the store" in rtqc("cohort").err
    empty = tmp_path / "e.sqlite"
    with opened(empty):
        pass
    assert "0 plans" in rtqc("cohort", "--store", empty, "--out", tmp_path / "none").out
