"""The field of one structure without holes: on its planes, between them, and beyond the last (see :mod:`rtqc.geometry.solid`)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from scipy.spatial import cKDTree
from shapely.geometry import MultiPolygon

from rtqc.core.structure import Structure
from rtqc.geometry.coverage import Floats, as_multipolygon, polygon_edges

Field = NDArray[np.float32]

#: Distance kept around the structure, in pixels.
_MARGIN = 3
#: Planes kept at hand: what is asked for goes up or down the planes, and a cubic looks at four.
_KEPT = 8


@dataclass(frozen=True, eq=False)
class Raster:
    """Pixels that a structure's planes are sampled on.

    Attributes:
        corner_mm: ``(u, v)`` of the corner of the first pixel.
        pixel_mm: side of a pixel.
        shape: rows, columns.
    """

    corner_mm: NDArray[np.float64]
    pixel_mm: float
    shape: tuple[int, int]

    @classmethod
    def around(cls, structure: Structure, pixel_mm: float) -> Raster:
        """Pixels around all planes of a structure, with a margin."""
        bounds = shapely.bounds(np.array(list(structure.planes.values()), dtype=object))
        corner = bounds[:, :2].min(axis=0) - _MARGIN * pixel_mm
        size = np.ceil((bounds[:, 2:].max(axis=0) - corner) / pixel_mm).astype(int) + _MARGIN
        return cls(corner, pixel_mm, (int(size[1]), int(size[0])))

    def in_pixels(self, area: MultiPolygon) -> MultiPolygon:
        """An area in mm, in pixels whose (i, j) spans ``i..i+1`` in y and ``j..j+1`` in x."""
        return as_multipolygon(shapely.transform(area, lambda xy: (xy - self.corner_mm) / self.pixel_mm))

    def in_mm(self, area: MultiPolygon) -> MultiPolygon:
        """An area in coordinates of pixel centres, in mm."""
        return as_multipolygon(shapely.transform(area, lambda xy: (xy + 0.5) * self.pixel_mm + self.corner_mm))


class Layers:
    """The field of a structure without holes, in mm²: positive inside, 0 on the surface."""

    def __init__(self, structure: Structure, raster: Raster) -> None:
        """See the class.

        Args:
            structure: not empty; its holes are not seen.
            raster: where its planes are sampled.
        """
        self._structure = structure
        self._raster = raster
        self._areas = list(structure.planes.values())
        self._plane = lru_cache(_KEPT)(self._read_plane)
        self._slope = lru_cache(_KEPT)(self._read_slope)

    @property
    def bridged(self) -> NDArray[np.bool_]:
        """Whether planes k and k + 1 are one piece, (planes - 1,)."""
        return self._structure.slabs.bridged

    def at(self, w_mm: float) -> Field:
        """The field on a plane at ``w_mm`` along the normal, float32, of the raster's shape."""
        positions = self._structure.positions_mm
        above = int(np.searchsorted(positions, w_mm, side="right"))
        below = above - 1
        if below < 0:
            return self._beyond(0, -1, float(positions[0] - w_mm))
        if above == positions.size:
            return self._beyond(below, 1, float(w_mm - positions[below]))
        if not self.bridged[below]:
            lower = self._beyond(below, 1, float(w_mm - positions[below]))
            return np.maximum(lower, self._beyond(above, -1, float(positions[above] - w_mm)))
        step = float(positions[above] - positions[below])
        t = (w_mm - float(positions[below])) / step
        f0, f1 = self._plane(below), self._plane(above)
        between = f0 + np.float32(t * t * (3 - 2 * t)) * (f1 - f0)
        between += np.float32(step * t * (1 - t) * (1 - t)) * self._slope(below)
        between -= np.float32(step * t * t * (1 - t)) * self._slope(above)
        return np.asarray(np.clip(between, np.minimum(f0, f1), np.maximum(f0, f1)))

    def _beyond(self, plane: int, way: int, distance: float) -> Field:
        """The field ``distance`` (mm) beyond an end; ``way`` is 1 upwards and -1 downwards."""
        field = self._plane(plane)
        bounds, position = self._structure.slab_bounds_mm[plane], self._structure.positions_mm[plane]
        spacing = 2 * float(bounds[1] - position if way > 0 else position - bounds[0])
        fall = np.minimum(self._slope(plane) * np.float32(way), 0)
        peak = max(float(field.max()), 1e-6)  # what is smaller than a pixel may hold no sample
        left = max(float((field + fall * np.float32(spacing)).max()), 0.0) / peak
        end = spacing * (1 - min(left, 0.5))
        cut = (end - distance) * peak / spacing
        return np.asarray(np.minimum(field + fall * np.float32(distance), np.float32(cut)))

    def _read_slope(self, plane: int) -> Field:
        """Change of the field along the normal at a plane, in mm: that of the parabola through it and its neighbours."""
        positions = self._structure.positions_mm
        near = [k for k in (plane - 2, plane - 1, plane, plane + 1, plane + 2) if self._joined(plane, k)]
        if len(near) == 1:
            return np.zeros(self._raster.shape, np.float32)
        below, above = plane - 1 in near, plane + 1 in near
        chord = {k: (self._plane(k + 1) - self._plane(k)) / np.float32(positions[k + 1] - positions[k]) for k in near[:-1]}
        if below and above:
            before, after = positions[plane] - positions[plane - 1], positions[plane + 1] - positions[plane]
            share = np.float32(after / (before + after))
            return share * chord[plane - 1] + (1 - share) * chord[plane]
        # At an end: the parabola through three planes, no steeper than twice the chord and never the other way.
        first, second = (plane, plane + 1) if above else (plane - 1, plane - 2)
        if second not in chord:
            return chord[first]
        steps = np.diff(positions)
        share = np.float32(steps[first] / (steps[first] + steps[second]))
        steep = chord[first] + share * (chord[first] - chord[second])
        twice = 2 * chord[first]
        return np.clip(steep, np.minimum(twice, 0), np.maximum(twice, 0))

    def _joined(self, plane: int, other: int) -> bool:
        """Whether another plane exists and no gap parts it from this one."""
        low, high = min(plane, other), max(plane, other)
        return low >= 0 and high < len(self._areas) and bool(self.bridged[low:high].all())

    def _read_plane(self, plane: int) -> Field:
        """The field on a plane that is drawn, in mm²."""
        area = self._raster.in_pixels(self._areas[plane])
        depth = signed_depth(area, self._raster.shape)
        radius = np.float32(np.sqrt(area.area / np.pi))
        return np.asarray(depth * (2 * radius - depth) * np.float32(self._raster.pixel_mm**2))


def signed_depth(area: MultiPolygon, shape: tuple[int, int]) -> Field:
    """Distance of each pixel's centre to an outline, positive inside, in pixels.

    Pixels that the outline runs through know their nearest point on it exactly. Every other takes the tangent at the point of
    the nearest of those, so that what is left of the error is a pixel's share of the outline's bend.

    Args:
        area: in pixel units: pixel (row i, column j) spans ``i..i+1`` in y and ``j..j+1`` in x; not empty.
        shape: rows, columns.
    """
    start, end, _ = polygon_edges([area])
    run = np.maximum(np.hypot(*(end - start).T), 1e-9)
    along = (end - start) / run[:, None]
    pieces = np.maximum(np.ceil(2 * run).astype(int), 1)
    segment = np.repeat(np.arange(run.size), pieces)
    number = np.arange(segment.size) - np.repeat(np.cumsum(pieces) - pieces, pieces) + 0.5
    samples = start[segment] + (number / pieces[segment] * run[segment])[:, None] * along[segment]

    row, column = (np.clip(np.floor(samples[:, axis]).astype(int), 0, shape[1 - axis] - 1) for axis in (1, 0))
    crossed = np.zeros(shape, bool)
    crossed[row, column] = True
    border = np.argwhere(crossed)
    centres = border[:, ::-1] + 0.5
    nearest = segment[cKDTree(samples).query(centres)[1]]
    foot_at = np.clip(np.einsum("ij,ij->i", centres - start[nearest], along[nearest]), 0, run[nearest])
    feet = start[nearest] + foot_at[:, None] * along[nearest]

    inside = _centres_inside(start, end, shape)
    index = np.zeros(shape, np.intp)
    index[crossed] = np.arange(border.shape[0])
    own = distance_transform_edt(~crossed, return_distances=False, return_indices=True)
    chosen = index[own[0], own[1]]
    dy = np.arange(shape[0])[:, None] + 0.5 - feet[chosen, 1]
    dx = np.arange(shape[1])[None, :] + 0.5 - feet[chosen, 0]
    tx, ty = along[nearest[chosen], 0], along[nearest[chosen], 1]
    past = np.maximum(np.abs(dx * tx + dy * ty) - 1, 0)
    distance = np.hypot(dx * ty - dy * tx, past)
    return np.asarray(np.where(inside, distance, -distance), np.float32)


def _centres_inside(start: Floats, end: Floats, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Pixels whose centre lies inside rings given by their edges: each edge counts where it crosses a row of centres."""
    rows, columns = shape
    low, high = (np.ceil(f(start[:, 1], end[:, 1]) - 0.5).astype(np.int64) for f in (np.minimum, np.maximum))
    low, high = np.clip(low, 0, rows), np.clip(high, 0, rows)
    edge = np.repeat(np.arange(low.size), high - low)
    row = np.arange(edge.size) - np.repeat(np.cumsum(high - low) - high, high - low)
    slope = (end[edge, 0] - start[edge, 0]) / (end[edge, 1] - start[edge, 1])
    x = start[edge, 0] + (row + 0.5 - start[edge, 1]) * slope
    column = np.clip(np.ceil(x - 0.5).astype(np.int64), 0, columns)
    turn = np.where(end[edge, 1] > start[edge, 1], 1.0, -1.0)
    crossings = np.bincount(row * (columns + 1) + column, turn, minlength=rows * (columns + 1))
    return np.asarray(np.cumsum(crossings.reshape(rows, columns + 1), axis=1)[:, :columns] != 0)
