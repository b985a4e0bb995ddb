"""Surfaces and the distances from one to another: every face, every side of a triangle, both signs, two frames."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize
from shapely.geometry import MultiPolygon, box

from rtqc.core import AXIAL, Grid, Mask, Orientation, Structure
from rtqc.geometry.surface import (
    Distances,
    SmoothSurface,
    _to_triangles,
    cropped,
    surface_of,
    surface_of_mask,
    triangle_areas,
)
from tests.shapes import FEET_FIRST, boot, circle, cone, prism

#: Columns of 1 mm, rows of 2 mm, slices of 3 mm and, at the top, of 5 mm.
GRID = Grid(AXIAL, (10.0, -20.0), (2.0, 1.0), (12, 15), (0.0, 3.0, 6.0, 9.0, 14.0, 19.0, 24.0))


def mask_of(*boxes: tuple[slice, slice, slice], grid: Grid = GRID) -> Mask:
    array = np.zeros(grid.shape, bool)
    for part in boxes:
        array[part] = True
    return Mask(grid, array)


def faces(grid: Grid = GRID, *boxes: tuple[slice, slice, slice]) -> dict[str, tuple[float, np.ndarray]]:
    """Area and centre of the faces across each axis."""
    surface = surface_of_mask(mask_of(*boxes, grid=grid))
    found = {}
    for axis, name in enumerate("uvw"):
        own = surface.half[:, axis] == 0
        areas = surface.areas[own]
        found[name] = (float(areas.sum()), (surface.centres[own] * areas[:, None]).sum(axis=0) / areas.sum())
    return found


def test_a_box_of_voxels_has_the_faces_of_a_box() -> None:
    """4 columns of 1 mm, 3 rows of 2 mm, slices 1 and 2 of 3 mm each: from 12.5, -15, 1.5 to 16.5, -9, 7.5 mm."""
    found = faces(GRID, (slice(1, 3), slice(3, 6), slice(3, 7)))
    middle = (14.5, -12.0, 4.5)
    for name, area in (("u", 2 * 6 * 6), ("v", 2 * 4 * 6), ("w", 2 * 4 * 6)):
        assert found[name][0] == pytest.approx(area)
        assert found[name][1] == pytest.approx(middle)


def test_slices_of_unequal_thickness_have_faces_as_high_as_they_are() -> None:
    """Slices 3 and 4 stand for 7.5 to 11.5 and 11.5 to 16.5 mm."""
    assert np.diff(GRID.slab_bounds_mm, axis=1).ravel().tolist() == [3, 3, 3, 4, 5, 5, 5]
    found = faces(GRID, (slice(3, 5), slice(0, 1), slice(14, 15)))
    assert found["u"][0] == pytest.approx(2 * 9 * 2)
    assert found["v"][0] == pytest.approx(2 * 9 * 1)
    assert found["w"][0] == pytest.approx(2 * 2 * 1)
    assert found["w"][1] == pytest.approx((24.0, -20.0, 12.0))


def test_slices_that_a_gap_parts_have_faces_in_it() -> None:
    grid = replace(GRID, slice_positions_mm=(0.0, 3.0, 6.0, 30.0, 33.0, 36.0, 39.0))
    found = faces(grid, (slice(1, 5), slice(2, 4), slice(5, 6)))
    assert found["w"][0] == pytest.approx(4 * 4)
    assert found["u"][0] == pytest.approx(2 * 4 * 12)
    surface = surface_of_mask(mask_of((slice(1, 5), slice(2, 4), slice(5, 6)), grid=grid))
    assert sorted({float(w) for w in surface.centres[surface.half[:, 2] == 0][:, 2]}) == [1.5, 7.5, 28.5, 34.5]


def test_a_mask_holds_its_voxels_and_nothing_beside_them() -> None:
    surface = surface_of_mask(mask_of((slice(3, 5), slice(3, 6), slice(3, 7)), (slice(5, 6), slice(3, 4), slice(3, 4))))
    # From 12.5 to 16.5, from -15 to -9, from 7.5 to 16.5; one voxel above, up to 21.5.
    inside = [(12.6, -14.9, 7.6), (16.4, -9.1, 16.4), (14, -12, 11.6), (13.1, -13.9, 21.4)]
    outside = [
        (12.4, -12, 12),
        (16.6, -12, 12),
        (14, -15.2, 12),
        (14, -8.8, 12),
        (14, -12, 7.4),
        (14, -12, 16.6),
        (13.1, -13.9, 21.6),
        (-500, 0, 0),
        (14, 900, 12),
    ]
    assert surface.holds(np.array(inside)).tolist() == [True] * 4
    assert surface.holds(np.array(outside, float)).tolist() == [False] * 9


def test_an_empty_mask_or_structure_has_no_surface() -> None:
    with pytest.raises(ValueError, match="an empty mask has no surface"):
        surface_of_mask(mask_of())
    with pytest.raises(ValueError, match="empty"):
        surface_of(Structure("nothing", {}, AXIAL))


def test_masks_are_cut_to_what_either_holds_and_a_slice_more_at_either_end() -> None:
    a, b = mask_of((slice(2, 3), slice(4, 6), slice(3, 5))), mask_of((slice(3, 5), slice(5, 9), slice(1, 4)))
    one, other = cropped(a, b)
    assert one.grid == other.grid
    assert one.grid.shape == (5, 5, 4)
    assert one.grid.slice_positions_mm == (3.0, 6.0, 9.0, 14.0, 19.0)
    assert one.grid.origin_mm == (11.0, -12.0)
    assert (one.array.sum(), other.array.sum()) == (a.array.sum(), b.array.sum())
    assert (one.volume_ml, other.volume_ml) == pytest.approx((a.volume_ml, b.volume_ml))
    low, high = (
        cropped(mask_of((slice(0, 1), slice(0, 2), slice(0, 1)))),
        cropped(mask_of((slice(6, 7), slice(11, 12), slice(14, 15)))),
    )
    assert (low[0].grid.shape, high[0].grid.shape) == ((2, 2, 1), (2, 1, 1))
    assert (low[0].grid.slice_positions_mm[0], high[0].grid.slice_positions_mm[-1]) == (0.0, 24.0)
    nothing = mask_of()
    assert cropped(nothing)[0] is nothing


# --- Distances ---


def test_a_point_is_as_far_from_a_triangle_as_the_nearest_point_of_it() -> None:
    """Above the middle, beside every edge, beyond every corner; the truth is a minimum over the triangle's own coordinates."""
    a, b, c = np.array([1.0, 2, 3]), np.array([7.0, 1, 4]), np.array([2.0, 6, 1])
    triangle = np.stack([a, b, c])
    normal = np.cross(b - a, c - a)
    normal /= np.linalg.norm(normal)
    places = [(a + b + c) / 3 + 2 * normal, (a + b + c) / 3 - 3 * normal, a, (a + b) / 2]
    for p, q, r in ((a, b, c), (b, c, a), (c, a, b)):
        beside = (p + q) / 2 - 0.7 * (r - (p + q) / 2)
        places += [
            beside + normal,
            p + 1.3 * (p - (q + r) / 2) - 2 * normal,
            p + 0.9 * (p - q) + 0.3 * normal,
            p + 0.8 * (p - r),
        ]

    def nearest(point: np.ndarray) -> float:
        def away(share: np.ndarray) -> float:
            s, t = share[0], share[1] * (1 - share[0])
            return float(np.sum((point - a - s * (b - a) - t * (c - a)) ** 2))

        starts = ((0.2, 0.2), (0.9, 0.1), (0.1, 0.9), (0.5, 0.5))
        return min(
            minimize(away, s, bounds=[(0, 1), (0, 1)], method="L-BFGS-B", options={"ftol": 1e-15, "gtol": 1e-10}).fun
            for s in starts
        )

    found = _to_triangles(np.array(places), np.repeat(triangle[None], len(places), axis=0))
    assert found == pytest.approx([nearest(p) for p in places], abs=1e-5)
    # What has shrunk to a line or a point still has a distance.
    line = np.array([[(0, 0, 0), (4, 0, 0), (2, 0, 0)], [(1, 1, 1), (1, 1, 1), (1, 1, 1)]], float)
    assert _to_triangles(np.array([(2.0, 3, 4), (1, 1, 3)]), line) == pytest.approx([25, 4])


def test_triangles_have_their_areas() -> None:
    triangles = np.array(
        [[(0, 0, 0), (3, 0, 0), (0, 4, 0)], [(1, 1, 1), (1, 1, 6), (1, 3, 1)], [(5, 5, 5), (5, 5, 5), (6, 6, 6)]], float
    )
    assert triangle_areas(triangles).tolist() == [6, 5, 0]


def surfaces(**boxes: tuple[float, ...]) -> dict[str, SmoothSurface]:
    """Boxes by their ends along x and y, on planes from 1.5 to 28.5 mm: from 0 to 30 mm along z."""
    return {name: surface_of(prism(box(x0, y0, x1, y1), np.arange(1.5, 30, 3))) for name, (x0, x1, y0, y1) in boxes.items()}


def at(found: Distances, point: tuple[float, float, float]) -> float:
    """The distance of the piece nearest to a point."""
    return float(found.mm[np.linalg.norm(found.points - point, axis=1).argmin()])


def test_distances_are_positive_outside_and_negative_inside_the_other() -> None:
    """A reaches 4 mm further to the left and 3 mm less to the back than B."""
    of = surfaces(a=(0, 44, 0, 37), b=(0, 40, 0, 40))
    out, back = of["a"].distances_to(of["b"]), of["b"].distances_to(of["a"])
    # Samples are 0.7 mm apart; a flat side lies where it lies to some hundredths.
    assert at(out, (44, 18, 15)) == pytest.approx(4, abs=0.1)
    assert at(out, (20, 37, 15)) == pytest.approx(-3, abs=0.1)
    assert at(out, (0, 18, 15)) == pytest.approx(0, abs=0.1)
    assert at(back, (40, 18, 15)) == pytest.approx(-4, abs=0.1)
    assert at(back, (20, 40, 15)) == pytest.approx(3, abs=0.1)
    assert out.areas.sum() == pytest.approx(of["a"].areas.sum())
    assert out.mm.max() == pytest.approx(4, abs=0.1)
    assert back.mm.max() == pytest.approx(3, abs=0.1)


def test_the_largest_distance_is_that_of_a_triangle_and_not_of_a_patch() -> None:
    """The tip of a cone is a small part of a patch."""
    tip = surface_of(cone(10, -1.0, np.arange(0.0, 9.5, 1.0), (3, 2)))
    other = surface_of(prism(circle(3, 2, 12), np.arange(-6.0, 3.1, 1.0)))
    (every,) = other.distances_from(tip.centres)
    assert tip.distances_to(other).mm.max() == pytest.approx(every.max(), abs=1e-9)


@pytest.mark.parametrize("other", [FEET_FIRST, Orientation((0, 1, 0), (0, 0, -1))], ids=["feet first", "sagittal"])
def test_surfaces_in_two_frames_are_as_far_apart_as_in_one(other: Orientation) -> None:
    a = surface_of(prism(boot(4, -9), range(0, 19, 3)))
    shifted = surface_of(prism(boot(6, -14), range(3, 22, 3)))
    turn = AXIAL.transform_to(other).T
    turned = replace(
        shifted,
        orientation=other,
        centres=shifted.centres @ turn,
        triangles=shifted.triangles @ turn,
        solid=_Turned(shifted, other),
    )
    for own, ends in (((a, shifted), (a, turned)), ((shifted, a), (turned, a))):
        truth, found = own[0].distances_to(own[1]), ends[0].distances_to(ends[1])
        assert found.mm.max() == pytest.approx(truth.mm.max(), abs=1e-6)
        assert found.mm.min() == pytest.approx(truth.mm.min(), abs=1e-6)
        assert np.average(found.mm, weights=found.areas) == pytest.approx(np.average(truth.mm, weights=truth.areas), abs=0.05)


class _Turned:
    """A sampled solid that is asked in another frame."""

    def __init__(self, surface: SmoothSurface, frame: Orientation) -> None:
        self._solid, self._back = surface.solid, frame.transform_to(AXIAL).T

    def at(self, points: np.ndarray) -> np.ndarray:
        return self._solid.at(points @ self._back)


def test_masks_are_as_far_apart_as_their_voxels_by_hand() -> None:
    """A: 12.5 to 16.5, -15 to -9, 1.5 to 7.5 mm; B: two columns further left, one row less at the back, a slice higher."""
    a, b = (
        surface_of_mask(mask_of(part))
        for part in ((slice(1, 3), slice(3, 6), slice(3, 7)), (slice(1, 4), slice(3, 5), slice(3, 9)))
    )
    out, back = a.distances_to(b), b.distances_to(a)
    for found, surface in ((out, a), (back, b)):
        assert found.areas.sum() == pytest.approx(surface.areas.sum())
        assert found.points.shape[0] == 2 * surface.areas.size
        centre = (found.points * found.areas[:, None]).sum(axis=0) / found.areas.sum()
        assert centre == pytest.approx((surface.centres * surface.areas[:, None]).sum(axis=0) / surface.areas.sum())
    # B's top lies 4 mm above A's; a third of its last column's half side beyond that column's middle is 5/3 mm beside A.
    assert (out.mm.max(), back.mm.max()) == pytest.approx((2.0, np.hypot(4, 5 / 3)), abs=1e-9)
    # A's left side, at 16.5, lies 2 mm inside B, which goes on to 18.5; where B is not, at the back, it is 0 to 2 mm outside.
    own = np.abs(out.points[:, 0] - 16.5) < 1e-9
    assert (out.mm[own & (out.points[:, 1] < -11) & (out.points[:, 2] < 5.5)] <= 0).all()
    assert at(out, (14.5, -9, 4.5)) == pytest.approx(2.0)
    assert at(back, (18.5, -13, 4.5)) == pytest.approx(2.0)
    assert at(back, (14.5, -14, 11.5)) == pytest.approx(4.0)
    assert at(back, (14.5, -11, 4.5)) == pytest.approx(-2.0, abs=0.4)


def test_two_points_beside_each_place_are_looked_at_there() -> None:
    surface = surface_of(prism(MultiPolygon([box(0, 0, 40, 30)]), range(0, 31, 3)))
    places = np.array([(42.0, 15.0, 15.0), (20.0, 33.0, 15.0)])
    both = surface.distances_from(places, places + (0.5, 0, 0), places + (0, 0.25, 0))
    assert np.stack(both) == pytest.approx(np.array([(2.5, 3.0), (2.0, 3.25)]), abs=0.05)


def test_any_point_is_as_far_from_a_voxel_as_from_its_box() -> None:
    """On every side, at every edge and corner: the distance of what lies outside is that of |p - c| beyond half of the sides."""
    surface = surface_of_mask(mask_of((slice(4, 5), slice(6, 7), slice(7, 8))))
    centre, half = np.array([17.0, -8.0, 14.0]), np.array([0.5, 1.0, 2.5])
    points = centre + np.random.default_rng(4).uniform(-9, 9, (300, 3))
    outside = (np.abs(points - centre) > half).any(axis=1)
    truth = np.linalg.norm(np.maximum(np.abs(points[outside] - centre) - half, 0), axis=1)
    (found,) = surface.distances_from(points[outside])
    # Of six faces four are looked at, the nearest by their middle: a long side may be passed over by some tenths.
    assert np.abs(found - truth).max() < 0.6
    assert np.abs(found - truth).mean() < 0.02
    assert (found >= truth - 1e-9).all()
