"""What the whole house relies on: which name is a heart, how thick a slice is, in which order findings stand, where voxels are."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from shapely.geometry import MultiPolygon, box

from rtqc.core import Finding, Grid, Orientation, Structure
from rtqc.core.assessment import dose_unit
from rtqc.core.case import Case, Plan, Roi
from rtqc.core.finding import CAUSES_FIRST, Certainty, Severity, worst_first
from rtqc.core.names import find_hearts, heart_score, lung_side
from rtqc.core.organ_names import organ_of
from rtqc.core.respiration_words import respiration_of_text
from rtqc.core.slabs import half_slices_mm, slabs_of, uncertain_thickness, usual_spacing_mm
from rtqc.core.substructures import resolved, substructure_of
from rtqc.core.uncalculated import uncalculated
from rtqc.core.wording import counted

# --- Names ---


@pytest.mark.parametrize(
    ("name", "score"),
    [
        ("Heart", 100), ("HEART", 95), ("heart", 95), ("Herz", 90), ("Cœur", 90), ("OAR_Heart", 80), ("Heart_P", 80),
        # Copies have a number; a heart cropped or grown has a length (TG-263: two digits, in mm).
        ("Heart-1", 60), ("Heart-2", 60), ("Heart_5", 60), ("Heart5", 60), ("heart 2", 60),
        ("Heart-5", 0), ("Heart-3", 0), ("Heart-05", 0), ("Heart-10", 0), ("Heart–5", 0), ("Heart - 5", 0), ("Heart-5mm", 0), ("Heart-0.5", 0),
        ("Heart+5", 0), ("Heart 5mm", 0), ("Heart_0.5cm", 0), ("Heart_PRV5", 0), ("Heart_PRV05", 0), ("PRV_Heart", 0), ("Heart-PTV", 0),
        # A dash before a day is none of a margin.
        ("Heart_12-05", 60),
        ("zHeart", 0), ("xHeart", 0), ("_Heart", 0), ("Heart_rtqc", 0), ("Heartbeat", 0), ("Cord", 0), ("LAD", 0),
    ],
)  # fmt: skip
def test_a_heart_is_told_from_its_margins_and_parts(name: str, score: int) -> None:
    assert heart_score(name) == score


def test_the_surest_name_comes_first_and_equally_sure_ones_as_they_stand() -> None:
    assert find_hearts(["heart 2", "Herz", "OAR_Heart", "Heart-5", "Hart", "HEART"]) == [
        "HEART",
        "Herz",
        "Hart",
        "OAR_Heart",
        "heart 2",
    ]


@pytest.mark.parametrize(
    ("name", "side"),
    [("Lung_L", "left"), ("L_Lung", "left"), ("Lung Lt", "left"), ("Lung_R", "right"), ("Lung_Rt", "right"), ("Lunge_li", "left"), ("Lunge_re", "right"), ("Poumon_D", "right"), ("Lung_L_PRV", None), ("zLung_L", None), ("Lung_L_R", None)],
)  # fmt: skip
def test_a_lung_is_of_its_side(name: str, side: str | None) -> None:
    assert lung_side(name) == side


@pytest.mark.parametrize(
    ("name", "organ"),
    [("SpinalCord", "cord"), ("SpinalCanal", "canal"), ("Esophagus", "oesophagus"), ("VB_T5", "vertebra"), ("SpinalCord_PRV05", None), ("SpinalCord+5mm", None), ("Cordis", None), ("", None)],
)  # fmt: skip
def test_an_organ_is_told_by_all_of_its_name(name: str, organ: str | None) -> None:
    assert organ_of(name) == organ


@pytest.mark.parametrize(
    ("name", "meant"),
    [("A_LAD", "A_LAD"), ("LAD", "A_LAD"), ("Ventricle_L", "Ventricle_L"), ("LV", "Ventricle_L"), ("A_LAD_PRV05", None), ("LAD-5", None), ("LAD+3", None), ("Ventricle_R", None), ("A_LCX", None), ("Atrium_L", None)],
)  # fmt: skip
def test_a_substructure_is_of_its_vessel_and_side(name: str, meant: str | None) -> None:
    assert substructure_of(name) == meant


def test_a_structure_is_taken_by_its_own_name_then_by_its_meaning_and_an_empty_one_last() -> None:
    full, empty = Structure("x", {0.0: MultiPolygon([box(0, 0, 1, 1)])}, slice_spacing_mm=3.0), Structure("x", {})
    assert resolved("A_LAD", {"LAD": full, "A_LAD": full}) == "A_LAD"
    assert resolved("A_LAD", {"A_LAD": empty, "RIVA": empty, "LAD": full}) == "LAD"
    assert resolved("A_LAD", {"A_LAD": empty, "Ventricle_L": full}) == "A_LAD"
    assert resolved("A_LAD", {"Ventricle_L": full}) is None


@pytest.mark.parametrize(
    ("text", "kind", "percent"),
    [
        ("4D MIP", "maximum", None), ("MinIP", "minimum", None), ("4D_AVG", "average", None), ("4D 30%", "phase", 30.0), ("T=100%", "phase", 100.0),
        ("resp CT50", "phase", 50.0), ("DIBH", "breath_hold", None), ("no DIBH", "free", None), ("free breathing", "free", None), ("T10 spine", "", None),
    ],
)  # fmt: skip
def test_a_description_says_what_a_ct_shows_of_respiration(text: str, kind: str, percent: float | None) -> None:
    found = respiration_of_text(text)
    assert (found.kind, found.phase_percent) == (kind, percent)


# --- Slices ---


def test_a_single_slice_is_as_thick_as_its_header_says_and_another_as_its_neighbours_are_far() -> None:
    """Nominal against real thickness: of several slices the distance counts, whatever the header says."""
    shape, size = (1, 4, 5), (2.0, 1.0)
    single = Grid(Orientation((1, 0, 0), (0, 1, 0)), (0.0, 0.0), size, (4, 5), (7.0,), nominal_slice_mm=5.0)
    assert (single.shape, single.slice_spacing_mm) == (shape, 5.0)
    assert single.slab_bounds_mm.tolist() == [[4.5, 9.5]]
    assert single.voxel_volumes_ml.tolist() == pytest.approx([0.010])
    unknown = Grid(single.orientation, (0.0, 0.0), size, (4, 5), (7.0,))
    assert unknown.slice_spacing_mm == 1.0
    several = Grid(single.orientation, (0.0, 0.0), size, (4, 5), (7.0, 10.0, 13.0), nominal_slice_mm=5.0)
    assert several.slice_spacing_mm == 3.0
    assert several.voxel_volumes_ml.tolist() == pytest.approx([0.006] * 3)


def test_a_structure_on_one_plane_is_as_thick_as_a_slice_of_its_image() -> None:
    square = MultiPolygon([box(0, 0, 10, 20)])
    assert Structure("x", {5.0: square}, slice_spacing_mm=4.0).volume_ml == pytest.approx(0.8)
    assert Structure("x", {5.0: square}, slices_mm=(0.0, 5.0, 8.0)).volume_ml == pytest.approx(0.2 * 4.0)
    with pytest.raises(ValueError, match="slice_spacing_mm"):
        _ = Structure("x", {5.0: square}).volume_ml
    assert Structure("x", {5.0: square, 8.0: square}, slice_spacing_mm=10.0).volume_ml == pytest.approx(1.2)


def test_uneven_planes_reach_halfway_to_each_neighbour_and_by_half_a_slice_beyond_the_ends() -> None:
    assert slabs_of([0.0, 2.0, 5.0, 9.0]).bounds_mm.tolist() == [[-1.5, 1.0], [1.0, 3.5], [3.5, 7.0], [7.0, 10.5]]
    # The image's slices say how thick the ends are: 1 mm below, 2 mm above.
    assert slabs_of([0.0, 3.0], slices_mm=[-2.0, 0.0, 3.0, 7.0, 11.0]).bounds_mm.tolist() == [[-1.0, 1.5], [1.5, 5.0]]
    parts = slabs_of([0.0, 3.0, 6.0, 30.0, 33.0], 3.0)
    assert parts.bridged.tolist() == [True, True, False, True]
    assert parts.bounds_mm[2].tolist() == [4.5, 7.5]
    assert parts.bounds_mm[3].tolist() == [28.5, 31.5]


def test_the_usual_spacing_is_the_lower_median_unless_that_is_a_gap() -> None:
    assert usual_spacing_mm([0.0, 2.0, 4.0, 10.0, 16.0]) == 2.0
    assert usual_spacing_mm([0.0, 40.0], 3.0) == 3.0
    assert usual_spacing_mm([0.0, 7.0], 3.0) == 7.0
    assert uncertain_thickness([0.0, 3.0, 9.0, 12.0]) is None
    assert half_slices_mm([0.0, 2.0, 6.0]).tolist() == [[1.0, 1.0], [1.0, 2.0], [2.0, 2.0]]


def test_the_centroid_is_weighted_by_thickness() -> None:
    """Planes at 0, 2, 5 and 9 mm stand for 2.5, 2.5, 3.5 and 3.5 mm."""
    areas = {0.0: box(0, 0, 10, 10), 2.0: box(10, 0, 20, 30), 5.0: box(-10, 20, 0, 30), 9.0: box(20, -10, 40, 0)}
    heart = Structure("x", {w: MultiPolygon([a]) for w, a in areas.items()})
    weights = np.array([100, 300, 100, 200]) * [2.5, 2.5, 3.5, 3.5]
    assert heart.thickness_mm.tolist() == [2.5, 2.5, 3.5, 3.5]
    # Slabs reach halfway to the next plane on either side, at the ends as far out as in: their middles are not their planes.
    middles = [(-1.5 + 1) / 2, (1 + 3.5) / 2, (3.5 + 7) / 2, (7 + 10.5) / 2]
    expected = np.array([weights @ [5, 15, -5, 30], weights @ [5, 15, 25, -5], weights @ middles]) / weights.sum()
    np.testing.assert_allclose(heart.centroid_mm, expected)


# --- Grids ---

GRIDS = {
    "as usual": ((1, 0, 0), (0, 1, 0)), "feet first": ((-1, 0, 0), (0, 1, 0)), "prone": ((-1, 0, 0), (0, -1, 0)), "coronal": ((1, 0, 0), (0, 0, -1)),
    "oblique": ((0.8, 0.6, 0), (0, 0, -1)),
}  # fmt: skip


@pytest.mark.parametrize("name", GRIDS)
def test_slice_row_and_column_lead_to_the_place_that_the_standard_says_and_back(name: str) -> None:
    """PS3.3 C.7.6.2.1.1: corner + column index times column distance along the row + row index times row distance along the column."""
    row, column = (np.array(v, float) for v in GRIDS[name])
    corner = np.array([11.0, -7.0, 3.0])
    grid = Grid.regular((5, 6, 7), (5.0, 4.0, 2.5), corner.tolist(), Orientation(tuple(row), tuple(column)))
    index = np.array([(0, 0, 0), (4, 0, 0), (0, 5, 0), (0, 0, 6), (3, 2, 4)])
    expected = corner + index @ np.array([5.0 * np.cross(row, column), 4.0 * column, 2.5 * row])
    np.testing.assert_allclose(grid.patient_mm(index), expected, atol=1e-9)
    np.testing.assert_allclose(grid.index_of_patient(expected), index, atol=1e-9)


def test_a_part_of_a_grid_lies_where_it_lay_and_its_slices_stay_as_thick() -> None:
    axial = Orientation((1, 0, 0), (0, 1, 0))
    grid = Grid(axial, (10.0, 20.0), (4.0, 2.5), (6, 7), (0.0, 2.0, 5.0, 9.0))
    part = grid.crop(slice(1, 3), slice(2, 5), slice(3, 7))
    assert part.shape == (2, 3, 4)
    np.testing.assert_allclose(part.patient_mm([(0, 0, 0), (1, 2, 3)]), grid.patient_mm([(1, 2, 3), (2, 4, 6)]))
    np.testing.assert_allclose(part.slab_bounds_mm, grid.slab_bounds_mm[1:3])
    single = grid.crop(slice(2, 3), slice(0, 6), slice(0, 7))
    assert single.slice_spacing_mm == 3.5


def test_positions_are_canonical_whichever_way_slices_are_stored() -> None:
    turned = Grid.regular((3, 2, 2), (3.0, 1.0, 1.0), (0.0, 0.0, 10.0), Orientation((-1, 0, 0), (0, 1, 0)))
    assert turned.canonical_positions_mm.tolist() == [4.0, 7.0, 10.0]


# --- Order of findings ---


def _finding(rule: str, severity: Severity, certainty: Certainty = "fact") -> Finding:
    return Finding(rule=rule, severity=severity, certainty=certainty, message="It is a test.")


def test_findings_stand_worst_first_causes_before_consequences_and_facts_before_estimates() -> None:
    ordered = [
        _finding("reference.patient", "fail"),
        _finding("dose.level", "fail"),
        _finding("constraint.flips", "fail", "estimate"),
        _finding("constraint.exceeded", "fail"),
        _finding("agreement.dice", "fail", "estimate"),
        _finding("contour.hole", "warning"),
        _finding("agreement.volume", "warning", "estimate"),
        _finding("plan.several", "info"),
        _finding("cardiac.noise", "info", "estimate"),
    ]
    for start in range(len(ordered)):
        assert worst_first([*ordered[start:], *ordered[:start]]) == ordered
    assert worst_first(reversed(ordered)) == ordered
    assert CAUSES_FIRST.index("reference.patient") < CAUSES_FIRST.index("dose.level")


def test_equal_findings_keep_their_order() -> None:
    same = [_finding(f"contour.{letter}", "warning") for letter in "bca"]
    for given in permutations(same):
        assert worst_first(given) == list(given)


# --- Doses that were not calculated, units, counts, names of two ROIs ---


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("way", [1, -1])
def test_zeros_behind_a_jump_were_not_calculated_and_zeros_behind_a_fall_were(axis: int, way: int) -> None:
    profile = np.array([20.0, 20, 20, 20, 0, 0])[::way]
    gy = np.ones((6, 6, 6), np.float32) * np.moveaxis(profile[:, None, None], 0, axis).astype(np.float32)
    found = uncalculated(gy)
    assert found is not None
    np.testing.assert_array_equal(found, gy == 0)
    falling = np.array([20.0, 5, 1, 0.05, 0, 0])[::way]
    gy = np.ones((6, 6, 6), np.float32) * np.moveaxis(falling[:, None, None], 0, axis).astype(np.float32)
    assert uncalculated(gy) is None


def test_units_counts_and_two_rois_of_one_name_are_told_apart() -> None:
    assert (dose_unit("PHYSICAL"), dose_unit("EFFECTIVE"), dose_unit("")) == ("Gy", "Gy (RBE)", "Gy")
    assert (counted(1, "slice"), counted(0, "slice"), counted(2, "series", "series")) == ("1 slice", "0 slices", "2 series")
    rois = (Roi(3, Structure("Heart", {})), Roi(7, Structure("Heart", {})), Roi(8, Structure("Liver", {})))
    assert list(Case(rois=rois).structures) == ["Heart", "Heart (ROI 7)", "Liver"]
    assert (Plan(fractions=25).alike_fractions, Plan(fractions=25, fraction_groups=2).alike_fractions) == (25, None)
