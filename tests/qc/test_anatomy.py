"""The heart against its neighbours. Every shape is a cylinder along z, so volumes and distances follow from circles."""

from __future__ import annotations

import math

import pytest
from shapely.geometry import MultiPolygon, box

from rtqc.core import Structure
from rtqc.qc.anatomy_rules import common_volume, matched_planes, nearest_mm
from tests.qc.plans import HEIGHTS, case, cylinder, found


def block(name: str, low_x: float, high_x: float, shift_mm: float = 0.0, kind: str = "ORGAN") -> Structure:
    """A block 40 mm deep on the planes of all structures, or on planes that are shifted by some of a slice."""
    area = MultiPolygon([box(low_x, -20, high_x, 20)])
    return Structure(name, {z + shift_mm: area for z in HEIGHTS}, kind=kind, slice_spacing_mm=3.0)


HEART = block("Heart", -50.0, 50.0)
#: A volume of 1 mm along x in all blocks, in ml.
ML_A_MM = 40.0 * 3.0 * len(HEIGHTS) / 1000


def rules(*structures: Structure, heart: Structure = HEART) -> set[str]:
    return set(found(case(None, structures=(heart, *structures)), "anatomy."))


@pytest.mark.parametrize(
    ("name", "limit_ml"),
    [("SpinalCord", 0.2), ("SpinalCanal", 0.2), ("VB_T7", 1.0), ("Esophagus", 2.0), ("Ösophagus", 2.0), ("Myelon", 0.2)],
)
def test_an_overlap_above_the_limit_is_said_and_one_below_is_not(name: str, limit_ml: float) -> None:
    for factor, fires in ((1.05, True), (0.95, False)):
        organ = block(name, 50.0 - factor * limit_ml / ML_A_MM, 70.0)
        assert ("anatomy.overlap" in rules(organ)) is fires


def test_an_overlap_with_what_is_only_made_from_an_organ_is_not_said() -> None:
    for name in ("SpinalCord_PRV05", "zSpinalCord", "Esophagus-PTV", "Lung_L"):
        assert "anatomy.overlap" not in rules(block(name, 0.0, 70.0)), name


def test_planes_that_wobble_by_a_fraction_of_a_slice_are_still_the_same_slices() -> None:
    assert common_volume(HEART, block("SpinalCord", 40.0, 70.0, shift_mm=0.3))[0] == pytest.approx(10 * ML_A_MM, rel=1e-6)
    assert "anatomy.overlap" in rules(block("SpinalCord", 40.0, 70.0, shift_mm=0.3))


def test_the_common_volume_of_two_cylinders_is_that_of_their_lens() -> None:
    radius, distance = 40.0, 50.0
    lens = 2 * radius**2 * math.acos(distance / (2 * radius)) - distance / 2 * math.sqrt(4 * radius**2 - distance**2)
    volume, where = common_volume(cylinder("a", 0.0, radius), cylinder("b", distance, radius))
    assert volume == pytest.approx(lens * 3.0 * len(HEIGHTS) / 1000, rel=0.01)
    assert where == HEIGHTS


def test_how_much_of_a_target_is_heart_is_an_info() -> None:
    of = case(None, structures=(HEART, block("PTV", 40.0, 80.0, kind="PTV")))
    finding = found(of, "anatomy.")["anatomy.heart_in_target"]
    assert finding.severity == "info"
    assert "25 % of the target" in finding.message
    assert "anatomy.heart_in_target" not in rules(block("PTV", 50.0 - 0.9 / ML_A_MM, 80.0, kind="PTV"))


@pytest.mark.parametrize(("gap", "fires"), [(0.0, False), (9.9, False), (10.1, True), (60.0, True)])
def test_a_lung_more_than_10_mm_from_the_heart_is_said(gap: float, fires: bool) -> None:
    lungs = (block("Lung_L", 50.0 + gap, 120.0), block("Lung_R", -120.0, -50.0))
    assert ("anatomy.lung_gap" in rules(*lungs)) is fires
    assert nearest_mm(HEART, lungs[0]) == pytest.approx(gap)


def test_a_heart_below_both_lungs_shares_no_slice_with_them() -> None:
    above = block("Lung_L", 50.0, 120.0, shift_mm=100.0)
    assert matched_planes(HEART, above) == []
    assert "anatomy.lung_gap" in rules(above)


def test_without_lungs_nothing_is_said_of_them() -> None:
    assert rules() == set()
