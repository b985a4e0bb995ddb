"""What the network learns from: images and hearts on the model's grid, real ones and synthetic ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label

from rtqc.core.grid import Grid
from rtqc.core.structure import Structure
from rtqc.core.volumes import Image
from rtqc.core.whole_file import whole_file
from rtqc.geometry.rasterize import cover
from rtqc.heart.resample import averaged
from rtqc.phantom.anatomy import Anatomy, organs_at
from rtqc.phantom.chest import Mediastinum, render_chest
from rtqc.phantom.render import points_of, render_ct

#: Field of a synthetic sample, mm: a thorax with its neighbourhood.
_SYNTHETIC_EXTENT_MM = (336.0, 352.0, 416.0)
#: Heart share of a voxel that the image does not show.
UNSEEN = -1.0
#: Heart share of a voxel of which whoever judged a draft could not tell whether it is heart.
UNKNOWN = -2.0
#: Levels of a patient in whom nobody has read them.
UNREAD = (math.nan, math.nan, math.nan)
#: Darker than this is air: lungs and what is outside the body.
_AIR_HU = -400.0


@dataclass(frozen=True, eq=False)
class Sample:
    """One patient on the model's grid.

    Attributes:
        name: patient or seed.
        grid: even axial grid of the model's spacing.
        hu: float16, shape ``grid.shape``, in HU.
        heart: float16, share of each voxel that is heart, 0 to 1; :data:`UNKNOWN` where nobody knows.
        real: whether it is a patient.
        judged: whether the heart is a draft that was judged by eye, not drawn by hand.
        levels: slice index, with fractions, of carina, lower border of the left pulmonary artery and the heart's lower end;
            NaN where nobody has read it.
    """

    name: str
    grid: Grid
    hu: NDArray[np.float16]
    heart: NDArray[np.float16]
    real: bool
    judged: bool = False
    levels: tuple[float, float, float] = UNREAD

    @cached_property
    def middle(self) -> NDArray[np.float64]:
        """Index (slice, row, column) of the heart's centre; of the image's where it has no heart."""
        where = np.argwhere(self.heart > 0.5)
        return where.mean(axis=0) if where.size else np.array(self.heart.shape) / 2

    @cached_property
    def lungs(self) -> NDArray[np.bool_]:
        """Air inside the body, shape ``grid.shape``."""
        return enclosed_air(self.hu)


def enclosed_air(hu: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Air that reaches no side of an image (slices, rows, columns) in a transverse plane."""
    labels, _ = label(hu < _AIR_HU)
    sides = np.unique(np.concatenate([labels[:, [0, -1]].ravel(), labels[:, :, [0, -1]].ravel()]))
    return np.asarray((labels > 0) & ~np.isin(labels, sides))


def model_grid(image: Image, spacing_mm: float) -> Grid:
    """The axial grid of the model's spacing that covers an image."""
    corners = image.grid.corners_mm()
    low, high = corners.min(axis=0), corners.max(axis=0)
    shape = np.maximum(np.round((high - low) / spacing_mm).astype(int) + 1, 1)
    return Grid.regular(shape[::-1], (spacing_mm,) * 3, low)


def real_sample(name: str, image: Image, heart: Structure, spacing_mm: float) -> Sample:
    """A patient whose heart was drawn by hand."""
    grid = model_grid(image, spacing_mm)
    # Four sub-planes a voxel give the share of the voxel along z too; cover is exact within the plane.
    fine = Grid.regular(
        (grid.shape[0] * 4, *grid.size),
        (spacing_mm / 4, spacing_mm, spacing_mm),
        grid.patient_mm([(0, 0, 0)])[0] - (0, 0, spacing_mm * 3 / 8),
    )
    share = cover(heart, fine).reshape(grid.shape[0], 4, *grid.size).mean(axis=1)
    return Sample(name, grid, averaged(image, grid).astype(np.float16), share.astype(np.float16), real=True)


def synthetic_sample(seed: int, spacing_mm: float) -> Sample:
    """A patient of :mod:`rtqc.phantom`, drawn by its seed."""
    anatomy = Anatomy.random(seed)
    rng = np.random.default_rng([seed, 7])
    shape = [round(e / spacing_mm) for e in _SYNTHETIC_EXTENT_MM]
    origin = (-_SYNTHETIC_EXTENT_MM[2] / 2, -_SYNTHETIC_EXTENT_MM[1] / 2 - 10, -170 + rng.uniform(-20, 20))
    grid = Grid.regular(shape, (spacing_mm,) * 3, origin)
    # Noise averages out when fine voxels become the model's coarse ones.
    image = render_ct(anatomy, grid, noise_hu=float(rng.uniform(2, 8)))
    heart = np.broadcast_to(organs_at(anatomy, points_of(grid)).heart, grid.shape)
    share = np.clip(0.5 - heart / spacing_mm, 0, 1)
    return Sample(f"synthetic-{seed}", grid, image.hu.astype(np.float16), share.astype(np.float16), real=False)


def chest_sample(seed: int, spacing_mm: float) -> Sample:
    """A patient of :mod:`rtqc.phantom.chest`, drawn by its seed, with the levels of its chest."""
    anatomy = Anatomy.random(seed)
    rng = np.random.default_rng([seed, 13])
    shape = [round(e / spacing_mm) for e in _SYNTHETIC_EXTENT_MM]
    origin = (-_SYNTHETIC_EXTENT_MM[2] / 2, -_SYNTHETIC_EXTENT_MM[1] / 2 - 10, -180 + rng.uniform(-20, 20))
    grid = Grid.regular(shape, (spacing_mm,) * 3, origin)
    chest = render_chest(anatomy, Mediastinum.random(anatomy, seed), grid)
    hu = chest.hu + rng.normal(0, rng.uniform(2, 8), grid.shape)
    return Sample(
        f"synthetic-{seed}",
        grid,
        hu.astype(np.float16),
        chest.heart.astype(np.float16),
        real=False,
        levels=slice_levels(grid, chest.levels_mm),
    )


def slice_levels(grid: Grid, levels_mm: Sequence[float | None]) -> tuple[float, float, float]:
    """Slice indices, with fractions, of heights in an axial grid; NaN where a height is not known."""
    first, step = float(grid.positions_mm[0]), grid.slice_spacing_mm
    a, b, c = (math.nan if mm is None else (mm - first) / step for mm in levels_mm)
    return (a, b, c)


def write_samples(samples: Sequence[Sample], path: Path) -> None:
    """Keep samples in one file, to train on another machine: images and hearts as they are, nothing else of the patients."""
    arrays: dict[str, NDArray[np.generic]] = {"names": np.array([s.name for s in samples])}
    for number, sample in enumerate(samples):
        grid = sample.grid
        arrays[f"hu{number}"] = np.round(sample.hu.astype(np.float32)).astype(np.int16)
        arrays[f"heart{number}"] = sample.heart
        arrays[f"grid{number}"] = np.array([*grid.patient_mm([(0, 0, 0)])[0], grid.slice_spacing_mm])
        arrays[f"about{number}"] = np.array([*sample.levels, sample.real, sample.judged], np.float64)
    with whole_file(path) as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]


def read_samples(path: Path) -> list[Sample]:
    """Samples as :func:`write_samples` kept them."""
    samples = []
    with np.load(path) as arrays:
        for number, name in enumerate(arrays["names"]):
            hu = arrays[f"hu{number}"]
            *origin, spacing = (float(v) for v in arrays[f"grid{number}"])
            grid = Grid.regular(hu.shape, (spacing,) * 3, origin)
            a, b, c, real, judged = (float(v) for v in arrays[f"about{number}"])
            heart = arrays[f"heart{number}"]
            samples.append(Sample(str(name), grid, hu.astype(np.float16), heart, bool(real), bool(judged), (a, b, c)))
    return samples
