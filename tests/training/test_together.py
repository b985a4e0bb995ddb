"""Learning in lockstep, from crops that workers make, beside heights of the chest."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from rtqc.core.grid import Grid
from rtqc.heart.levels import HEIGHT_SCALE_MM, level_of
from rtqc.training.augment import Augmentation, varied
from rtqc.training.crops import CropStream, unpacked
from rtqc.training.disturb import Disturbances, disturbed
from rtqc.training.heights import height_loss, heights
from rtqc.training.samples import UNKNOWN, UNSEEN, Sample, chest_sample, read_samples, write_samples
from rtqc.training.settings import Settings, read_settings
from rtqc.training.together import learn_together, read_network

TINY = Settings(
    name="tiny", spacing_mm=8.0, patch=32, base=4, widest=16, iterations=30, batch=2, mixed_precision=False, heights=True, together=True
)  # fmt: skip
RECIPES = Path(__file__).parents[2] / "rtqc" / "training" / "recipes"


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    return [chest_sample(seed, TINY.spacing_mm) for seed in (1, 2)]


def test_the_heart_of_a_synthetic_chest_ends_just_below_the_left_pulmonary_artery(samples: list[Sample]) -> None:
    for sample in samples:
        top = np.flatnonzero((sample.heart > 0.5).any(axis=(1, 2)))[-1]
        carina, artery, low = sample.levels
        assert -2 <= (top - artery) * TINY.spacing_mm / 8 <= 0.1
        assert 3 <= (carina - artery) * TINY.spacing_mm <= 27
        assert low < top
        assert 350 < float(sample.heart.sum(dtype=np.float64)) * TINY.spacing_mm**3 / 1000 < 1250


def test_samples_are_read_as_they_were_written(samples: list[Sample], tmp_path: Path) -> None:
    judged = replace(samples[0], judged=True, real=True, levels=(float("nan"), 1.5, 2.25))
    write_samples([judged, samples[1]], tmp_path / "samples.npz")
    first, second = read_samples(tmp_path / "samples.npz")
    assert np.array_equal(first.heart, judged.heart)
    assert np.abs(first.hu.astype(float) - judged.hu.astype(float)).max() <= 0.51
    assert (first.real, first.judged, second.real, second.judged) == (True, True, False, False)
    assert np.isnan(first.levels[0])
    assert first.levels[1:] == (1.5, 2.25)
    assert first.grid.positions_mm == pytest.approx(judged.grid.positions_mm)


def test_a_network_never_gets_a_crop_of_a_patient_hidden_from_it(
    samples: list[Sample], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hidden patient's image is full of nan: one look, and every weight would be."""
    from rtqc.training import together as room

    monkeypatch.setattr(room.torch, "nan_to_num_", lambda grad, **kinds: grad)
    poisoned = replace(samples[0], name="hidden", hu=np.full_like(samples[0].hu, np.nan))
    settings = TINY.model_copy(update={"iterations": 4})
    nets, _, updates = learn_together(
        [poisoned, samples[1]], {"blind": frozenset({"hidden"}), "seeing": frozenset()}, settings, tmp_path
    )
    assert updates == 4
    assert all(torch.isfinite(v).all() for v in nets["blind"].parameters())
    assert not all(torch.isfinite(v).all() for v in nets["seeing"].parameters())
    with pytest.raises(ValueError, match="nothing to learn from"):
        learn_together(samples, {"a": frozenset(s.name for s in samples)}, settings, tmp_path)


def test_networks_in_lockstep_learn_and_are_kept(
    samples: list[Sample], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rtqc.training.together._WARM_UP", 10)
    settings = TINY.model_copy(update={"iterations": 50, "learning_rate": 1e-2, "average": 0.9})
    nets, curves, updates = learn_together(samples, {"final": frozenset()}, settings, tmp_path)
    assert updates == 50
    for curve in curves.values():
        assert curve[-1][1] < curve[0][1] - 0.1
    kept, count = read_network(tmp_path / "final.pt", settings)
    assert count == 50
    for a, b in zip(kept.parameters(), nets["final"].parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_crop_depends_on_its_number_only_and_travels_without_loss(samples: list[Sample]) -> None:
    known = samples[0].heart.copy()
    known[: int(samples[0].middle[0])] = UNKNOWN
    partly = replace(samples[0], heart=known)
    stream, later = CropStream([partly], TINY, 0, 8), CropStream([partly], TINY, 3, 4)
    assert np.array_equal(stream[5].hu, later[2].hu)
    crop = varied(partly, 32, 8.0, Augmentation(cut_probability=1.0), np.random.default_rng(5))
    assert {UNSEEN, UNKNOWN} <= set(crop.heart.unique().tolist())
    _, share, slices, levels = unpacked([stream[0]], "cpu")
    assert float(share.max()) <= 1
    assert bool((share == UNKNOWN).any())
    assert slices.shape == share.shape == (1, 32, 32, 32)
    assert levels[0].tolist() == pytest.approx(partly.levels)


def test_a_height_is_zero_at_its_level_and_found_again() -> None:
    grid = Grid.regular((40, 20, 20), (4.0, 4.0, 4.0), (0.0, 0.0, -70.0))
    slices = torch.arange(40.0)[None, :, None, None].expand(1, 40, 20, 20)
    target = heights(slices, torch.tensor([[12.25, float("nan"), 30.0]]), 4.0)
    assert target[0, 0, 12, 0, 0] == pytest.approx(-1 / HEIGHT_SCALE_MM)
    assert torch.isnan(target[0, 1]).all()
    noise = np.random.default_rng(0).normal(0, 0.1, target[0, 0].shape)
    level = level_of((target[0, 0].numpy() + noise).astype(np.float32), grid, np.ones(grid.shape, bool))
    assert level is not None
    assert level.z_mm == pytest.approx(-70 + 12.25 * 4, abs=0.7)
    assert level_of(np.ones(grid.shape, np.float32), grid, np.ones(grid.shape, bool)) is None
    seen = torch.ones(1, 1, 40, 20, 20, dtype=torch.bool)
    assert float(height_loss(torch.zeros_like(target), torch.full_like(target, float("nan")), seen)) == 0


@pytest.mark.parametrize("kind", ["chambers", "mass", "hernia", "tube", "stomach", "board"])
def test_a_disturbance_changes_the_image_beside_the_heart_or_its_blood_only(samples: list[Sample], kind: str) -> None:
    sample = samples[0]
    hu, heart = (torch.from_numpy(a.astype(np.float32)) for a in (sample.hu, sample.heart))
    often = Disturbances(**{kind: 1.0})
    changes = [disturbed(hu, heart, sample, often, np.random.default_rng(n)) - hu for n in range(12)]
    assert any(float(c.abs().max()) > 5 for c in changes)
    assert all(torch.isfinite(c).all() for c in changes)
    if kind not in ("chambers", "tube"):
        assert all(float(c[heart == 1].abs().max()) == 0 for c in changes)
    assert torch.equal(disturbed(hu, heart, sample, Disturbances(), np.random.default_rng(0)), hu)


def test_the_recipe_of_heart_v2_is_valid_and_heights_need_lockstep(tmp_path: Path) -> None:
    assert read_settings(RECIPES / "heart-v2.toml").heights
    (tmp_path / "x.toml").write_text("heights = true\n")
    with pytest.raises(ValueError, match="add together = true"):
        read_settings(tmp_path / "x.toml")
