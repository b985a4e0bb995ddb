"""Patients made difficult: what scanners, anatomy and exports do to a CT, with the true heart carried along.

Mild enough to be drafted well at one end, hopeless at the other: a model's confidence is fitted and judged on them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import affine_transform, gaussian_filter, map_coordinates, zoom

from rtqc.core.grid import Grid
from rtqc.core.volumes import Image
from rtqc.training.disturb import Disturbances, disturbed
from rtqc.training.samples import Sample, enclosed_air

Volume = NDArray[np.float32]
Rng = np.random.Generator

_AIR = -1000.0


@dataclass(frozen=True, eq=False)
class Hard:
    """One difficult case.

    Attributes:
        kind: what was done, of :data:`KINDS`.
        image: the CT.
        heart: true heart, bool, shape ``image.grid.shape``.
    """

    kind: str
    image: Image
    heart: NDArray[np.bool_]


#: HU (z, y, x), heart share, grid, generator -> the same, changed; the grid may become a part of itself.
_Change = Callable[[Volume, Volume, Grid, Rng], tuple[Volume, Volume, Grid]]


def _noise(hu: Volume, heart: Volume, grid: Grid, rng: Rng) -> tuple[Volume, Volume, Grid]:
    sigma = float(rng.uniform(20, 260))
    grain = gaussian_filter(rng.standard_normal(hu.shape).astype(np.float32), float(rng.uniform(0, 0.8)))
    return hu + sigma * grain / max(float(grain.std()), 1e-3), heart, grid


def _blur(hu: Volume, heart: Volume, grid: Grid, rng: Rng) -> tuple[Volume, Volume, Grid]:
    step = np.array([grid.slice_spacing_mm, *grid.spacing_mm])
    return np.asarray(gaussian_filter(hu, float(rng.uniform(2, 16)) / step), np.float32), heart, grid


def _wrong_hu(hu: Volume, heart: Volume, grid: Grid, rng: Rng) -> tuple[Volume, Volume, Grid]:
    return np.asarray(hu * rng.uniform(0.6, 1.4) + rng.uniform(-200, 200), np.float32), heart, grid


def _contrast(hu: Volume, heart: Volume, grid: Grid, rng: Rng) -> tuple[Volume, Volume, Grid]:
    depth = gaussian_filter(heart, 2) ** 2 * heart
    return np.asarray(hu + rng.uniform(60, 350) * depth, np.float32), heart, grid


def _thick(hu: Volume, heart: Volume, grid: Grid, rng: Rng) -> tuple[Volume, Volume, Grid]:
    n = int(rng.integers(2, 5))
    count = hu.shape[0] // n
    positions = grid.positions_mm[: count * n].reshape(count, n).mean(axis=1)
    thick = Grid(
        grid.orientation,
        grid.origin_mm,
        grid.spacing_mm,
        grid.size,
        tuple(float(p) for p in positions),
        n * grid.slice_spacing_mm,
    )
    part = (count, n, *grid.size)
    return hu[: count * n].reshape(part).mean(axis=1), heart[: count * n].reshape(part).mean(axis=1), thick


def _missing_slices(hu: Volume, heart: Volume, grid: Grid, rng: Rng) -> tuple[Volume, Volume, Grid]:
    kept = np.flatnonzero(rng.random(hu.shape[0]) > rng.uniform(0.1, 0.6))
    kept = kept if kept.size > 4 else np.arange(hu.shape[0])
    positions = tuple(grid.slice_positions_mm[int(k)] for k in kept)
    gaps = Grid(grid.orientation, grid.origin_mm, grid.spacing_mm, grid.size, positions, grid.slice_spacing_mm)
    return hu[kept], heart[kept], gaps


def _cut(hu: Volume, heart: Volume, grid: Grid, rng: Rng) -> tuple[Volume, Volume, Grid]:
    axis = int(rng.integers(3))
    where = np.flatnonzero(heart.any(axis=tuple(a for a in range(3) if a != axis)))
    at = int(where[0] + rng.uniform(-0.2, 0.5) * where.size)
    at = min(max(at, 0), hu.shape[axis] - 4)
    part = [slice(None)] * 3
    part[axis] = slice(at, None) if rng.random() < 0.5 else slice(None, hu.shape[axis] - at)
    if not heart[tuple(part)].any():
        return hu, heart, grid
    return hu[tuple(part)], heart[tuple(part)], grid.crop(*part)


def _narrow(hu: Volume, heart: Volume, grid: Grid, rng: Rng) -> tuple[Volume, Volume, Grid]:
    """A small field of view: air outside a cylinder."""
    rows, columns = np.meshgrid(*(np.arange(n) - n / 2 for n in grid.size), indexing="ij")
    seen = np.hypot(rows / grid.size[0], columns / grid.size[1]) < rng.uniform(0.22, 0.5)
    return np.where(seen, hu, np.float32(_AIR)), heart * seen, grid


def _streaks(hu: Volume, heart: Volume, grid: Grid, rng: Rng) -> tuple[Volume, Volume, Grid]:
    hu = hu.copy()
    middle = np.argwhere(heart > 0.5).mean(axis=0)
    for _ in range(int(rng.integers(1, 4))):
        z, y, x = middle + rng.normal(0, 10, 3)
        rows, columns = np.meshgrid(np.arange(grid.size[0]) - y, np.arange(grid.size[1]) - x, indexing="ij")
        distance = np.hypot(rows, columns)
        rays = np.cos(int(rng.integers(3, 9)) * np.arctan2(rows, columns) + rng.uniform(0, 6.3))
        pattern = rng.uniform(100, 1500) * rays * np.exp(-distance / rng.uniform(8, 40))
        pattern[distance < 1.5] = 3000.0
        low, high = (int(np.clip(z + d, 0, hu.shape[0])) for d in (-rng.uniform(1, 15), rng.uniform(1, 15)))
        hu[low:high] += pattern.astype(np.float32)
    return hu, heart, grid


def _effusion(hu: Volume, heart: Volume, grid: Grid, rng: Rng) -> tuple[Volume, Volume, Grid]:
    """Fluid in the lungs, up to all of them."""
    lungs = enclosed_air(hu)
    rows = np.flatnonzero(lungs.any(axis=(0, 2)))
    if not rows.size:
        return hu, heart, grid
    fluid = lungs.copy()
    fluid[:, : int(rows[-1] - rng.uniform(0.1, 1.0) * rows.size)] = False
    if rng.random() < 0.6:
        middle = int(np.argwhere(heart > 0.5)[:, 2].mean())
        fluid[:, :, :middle] = False
    return np.where(fluid, np.float32(rng.uniform(0, 30)), hu), heart, grid


def _moved(hu: Volume, heart: Volume, grid: Grid, matrix: NDArray[np.float64]) -> tuple[Volume, Volume, Grid]:
    """Both under a linear map about the heart's middle; ``matrix`` from new to old coordinates in mm."""
    step = np.array([grid.slice_spacing_mm, *grid.spacing_mm])
    index = matrix * step[None, :] / step[:, None]
    middle = np.argwhere(heart > 0.5).mean(axis=0)
    offset = middle - index @ middle
    turned = affine_transform(hu, index, offset, order=1, cval=_AIR)
    share = affine_transform(heart, index, offset, order=1)
    return np.asarray(turned, np.float32), np.asarray(share, np.float32), grid


def _tilted(hu: Volume, heart: Volume, grid: Grid, rng: Rng) -> tuple[Volume, Volume, Grid]:
    axis = int(rng.integers(3))
    a, b = (i for i in range(3) if i != axis)
    angle = np.radians(rng.uniform(10, 60) * rng.choice([-1, 1]))
    matrix = np.eye(3)
    matrix[a, a], matrix[a, b], matrix[b, a], matrix[b, b] = np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)
    return _moved(hu, heart, grid, matrix)


def _sized(hu: Volume, heart: Volume, grid: Grid, rng: Rng) -> tuple[Volume, Volume, Grid]:
    """A child or a giant."""
    return _moved(hu, heart, grid, np.diag(np.exp(rng.normal(0, 0.12, 3) + rng.uniform(-0.35, 0.75))))


def _mirrored(hu: Volume, heart: Volume, grid: Grid, rng: Rng) -> tuple[Volume, Volume, Grid]:
    """Situs inversus, or an export with an axis the wrong way round."""
    axis = int(rng.choice([0, 1, 2], p=[0.3, 0.3, 0.4]))
    return np.ascontiguousarray(np.flip(hu, axis)), np.ascontiguousarray(np.flip(heart, axis)), grid


def _bent(hu: Volume, heart: Volume, grid: Grid, rng: Rng) -> tuple[Volume, Volume, Grid]:
    """Another anatomy: smooth displacements of up to some centimetres."""
    step = np.array([grid.slice_spacing_mm, *grid.spacing_mm])
    strength = rng.uniform(4, 22)
    index = np.stack(np.meshgrid(*(np.arange(n, dtype=np.float32) for n in hu.shape), indexing="ij"))
    for axis in range(3):
        coarse = rng.normal(0, strength / step[axis], (5, 5, 5))
        index[axis] += zoom(coarse, [n / 5 for n in hu.shape], order=2, grid_mode=True, mode="nearest")[
            tuple(slice(n) for n in hu.shape)
        ]
    bent = map_coordinates(hu, index, order=1, cval=_AIR)
    return np.asarray(bent, np.float32), np.asarray(map_coordinates(heart, index, order=1), np.float32), grid


def _disturbed(often: Disturbances) -> _Change:
    """What other hospitals' chests have, planted as in training (:mod:`rtqc.training.disturb`)."""

    def change(hu: Volume, heart: Volume, grid: Grid, rng: Rng) -> tuple[Volume, Volume, Grid]:
        if not grid.is_even:
            return hu, heart, grid
        sample = Sample("stress", grid, hu.astype(np.float16), heart.astype(np.float16), real=False)
        changed = disturbed(torch.from_numpy(hu), torch.from_numpy(heart), sample, often, rng)
        return changed.numpy(), heart, grid

    return change


KINDS: dict[str, _Change] = {
    "noise": _noise,
    "blur": _blur,
    "wrong HU": _wrong_hu,
    "contrast agent": _contrast,
    "thick slices": _thick,
    "missing slices": _missing_slices,
    "cut off": _cut,
    "small field": _narrow,
    "metal": _streaks,
    "effusion": _effusion,
    "tilted": _tilted,
    "other size": _sized,
    "mirrored": _mirrored,
    "other anatomy": _bent,
    "chambers": _disturbed(Disturbances(chambers=1.0)),
    "mass": _disturbed(Disturbances(mass=1.0)),
    "hernia": _disturbed(Disturbances(hernia=1.0)),
    "stomach": _disturbed(Disturbances(stomach=1.0)),
}

#: Kinds that spoil an image in a similar way: a confidence that is to hold elsewhere is fitted on all groups but one and judged on that one.
GROUPS: tuple[frozenset[str], ...] = (
    frozenset({"noise", "blur", "wrong HU", "metal"}),
    frozenset({"thick slices", "missing slices", "cut off", "small field"}),
    frozenset({"contrast agent", "chambers", "effusion", "mass", "hernia", "stomach"}),
    frozenset({"tilted", "other size", "mirrored", "other anatomy"}),
)
#: Joins the kinds of a case that has two.
AND = " + "


def hard_cases(image: Image, heart: Volume, count: int, seed: int) -> Iterator[Hard]:
    """Difficult versions of a patient, one of each kind in turn (the seed says which is first), every third with a second one.

    Args:
        image: an axial CT.
        heart: share of each voxel that is heart, shape ``image.grid.shape``.
        count: how many.
        seed: of everything random.
    """
    names = list(KINDS)
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        kinds = [names[(seed + number) % len(names)]]
        if number % 3 == 2:
            kinds.append(names[int(rng.integers(len(names)))])
        hu, share, grid = np.asarray(image.hu, np.float32), np.asarray(heart, np.float32), image.grid
        for kind in kinds:
            if share.max() > 0.5:
                hu, share, grid = KINDS[kind](hu, share, grid, rng)
        yield Hard(AND.join(kinds), Image(grid, np.ascontiguousarray(hu)), share > 0.5)
