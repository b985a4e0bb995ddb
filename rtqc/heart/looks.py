"""Finding the heart with a small network: one coarse look at the whole body, then close looks at what was found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects, label

from rtqc.core.grid import Grid
from rtqc.heart.engine import DeviceError, Engine, MemoryShortageError, heart_margin
from rtqc.heart.manifest import LevelName

Volume = NDArray[np.float32]
Box = tuple[slice, slice, slice]

#: What is denser than this (HU) is body, couch or clothes; the largest piece of it is the body.
BODY_HU = -400.0
#: Windows of the first look are at most this large, in voxels (slices, rows, columns); larger bodies take several.
_LARGEST_WINDOW = (112, 112, 128)
#: The close looks: offset of the window in voxels (the network halves its grid four times, so another start is another
#: sampling of the same anatomy), factor and HU added (a scanner's calibration may be off by so much). Where the looks
#: disagree the draft is unsure.
_CLOSE_LOOKS = (((0, 0, 0), 1.0, 0.0), ((5, -6, 7), 1.04, 12.0))


@dataclass(frozen=True, eq=False)
class Found:
    """What a model sees, before anything is cleaned.

    Attributes:
        logits: heart above 0, shape ``grid.shape``.
        grid: an even axial grid.
        looks: the same from single looks, as far as there were several; what they agree on is sure.
        heights: heights above levels of the chest, by level, as far as the model tells them, in units of
            :data:`rtqc.heart.levels.HEIGHT_SCALE_MM`; NaN where it was not asked.
    """

    logits: Volume
    grid: Grid
    looks: tuple[Volume, ...] = ()
    heights: Mapping[LevelName, Volume] = field(default_factory=dict)


def look(hu: Volume, grid: Grid, engine: Engine, smallest_ml: float) -> Found:
    """Find the heart in a volume on the model's grid.

    Args:
        hu: shape ``grid.shape``.
        grid: even, axial, of the model's spacing.
        engine: a model that takes any size.
        smallest_ml: what is smaller is not looked at again.

    """
    first = _first_look(hu, engine)
    piece = largest_piece(first)
    if piece.sum() * float(grid.voxel_volumes_ml[0]) < smallest_ml:
        return Found(first, grid)
    low = float(first.min())
    looks = [first]
    told: dict[LevelName, list[Volume]] = {}
    for offset, factor, added in _CLOSE_LOOKS:
        window = _close_box(piece, engine.manifest.patch, hu.shape, offset)
        output = engine.outputs(hu[window] * np.float32(factor) + np.float32(added))
        close = heart_margin(output, engine.manifest)
        whole = np.full(hu.shape, min(low, float(close.min())), np.float32)
        whole[window] = close
        looks.append(whole)
        for name, channel in engine.manifest.level_channels.items():
            told.setdefault(name, []).append(_placed(output[channel], window, hu.shape))
    heights = {name: _mean_of_known(*values) for name, values in told.items()}
    return Found(np.asarray(np.mean(looks[1:], axis=0), np.float32), grid, tuple(looks), heights)


def _placed(values: Volume, window: Box, shape: tuple[int, ...]) -> Volume:
    """Values of a window in the whole volume; NaN elsewhere."""
    whole = np.full(shape, np.nan, np.float32)
    whole[window] = values
    return whole


def _mean_of_known(first: Volume, second: Volume) -> Volume:
    """Mean of two volumes where both have a value, else the one that there is."""
    both = (first + second) / 2
    return np.where(np.isnan(both), np.fmax(first, second), both)


def largest_piece(voxels: Volume | NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The largest connected piece above 0, or of what is true."""
    labels, count = label(voxels > 0)
    if count == 0:
        return np.zeros(voxels.shape, bool)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return np.asarray(labels == sizes.argmax())


def body_box(hu: Volume) -> Box:
    """Where the body is; everything where nothing looks like one."""
    body = largest_piece(hu > BODY_HU)
    if not body.any():
        return (slice(0, hu.shape[0]), slice(0, hu.shape[1]), slice(0, hu.shape[2]))
    box = find_objects(body.astype(np.int8))[0]
    rows, columns = (slice(max(s.start - 2, 0), min(s.stop + 2, n)) for s, n in zip(box[1:], hu.shape[1:], strict=True))
    return (slice(0, hu.shape[0]), rows, columns)


def _first_look(hu: Volume, engine: Engine) -> Volume:
    """Logits of the whole body, in overlapping windows where it is larger than one, smaller ones where memory is short."""
    window = _LARGEST_WINDOW
    while True:
        try:
            return _in_windows(hu, engine, window)
        except MemoryShortageError as error:
            smaller = tuple(max(n // 2, m) for n, m in zip(window, engine.manifest.patch, strict=True))
            if smaller == window:
                raise DeviceError(
                    f"{engine.device} has not enough memory for {engine.manifest.name}: use --device cpu"
                ) from error
            window = (smaller[0], smaller[1], smaller[2])
            engine.say_smaller(window)


def _in_windows(hu: Volume, engine: Engine, largest: tuple[int, int, int]) -> Volume:
    total = np.zeros(hu.shape, np.float32)
    weight = np.zeros(hu.shape, np.float32)
    starts = [_starts(n, w) for n, w in zip(hu.shape, largest, strict=True)]
    for k in starts[0]:
        for i in starts[1]:
            for j in starts[2]:
                window = tuple(slice(s, min(s + w, n)) for s, w, n in zip((k, i, j), largest, hu.shape, strict=True))
                total[window] += engine.logits(hu[window])
                weight[window] += 1
    return np.asarray(total / weight, np.float32)


def _starts(size: int, window: int) -> list[int]:
    """Starts of windows that overlap by at least a third."""
    if size <= window:
        return [0]
    count = int(np.ceil((size - window) / (window * 2 / 3))) + 1
    return [round(i * (size - window) / (count - 1)) for i in range(count)]


def _close_box(piece: NDArray[np.bool_], patch: tuple[int, ...], shape: tuple[int, ...], offset: tuple[int, int, int]) -> Box:
    """A window of the training patch's size around what was found, larger where the piece is."""
    where = np.argwhere(piece)
    low, high = where.min(axis=0), where.max(axis=0) + 1
    size = np.maximum(patch, high - low + 8)
    start = np.clip(np.round(where.mean(axis=0) - size / 2) + offset, 0, np.maximum(np.array(shape) - size, 0)).astype(int)
    start = np.minimum(start, low)
    stop = np.minimum(np.maximum(start + size, high), shape)
    k, i, j = (slice(int(a), int(b)) for a, b in zip(start, stop, strict=True))
    return (k, i, j)
