"""Closed outlines of a two-dimensional field, as polygons with holes."""

from __future__ import annotations

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import MultiPolygon, Polygon
from skimage.measure import find_contours


def filled_isolines(field: NDArray[np.floating], level: float) -> MultiPolygon:
    """The area where ``field`` exceeds ``level``, linear between pixel centres (marching squares).

    Args:
        field: (rows, columns); taken as far below the level outside.
        level: the isoline.

    Returns:
        Polygons in pixel coordinates (x = column, y = row of pixel centres) with their holes.
    """
    rings = isoline_rings(field, level)
    return assemble(rings)


def isoline_rings(field: NDArray[np.floating], level: float) -> list[NDArray[np.float64]]:
    """Closed rings (n, 2) as (x, y), first point repeated at the end; outer ones and holes run opposite ways."""
    above = field > level
    rows, columns = np.flatnonzero(above.any(axis=1)), np.flatnonzero(above.any(axis=0))
    if rows.size == 0:
        return []
    r0, c0 = max(rows[0] - 1, 0), max(columns[0] - 1, 0)
    cropped = field[r0 : rows[-1] + 2, c0 : columns[-1] + 2].astype(np.float64)
    # A frame just below the level closes what touches the border, half a pixel outside it at most.
    span = float(np.abs(cropped - level).max()) or 1.0
    framed = np.pad(cropped, 1, constant_values=level - span)
    return [ring[:, ::-1] + (c0 - 1, r0 - 1) for ring in find_contours(framed, level) if len(ring) > 3]


def assemble(rings: list[NDArray[np.float64]]) -> MultiPolygon:
    """Rings that do not cross, outer ones and holes told apart by the way they run, to polygons.

    ``find_contours`` keeps higher values on one side, so all outer rings have one sign of area and holes the other.
    """
    outer: list[Polygon] = []
    holes: list[NDArray[np.float64]] = []
    for ring in rings:
        x, y = ring.T
        signed = float(x[:-1] @ y[1:] - x[1:] @ y[:-1])
        if signed > 0:
            outer.append(Polygon(ring))
        elif signed < 0:
            holes.append(ring)
    if not outer:
        return MultiPolygon()
    if not holes:
        return MultiPolygon([p if p.is_valid else p.buffer(0) for p in outer]) if _simple(outer) else _union(outer)
    own: list[list[NDArray[np.float64]]] = [[] for _ in outer]
    order = np.argsort([p.area for p in outer])
    for hole in holes:
        gap = Polygon(hole)
        point = shapely.Point(gap.representative_point())
        # The point may lie in an island of the hole, which is smaller than the hole.
        home = next((i for i in order if outer[i].area > gap.area and outer[i].contains(point)), None)
        if home is not None:
            own[home].append(hole)
    built = [Polygon(p.exterior, inner) for p, inner in zip(outer, own, strict=True)]
    return MultiPolygon(built) if _simple(built) else _union(built)


def _simple(polygons: list[Polygon]) -> bool:
    return all(p.is_valid for p in polygons)


def _union(polygons: list[Polygon]) -> MultiPolygon:
    merged = shapely.union_all([p.buffer(0) for p in polygons])
    return merged if isinstance(merged, MultiPolygon) else MultiPolygon([merged] if not merged.is_empty else [])
