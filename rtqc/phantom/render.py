"""The anatomy as a CT image with partial volume, texture and noise, and as contours."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.ndimage import gaussian_filter, zoom
from shapely.geometry import MultiPolygon

from rtqc.core.grid import Grid
from rtqc.core.orientation import AXIAL
from rtqc.core.structure import Structure
from rtqc.core.volumes import Image
from rtqc.geometry.trace import trace_field
from rtqc.phantom.anatomy import Anatomy, Organs, organs_at
from rtqc.phantom.shapes import Field, Points

#: CT numbers at 120 kVp (HU), after ICRU Report 46 compositions; middle of the usual range.
HU = {
    "air": -1000.0,
    "lung": -780.0,
    "fat": -98.0,
    "muscle": 52.0,
    "blood": 40.0,
    "myocardium": 48.0,
    "liver": 58.0,
    "gland": 28.0,
    "skin": 10.0,
    "cancellous": 190.0,
    "cord": 35.0,
    "couch": -650.0,
}


#: Pixel of the grid on which contours are cut from the formulas, in mm; their error is far below it.
CONTOUR_PIXEL_MM = 1.0
#: Pieces of a contour up to this area are no contour, in mm²: a pixel.
SPECK_MM2 = 1.0


def points_of(grid: Grid) -> Points:
    """Coordinates of the voxel centres of an axial grid.

    Raises:
        ValueError: a grid that is not axial.
    """
    if grid.orientation != AXIAL:
        raise ValueError("the phantom is rendered on axial grids; turn the image afterwards")
    x, y, z = grid.columns_mm, grid.rows_mm, grid.positions_mm
    return Points(*(a.astype(np.float32) for a in (x[None, None, :], y[None, :, None], z[:, None, None])))


def render_ct(anatomy: Anatomy, grid: Grid, noise_hu: float = 12.0, block: int = 16) -> Image:
    """The CT image of a patient.

    Args:
        anatomy: the patient.
        grid: an axial grid.
        noise_hu: standard deviation of the noise, in HU.
        block: slices computed at a time, to bound memory.
    """
    hu = np.empty(grid.shape, np.float32)
    texture = texture_of(anatomy, grid)
    for k in range(0, grid.shape[0], block):
        part = grid.crop(slice(k, k + block), slice(None), slice(None))
        hu[k : k + block] = _paint(anatomy, part, texture[k : k + block])
    rng = np.random.default_rng([anatomy.texture_seed, 1])
    for k in range(grid.shape[0]):
        hu[k] += noise_hu * rng.standard_normal(grid.size, dtype=np.float32)
    np.clip(hu, -1000, 3000, out=hu)
    return Image(grid, hu)


def contours(anatomy: Anatomy, grid: Grid, names: dict[str, str], block: int = 16) -> dict[str, Structure]:
    """True contours on the slices of a grid.

    Args:
        anatomy: the patient.
        grid: its slice positions are used, and its extent.
        names: structure name -> field of :class:`~rtqc.phantom.anatomy.Organs`.
        block: slices computed at a time, to bound memory.
    """
    width = grid.spacing_mm[1] * (grid.size[1] - 1)
    depth = grid.spacing_mm[0] * (grid.size[0] - 1)
    size = (int(depth / CONTOUR_PIXEL_MM) + 1, int(width / CONTOUR_PIXEL_MM) + 1)
    fine = Grid(AXIAL, grid.origin_mm, (CONTOUR_PIXEL_MM,) * 2, size, grid.slice_positions_mm, grid.nominal_slice_mm)
    kinds = {"body": "EXTERNAL"}
    planes: dict[str, dict[float, MultiPolygon]] = {name: {} for name in names}
    for k in range(0, fine.shape[0], block):
        part = fine.crop(slice(k, k + block), slice(None), slice(None))
        organs = organs_at(anatomy, points_of(part))
        for name, field in names.items():
            inside = -np.broadcast_to(getattr(organs, field), part.shape)
            planes[name] |= _without_specks(trace_field(inside, part, 0.0).planes)
    spacing = fine.slice_spacing_mm
    return {name: Structure(name, planes[name], AXIAL, kinds.get(field, "ORGAN"), spacing) for name, field in names.items()}


def _without_specks(planes: Mapping[float, MultiPolygon]) -> dict[float, MultiPolygon]:
    """Planes without pieces that nobody would draw: where a surface just touches a plane."""
    kept = {w: MultiPolygon([p for p in area.geoms if p.area > SPECK_MM2]) for w, area in planes.items()}
    return {w: area for w, area in kept.items() if not area.is_empty}


def texture_of(anatomy: Anatomy, grid: Grid) -> Field:
    """Smooth random field of standard deviation 1 and 8 mm grain, the same in mm whatever the grid."""
    rng = np.random.default_rng([anatomy.texture_seed, 0])
    coarse = gaussian_filter(rng.standard_normal((64, 64, 64)).astype(np.float32), 0.8, mode="wrap")
    coarse /= coarse.std()
    step = (grid.slice_spacing_mm, *grid.spacing_mm)
    needed = [min(64, int(np.ceil(n * s / 8.0)) + 1) for n, s in zip(grid.shape, step, strict=True)]
    part = coarse[: needed[0], : needed[1], : needed[2]]
    result = zoom(part, [n / m for n, m in zip(grid.shape, part.shape, strict=True)], order=1, grid_mode=True, mode="nearest")
    return np.asarray(result, np.float32)


def _paint(anatomy: Anatomy, grid: Grid, texture: Field) -> Field:
    p = points_of(grid)
    o = organs_at(anatomy, p)
    step = (grid.slice_spacing_mm, grid.spacing_mm[0])
    hu = np.full(grid.shape, HU["air"], np.float32)

    def put(distance: Field, value: Field | float) -> None:
        share = share_of(np.broadcast_to(distance, grid.shape), step)
        np.add(hu, share * (value - hu), out=hu)

    if anatomy.table:
        put(np.maximum(np.abs(p.y - np.float32(anatomy.half_depth_mm + 22)) - 18, np.abs(p.x) - 250), HU["couch"])
    put(o.body, HU["skin"])
    put(o.body + 2, HU["fat"] + 6 * texture)
    _paint_breasts(o, put, texture)
    put(o.wall, HU["muscle"] + 8 * texture)
    put(o.cavity, HU["fat"] + 45 + 25 * texture)
    put(o.below_diaphragm, HU["liver"] + 6 * texture)
    if anatomy.gas:
        stomach = np.sqrt((p.x - 70) ** 2 + (p.y + 25) ** 2 + (p.z + 85 + np.float32(anatomy.breath_mm)) ** 2) - 24
        put(np.maximum(stomach, o.below_diaphragm + 6), -900.0)
    for lung in (o.lung_left, o.lung_right):
        put(lung, HU["lung"] + 45 * texture + 220 * np.clip(texture - 1.6, 0, 2))
    put(np.maximum(o.heart - 3, -o.heart), HU["fat"] + 30)
    put(o.vessels, HU["blood"] + anatomy.contrast_hu)
    put(o.oesophagus, HU["muscle"] - 15)
    put(o.heart, HU["myocardium"] + 0.15 * anatomy.contrast_hu + 5 * texture)
    put(o.chambers, HU["blood"] + anatomy.contrast_hu)
    put(o.airway, -960.0)
    put(o.bone, HU["cancellous"] + 60 * texture)
    put(np.maximum(np.abs(o.bone + 1.5) - 1.5, o.wall), 420.0)
    put(o.cord, HU["cord"])
    return hu


def _paint_breasts(o: Organs, put: object, texture: Field) -> None:
    for breast in (o.breast_left, o.breast_right):
        put(breast + 18 + 6 * texture, HU["gland"])  # type: ignore[operator]


def share_of(distance: Field, step: tuple[float, float]) -> Field:
    """Part of each voxel that lies inside, from the distance of its centre and the voxel's width along it."""
    if distance.shape[0] > 1:
        slope = np.gradient(distance, axis=0) / np.float32(step[0])
        steep = np.clip(slope * slope, 0, 1)
    else:
        steep = np.zeros_like(distance)
    width = np.sqrt(steep * step[0] ** 2 + (1 - steep) * step[1] ** 2)
    return np.asarray(np.clip(0.5 - distance / width, 0, 1), np.float32)
