"""Rings as they stand in a file -> one area with real holes.

RTSTRUCT has two ways to draw a hole: a second ring inside the first (even-odd), or one ring that walks to the hole
along a bridge and back (keyhole). Both become the same polygon here. A ring that crosses itself is read even-odd too.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import MultiPolygon, Polygon

from rtqc.geometry.coverage import as_multipolygon

#: Slivers smaller than this (mm²) are rounding of coordinates, not anatomy: 0.01 mm (DS rounding) times 10 mm.
SLIVER_MM2 = 0.1


def area_of_ring(points_mm: NDArray[np.float64]) -> MultiPolygon:
    """The area inside one closed ring.

    Args:
        points_mm: (n, 2), n >= 3, in mm; the last point need not repeat the first.

    Raises:
        ValueError: fewer than three points.

    >>> keyhole = [(0, 0), (4, 0), (4, 4), (0, 4), (0, 1), (1, 1), (1, 3), (3, 3), (3, 1), (1, 1), (0, 1)]
    >>> area_of_ring(np.array(keyhole, float)).area
    12.0
    """
    if points_mm.shape[0] < 3:
        raise ValueError(f"a closed contour needs at least 3 points, not {points_mm.shape[0]}")
    polygon = Polygon(points_mm)
    if polygon.is_valid:
        return as_multipolygon(polygon)
    mended = as_multipolygon(shapely.make_valid(polygon, method="linework"))
    return MultiPolygon([p for p in mended.geoms if p.area > SLIVER_MM2 or p.area > 0.5 * mended.area])


def combine_even_odd(areas: Iterable[MultiPolygon]) -> MultiPolygon:
    """The area covered an odd number of times.

    >>> from shapely.geometry import box
    >>> combine_even_odd([MultiPolygon([box(0, 0, 4, 4)]), MultiPolygon([box(1, 1, 3, 3)])]).area
    12.0
    """
    total: shapely.Geometry = MultiPolygon()
    count = 0
    for area in areas:
        total = area if count == 0 else shapely.symmetric_difference(total, area)
        count += 1
    result = as_multipolygon(total)
    if count < 2:
        return result
    return MultiPolygon([p for p in result.geoms if p.area > SLIVER_MM2 / 10])
