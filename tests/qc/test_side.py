"""Sides of names, contours, isocentre and dose against each other. Left is +x in patient coordinates (PS3.3 C.7.6.2.1.1)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rtqc.core import Case
from rtqc.core.case import Beam, Prescription
from rtqc.qc import applicable_constraints, choose_protocol
from rtqc.qc.laterality import laterality_of, midline_mm
from tests.qc.plans import case, cylinder, dose, found

LEFT_MM, RIGHT_MM = 90.0, -90.0


def plan(label: str, x_mm: float | None, target: str = "", *targets: tuple[str, float], **more: object) -> Case:
    """A plan of a name, with its dose around an x, a prescription's name, and contoured targets by name and x."""
    structures = tuple(cylinder(name, x, 30.0, "PTV") for name, x in targets)
    given = dose(42.0, x_mm=x_mm) if x_mm is not None else None
    return case(given, Prescription(40.05, target), label=label, structures=structures, **more)


def contradiction(of: Case) -> str | None:
    finding = found(of, "side.").get("side.contradiction")
    return finding.message if finding is not None else None


@pytest.mark.parametrize(
    ("label", "target", "x"),
    [("Breast_R", "PTV_Breast_R", LEFT_MM), ("Breast_L", "", RIGHT_MM), ("Mamma re", "", LEFT_MM), ("B1", "PTV_Lung_R", LEFT_MM), ("LUL", "", RIGHT_MM)],
)  # fmt: skip
def test_a_name_of_one_side_and_a_dose_on_the_other_fail(label: str, target: str, x: float) -> None:
    message = contradiction(plan(label, x, target))
    assert message is not None
    assert "90 mm off the midline" in message


@pytest.mark.parametrize(
    ("label", "x"),
    [("Breast_L", LEFT_MM), ("Breast_R", RIGHT_MM), ("Mamma re", RIGHT_MM), ("Breast", LEFT_MM), ("B1", RIGHT_MM)],
)
def test_a_name_and_a_dose_of_one_side_raise_nothing(label: str, x: float) -> None:
    assert contradiction(plan(label, x)) is None


def test_a_dose_just_beyond_30_mm_contradicts_and_one_just_inside_does_not() -> None:
    for x, fires in ((-31.0, True), (-29.0, False)):
        given = dose(42.0, x_mm=x, radius_mm=20.0)
        assert (contradiction(case(given, Prescription(40.05, ""), label="Breast_L")) is not None) is fires


def test_a_target_contoured_on_the_other_side_than_its_name_fails() -> None:
    assert contradiction(plan("Breast_R", None, "PTV_Breast_R", ("PTV_Breast_R", LEFT_MM))) is not None
    assert contradiction(plan("Breast_R", None, "PTV_Breast_R", ("PTV_Breast_R", RIGHT_MM))) is None


@pytest.mark.parametrize(
    ("label", "parts", "fires"),
    [
        ("Breast_R", ("left breast whole",), True), ("Breast_L", ("Breast right",), True), ("B1", ("Breast right", "left breast"), True),
        ("Breast_L", ("Breast left", "WBI left"), False), ("Breast_L", ("bilateral breasts",), False), ("Breast_L", ("40.05 Gy in 15",), False),
    ],
)  # fmt: skip
def test_each_text_of_the_plan_is_evidence_by_itself(label: str, parts: tuple[str, ...], fires: bool) -> None:
    of = plan(label, LEFT_MM, description=" ".join(parts), description_parts=parts)
    message = contradiction(of)
    assert (message is not None) is fires
    if message is not None:
        assert "says right" in message


def test_texts_of_two_sides_contradict_each_other_without_a_dose_too() -> None:
    assert contradiction(plan("Breast_R", None, description="left breast")) is not None


def test_a_prescription_for_either_side_needs_a_dose_on_both() -> None:
    both = (("PTV_Breast_L", LEFT_MM), ("PTV_Breast_R", RIGHT_MM))
    prescriptions = tuple(Prescription(50.0, name) for name, _ in both)
    structures = tuple(cylinder(name, x, 30.0, "PTV") for name, x in both)
    one_sided = dose(51.0, x_mm=LEFT_MM)
    assert contradiction(case(one_sided, *prescriptions, fractions=25, label="B1", structures=structures)) is not None
    two_sided = replace(one_sided, gy=np.maximum(one_sided.gy, dose(51.0, x_mm=RIGHT_MM).gy))
    assert contradiction(case(two_sided, *prescriptions, fractions=25, label="B1", structures=structures)) is None
    assert contradiction(case(None, *prescriptions, fractions=25, label="B1", structures=structures)) is None


def test_a_plan_and_its_target_named_after_different_sides_fail() -> None:
    assert contradiction(plan("Breast_L", None, "", ("PTV_Breast_R", 0.0))) is not None


def test_a_dose_on_the_other_side_than_the_contoured_target_fails_whatever_the_names() -> None:
    assert contradiction(plan("B1", RIGHT_MM, "", ("PTV", LEFT_MM))) is not None


def test_an_isocentre_on_the_other_side_fails() -> None:
    beams = (Beam(1, isocentre_mm=(RIGHT_MM, 0.0, 0.0)), Beam(2, isocentre_mm=(RIGHT_MM, 0.0, 0.0)))
    assert contradiction(plan("Breast_L", LEFT_MM, treatment_beams=beams)) is not None
    middle = (Beam(1, isocentre_mm=(-25.0, 0.0, 0.0)),)
    assert contradiction(plan("Breast_L", LEFT_MM, treatment_beams=middle)) is None


def test_bilateral_treatments_raise_nothing() -> None:
    both = (("PTV_Breast_L", LEFT_MM), ("PTV_Breast_R", RIGHT_MM))
    for label, x in (("Breasts", LEFT_MM), ("Breast_L", LEFT_MM), ("Breast_R", RIGHT_MM), ("Bilateral", RIGHT_MM)):
        assert contradiction(plan(label, x, "", *both)) is None, label
    given = dose(42.0, x_mm=LEFT_MM)
    given.gy[:] = given.gy + dose(42.0, x_mm=RIGHT_MM).gy
    assert contradiction(case(given, Prescription(40.05, ""), label="Breast_R")) is None
    assert laterality_of(case(given, Prescription(40.05, ""), label="B1")) == "both"


def test_a_plan_for_both_breasts_has_the_limits_of_the_left_and_no_contradiction() -> None:
    given = dose(51.0, x_mm=LEFT_MM)
    given.gy[:] = given.gy + dose(51.0, x_mm=RIGHT_MM).gy
    targets = tuple(cylinder(name, x, 30.0, "PTV") for name, x in (("PTV_Breast_L", LEFT_MM), ("PTV_Breast_R", RIGHT_MM)))
    prescriptions = (Prescription(50.0, "PTV_Breast_L"), Prescription(50.0, "PTV_Breast_R"))
    both = case(given, *prescriptions, fractions=25, label="Breasts", structures=targets)
    assert laterality_of(both) == "both"
    assert contradiction(both) is None
    sides = {c.side for c in applicable_constraints(choose_protocol(both), both)}
    assert sides == {None, "left"}


def test_a_treatment_of_the_middle_raises_nothing() -> None:
    for label in ("Mediastinum", "Esophagus", "LUL + mediastinum"):
        assert contradiction(plan(label, 0.0, "", ("PTV", 10.0))) is None, label


def test_places_are_held_against_the_patients_midline_and_not_against_the_scanners() -> None:
    off = plan("Breast_L", LEFT_MM)
    shifted = tuple(replace(r, structure=replace(cylinder("BODY", 180.0, 160.0, "EXTERNAL"))) for r in off.rois)
    of = replace(off, rois=shifted)
    assert midline_mm(of) == pytest.approx(180.0, abs=1.0)
    assert contradiction(of) is not None


def test_the_spinal_cord_is_the_midline_where_it_is_contoured() -> None:
    of = plan("Breast_L", LEFT_MM)
    cord = replace(of.rois[0], number=9, structure=cylinder("SpinalCord", 25.0, 8.0))
    assert midline_mm(replace(of, rois=(*of.rois, cord))) == pytest.approx(25.0, abs=0.5)


@pytest.mark.parametrize(
    ("of", "expected"),
    [
        (plan("Breast_L", LEFT_MM), "left"), (plan("B1", RIGHT_MM), "right"), (plan("B1", 0.0), "midline"), (plan("Breast_R", LEFT_MM), "unknown"),
        (plan("Bilateral breasts", LEFT_MM), "both"), (plan("B1", None), "unknown"), (plan("Mediastinum", None), "midline"),
        (plan("B1", None, "", ("PTV", LEFT_MM)), "left"), (Case(), "unknown"),
    ],
)  # fmt: skip
def test_the_side_is_that_of_the_names_else_that_of_dose_and_targets(of: Case, expected: str) -> None:
    assert laterality_of(of) == expected


def test_a_dose_that_goes_on_beyond_its_grid_says_no_side_unless_it_lies_far_to_one() -> None:
    everywhere = dose(42.0, x_mm=0.0, radius_mm=400.0)
    assert laterality_of(case(everywhere, Prescription(40.05, ""), label="B1")) == "unknown"
    assert laterality_of(case(dose(42.0, x_mm=150.0), Prescription(40.05, ""), label="B1")) == "left"


def test_a_dose_that_is_zero_everywhere_is_on_no_side() -> None:
    calculated = dose(42.0, x_mm=150.0)
    zero = replace(calculated, gy=np.zeros_like(calculated.gy))
    assert laterality_of(case(zero, Prescription(40.05, ""), label="B1")) == "unknown"
