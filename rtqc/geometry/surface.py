"""Closed surfaces in small pieces, and distances from the pieces of one surface to another.

What a structure and a mask mean differs, and so do their surfaces. A structure's is the smooth one of
:mod:`rtqc.geometry.solid`: marching cubes (Lewiner et al., 2003) on its field. A mask's is that of its voxels, faces and all, as MeshMetrics
has it (Podobnik & Vrtovec, arXiv 2509.05670): between two masks that is the only surface that adds nothing of one's own. Areas are
the weights of every percentile and mean, so that no number depends on how finely a region happens to be sampled.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from skimage.measure import marching_cubes

from rtqc.core.orientation import Orientation
from rtqc.core.structure import Structure
from rtqc.core.volumes import Mask
from rtqc.geometry.solid import SampledSolid, sample_solid

Floats = NDArray[np.float64]

#: Pieces looked at around a point; the nearest is nearly always among so many nearest centres.
_CANDIDATES = 4
#: Side of a patch of pieces that are looked at together, in mm.
_PATCH_MM = 1.5


@dataclass(frozen=True)
class Distances:
    """Distances of the pieces of one surface to another.

    Attributes:
        points: middle of each piece, (n, 3), in the frame of the surface that they are of, in mm.
        mm: (n,), positive outside the other surface, negative inside.
        areas: (n,), in mm².
    """

    points: Floats
    mm: Floats
    areas: Floats


@dataclass(frozen=True, eq=False)
class Surface(ABC):
    """A closed surface in pieces.

    Attributes:
        orientation: its frame; points are ``(u, v, w)`` in mm.
        centres: centre of each piece, (n, 3), in mm.
        areas: (n,), in mm².
    """

    orientation: Orientation
    centres: Floats
    areas: Floats

    @cached_property
    def _tree(self) -> cKDTree:
        return cKDTree(self.centres, balanced_tree=False, compact_nodes=False)

    def distances_from(self, places: Floats, *points: Floats) -> list[Floats]:
        """Shortest distances of points to the surface, in mm.

        Args:
            places: where to look for the nearest piece, (n, 3).
            points: what lies near each place, (n, 3) each; nothing: the places themselves.

        Returns:
            For each array of points their distances, (n,).
        """
        count = min(_CANDIDATES, self.areas.size)
        _, nearest = self._tree.query(places, k=count, workers=-1)
        nearest = np.asarray(nearest).reshape(places.shape[0], count)
        found = points or (places,)
        best = [np.full(places.shape[0], np.inf) for _ in found]
        for column in range(count):
            for least, squared in zip(best, self._squared(nearest[:, column], found), strict=True):
                np.minimum(least, squared, out=least)
        return [np.sqrt(least) for least in best]

    @abstractmethod
    def _squared(self, pieces: NDArray[np.intp], points: Sequence[Floats]) -> Iterator[Floats]:
        """Squared distance of point i to piece i, for each array of points."""

    @abstractmethod
    def distances_to(self, end: Surface) -> Distances:
        """Distances of this surface's pieces to another surface."""

    def _seen_from(self, other: Surface, points: Floats) -> Floats:
        """Points of this frame in the other's."""
        if self.orientation == other.orientation:
            return points
        return np.asarray(points @ self.orientation.transform_to(other.orientation).T)

    @abstractmethod
    def holds(self, points: Floats) -> NDArray[np.bool_]:
        """Whether each point (n, 3) lies inside."""


@dataclass(frozen=True, eq=False)
class SmoothSurface(Surface):
    """The surface of a structure, in triangles.

    Attributes:
        triangles: (n, 3, 3): triangle, corner, coordinate.
        solid: what it is the surface of.
    """

    triangles: Floats
    solid: SampledSolid

    def _squared(self, pieces: NDArray[np.intp], points: Sequence[Floats]) -> Iterator[Floats]:
        triangles = self.triangles[pieces]
        for some in points:
            yield _to_triangles(some, triangles)

    def distances_to(self, end: Surface) -> Distances:
        """Distances of this surface's pieces to another surface.

        Triangles of one cube of :data:`_PATCH_MM` are taken together, in their middle: a distance changes at most as fast as
        place, and linearly but for the other surface's bend. Patches that could hold the largest distance are taken apart, so
        that the maximum is that of all triangles.
        """
        patch = _patch_of(self.centres)
        count = int(patch.max()) + 1
        areas = np.bincount(patch, self.areas, count)
        middles = np.stack([np.bincount(patch, self.areas * c, count) for c in self.centres.T], axis=1) / areas[:, None]
        reach = np.zeros(count)
        np.maximum.at(reach, patch, np.linalg.norm(self.centres - middles[patch], axis=1))
        (roughly,) = end.distances_from(self._seen_from(end, middles))
        whole = roughly + reach < roughly.max()
        apart = ~whole[patch]
        points = np.concatenate([self.centres[apart], middles[whole]])
        distances = np.concatenate([*end.distances_from(self._seen_from(end, self.centres[apart])), roughly[whole]])
        inside = end.holds(self._seen_from(end, points))
        return Distances(points, np.where(inside, -distances, distances), np.concatenate([self.areas[apart], areas[whole]]))

    def holds(self, points: Floats) -> NDArray[np.bool_]:
        """See the base class."""
        return self.solid.at(points) > 0


@dataclass(frozen=True, eq=False)
class VoxelSurface(Surface):
    """The surface of a mask: the faces between a voxel inside and one outside.

    Attributes:
        half: half the sides of each face along u, v, w, (n, 3), in mm; 0 along its normal.
        mask: what it is the surface of.
    """

    half: Floats
    mask: Mask

    def _squared(self, pieces: NDArray[np.intp], points: Sequence[Floats]) -> Iterator[Floats]:
        centres, half = self.centres[pieces], self.half[pieces]
        for some in points:
            beside = np.abs(some - centres)
            beside -= half
            np.maximum(beside, 0, out=beside)
            yield np.einsum("ij,ij->i", beside, beside)

    def distances_to(self, end: Surface) -> Distances:
        """Distances of this surface's pieces to another surface.

        Every face counts as two triangles, in their centres, as in MeshMetrics.
        """
        aside = self.half / 3
        pair = (self.centres + aside, self.centres - aside)
        places, *points = (self._seen_from(end, p) for p in (self.centres, *pair))
        # A face lies on a lattice that both share, wholly inside or outside the other mask, or on its surface.
        sign = np.where(end.holds(places), -1.0, 1.0)
        signed = [sign * mm for mm in end.distances_from(places, *points)]
        return Distances(np.concatenate(pair), np.concatenate(signed), np.concatenate([self.areas, self.areas]) / 2)

    def holds(self, points: Floats) -> NDArray[np.bool_]:
        """See the base class."""
        grid = self.mask.grid
        bounds = grid.slab_bounds_mm
        k = np.clip(np.searchsorted(bounds[:, 0], points[:, 2], side="right") - 1, 0, grid.shape[0] - 1)
        i = np.rint((points[:, 1] - grid.origin_mm[1]) / grid.spacing_mm[0]).astype(int)
        j = np.rint((points[:, 0] - grid.origin_mm[0]) / grid.spacing_mm[1]).astype(int)
        within = (points[:, 2] >= bounds[k, 0]) & (points[:, 2] <= bounds[k, 1])
        within &= (i >= 0) & (i < grid.size[0]) & (j >= 0) & (j < grid.size[1])
        return np.asarray(within & self.mask.array[k, np.clip(i, 0, grid.size[0] - 1), np.clip(j, 0, grid.size[1] - 1)])


def surface_of(structure: Structure) -> SmoothSurface:
    """The closed surface of a structure, in its own frame.

    Args:
        structure: not empty.

    Raises:
        ValueError: an empty structure.
    """
    sampled = sample_solid(structure)
    # Marching cubes makes no triangle where a sample is exactly on the level: move it off by less than rounding.
    level = np.where(sampled.field == 0, np.float32(1e-6), sampled.field)
    corners, faces, _, _ = marching_cubes(level, 0.0)
    triangles = (corners.astype(np.float64) * sampled.step + sampled.first)[:, ::-1][faces]
    areas = triangle_areas(triangles)
    kept = areas > 1e-12
    triangles = triangles[kept]
    return SmoothSurface(structure.orientation, triangles.mean(axis=1), areas[kept], triangles, sampled)


def triangle_areas(triangles: Floats) -> Floats:
    """Areas of triangles (n, 3, 3), (n,), in mm²."""
    edges = triangles[:, 1:] - triangles[:, :1]
    return np.asarray(np.linalg.norm(np.cross(edges[:, 0], edges[:, 1]), axis=1) / 2)


def surface_of_mask(mask: Mask) -> VoxelSurface:
    """The closed surface of a mask: its voxels' outer faces.

    Raises:
        ValueError: an empty mask.
    """
    if not mask.array.any():
        raise ValueError("an empty mask has no surface")
    (mask,) = cropped(mask)
    grid, ends = mask.grid, mask.grid.slab_bounds_mm
    height, width = grid.spacing_mm
    u, v, middle = grid.columns_mm, grid.rows_mm, ends.mean(axis=1)
    thick = (ends[:, 1] - ends[:, 0]) / 2
    padded = np.pad(mask.array, 1)
    inner = padded[1:-1, 1:-1, 1:-1]
    faces = []
    k, i, j = np.nonzero(padded[1:-1, 1:, 1:-1] != padded[1:-1, :-1, 1:-1])
    faces.append((u[j], v[0] + (i - 0.5) * height, middle[k], np.full(k.size, width / 2), np.zeros(k.size), thick[k]))
    k, i, j = np.nonzero(padded[1:-1, 1:-1, 1:] != padded[1:-1, 1:-1, :-1])
    faces.append((u[0] + (j - 0.5) * width, v[i], middle[k], np.zeros(k.size), np.full(k.size, height / 2), thick[k]))
    # Slices that a gap parts do not cover each other's faces.
    touching = np.concatenate([[False], np.abs(ends[1:, 0] - ends[:-1, 1]) < 1e-6, [False]])
    for side, neighbours in ((0, padded[:-2, 1:-1, 1:-1]), (1, padded[2:, 1:-1, 1:-1])):
        covered = neighbours & touching[side : side + grid.shape[0], None, None]
        k, i, j = np.nonzero(inner & ~covered)
        faces.append((u[j], v[i], ends[k, side], np.full(k.size, width / 2), np.full(k.size, height / 2), np.zeros(k.size)))
    x, y, z, *half = (np.concatenate(part) for part in zip(*faces, strict=True))
    sides = np.stack(half, axis=1)
    areas = 4 * np.prod(np.where(sides > 0, sides, 1.0), axis=1)
    return VoxelSurface(grid.orientation, np.stack([x, y, z], axis=1), areas, sides, mask)


def cropped(*masks: Mask) -> tuple[Mask, ...]:
    """Masks on one grid, and the grid, cut down to the smallest box that holds all of them; as they are where all are empty.

    A slice more stays at either end where there is one, because how thick the last slice is depends on its neighbour.
    """
    used = np.flatnonzero(np.any([m.array.any(axis=(1, 2)) for m in masks], axis=0))
    if used.size == 0:
        return masks
    slices = slice(max(int(used[0]) - 1, 0), int(used[-1]) + 2)
    seen = np.any([m.array[slices].any(axis=0) for m in masks], axis=0)
    rows, columns = (np.flatnonzero(seen.any(axis=axis)) for axis in (1, 0))
    box = (slices, slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1))
    return tuple(Mask(m.grid.crop(*box), m.array[box]) for m in masks)


def _patch_of(points: Floats) -> NDArray[np.intp]:
    """Number of the cube of :data:`_PATCH_MM` that each point lies in; only cubes that hold points are counted."""
    cell = np.floor((points - points.min(axis=0)) / _PATCH_MM).astype(np.int64)
    size = cell.max(axis=0) + 1
    key = (cell[:, 0] * size[1] + cell[:, 1]) * size[2] + cell[:, 2]
    return np.asarray(np.unique(key, return_inverse=True)[1]).reshape(-1)


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
