"""Drafts that were judged by eye: what is wrong is no heart, what cannot be told is unknown."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rtqc.core import Case
from rtqc.heart import Draft
from rtqc.training.judged import Box, Reading, judged_sample, read_readings, with_levels
from rtqc.training.samples import UNKNOWN

RECIPES = Path(__file__).parents[2] / "rtqc" / "training" / "recipes"


def test_a_judged_draft_has_no_heart_above_the_artery_and_nothing_where_nobody_can_tell(
    clean_case: Case, clean_draft: Draft
) -> None:
    assert clean_case.image is not None
    heights = clean_draft.structure.positions_mm
    artery, low = float(heights.max()) - 20, float(heights.min())
    boxes = (
        Box(low=(-1e4, -1e4, artery - 10), high=(1e4, 1e4, artery), means="unknown"),
        Box(high=(1e4, 1e4, low + 10), means="no heart"),
    )
    reading = Reading(left_pulmonary_artery_mm=artery, lower_end_mm=low + 10, boxes=boxes)
    sample = judged_sample("a", clean_case.image, clean_draft, reading, 4.0)
    z = sample.grid.positions_mm
    assert sample.heart[z > artery].max() == 0
    assert (sample.heart[(z >= artery - 10) & (z <= artery)] == UNKNOWN).all()
    assert sample.heart[z <= low + 10].max() == 0
    assert sample.heart.max() == 1
    assert sample.judged
    assert np.isnan(sample.levels[0])
    assert z[0] + 4 * sample.levels[1] == pytest.approx(artery)
    drawn = with_levels(sample, None)
    assert np.isnan(drawn.levels[1])
    assert abs(z[0] + 4 * drawn.levels[2] - (low + 10)) <= 4


def test_the_readings_of_heart_v2_place_the_artery_below_the_carina() -> None:
    readings = read_readings(RECIPES / "heart-v2-readings.toml")
    read = [r for r in readings.values() if r.carina_mm is not None and r.left_pulmonary_artery_mm is not None]
    assert len(read) == 9
    for reading in read:
        assert reading.carina_mm is not None
        assert reading.left_pulmonary_artery_mm is not None
        assert 3 <= reading.carina_mm - reading.left_pulmonary_artery_mm <= 25


def test_a_reading_with_an_unknown_key_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text("[a]\ncarina = 3\n")
    with pytest.raises(ValueError, match="carina"):
        read_readings(tmp_path / "x.toml")
