"""Covered pixels against the area that GEOS clips out of each, for outlines that leave the image on every side."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely import affinity
from shapely.geometry import LineString, MultiPolygon, Point, Polygon, box

from rtqc.geometry.coverage import as_multipolygon, coverage, polygon_edges
from tests.shapes import boot, circle

#: float32 holds a share of a pixel to 6e-8; a row sums some dozens of them.
FLOAT32 = 2e-6


def clipped(area: MultiPolygon, shape: tuple[int, int]) -> np.ndarray:
    """The same by clipping the area with every pixel."""
    i, j = np.meshgrid(*(np.arange(n) for n in shape), indexing="ij")
    return shapely.area(shapely.intersection(area, shapely.box(j, i, j + 1, i + 1)))


def multi(*polygons: Polygon) -> MultiPolygon:
    return MultiPolygon(list(polygons))


AREAS = {
    "boot": multi(boot(1.3, 0.7, 0.2)),
    "boot mirrored": as_multipolygon(affinity.scale(boot(1.3, 0.7, 0.2), -1, 1)),
    "tilted boot": as_multipolygon(affinity.rotate(boot(1.3, 0.7, 0.2), 33)),
    "hole off its middle": multi(circle(5, 4, 3.7).difference(circle(6.2, 3.1, 1.4))),
    "two lobes of two sizes": multi(circle(2.6, 2.2, 1.9), circle(8.3, 5.9, 2.4)),
    "left": multi(circle(-0.8, 3.3, 2.9)),
    "right": multi(circle(11.6, 3.3, 2.9)),
    "right, with a hole there": multi(circle(11.6, 3.3, 4.9).difference(circle(12.1, 3.9, 2.2))),
    "top": multi(circle(5.2, -0.7, 2.9)),
    "bottom": multi(circle(5.2, 8.4, 2.9)),
    "far beyond every side": multi(box(-40, -30, 50, 60)),
    "outside": multi(box(20, 2, 30, 4)),
    "outside on the left": multi(box(-30, 2, -20, 4)),
    "a pixel's share": multi(Polygon([(3.2, 4.1), (3.9, 4.3), (3.4, 4.8)])),
    "on pixel borders": multi(box(2, 3, 5, 7)),
    "a needle across": multi(Polygon([(-3, 1.2), (15, 6.3), (15, 6.4)])),
}


@pytest.mark.parametrize("name", AREAS)
def test_every_pixel_has_the_area_that_clipping_leaves_of_it(name: str) -> None:
    shape = (8, 11)
    covered = coverage([AREAS[name]], shape)
    assert covered.shape == (1, *shape)
    assert covered[0] == pytest.approx(clipped(AREAS[name], shape), abs=FLOAT32)


def test_slices_keep_to_themselves_and_empty_ones_stay_empty() -> None:
    areas = [MultiPolygon(), *AREAS.values(), MultiPolygon(), AREAS["boot"]]
    covered = coverage(areas, (8, 11))
    for k, area in enumerate(areas):
        assert covered[k] == pytest.approx(clipped(area, (8, 11)), abs=FLOAT32), k


def test_nothing_is_covered_by_nothing() -> None:
    assert not coverage([MultiPolygon(), MultiPolygon()], (3, 4)).any()
    assert coverage([MultiPolygon()], (3, 4)).shape == (1, 3, 4)
    assert [part.shape for part in polygon_edges([MultiPolygon()])] == [(0, 2), (0, 2), (0,)]


def test_edges_go_round_outer_rings_one_way_and_round_holes_the_other_and_know_their_area() -> None:
    ring = boot().difference(box(2, 2, 9, 7))
    start, end, owner = polygon_edges(
        [multi(boot(scale=0.5)), MultiPolygon(), multi(Polygon(ring.exterior.coords[::-1], [r.coords for r in ring.interiors]))]
    )
    assert owner.tolist() == [0] * 6 + [2] * 10
    cross = (start[:, 0] * end[:, 1] - end[:, 0] * start[:, 1]) / 2
    # Counter-clockwise: the areas come out positive, the hole's is taken away.
    assert np.bincount(owner, cross, 3).tolist() == pytest.approx([668 / 4, 0, 668 - 35])
    # Closed: what starts somewhere ends somewhere.
    assert sorted(map(tuple, start.tolist())) == sorted(map(tuple, end.tolist()))


_AT = st.floats(-3, 12).map(lambda v: round(v, 3))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(_AT, _AT), min_size=3, max_size=7, unique=True), st.tuples(st.integers(1, 9), st.integers(1, 9)))
def test_any_polygon_covers_every_pixel_exactly(points: list[tuple[float, float]], shape: tuple[int, int]) -> None:
    area = as_multipolygon(shapely.make_valid(Polygon(points)))
    covered = coverage([area], shape)[0]
    # Coordinates are rounded to 1e-9 pixels; self-crossing rings are made valid first.
    assert covered == pytest.approx(clipped(area, shape), abs=1e-5)


def test_only_areas_are_kept_of_a_geometry() -> None:
    mixed = shapely.GeometryCollection(
        [Point(1, 1), boot(), LineString([(0, 0), (1, 1)]), multi(box(50, 0, 51, 1), box(60, 0, 61, 2))]
    )
    assert [p.area for p in as_multipolygon(mixed).geoms] == [668, 1, 2]
    assert as_multipolygon(Polygon()).is_empty
    assert as_multipolygon(Point(1, 2)).is_empty
    assert len(as_multipolygon(boot()).geoms) == 1
