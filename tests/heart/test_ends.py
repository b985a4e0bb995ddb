"""Ends by the levels of the chest: leaks are cut, what stops too early is drawn on, what agrees stays as it is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from rtqc.core.grid import Grid
from rtqc.heart.ends import Ends, contradictions, drawn_to_definition, scaled_ends
from rtqc.heart.landmarks import Landmarks
from rtqc.heart.levels import HEIGHT_SCALE_MM
from rtqc.heart.looks import Found, largest_piece
from rtqc.heart.manifest import LevelName

SPACING = 4.0
GRID = Grid.regular((60, 40, 40), (SPACING,) * 3, (-78.0, -78.0, -118.0))
ARTERY, LOW, CARINA = 40.0, -60.0, 52.0
LUNGS = Landmarks((-120.0, -90.0, -100.0), (120.0, 90.0, 110.0), CARINA)


def column(low: float, high: float, radius: float = 40.0) -> Found:
    """A cylinder along the patient's axis from one height to another, with exact levels."""
    z, y, x = (
        GRID.positions_mm[:, None, None],
        GRID.rows_mm[None, :, None],
        GRID.columns_mm[None, None, :],
    )
    distance = np.minimum(np.minimum(high - z, z - low), radius - np.hypot(x, y)) / 2
    inside: NDArray[np.float32] = distance.astype(np.float32)
    levels: dict[LevelName, float] = {"carina": CARINA, "left_pulmonary_artery": ARTERY, "lower_end": LOW}
    heights = {
        name: np.broadcast_to(np.clip((z - mm) / HEIGHT_SCALE_MM, -1, 1), GRID.shape).astype(np.float32)
        for name, mm in levels.items()
    }
    return Found(inside, GRID, (inside, inside, inside), heights)


def extent(found: Found) -> tuple[float, float]:
    """Heights at which the zero level crosses the axis, by linear interpolation."""
    line = found.logits[:, 20, 20]
    z = GRID.positions_mm
    crossings = [
        float(z[k] + (z[k + 1] - z[k]) * line[k] / (line[k] - line[k + 1]))
        for k in range(len(z) - 1)
        if (line[k] > 0) != (line[k + 1] > 0)
    ]
    return crossings[0], crossings[-1]


def ended(found: Found, definition: str = "feng2011") -> tuple[Found, Ends]:
    assert definition in ("feng2011", "model")
    return drawn_to_definition(found, largest_piece(found.logits), "feng2011" if definition == "feng2011" else "model")


@pytest.mark.parametrize("high", [32.0, 36.0, 40.0])
def test_an_end_that_the_levels_confirm_is_left_as_it_is(high: float) -> None:
    found = column(LOW, high)
    result, ends = ended(found)
    assert result is found
    assert ends.definition == "feng2011"
    assert ends.upper is not None
    assert ends.lower is not None
    assert ends.upper.moved_mm == ends.lower.moved_mm == 0
    assert ends.upper.z_mm == pytest.approx(high, abs=SPACING / 2)
    assert ends.upper.deviation_mm < 6
    assert ends.levels is not None
    assert ends.levels["left_pulmonary_artery"].z_mm == pytest.approx(ARTERY, abs=0.1)
    assert contradictions(largest_piece(found.logits), GRID, ends, LUNGS) == ()


@pytest.mark.parametrize("leak", [24.0, 44.0, 60.0])
def test_a_leak_along_the_great_vessels_is_cut_just_below_the_artery_and_doubted(leak: float) -> None:
    found = column(LOW, ARTERY + leak)
    result, ends = ended(found)
    assert ARTERY - 11 <= extent(result)[1] <= ARTERY + 1.5
    assert ends.upper is not None
    assert ends.upper.moved_mm == pytest.approx(-leak + 1, abs=SPACING)
    assert ends.upper.deviation_mm > 10
    doubts = contradictions(largest_piece(found.logits), GRID, ends, LUNGS)
    assert any("upper end" in d and "above" in d for d in doubts)
    assert any("above the carina" in d for d in doubts) == (ARTERY + leak - CARINA > 8)


@pytest.mark.parametrize("leak", [20.0, 36.0])
def test_a_leak_into_the_liver_is_cut_near_the_lower_end(leak: float) -> None:
    result, ends = ended(column(LOW - leak, 36.0))
    assert LOW - 11.5 <= extent(result)[0] <= LOW
    assert ends.lower is not None
    assert ends.lower.moved_mm == pytest.approx(leak - 10, abs=SPACING)
    assert ends.lower.deviation_mm > 11


def test_what_stops_too_early_is_drawn_on_but_not_far() -> None:
    near, near_ends = ended(column(LOW, 20.0))
    assert near_ends.upper is not None
    assert near_ends.upper.moved_mm == pytest.approx(9, abs=SPACING / 2)
    assert extent(near)[1] == pytest.approx(29, abs=2.5)
    far, far_ends = ended(column(LOW, -4.0))
    assert far_ends.upper is not None
    assert far_ends.upper.moved_mm == 12
    assert extent(far)[1] == pytest.approx(8, abs=2.5)


def test_without_a_sure_level_the_networks_ends_stay_and_the_definition_is_the_models() -> None:
    found = column(LOW, ARTERY + 40)
    noise = np.random.default_rng(3).normal(0, 0.3, GRID.shape).astype(np.float32)
    unsure = replace(found, heights={name: h + noise for name, h in found.heights.items()})
    for other in (unsure, replace(found, heights={})):
        result, ends = ended(other)
        assert result is other
        assert ends.definition == "model"
        assert not ends.levels
    assert ended(found, "model")[1].definition == "model"
    assert extent(ended(found, "model")[0])[1] == pytest.approx(ARTERY + 40, abs=2)


def test_levels_in_an_impossible_order_are_not_used() -> None:
    found = column(LOW, ARTERY + 40)
    swapped = {
        **found.heights,
        "carina": found.heights["left_pulmonary_artery"],
        "left_pulmonary_artery": found.heights["carina"],
    }
    assert ended(replace(found, heights=swapped))[1].levels == {}


def test_a_sliver_of_a_vessel_on_top_is_no_slice_of_the_heart() -> None:
    found = column(LOW, 34.0)
    z, y, x = GRID.positions_mm[:, None, None], GRID.rows_mm[None, :, None], GRID.columns_mm[None, None, :]
    vessel = (z > 30) & (z < 36) & (np.hypot(x, y) < 16)
    logits = np.where(vessel, np.float32(3.0), np.where(z > 32, np.minimum(found.logits, -1), found.logits)).astype(np.float32)
    result, ends = ended(replace(found, logits=logits, looks=(logits, logits, logits)))
    assert ends.upper is not None
    assert ends.upper.moved_mm == 0
    assert ends.upper.z_mm == pytest.approx(32)
    assert extent(result)[1] == pytest.approx(32, abs=1)
    broad = np.where((z > 30) & (z < 36) & (np.hypot(x, y) < 30), np.float32(3.0), logits).astype(np.float32)
    kept = ended(replace(found, logits=broad, looks=(broad, broad, broad)))[1].upper
    assert kept is not None
    assert kept.z_mm == pytest.approx(36)


def test_an_end_that_the_image_cuts_off_is_none() -> None:
    _, ends = ended(column(LOW, 500.0))
    assert ends.upper is None
    assert ends.lower is not None
    assert scaled_ends(ends, (2.0, 3.0)).lower == replace(ends.lower, deviation_mm=round(3 * ends.lower.deviation_mm, 1))


def test_looks_that_disagree_about_an_end_make_it_less_sure() -> None:
    found = column(LOW, 36.0)
    other = replace(found, looks=(found.logits, found.logits, column(LOW, 60.0).logits))
    (_, sure), (_, unsure) = ended(found), ended(other)
    assert sure.upper is not None
    assert unsure.upper is not None
    # Two looks at 36 and one at 60 mm: a standard deviation of 13.9 mm.
    assert unsure.upper.deviation_mm == pytest.approx(np.hypot(sure.upper.deviation_mm, 13.9), abs=0.2)


def test_a_piece_beyond_the_lungs_or_far_below_them_is_doubted() -> None:
    piece = largest_piece(column(LOW, 36.0).logits)
    for lungs, word in (
        (replace(LUNGS, low=(-14.0, -90.0, -100.0)), "beyond the lungs"),
        (replace(LUNGS, low=(-120.0, -90.0, -12.0)), "below the lungs"),
    ):
        assert [word in d for d in contradictions(piece, GRID, None, lungs)] == [True]
    nearly = replace(LUNGS, low=(-20.0, -90.0, -20.0))
    assert contradictions(piece, GRID, None, nearly) == ()
