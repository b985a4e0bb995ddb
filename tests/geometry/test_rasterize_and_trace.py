"""Contours to masks and back, against formulas and real hearts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import nrrd
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import MultiPolygon, Polygon, box

from rtqc.core import AXIAL, Grid, Mask, Orientation, Structure
from rtqc.geometry import cover, rasterize, trace
from rtqc.geometry.coverage import coverage
from rtqc.geometry.rings import area_of_ring, combine_even_odd
from tests.conftest import HEARTS, real
from tests.shapes import circle, cylinder, sphere

Radius = Callable[[Any], Any]


def test_coverage_is_the_exact_area_of_every_pixel() -> None:
    triangle = Polygon([(0.3, 0.2), (4.7, 1.1), (2.2, 3.9)])
    covered = coverage([MultiPolygon([triangle])], (5, 6))[0]
    for i in range(5):
        for j in range(6):
            assert covered[i, j] == pytest.approx(triangle.intersection(box(j, i, j + 1, i + 1)).area, abs=1e-6)


#: To a millionth of a pixel: with coordinates like 5e-324 GEOS, which is the reference here, clips wrongly.
_COORDINATE = st.floats(-2, 9).map(lambda v: round(v, 6))


@pytest.mark.parametrize(
    ("points", "area"),
    [
        # Clipped by hand: (0, 0), (4, 0), (1, 7) and (0, 3.5), (0, 6.5), (1, 7) are left inside the image.
        ([(1.0, 7.0), (1.0, -1.0), (4.0, 0.0), (5.2e-284, 3.9e-194)], 14.0),
        ([(1.0, 7.0), (5e-324, 6.5), (-1.0, 0.0)], 1.5),
    ],
)
def test_coverage_of_points_a_hair_off_a_pixel_border_is_exact(points: list[tuple[float, float]], area: float) -> None:
    hull = shapely.convex_hull(shapely.MultiPoint(points))
    assert float(coverage([MultiPolygon([hull])], (7, 7)).sum()) == pytest.approx(area, abs=1e-6)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(_COORDINATE, _COORDINATE), min_size=3, max_size=8, unique=True))
def test_coverage_of_any_polygon_sums_to_its_area_inside_the_image(points: list[tuple[float, float]]) -> None:
    area = shapely.convex_hull(shapely.MultiPoint(points))
    if area.geom_type != "Polygon":
        return
    covered = coverage([MultiPolygon([area])], (7, 7))[0]
    assert float(covered.sum()) == pytest.approx(area.intersection(box(0, 0, 7, 7)).area, abs=1e-3)


def test_a_hole_is_not_covered() -> None:
    ring = Structure("ring", {0.0: MultiPolygon([circle(0, 0, 10).difference(circle(0, 0, 4))])}, slice_spacing_mm=1.0)
    grid = Grid.regular((1, 60, 60), (1, 0.5, 0.5), (-14.75, -14.75, 0))
    covered = cover(ring, grid)
    assert float(covered.sum()) * 0.25 == pytest.approx(np.pi * (100 - 16), rel=1e-5)
    assert covered[0, 29, 29] == pytest.approx(0, abs=1e-9)


def test_keyhole_and_second_contour_are_the_same_hole() -> None:
    outer, inner = circle(0, 0, 20), circle(3, 0, 6)
    even_odd = combine_even_odd([MultiPolygon([outer]), MultiPolygon([inner])])
    a, b = np.array(outer.exterior.coords)[:-1], np.array(inner.exterior.coords)[:-1]
    i = int(np.argmax(a[:, 0]))
    j = int(np.argmax(b[:, 0]))
    around_outer, around_inner = np.roll(a, -i, axis=0), np.roll(b, -j, axis=0)[::-1]
    keyhole = np.vstack([around_outer, around_outer[:1], around_inner[-1:], around_inner[:-1], around_inner[-1:]])
    assert area_of_ring(keyhole).area == pytest.approx(even_odd.area, rel=1e-6)
    assert even_odd.area == pytest.approx(np.pi * (400 - 36), rel=1e-6)


def test_a_sphere_has_its_volume_on_any_grid() -> None:
    ball = sphere(30, 2.0)
    for origin in ((-40, -40, -40), (-40.37, -39.61, -40)):
        mask = rasterize(ball, Grid.regular((41, 80, 80), (2.0, 1.0, 1.0), origin))
        assert mask.volume_ml == pytest.approx(4 / 3 * np.pi * 27, rel=0.01)
        assert ball.volume_ml == pytest.approx(4 / 3 * np.pi * 27, rel=0.002)


@pytest.mark.parametrize("radius", [lambda w: 10 + 2.5 * w, lambda w: np.sqrt(100 + 60 * w - w**2)], ids=["cone", "ball"])
def test_slices_between_planes_are_interpolated_and_beyond_half_a_spacing_nothing_is(radius: Radius) -> None:
    solid = Structure("solid", {w: MultiPolygon([circle(0, 0, radius(w))]) for w in (0.0, 4.0, 8.0, 12.0)})
    heights = np.arange(-3.0, 16.0)
    grid = Grid.regular((heights.size, 180, 180), (1.0, 0.5, 0.5), (-44.75, -44.75, -3))
    areas = cover(solid, grid).sum(axis=(1, 2)) * 0.25
    drawn = np.clip(heights, 0, 12)
    expected = np.where((heights >= -2) & (heights < 14), np.pi * radius(drawn) ** 2, 0)
    assert areas == pytest.approx(expected, rel=0.01)


def test_a_mirrored_image_gives_the_mirrored_mask() -> None:
    ball = sphere(20, 2.0, (7, -3, 0))
    grid = Grid.regular((21, 64, 64), (2.0, 1.0, 1.0), (-32, -32, -20))
    feet_first = Orientation((-1, 0, 0), (0, 1, 0))
    flipped = Grid.regular((21, 64, 64), (2.0, 1.0, 1.0), (31, -32, 20), feet_first)
    assert np.array_equal(rasterize(ball, flipped).array, rasterize(ball, grid).array[::-1, :, ::-1])


def test_a_grid_that_cuts_across_the_planes_holds_the_same_volume() -> None:
    sagittal = Orientation((0, 1, 0), (0, 0, 1))
    grid = Grid.regular((80, 80, 80), (1.0, 1.0, 1.0), (-40, -40, -40), sagittal)
    assert rasterize(sphere(30, 1.0), grid).volume_ml == pytest.approx(4 / 3 * np.pi * 27, rel=0.01)


def test_trace_goes_through_half_coverage_and_keeps_area_and_holes() -> None:
    grid = Grid.regular((3, 80, 80), (3.0, 1.0, 1.0), (-40, -40, 0))
    mask = rasterize(cylinder(25, -1.5, 7.5, 3.0, hole=8), grid)
    traced = trace(mask, "ring")
    assert len(traced.planes) == 3
    for area in traced.planes.values():
        assert len(area.geoms) == 1
        assert len(area.geoms[0].interiors) == 1
        assert area.area == pytest.approx(float(mask.array[0].sum()), rel=2e-3)
        truth = circle(0, 0, 25).difference(circle(0, 0, 8))
        assert shapely.hausdorff_distance(area.boundary, truth.boundary) < 0.8


def test_single_pixels_and_touching_corners_are_traced() -> None:
    array = np.zeros((1, 6, 6), bool)
    array[0, 1, 1] = array[0, 2, 2] = array[0, 4, 4] = True
    grid = Grid.regular((1, 6, 6), (1, 1, 1))
    assert np.array_equal(rasterize(trace(Mask(grid, array)), grid).array, array)


def test_an_empty_mask_is_an_empty_structure_and_back() -> None:
    grid = Grid.regular((2, 4, 4), (1, 1, 1))
    structure = trace(Mask(grid, np.zeros(grid.shape, bool)))
    assert structure.is_empty
    assert structure.volume_ml == 0
    assert not rasterize(structure, grid).array.any()


@pytest.mark.real
@pytest.mark.parametrize("patient", HEARTS)
def test_real_hearts_survive_the_round_trip(patient: str) -> None:
    labels, header = nrrd.read(str(real("heart-masks", f"{patient}.nrrd")))
    # 1 is heart, 3 is calcium in it; 2 is no organ.
    array = np.ascontiguousarray(np.transpose(np.isin(labels, (1, 3))))
    spacing = np.abs(np.diag(header["space directions"]))
    grid = Grid.regular(array.shape, spacing[::-1])
    mask = Mask(grid, array)
    back = rasterize(trace(mask), grid)
    dice = 2 * (back.array & array).sum() / (back.array.sum() + array.sum())
    assert dice >= 0.995
    assert back.volume_ml == pytest.approx(mask.volume_ml, rel=0.002)


def test_the_orientation_of_a_traced_structure_is_canonical() -> None:
    grid = Grid.regular((2, 10, 10), (2.0, 1.0, 1.0), (0, 0, 0), Orientation((-1, 0, 0), (0, 1, 0)))
    array = np.zeros(grid.shape, bool)
    array[:, 2:8, 1:4] = True
    traced = trace(Mask(grid, array))
    assert traced.orientation == AXIAL
    assert traced.centroid_mm == pytest.approx(grid.patient_mm([(0.5, 4.5, 2.0)])[0], abs=0.05)
