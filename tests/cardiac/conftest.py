"""Hearts with calcium of known place and size."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt, gaussian_filter
from scipy.spatial import cKDTree

from rtqc.cardiac import Heart, Measured, agatston, measure
from rtqc.core import Grid, Image, Mask, Structure
from rtqc.core.acquisition import Acquisition
from rtqc.core.cardiac import Calcification as Found
from rtqc.geometry import rasterize, trace
from rtqc.heart import draft_heart
from rtqc.phantom import Anatomy
from rtqc.phantom.coronary import Calcification, courses, plant_annulus, plant_line, plant_vessel, render_heart
from rtqc.phantom.render import contours
from rtqc.pipeline import heart_of

AT_120 = Acquisition(kvp=120.0)


@dataclass(frozen=True)
class Scanned:
    """A synthetic heart as a scanner saw it."""

    image: Image
    heart: Structure

    def measured(self, acquisition: Acquisition = AT_120, **options: object) -> Measured:
        return measure(self.image, Heart(self.heart), acquisition, **options)  # type: ignore[arg-type]


def anatomy_of(seed: int | None = None) -> Anatomy:
    return replace(Anatomy() if seed is None else Anatomy.random(seed), contrast_hu=0.0)


def grid_of(anatomy: Anatomy, slice_mm: float = 3.0, pixel_mm: float = 0.8) -> Grid:
    n = round(230 / pixel_mm)
    origin = (-105.0, -115.0, -82.0 - anatomy.breath_mm * 0.55)
    return Grid.regular((round(160 / slice_mm), n, n), (slice_mm, pixel_mm, pixel_mm), origin)


def scanned(
    anatomy: Anatomy, calcifications: list[Calcification], slice_mm: float = 3.0, pixel_mm: float = 0.8, **how: float
) -> Scanned:
    grid = grid_of(anatomy, slice_mm, pixel_mm)
    image = render_heart(anatomy, grid, calcifications, **how)  # type: ignore[arg-type]
    return Scanned(image, _outline(anatomy, grid))


@lru_cache(maxsize=2)
def _outline(anatomy: Anatomy, grid: Grid) -> Structure:
    return contours(anatomy, grid, {"Heart": "heart"})["Heart"]


def measured_in_draft(image: Image) -> Measured:
    """As a user would measure a scan: in the model's own draft."""
    return measure(image, heart_of(draft_heart(image, device="cpu")), AT_120)


def nearest(measured: Measured, planted: Calcification) -> Found | None:
    """The calcification that was found where one was planted; None where there is none within 6 mm."""
    calcium = measured.cardiac.calcium
    assert calcium is not None
    away = [
        (sum((a - b) ** 2 for a, b in zip(x.position_mm, planted.centre_mm, strict=True)) ** 0.5, x)
        for x in (*calcium.lesions, *calcium.others)
    ]
    best = min(away, key=lambda pair: pair[0], default=None)
    return best[1] if best is not None and best[0] < 6 else None


def score_at(image: Image, balls: list[Calcification]) -> float:
    """The score of all that is dense within 4 mm of what was planted."""
    grid = image.grid
    dense = np.argwhere(image.hu >= 130)
    away, _ = cKDTree([b.centre_mm for b in balls]).query(grid.patient_mm(dense))
    voxels = np.zeros(grid.shape, bool)
    voxels[tuple(dense[away < 4].T)] = True
    return agatston(image.hu, voxels, grid)


def fork(anatomy: Anatomy) -> list[Calcification]:
    """Left main, half of the LAD and LCX, calcified in one piece."""
    lines = courses(anatomy)
    return [
        *plant_vessel(anatomy, "LM/LAD", 0.0, 0.55, 1.8, 600.0),
        *plant_line(np.stack([lines["LM/LAD"][0], lines["LCX"][0]]), 1.8, 600.0, "LM/LAD"),
        *plant_vessel(anatomy, "LCX", 0.0, 0.4, 1.8, 600.0),
    ]


def annulus(anatomy: Anatomy) -> list[Calcification]:
    """The back half of the mitral annulus, thick."""
    return plant_annulus(anatomy, 3.5, 700.0)


def noise_like(grid: Grid, kernel_mm: float, seed: int) -> np.ndarray:  # type: ignore[type-arg]
    """Noise of standard deviation 1: white, or as smooth as a soft kernel makes it."""
    noise = np.random.default_rng(seed).standard_normal(grid.shape, np.float32)
    if kernel_mm:
        noise = gaussian_filter(noise, (0, *(kernel_mm / s for s in grid.spacing_mm)))
    return np.asarray(noise / noise.std())


def moved_outline(heart: Structure, grid: Grid, seed: int, spread_mm: float, larger_mm: float = 0.0) -> Structure:
    """An outline as another hand might draw it: its surface moved by a smooth random field, and outward everywhere."""
    steps = (grid.slice_spacing_mm, *grid.spacing_mm)
    inside = rasterize(heart, grid).array
    # Beyond some centimetres nothing is moved, and distances are of no interest.
    near = tuple(
        slice(max(int(at.min() - 40 / step), 0), int(at.max() + 40 / step) + 1)
        for at, step in zip(np.nonzero(inside), steps, strict=True)
    )
    depth = np.full(grid.shape, -1e3)
    depth[near] = distance_transform_edt(inside[near], sampling=steps) - distance_transform_edt(~inside[near], sampling=steps)
    field = gaussian_filter(np.random.default_rng(seed).standard_normal(grid.shape), [12 / s for s in steps])
    return trace(Mask(grid, depth + spread_mm * field / field.std() + larger_mm > 0), "Heart")


@pytest.fixture(scope="session")
def clean_heart() -> Scanned:
    """A heart without calcium."""
    return scanned(anatomy_of(), [])
