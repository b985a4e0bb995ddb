"""The closed surface of a structure as triangles, and distances from one surface to another.

The surface is the zero level of a depth field (positive inside): on every plane the signed distance to what was drawn,
between planes linear (:mod:`rtqc.geometry.solid`), and flat caps half a spacing beyond the last planes
(:mod:`rtqc.core.slabs`). Marching cubes (Lewiner et al., 2003) turns it into triangles whose areas are the weights of
every percentile and mean, so that no number depends on how finely a region happens to be sampled.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from scipy.spatial import cKDTree
from skimage.measure import marching_cubes

from rtqc.core.slabs import MAX_BRIDGED_SPACINGS
from rtqc.core.structure import Structure
from rtqc.geometry.coverage import as_multipolygon, coverage

Floats = NDArray[np.float64]

#: Pixel of the depth field, in mm, and how far it may be refined for small structures.
_COARSEST_MM, _FINEST_MM = 1.0, 0.25
#: Pixels across the longest side below which the field is refined.
_PIXELS_ACROSS = 60
#: Distance kept around the structure, in pixels.
_MARGIN = 3
#: Triangles looked at around a point; the nearest triangle is nearly always among so many nearest centres.
_CANDIDATES = 4
#: Side of a patch, and the distance from which on a patch is one piece, in mm; far above any tolerance of a surface Dice.
_PATCH_MM, _FAR_MM = 3.0, 8.0


@dataclass(frozen=True)
class Surface:
    """Triangles in mm of one frame.

    Attributes:
        triangles: (n, 3, 3): triangle, corner, coordinate ``(u, v, w)``.
        areas: (n,), in mm².
    """

    triangles: Floats
    areas: Floats

    @cached_property
    def centres(self) -> Floats:
        """Centre of each triangle, (n, 3), in mm."""
        return np.asarray(self.triangles.mean(axis=1))


@dataclass(frozen=True)
class DepthField:
    """Depth below the surface on a regular grid of the structure's frame.

    Attributes:
        depth: float32 (z, y, x), in mm, positive inside; 0 on the surface.
        origin: ``(w, v, u)`` of the first sample, in mm.
        spacing: step along z, y, x, in mm.
    """

    depth: NDArray[np.float32]
    origin: tuple[float, float, float]
    spacing: tuple[float, float, float]


def surface_of(structure: Structure, pixel_mm: float | None = None) -> Surface:
    """The closed surface of a structure, in its own frame.

    Args:
        structure: not empty.
        pixel_mm: pixel of the depth field; by default 1 mm, finer for small structures.

    Raises:
        ValueError: an empty structure.
    """
    field = depth_field(structure, pixel_mm)
    # Marching cubes makes no triangle where a sample is exactly on the level: move it off by less than rounding.
    depth = np.where(field.depth == 0, np.float32(1e-6), field.depth)
    corners, faces, _, _ = marching_cubes(depth, 0.0, spacing=field.spacing)
    points = (corners + np.array(field.origin))[:, ::-1]
    triangles = points[faces].astype(np.float64)
    edges = triangles[:, 1:] - triangles[:, :1]
    areas = np.linalg.norm(np.cross(edges[:, 0], edges[:, 1]), axis=1) / 2
    kept = areas > 1e-12
    return Surface(triangles[kept], areas[kept])


def depth_field(structure: Structure, pixel_mm: float | None = None) -> DepthField:
    """Depth below the surface, sampled at least twice a slice spacing along the normal.

    Raises:
        ValueError: an empty structure.
    """
    if structure.is_empty:
        raise ValueError(f"{structure.name} is empty: it has no surface")
    bounds = np.array([area.bounds for area in structure.planes.values()])
    low, high = bounds[:, :2].min(axis=0), bounds[:, 2:].max(axis=0)
    pixel = pixel_mm or float(np.clip((high - low).max() / _PIXELS_ACROSS, _FINEST_MM, _COARSEST_MM))
    low = low - _MARGIN * pixel
    size = np.ceil((high - low) / pixel).astype(int) + _MARGIN
    shape = (int(size[1]), int(size[0]))
    pixels = [as_multipolygon(shapely.transform(area, lambda xy: (xy - low) / pixel)) for area in structure.planes.values()]
    drawn = np.stack([_plane_depth(c) for c in coverage(pixels, shape)]) * np.float32(pixel)
    heights, depth = _along_normal(structure, drawn, pixel)
    origin = (heights[0], float(low[1] + pixel / 2), float(low[0] + pixel / 2))
    return DepthField(depth, origin, (heights[1] - heights[0], pixel, pixel))


def _plane_depth(covered: NDArray[np.float32]) -> NDArray[np.float32]:
    """Signed distance to the outline in pixels, to a few hundredths of a pixel.

    The nearest border pixel is found by the distance transform; its own coverage says how far the outline is from its
    centre.
    """
    inside = covered >= 0.5
    if not inside.any():
        return np.full(covered.shape, -float(sum(covered.shape)), np.float32)
    border = np.zeros_like(inside)
    rows = inside[1:] != inside[:-1]
    columns = inside[:, 1:] != inside[:, :-1]
    border[1:] |= rows
    border[:-1] |= rows
    border[:, 1:] |= columns
    border[:, :-1] |= columns
    gradient = np.hypot(*np.gradient(covered))
    # Where the line crosses a pixel obliquely, half its coverage is lost over a longer way than one pixel.
    offset = np.clip((covered - 0.5) / np.clip(_slant(covered, gradient), 0.7, 1.0), -0.75, 0.75)
    distance, nearest = distance_transform_edt(~border, return_indices=True)
    own = offset[nearest[0], nearest[1]]
    return np.asarray(np.where(inside, distance + own, own - distance), np.float32)


def _slant(covered: NDArray[np.float32], gradient: NDArray[np.float32]) -> NDArray[np.float32]:
    """Cosine-like factor of the outline's direction in the pixel: 1 along an axis, 0.7 along a diagonal."""
    gy, gx = np.gradient(covered)
    largest = np.maximum(np.abs(gy), np.abs(gx))
    return np.where(gradient > 1e-3, largest / np.maximum(gradient, 1e-3), 1.0).astype(np.float32)


def _along_normal(structure: Structure, drawn: NDArray[np.float32], pixel: float) -> tuple[Floats, NDArray[np.float32]]:
    """The planes' depths, interpolated on even heights; outside the slabs the depth falls off from the cap."""
    positions, bounds = structure.positions_mm, structure.slab_bounds_mm
    spacing = structure.usual_spacing_mm
    step = spacing / max(2, int(np.ceil(spacing / pixel)))
    # The first height lies a quarter step outside the cap, so that no sample falls on it whatever the spacing.
    start = bounds[0, 0] - 1.75 * step
    count = int(np.ceil((bounds[-1, 1] - start) / step)) + 2
    heights = start + step * np.arange(count)
    upper = np.clip(np.searchsorted(positions, heights), 1, max(positions.size - 1, 1)) if positions.size > 1 else None
    depth = np.empty((count, *drawn.shape[1:]), np.float32)
    for number, height in enumerate(heights):
        nearest = int(np.abs(positions - height).argmin())
        cap = min(height - bounds[nearest, 0], bounds[nearest, 1] - height)
        plane = drawn[nearest]
        beyond = True
        if upper is not None and positions[0] < height < positions[-1]:
            above = int(upper[number])
            gap = positions[above] - positions[above - 1]
            if gap <= MAX_BRIDGED_SPACINGS * spacing + 1e-6:
                share = np.float32((height - positions[above - 1]) / gap)
                plane = (1 - share) * drawn[above - 1] + share * drawn[above]
                beyond = False
        depth[number] = np.minimum(plane, np.float32(cap)) if beyond else plane
    return heights, depth


def directed_distances(start: Surface, end: Surface) -> tuple[Floats, Floats]:
    """Distances of the pieces of one surface to another, and the area of each piece, (n,) both, in mm and mm².

    Near the other surface a piece is a triangle. Where a patch of :data:`_PATCH_MM` lies wholly further away than
    :data:`_FAR_MM`, the patch is one piece: distance changes at most as fast as place, so its middle stands for it, and far from
    a surface a search is slow because very many triangles are nearly the nearest. Patches that could hold the largest distance
    are taken apart again, so that the maximum is exact.
    """
    patch = _patch_of(start.centres)
    count = int(patch.max()) + 1
    areas = np.bincount(patch, start.areas, count)
    middles = np.stack([np.bincount(patch, start.areas * c, count) for c in start.centres.T], axis=1) / areas[:, None]
    reach = np.zeros(count)
    np.maximum.at(reach, patch, np.linalg.norm(start.centres - middles[patch], axis=1))
    roughly = distances_to(middles, end)
    whole = roughly - reach > _FAR_MM
    largest = roughly.max(initial=0.0)
    whole &= roughly + reach < largest
    apart = ~whole[patch]
    distances = distances_to(start.centres[apart], end)
    return np.concatenate([distances, roughly[whole]]), np.concatenate([start.areas[apart], areas[whole]])


def _patch_of(points: Floats) -> NDArray[np.intp]:
    """Number of the cube of :data:`_PATCH_MM` that each point lies in; only cubes that hold points are counted."""
    cell = np.floor((points - points.min(axis=0)) / _PATCH_MM).astype(np.int64)
    size = cell.max(axis=0) + 1
    key = (cell[:, 0] * size[1] + cell[:, 1]) * size[2] + cell[:, 2]
    return np.asarray(np.unique(key, return_inverse=True)[1]).reshape(-1)


def distances_to(points: Floats, surface: Surface) -> Floats:
    """Shortest distance of each point to a surface, (n,), in mm."""
    tree = cKDTree(surface.centres, balanced_tree=False, compact_nodes=False)
    count = min(_CANDIDATES, surface.areas.size)
    _, nearest = tree.query(points, k=count, workers=-1)
    nearest = np.asarray(nearest).reshape(points.shape[0], count)
    best = np.full(points.shape[0], np.inf)
    for column in range(count):
        best = np.minimum(best, _to_triangles(points, surface.triangles[nearest[:, column]]))
    return np.asarray(np.sqrt(best))


def _to_triangles(points: Floats, triangles: Floats) -> Floats:
    """Squared distance of point i to triangle i: the plane's where the foot is inside, else the nearest edge's."""
    a, b, c = triangles[:, 0], triangles[:, 1], triangles[:, 2]
    ab, ac, ap = b - a, c - a, points - a
    d00, d01, d11 = (np.einsum("ij,ij->i", x, y) for x, y in ((ab, ab), (ab, ac), (ac, ac)))
    d20, d21 = np.einsum("ij,ij->i", ap, ab), np.einsum("ij,ij->i", ap, ac)
    determinant = d00 * d11 - d01 * d01
    safe = np.maximum(determinant, 1e-18)
    v = (d11 * d20 - d01 * d21) / safe
    w = (d00 * d21 - d01 * d20) / safe
    inside = (v >= 0) & (w >= 0) & (v + w <= 1) & (determinant > 1e-18)
    foot = ap - v[:, None] * ab - w[:, None] * ac
    to_plane = np.einsum("ij,ij->i", foot, foot)
    edges = np.minimum.reduce([_to_segment(points, p, q) for p, q in ((a, b), (b, c), (c, a))])
    return np.asarray(np.where(inside, to_plane, edges))


def _to_segment(points: Floats, a: Floats, b: Floats) -> Floats:
    along, to = b - a, points - a
    t = np.clip(np.einsum("ij,ij->i", to, along) / np.maximum(np.einsum("ij,ij->i", along, along), 1e-18), 0, 1)
    gap = to - t[:, None] * along
    return np.asarray(np.einsum("ij,ij->i", gap, gap))
