"""Agreement of two structures against formulas and against programs that we did not write."""

from __future__ import annotations

import nrrd
import numpy as np
import pytest
import SimpleITK as sitk
from shapely.geometry import MultiPolygon, Polygon, box

from rtqc.comparison import compare
from rtqc.comparison.surfaces import weighted_percentile
from rtqc.core import AXIAL, Grid, Mask, Orientation, Structure
from rtqc.geometry import rasterize, trace
from rtqc.geometry.surface import surface_of
from tests.conftest import real
from tests.shapes import circle, cylinder, sphere


@pytest.mark.parametrize("spacing", [1.0, 3.0])
def test_concentric_spheres_are_a_shell_apart(spacing: float) -> None:
    a, b = sphere(40, spacing), sphere(44, spacing)
    g = compare(a, b)
    tolerance = 0.1 if spacing == 1.0 else 0.5
    assert g.dice == pytest.approx(2 * 40**3 / (40**3 + 44**3), abs=0.005)
    assert g.jaccard == pytest.approx(40**3 / 44**3, abs=0.008)
    assert g.mean_surface_distance_mm == pytest.approx(4, abs=tolerance / 2)
    assert g.hausdorff95_mm == pytest.approx(4, abs=tolerance)
    assert g.hausdorff_mm == pytest.approx(4, abs=max(tolerance, spacing / 2))
    assert g.volume_difference_ml == pytest.approx(4 / 3 * np.pi * (44**3 - 40**3) / 1000, rel=0.01)
    assert g.surface_dice_3mm == pytest.approx(0.0, abs=0.01 if spacing == 1.0 else 0.02)


def test_shifted_spheres_overlap_in_a_lens_and_the_shift_has_a_direction() -> None:
    r, d = 40.0, 6.0
    g = compare(sphere(r, 1.0), sphere(r, 1.0, (d, 0, 0)))
    lens = np.pi * (4 * r + d) * (2 * r - d) ** 2 / 12
    assert g.dice == pytest.approx(lens / (4 / 3 * np.pi * r**3), abs=0.005)
    assert g.hausdorff_mm == pytest.approx(d, abs=0.1)
    assert g.centroid_shift_mm == pytest.approx((d, 0, 0), abs=0.02)
    # A's point at angle t to the shift is |sqrt(r² + d² - 2 r d cos t) - r| away from B's surface.
    cosine = np.linspace(-1, 1, 200_001)
    away = np.abs(np.sqrt(r**2 + d**2 - 2 * r * d * cosine) - r)
    assert g.mean_surface_distance_mm == pytest.approx(away.mean(), abs=0.1)
    assert g.hausdorff95_mm == pytest.approx(np.percentile(away, 95), abs=0.1)
    assert g.surface_dice_3mm == pytest.approx((away <= 3).mean(), abs=0.01)


def test_numbers_do_not_depend_on_where_the_computing_grid_lies() -> None:
    values = []
    for shift in (0.0, 0.13, 0.37, 0.71):
        a = sphere(35, 3.0, (shift, -shift, 0), offset=0.0)
        b = sphere(38, 3.0, (3 + shift, -shift, 0), offset=0.0)
        g = compare(a, b)
        values.append((g.dice, g.hausdorff_mm, g.hausdorff95_mm, g.mean_surface_distance_mm, g.surface_dice_3mm))
    spread = np.ptp(np.array(values, float), axis=0) / np.mean(values, axis=0)
    assert (spread < 0.01).all(), spread


def test_one_slice_less_on_top_is_its_distance_and_a_missing_slice() -> None:
    whole, cut = cylinder(30, 0, 60, 3.0), cylinder(30, 0, 48, 3.0)
    g = compare(whole, cut)
    assert g.hausdorff_mm == pytest.approx(12, abs=0.1)
    assert [s.position_mm for s in g.slices if s.missing == "b"] == [49.5, 52.5, 55.5, 58.5]
    assert g.volume_difference_ml == pytest.approx(-np.pi * 900 * 12 / 1000, rel=1e-3)
    # What a human has to delete: the whole outline on four slices.
    assert g.added_path_length_mm == pytest.approx(4 * 2 * np.pi * 30, rel=0.01)


def test_slice_by_slice_areas_are_those_of_the_circles() -> None:
    s = compare(cylinder(30, 0, 9, 3.0), cylinder(30, 0, 9, 3.0, (8, 0))).slices[1]
    lens = 2 * 900 * np.arccos(8 / 60) - 4 * np.sqrt(3600 - 64)
    assert s.only_a_mm2 == s.only_b_mm2 == pytest.approx(np.pi * 900 - lens, rel=1e-3)
    assert s.hausdorff_mm == pytest.approx(8, abs=0.05)


def test_planes_of_other_spacing_are_compared_as_solids() -> None:
    g = compare(sphere(40, 2.0), sphere(40, 3.0, offset=0.7))
    assert g.dice > 0.99
    assert g.mean_surface_distance_mm is not None
    assert g.mean_surface_distance_mm < 0.4


def test_empty_against_something_is_nothing_and_empty_against_empty_is_equal() -> None:
    nothing = Structure("nothing", {}, AXIAL)
    g = compare(nothing, sphere(20, 2.0))
    assert (g.dice, g.jaccard, g.hausdorff_mm, g.mean_surface_distance_mm, g.surface_dice_3mm) == (0, 0, None, None, None)
    assert all(s.missing == "a" for s in g.slices)
    assert compare(nothing, nothing).dice == 1
    assert compare(sphere(20, 2.0), nothing).volume_difference_ml < 0


def test_masks_and_structures_do_not_mix() -> None:
    grid = Grid.regular((2, 4, 4), (1, 1, 1))
    mask = Mask(grid, np.ones(grid.shape, bool))
    with pytest.raises(ValueError, match="not one of each"):
        compare(mask, sphere(10, 1.0))
    with pytest.raises(ValueError, match="one grid"):
        compare(mask, Mask(Grid.regular((2, 4, 4), (1, 1, 2)), np.ones(grid.shape, bool)))


@pytest.mark.parametrize("dense", ["none", "right", "top", "bottom"])
def test_added_path_is_a_length_however_densely_points_lie(dense: str) -> None:
    """A's upper side lies 3 mm below B's; within 1 mm of B's left and right side nothing has to be drawn."""
    square, taller = Polygon(_square_with_points(40.0, dense)), box(0, 0, 40, 43)
    a, b = (Structure("S", {0.0: MultiPolygon([p])}, slice_spacing_mm=3.0) for p in (square, taller))
    assert compare(a, b).added_path_length_mm == pytest.approx(38, abs=0.6)


def _square_with_points(side: float, dense: str) -> list[tuple[float, float]]:
    fine = np.arange(0, side, 0.02)
    sides = {
        "bottom": [(x, 0.0) for x in (fine if dense == "bottom" else [0.0])],
        "right": [(side, y) for y in (fine if dense == "right" else [0.0])],
        "top": [(side - x, side) for x in (fine if dense == "top" else [0.0])],
        "left": [(0.0, side)],
    }
    return [point for part in sides.values() for point in part]


def _pair() -> tuple[Mask, Mask]:
    masks = []
    for name in ("a", "b"):
        labels, header = nrrd.read(str(real("metric-pair", f"{name}.nrrd")))
        array = np.ascontiguousarray(np.transpose(labels > 0))
        spacing = np.abs(np.diag(header["space directions"]))
        masks.append(Mask(Grid.regular(array.shape, spacing[::-1]), array))
    return masks[0], masks[1]


@pytest.mark.real
@pytest.mark.parametrize("traced", [False, True])
def test_the_metric_pair_has_meshmetrics_numbers(traced: bool) -> None:
    """Values of MeshMetrics (arXiv 2509.05670) for the pair, as they stand in ../shared/data/README.md."""
    a, b = _pair()
    g = compare(trace(a), trace(b)) if traced else compare(a, b)
    assert g.hausdorff_mm == pytest.approx(7.639, rel=0.001)
    assert g.hausdorff95_mm == pytest.approx(4.302, rel=0.001)
    assert g.mean_surface_distance_mm == pytest.approx(1.3443, rel=0.005)
    assert g.surface_dice_3mm == pytest.approx(0.9162, abs=0.001)
    assert g.dice == pytest.approx(0.9465, abs=0.0001)


@pytest.mark.real
def test_dice_of_masks_is_simpleitks_to_the_last_digit() -> None:
    a, b = _pair()
    images = [sitk.GetImageFromArray(m.array.astype(np.uint8)) for m in (a, b)]
    overlap = sitk.LabelOverlapMeasuresImageFilter()
    overlap.Execute(*images)
    assert compare(a, b).dice == pytest.approx(overlap.GetDiceCoefficient(), abs=5e-5)


def test_hausdorff_of_two_boxes_is_simpleitks_within_a_voxel() -> None:
    grid = Grid.regular((30, 40, 40), (2.0, 1.0, 1.0))
    arrays = np.zeros((2, *grid.shape), bool)
    arrays[0, 5:20, 8:30, 8:30] = True
    arrays[1, 5:24, 8:30, 11:33] = True
    images = []
    for array in arrays:
        image = sitk.GetImageFromArray(array.astype(np.uint8))
        image.SetSpacing((1.0, 1.0, 2.0))
        images.append(image)
    reference = sitk.HausdorffDistanceImageFilter()
    reference.Execute(*images)
    g = compare(Mask(grid, arrays[0]), Mask(grid, arrays[1]))
    assert g.hausdorff_mm == pytest.approx(reference.GetHausdorffDistance(), abs=0.6)


def test_a_structure_and_its_mask_compare_alike() -> None:
    grid = Grid.regular((50, 100, 100), (2.0, 1.0, 1.0), (-50, -50, -49))
    a, b = sphere(35, 2.0), sphere(35, 2.0, (4, 0, 0))
    direct, by_mask = compare(a, b), compare(rasterize(a, grid), rasterize(b, grid))
    assert by_mask.dice == pytest.approx(direct.dice, abs=0.005)
    # A mask is its voxels, steps and all: its distances are whole steps where the surface is shallow.
    assert by_mask.hausdorff95_mm == pytest.approx(direct.hausdorff95_mm, abs=0.6)
    assert by_mask.hausdorff_mm == pytest.approx(direct.hausdorff_mm, abs=1.0)


def test_patches_stand_for_their_triangles_and_the_largest_distance_is_exact() -> None:
    a, b = surface_of(sphere(40, 2.0)), surface_of(cylinder(25, -70, 20, 2.0, (12, -5)))
    (every,) = b.distances_from(a.centres)
    some = a.distances_to(b)
    assert some.mm.size < 0.5 * every.size
    assert np.abs(some.mm).max() == pytest.approx(every.max(), abs=1e-6)
    assert np.average(np.abs(some.mm), weights=some.areas) == pytest.approx(np.average(every, weights=a.areas), abs=0.01)
    for percent in (50, 95):
        patches, triangles = (weighted_percentile(np.abs(v), w, percent) for v, w in ((some.mm, some.areas), (every, a.areas)))
        assert patches == pytest.approx(triangles, abs=0.1)
    assert some.areas.sum() == pytest.approx(a.areas.sum(), rel=1e-9)


def _slabs(area: Polygon, *positions: float) -> Structure:
    return Structure("S", {w: MultiPolygon([area]) for w in positions}, slice_spacing_mm=3.0)


def test_one_plane_is_a_slab_and_a_gap_parts_a_structure() -> None:
    one, parted = _slabs(circle(0, 0, 20), 3.0), _slabs(circle(0, 0, 20), 0.0, 3.0, 6.0, 30.0, 33.0, 36.0)
    g = compare(one, parted)
    # From the slab's upper face at 4.5 mm to the far end of the other stack at 37.5 mm.
    assert g.hausdorff_mm == pytest.approx(33, abs=0.1)
    assert g.dice == pytest.approx(2 / 7, abs=1e-3)
    assert len(g.slices) == 6


def test_thin_structures_have_distances_and_hairs_have_none() -> None:
    rind, hair, ball = _slabs(box(-30, -0.2, 30, 0.2), 0.0, 3.0), _slabs(box(-30, -0.01, 30, 0.01), 0.0, 3.0), sphere(20, 3.0)
    # The pole above the rind, whose slab ends at 4.5 mm and which is 0.4 mm wide.
    assert compare(rind, ball).hausdorff_mm == pytest.approx(20, abs=0.5)
    oblique = Structure("H", hair.planes, Orientation((1, 0, 0), (0, 0.8, 0.6)), slice_spacing_mm=3.0)
    for thin in (hair, oblique):
        g = compare(ball, thin)
        assert (g.hausdorff_mm, g.mean_surface_distance_mm, g.surface_dice_3mm) == (None, None, None)
        assert g.dice < 0.01
