"""A stream of varied crops, made by worker processes; the same for a seed, whatever their number."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from rtqc.training.augment import varied
from rtqc.training.samples import UNKNOWN, UNSEEN, Sample
from rtqc.training.settings import Settings

#: A heart share is kept in a byte: 0 to this, and other values where it is not known.
_SHARE_STEPS = 250
_BYTES = {UNSEEN: 255, UNKNOWN: 254}
#: Crops that a worker makes ahead.
_AHEAD = 6


@dataclass(frozen=True, eq=False)
class Packed:
    """A crop as small as it travels between processes.

    Attributes:
        name: of the sample that it comes from.
        hu: float16.
        heart: uint8.
        slices: float16, slice index that each voxel comes from.
        levels: slice index of each level.
    """

    name: str
    hu: NDArray[np.float16]
    heart: NDArray[np.uint8]
    slices: NDArray[np.float16]
    levels: tuple[float, ...]


class CropStream(Dataset[Packed]):
    """Crop number n of a study; it depends on seed and number only.

    Args:
        samples: to draw from, in three pools: hand-drawn, judged and synthetic.
        settings: the recipe.
        start: number of the first crop.
        count: of crops.
    """

    def __init__(self, samples: Sequence[Sample], settings: Settings, start: int, count: int) -> None:
        self._samples = list(samples)
        self._settings = settings
        self._start = start
        self._count = count
        self._pools = _pools(self._samples, settings)

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, number: int) -> Packed:
        settings = self._settings
        rng = np.random.default_rng([settings.seed, 3, self._start + number])
        chances = np.array([share for share, _ in self._pools])
        pool = self._pools[int(rng.choice(len(self._pools), p=chances / chances.sum()))][1]
        sample = pool[int(rng.integers(len(pool)))]
        crop = varied(sample, settings.patch, settings.spacing_mm, settings.augmentation, rng)
        share = (crop.heart.clamp(0, 1) * _SHARE_STEPS).round()
        for value, byte in _BYTES.items():
            share[crop.heart == value] = byte
        return Packed(
            sample.name,
            crop.hu.clamp(-4000, 4000).numpy().astype(np.float16),
            share.numpy().astype(np.uint8),
            crop.height.numpy().astype(np.float16),
            sample.levels,
        )


def _pools(samples: Sequence[Sample], settings: Settings) -> list[tuple[float, list[Sample]]]:
    """Share and samples of every pool that has some."""
    drawn = [s for s in samples if s.real and not s.judged]
    judged = [s for s in samples if s.judged]
    synthetic = [s for s in samples if not s.real]
    rest = max(1 - settings.real_share - settings.judged_share, 0.0)
    pools = [(settings.real_share, drawn), (settings.judged_share, judged), (rest, synthetic)]
    kept = [(share, pool) for share, pool in pools if pool and share > 0]
    return kept or [(1.0, list(samples))]


def crops(samples: Sequence[Sample], settings: Settings, start: int, count: int, workers: int) -> Iterator[Packed]:
    """Crops in their order.

    Args:
        samples: to draw from.
        settings: the recipe.
        start: number of the first crop.
        count: of crops.
        workers: processes beside this one; 0: none.
    """
    stream = CropStream(samples, settings, start, count)
    more: dict[str, Any] = {"prefetch_factor": _AHEAD, "worker_init_fn": _calm} if workers else {}
    # torch's types know collate_fn for batches only; without a batch size it gets a single crop.
    as_it_is: Any = _as_it_is
    yield from DataLoader(stream, batch_size=None, num_workers=workers, collate_fn=as_it_is, **more)


def _as_it_is(crop: Packed) -> Packed:
    return crop


def _calm(worker: int) -> None:
    """One thread a worker: they are as many as there are cores."""
    torch.set_num_threads(1)


def unpacked(batch: Sequence[Packed], device: str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """HU, heart share, slices (batch, z, y, x) and levels (batch, levels) on a device."""
    hu = _sent(np.stack([c.hu for c in batch]), device).float()
    byte = _sent(np.stack([c.heart for c in batch]), device)
    share = byte.float() / _SHARE_STEPS
    for value, mark in _BYTES.items():
        share.masked_fill_(byte == mark, value)
    slices = _sent(np.stack([c.slices for c in batch]), device).float()
    levels = _sent(np.array([c.levels for c in batch], np.float32), device)
    return hu, share, slices, levels


def _sent(values: NDArray[Any], device: str) -> torch.Tensor:
    """To a device, without waiting for what it still computes."""
    tensor = torch.from_numpy(values)
    return tensor.pin_memory().to(device, non_blocking=True) if device == "cuda" else tensor
