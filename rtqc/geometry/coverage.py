"""Exact area of polygons inside pixels, as font rasterisers compute it, for all slices in one pass.

Every edge is cut where it crosses a pixel border. A piece inside one pixel adds its height to the running
cover of the row and its mean distance to the pixel's right border to that pixel; the running sum along the row
is then the covered area of every pixel, exact to floating point (signed-area accumulation; the method of
FreeType's smooth rasteriser). Holes run the other way round and subtract by themselves.
"""

from __future__ import annotations

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import MultiPolygon, Polygon

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
#: Coordinates are rounded to this many decimals of a pixel: a millionth of what a planning system writes.
_DECIMALS = 9


def polygon_edges(areas: list[MultiPolygon]) -> tuple[Floats, Floats, Ints]:
    """All edges of oriented polygons: start (n, 2), end (n, 2), index of the area each belongs to (n,)."""
    rings: list[shapely.LinearRing] = []
    owner: list[int] = []
    for index, area in enumerate(areas):
        for polygon in area.geoms:
            oriented = shapely.geometry.polygon.orient(polygon)
            for ring in (oriented.exterior, *oriented.interiors):
                rings.append(ring)
                owner.append(index)
    if not rings:
        return np.empty((0, 2)), np.empty((0, 2)), np.empty(0, np.int64)
    points, ring_of_point = shapely.get_coordinates(np.array(rings, dtype=object), return_index=True)
    inside_ring = ring_of_point[1:] == ring_of_point[:-1]
    return points[:-1][inside_ring], points[1:][inside_ring], np.asarray(owner, np.int64)[ring_of_point[:-1][inside_ring]]


def coverage(areas: list[MultiPolygon], shape: tuple[int, int]) -> NDArray[np.float32]:
    """Covered share of each pixel.

    Args:
        areas: one area a slice, in pixel units: pixel (row i, column j) spans ``i..i+1`` in y and ``j..j+1`` in x.
        shape: rows, columns.

    Returns:
        float32, shape (len(areas), rows, columns), 0 to 1.

    >>> from shapely.geometry import box
    >>> coverage([MultiPolygon([box(0.5, 0, 2, 1)])], (1, 3))[0].tolist()
    [[0.5, 1.0, 0.0]]
    """
    rows, columns = shape
    start, end, owner = polygon_edges(areas)
    if start.shape[0] == 0:
        return np.zeros((len(areas), rows, columns), np.float32)
    # Points a hair off a pixel border would divide by nothing below; both ends of an edge are rounded alike.
    start, end = np.round(start, _DECIMALS), np.round(end, _DECIMALS)
    start, end, owner = _split(start, end, owner, axis=1)
    start, end, owner = _split(start, end, owner, axis=0)
    middle = (start + end) / 2
    row = np.floor(middle[:, 1]).astype(np.int64)
    height = end[:, 1] - start[:, 1]
    x = np.maximum(middle[:, 0], 0.0)
    keep = (height != 0) & (row >= 0) & (row < rows) & (x < columns)
    row, height, x, owner = row[keep], height[keep], x[keep], owner[keep]
    column = np.floor(x).astype(np.int64)
    right_share = 1.0 - (x - column)
    covered = np.zeros((len(areas), rows, columns), np.float32)
    if not row.size:
        return covered
    # Only where something is drawn: a heart is a twentieth of a planning CT.
    low = np.array([owner.min(), row.min(), column.min()])
    high = np.array([owner.max(), row.max(), column.max()]) + 1
    slices, height_px, width = (int(n) for n in high - low)
    flat = ((owner - low[0]) * height_px + row - low[1]) * (width + 1) + column - low[2]
    size = slices * height_px * (width + 1)
    cells = np.bincount(flat, height * right_share, minlength=size)
    cells += np.bincount(flat + 1, height * (1 - right_share), minlength=size)[:size]
    # Counter-clockwise edges go up on the right, so the sum from the left is minus the cover; what leaves the image on the right stays covered.
    cover = np.clip(-np.cumsum(cells.reshape(slices, height_px, width + 1), axis=2), 0.0, 1.0) + np.float32(0)  # no minus zero
    window = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    covered[window] = cover[:, :, :width]
    covered[window[0], window[1], high[2] :] = cover[:, :, width:]
    return covered


def _split(start: Floats, end: Floats, owner: Ints, axis: int) -> tuple[Floats, Floats, Ints]:
    """Cut segments where they cross whole numbers of one coordinate."""
    a, b = start[:, axis], end[:, axis]
    low, high = np.minimum(a, b), np.maximum(a, b)
    first = np.floor(low) + 1
    crossings = np.maximum(np.ceil(high) - first, 0).astype(np.int64)
    if not crossings.any():
        return start, end, owner
    pieces = crossings + 1
    source = np.repeat(np.arange(a.size), pieces)
    number = np.arange(source.size) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    ascending = (b >= a)[source]
    delta = np.where(b == a, 1.0, b - a)[source]

    def parameter(k: Ints) -> Floats:
        """Position on the segment of its k-th crossing, counted along the segment."""
        line = np.where(ascending, first[source] + k - 1, first[source] + crossings[source] - k)
        return (line - a[source]) / delta

    t0 = np.where(number == 0, 0.0, parameter(number))
    t1 = np.where(number == crossings[source], 1.0, parameter(number + 1))
    step = (end - start)[source]
    return start[source] + t0[:, None] * step, start[source] + t1[:, None] * step, owner[source]


def as_multipolygon(geometry: shapely.Geometry) -> MultiPolygon:
    """The areal parts of any geometry; lines and points are dropped."""
    if isinstance(geometry, MultiPolygon):
        return geometry
    if isinstance(geometry, Polygon):
        return MultiPolygon([geometry]) if not geometry.is_empty else MultiPolygon()
    parts = [p for g in getattr(geometry, "geoms", []) for p in as_multipolygon(g).geoms]
    return MultiPolygon(parts)
