"""Large networks patch by patch, as nnU-Net v2 does it: spacing, padding, tiles, Gaussian weights, mirroring.

After nnU-Net v2 (Isensee et al., Nat Methods 18, 203 (2021); Apache-2.0), checked against its own predictor in the tests.
Two things differ, neither in the labels: sums are kept in single instead of half precision, and only for as many slices as
a patch is thick; and classes are brought back to the image's grid only where heart may win. Memory is bounded: what the
finished classes of a large body need beyond a gigabyte lies in a temporary file.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from itertools import chain, combinations, product

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_fill_holes, find_objects, gaussian_filter, map_coordinates
from skimage.transform import resize

from rtqc.core.grid import Grid
from rtqc.core.volumes import Image
from rtqc.heart.engine import DeviceError, Engine, MemoryShortageError, heart_margin
from rtqc.heart.intensity import scaled
from rtqc.heart.looks import Found
from rtqc.heart.manifest import Manifest
from rtqc.heart.resample import averaged, covering_grid, to_axial

Volume = NDArray[np.float32]
Shape = tuple[int, int, int]
#: (channels, slices, rows, columns), in half precision as nnU-Net keeps it.
Output = NDArray[np.float16]

#: nnU-Net's ``ANISO_THRESHOLD``: a spacing so many times another is resampled by itself.
_ANISOTROPIC = 3.0
#: nnU-Net's ``sigma_scale``: standard deviation of the Gaussian weights over the patch's size.
_SIGMA = 1 / 8
#: nnU-Net's ``value_scaling_factor``.
_PEAK = 10.0
#: Logit where nothing was looked at: surely no heart.
_SURE = 20.0
#: Finished outputs up to this size stay in memory.
_IN_MEMORY_BYTES = 2**30


def slide(image: Image, engine: Engine) -> Found:
    """Find the heart patch by patch.

    Args:
        image: a CT of any orientation.
        engine: any model.

    Returns:
        Logits on the image's own voxels, turned to axial and evenly spaced where they were not.

    Raises:
        DeviceError: even small patches do not fit into the device's memory.
    """
    manifest = engine.manifest
    hu, grid = _even_axial(image)
    turned = _turned(hu, manifest)
    own = (grid.slice_spacing_mm, *grid.spacing_mm)
    spacing = [own[axis] for axis in manifest.transpose]
    box = _nonzero_box(turned) if manifest.crop_nonzero else (slice(None),) * 3
    cropped = turned[box]
    shape = tuple(round(float(s * n / t)) for s, n, t in zip(spacing, cropped.shape, manifest.spacing_mm, strict=True))
    channels = np.stack([_resized(c, shape, spacing, manifest.spacing_mm, manifest) for c in scaled(cropped, manifest)])
    outputs = _tiled(channels, engine)
    whole = np.full(turned.shape, -_SURE, np.float32)
    whole[box] = _native(outputs, cropped.shape, spacing, manifest)
    return Found(np.ascontiguousarray(_turned_back(whole, manifest)), grid)


def _even_axial(image: Image) -> tuple[Volume, Grid]:
    axial = to_axial(image)
    if axial is None:
        spacing = (image.grid.slice_spacing_mm, *image.grid.spacing_mm)
        grid = covering_grid(image.grid, (max(spacing),) * 3)
        return averaged(image, grid), grid
    grid = axial.grid
    if grid.is_even:
        return axial.hu, grid
    step = grid.slice_spacing_mm
    positions = np.arange(grid.positions_mm[0], grid.positions_mm[-1] + step / 2, step)
    index = np.interp(positions, grid.positions_mm, np.arange(grid.positions_mm.size))
    below = np.floor(index).astype(int)
    above = np.minimum(below + 1, grid.positions_mm.size - 1)
    share = (index - below).astype(np.float32)[:, None, None]
    even = Grid(grid.orientation, grid.origin_mm, grid.spacing_mm, grid.size, tuple(float(p) for p in positions), step)
    return np.asarray(axial.hu[below] * (1 - share) + axial.hu[above] * share, np.float32), even


def _flipped_axes(manifest: Manifest) -> tuple[int, ...]:
    return tuple(2 - place for place, letter in enumerate(manifest.axes) if letter in "RAI")


def _turned(values: Volume, manifest: Manifest) -> Volume:
    return np.transpose(np.flip(values, _flipped_axes(manifest)), manifest.transpose)


def _turned_back(values: Volume, manifest: Manifest) -> Volume:
    return np.flip(np.transpose(values, np.argsort(manifest.transpose)), _flipped_axes(manifest))


def _nonzero_box(values: Volume) -> tuple[slice, ...]:
    boxes = find_objects(binary_fill_holes(values != 0).astype(np.int8))
    return boxes[0] if boxes else (slice(None),) * 3


def _resized(
    values: Volume, shape: Sequence[int], spacing: Sequence[float], new_spacing: Sequence[float], manifest: Manifest
) -> Volume:
    """Splines on the voxels' common outer border; the coarse axis of a flat voxel by itself."""
    if values.shape == tuple(shape):
        return values
    axis = _flat_axis(spacing, new_spacing, manifest.separate_slices)
    if axis is None:
        return _splined(values, shape, manifest.order)
    moved = np.moveaxis(values, axis, 0)
    inner = [n for i, n in enumerate(shape) if i != axis]
    planes = np.stack([_splined(plane, inner, manifest.order) for plane in moved])
    if len(planes) != shape[axis]:
        at = len(planes) / shape[axis] * (np.arange(shape[axis]) + 0.5) - 0.5
        if manifest.order_slices == 0:
            planes = planes[np.clip(np.floor(at + 0.5).astype(int), 0, len(planes) - 1)]
        else:
            mesh = np.meshgrid(at, np.arange(inner[0]), np.arange(inner[1]), indexing="ij")
            planes = map_coordinates(planes, mesh, order=manifest.order_slices, mode="nearest")
    return np.asarray(np.moveaxis(planes, 0, axis), np.float32)


def _splined(values: Volume, shape: Sequence[int], order: int) -> Volume:
    result = resize(values, shape, order, mode="edge", anti_aliasing=False)  # type: ignore[no-untyped-call]
    return np.asarray(result, np.float32)


def _flat_axis(spacing: Sequence[float], new_spacing: Sequence[float], separate: bool | None) -> int | None:
    """The axis to be resampled by itself, if any: nnU-Net's ``determine_do_sep_z_and_axis``."""
    if separate is False:
        return None
    for candidate in (spacing,) if separate else (spacing, new_spacing):
        steps = np.asarray(candidate, float)
        if separate or steps.max() / steps.min() > _ANISOTROPIC:
            coarsest = np.flatnonzero(steps == steps.max())
            return int(coarsest[0]) if coarsest.size == 1 else None
    return None


def _native(outputs: Output, shape: Sequence[int], spacing: Sequence[float], manifest: Manifest) -> Volume:
    """The heart's margin on the image's voxels: each channel interpolated linearly, then the best one taken.

    The other way round would give too small a heart wherever two of its neighbours meet.
    """
    result = np.full(tuple(shape), -_SURE, np.float32)
    margin = np.stack([heart_margin(np.asarray(outputs[:, k], np.float32), manifest) for k in range(outputs.shape[1])])
    where = find_objects((margin > -1).astype(np.int8))
    if not where:
        return result
    flat = _flat_axis(manifest.spacing_mm, spacing, manifest.separate_slices)
    target, weights, source = [], [], []
    for axis, part in enumerate(where[0]):
        low, high = max(part.start - 2, 0), min(part.stop + 2, margin.shape[axis])
        at = np.clip(margin.shape[axis] / shape[axis] * (np.arange(shape[axis]) + 0.5) - 0.5, 0, margin.shape[axis] - 1)
        if axis == flat and manifest.order_slices == 0:
            at = np.floor(at + 0.5)
        rows = np.flatnonzero((at >= low) & (at <= high - 1))
        if not rows.size:
            return result
        target.append(slice(int(rows[0]), int(rows[-1]) + 1))
        source.append(slice(low, high))
        weights.append(np.clip(1 - np.abs(at[rows, None] - np.arange(low, high)), 0, None).astype(np.float32))
    channels = []
    for channel in outputs[(slice(None), *source)]:
        values = np.asarray(channel, np.float32)
        for axis in range(3):
            values = np.moveaxis(np.tensordot(weights[axis], values, (1, axis)), 0, axis)
        channels.append(values)
    result[tuple(target)] = heart_margin(np.stack(channels), manifest)
    return result


def _tiled(channels: Volume, engine: Engine) -> Output:
    """The network's output over a whole volume, in smaller patches where the device's memory is short."""
    patch = engine.manifest.patch
    multiple = engine.manifest.size_multiple
    while True:
        try:
            return _tiled_with(channels, patch, engine)
        except MemoryShortageError as error:
            smaller = tuple(max(-(-p // 2 // multiple) * multiple, multiple) for p in patch)
            if smaller == patch:
                raise DeviceError(
                    f"{engine.device} has not enough memory for {engine.manifest.name}, even in patches of {patch} voxels: use --device cpu"
                ) from error
            patch = (smaller[0], smaller[1], smaller[2])
            engine.say_smaller(patch)


def _tiled_with(channels: Volume, patch: Shape, engine: Engine) -> Output:
    shape = channels.shape[1:]
    short = [max(p - n, 0) for p, n in zip(patch, shape, strict=True)]
    padded = np.pad(channels, [(0, 0), *((n // 2, n - n // 2) for n in short)])
    places, weight_of = (_spread, _blurred_peak) if engine.manifest.tiling == "nnunet" else (_stepped, _gaussian)
    starts = [places(n, p, 1 - engine.manifest.overlap) for n, p in zip(padded.shape[1:], patch, strict=True)]
    weight = weight_of(patch)
    total: Volume | None = None
    finished: Output | None = None
    weights = np.zeros((patch[0], *padded.shape[2:]), np.float32)
    for number, k in enumerate(starts[0]):
        for i, j in product(starts[1], starts[2]):
            tile = padded[:, k : k + patch[0], i : i + patch[1], j : j + patch[2]]
            output = _mirrored(tile, engine)
            if total is None:
                total = np.zeros((output.shape[0], patch[0], *padded.shape[2:]), np.float32)
            total[:, :, i : i + patch[1], j : j + patch[2]] += output * weight
            weights[:, i : i + patch[1], j : j + patch[2]] += weight
        assert total is not None
        if finished is None:
            finished = _room((total.shape[0], *padded.shape[1:]))
        # Slices above the next row of patches are complete: hand them over and make room.
        done = starts[0][number + 1] - k if number + 1 < len(starts[0]) else patch[0]
        finished[:, k : k + done] = total[:, :done] / weights[:done]
        total[:, : patch[0] - done], weights[: patch[0] - done] = total[:, done:].copy(), weights[done:].copy()
        total[:, patch[0] - done :], weights[patch[0] - done :] = 0, 0
    inner = tuple(slice(n // 2, n // 2 + size) for n, size in zip(short, shape, strict=True))
    assert finished is not None
    return finished[(slice(None), *inner)]


def _room(shape: tuple[int, ...]) -> Output:
    """An array in memory, or in a temporary file that goes with it."""
    if np.prod(shape) * 2 <= _IN_MEMORY_BYTES:
        return np.empty(shape, np.float16)
    with tempfile.TemporaryFile() as file:
        return np.memmap(file, np.float16, "w+", shape=shape)


def _mirrored(tile: Volume, engine: Engine) -> Volume:
    """The network's output, averaged over mirrored copies of its input where the model asks for them."""
    outputs = [np.flip(engine.run(np.flip(tile, axes)), axes) for axes in _mirrorings(engine.manifest.mirror_axes)]
    return outputs[0] if len(outputs) == 1 else np.asarray(np.mean(outputs, axis=0), np.float32)


def _mirrorings(axes: Sequence[int]) -> Iterator[tuple[int, ...]]:
    return chain.from_iterable(combinations([a + 1 for a in axes], n) for n in range(len(axes) + 1))


def _spread(size: int, window: int, step: float) -> list[int]:
    """Starts of windows that lie at most ``step`` windows apart and end with the image: nnU-Net's tiles."""
    count = int(np.ceil((size - window) / (window * step))) + 1
    return [0] if count < 2 else [int(np.round((size - window) / (count - 1) * i)) for i in range(count)]


def _stepped(size: int, window: int, step: float) -> list[int]:
    """Starts of windows that lie ``step`` windows apart, the last one moved in: MONAI's tiles."""
    interval = max(int(window * step), 1)
    count = max(int(np.ceil((size - window) / interval)) + 1, 1)
    return list(dict.fromkeys(min(i * interval, size - window) for i in range(count)))


def _blurred_peak(patch: Shape) -> Volume:
    """nnU-Net's weights."""
    peak = np.zeros(patch)
    peak[tuple(n // 2 for n in patch)] = 1
    weight = gaussian_filter(peak, [n * _SIGMA for n in patch], mode="constant")
    weight *= _PEAK / weight.max()
    # Half precision, as nnU-Net has it, decides where the weight is 0 and must not be.
    half = weight.astype(np.float16)
    half[half == 0] = half[half > 0].min()
    return np.asarray(half, np.float32)


def _gaussian(patch: Shape) -> Volume:
    """MONAI's weights."""
    lines = [np.exp(-0.5 * ((np.arange(n) - (n - 1) / 2) / (n * _SIGMA)) ** 2) for n in patch]
    weight = lines[0][:, None, None] * lines[1][:, None] * lines[2]
    return np.asarray(np.maximum(weight, max(float(weight.min()), 1e-3)), np.float32)
