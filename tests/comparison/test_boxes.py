"""The whole comparison of boxes, boots and voxels that differ in every axis, each number by hand."""

from __future__ import annotations

import numpy as np
import pytest
from shapely.geometry import MultiPolygon, box

from rtqc.comparison import compare
from rtqc.comparison.agreement import shared_volume_ml
from rtqc.comparison.slices import compare_slices
from rtqc.core import AXIAL, Agreement, Grid, Mask, Orientation, Structure
from rtqc.geometry import trace
from tests.shapes import FEET_FIRST, OBLIQUE, boot, circle, cone, prism, stack

#: A: 30 by 20 mm, 0 to 24 mm high; B: 4 mm further to the left, 2 mm less at the front, 6 mm less at the top.
A = prism(box(0, 0, 30, 20), np.arange(1.5, 24, 3), "A", slice_spacing_mm=3.0)
B = prism(box(0, 2, 34, 20), np.arange(1.5, 18, 3), "B", slice_spacing_mm=3.0)


@pytest.fixture(scope="module")
def boxes() -> Agreement:
    return compare(A, B, (3.0, 1.0, 5.0, 3.0))


def test_volumes_and_overlap_are_those_of_the_boxes(boxes: Agreement) -> None:
    a, b, shared = 30 * 20 * 24, 34 * 18 * 18, 30 * 18 * 18
    assert boxes.dice == pytest.approx(2 * shared / (a + b), abs=1e-4)
    assert boxes.jaccard == pytest.approx(shared / (a + b - shared), abs=1e-4)
    assert boxes.volume_difference_ml == pytest.approx((b - a) / 1000, abs=1e-3)
    # B's middle lies 2 mm left, 1 mm posterior and 3 mm inferior of A's.
    assert boxes.centroid_shift_mm == pytest.approx((2, 1, -3), abs=1e-3)
    assert boxes.centroid_shift == "2.0 mm left, 1.0 mm posterior, 3.0 mm inferior"


def test_distances_are_those_of_the_boxes(boxes: Agreement) -> None:
    """Samples are 0.5 mm apart: flat sides lie where they lie to 0.05 mm, edges are rounded by 0.2 mm."""
    assert boxes.hausdorff_mm == pytest.approx(np.hypot(6, 2), abs=0.3)
    assert boxes.hausdorff_at_mm is not None
    x, y, z = boxes.hausdorff_at_mm
    # A's upper front edge.
    assert -0.1 < x < 30.1
    assert (y, z) == pytest.approx((0, 24), abs=0.5)
    # Outside B lie A's front by 2 mm and its top by 6 mm; inside lies its left side by up to 4 mm.
    by = {r.name: r for r in boxes.regions}
    assert by["superior"].furthest_outside_mm == pytest.approx(np.hypot(6, 2), abs=0.3)
    # The top, and of the sides what lies at more than 45 degrees above B's middle.
    assert 4.5 < by["superior"].signed_distance_mm < 6
    assert by["anterior"].furthest_outside_mm == pytest.approx(2, abs=0.3)
    assert by["left"].furthest_inside_mm == pytest.approx(4, abs=0.1)
    assert by["posterior"].furthest_inside_mm == pytest.approx(0, abs=0.1)
    assert boxes.signed_surface_distance_mm is not None
    assert boxes.signed_surface_distance_mm > 0
    assert [d.tolerance_mm for d in boxes.surface_dice] == [1.0, 3.0, 5.0]
    assert boxes.surface_dice_3mm == boxes.surface_dice[1].value
    assert boxes.hausdorff95_mm is not None
    assert 5 < boxes.hausdorff95_mm < boxes.hausdorff_mm


def test_slices_say_what_either_has_alone(boxes: Agreement) -> None:
    assert [s.position_mm for s in boxes.slices] == [1.5 + 3 * k for k in range(8)]
    for s in boxes.slices[:6]:
        assert (s.area_a_mm2, s.area_b_mm2, s.only_a_mm2, s.only_b_mm2, s.missing) == (600, 612, 60, 72, None)
        assert s.dice == pytest.approx(2 * 540 / 1212, abs=1e-4)
        # From A's corner (0, 0) to B's front 2 mm; from B's corners on the left 4 mm.
        assert s.hausdorff_mm == pytest.approx(np.hypot(4, 0), abs=0.05)
    for s in boxes.slices[6:]:
        assert (s.area_a_mm2, s.area_b_mm2, s.only_a_mm2, s.only_b_mm2, s.missing) == (600, 0, 600, 0, "b")
        assert (s.dice, s.hausdorff_mm) == (0, None)


def test_the_path_that_has_to_be_drawn_is_as_outlines(boxes: Agreement) -> None:
    """Further than 1 mm from B's outline: the front (30 mm), the left side but for where B's front and back come near, the first millimetre of the right one."""
    a_plane = 30 + (20 - 2 - 1) + 1
    # Pieces are 0.5 mm long, and each plane has four places where some begin to lie off.
    assert boxes.added_path_length_mm == pytest.approx(6 * a_plane + 2 * 100, abs=3)
    # Eight planes of 100 mm are a whole heart of four minutes; B has six of 104 mm.
    assert boxes.editing_minutes == pytest.approx(4 * boxes.added_path_length_mm / 800, abs=0.01)


def test_the_other_way_round_numbers_stay_and_signs_turn(boxes: Agreement) -> None:
    back = compare(B, A)
    for same in ("dice", "jaccard", "hausdorff_mm", "hausdorff95_mm", "mean_surface_distance_mm", "surface_dice_3mm"):
        assert getattr(back, same) == pytest.approx(getattr(boxes, same), abs=1e-3), same
    assert back.volume_difference_ml == -boxes.volume_difference_ml
    assert back.centroid_shift == "2.0 mm right, 1.0 mm anterior, 3.0 mm superior"
    assert back.hausdorff_at_mm == boxes.hausdorff_at_mm
    assert [(s.only_a_mm2, s.only_b_mm2, s.missing) for s in back.slices] == [
        (s.only_b_mm2, s.only_a_mm2, {"a": "b", "b": "a", None: None}[s.missing]) for s in boxes.slices
    ]
    # B's front but for where A's right and left side come near, its left side, and 3 mm of its back; A's outline on two planes more.
    b_plane = 34 - 1 - 2 + 18 + 3
    assert back.added_path_length_mm == pytest.approx(6 * b_plane + 2 * 100, abs=3)
    assert back.editing_minutes == pytest.approx(4 * back.added_path_length_mm / 800, abs=0.01)
    by = {r.name: r for r in back.regions}
    assert by["left"].furthest_outside_mm == pytest.approx(4, abs=0.1)
    assert by["superior"].furthest_inside_mm == pytest.approx(6, abs=0.1)


def test_a_tab_on_a_alone_is_drawn_and_one_on_b_alone_is_what_lies_beside_it() -> None:
    """A tab of 10 by 6 mm: A's outline there is 22 mm long, of which 1 mm at either root lies near B; without it 10 mm, less 2."""
    plain = prism(box(0, 0, 40, 30), (0.0, 3.0), slice_spacing_mm=3.0)
    tabbed = prism(box(0, 0, 40, 30).union(box(12, 30, 22, 36)), (0.0, 3.0), slice_spacing_mm=3.0)
    _, drawn = compare_slices(tabbed, plain)
    _, erased = compare_slices(plain, tabbed)
    assert drawn == pytest.approx(2 * (22 - 2), abs=2.1)
    assert erased == pytest.approx(2 * (10 - 2), abs=2.1)
    # The tab is 6 mm long; from where it begins on the plain side it is 5 mm to either root.
    for pair in ((tabbed, plain), (plain, tabbed)):
        assert [s.hausdorff_mm for s in compare_slices(*pair)[0]] == pytest.approx([6, 6], abs=0.05)


def test_planes_that_lie_near_are_one_and_others_are_interpolated() -> None:
    """B's planes lie 0.7 mm (a quarter of 3 mm is 0.75) and 1 mm off A's."""
    a = cone(20, 1.0, (0.0, 3.0, 6.0), slice_spacing_mm=3.0)
    near, off = cone(20, 1.0, (0.7, 3.7, 6.7), slice_spacing_mm=3.0), cone(20, 1.0, (1.0, 4.0, 7.0), slice_spacing_mm=3.0)
    slices, _ = compare_slices(a, near)
    assert [s.position_mm for s in slices] == [0, 3, 6]
    assert [s.area_b_mm2 for s in slices] == pytest.approx([np.pi * (20.7 + w) ** 2 for w in (0, 3, 6)], rel=1e-4)
    slices, _ = compare_slices(a, off)
    assert [s.position_mm for s in slices] == [0, 1, 3, 4, 6, 7]
    # B begins half a spacing below its first plane; between its planes it is a cone.
    assert [s.area_b_mm2 for s in slices] == pytest.approx(
        [np.pi * 21**2, *(np.pi * (20 + w) ** 2 for w in (1, 3, 4, 6, 7))], rel=0.005
    )
    assert [s.area_a_mm2 for s in slices][:5] == pytest.approx([np.pi * (20 + w) ** 2 for w in (0, 1, 3, 4, 6)], rel=0.005)
    assert all(s.missing is None for s in slices)


def test_nothing_has_slices_of_the_other_alone_and_no_distances() -> None:
    nothing = Structure("nothing", {}, AXIAL)
    for pair, missing, sign in (((nothing, A), "a", 1), ((A, nothing), "b", -1)):
        g = compare(*pair)
        assert [s.missing for s in g.slices] == [missing] * 8
        assert (g.dice, g.jaccard, g.hausdorff_mm, g.centroid_shift_mm, g.regions, g.surface_dice) == (0, 0, None, None, (), ())
        assert g.volume_difference_ml == pytest.approx(sign * 14.4)
        assert g.added_path_length_mm == 800
        assert g.editing_minutes == 4
    both = compare(nothing, nothing)
    assert (both.dice, both.jaccard, both.editing_minutes, both.slices) == (1, 1, 0, ())


@pytest.mark.parametrize("bad", [(-1.0,), (1.0, float("nan")), (float("inf"),)])
def test_a_tolerance_is_a_distance(bad: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="a tolerance of the surface Dice is a distance in mm"):
        compare(A, B, bad)


# --- Other planes and frames ---


def test_the_shared_volume_is_counted_on_the_finer_planes_from_end_to_end() -> None:
    """Planes of 3 mm from 0 to 21 and of 2 mm from 12 to 28 mm (slab ends): 9 mm are shared, of 200 mm²."""
    a = prism(box(0, 0, 30, 20), np.arange(1.5, 21, 3), slice_spacing_mm=3.0)
    b = prism(box(20, 0, 60, 40), np.arange(13.0, 28, 2), slice_spacing_mm=2.0)
    for pair in ((a, b), (b, a)):
        assert shared_volume_ml(*pair) == pytest.approx(200 * 9 / 1000, rel=1e-3)
    assert shared_volume_ml(a, Structure("nothing", {}, AXIAL)) == 0
    assert shared_volume_ml(a, prism(box(0, 0, 9, 9), (40.0, 43.0))) == 0


def test_a_structure_compared_with_itself_in_another_frame_is_equal() -> None:
    grown = stack({w: boot(5, -33, 1 + 0.02 * w) for w in (-6.0, -3.0, 0.0, 3.0, 6.0)}, slice_spacing_mm=3.0)
    turn = np.array([-1.0, 1.0])
    mirrored = Structure(
        "Boot", {-w: MultiPolygon([type(p)(np.array(p.exterior.coords) * turn) for p in area.geoms]) for w, area in grown.planes.items()},
        FEET_FIRST, slice_spacing_mm=3.0,
    )  # fmt: skip
    g = compare(grown, mirrored)
    assert (g.dice, g.centroid_shift, g.added_path_length_mm) == (1, "none", 0)
    # The lattices of samples, 0.7 mm, lie differently in both frames: edges are rounded otherwise.
    assert g.mean_surface_distance_mm == pytest.approx(0, abs=0.05)
    assert g.hausdorff_mm == pytest.approx(0, abs=0.7)


@pytest.mark.parametrize("orientation", [Orientation((0, 1, 0), (0, 0, -1)), OBLIQUE], ids=["sagittal", "oblique"])
def test_planes_that_cut_across_mean_the_same_solid(orientation: Orientation) -> None:
    """A box of 24 x 30 x 36 mm along the other orientation's axes against a ball around a place 3 mm to its left."""
    drawn = prism(box(-12, -15, 12, 15), np.arange(-16.5, 18, 3), "Box", orientation=orientation, slice_spacing_mm=3.0)
    heights = np.arange(-13.5, 14, 3)
    ball = stack({w: circle(3, 0, float(np.sqrt(15**2 - w**2))) for w in heights}, "Ball", slice_spacing_mm=3.0)
    g = compare(ball, drawn)
    assert g.centroid_shift_mm == pytest.approx((-3, 0, 0), abs=0.1)
    points = np.random.default_rng(0).uniform(-20, 20, (200_000, 3))
    inside = (np.abs(orientation.to_frame(points)) <= (12, 15, 18)).all(axis=1) & (
        np.linalg.norm(points - (3, 0, 0), axis=1) <= 15
    )
    shared = inside.mean() * 40**3 / 1000
    assert g.dice == pytest.approx(2 * shared / (ball.volume_ml + 24 * 30 * 36 / 1000), abs=0.01)
    assert g.volume_difference_ml == pytest.approx(24 * 30 * 36 / 1000 - ball.volume_ml, abs=0.01)
    # From the ball to the box's far corner, which samples round by 0.3 mm.
    corners = orientation.to_patient([(x, y, z) for x in (-12, 12) for y in (-15, 15) for z in (-18, 18)])
    far = np.linalg.norm(corners - (3, 0, 0), axis=1)
    assert g.hausdorff_mm == pytest.approx(far.max() - 15, abs=0.6)
    assert g.hausdorff_at_mm is not None
    # One of the corners that are furthest; of the box along the axes these are four.
    furthest = corners[far > far.max() - 0.01]
    assert np.linalg.norm(furthest - g.hausdorff_at_mm, axis=1).min() < 1.2
    assert len(furthest) == (4 if orientation != OBLIQUE else 1)


# --- Masks ---

#: Columns of 1 mm, rows of 2 mm, slices of 3 mm and, at the top, of 5 mm.
GRID = Grid(AXIAL, (10.0, -20.0), (2.0, 1.0), (20, 30), (0.0, 3.0, 6.0, 9.0, 14.0, 19.0, 24.0))


def voxels(slices: slice, rows: slice, columns: slice) -> Mask:
    array = np.zeros(GRID.shape, bool)
    array[slices, rows, columns] = True
    return Mask(GRID, array)


def test_masks_of_unequal_voxels_have_the_numbers_of_their_boxes() -> None:
    """A: 10 x 12 x (3 + 3 + 4) mm; B: two columns further left, three rows further back, one slice (of 4 mm) less."""
    a, b = voxels(slice(1, 4), slice(2, 8), slice(5, 15)), voxels(slice(1, 3), slice(5, 11), slice(7, 17))
    g = compare(a, b)
    volume_a, volume_b, shared = 10 * 12 * 10, 10 * 12 * 6, 8 * 6 * 6
    assert g.dice == pytest.approx(2 * shared / (volume_a + volume_b), abs=1e-4)
    assert g.jaccard == pytest.approx(shared / (volume_a + volume_b - shared), abs=1e-4)
    assert g.volume_difference_ml == pytest.approx((volume_b - volume_a) / 1000)
    # Areas are traced to 0.2 %.
    assert g.centroid_shift_mm == pytest.approx((2, 6, -2), abs=0.05)
    # A's corner at the top, right and front: 2, 6 and 4 mm away, less a third of the half pixel.
    assert g.hausdorff_mm == pytest.approx(np.sqrt(4 + 36 + 16), abs=0.8)
    assert g.hausdorff_at_mm is not None
    assert g.hausdorff_at_mm == pytest.approx((14.5, -17, 11.5), abs=1.0)
    assert [(s.missing, round(s.area_a_mm2), round(s.area_b_mm2)) for s in g.slices] == [
        (None, 120, 120),
        (None, 120, 120),
        ("b", 120, 0),
    ]


def test_a_mask_of_nothing_is_nothing() -> None:
    nothing, a = voxels(slice(0, 0), slice(0, 0), slice(0, 0)), voxels(slice(1, 4), slice(2, 8), slice(5, 15))
    for pair, missing in (((nothing, a), "a"), ((a, nothing), "b")):
        g = compare(*pair)
        assert (g.dice, g.hausdorff_mm, g.centroid_shift_mm, {s.missing for s in g.slices}) == (0, None, None, {missing})
    assert compare(nothing, nothing).dice == 1


def test_outlines_of_masks_on_one_grid_are_as_far_apart_as_their_voxels() -> None:
    a, b = voxels(slice(1, 4), slice(2, 8), slice(5, 15)), voxels(slice(1, 3), slice(5, 11), slice(7, 17))
    direct, outlines, mixed = (
        compare(a, b),
        compare(trace(a), trace(b)),
        compare(trace(a), Structure("B", trace(b).planes, slice_spacing_mm=3.0)),
    )
    for name in ("hausdorff_mm", "hausdorff95_mm", "mean_surface_distance_mm", "surface_dice_3mm"):
        assert getattr(outlines, name) == getattr(direct, name), name
    # What was drawn has no voxels: a smooth surface, whose corner lies up to a voxel's half sides elsewhere.
    assert mixed.hausdorff_mm != direct.hausdorff_mm
    assert mixed.hausdorff_mm == pytest.approx(direct.hausdorff_mm, abs=1.2)
    assert compare(trace(a), trace(voxels(slice(0, 0), slice(0, 0), slice(0, 0)))).hausdorff_mm is None


def test_what_is_too_thin_to_be_cut_across_shares_nothing() -> None:
    hair = prism(
        box(-10, -0.002, 10, 0.002), (0.0, 3.0), "Hair", orientation=Orientation((0, 1, 0), (0, 0, -1)), slice_spacing_mm=3.0
    )
    g = compare(A, hair)
    assert (g.dice, g.hausdorff_mm) == (0, None)
    assert {s.missing for s in g.slices} == {"b"}
