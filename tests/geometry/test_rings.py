"""Rings as they stand in files: every way to draw holes and islands, in every order, and what is drawn twice."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
import shapely
from shapely.geometry import MultiPolygon, Polygon, box

from rtqc.geometry.rings import (
    area_of_ring,
    combine_even_odd,
    combine_rings,
    overlap_share,
    same_outline,
)
from tests.shapes import boot, circle


def multi(*polygons: Polygon) -> MultiPolygon:
    return MultiPolygon(list(polygons))


def square(x0: float, y0: float, x1: float, y1: float) -> MultiPolygon:
    return multi(box(x0, y0, x1, y1))


OUTER, HOLE, ISLAND, LAKE = square(0, 0, 40, 30), square(5, 4, 30, 25), square(8, 9, 20, 22), square(10, 12, 15, 14)


def test_rings_inside_each_other_are_holes_islands_and_lakes_in_any_order() -> None:
    """1200 less 525 more 156 less 10 mm²."""
    for order in permutations((OUTER, HOLE, ISLAND, LAKE)):
        found = combine_rings(order)
        assert (found.area.area, found.repeated, found.tangled) == (821, 0, False)
    assert combine_rings((OUTER, HOLE)).area.area == 675
    assert combine_rings((OUTER, HOLE, ISLAND)).area.area == 831


def test_rings_beside_each_other_stay_two_and_overlapping_ones_become_one() -> None:
    found = combine_rings((square(0, 0, 10, 10), square(20, 0, 24, 10)))
    assert sorted(p.area for p in found.area.geoms) == [40, 100]
    united = combine_rings((square(0, 0, 10, 10), square(6, 3, 16, 13), square(14, 5, 30, 8)))
    assert len(united.area.geoms) == 1
    assert united.area.area == 100 + 100 - 4 * 7 + 16 * 3 - 2 * 3
    # What is united overlaps the next, whichever comes first.
    for order in permutations((square(0, 0, 10, 10), square(6, 3, 16, 13), square(14, 5, 30, 8))):
        assert combine_rings(order).area.area == united.area.area


def test_a_hole_that_overlaps_another_piece_is_still_a_hole() -> None:
    """A large ring, a hole in it, and a piece that crosses the hole's border from inside: that lies in both."""
    found = combine_rings((OUTER, HOLE, square(25, 10, 35, 12)))
    # The hole and the piece lie both wholly inside the large ring, overlap each other, and are one hole.
    assert found.area.area == 1200 - (525 + 10 * 2 - 5 * 2)


def test_one_ring_is_itself_and_none_is_nothing() -> None:
    assert combine_rings((OUTER,)).area is OUTER
    assert combine_rings((), (OUTER,)).area is OUTER
    assert combine_rings(()).area.is_empty


def test_exclusive_rings_take_away_where_they_meet() -> None:
    assert combine_rings((), (OUTER, HOLE)).area.area == 675
    assert combine_rings((), (square(0, 0, 10, 10), square(6, 3, 16, 13))).area.area == 100 + 100 - 2 * 28
    # With the rest, which is put together first.
    assert combine_rings((OUTER, HOLE), (ISLAND,)).area.area == 675 + 156
    assert combine_rings((OUTER,), (HOLE,)).area.area == 675
    assert combine_even_odd([]).is_empty
    assert combine_even_odd([OUTER]) is OUTER


def test_what_is_drawn_twice_counts_once_and_is_counted() -> None:
    again = square(0.02, 0.01, 40.02, 30.01)
    found = combine_rings((OUTER, again, HOLE))
    assert found.repeated == 1
    assert found.area.area == pytest.approx(675, abs=2)
    three = combine_rings((OUTER, HOLE, again, square(5.01, 4, 30.01, 25), OUTER))
    assert three.repeated == 3
    assert three.area.area == pytest.approx(675, abs=2)
    exclusive = combine_rings((), (OUTER, again, HOLE))
    assert (exclusive.repeated, round(exclusive.area.area)) == (1, 675)
    both = combine_rings((OUTER, again, HOLE), (ISLAND, ISLAND))
    assert both.repeated == 2


@pytest.mark.parametrize("hole_first", [False, True])
def test_a_keyhole_and_its_hole_drawn_again_is_one_hole(hole_first: bool) -> None:
    keyhole = multi(Polygon(OUTER.geoms[0].exterior.coords, [HOLE.geoms[0].exterior.coords]))
    rings = (HOLE, keyhole) if hole_first else (keyhole, HOLE)
    found = combine_rings(rings)
    assert (found.area.area, found.repeated) == (675, 1)


def test_two_hundred_outlines_over_each_other_are_no_drawing() -> None:
    pile = [square(k * 0.2, 0, 40 + k * 0.2, 30) for k in range(202)]
    found = combine_rings(pile)
    assert found.tangled
    assert found.area.is_empty
    assert not combine_rings(pile[:12]).tangled


@pytest.mark.parametrize(("wall", "same"), [(0.05, True), (0.098, True), (0.11, False), (1.0, False)])
def test_outlines_are_one_up_to_a_wall_that_nobody_draws(wall: float, same: bool) -> None:
    inner = square(wall, wall, 40 - wall, 30 - wall)
    assert same_outline(OUTER, inner) is same
    assert same_outline(inner, OUTER) is same
    assert combine_rings((OUTER, inner)).repeated == int(same)


def test_small_outlines_are_one_only_if_they_share_half_of_their_area() -> None:
    assert not same_outline(square(0, 0, 0.15, 0.15), square(0.1, 0.1, 0.25, 0.25))
    assert same_outline(square(0, 0, 0.3, 0.3), square(0.02, 0, 0.32, 0.3))
    # As long, but elsewhere.
    assert not same_outline(OUTER, square(0.5, 0, 40.5, 30))
    assert not same_outline(multi(boot()), square(0, 0, 30, 40))


def test_a_ring_encloses_what_it_walks_around() -> None:
    points = np.array(boot().exterior.coords)
    assert area_of_ring(points).area == area_of_ring(points[:-1]).area == area_of_ring(points[::-1]).area == 668
    assert area_of_ring(points[:3]).area == 180
    for few in (points[:2], points[:1]):
        with pytest.raises(ValueError, match=f"at least 3 points, not {len(few)}"):
            area_of_ring(few)


def test_a_ring_that_crosses_itself_is_read_even_odd_without_its_slivers() -> None:
    eight = area_of_ring(np.array([(0, 0), (20, 20), (20, 0), (0, 20)], float))
    assert eight.is_valid
    assert eight.area == pytest.approx(200)
    # A walk twice around the middle leaves that out; a sliver of 0.05 mm² is rounding.
    twice = np.array([(0, 0), (30, 0), (30, 30), (0, 30), (0, 0), (10, 10), (20, 10), (20, 20), (10, 20), (10, 10)], float)
    assert area_of_ring(twice).area == pytest.approx(800)
    sliver = area_of_ring(np.array([(0, 0), (30, 0), (30, 20), (10, 20.01), (9, 19.93), (8, 20.01), (0, 20)], float))
    assert min(p.area for p in sliver.geoms) > 0.1
    tiny = area_of_ring(np.array([(0, 0), (0.2, 0.2), (0.2, 0), (0, 0.2)], float))
    # Of something as small as a sliver is, the largest part is kept if it is more than half of it.
    assert tiny.area == pytest.approx(0, abs=0.021)


def test_slivers_between_rings_are_left_out() -> None:
    found = combine_even_odd([OUTER, square(0, 0, 40.0002, 30)])
    assert found.is_empty
    assert combine_even_odd([OUTER, square(0, 0, 40.001, 30)]).area == pytest.approx(0.03)


def test_overlap_is_what_is_shared_over_what_either_has() -> None:
    assert overlap_share(square(0, 0, 10, 10), square(6, 3, 16, 13)) == pytest.approx(28 / 172)
    assert overlap_share(OUTER, HOLE) == pytest.approx(525 / 1200)
    assert overlap_share(OUTER, OUTER) == 1
    assert overlap_share(MultiPolygon(), MultiPolygon()) == 0
    assert overlap_share(OUTER, MultiPolygon()) == 0


def test_rounded_coordinates_do_not_make_a_hole_a_piece() -> None:
    """A hole whose side lies 0.005 mm outside the outer ring's is inside it; one 2 mm outside is not."""
    assert combine_rings((OUTER, square(-0.005, 5, 20, 25))).area.area == pytest.approx(1200 - 400, abs=0.2)
    assert combine_rings((OUTER, square(-2, 5, 20, 25))).area.area == pytest.approx(1200 + 40)
    round_hole = multi(circle(20, 15, 8))
    assert combine_rings((OUTER, round_hole)).area.area == pytest.approx(1200 - np.pi * 64, rel=1e-4)
    assert shapely.get_num_interior_rings(combine_rings((OUTER, round_hole)).area.geoms[0]) == 1
