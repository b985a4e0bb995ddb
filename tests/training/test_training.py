"""Learning: it learns, goes on after a stop, repeats itself, and exports what it computes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from rtqc.heart import Engine, load_model
from rtqc.training.augment import Augmentation, augmented
from rtqc.training.export import MAX_LOGIT_DIFFERENCE, check_export, export_model
from rtqc.training.learn import learn
from rtqc.training.network import SIZE_MULTIPLE, HeartNet
from rtqc.training.samples import Sample, real_sample, synthetic_sample
from rtqc.training.settings import Settings, read_settings
from tests.conftest import SyntheticPlan

TINY = Settings(
    name="tiny", spacing_mm=8.0, patch=32, base=4, iterations=6, synthetic=2, checkpoint_minutes=60, mixed_precision=False
)


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    return [synthetic_sample(seed, TINY.spacing_mm) for seed in (1, 2)]


def test_a_synthetic_sample_has_the_hearts_volume(samples: list[Sample]) -> None:
    for sample in samples:
        volume = float(sample.heart.sum(dtype=np.float64)) * TINY.spacing_mm**3 / 1000
        assert 350 < volume < 1100


def test_a_real_sample_keeps_the_contours_volume(clean_plan: SyntheticPlan) -> None:
    heart = clean_plan.structures["Heart"]
    sample = real_sample("x", clean_plan.study.image, heart, 4.0)
    assert float(sample.heart.sum(dtype=np.float64)) * 0.064 == pytest.approx(heart.volume_ml, rel=0.01)


def test_learning_lowers_the_loss(samples: list[Sample], tmp_path: Path) -> None:
    settings = TINY.model_copy(update={"iterations": 200, "learning_rate": 5e-3})
    losses: list[float] = []
    _, curve = learn(samples, settings, tmp_path, progress=lambda i, n, loss: losses.append(loss))
    assert len(losses) == 200
    assert losses[-1] < losses[49] - 0.2
    assert curve[0][0] == 50


def test_a_stopped_run_goes_on_where_it_was(samples: list[Sample], tmp_path: Path) -> None:
    whole, _ = learn(samples, TINY, tmp_path / "whole")
    learn(samples, TINY, tmp_path / "parts", minutes=0.0)
    assert (tmp_path / "parts" / "checkpoint.pt").is_file()
    parts, _ = learn(samples, TINY, tmp_path / "parts", resume=True)
    for a, b in zip(whole.state_dict().values(), parts.state_dict().values(), strict=True):
        assert torch.allclose(a, b, atol=1e-5)


def test_a_seed_gives_the_same_network_twice(samples: list[Sample], tmp_path: Path) -> None:
    nets = [learn(samples, TINY, tmp_path / str(n))[0] for n in range(2)]
    for a, b in zip(*(net.state_dict().values() for net in nets), strict=True):
        assert torch.equal(a, b)


def test_learning_from_nothing_and_resuming_from_nothing_are_said(samples: list[Sample], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nothing to learn from"):
        learn([], TINY, tmp_path)
    with pytest.raises(FileNotFoundError, match="without --resume"):
        learn(samples, TINY, tmp_path, resume=True)


def test_the_export_computes_what_torch_computes(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = HeartNet(2, 4)
    export_model(net, TINY, tmp_path, training_data=("a",), attribution="b", licence="c", created="2026-01-01", card="# card")
    assert check_export(net, tmp_path) <= MAX_LOGIT_DIFFERENCE
    model = load_model(tmp_path)
    assert model.manifest.training_data == ("a",)
    logits = Engine(model, "cpu").logits(np.zeros((17, 20, 33), np.float32))
    assert logits.shape == (17, 20, 33)
    with torch.no_grad():
        for value in net.parameters():
            value.add_(0.05)
    with pytest.raises(ValueError, match="disagree"):
        check_export(net, tmp_path)


def test_augmentation_depends_on_the_seed_only_and_keeps_the_label_soft(samples: list[Sample]) -> None:
    crops = [augmented(samples[0], 32, 8.0, Augmentation(), np.random.default_rng(3)) for _ in range(2)]
    assert torch.equal(crops[0][0], crops[1][0])
    other = augmented(samples[0], 32, 8.0, Augmentation(), np.random.default_rng(4))
    assert not torch.equal(crops[0][0], other[0])
    assert float(crops[0][1].min()) >= 0
    assert float(crops[0][1].max()) <= 1 + 1e-6


def test_the_network_takes_any_multiple_of_its_size() -> None:
    net = HeartNet(2, 4).eval()
    for shape in ((16, 32, 48), (48, 16, 16)):
        assert net(torch.zeros(1, 2, *shape)).shape == (1, 1, *shape)
    assert SIZE_MULTIPLE == 16


def test_an_unknown_setting_is_an_error_that_names_it(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text("iterations = 10\nlearning_rte = 0.1\n")
    with pytest.raises(ValueError, match=r"'learning_rte': unknown key; did you mean 'learning_rate'"):
        read_settings(path)
    path.write_text("patch = 33\n")
    with pytest.raises(ValueError, match="patch"):
        read_settings(path)
    path.write_text("iterations = ")
    with pytest.raises(ValueError, match="not TOML"):
        read_settings(path)
    path.write_text("iterations = 10\n")
    assert read_settings(path).iterations == 10
