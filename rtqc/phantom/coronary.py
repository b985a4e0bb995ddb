"""A heart with coronaries in its grooves, fat around them, and calcifications of known size, density and place; and what is taken for them.

The courses follow from the chambers (the groove between the ventricles, the groove between atria and ventricles), not from the box that
:mod:`rtqc.cardiac.coronaries` knows them by.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from rtqc.core.grid import Grid
from rtqc.core.volumes import Image
from rtqc.phantom.anatomy import Anatomy, heart_at, in_heart
from rtqc.phantom.render import HU, render_ct
from rtqc.phantom.shapes import Points

Floats = NDArray[np.float64]
Vessel = Literal["LM/LAD", "LCX", "RCA"]
#: Not coronary: what a score must leave out.
Distractor = Literal["aortic valve", "aortic wall", "mitral annulus", "pericardium", "clip", "lead"]

#: Of the unturned heart, in mm (see :func:`rtqc.phantom.anatomy._heart`): the left ventricle's middle, its long axis, the right ventricle's middle.
_LEFT, _LONG, _RIGHT = np.array([32.0, -22.0, -16.0]), np.array([0.68, -0.52, -0.52]), np.array([4.0, -34.0, -14.0])
#: Vessels lie so deep, in mm, are so wide, and have so much fat around.
DEPTH_MM, VESSEL_MM, FAT_MM = 5.5, 1.8, 7.5
#: The left ventricle's base lies so far up its axis from its middle, in mm.
_BASE_MM = 26.0
#: Radius of the mitral annulus, in mm.
_ANNULUS_MM = 14.0
#: Calcium sticks out of nothing: steps of a course, in mm.
_STEP_MM = 1.0


@dataclass(frozen=True)
class Calcification:
    """A ball of calcium.

    Attributes:
        centre_mm: patient coordinates.
        radius_mm: of the ball.
        hu: its CT number.
        where: vessel or what else.
    """

    centre_mm: tuple[float, float, float]
    radius_mm: float
    hu: float
    where: str


def courses(anatomy: Anatomy) -> dict[Vessel, Floats]:
    """Middle lines of the coronaries (n, 3), from their beginning on, in mm."""
    axis = _LONG / np.linalg.norm(_LONG)
    across = _LEFT - _RIGHT
    across -= (across @ axis) * axis
    across /= np.linalg.norm(across)  # from the right ventricle to the left
    front = np.cross(axis, across)
    front = front if front[1] < 0 else -front
    base = _LEFT - _BASE_MM * axis
    # Between the ventricles, in front: from the base to the apex.
    septum = _LEFT - 20 * across
    lad = [(septum + t * axis, front) for t in np.linspace(-_BASE_MM, 44, 60)]
    # Between atria and ventricles: around to the left and back, and around to the right and below.
    groove = base - 14 * across
    left = [(groove, np.cos(a) * front + np.sin(a) * across) for a in np.radians(np.linspace(25, 165, 60))]
    right = [(groove - 12 * across, np.cos(a) * front - np.sin(a) * across) for a in np.radians(np.linspace(10, 165, 70))]
    return {"LM/LAD": _on_surface(anatomy, lad), "LCX": _on_surface(anatomy, left), "RCA": _on_surface(anatomy, right)}


def _on_surface(anatomy: Anatomy, rays: Sequence[tuple[Floats, Floats]]) -> Floats:
    """Where rays from inside the heart come to :data:`DEPTH_MM` below its surface, evenly spaced."""
    starts = in_heart(anatomy, [s for s, _ in rays])
    ways = in_heart(anatomy, [s + w for s, w in rays]) - starts
    ways /= np.linalg.norm(ways, axis=1, keepdims=True)
    near, far = np.zeros(len(rays)), np.full(len(rays), 120.0)
    for _ in range(30):
        middle = (near + far) / 2
        at = starts + middle[:, None] * ways
        inside = heart_at(anatomy, Points(*(at[:, k].astype(np.float32) for k in range(3)))) < -DEPTH_MM
        near, far = np.where(inside, middle, near), np.where(inside, far, middle)
    line = starts + near[:, None] * ways
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
    even = np.arange(0, length[-1], _STEP_MM)
    return np.stack([np.interp(even, length, line[:, k]) for k in range(3)], axis=1)


def plant_coronary(anatomy: Anatomy, vessel: Vessel, along: float, radius_mm: float, hu: float) -> Calcification:
    """A calcification in a vessel, at a part (0 to 1) of its length."""
    course = courses(anatomy)[vessel]
    x, y, z = course[round(along * (len(course) - 1))]
    return Calcification((float(x), float(y), float(z)), radius_mm, hu, vessel)


def plant_vessel(
    anatomy: Anatomy, vessel: Vessel, start: float, end: float, radius_mm: float, hu: float
) -> list[Calcification]:
    """A vessel that is calcified from one part (0 to 1) of its length to another."""
    course = courses(anatomy)[vessel]
    first, last = (round(at * (len(course) - 1)) for at in (start, end))
    return plant_line(course[first : last + 1], radius_mm, hu, vessel)


def plant_line(points_mm: Floats, radius_mm: float, hu: float, where: str) -> list[Calcification]:
    """Balls a radius apart along a line of points (n, 3)."""
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points_mm, axis=0), axis=1))])
    even = np.linspace(0, length[-1], max(int(np.ceil(length[-1] / radius_mm)), 1) + 1)
    line = np.stack([np.interp(even, length, points_mm[:, k]) for k in range(3)], axis=1)
    return [Calcification((float(x), float(y), float(z)), radius_mm, hu, where) for x, y, z in line]


def plant_annulus(anatomy: Anatomy, radius_mm: float, hu: float) -> list[Calcification]:
    """The back half of the mitral annulus, where it calcifies: the ring around the left ventricle's base."""
    axis = _LONG / np.linalg.norm(_LONG)
    base = _LEFT - _BASE_MM * axis
    back = np.array([0.0, 1.0, 0.0]) - axis[1] * axis
    back /= np.linalg.norm(back)
    side = np.cross(axis, back)
    ring = [base + _ANNULUS_MM * (np.cos(a) * back + np.sin(a) * side) for a in np.radians(np.linspace(-75, 75, 30))]
    return plant_line(in_heart(anatomy, ring), radius_mm, hu, "mitral annulus")


def plant_distractor(anatomy: Anatomy, kind: Distractor, radius_mm: float = 3.0, hu: float = 600.0) -> Calcification:
    """Something dense that is no coronary calcium."""
    axis = _LONG / np.linalg.norm(_LONG)
    base = _LEFT - _BASE_MM * axis
    x, y, z = anatomy.heart_shift_mm
    root = np.array([6.0 + x, -10.0 + y, 30.0 + z])
    places: dict[Distractor, Floats] = {
        "aortic valve": root + (-2, 2, -6),
        "aortic wall": root + (-18, -4, 16),
        "mitral annulus": in_heart(anatomy, base + (2, 12, -4))[0],
        "pericardium": _surface_point(anatomy),
        "clip": root + (20, -34, 10),
        "lead": in_heart(anatomy, _RIGHT + (4, 6, -2))[0],
    }
    px, py, pz = places[kind]
    return Calcification((float(px), float(py), float(pz)), radius_mm, {"clip": 3000.0, "lead": 3000.0}.get(kind, hu), kind)


def _surface_point(anatomy: Anatomy) -> Floats:
    """On the pericardium, at the left, low."""
    start = in_heart(anatomy, _LEFT)[0]
    way = np.array([0.88, 0.2, -0.42])
    distances = np.arange(0, 110, 0.25)
    at = start + distances[:, None] * way
    depth = heart_at(anatomy, Points(*(at[:, k].astype(np.float32) for k in range(3))))
    return np.asarray(at[int(np.argmin(np.abs(depth)))], np.float64)


def render_heart(
    anatomy: Anatomy,
    grid: Grid,
    calcifications: Sequence[Calcification] = (),
    *,
    noise_hu: float = 10.0,
    blur_mm: float = 0.6,
    fat_mm: float = 2.5,
    seed: int = 0,
) -> Image:
    """The CT of a patient with coronaries, fat and calcium.

    Args:
        anatomy: the patient.
        grid: axial.
        calcifications: what is dense.
        noise_hu: standard deviation of the noise, in HU.
        blur_mm: standard deviation of the scanner's point spread in the plane, in mm; slices blur by their thickness.
        fat_mm: thickness of the fat below the pericardium.
        seed: of the noise.
    """
    chest, depth = _chest(anatomy, grid)
    hu = chest.copy()
    _put(hu, np.minimum(depth, fat_mm - depth), HU["fat"], grid)
    away = [_away(course, grid) for course in courses(anatomy).values()]
    for distance in away:
        _put(hu, np.minimum(FAT_MM - distance, depth), HU["fat"], grid)
    for distance in away:
        _put(hu, VESSEL_MM - distance, HU["blood"] + anatomy.contrast_hu, grid)
    for c in calcifications:
        _put(hu, c.radius_mm - _away(np.array([c.centre_mm]), grid), c.hu, grid)
    if blur_mm:
        hu = gaussian_filter(hu, (0, blur_mm / grid.spacing_mm[0], blur_mm / grid.spacing_mm[1]))
    rng = np.random.default_rng([anatomy.texture_seed, seed, 5])
    for k in range(grid.shape[0]):
        hu[k] += noise_hu * rng.standard_normal(grid.size, dtype=np.float32)
    return Image(grid, np.clip(hu, -1000, 3071))


@lru_cache(maxsize=2)
def _chest(anatomy: Anatomy, grid: Grid) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The chest without noise, in HU, and depth below the heart's surface, in mm."""
    x, y, z = grid.columns_mm, grid.rows_mm, grid.positions_mm
    depth = np.empty(grid.shape, np.float32)
    for k in range(grid.shape[0]):
        plane = Points(x[None, :].astype(np.float32), y[:, None].astype(np.float32), np.float32(z[k]))  # type: ignore[arg-type]
        depth[k] = -np.broadcast_to(heart_at(anatomy, plane), grid.size)
    return render_ct(anatomy, grid, noise_hu=0.0).hu, depth


def _put(hu: NDArray[np.float32], inside_mm: NDArray[np.float32], value: float, grid: Grid) -> None:
    """Mix a value in where a distance is positive, with partial volume at its edge."""
    width = np.float32(0.5 * (grid.spacing_mm[0] + min(grid.slice_spacing_mm, 3.0)) / 1.5)
    share = np.clip(0.5 + inside_mm / width, 0, 1)
    hu += share * (np.float32(value) - hu)


def _away(points: Floats, grid: Grid) -> NDArray[np.float32]:
    """Distance of every voxel from points, in mm; far away it is a large number."""
    far = 12.0
    away = np.full(grid.shape, np.float32(1e3))
    low, high = points.min(axis=0) - far, points.max(axis=0) + far
    k0, k1 = np.searchsorted(grid.positions_mm, (low[2], high[2]))
    i0, i1 = np.searchsorted(grid.rows_mm, (low[1], high[1]))
    j0, j1 = np.searchsorted(grid.columns_mm, (low[0], high[0]))
    x, y, z = grid.columns_mm[j0:j1], grid.rows_mm[i0:i1], grid.positions_mm[k0:k1]
    part = away[k0:k1, i0:i1, j0:j1]
    for px, py, pz in points:
        a, b = np.searchsorted(z, (pz - far, pz + far))
        c, d = np.searchsorted(y, (py - far, py + far))
        e, f = np.searchsorted(x, (px - far, px + far))
        squared = (z[a:b, None, None] - pz) ** 2 + (y[None, c:d, None] - py) ** 2 + (x[None, None, e:f] - px) ** 2
        np.minimum(part[a:b, c:d, e:f], np.sqrt(squared).astype(np.float32), out=part[a:b, c:d, e:f])
    return away
