"""The level of a dose against its prescription. The doses are even, so every number follows from the one that was put in."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from rtqc.core import Case
from rtqc.core.case import ApplicationSetup, Beam, DoseAttributes, Prescription
from rtqc.qc.dose_level import cause_of, is_stereotactic
from tests.qc.plans import case, cylinder, dose, found

BREAST = Prescription(40.05, "Breast")


def level(of: Case) -> dict[str, str]:
    """Rules on the dose's level that speak, with their sentences."""
    return {rule: f.message for rule, f in found(of, "dose.level", "dose.target_coverage").items()}


def test_a_dose_at_its_prescription_raises_nothing() -> None:
    assert level(case(dose(42.0), BREAST)) == {}


@pytest.mark.parametrize("fractions", [3, 5, 15, 20, 25, 33])
def test_one_fractions_dose_fails_and_is_named(fractions: int) -> None:
    prescribed = 2.5 * fractions
    of = case(dose(1.05 * prescribed / fractions), Prescription(prescribed, "Breast"), fractions=fractions)
    assert "dose of one fraction (2.50 Gy)" in level(of)["dose.level"]


@pytest.mark.parametrize(
    ("factor", "cause"),
    [(100, "cGy, written as Gy"), (0.01, "divided by 100"), (15, "once too often"), (100 / 15, "one fraction, in cGy"), (42.7 / 68, "normalised"), (0.8, "normalised"), (1 / 25, "normalised"), (68 / 42.7, "normalised")],
)  # fmt: skip
def test_a_factor_fails_and_its_cause_is_named(factor: float, cause: str) -> None:
    assert cause in level(case(dose(1.05 * 40.05 * factor), BREAST))["dose.level"]


@pytest.mark.parametrize("factor", [1, 100])
def test_a_prescription_in_cgy_is_said_once_and_no_level_is_held_against_it(factor: int) -> None:
    of = case(dose(1.05 * 40.05 * factor), Prescription(4005.0, "Breast"))
    assert level(of) == {}
    assert list(found(of, "plan.prescription_implausible")) == ["plan.prescription_implausible"]


def test_a_maximum_just_above_95_percent_does_not_fail_and_just_below_does() -> None:
    assert "dose.level" not in level(case(dose(0.951 * 40.05), BREAST))
    assert "dose.level" in level(case(dose(0.949 * 40.05), BREAST))


def test_a_dose_that_is_zero_everywhere_has_no_level_because_reading_says_so() -> None:
    calculated = dose(40.05)
    zero = replace(calculated, gy=np.zeros_like(calculated.gy))
    assert level(case(zero, BREAST)) == {}


def test_a_prescription_that_no_point_reaches_is_unusual() -> None:
    assert "No point" in level(case(dose(0.975 * 40.05), BREAST))["dose.level_unusual"]
    assert level(case(dose(0.985 * 40.05), BREAST)) == {}


def test_a_near_maximum_over_120_percent_is_unusual_and_over_140_fails() -> None:
    assert level(case(dose(1.19 * 40.05), BREAST)) == {}
    assert set(level(case(dose(1.21 * 40.05), BREAST))) == {"dose.level_unusual"}
    assert set(level(case(dose(1.39 * 40.05), BREAST))) == {"dose.level_unusual"}
    assert set(level(case(dose(1.41 * 40.05), BREAST))) == {"dose.level"}


@pytest.mark.parametrize("radiation", ["PHOTON", "ELECTRON"])
def test_one_beam_and_electrons_are_hotter_near_the_skin(radiation: str) -> None:
    beams = tuple(Beam(n, radiation_type=radiation) for n in range(1, 2 if radiation == "PHOTON" else 3))
    for share, rules in ((1.44, set()), (1.46, {"dose.level_unusual"}), (1.59, {"dose.level_unusual"}), (1.61, {"dose.level"})):
        assert set(level(case(dose(share * 20.0), Prescription(20.0, "Spine"), treatment_beams=beams))) == rules, share


@pytest.mark.parametrize("isodose", [50, 60, 65, 80, 95])
def test_stereotactic_doses_prescribed_to_an_isodose_raise_nothing(isodose: int) -> None:
    assert level(case(dose(54 / (isodose / 100)), Prescription(54.0, "PTV"), fractions=3)) == {}


def test_electrons_prescribed_to_the_80_percent_isodose_raise_nothing() -> None:
    electrons = (Beam(1, radiation_type="ELECTRON"),)
    assert level(case(dose(10 / 0.8), Prescription(10.0, "Boost"), fractions=5, treatment_beams=electrons)) == {}


@pytest.mark.parametrize(("given", "speaks"), [(49.0, False), (42.0, True), (1.05 * 48 / 15, True), (1.05 * 48 * 0.628, True)])
def test_an_integrated_boost_is_judged_by_its_own_level(given: float, speaks: bool) -> None:
    of = case(dose(given), Prescription(48.0, "PTV_4800"), Prescription(40.05, "PTV_4005"))
    assert bool(level(of)) is speaks


@pytest.mark.parametrize("given", [51.0, 66.5, 69.0])
def test_a_sequential_boost_may_be_of_either_level_or_of_the_sum(given: float) -> None:
    of = case(dose(given), Prescription(50.0, "PTV"), Prescription(16.0, "Boost"), fractions=33)
    assert "dose.level" not in level(of)


def test_doses_of_several_plans_may_be_any_multiple_but_not_too_low() -> None:
    several = DoseAttributes(summation_type="MULTI_PLAN")
    assert level(replace(case(dose(90.0), BREAST), dose_attributes=several)) == {}
    assert "dose.level" in level(replace(case(dose(30.0), BREAST), dose_attributes=several))


def test_beams_that_abut_are_not_expected_to_add_up_at_one_point() -> None:
    beams = tuple(Beam(n, dose_gy=2.0) for n in (1, 2))
    of = case(dose(51.0), Prescription(100.0, "", "beams"), fractions=25, beams=2, treatment_beams=beams)
    assert level(of) == {}
    assert "dose.level" in level(replace(of, dose=dose(2.1)))


def test_protons_physical_dose_is_a_tenth_lower_than_prescribed() -> None:
    protons = (Beam(1, radiation_type="PROTON"),)
    of = case(dose(50 / 1.1), Prescription(50.0, "PTV"), fractions=25, kind="ion", treatment_beams=protons)
    assert level(of) == {}
    effective = replace(of, dose_attributes=DoseAttributes(dose_type="EFFECTIVE"))
    assert "dose.level" in level(effective)


def test_carbon_ions_physical_dose_is_not_held_against_the_prescription() -> None:
    carbon = (Beam(1, radiation_type="ION"),)
    of = case(dose(20.0), Prescription(50.0, "PTV"), fractions=16, kind="ion", treatment_beams=carbon)
    assert level(of) == {}


def test_the_effective_dose_of_photons_is_not_held_against_the_prescription() -> None:
    of = case(dose(126.0), Prescription(54.0, "PTV"), fractions=3)
    assert "dose.level" in level(of)
    assert level(replace(of, dose_attributes=DoseAttributes(dose_type="EFFECTIVE"))) == {}


def test_brachytherapy_may_reach_any_dose_beside_its_sources() -> None:
    of = case(dose(300.0), Prescription(40.05, "PTV"), application_setups=(ApplicationSetup(1, 1),))
    assert level(of) == {}
    assert "dose.level" in level(case(dose(300.0), Prescription(40.05, "PTV")))


def test_a_grid_cut_off_in_the_region_treated_is_not_called_another_normalisation() -> None:
    cut = dose(25.0, x_mm=150.0)
    assert set(level(case(cut, BREAST))) == {"dose.level_not_checked"}
    assert level(case(dose(42.0, x_mm=150.0), BREAST)) == {}


def test_one_fractions_dose_fails_on_a_grid_that_is_cut_off_too() -> None:
    assert set(level(case(dose(2.7, x_mm=150.0), BREAST))) == {"dose.level"}


@pytest.mark.parametrize(
    ("factor", "rule"),
    [(0.92, "dose.level"), (0.94, None), (1.09, None), (1.11, "dose.level_unusual"), (1.17, "dose.level_unusual"), (1.19, "dose.level")],
)  # fmt: skip
def test_an_evenly_covered_target_shows_a_level_that_the_maximum_does_not(factor: float, rule: str | None) -> None:
    ptv = cylinder("PTV_Breast_L", 90.0, 30.0, "PTV")
    hot = dose(factor * 40.05)
    # A hot spot outside the target, so that the maximum says nothing.
    hot.gy[15, 50, 92] = 1.4 * 40.05
    of = case(hot, Prescription(40.05, "PTV_Breast_L"), structures=(ptv,))
    assert set(level(of)) == ({rule} if rule else set())


def fitting(message: str) -> tuple[float, float]:
    """The ends of the range of prescriptions that a sentence says would fit."""
    named = re.search(r"\(one of about ([\d.]+) to ([\d.]+) Gy would fit\)", message)
    assert named is not None, message
    return float(named[1]), float(named[2])


@pytest.mark.parametrize(("given", "prescribed"), [(50.0, 40.05), (60.0, 50.0), (50.4, 26.0), (40.05, 50.0), (8.0, 40.05)])
def test_a_target_with_the_dose_of_another_prescription_is_said_to_fit_it(given: float, prescribed: float) -> None:
    ptv = cylinder("PTV", 90.0, 30.0, "PTV")
    message = level(case(dose(1.02 * given), Prescription(prescribed, "PTV"), structures=(ptv,)))["dose.level"]
    low, high = fitting(message)
    assert low <= given <= high
    # The spread of medians over the prescription is 0.985 to 1.07, that of maxima 1 to 1.15; and rounding.
    assert high / low < 1.15 + 0.03
    assert not low <= prescribed <= high


@pytest.mark.parametrize("hottest", [1.01, 1.05, 1.10, 1.14])
@pytest.mark.parametrize("given", [32.0, 30.0, 26.0])
def test_a_maximum_alone_tells_the_prescription_no_better_than_plans_differ_in_it(given: float, hottest: float) -> None:
    """40.05 Gy times 0.8 are 32 Gy: a maximum of 34.85 Gy had been said to fit 34."""
    low, high = fitting(level(case(dose(given * hottest), BREAST))["dose.level"])
    assert low - 0.5 <= given <= high + 0.5
    assert high < 40.05


@pytest.mark.parametrize("isodose", [55, 80, 95])
def test_a_maximum_of_a_stereotactic_plan_fits_any_isodose(isodose: int) -> None:
    low, high = fitting(level(case(dose(30.0 / (isodose / 100)), Prescription(100.0, "PTV"), fractions=5))["dose.level"])
    assert low <= 30.0 <= high


@pytest.mark.parametrize(("factor", "rule"), [(1.0, None), (1.09, None), (1.12, "dose.level_unusual"), (1.2, "dose.level")])
def test_with_an_integrated_boost_a_target_may_have_the_boosts_dose_but_not_more(factor: float, rule: str | None) -> None:
    # The boost's dose everywhere: the breast has 120 % of its own prescription.
    breast, bed = cylinder("PTV_4005", 90.0, 35.0, "PTV"), cylinder("PTV_4800", 90.0, 15.0, "PTV")
    prescriptions = Prescription(40.05, "PTV_4005"), Prescription(48.0, "PTV_4800")
    of = case(dose(factor * 48.0), *prescriptions, structures=(breast, bed))
    assert set(level(of)) == ({rule} if rule else set())


def test_a_boost_named_after_the_whole_breast_does_not_fail() -> None:
    breast, bed = cylinder("Breast", 60.0, 60.0, "GTV"), cylinder("Tumor Bed", 90.0, 20.0, "CTV")
    of = case(dose(14.2, radius_mm=25.0), Prescription(14.0, "Breast"), fractions=7, structures=(breast, bed))
    assert "dose.level" not in level(of)


def test_a_target_that_the_dose_misses_is_said_with_its_d95() -> None:
    ptv = cylinder("PTV", 20.0, 30.0, "PTV")
    of = case(dose(41.0), Prescription(40.05, "PTV"), structures=(ptv,))
    assert "D95% of PTV is 0.10 Gy" in level(of)["dose.target_coverage"]
    covered = case(dose(41.0), Prescription(40.05, "PTV"), structures=(cylinder("PTV", 90.0, 30.0, "PTV"),))
    assert level(covered) == {}


def test_without_a_prescription_or_a_dose_nothing_is_said() -> None:
    assert level(case(dose(2.0))) == {}
    assert level(case(None, BREAST)) == {}


def test_six_gray_a_fraction_is_stereotactic_and_one_palliative_fraction_is_not() -> None:
    plans = [((54, 3), True), ((60, 8), True), ((34, 1), True), ((26, 5), False), ((8, 1), False), ((20, 5), False)]
    for (gy, fractions), expected in plans:
        assert is_stereotactic(case(None, Prescription(gy, ""), fractions=fractions).plan) is expected, gy


def test_a_cause_is_named_only_where_its_factor_fits() -> None:
    assert "one fraction" in cause_of(0.0667 * 1.1, 0.95, 1.45, 15, 40.05, (1.0, 1.15))
    assert "normalised" in cause_of(0.0667 * 1.6, 0.95, 1.45, 15, 40.05, (1.0, 1.15))
