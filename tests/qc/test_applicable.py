"""Which limits a plan is held against: side, contours that are there, and its own fractionation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from shapely.geometry import MultiPolygon, Point

from rtqc.core import Case, Dose, Grid, Structure
from rtqc.core.case import FractionGroup, Plan, Prescription, Roi
from rtqc.dosimetry import OrganDose, evaluate
from rtqc.qc import Measurements, Protocol, applicable_constraints, choose_protocol, load_protocol, named_choice, run_rules

DISC = {0.0: MultiPolygon([Point(0, 0).buffer(5)])}


def plan(dose_gy: float, fractions: int | None, label: str, groups: int = 1, *rois: str) -> Case:
    made = Plan(label, prescriptions=(Prescription(dose_gy, label),), fractions=fractions, fraction_groups=groups)
    return Case(plan=made, rois=tuple(Roi(n, Structure(name, DISC)) for n, name in enumerate(rois, 1)))


def limits(case: Case, protocol: str | None = None) -> dict[str, tuple[str, float]]:
    choice = named_choice(load_protocol(protocol), case) if protocol else choose_protocol(case)
    return {c.id: (c.metric, c.limit) for c in applicable_constraints(choice, case)}


@pytest.mark.parametrize(
    ("label", "right"),
    [("Breast_L", False), ("Breast_R", True), ("Mamma rechts", True), ("Breast", False), ("Breast bilateral", False)],
)
def test_limits_of_a_side_are_for_plans_of_that_side(label: str, right: bool) -> None:
    found = limits(plan(50.0, 25, label))
    assert ("heart-d0_03cc-20gy-right" in found) is right
    assert ("heart-v20gy-5-left" in found) is not right
    assert "heart-mean-4gy" in found


def test_a_limit_of_an_artery_that_nobody_drew_is_not_asked_for() -> None:
    assert not any(key.startswith("lad") for key in limits(plan(40.05, 15, "Breast_L")))
    found = limits(plan(40.05, 15, "Breast_L", 1, "RIVA"))
    assert found["lad-mean-10gy"] == ("mean_gy", 10.0)
    assert not any(key.startswith("lv") for key in found)


def test_limits_of_the_plans_own_fractionation_are_as_published() -> None:
    case = plan(50.4, 28, "Breast_L")
    assert limits(case)["heart-v20gy-5-left"] == ("v20_gy_percent", 5.0)
    assert not any(c.converted_from for c in applicable_constraints(choose_protocol(case), case))


def test_limits_of_another_number_of_fractions_are_converted_and_called_so() -> None:
    """20 Gy in 25 with alpha/beta 3 Gy: D (D / 20 + 3) = 20 x 3.8, so D = 10 (sqrt(9 + 15.2) - 3) = 19.19 Gy in 20."""
    case = plan(45.0, 20, "Breast_L")
    converted = {c.id: c for c in applicable_constraints(choose_protocol(case), case)}
    v20 = converted["heart-v20gy-5-left"]
    assert (v20.metric, v20.limit) == ("v19_19_gy_percent", 5.0)
    assert v20.converted_from == "V20Gy ≤ 5 % in 25 fractions"
    assert "19.19 Gy" in v20.description
    assert "converted" in v20.description
    assert "converted from 25 fractions with alpha/beta 3 Gy" in v20.source
    mean = converted["heart-mean-4gy"]
    assert mean.limit * (mean.limit / 20 + 3) == pytest.approx(4 * (4 / 25 + 3), abs=0.02)


@pytest.mark.parametrize(
    ("dose", "fractions"), [(54.0, 3), (60.0, 3), (50.0, 5), (60.0, 8), (45.0, 3), (42.0, 3), (34.0, 1), (33.0, 6)]
)
def test_stereotactic_lung_is_never_judged_by_limits_of_two_gray_a_fraction(dose: float, fractions: int) -> None:
    """Mean 20 Gy and V50 of 30 fractions would let a heart of 54 Gy in 3 pass."""
    for name in (None, "lung"):
        found = limits(plan(dose, fractions, "Lung"), name)
        # Limits of 2 Gy a fraction are converted up to 8 Gy a fraction only; beyond, there are those of a protocol of its own, or none.
        assert bool(found) is (
            dose / fractions < 8 or (name is None and choose_protocol(plan(dose, fractions, "Lung")).fit == "fits")
        )
        assert ("mean_gy", 20.0) not in found.values()
        assert "v50_gy_percent" not in {metric for metric, _ in found.values()}


@pytest.mark.parametrize(
    ("label", "dose", "fractions", "protocol", "converted"),
    [
        ("Lung", 34.0, 1, None, False),
        ("Breast_L", 8.0, 1, None, False),
        ("Breast_L", 7.9, 1, None, True),
        ("Breast_L", 28.5, 5, None, True),
        # Limits of stereotactic fractions do not become limits of 2 Gy either.
        ("Lung", 60.0, 30, "lung-sbrt-3", False),
        ("Lung", 34.0, 1, "lung", False),
    ],
)  # fmt: skip
def test_limits_are_not_converted_from_or_to_8_gray_a_fraction_or_more(
    label: str, dose: float, fractions: int, protocol: str | None, converted: bool
) -> None:
    given = plan(dose, fractions, label)
    case = replace(given, dose=Dose(Grid.regular((2, 2, 2), (3.0, 3.0, 3.0)), np.ones((2, 2, 2), np.float32)))
    choice = named_choice(load_protocol(protocol), case) if protocol else choose_protocol(case)
    found = applicable_constraints(choice, case)
    assert bool(found) is converted
    results = evaluate(found, OrganDose(), OrganDose())
    said = {f.rule: f for f in run_rules(Measurements(case, choice=choice, constraints=results), choice.protocol)}
    finding = said["protocol.other_fractionation"]
    assert finding.severity == "warning"
    assert ("No dose constraint was checked" in finding.message) is not converted
    assert ("8 Gy a fraction or more" in finding.message) is not converted


def test_hypofractionated_lung_is_judged_by_converted_limits_without_being_another_fractionation() -> None:
    case = plan(55.0, 20, "Lung")
    choice = choose_protocol(case)
    assert choice.fit == "fits"
    assert all(c.converted_from for c in applicable_constraints(choice, case))
    # D (D / 20 + 3) = 50 (50 / 30 + 3), so D = 10 (sqrt(9 + 46.667) - 3).
    assert limits(case)["heart-v50gy-25"][0] == "v44_61_gy_percent"


def test_without_one_number_of_fractions_there_is_no_verdict_on_dose() -> None:
    case = plan(45.0, 20, "Breast_L", 2)
    assert choose_protocol(case).fit == "other_fractionation"
    assert limits(case) == {}
    # Two groups whose sum is a fractionation of its own are one schedule.
    assert limits(plan(50.0, 25, "Breast_L", 2))["heart-mean-4gy"] == ("mean_gy", 4.0)


def test_a_clinics_own_limits_are_taken_as_they_stand() -> None:
    own = load_protocol("breast-40-15").model_copy(update={"applies": None, "reference_schedule": None})
    case = plan(45.0, 20, "Breast_L")
    found = applicable_constraints(named_choice(own, case), case)
    assert [c.limit for c in found if c.metric == "mean_gy" and not c.structure] == [3.2, 4.0]
    eqd2 = replace_constraints(own.model_copy(update={"reference_schedule": load_protocol("breast-40-15").reference_schedule}))
    assert [c.converted_from for c in applicable_constraints(named_choice(eqd2, case), case)] == [""]


def replace_constraints(protocol: Protocol) -> Protocol:
    """With one limit in fractions of 2 Gy, which holds for any fractionation."""
    constraint = protocol.constraints[0].model_copy(update={"eqd2": True})
    return protocol.model_copy(update={"constraints": (constraint,)})


def test_a_converted_limit_follows_the_protocols_alpha_beta() -> None:
    case = plan(45.0, 20, "Breast_L")
    protocol = load_protocol("breast")
    two = protocol.model_copy(update={"alpha_beta": protocol.alpha_beta.model_copy(update={"value": 2.0})})
    choice = replace(choose_protocol(case), protocol=two)
    metric = {c.id: c.metric for c in applicable_constraints(choice, case)}["heart-v20gy-5-left"]
    # D (D / 20 + 2) = 20 x 2.8, so D = 10 (sqrt(4 + 11.2) - 2).
    assert metric == "v18_99_gy_percent"


# --- Several fraction groups ---


def with_groups(case: Case, *groups: tuple[int, float | None]) -> Case:
    """The plan with fraction groups of so many fractions and so many Gy in each."""
    assert case.plan is not None
    made = tuple(FractionGroup(n, fractions, gy) for n, (fractions, gy) in enumerate(groups, 1))
    return replace(case, plan=replace(case.plan, groups=made, fraction_groups=len(made)))


@pytest.mark.parametrize(
    ("groups", "judged"),
    [
        (((25, 2.0), (8, 2.0)), True),
        (((25, 2.2), (8, 1.8)), True),
        # One dose a fraction above what is conventional, unknown, in cGy, or doses that are not what is prescribed.
        (((25, 2.0), (8, 2.25)), False),
        (((25, 2.0), (8, None)), False),
        (((25, 200.0), (8, 200.0)), False),
        (((25, 1.0), (8, 1.0)), False),
    ],
)
def test_limits_hold_for_the_sum_of_groups_that_are_all_conventional(
    groups: tuple[tuple[int, float | None], ...], judged: bool
) -> None:
    """50 Gy in 25 and 16 Gy in 8 in one plan: limits of 2 Gy a fraction hold for the physical sum, as for a course."""
    case = with_groups(plan(66.0, 33, "Breast_L"), *groups)
    choice = choose_protocol(case)
    assert (choice.protocol.name, choice.fit) == ("breast", "other_fractionation")
    found = applicable_constraints(choice, case)
    assert bool(found) is judged
    assert not any(c.converted_from for c in found)
    if judged:
        assert limits(case)["heart-mean-4gy"] == ("mean_gy", 4.0)


def test_limits_of_large_fractions_do_not_hold_for_conventional_groups() -> None:
    case = with_groups(plan(66.0, 33, "Breast_L"), (25, 2.0), (8, 2.0))
    assert limits(case, "breast-40-15") == {}


@pytest.mark.parametrize(
    ("boosts_gy", "rules"), [(2.0, {"plan.fraction_groups"}), (2.5, {"plan.fraction_groups", "protocol.other_fractionation"})]
)
def test_a_plan_of_two_conventional_groups_is_judged_with_a_note_and_another_with_a_warning(
    boosts_gy: float, rules: set[str]
) -> None:
    given = with_groups(plan(50 + 8 * boosts_gy, 33, "Breast_L"), (25, 2.0), (8, boosts_gy))
    case = replace(given, dose=Dose(Grid.regular((2, 2, 2), (3.0, 3.0, 3.0)), np.ones((2, 2, 2), np.float32)))
    choice = choose_protocol(case)
    results = evaluate(applicable_constraints(choice, case), OrganDose(), OrganDose())
    measurements = Measurements(case, choice=choice, constraints=results)
    found = {
        f.rule: f
        for f in run_rules(measurements, choice.protocol)
        if f.rule in ("plan.fraction_groups", "protocol.other_fractionation")
    }
    assert set(found) == rules
    assert ("limits of protocol 'breast' were held against the sum" in found["plan.fraction_groups"].message) is (
        boosts_gy == 2.0
    )
