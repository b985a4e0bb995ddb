"""Isolines of fields whose level sets are known: pyramids with unequal sides, holes, islands, and what touches the border."""

from __future__ import annotations

import numpy as np
import pytest
from shapely.geometry import Point

from rtqc.geometry.isolines import assemble, filled_isolines, isoline_rings
from tests.shapes import boot

ROWS, COLUMNS = np.mgrid[0:31, 0:47].astype(float)


def pyramid(x: float, y: float, a: float, b: float) -> np.ndarray:
    """1 at (x, y), 0 on a diamond that is 2 a wide and 2 b high: at a level L, 2 a b (1 - L)² px²."""
    return 1 - np.abs(COLUMNS - x) / a - np.abs(ROWS - y) / b


@pytest.mark.parametrize("level", [0.0, 0.25, -0.1])
def test_a_pyramid_is_cut_where_it_has_the_level(level: float) -> None:
    area = filled_isolines(pyramid(20, 12, 16, 8), level)
    share = 1 - level
    assert len(area.geoms) == 1
    assert area.bounds == pytest.approx((20 - 16 * share, 12 - 8 * share, 20 + 16 * share, 12 + 8 * share), abs=0.05)
    # Corners between samples are cut off, a twentieth of a pixel or so each.
    assert area.area == pytest.approx(2 * 16 * 8 * share**2, abs=0.6)
    assert (area.centroid.x, area.centroid.y) == pytest.approx((20, 12), abs=0.02)


def test_a_level_other_than_nought_is_the_level_of_a_shifted_field() -> None:
    one, other = filled_isolines(pyramid(20, 12, 16, 8), 0.3), filled_isolines(pyramid(20, 12, 16, 8) + 7, 7.3)
    assert one.symmetric_difference(other).area < 1e-9


def test_what_touches_the_border_is_closed_at_most_half_a_pixel_outside() -> None:
    for x, y in ((2, 12), (44, 12), (20, 2), (20, 29)):
        field = pyramid(x, y, 16, 8)
        area = filled_isolines(field, 0.0)
        left, top, right, bottom = area.bounds
        assert left >= -0.5
        assert top >= -0.5
        assert right <= 46.5
        assert bottom <= 30.5
        # All samples above the level are inside, all others are not.
        inside = np.array([[area.contains(Point(c, r)) for c in range(47)] for r in range(31)])
        assert np.array_equal(inside, field > 0)


def test_a_hole_and_an_island_in_it_lie_where_the_field_has_them() -> None:
    outer, hole, island = pyramid(22, 14, 21, 13), pyramid(25, 12, 9, 6), pyramid(26, 11, 4, 3)
    area = filled_isolines(np.maximum(np.minimum(outer, -hole), island), 0.0)
    assert sorted(len(p.interiors) for p in area.geoms) == [0, 1]
    assert area.area == pytest.approx(2 * (21 * 13 - 9 * 6 + 4 * 3), abs=2)
    # Where it is with the hole off its middle: areas times centres.
    x = (21 * 13 * 22 - 9 * 6 * 25 + 4 * 3 * 26) / (21 * 13 - 9 * 6 + 4 * 3)
    y = (21 * 13 * 14 - 9 * 6 * 12 + 4 * 3 * 11) / (21 * 13 - 9 * 6 + 4 * 3)
    assert (area.centroid.x, area.centroid.y) == pytest.approx((x, y), abs=0.05)


def test_two_pieces_with_a_hole_each_keep_their_own() -> None:
    left = np.minimum(pyramid(11, 14, 10, 12), -pyramid(9, 14, 3, 5))
    right = np.minimum(pyramid(35, 16, 10, 13), -pyramid(36, 18, 5, 3))
    area = filled_isolines(np.maximum(left, right), 0.0)
    for polygon, centre in zip(sorted(area.geoms, key=lambda p: p.centroid.x), (9, 36), strict=True):
        (ring,) = polygon.interiors
        assert ring.centroid.x == pytest.approx(centre, abs=0.1)


def test_nothing_above_the_level_is_nothing() -> None:
    assert filled_isolines(np.zeros((4, 5)), 0.0).is_empty
    assert isoline_rings(np.full((4, 5), -1.0), 0.0) == []
    assert assemble([]).is_empty


def test_all_above_the_level_is_the_image_and_half_a_pixel_around() -> None:
    area = filled_isolines(np.full((3, 5), 2.0), 1.0)
    assert area.bounds == (-0.5, -0.5, 4.5, 2.5)


def test_rings_are_closed_and_tell_by_their_way_what_they_are() -> None:
    ring = np.array(boot().exterior.coords)
    small = np.array(boot(2, 2, 0.2).exterior.coords)
    tiny = np.array(boot(3, 3, 0.05).exterior.coords)
    assert assemble([ring, small[::-1]]).area == pytest.approx(668 * (1 - 0.04))
    assert assemble([small[::-1], tiny, ring]).area == pytest.approx(668 * (1 - 0.04 + 0.0025))
    # A hole of nothing is nothing; pieces that overlap are one.
    assert assemble([small[::-1]]).is_empty
    assert assemble([ring, np.array(boot(40, 0).exterior.coords)]).area == pytest.approx(2 * 668)
    assert assemble([small[::-1], ring, np.array(boot(0.5, 0.5, 0.02).exterior.coords)]).area == pytest.approx(
        668 * 0.96 + 0, abs=0.3
    )
    # A ring that crosses itself becomes what it encloses.
    bow = np.array([(0, 0), (10, 10), (10, 0), (0, 12), (0, 0)], float)
    assert assemble([bow]).is_valid
