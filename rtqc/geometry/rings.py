"""Rings as they stand in a file -> one area with real holes.

RTSTRUCT has three ways to draw a hole (PS3.3 C.8.8.6.3, from knowledge): one ring that walks to the hole along a bridge and back (keyhole,
CLOSED_PLANAR); rings that are combined by exclusive or (CLOSEDPLANAR_XOR); and, as most planning systems write it, a second CLOSED_PLANAR ring
that lies inside the first. Each becomes the same polygon here. CLOSED_PLANAR rings that overlap without lying inside each other are pieces of one region
that somebody drew twice over: they are united. A ring that crosses itself is read even-odd.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import MultiPolygon, Polygon

from rtqc.geometry.coverage import as_multipolygon

#: Slivers smaller than this (mm²) are rounding of coordinates, not anatomy: 0.01 mm (DS rounding) times 10 mm.
SLIVER_MM2 = 0.1
#: Planning systems write coordinates to this, in mm.
SAME_OUTLINE_MM = 0.01
#: A wall between two outlines that is thinner than this on average, in mm, is a copy and no wall: a tenth of the finest pixel that anybody draws on
#: (1 mm in planning CTs).
LEAST_WALL_MM = 0.099
#: More pairs of rings of one plane than this do not touch in what anybody draws: two hundred outlines over each other.
MOST_PAIRS = 20_000
#: Pairs of bounding boxes that are compared at all: rings beside each other overlap by their boxes now and then, not so often.
_MOST_BOXES = 10 * MOST_PAIRS


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


@dataclass(frozen=True)
class Combined:
    """The area of one plane, and what was there twice.

    Attributes:
        area: with its holes.
        repeated: number of rings that another ring of the plane already was, within :data:`LEAST_WALL_MM`; each counts once.
        across: number of rings that lie across the overlap of others, wholly inside these together and inside none of them: further pieces or holes, which
            nobody can tell (PS3.3 C.8.8.6.3 has holes by keyhole or exclusive or only). They are taken as pieces.
        tangled: whether so many rings lie over each other that nobody drew them; the area is empty then.
    """

    area: MultiPolygon
    repeated: int = 0
    across: int = 0
    tangled: bool = False


def combine_rings(rings: Sequence[MultiPolygon], exclusive: Sequence[MultiPolygon] = ()) -> Combined:
    """The area that the rings of one plane mean together.

    Args:
        rings: areas of CLOSED_PLANAR contours: what overlaps is united, what lies inside another is a hole in it, and what lies in the hole is an island.
        exclusive: areas of CLOSEDPLANAR_XOR contours, which are combined by exclusive or with each other and with the rest.

    >>> from shapely.geometry import box
    >>> boxes = [MultiPolygon([box(*b)]) for b in ((0, 0, 4, 4), (2, 0, 6, 4), (3, 1, 5, 2))]
    >>> combine_rings(boxes).area.area, combine_rings((), boxes[:2]).area.area
    (22.0, 16.0)
    """
    # Nearly every plane has one ring.
    if len(rings) + len(exclusive) == 1:
        return Combined((*rings, *exclusive)[0])
    if _boxes_overlap([*rings, *exclusive]) > _MOST_BOXES or len(_touching([*rings, *exclusive])) > MOST_PAIRS:
        return Combined(MultiPolygon(), tangled=True)
    closed, again = _distinct(rings)
    parities, again_exclusive = _distinct(exclusive)
    pieces = _united(closed)
    total = _nested(pieces) if closed else None
    across = sum(_across(rings) for rings in pieces)
    area = combine_even_odd(parities if total is None else [total, *parities])
    return Combined(area, again + again_exclusive, across)


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
    return result if count < 2 else _without_slivers(result)


def overlap_share(a: MultiPolygon, b: MultiPolygon) -> float:
    """Shared area over the area of both (Jaccard index); 0 where both are empty."""
    shared = float(shapely.intersection(a, b).area)
    either = float(a.area + b.area) - shared
    return shared / either if either > 0 else 0.0


def _distinct(rings: Sequence[MultiPolygon]) -> tuple[list[MultiPolygon], int]:
    """Rings without those that another already is, or whose outline is the hole that another has by a keyhole."""
    dropped: set[int] = set()
    for i, j in _touching(rings):
        if i in dropped or j in dropped:
            continue
        if same_outline(rings[i], rings[j]) or _is_hole_of(rings[j], rings[i]):
            dropped.add(j)
        elif _is_hole_of(rings[i], rings[j]):
            dropped.add(i)
    return [ring for k, ring in enumerate(rings) if k not in dropped], len(dropped)


def _boxes_overlap(areas: Sequence[MultiPolygon]) -> int:
    """Number of pairs whose bounding boxes share a point: asked first, because thousands of rings in each other take minutes to be compared."""
    found = shapely.STRtree(areas).query(np.array(areas, dtype=object)).shape[1]
    return (int(found) - len(areas)) // 2


def _touching(areas: Sequence[MultiPolygon]) -> list[tuple[int, int]]:
    """Pairs (i < j) that share a point, in order."""
    if len(areas) < 2:
        return []
    first, second = shapely.STRtree(areas).query(np.array(areas, dtype=object), predicate="intersects")
    return sorted((int(i), int(j)) for i, j in zip(first, second, strict=True) if i < j)


def same_outline(a: MultiPolygon, b: MultiPolygon) -> bool:
    """Whether two outlines are one that was drawn or exported twice: less than a wall that somebody could draw lies between them.

    >>> from shapely.geometry import box
    >>> whole = MultiPolygon([box(0, 0, 40, 40)])
    >>> [same_outline(whole, MultiPolygon([box(w, w, 40 - w, 40 - w)])) for w in (0.05, 0.5)]
    [True, False]
    """
    # At a corner the outlines may be further apart than their wall is on average.
    if np.abs(np.subtract(a.bounds, b.bounds)).max() > 2 * LEAST_WALL_MM:
        return False
    difference = float(shapely.symmetric_difference(a, b).area)
    return bool(difference <= min(LEAST_WALL_MM * min(a.length, b.length), 0.5 * min(a.area, b.area)))


def _is_hole_of(ring: MultiPolygon, other: MultiPolygon) -> bool:
    return any(same_outline(ring, MultiPolygon([Polygon(hole)])) for polygon in other.geoms for hole in polygon.interiors)


def _across(rings: list[MultiPolygon]) -> int:
    """How many rings of one piece lie inside the others together."""
    if len(rings) < 3:
        return 0
    others = (as_multipolygon(shapely.union_all(rings[:k] + rings[k + 1 :])) for k in range(len(rings)))
    return sum(_inside(ring, rest) for ring, rest in zip(rings, others, strict=True))


def _nested(united: list[list[MultiPolygon]]) -> MultiPolygon:
    """Holes and islands where pieces lie inside each other."""
    pieces = [as_multipolygon(shapely.union_all(rings)) if len(rings) > 1 else rings[0] for rings in united]
    if len(pieces) == 1:
        return pieces[0]
    depth = _depths(pieces, _touching(pieces))
    total: shapely.Geometry = MultiPolygon()
    for level in range(max(depth) + 1):
        layer = shapely.union_all([p for p, d in zip(pieces, depth, strict=True) if d == level])
        total = shapely.difference(total, layer) if level % 2 else shapely.union(total, layer)
    return _without_slivers(as_multipolygon(total))


def _depths(pieces: list[MultiPolygon], touching: list[tuple[int, int]]) -> list[int]:
    """In how many others each piece lies."""
    depth = [0] * len(pieces)
    for i, j in touching:
        smaller, larger = (i, j) if pieces[i].area < pieces[j].area else (j, i)
        depth[smaller] += _inside(pieces[smaller], pieces[larger])
    return depth


def _united(rings: list[MultiPolygon]) -> list[list[MultiPolygon]]:
    """Rings that overlap without one lying inside the other, together; again and again, since what was united may overlap the next.

    A ring that lies wholly inside a third is a hole in that, even where the hole overlaps another piece.
    """
    pieces, members = list(rings), [[ring] for ring in rings]
    while True:
        home, touching = list(range(len(pieces))), _touching(pieces)
        depth = _depths(pieces, touching)
        for i, j in touching:
            if home[i] != home[j] and depth[i] == depth[j] and _partly_overlap(pieces[i], pieces[j]):
                home = [home[i] if h == home[j] else h for h in home]
        if len(set(home)) == len(pieces):
            return members
        groups: dict[int, list[MultiPolygon]] = {}
        for rings_of_piece, h in zip(members, home, strict=True):
            groups.setdefault(h, []).extend(rings_of_piece)
        members = list(groups.values())
        pieces = [g[0] if len(g) == 1 else as_multipolygon(shapely.union_all(g)) for g in members]


def _partly_overlap(a: MultiPolygon, b: MultiPolygon) -> bool:
    return bool(shapely.intersection(a, b).area > _slack(a, b)) and not (_inside(a, b) or _inside(b, a))


def _inside(inner: MultiPolygon, outer: MultiPolygon) -> bool:
    """Whether one lies wholly inside another, but for the rounding of coordinates."""
    return bool(shapely.difference(inner, outer).area <= _slack(inner, outer))


def _slack(a: MultiPolygon, b: MultiPolygon) -> float:
    """Area that coordinates rounded to :data:`SAME_OUTLINE_MM` may make along the shorter outline."""
    return SAME_OUTLINE_MM * min(float(a.length), float(b.length))


def _without_slivers(area: MultiPolygon) -> MultiPolygon:
    return MultiPolygon([p for p in area.geoms if p.area > SLIVER_MM2 / 10])
