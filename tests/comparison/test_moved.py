"""Two structures in a patient who is mirrored, turned, shifted, stored or written down another way: numbers stay, words turn along."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtqc.comparison import compare
from rtqc.comparison.surfaces import in_words
from rtqc.core import Agreement, Structure
from tests.blobs import FEW, MOVES, Move, blobs, reordered, stored
from tests.shapes import FEET_FIRST, FEET_FIRST_PRONE, HEAD_FIRST_PRONE

#: What is computed from outlines is the same to rounding; what is computed from samples, 0.7 mm apart, differs where these lie otherwise:
#: edges are rounded by up to a sample, means over the whole surface are right to a twentieth of a millimetre.
EXACT = ("dice", "jaccard", "volume_difference_ml", "added_path_length_mm", "editing_minutes")
MEANS, ENDS = (
    {"mean_surface_distance_mm": 0.08, "signed_surface_distance_mm": 0.08, "surface_dice_3mm": 0.03},
    {"hausdorff_mm": 0.8, "hausdorff95_mm": 0.3},
)
#: A region so small, of the whole surface, is a few triangles.
WHOLE_SHARE = 0.04


def same(one: Agreement, other: Agreement) -> None:
    for name in EXACT:
        # Pieces of the outline of 0.5 mm that lie on the limit of 1 mm may fall on either side.
        room = 3.0 if name == "added_path_length_mm" else 0.15 if name == "editing_minutes" else 2e-3
        assert getattr(one, name) == pytest.approx(getattr(other, name), abs=room), name
    for name, room in (MEANS | ENDS).items():
        assert getattr(one, name) == pytest.approx(getattr(other, name), abs=room), name


@pytest.mark.parametrize("how", MOVES)
@FEW
@given(blobs("A"), blobs("B", 0.3))
def test_a_moved_patient_has_the_same_numbers_and_the_words_of_the_new_sides(how: str, a: Structure, b: Structure) -> None:
    move: Move = MOVES[how]
    before, after = compare(a, b), compare(move.structure(a), move.structure(b))
    same(before, after)
    assert before.centroid_shift_mm is not None
    expected = move.matrix @ before.centroid_shift_mm
    assert after.centroid_shift_mm == pytest.approx(expected, abs=2e-3)
    assert after.centroid_shift == in_words(after.centroid_shift_mm)  # type: ignore[arg-type]
    # Each of the words, turned, is one of the words afterwards, with the same number of millimetres.
    if min(abs(mm) for mm in before.centroid_shift_mm) > 0.11:
        turned = sorted(
            f"{part.split()[0]} mm {move.word(part.split()[-1])}" for part in (before.centroid_shift or "").split(", ")
        )
        assert [t.split()[-1] for t in turned] == [t.split()[-1] for t in sorted((after.centroid_shift or "").split(", "))]
    regions = {r.name: r for r in after.regions}
    total = sum(r.area_mm2 for r in before.regions) / 2
    for region in before.regions:
        if region.area_mm2 > WHOLE_SHARE * total:
            moved = regions[move.words(region.name)]
            assert moved.signed_distance_mm == pytest.approx(region.signed_distance_mm, abs=0.6), region.name
            assert moved.area_mm2 == pytest.approx(region.area_mm2, rel=0.25), region.name
    slices = {round(float(move.matrix[2, 2] * s.position_mm + move.shift[2]), 3): s for s in before.slices}
    assert sorted(slices) == [s.position_mm for s in after.slices]
    for s in after.slices:
        was = slices[s.position_mm]
        assert (s.missing, s.area_a_mm2, s.area_b_mm2) == (
            was.missing,
            pytest.approx(was.area_a_mm2, rel=2e-3),
            pytest.approx(was.area_b_mm2, rel=2e-3),
        )
        assert s.only_a_mm2 == pytest.approx(was.only_a_mm2, abs=2)


@FEW
@given(blobs("A"), blobs("B", 0.3), st.sampled_from([FEET_FIRST, FEET_FIRST_PRONE, HEAD_FIRST_PRONE]))
def test_how_an_image_is_stored_changes_nothing(a: Structure, b: Structure, orientation: object) -> None:
    before = compare(a, b)
    for pair in ((stored(a, orientation), b), (a, stored(b, orientation)), (stored(a, orientation), stored(b, orientation))):  # type: ignore[arg-type]
        after = compare(*pair)
        same(before, after)
        assert after.centroid_shift_mm == pytest.approx(before.centroid_shift_mm, abs=2e-3)
        names = {r.name: r.signed_distance_mm for r in before.regions if r.area_mm2 > 60}
        found = {r.name: r.signed_distance_mm for r in after.regions}
        for name, mm in names.items():
            assert found[name] == pytest.approx(mm, abs=0.6), name


@FEW
@given(blobs("A"), blobs("B", 0.3))
def test_the_order_in_which_planes_and_points_are_written_changes_nothing(a: Structure, b: Structure) -> None:
    before, after = compare(a, b), compare(reordered(a), reordered(b))
    for name in (*EXACT, *MEANS, *ENDS):
        # A ring is sampled every 0.5 mm from where it begins.
        assert getattr(after, name) == pytest.approx(
            getattr(before, name), abs=3.0 if name == "added_path_length_mm" else 0.15 if name == "editing_minutes" else 0.02
        ), name
    assert after.centroid_shift == before.centroid_shift


@FEW
@given(blobs("A"), blobs("B", 0.3))
def test_seen_from_the_other_structure_signs_and_words_turn(a: Structure, b: Structure) -> None:
    before, after = compare(a, b), compare(b, a)
    for name in ("dice", "jaccard", "mean_surface_distance_mm", "hausdorff_mm", "hausdorff95_mm", "surface_dice_3mm"):
        assert getattr(after, name) == pytest.approx(getattr(before, name), abs=0.01), name
    assert after.volume_difference_ml == pytest.approx(-before.volume_difference_ml, abs=2e-3)
    assert before.centroid_shift_mm is not None
    assert after.centroid_shift_mm == pytest.approx([-mm for mm in before.centroid_shift_mm], abs=2e-3)
    whole = Move(-1 * MOVES["shifted"].matrix)
    turned = [whole.word(part.split()[-1]) for part in (before.centroid_shift or "none").split(", ") if part != "none"]
    assert turned == [part.split()[-1] for part in (after.centroid_shift or "none").split(", ") if part != "none"]


@FEW
@given(blobs("A"))
def test_a_structure_with_itself_agrees(a: Structure) -> None:
    g = compare(a, a)
    assert (g.dice, g.jaccard, g.volume_difference_ml, g.centroid_shift, g.added_path_length_mm) == (1, 1, 0, "none", 0)
    # The middle of a patch of triangles lies off a bent surface by some hundredths.
    assert g.hausdorff_mm == pytest.approx(0, abs=0.1)
    assert g.surface_dice_3mm == 1
