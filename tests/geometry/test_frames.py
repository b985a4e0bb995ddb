"""Structures without symmetry on grids with unequal pixels, uneven slices, and in every way in which a CT may be stored."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import shapely
from shapely.geometry import MultiPolygon, Polygon, box

from rtqc.core import AXIAL, Grid, Mask, Orientation, Structure
from rtqc.geometry import cover, on_slices, rasterize, trace, trace_field
from rtqc.geometry.rasterize import in_frame, in_pixels
from rtqc.geometry.reslice import resliced
from tests.shapes import FEET_FIRST, FEET_FIRST_PRONE, HEAD_FIRST, HEAD_FIRST_PRONE, OBLIQUE, boot, circle, cone, prism, stack

STORED = {
    "HFS": HEAD_FIRST, "FFS": FEET_FIRST, "HFP": HEAD_FIRST_PRONE, "FFP": FEET_FIRST_PRONE,
    # On the side: rows run to the back, or to the front and feet first.
    "HFDR": Orientation((0, 1, 0), (-1, 0, 0)), "FFDL": Orientation((0, -1, 0), (-1, 0, 0)),
}  # fmt: skip
SAGITTAL, CORONAL = Orientation((0, 1, 0), (0, 0, -1)), Orientation((1, 0, 0), (0, 0, -1))
#: A boot that grows upwards, away from the middle of everything, on slices of 3 mm.
HEIGHTS = (-6.0, -3.0, 0.0, 3.0, 6.0)
GROWING = stack({w: boot(5, -33, 1 + 0.05 * w) for w in HEIGHTS}, "Boot", kind="ORGAN", slice_spacing_mm=3.0)


def grid_of(orientation: Orientation, row_mm: float = 2.0, column_mm: float = 1.0) -> Grid:
    """Slices of 3 mm from -9 to 9 mm; 100 x 100 mm around the axis, from the corner at which this orientation begins."""
    normal = np.array(orientation.normal)
    sides = (100 / column_mm - 1) / 2 * column_mm * np.array(orientation.row) + (100 / row_mm - 1) / 2 * row_mm * np.array(
        orientation.column
    )
    corner = -sides - 9 * normal
    return Grid.regular((7, int(100 / row_mm), int(100 / column_mm)), (3.0, row_mm, column_mm), corner, orientation)


def centres_of(grid: Grid) -> np.ndarray:
    """Patient coordinates of every voxel, (slices, rows, columns, 3)."""
    index = np.stack(np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij"), axis=-1)
    return grid.patient_mm(index.reshape(-1, 3)).reshape(*grid.shape, 3)


def drawn_at(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Whether the growing boot holds each point, by GEOS, and how far from its outline it lies; no point lies between planes."""
    held, away = np.zeros(points.shape[:-1], bool), np.full(points.shape[:-1], np.inf)
    for w, area in GROWING.planes.items():
        on = np.abs(points[..., 2] - w) < 1e-6
        at = shapely.points(points[on][:, :2])
        held[on], away[on] = shapely.contains(area, at), shapely.distance(area.boundary, at)
    return held, away


@pytest.mark.parametrize("spacing", [(2.0, 1.0), (1.0, 2.5)])
@pytest.mark.parametrize("stored", STORED)
def test_a_voxel_is_inside_where_its_patient_coordinates_are(stored: str, spacing: tuple[float, float]) -> None:
    grid = grid_of(STORED[stored], *spacing)
    mask, points = rasterize(GROWING, grid), centres_of(grid)
    expected, away = drawn_at(points)
    # A pixel that the outline runs through may be more than half covered though its middle is not, and the other way round.
    sure = away > np.hypot(*spacing) / 2
    assert np.array_equal(mask.array[sure], expected[sure])
    assert expected[sure].sum() > 500
    # What is covered altogether is the area to rounding: 668 (1 + w / 20)² mm² on each plane.
    pixel = spacing[0] * spacing[1]
    areas = sorted(float(a) * pixel for a in cover(GROWING, grid).sum(axis=(1, 2)))
    assert areas == pytest.approx([0, 0, *(668 * (1 + 0.05 * w) ** 2 for w in HEIGHTS)], rel=1e-5)


@pytest.mark.parametrize("stored", STORED)
def test_covered_pixels_have_the_structures_centre_of_volume(stored: str) -> None:
    grid = grid_of(STORED[stored])
    covered = cover(GROWING, grid)
    centre = (centres_of(grid) * covered[..., None]).sum(axis=(0, 1, 2)) / covered.sum()
    # The middle of a cut pixel is not that of its covered part: at most a hundredth of a pixel over the whole outline here.
    assert centre == pytest.approx(GROWING.centroid_mm, abs=0.05)


def test_more_than_a_threshold_of_a_pixel_is_inside() -> None:
    quarter = prism(box(0.0, 0.0, 10.0, 0.25), (0.0, 3.0))
    grid = Grid.regular((2, 4, 12), (3.0, 1.0, 1.0), (0.5, 0.5, 0.0))
    assert rasterize(quarter, grid, 0.25).array.sum() == 20
    assert not rasterize(quarter, grid, 0.26).array.any()
    assert not rasterize(prism(box(0, 0, 10, 0.499), (0.0, 3.0)), grid).array.any()
    assert rasterize(prism(box(0, 0, 10, 0.5), (0.0, 3.0)), grid).array.sum() == 20


def test_rows_count_along_v_and_columns_along_u_in_pixels() -> None:
    grid = Grid(AXIAL, (-20.0, 7.0), (2.0, 0.5), (10, 40), (0.0, 3.0))
    area = in_pixels(MultiPolygon([box(-20, 7, -18, 11)]), grid)
    # From the middle of pixel (0, 0), which lies at (0.5, 0.5): 2 mm are four columns, 4 mm two rows.
    assert area.bounds == (0.5, 0.5, 4.5, 2.5)
    assert in_pixels(MultiPolygon(), grid).is_empty


@pytest.mark.parametrize("stored", STORED)
def test_a_structure_in_another_frame_is_the_same_in_the_patient(stored: str) -> None:
    slices = (-9.0, -6.0, -3.0, 0.0, 3.0, 6.0, 8.0)
    drawn = replace(GROWING, slices_mm=slices)
    turned = in_frame(drawn, STORED[stored])
    assert turned.orientation == STORED[stored]
    assert (turned.name, turned.kind, turned.slice_spacing_mm) == ("Boot", "ORGAN", 3.0)
    assert turned.centroid_mm == pytest.approx(drawn.centroid_mm, abs=1e-9)
    assert turned.volume_ml == pytest.approx(drawn.volume_ml)
    assert turned.slices_mm is not None
    up = round(STORED[stored].normal[2])
    assert turned.slices_mm == tuple(sorted(up * w for w in slices))
    corner = STORED[stored].to_frame([(5 + 30 * 0.7, -33, -6.0)])[0]
    assert turned.planes[corner[2]].distance(shapely.Point(corner[:2])) < 1e-9
    back = in_frame(turned, AXIAL)
    assert [back.planes[w].symmetric_difference(drawn.planes[w]).area for w in HEIGHTS] == pytest.approx([0] * 5, abs=1e-9)


def test_planes_that_are_not_parallel_have_no_common_frame() -> None:
    with pytest.raises(ValueError, match="Boot is drawn on planes that are not parallel"):
        in_frame(GROWING, SAGITTAL)
    assert in_frame(GROWING, AXIAL) is GROWING


@pytest.mark.parametrize("orientation", [SAGITTAL, CORONAL, OBLIQUE], ids=["sagittal", "coronal", "oblique"])
def test_a_grid_that_cuts_across_holds_the_solid_where_it_is(orientation: Orientation) -> None:
    solid = cone(14, 0.4, range(-15, 16, 3), (9, -4), slice_spacing_mm=3.0)
    size, spacing = (30, 44, 34), (2.0, 1.5, 2.0)
    half = (np.array(size) - 1) / 2 * np.array(spacing)
    corner = (
        np.array([9.0, -4, 0])
        - half[2] * np.array(orientation.row)
        - half[1] * np.array(orientation.column)
        - half[0] * np.array(orientation.normal)
    )
    grid = Grid.regular(size, spacing, corner, orientation)
    points = centres_of(grid)
    away = (14 + 0.4 * points[..., 2]) - np.hypot(points[..., 0] - 9, points[..., 1] + 4)
    expected = (away > 0) & (np.abs(points[..., 2]) < 16.5)
    # Where the middle of a voxel is nearer to the surface than the field's samples tell (0.3 mm), either is right.
    sure = (np.abs(away) > 0.3) & (np.abs(np.abs(points[..., 2]) - 16.5) > 0.8)
    mask = rasterize(solid, grid).array
    assert np.array_equal(mask[sure], expected[sure])
    assert expected[sure].sum() > 3000


@pytest.mark.parametrize("stored", STORED)
def test_a_mask_is_traced_where_its_voxels_are_with_their_area(stored: str) -> None:
    grid = grid_of(STORED[stored])
    mask = rasterize(GROWING, grid)
    traced = trace(mask, "Boot", "PTV")
    assert (traced.name, traced.kind, traced.orientation, traced.voxels) == ("Boot", "PTV", AXIAL, mask)
    assert traced.slice_spacing_mm == 3.0
    assert traced.slices_mm == tuple(range(-9, 10, 3))
    assert list(traced.planes) == list(HEIGHTS)
    weights = mask.array.sum(axis=(1, 2)) * 2.0
    counted = sorted(weights[weights > 0])
    # The area is restored to a thousandth (a pixel's share of the outline is simplified by 0.05 mm besides).
    assert sorted(traced.areas_mm2) == pytest.approx(counted, rel=2e-3)
    centre = centres_of(grid)[mask.array].mean(axis=0)
    assert traced.centroid_mm == pytest.approx(centre, abs=0.05)
    assert rasterize(traced, grid).array.sum() == pytest.approx(mask.array.sum(), rel=0.01)
    for w, area in traced.planes.items():
        # Half of a pixel's diagonal is what stairs can be off.
        assert shapely.hausdorff_distance(area.boundary, GROWING.planes[w].boundary) < 1.8


@pytest.mark.parametrize("stored", STORED)
def test_a_field_is_traced_where_it_has_the_level(stored: str) -> None:
    grid = grid_of(STORED[stored])
    x, y, z = np.moveaxis(centres_of(grid), -1, 0)
    field = 20 + z - np.hypot(x - 7, 1.5 * (y + 12))
    found = trace_field(field, grid, 3.0, "Ellipse", "ORGAN")
    assert (found.name, found.kind, found.voxels) == ("Ellipse", "ORGAN", None)
    assert found.orientation == AXIAL
    for w, area in found.planes.items():
        # Half axes 17 + z and two thirds of it; linear between samples, 2 % where it is six rows high.
        assert area.area == pytest.approx(np.pi * (17 + w) ** 2 / 1.5, rel=0.02)
        assert (area.centroid.x, area.centroid.y) == pytest.approx((7, -12), abs=0.05)
        assert area.bounds == pytest.approx((7 - 17 - w, -12 - (17 + w) / 1.5, 7 + 17 + w, -12 + (17 + w) / 1.5), abs=0.15)


def test_what_is_drawn_on_a_single_slice_has_no_slices_but_a_spacing() -> None:
    grid = Grid(AXIAL, (0.0, 0.0), (1.0, 1.0), (12, 12), (4.0,), 2.5)
    array = np.zeros(grid.shape, bool)
    array[0, 2:9, 3:6] = True
    traced = trace(Mask(grid, array))
    assert (traced.slices_mm, traced.slice_spacing_mm) == (None, 2.5)
    assert traced.volume_ml == pytest.approx(21 * 2.5 / 1000, rel=2e-3)


def test_stairs_are_smoothed_and_small_things_are_left_as_they_are() -> None:
    grid = Grid.regular((1, 60, 60), (3.0, 1.0, 1.0), (-29.5, -29.5, 0))
    disc = trace(rasterize(stack({0.0: circle(1.2, -0.7, 17.3)}, slice_spacing_mm=3.0), grid)).planes[0.0]
    assert disc.length == pytest.approx(2 * np.pi * 17.3, rel=0.02)
    array = np.zeros((1, 60, 60), bool)
    array[0, 4, 5:8] = True
    small = trace(Mask(grid, array)).planes[0.0]
    assert small.area == pytest.approx(3, rel=0.25)
    assert small.bounds == pytest.approx((-29.5 + 5 - 0.6, -29.5 + 4 - 0.6, -29.5 + 7 + 0.6, -29.5 + 4 + 0.6), abs=0.1)


def test_planes_on_slices_stay_and_others_are_cut_from_the_solid() -> None:
    """Planes at multiples of 3 mm; slices of 2 mm from -8 to 8: every third is a plane's."""
    grid = Grid.regular((9, 30, 30), (2.0, 2.0, 2.0), (-30, -30, 8), FEET_FIRST_PRONE)
    solid = cone(20, 1.0, HEIGHTS, (4, -3), slice_spacing_mm=3.0, kind="ORGAN")
    found = on_slices(solid, grid)
    assert (found.orientation, found.kind, found.slice_spacing_mm) == (AXIAL, "ORGAN", 2.0)
    assert found.slices_mm == tuple(range(-8, 9, 2))
    # A flat end reaches half a spacing, to 7.5 mm; a plane within a quarter of the slices' spacing is taken as it is.
    assert list(found.planes) == [-6, -4, -2, 0, 2, 4, 6]
    assert found.planes[0.0].equals(solid.planes[0.0])
    for w in (-4.0, -2.0, 2.0, 4.0):
        assert found.planes[w].area == pytest.approx(np.pi * (20 + w) ** 2, rel=0.01)
        assert found.planes[w].centroid.coords[0] == pytest.approx((4, -3), abs=0.02)
    single = on_slices(solid, Grid(AXIAL, (0, 0), (1, 1), (5, 5), (3.0,), 3.0))
    assert single.slices_mm is None
    assert list(single.planes) == [3.0]


def test_a_solid_is_cut_across_where_it_lies() -> None:
    """A boot 33 mm long: seen from the left, it is 40 mm deep up to x = 11 and 12 mm beyond, its sole at y = -33."""
    solid = prism(boot(5, -33), range(-15, 16, 3), "Boot", kind="ORGAN", slice_spacing_mm=3.0)
    # Along the normal of sagittal planes with rows to the back and columns down, which is -x.
    found = resliced(solid, SAGITTAL, (-40.0, -34.0, -20.0, -10.0, 0.0, 10.0))
    assert (found.name, found.kind, found.orientation) == ("Boot", "ORGAN", SAGITTAL)
    assert list(found.planes) == [-34.0, -20.0, -10.0]
    for w, depth in ((-34.0, 12), (-20.0, 12), (-10.0, 40)):
        area = found.planes[w]
        # Corners of the solid are rounded by a sample, 0.7 mm here.
        assert area.area == pytest.approx(depth * 33, rel=0.03)
        assert np.array(area.bounds) == pytest.approx((-33, -16.5, -33 + depth, 16.5), abs=0.4)
    # Rows to the left, columns down: the normal points to the back.
    assert CORONAL.normal == (0, 1, 0)
    coronal = resliced(solid, CORONAL, (-27.0, -5.0, 10.0))
    assert list(coronal.planes) == [-27.0, -5.0]
    assert np.array(coronal.planes[-27.0].bounds) == pytest.approx((5, -16.5, 35, 16.5), abs=0.4)
    assert np.array(coronal.planes[-5.0].bounds) == pytest.approx((5, -16.5, 16, 16.5), abs=0.4)


def test_a_structure_drawn_on_sagittal_planes_lands_on_axial_slices() -> None:
    drawn = Structure(
        "Boot", {float(w): MultiPolygon([boot(5, -33)]) for w in range(-12, 13, 3)}, SAGITTAL, slice_spacing_mm=3.0
    )
    grid = Grid.regular((9, 50, 50), (4.0, 1.0, 1.0), (-25, -25, -20))
    found = on_slices(drawn, grid)
    assert found.orientation == AXIAL
    # u is y, v is -z, w is -x: the boot's length of 40 mm runs down from z = 33, of which slices see -4 to 12 mm and so on.
    for z, area in found.planes.items():
        v = -z + 33
        width = 30 if 0 < v < 12 else 11
        assert area.bounds == pytest.approx((-13.5, 5, 13.5, 5 + width), abs=0.5), z
    assert Polygon(found.planes[0.0].geoms[0].exterior).area == pytest.approx(27 * 11, rel=0.05)


def test_a_slice_takes_a_plane_within_a_quarter_of_its_spacing_and_interpolates_else() -> None:
    solid = cone(20, 1.0, (0.0, 3.0, 6.0), slice_spacing_mm=3.0)
    for off, drawn in ((0.7, True), (0.8, False)):
        grid = Grid.regular((2, 60, 120), (3.0, 1.0, 0.5), (-29.75, -29.5, off))
        areas = cover(solid, grid).sum(axis=(1, 2)) * 0.5
        radii = (20, 23) if drawn else (20 + off, 23 + off)
        # A plane is covered exactly, a section between planes to 0.3 %.
        assert areas == pytest.approx([np.pi * r**2 for r in radii], rel=1e-5 if drawn else 4e-3), off
