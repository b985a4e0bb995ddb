"""The solid that contours mean, its surface and its samples: cones, uneven planes, gaps, holes and ends, against formulas."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import shapely
from shapely.geometry import MultiPolygon, Point, box

from rtqc.core import AXIAL, Structure
from rtqc.geometry.layers import Raster, signed_depth
from rtqc.geometry.pieces import piece_volume_ml, pieces_of
from rtqc.geometry.solid import SampledSolid, Solid, TooThinError, areas_at, sample_solid, trilinear
from rtqc.geometry.surface import SmoothSurface, surface_of, triangle_areas
from tests.shapes import boot, circle, cone, prism, stack

#: Steps of 2, 2, 5 (bridged, as 5 mm always are), 3 and 4 mm.
UNEVEN = (0.0, 2.0, 4.0, 9.0, 12.0, 16.0)


def volume_and_centre(surface: SmoothSurface) -> tuple[float, np.ndarray]:
    """By the divergence theorem, in ml and mm: right only for a surface that is closed."""
    a, b, c = np.moveaxis(surface.triangles, 1, 0)
    six = np.einsum("ij,ij->i", a, np.cross(b, c))
    return abs(six.sum()) / 6000, (six[:, None] * (a + b + c)).sum(axis=0) / 4 / six.sum()


# --- Between the planes ---


@pytest.mark.parametrize("slope", [0.8, -0.8])
def test_a_cone_is_a_cone_between_uneven_planes(slope: float) -> None:
    solid = cone(20, slope, UNEVEN, (7, -11))
    heights = np.arange(0.5, 16, 0.5)
    for w, area in zip(heights, areas_at(solid, heights, 1e-3), strict=True):
        # The field of a cone is a parabola along w, which the cubics hold exactly; sampled every 0.5 mm, its isoline is right to 0.2 %.
        assert area.area == pytest.approx(np.pi * (20 + slope * w) ** 2, rel=0.004), w
        assert (area.centroid.x, area.centroid.y) == pytest.approx((7, -11), abs=0.02)


def test_a_leaning_boot_lies_between_its_planes() -> None:
    """What neither plane has appears nowhere, what both have everywhere."""
    solid = stack({0.0: boot(0, 0), 3.0: boot(4, -6), 6.0: boot(8, -12)})
    (between,) = areas_at(solid, [1.5], 0.1)
    low, high = solid.planes[0.0], solid.planes[3.0]
    assert between.difference(low.union(high)).area < 2
    assert low.intersection(high).difference(between).area < 2
    assert np.array(between.centroid.coords[0]) == pytest.approx(
        (np.array(low.centroid.coords[0]) + high.centroid.coords[0]) / 2, abs=1.0
    )


def test_a_plane_that_lies_near_is_taken_as_it_is_and_beyond_an_end_for_half_a_spacing() -> None:
    solid = cone(20, 1.0, (0.0, 3.0, 6.0), slice_spacing_mm=3.0)
    heights = (-1.6, -1.5, -0.4, 0.6, 5.3, 7.4, 7.5)
    planes = [float(np.sqrt(a.area / np.pi)) for a in areas_at(solid, heights, 0.75)]
    # -1.5 is the first slab's end, which belongs to it; 7.5 is the last one's, which does not.
    assert planes == pytest.approx([0, 20, 20, 20, 26, 26, 0], abs=1e-3)
    # As near as a tolerance is near enough.
    assert areas_at(solid, (0.75,), 0.75)[0].equals(solid.planes[0.0])
    assert areas_at(solid, (0.76,), 0.75)[0].area == pytest.approx(np.pi * 20.76**2, rel=0.003)
    assert [a.is_empty for a in areas_at(Structure("nothing", {}, AXIAL), (0.0, 1.0), 1.0)] == [True, True]


def test_a_gap_is_not_bridged_and_slopes_do_not_cross_it() -> None:
    """Two cones, 24 mm apart, the upper one far wider: each ends half a spacing beyond its own planes, as if the other were not there."""
    low, high = {w: circle(3, 4, 20 - w) for w in (0.0, 3.0, 6.0)}, {w: circle(3, 4, w + 10) for w in (30.0, 33.0, 36.0)}
    both = stack({**low, **high})
    heights = np.array([-2.0, -1, 1, 2, 4, 5, 7, 8, 10, 18, 26, 28, 29, 31, 32, 34, 35, 37, 38])
    apart = [areas_at(stack(part), heights, 1e-3) for part in (low, high)]
    for w, one, other, area in zip(heights, *apart, areas_at(both, heights, 1e-3), strict=True):
        assert area.area == pytest.approx(one.area + other.area, rel=3e-3, abs=1e-6), w
    assert [a.is_empty for a in areas_at(both, (7.6, 12, 18, 24, 28.4), 1e-3)] == [True] * 5
    volume, _ = volume_and_centre(surface_of(both))
    parts = [volume_and_centre(surface_of(stack(part)))[0] for part in (low, high)]
    assert volume == pytest.approx(sum(parts), rel=0.005)
    assert both.volume_ml == pytest.approx(sum(parts), rel=0.04)


def test_the_slope_at_an_inner_plane_is_that_of_the_parabola_through_its_neighbours() -> None:
    """Of a cone, on its axis: the field is R², its slope 2 R R'."""
    solid = Solid(cone(20, 0.8, UNEVEN), Raster.around(cone(20, 0.8, UNEVEN), 0.5))
    row, column = np.array(solid.raster.shape) // 2
    for w in UNEVEN[1:-1]:
        before, at, after = (float(solid.at(w + d)[row, column]) for d in (-0.01, 0, 0.01))
        assert at == pytest.approx((20 + 0.8 * w) ** 2, rel=0.01)
        assert (after - before) / 0.02 == pytest.approx(2 * 0.8 * (20 + 0.8 * w), rel=0.03)


# --- Beyond the ends ---


def test_a_flat_end_lies_half_a_spacing_beyond_the_last_plane_and_each_end_by_its_own() -> None:
    """Planes at 2 mm below and 5 mm above: the surface ends at -1 and at 21.5 mm and is closed."""
    area = boot(10, -20)
    tall = prism(area, (0.0, 2, 4, 6, 8, 10, 14, 19), slices_mm=(-4, -2, 0, 2, 4, 6, 8, 10, 14, 19, 24, 29))
    surface = surface_of(tall)
    low, high = surface.triangles.reshape(-1, 3).min(axis=0), surface.triangles.reshape(-1, 3).max(axis=0)
    bounds = tall.slab_bounds_mm
    assert (low[2], high[2]) == pytest.approx((bounds[0, 0], bounds[-1, 1]), abs=0.15)
    assert (bounds[0, 0], bounds[-1, 1]) == (-1.0, 21.5)
    assert (*low[:2], *high[:2]) == pytest.approx((10, -20, 40, 20), abs=0.3)
    volume, centre = volume_and_centre(surface)
    # Edges are rounded by a sample.
    assert volume == pytest.approx(668 * 22.5 / 1000, rel=0.02)
    assert centre == pytest.approx([*area.centroid.coords[0], 10.25], abs=0.2)


@pytest.mark.parametrize("way", [1, -1])
def test_a_cone_closes_where_it_runs_out(way: int) -> None:
    """Its next plane would show nothing, so that it ends before that; half a spacing would be 0.75 mm."""
    pointed = cone(12, -3 * way, [0, 1.5 * way, 3 * way], (5, 6), slice_spacing_mm=1.5)
    surface = surface_of(pointed)
    z = surface.triangles[..., 2] * way
    # The field on its axis is 9 mm² on the last plane, where the parabola through three planes falls by 18 mm² a mm.
    assert z.max() == pytest.approx(3.5, abs=0.12)
    # The wide end is flat.
    assert z.min() == pytest.approx(-0.75, abs=0.12)


@pytest.mark.parametrize("slope", [0.8, -0.8])
def test_a_surface_is_closed_and_holds_what_the_planes_say(slope: float) -> None:
    solid = cone(20, slope, UNEVEN, (7, -11))
    surface = surface_of(solid)
    volume, centre = volume_and_centre(surface)
    # The field beyond an end never widens, so that the last slab is not a cone's; a slab of 4 mm is a tenth of the volume.
    assert volume == pytest.approx(solid.volume_ml, rel=0.03)
    assert centre[:2] == pytest.approx((7, -11), abs=0.05)
    assert centre[2] == pytest.approx(solid.centroid_mm[2], abs=0.3)
    assert surface.areas.sum() == pytest.approx(triangle_areas(surface.triangles).sum())
    # Its wide end goes on as a cylinder, its narrow end as a cone.
    low, high, flat = (-1, 16, 2) if slope > 0 else (0, 18, 1)
    r0, r1 = 20 + slope * low, 20 + slope * high
    side = np.pi * (r0 + r1) * np.hypot(high - low, (high - low) * slope) + 2 * np.pi * max(r0, r1) * flat
    # Edges are rounded by a sample, 0.7 mm.
    assert surface.areas.sum() == pytest.approx(side + np.pi * (r0**2 + r1**2), rel=0.04)


# --- Holes ---


def test_a_hole_and_an_island_in_it_are_solids_of_their_own() -> None:
    ring = circle(0, 0, 20).difference(circle(5, -3, 9)).union(circle(7, -3, 3))
    solid = prism(ring, range(0, 19, 3))
    sampled = sample_solid(solid)
    points = np.array([(x, y, 7.3) for x, y in ((-15, 0), (5, 3), (5, -9.5), (7, -3), (0, 15), (21, 0))], float)
    assert (sampled.at(points) > 0).tolist() == [True, False, False, True, True, False]
    volume, centre = volume_and_centre(surface_of(solid))
    area = np.pi * (400 - 81 + 9)
    assert volume == pytest.approx(area * 21 / 1000, rel=0.02)
    assert centre == pytest.approx([np.pi * (-81 * 5 + 9 * 7) / area, np.pi * (81 * 3 - 9 * 3) / area, 9], abs=0.15)


def test_a_hole_ends_half_a_plane_beyond_its_own() -> None:
    """A hole on two planes of seven is 6 mm high."""
    plain, holed = circle(0, 0, 20), circle(0, 0, 20).difference(circle(5, -3, 9))
    solid = stack({float(w): holed if w in (6, 9) else plain for w in range(0, 19, 3)})
    volume, _ = volume_and_centre(surface_of(solid))
    assert volume == pytest.approx(np.pi * (400 * 21 - 81 * 6) / 1000, rel=0.01)
    areas = areas_at(solid, (4.0, 5.0, 7.5, 10.0, 11.0), 0.01)
    assert [len(a.geoms[0].interiors) for a in areas] == [0, 1, 1, 1, 0]


# --- Samples ---


def test_samples_lie_around_the_structure_and_twice_a_spacing() -> None:
    solid = prism(boot(100, -60), (4.0, 7.0, 10.0))
    sampled = sample_solid(solid)
    last = sampled.first + sampled.step * (np.array(sampled.field.shape) - 1)
    # 3 mm in five steps, none wider than the pixel.
    assert sampled.step[0] == pytest.approx(0.6)
    assert sampled.step[1] == sampled.step[2] == pytest.approx(40 / 60)
    # Outside on every side: w, v, u.
    assert (sampled.first < (2.5, -60, 100)).all()
    assert (last > (11.5, -20, 130)).all()
    assert all((np.take(sampled.field, side, axis=axis) < 0).all() for axis in range(3) for side in (0, -1))
    # No more than two samples and a margin further: a large margin costs time.
    assert (sampled.first > np.array((2.5, -60, 100)) - 6).all()
    assert (last < np.array((11.5, -20, 130)) + 7).all()


def test_whole_bodies_are_sampled_wider_and_rinds_finer() -> None:
    body = prism(box(-200, -120, 200, 120), np.arange(0.0, 1200, 2.5))
    pixel = sample_solid_step(body)
    assert pixel > 1.5
    # No more than eight million samples of half a slice.
    assert 400 * 240 * 1200 / (pixel**2 * 1.25) < 8.3e6
    assert sample_solid_step(prism(box(0, 0, 30, 0.6), (0.0, 3.0))) == pytest.approx(0.2, rel=0.05)
    assert sample_solid_step(prism(box(0, 0, 90, 90), (0.0, 3.0))) == 1.5
    assert sample_solid_step(prism(box(0, 0, 9, 9), (0.0, 3.0))) == 0.25


def sample_solid_step(structure: Structure) -> float:
    """The distance of samples in the plane; of a body on its ends only, which is as large but quicker."""
    from rtqc.geometry.solid import _pixel_mm

    widths = [2 * a.area / a.length for a in structure.planes.values()]
    return (
        _pixel_mm(structure, 1.5)
        if len(structure.planes) > 50
        else float(sample_solid(structure).step[1])
        if max(widths)
        else 0.0
    )


def test_what_cannot_be_sampled_is_said() -> None:
    with pytest.raises(ValueError, match="nothing is empty"):
        sample_solid(Structure("nothing", {}, AXIAL))
    with pytest.raises(ValueError, match="nothing is empty"):
        Solid(Structure("nothing", {}, AXIAL), Raster(np.zeros(2), 1.0, (3, 3)))
    with pytest.raises(TooThinError, match=r"Hair is too thin to have a surface: 0\.01 mm"):
        sample_solid(prism(box(0, 0, 40, 0.01), (0.0, 3.0), "Hair"))


def test_a_field_is_read_linearly_along_each_axis_and_so_is_its_slope() -> None:
    """Trilinear interpolation is exact for products of linear functions."""
    w, v, u = np.meshgrid(np.arange(4.0), np.arange(5.0), np.arange(6.0), indexing="ij")
    field = (2 + 3 * w + 5 * v + 7 * u + 0.5 * w * v - 0.25 * v * u + 0.1 * w * u).astype(np.float32)
    index = np.array([(0.2, 3.7, 1.4), (2.9, 0.1, 4.6), (1.0, 2.0, 3.0), (3.0, 4.0, 5.0), (0, 0, 0)])
    a, b, c = index.T
    value, slope = trilinear(field, index)
    assert value == pytest.approx(2 + 3 * a + 5 * b + 7 * c + 0.5 * a * b - 0.25 * b * c + 0.1 * a * c, rel=1e-6)
    assert slope == pytest.approx(
        np.stack([3 + 0.5 * b + 0.1 * c, 5 + 0.5 * a - 0.25 * c, 7 - 0.25 * b + 0.1 * a], axis=1), abs=1e-5
    )
    outside, _ = trilinear(field, np.array([(-2.0, 9, 7), (5, -1, -1)]))
    assert outside == pytest.approx([field[0, 4, 5], field[3, 0, 0]])


def test_depth_and_the_way_inward_have_the_samples_distances() -> None:
    """A field that falls by 2 mm² a mm along a tilted way, on steps that differ along every axis."""
    first, step = np.array([10.0, -4.0, 3.0]), np.array([3.0, 2.0, 0.5])
    way = np.array([0.48, -0.6, 0.64])
    w, v, u = (first[k] + step[k] * np.arange(n) for k, n in enumerate((6, 7, 9)))
    field = 2 * (way[0] * (w[:, None, None] - 17) + way[1] * (v[:, None] - 1) + way[2] * (u - 5))
    sampled = SampledSolid(field.astype(np.float32), first, step)
    points = np.array([(4.3, 0.9, 16.1), (6.2, -2.2, 21.7)])
    depth, inward = sampled.depth_at(points)
    assert depth == pytest.approx((points[:, ::-1] - (17, 1, 5)) @ way, abs=1e-5)
    assert inward == pytest.approx(np.tile(way, (2, 1)), abs=1e-5)
    index = np.array([(0, 0, 0), (5, 6, 8), (2, 3, 4), (0, 6, 3)])
    depth, inward = sampled.depth_of(index)
    assert depth == pytest.approx((first + index * step - (17, 1, 5)) @ way, abs=1e-5)
    assert inward == pytest.approx(np.tile(way, (4, 1)), abs=1e-5)
    assert sampled.at(points) == pytest.approx(2 * (points[:, ::-1] - (17, 1, 5)) @ way, abs=1e-5)
    assert sampled.at(np.array([(1e3, 0, 0)])) == pytest.approx([float(field.min())])


# --- Depth in the plane ---


def test_depth_is_the_distance_to_the_outline_positive_inside() -> None:
    shape = (34, 27)
    area = MultiPolygon([boot(3.2, 4.1, 0.6).difference(box(5, 6, 8.3, 8.1)), circle(20, 24, 4)])
    depth = signed_depth(area, shape)
    for i in range(shape[0]):
        for j in range(shape[1]):
            at = Point(j + 0.5, i + 0.5)
            truth = area.boundary.distance(at)
            assert (depth[i, j] > 0) == area.contains(at), (i, j)
            # Where the outline runs it is right to 0.1 pixels (at a corner); elsewhere each takes the tangent of a neighbour a pixel away, which may be another edge's.
            crossed = area.boundary.intersects(box(j + 0.01, i + 0.01, j + 0.99, i + 0.99))
            assert abs(depth[i, j]) == pytest.approx(truth, abs=0.1 if crossed else 1 + 0.1 * truth), (i, j)
    # Off the corners it is exact: beside the boot's long side and inside the lower leg, 4.1 + 7.2 px down to its sole's upper side.
    assert depth[18, :3] == pytest.approx([-2.7, -1.7, -0.7], abs=0.01)
    assert depth[20, 3:9] == pytest.approx([0.3, 1.3, 2.3, 3.3, 2.3, 1.3], abs=0.01)


def test_a_raster_is_around_all_planes_and_there_and_back_is_the_same_place() -> None:
    raster = Raster.around(stack({0.0: boot(3, -40), 3.0: boot(50, 7)}), 0.5)
    assert raster.corner_mm == pytest.approx((3 - 1.5, -40 - 1.5))
    # 77 mm along u and 87 mm along v.
    assert raster.shape == (2 * 87 + 6, 2 * 77 + 6)
    pixels = raster.in_pixels(MultiPolygon([box(3, -40, 5, -37)]))
    assert pixels.bounds == pytest.approx((3, 3, 7, 9))
    centred = shapely.transform(pixels, lambda xy: xy - 0.5)
    assert raster.in_mm(centred).bounds == pytest.approx((3, -40, 5, -37))


# --- Pieces ---


def test_pieces_hang_together_from_plane_to_plane_and_are_as_thick_as_their_planes() -> None:
    """A trunk of 10 mm² that forks, and a lump of 400 mm²."""
    left, right, lump = box(0, 0, 2, 5), box(8, 0, 10, 5), box(50, 50, 70, 70)
    solid = stack({
        0.0: MultiPolygon([box(0, 0, 10, 1)]), 2.0: MultiPolygon([left, right]), 4.0: MultiPolygon([left, right]), 8.0: MultiPolygon([left, lump]),
    })  # fmt: skip
    pieces = pieces_of(solid)
    assert [sorted(w for w, _ in piece) for piece in pieces] == [[8.0], [0.0, 2.0, 2.0, 4.0, 4.0, 8.0]]
    # Slabs of 2, 2, 3 and 3 mm.
    assert [piece_volume_ml(p, solid) for p in pieces] == pytest.approx([1.2, (10 * 2 + 20 * 2 + 20 * 3 + 10 * 3) / 1000])
    apart = stack({0.0: left, 2.0: right, 4.0: left})
    assert [len(p) for p in pieces_of(apart)] == [1, 1, 1]
    assert pieces_of(replace(apart, planes={})) == []
