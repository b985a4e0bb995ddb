"""Training several networks at once on shared crops, each without those of the patients that it must not see.

Beside a GPU making crops takes longer than learning from them: a crop that every fold but one may see is made once.
"""

from __future__ import annotations

import io
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from rtqc.core.whole_file import whole_file
from rtqc.training.augment import windowed
from rtqc.training.crops import Packed, crops, unpacked
from rtqc.training.heights import height_loss, heights
from rtqc.training.learn import DEEP_WEIGHT, halved, heart_loss
from rtqc.training.network import HeartNet, new_network
from rtqc.training.samples import UNSEEN, Sample
from rtqc.training.settings import Settings

#: The loss is read from the device so often only, in updates: reading waits for it.
_READ_EVERY = 25
#: Updates until the learning rate is at its height.
_WARM_UP = 200
Progress = Callable[[int, float, Mapping[str, float]], None]
Watch = Callable[[int, Mapping[str, HeartNet]], None]


@dataclass(eq=False)
class _Student:
    """One network on its way."""

    name: str
    hidden: frozenset[str]
    net: HeartNet
    average: HeartNet
    optimizer: torch.optim.Optimizer
    waiting: deque[Packed]
    loss: torch.Tensor
    curve: list[tuple[int, float]] = field(default_factory=list)


@dataclass(frozen=True)
class Pace:
    """How a joint training runs.

    Attributes:
        device: ``cpu`` or ``cuda``.
        seconds: learn for so long at most, the learning rate falling with the time; None: for ``settings.iterations`` updates.
        workers: processes that make crops.
        save_seconds: time between checkpoints.
        channels_last: memory layout of the networks; which is faster depends on the device.
    """

    device: str = "cpu"
    seconds: float | None = None
    workers: int = 0
    save_seconds: float = 60.0
    channels_last: bool = True

    @property
    def layout(self) -> torch.memory_format:
        """Of volumes and kernels."""
        return torch.channels_last_3d if self.channels_last else torch.contiguous_format


def learn_together(
    samples: Sequence[Sample],
    hidden: Mapping[str, frozenset[str]],
    settings: Settings,
    folder: Path,
    pace: Pace = Pace(),
    progress: Progress | None = None,
    watch: Watch | None = None,
) -> tuple[dict[str, HeartNet], dict[str, list[tuple[int, float]]], int]:
    """Train networks.

    Args:
        samples: of all patients.
        hidden: network's name -> names of the samples that it must not see.
        settings: the recipe.
        folder: the networks go here, one file each, every now and then and at the end.
        pace: device, time, processes.
        progress: called every few updates with the number of updates, the part that is done, and each network's smoothed loss.
        watch: called whenever networks were saved, with the number of updates and the averaged networks on the device.

    Returns:
        The networks with averaged weights, on the CPU, their learning curves, and the number of updates that each had.

    Raises:
        ValueError: a network would see no sample.
    """
    for name, unseen in hidden.items():
        if all(s.name in unseen for s in samples):
            raise ValueError(f"{name} has nothing to learn from: every sample is hidden from it")
    most = 4 * settings.batch * settings.iterations * max(len(hidden), 1)
    stream = crops(samples, settings, 0, most, pace.workers)
    # Workers are forked by the first crop, which must come before anything touches the GPU.
    first = next(stream)
    torch.backends.cudnn.benchmark = True
    students = [_student(name, unseen, settings, pace) for name, unseen in hidden.items()]
    began = saved = time.monotonic()
    update = 0
    while True:
        now = time.monotonic()
        done = max(update / settings.iterations, (now - began) / pace.seconds if pace.seconds is not None else 0.0)
        if done >= 1:
            break
        _fill(students, stream, settings.batch, first if update == 0 else None)
        rate = settings.learning_rate * min(1.0, (update + 1) / _WARM_UP) * max(1 - done, 0.0) ** 0.9
        _update_all(students, settings, rate, update, pace)
        update += 1
        if update % _READ_EVERY == 0:
            losses = {s.name: float(s.loss) for s in students}
            for student in students:
                student.curve.append((update, round(losses[student.name], 4)))
            if progress:
                progress(update, done, losses)
        if now - saved > pace.save_seconds:
            _save(folder, students, update, watch)
            saved = now
    _save(folder, students, update, watch)
    return {s.name: s.average.cpu().eval() for s in students}, {s.name: s.curve for s in students}, update


def read_network(path: Path, settings: Settings) -> tuple[HeartNet, int]:
    """A network of a joint training with averaged weights, and the number of its updates."""
    content = torch.load(path, weights_only=True, map_location="cpu")
    net = new_network(settings)
    net.load_state_dict(content["average"])
    return net.eval(), int(content["updates"])


def _student(name: str, unseen: frozenset[str], settings: Settings, pace: Pace) -> _Student:
    torch.manual_seed(settings.seed)
    fresh: Any = new_network(settings)  # torch's own types know memory_format from 2.14 on only
    net: HeartNet = fresh.to(pace.device, memory_format=pace.layout)
    average = new_network(settings).to(pace.device)
    average.load_state_dict(net.state_dict())
    optimizer = torch.optim.AdamW(
        net.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=pace.device == "cuda"
    )
    waiting: deque[Packed] = deque(maxlen=3 * settings.batch)
    return _Student(name, unseen, net, average, optimizer, waiting, torch.full((), 2.0, device=pace.device))


def _fill(students: Sequence[_Student], stream: Iterator[Packed], batch: int, crop: Packed | None) -> None:
    """Hand out crops until each network has a batch of those that it may see."""
    while crop is not None or any(len(s.waiting) < batch for s in students):
        crop = crop or next(stream)
        for student in students:
            if crop.name not in student.hidden:
                student.waiting.append(crop)
        crop = None


def _update_all(students: Sequence[_Student], settings: Settings, rate: float, update: int, pace: Pace) -> None:
    """One update of each network; a crop that several learn from travels to the device once."""
    batches = [[s.waiting.popleft() for _ in range(settings.batch)] for s in students]
    distinct = list({id(c): c for batch in batches for c in batch}.values())
    place = {id(c): n for n, c in enumerate(distinct)}
    hu, share, slices, levels = unpacked(distinct, pace.device)
    x = windowed(hu, settings.windows).transpose(0, 1)
    target = share[:, None]
    above = heights(slices, levels, settings.spacing_mm) if settings.heights else None
    for student, batch in zip(students, batches, strict=True):
        # Stacked, not indexed: a list of indices would travel to the device and wait for it.
        chosen = [place[id(c)] for c in batch]
        own = [torch.stack([v[n] for n in chosen]) if v is not None else None for v in (x, target, above)]
        assert own[0] is not None
        assert own[1] is not None
        loss = _loss(student.net, own[0], own[1], own[2], settings, pace)
        for group in student.optimizer.param_groups:
            group["lr"] = rate
        student.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        # Seen with bfloat16 on a CPU: one layer's gradient of one update not finite, and not so when computed again. Clipping would spread it.
        for value in student.net.parameters():
            if value.grad is not None:
                torch.nan_to_num_(value.grad, nan=0.0, posinf=0.0, neginf=0.0)
        torch.nn.utils.clip_grad_norm_(student.net.parameters(), 12.0)
        student.optimizer.step()
        with torch.no_grad():
            decay = min(settings.average, (1 + update) / (10 + update))
            torch._foreach_lerp_(list(student.average.parameters()), list(student.net.parameters()), 1 - decay)
            # The first updates count in full.
            student.loss.lerp_(loss.detach(), max(0.02, 1 / (1 + update)))


def _loss(
    net: HeartNet, x: torch.Tensor, target: torch.Tensor, above: torch.Tensor | None, settings: Settings, pace: Pace
) -> torch.Tensor:
    x = x.contiguous(memory_format=pace.layout)
    with torch.autocast(pace.device, dtype=torch.bfloat16, enabled=settings.mixed_precision):
        fine, coarse = net.both(x)
    fine, coarse = fine.float(), coarse.float()
    loss = heart_loss(fine[:, :1], target) + DEEP_WEIGHT * heart_loss(coarse[:, :1], halved(target))
    if above is not None:
        loss = loss + settings.height_weight * height_loss(fine[:, 1:], above, target != UNSEEN)
    return loss


def _save(folder: Path, students: Sequence[_Student], updates: int, watch: Watch | None) -> None:
    """The averaged weights, which models are made of, one file a network; a joint training is not gone on with."""
    for student in students:
        buffer = io.BytesIO()
        weights = {k: v.detach().cpu() for k, v in student.average.state_dict().items()}
        torch.save({"updates": updates, "average": weights}, buffer)
        with whole_file(folder / f"{student.name}.pt") as file:
            file.write(buffer.getbuffer())
    if watch:
        watch(updates, {s.name: s.average for s in students})
