"""What is said of distances between surfaces: directions, octants, places, signs and weights, from distances that are written down."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from rtqc.comparison.surfaces import SurfaceDistances, in_words, surface_distances, weighted_percentile
from rtqc.geometry.surface import Distances, surface_of
from tests.shapes import FEET_FIRST, OBLIQUE, cone

MIDDLE = np.array([12.0, -30.0, 100.0])
NOTHING = Distances(np.zeros((1, 3)), np.zeros(1), np.ones(1))
#: Each word and where it lies, in patient coordinates (x to the left, y to the back, z to the head).
SIDES = {
    "right": (-1, 0, 0), "left": (1, 0, 0), "anterior": (0, -1, 0), "posterior": (0, 1, 0), "inferior": (0, 0, -1), "superior": (0, 0, 1),
}  # fmt: skip


def pieces(*parts: tuple[tuple[float, float, float], float, float]) -> Distances:
    """Pieces of surface by their point, distance and area."""
    points, mm, areas = zip(*parts, strict=True)
    return Distances(np.array(points, float), np.array(mm, float), np.array(areas, float))


@pytest.mark.parametrize("side", SIDES)
def test_each_side_is_named_after_where_it_lies(side: str) -> None:
    way = np.array(SIDES[side], float)
    # The longest part of the way decides: 20 mm along it, up to 19 mm across.
    across = np.where(way == 0, (1.0, -1.0, 1.0), 0.0)
    a = pieces((tuple(MIDDLE + 20 * way + 19 * across), 2.5, 3.0), (tuple(MIDDLE + 30 * way - 29 * across), -1.0, 1.0))
    found = {r.name: r for r in SurfaceDistances(a, NOTHING).regions(MIDDLE)}
    own = found[side]
    assert (own.area_mm2, own.signed_distance_mm) == (4.0, 1.625)
    assert (own.furthest_outside_mm, own.furthest_inside_mm) == (2.5, 1.0)
    assert [name for name in SIDES if name in found] == [side]


@pytest.mark.parametrize("octant", list(product((-1, 1), repeat=3)))
def test_each_octant_is_named_after_where_it_lies(octant: tuple[int, int, int]) -> None:
    a = pieces((tuple(MIDDLE + np.array(octant) * (3, 7, 5)), 1.5, 2.0))
    names = [r.name for r in SurfaceDistances(a, NOTHING).regions(MIDDLE)]
    words = [
        ("right", "left")[octant[0] > 0],
        ("anterior", "posterior")[octant[1] > 0],
        ("inferior", "superior")[octant[2] > 0],
    ]
    assert names == [words[1], " ".join(words)]


def test_regions_share_a_surface_among_them_by_its_area_and_keep_their_own_distances() -> None:
    signs = list(product((-1, 1), repeat=3))
    parts = [(tuple(MIDDLE + np.array(s) * (2, 4, 9)), float(k), 1.0 + k) for k, s in enumerate(signs)]
    found = SurfaceDistances(pieces(*parts), NOTHING).regions(MIDDLE)
    octants = found[-8:]
    assert [(r.signed_distance_mm, r.area_mm2) for r in octants] == [(float(k), 1.0 + k) for k in range(8)]
    sides = {r.name: r for r in found[:-8]}
    # Upwards lies every second one, with areas of 2, 4, 6 and 8 mm².
    assert set(sides) == {"inferior", "superior"}
    assert sides["superior"].signed_distance_mm == pytest.approx((1 * 2 + 3 * 4 + 5 * 6 + 7 * 8) / 20)
    assert sides["inferior"].signed_distance_mm == pytest.approx((0 * 1 + 2 * 3 + 4 * 5 + 6 * 7) / 16)
    assert (sides["superior"].furthest_outside_mm, sides["superior"].furthest_inside_mm) == (7.0, 0.0)


def test_what_lies_inside_everywhere_is_nowhere_outside() -> None:
    found = SurfaceDistances(pieces(((20, -30, 100), -2.0, 1.0), ((21, -30, 100), -5.0, 1.0)), NOTHING).regions(MIDDLE)
    assert [(r.furthest_outside_mm, r.furthest_inside_mm, r.signed_distance_mm) for r in found] == [(0.0, 5.0, -3.5)] * 2
    found = SurfaceDistances(pieces(((20, -30, 100), 2.0, 1.0), ((21, -30, 100), 5.0, 3.0)), NOTHING).regions(MIDDLE)
    assert [(r.furthest_outside_mm, r.furthest_inside_mm, r.signed_distance_mm) for r in found] == [(5.0, 0.0, 4.25)] * 2


#: A: mostly 1 mm outside B, with a small part 7 mm inside; B's own surface lies up to 9 mm inside A.
BOTH = SurfaceDistances(
    pieces(((1, 2, 3), 1.0, 60.0), ((4, 5, 6), -7.0, 2.0), ((7, 8, 9), 3.0, 38.0)),
    pieces(((10, 11, 12), -1.0, 180.0), ((13, 14, 15.126), -9.0, 3.0), ((16, 17, 18), 2.0, 17.0)),
)


def test_every_number_has_both_surfaces_in_it_by_their_area() -> None:
    assert BOTH.hausdorff_mm == 9.0
    assert BOTH.hausdorff_at_mm == (13.0, 14.0, 15.13)
    # 95 % of A reach to 3 mm, of B to 2 mm.
    assert BOTH.hausdorff_percentile_mm(95) == 3.0
    assert BOTH.hausdorff_percentile_mm(50) == 1.0
    assert BOTH.mean_mm == pytest.approx(((60 + 14 + 114) / 100 + (180 + 27 + 34) / 200) / 2)
    assert BOTH.signed_mean_mm == pytest.approx((60 - 14 + 114) / 100)
    assert [BOTH.surface_dice(t) for t in (0.9, 1.0, 2.0, 3.0, 7.0, 9.0)] == pytest.approx(
        [x / 300 for x in (0, 240, 257, 295, 297, 300)]
    )


def test_the_other_way_round_it_is_the_others_surface_and_sign() -> None:
    other = SurfaceDistances(BOTH.b_to_a, BOTH.a_to_b)
    assert (other.hausdorff_mm, other.hausdorff_at_mm, other.mean_mm) == (9.0, (13.0, 14.0, 15.13), BOTH.mean_mm)
    assert other.signed_mean_mm == pytest.approx((-180 - 27 + 34) / 200)
    far = SurfaceDistances(pieces(((1, 2, 3), -12.0, 1.0), ((4, 5, 6), 3.0, 1.0)), BOTH.b_to_a)
    assert (far.hausdorff_mm, far.hausdorff_at_mm) == (12.0, (1.0, 2.0, 3.0))


@pytest.mark.parametrize(
    ("axis", "sign", "word"),
    [(0, -1, "right"), (0, 1, "left"), (1, -1, "anterior"), (1, 1, "posterior"), (2, -1, "inferior"), (2, 1, "superior")],
)
def test_a_shift_is_said_in_the_word_of_its_way(axis: int, sign: int, word: str) -> None:
    def along(mm: float) -> tuple[float, float, float]:
        x, y, z = (sign * mm if k == axis else 0.0 for k in range(3))
        return (x, y, z)

    # From a tenth of a millimetre on.
    assert in_words(along(0.099)) == "none"
    assert in_words(along(0.1)) == f"0.1 mm {word}"
    assert in_words(along(0.14)) == f"0.1 mm {word}"
    assert in_words(along(0.6)) == f"0.6 mm {word}"
    assert in_words(along(12.36)) == f"12.4 mm {word}"


def test_a_shift_along_several_axes_is_said_in_their_order() -> None:
    assert in_words((-1.0, -2.0, 3.0)) == "1.0 mm right, 2.0 mm anterior, 3.0 mm superior"
    assert in_words((4.0, 0.05, -6.0)) == "4.0 mm left, 6.0 mm inferior"


def test_a_percentile_is_the_least_value_that_so_much_of_the_weight_does_not_exceed() -> None:
    values, weights = np.array([5.0, 1.0, 9.0, 3.0]), np.array([10.0, 20.0, 30.0, 40.0])
    expected = {0.1: 1, 20: 1, 20.1: 3, 60: 3, 60.1: 5, 70: 5, 70.1: 9, 99: 9, 100: 9}
    assert {p: weighted_percentile(values, weights, p) for p in expected} == expected


@pytest.mark.parametrize("percent", [3.0, 50.0, 80.0, 95.0, 99.5])
def test_a_percentile_of_many_is_that_of_all_of_them_sorted(percent: float) -> None:
    """Weights that grow, fall, and lie wholly in a few values: what the shortcut near the top must not see."""
    values = np.random.default_rng(3).permutation(np.arange(1000.0))
    for weights in (1 + values, 1001 - values, np.where(values > 990, 500.0, 1.0), np.where(values < 5, 500.0, 1.0)):
        order = np.argsort(values)
        share = np.cumsum(weights[order]) / weights.sum()
        assert weighted_percentile(values, weights, percent) == values[order][np.searchsorted(share, percent / 100 - 1e-12)]


def test_points_are_told_in_patient_coordinates_whatever_the_frame() -> None:
    """Cones drawn feet first and on oblique planes, one 5 mm longer than the other: the tip is furthest away."""
    for orientation in (FEET_FIRST, OBLIQUE):
        short, long = (
            cone(14, -0.9, np.arange(0.0, n, 2.0), (21, 8), orientation=orientation, slice_spacing_mm=2.0) for n in (11, 16)
        )
        both = surface_distances(surface_of(long), surface_of(short))
        # The long one's end, of 1.4 mm radius, lies between 14 and 15 mm around (21, 8) of its frame; the short one's flat end at 11 mm.
        assert both.hausdorff_mm == pytest.approx(3.6, abs=0.5)
        at = orientation.to_frame([both.hausdorff_at_mm])[0]
        assert at[2] == pytest.approx(14.6, abs=0.5)
        assert np.hypot(at[0] - 21, at[1] - 8) < 1.6
        middle = np.average(both.a_to_b.points, axis=0, weights=both.a_to_b.areas)
        assert orientation.to_frame([middle])[0, :2] == pytest.approx((21, 8), abs=0.1)
