"""Learning: it learns, goes on after a stop, repeats itself, and exports what it computes."""

from __future__ import annotations

import resource
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

from rtqc.heart import Engine, load_model
from rtqc.training.augment import UNSEEN, Augmentation, augmented
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
    net = HeartNet(len(TINY.windows), 4)
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
    seen = crops[0][1][crops[0][1] != UNSEEN]
    assert float(seen.min()) >= 0
    assert float(seen.max()) <= 1 + 1e-6
    assert ((seen > 0.01) & (seen < 0.99)).any()


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


def test_short_gpu_memory_makes_the_crops_smaller_and_is_said(
    samples: list[Sample], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rtqc.training import learn as room

    update = room._update
    limit = 32

    def short(net: object, optimizer: object, batch: tuple[torch.Tensor, torch.Tensor], *rest: object) -> float:
        if batch[0].shape[-1] > limit:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return update(net, optimizer, batch, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(room, "_update", short)
    said: list[str] = []
    settings = Settings(spacing_mm=8.0, patch=48, base=4, iterations=2, synthetic=0)
    learn(samples, settings, tmp_path / "a", say=said.append)
    assert said == ["cpu is short of memory: training goes on in crops of 32 voxels"]
    limit = 16
    with pytest.raises(MemoryError, match="not enough memory"):
        learn(samples, settings, tmp_path / "b")


def test_a_full_disk_keeps_the_last_checkpoint_and_is_told_as_such(samples: list[Sample], tmp_path: Path) -> None:
    """A limit on the size of files stands for the disk: writing past it fails in the same place."""
    settings = Settings(spacing_mm=8.0, patch=32, base=4, iterations=1, synthetic=0)
    learn(samples, settings, tmp_path)
    before = (tmp_path / "checkpoint.pt").read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            learn(samples, settings.model_copy(update={"iterations": 2}), tmp_path, resume=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert (tmp_path / "checkpoint.pt").read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["checkpoint.pt"]


def test_what_the_field_of_view_does_not_show_is_neither_heart_nor_not(samples: list[Sample]) -> None:
    from rtqc.training.learn import halved, heart_loss

    target = torch.rand(1, 1, 8, 8, 8)
    target[:, :, :3] = UNSEEN
    logits = torch.randn(1, 1, 8, 8, 8)
    other = logits.clone()
    other[:, :, :3] = 50
    assert heart_loss(logits, target) == pytest.approx(float(heart_loss(other, target)))
    assert halved(target)[0, 0, :, 0, 0].tolist()[:2] == [UNSEEN, UNSEEN]
    cut = [augmented(samples[0], 32, 8.0, Augmentation(cut_probability=1.0), np.random.default_rng(n))[1] for n in range(6)]
    assert any((share == UNSEEN).any() for share in cut)
    assert all(((share == UNSEEN) | ((share >= 0) & (share <= 1.0001))).all() for share in cut)


def test_a_liver_of_another_density_leaves_the_heart_alone(samples: list[Sample]) -> None:
    from rtqc.training.augment import _liver

    hu, heart = (torch.from_numpy(a.astype(np.float32)) for a in (samples[0].hu, samples[0].heart))
    changed = _liver(hu, heart, samples[0], 20.0) - hu
    assert changed[heart == 1].abs().max() == 0
    assert changed.max() == pytest.approx(20.0, abs=0.1)
    assert changed[int(samples[0].middle[0]) + 8 :].abs().max() == 0
