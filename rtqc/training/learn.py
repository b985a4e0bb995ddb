"""The training loop: resumable, and the same for a seed on one machine (see ``Settings.mixed_precision``)."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from rtqc.core.whole_file import whole_file
from rtqc.training.augment import augmented, windowed
from rtqc.training.network import SIZE_MULTIPLE, HeartNet, new_network
from rtqc.training.samples import UNSEEN, Sample
from rtqc.training.settings import Settings

#: Weight of the half-resolution output in the loss (deep supervision).
DEEP_WEIGHT = 0.3
_CHECKPOINT = "checkpoint.pt"
#: Crops smaller than this, in voxels, show no heart with what is around it.
_SMALLEST_PATCH = 32
Progress = Callable[[int, int, float], None]


def learn(
    samples: Sequence[Sample],
    settings: Settings,
    folder: Path,
    *,
    device: str = "cpu",
    minutes: float | None = None,
    resume: bool = False,
    start: Mapping[str, torch.Tensor] | None = None,
    progress: Progress | None = None,
    say: Callable[[str], None] | None = None,
) -> tuple[HeartNet, list[tuple[int, float]]]:
    """Train a network.

    Args:
        samples: at least one real or synthetic sample.
        settings: the recipe.
        folder: checkpoints go here.
        device: ``cpu`` or ``cuda``.
        minutes: stop after this long; the learning-rate schedule stays that of ``settings.iterations``.
        resume: go on from the folder's checkpoint.
        start: weights to begin with, by name; those that are not among them begin at random.
        progress: called with iteration, total and smoothed loss.
        say: called with a sentence where training goes on in another way than the settings say.

    Returns:
        The network with averaged weights, and the learning curve (iteration, smoothed loss).

    Raises:
        ValueError: no samples.
        RuntimeError: weights to begin with that are of another network.
        FileNotFoundError: ``resume`` without a checkpoint.
        MemoryError: the device's memory is too small even for small crops.
    """
    if not samples:
        raise ValueError("there is nothing to learn from: no sample with a heart was found")
    torch.manual_seed(settings.seed)
    fresh: Any = new_network(settings)  # torch's own types know memory_format from 2.14 on only
    net: HeartNet = fresh.to(device, memory_format=torch.channels_last_3d)
    if start:
        net.load_state_dict(start, strict=False)
    average = new_network(settings)
    average.load_state_dict(net.state_dict())
    optimizer = torch.optim.AdamW(net.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
    state: dict[str, Any] = {"iteration": 0, "loss": 1.5, "curve": [], "patch": settings.patch}
    checkpoint = folder / _CHECKPOINT
    if resume:
        state |= _load(checkpoint, net, average, optimizer)
    folder.mkdir(parents=True, exist_ok=True)
    began = saved = time.monotonic()
    for iteration in range(state["iteration"], settings.iterations):
        loss, state["patch"] = _fitting_update(net, optimizer, samples, settings, iteration, device, state["patch"], say)
        _follow(average, net, min(settings.average, (1 + iteration) / (10 + iteration)))
        state["iteration"] = iteration + 1
        state["loss"] += 0.02 * (loss - state["loss"])
        if (iteration + 1) % 50 == 0:
            state["curve"].append((iteration + 1, round(state["loss"], 4)))
        if progress:
            progress(iteration + 1, settings.iterations, state["loss"])
        now = time.monotonic()
        if now - saved > settings.checkpoint_minutes * 60:
            _save(checkpoint, state, net, average, optimizer)
            saved = now
        if minutes is not None and now - began > minutes * 60:
            break
    _save(checkpoint, state, net, average, optimizer)
    return average.eval(), state["curve"]


def has_checkpoint(folder: Path) -> bool:
    """Whether a training in this folder can go on."""
    return (folder / _CHECKPOINT).is_file()


def _fitting_update(
    net: HeartNet,
    optimizer: torch.optim.Optimizer,
    samples: Sequence[Sample],
    settings: Settings,
    iteration: int,
    device: str,
    patch: int,
    say: Callable[[str], None] | None,
) -> tuple[float, int]:
    """An update in crops as large as the device's memory allows; the loss, and the crops' side."""
    while True:
        batch = _batch(samples, settings.model_copy(update={"patch": patch}), iteration)
        try:
            return _update(net, optimizer, batch, settings, iteration, device), patch
        except torch.OutOfMemoryError as error:
            if patch - SIZE_MULTIPLE < _SMALLEST_PATCH:
                raise MemoryError(
                    f"{device} has not enough memory to train on crops of {patch} voxels: use --device cpu, or a smaller base or batch"
                ) from error
            patch -= SIZE_MULTIPLE
            optimizer.zero_grad(set_to_none=True)
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            if say:
                say(f"{device} is short of memory: training goes on in crops of {patch} voxels")


def _batch(samples: Sequence[Sample], settings: Settings, iteration: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The crops of one iteration; they depend on seed and iteration only, so a resumed run sees the same ones."""
    rng = np.random.default_rng([settings.seed, iteration])
    real = [s for s in samples if s.real]
    synthetic = [s for s in samples if not s.real]
    inputs, targets = [], []
    for _ in range(settings.batch):
        pool = real if real and (not synthetic or rng.random() < settings.real_share) else synthetic
        hu, heart = augmented(
            pool[int(rng.integers(len(pool)))], settings.patch, settings.spacing_mm, settings.augmentation, rng
        )
        inputs.append(windowed(hu, settings.windows))
        targets.append(heart[None])
    return torch.stack(inputs), torch.stack(targets)


def _update(
    net: HeartNet,
    optimizer: torch.optim.Optimizer,
    batch: tuple[torch.Tensor, torch.Tensor],
    settings: Settings,
    iteration: int,
    device: str,
) -> float:
    warm_up = min(1.0, (iteration + 1) / 50)
    rate = settings.learning_rate * warm_up * (1 - iteration / settings.iterations) ** 0.9
    for group in optimizer.param_groups:
        group["lr"] = rate
    x, target = (t.to(device) for t in batch)
    x = x.contiguous(memory_format=torch.channels_last_3d)
    with torch.autocast(device, dtype=torch.bfloat16, enabled=settings.mixed_precision):
        logits, coarse = net.both(x)
    loss = heart_loss(logits.float(), target) + DEEP_WEIGHT * heart_loss(coarse.float(), halved(target))
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(net.parameters(), 12.0)
    optimizer.step()
    return float(loss.detach())


def heart_loss(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Cross-entropy plus soft Dice, where the image shows something."""
    seen = (target >= 0).float()
    target = target.clamp(min=0)
    probability = torch.sigmoid(logits) * seen
    overlap = 2 * (probability * target).sum() + 1.0
    dice = overlap / (probability.sum() + target.sum() + 1.0)
    entropy = F.binary_cross_entropy_with_logits(logits, target, seen, reduction="sum") / seen.sum().clamp(min=1)
    return entropy + 1 - dice


def halved(target: torch.Tensor) -> torch.Tensor:
    """The heart share at half resolution; unseen where any of the eight voxels is."""
    unseen = F.max_pool3d((target < 0).float(), 2)
    return torch.where(unseen > 0, torch.full_like(unseen, UNSEEN), F.avg_pool3d(target, 2))


def _follow(average: HeartNet, net: HeartNet, decay: float) -> None:
    with torch.no_grad():
        for slow, fast in zip(average.parameters(), net.parameters(), strict=True):
            slow.lerp_(fast.to(slow.device), 1 - decay)


def _save(path: Path, state: dict[str, Any], net: HeartNet, average: HeartNet, optimizer: torch.optim.Optimizer) -> None:
    """Written whole under another name first: a killed run keeps its last checkpoint."""
    content = {
        "state": state,
        "net": net.state_dict(),
        "average": average.state_dict(),
        "optimizer": optimizer.state_dict(),
    }
    # torch tells a full disk as a RuntimeError without the file's name; the file object tells it as what it is.
    buffer = io.BytesIO()
    torch.save(content, buffer)
    with whole_file(path) as file:
        file.write(buffer.getbuffer())


def _load(path: Path, net: HeartNet, average: HeartNet, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint to resume from in {path.parent}: start without --resume")
    content = torch.load(path, weights_only=True)
    net.load_state_dict(content["net"])
    average.load_state_dict(content["average"])
    optimizer.load_state_dict(content["optimizer"])
    state: dict[str, Any] = content["state"]
    return state
