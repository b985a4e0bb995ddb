"""Difficult cases and what the signs of their drafts are worth."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rtqc.core import Grid, Image
from rtqc.heart.confidence import SIGNS, predicted_dice
from rtqc.training.calibrate import BAD_DICE, Trial, calibrated, read_trials, reliability, write_trials
from rtqc.training.stress import KINDS, hard_cases

GRID = Grid.regular((50, 60, 64), (4.0, 4.0, 4.0), (-128, -120, -100))


def _thorax() -> tuple[Image, np.ndarray]:
    """A cylinder of tissue, two lungs, and a ball of 40 mm between them."""
    z, y, x = np.meshgrid(GRID.positions_mm, GRID.rows_mm, GRID.columns_mm, indexing="ij")
    hu = np.where((x / 120) ** 2 + (y / 100) ** 2 < 1, 40, -1000).astype(np.float32)
    for side in (-55, 55):
        hu[((x - side) / 45) ** 2 + (y / 70) ** 2 + (z / 85) ** 2 < 1] = -800
    heart = np.sqrt(x**2 + y**2 + z**2) < 40
    hu[heart] = 45
    return Image(GRID, hu), heart.astype(np.float32)


def test_every_kind_of_difficulty_keeps_image_and_truth_together() -> None:
    image, heart = _thorax()
    cases = list(hard_cases(image, heart, 3 * len(KINDS), 1))
    assert {part for case in cases for part in case.kind.split(" + ")} == set(KINDS)
    for case in cases:
        assert case.heart.shape == case.image.grid.shape == case.image.hu.shape
        assert np.isfinite(case.image.hu).all()
        assert case.heart.any()


def test_the_same_seed_makes_the_same_cases() -> None:
    image, heart = _thorax()
    first, again, other = (list(hard_cases(image, heart, 4, seed)) for seed in (1, 1, 2))
    assert all(np.array_equal(a.image.hu, b.image.hu) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0].image.hu, other[0].image.hu)


@pytest.mark.parametrize("kind", ["tilted", "mirrored"])
def test_turning_a_patient_keeps_his_hearts_volume(kind: str) -> None:
    image, heart = _thorax()
    hu, share, _ = KINDS[kind](image.hu, heart, image.grid, np.random.default_rng(0))
    assert share.sum() == pytest.approx(heart.sum(), rel=0.02)
    # What is heart is still what the image shows there.
    assert np.median(hu[share > 0.9]) == pytest.approx(45, abs=1)


def _trials(noise: float) -> list[Trial]:
    """Signs that tell the Dice up to noise."""
    rng = np.random.default_rng(0)
    trials = []
    for number in range(200):
        dice = float(np.clip(rng.beta(6, 1.2), 0.02, 0.99))
        value = float(np.log(dice / (1 - dice)) + noise * rng.normal())
        signs = {name: value if name == "first_look" else float(rng.normal()) for name in SIGNS}
        kind = ("noise", "tilted", "mass", "cut off + blur")[number % 4]
        patient = f"p{number % 10}" if number % 3 else f"synthetic-{number % 10}"
        ends = (1.5, None) if number % 2 else (None, None)
        trials.append(Trial(patient, kind, dice, signs, False, np.full(5, 0.8, np.float32), ends))
    return trials


def test_signs_that_tell_the_dice_are_believed() -> None:
    calibration, limit, found = calibrated(_trials(0.1))
    assert found.correlation > 0.95
    assert found.caught >= 0.95
    assert found.false_alarms < 0.15
    assert found.mean_error < 0.03
    assert 0.75 <= limit <= 0.95
    assert calibration.surface_factor == pytest.approx(0.8)
    assert calibration.ends_factor == (1.5, 1.0)
    assert found.across is not None
    assert found.across.correlation > 0.95
    signs = dict.fromkeys(SIGNS, 0.0) | {"first_look": 2.2}
    assert predicted_dice(signs, calibration) == pytest.approx(0.9, abs=0.02)


def test_signs_that_tell_nothing_are_not() -> None:
    trials = [Trial(t.patient, t.kind, t.dice, t.signs | {"first_look": 0.0}, False, t.surface) for t in _trials(0.1)]
    _, _, found = calibrated(trials)
    assert abs(found.correlation) < 0.3


def test_a_sign_that_means_the_opposite_for_one_kind_of_difficulty_is_not_said_to_work_there() -> None:
    """Judged on kinds that the fit has seen, it would look as if it told the Dice everywhere."""
    trials = [
        replace(t, signs=t.signs | {"first_look": -t.signs["first_look"], "size": 1.0}) if t.kind == "mass" else t
        for t in _trials(0.1)
    ]
    _, _, found = calibrated(trials)
    assert found.correlation < 0.75
    _, _, told = calibrated([replace(t, kind="noise") for t in trials])
    assert told.correlation > found.correlation


def test_reliability_counts_what_it_says() -> None:
    none: np.ndarray = np.zeros(0, np.float32)
    trials = [
        Trial("a", "", 0.95, {"x": 1.0}, False, none),  # good, trusted
        Trial("a", "", 0.95, {"x": 1.0}, True, none),  # good, doubtful: a false alarm
        Trial("b", "", 0.50, {"x": 1.0}, False, none),  # bad, trusted: missed
        Trial("b", "", 0.00, {}, True, none),  # bad, no draft: caught
    ]
    found = reliability(trials, np.array([0.9, 0.9, 0.9, 0.0]), BAD_DICE)
    assert (found.cases, found.bad, found.caught, found.false_alarms) == (4, 2, 0.5, 0.5)
    assert found.mean_error == pytest.approx((0.05 + 0.05 + 0.4) / 3, abs=1e-3)


def test_trials_survive_the_work_folder(tmp_path: Path) -> None:
    trials = _trials(0.1)[:3]
    write_trials(trials, tmp_path / "trials.json")
    again = read_trials(tmp_path / "trials.json")
    assert [t.signs for t in again] == [t.signs for t in trials]
    assert again[0].surface == pytest.approx(trials[0].surface)
    assert [t.ends for t in again] == [t.ends for t in trials]


def test_half_of_the_difficult_cases_are_patients_and_none_is_seen_by_its_model() -> None:
    from types import SimpleNamespace

    from rtqc.training.runner import _stress_plan
    from rtqc.training.settings import Settings
    from rtqc.training.study import FIRST_SEED

    patients = [SimpleNamespace(id=n, name=n, case=SimpleNamespace(image=object()), heart=None) for n in "ABC"]
    settings = Settings(stress=100)
    jobs = _stress_plan(settings, [{"A"}, {"B"}, {"C"}], patients)  # type: ignore[arg-type]
    assert sum(count for *_, count in jobs) == 100
    assert [(fold, name) for fold, name, *_ in jobs[:3]] == [(0, "A"), (1, "B"), (2, "C")]
    assert sum(count for _, name, _, count in jobs if name in "ABC") == pytest.approx(50, abs=3)
    seeds = {int(name.removeprefix("synthetic-")) for _, name, *_ in jobs[3:]}
    assert not seeds & set(range(FIRST_SEED, FIRST_SEED + settings.synthetic))
    alone = _stress_plan(settings, [], [])
    assert sum(count for *_, count in alone) == 100
