"""What is said of limits: above the ideal one, above the acceptable one, not known, and of substructures."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from shapely.geometry import MultiPolygon, Point

from rtqc.core import Case, Dose, Structure
from rtqc.core.assessment import ConstraintResult, DoseComparison, DoseMetrics, Tier
from rtqc.core.case import Plan, Prescription, Roi
from rtqc.heart import Draft
from rtqc.phantom.plan import dose_cropped
from rtqc.pipeline import Options, assess
from rtqc.qc import Measurements, load_protocol, run_rules

QUICK = Options(device="cpu", second_check=False)


def result(
    value: float, limit: float, tier: Tier = "acceptable", metric: str = "mean_gy", structure: str = ""
) -> ConstraintResult:
    return ConstraintResult(
        id=f"{metric}-{tier}", description="What is limited", structure=structure, metric=metric, tier=tier, limit=limit, unit="Gy", source="s",
        contoured=value, contoured_met=value <= limit,
    )  # fmt: skip


def said(case: Case, *results: ConstraintResult) -> dict[str, str]:
    only = frozenset({"constraint.exceeded", "constraint.above_ideal", "constraint.not_assessed"})
    return {f.rule: f.severity for f in run_rules(Measurements(case, constraints=results), load_protocol(), only=only)}


@pytest.mark.parametrize(
    ("mean_gy", "rules"),
    [
        (3.2, {}),
        (3.21, {"constraint.above_ideal": "warning"}),
        (4.0, {"constraint.above_ideal": "warning"}),
        (4.01, {"constraint.exceeded": "fail"}),
    ],
)
def test_above_ideal_is_a_warning_and_above_acceptable_a_fail_alone(
    clean_case: Case, mean_gy: float, rules: dict[str, str]
) -> None:
    assert said(clean_case, result(mean_gy, 3.2, "ideal"), result(mean_gy, 4.0)) == rules


def test_an_ideal_limit_that_the_failed_one_implies_is_not_told_again_and_another_is(clean_case: Case) -> None:
    failed = result(7.0, 5.0, "acceptable", "v25_gy_percent")
    # More than 5 % at 25 Gy is more than 5 % at 20 Gy.
    assert set(said(clean_case, failed, result(9.0, 5.0, "ideal", "v20_gy_percent"))) == {"constraint.exceeded"}
    for other in (
        result(9.0, 6.0, "ideal", "v20_gy_percent"),
        result(9.0, 5.0, "ideal", "v30_gy_percent"),
        result(9.0, 5.0, "ideal"),
        result(9.0, 5.0, "ideal", "v20_gy_percent", structure="A_LAD"),
    ):
        assert set(said(clean_case, failed, other)) == {"constraint.exceeded", "constraint.above_ideal"}


def test_a_mediastinal_plan_between_the_consensus_limits_is_a_warning(clean_case: Case, clean_draft: Draft) -> None:
    """20 Gy in 10 with a mean heart dose of 9 Gy: under 5 Gy recommended, up to 15 Gy acceptable."""
    assert clean_case.dose is not None
    plan = Plan("Mediastinum", prescriptions=(Prescription(20.0, "PTV"),), fractions=10)
    for gy, rules in ((9.0, {"constraint.above_ideal"}), (4.9, set()), (15.1, {"constraint.exceeded"})):
        uniform = Dose(clean_case.dose.grid, np.full_like(clean_case.dose.gy, gy))
        found = assess(replace(clean_case, plan=plan, dose=uniform), QUICK, clean_draft)
        assert found.protocol == "hodgkin"
        assert {f.rule for f in found.findings if f.rule.startswith(("constraint", "protocol"))} == rules, gy


@pytest.mark.parametrize(
    ("covered", "rules"),
    [
        (100.0, {}),
        (99.51, {}),
        (99.49, {"dose.outside_grid_edge": "warning"}),
        (98.01, {"dose.outside_grid_edge": "warning"}),
        (97.99, {"dose.outside_grid": "fail"}),
        (76.0, {"dose.outside_grid": "fail"}),
        (0.0, {"dose.outside_grid": "fail"}),
    ],
)
def test_a_heart_without_dose_in_more_than_a_slice_of_it_fails(clean_case: Case, covered: float, rules: dict[str, str]) -> None:
    heart = next(r for r in clean_case.rois if r.structure.name == "Heart")
    dose = DoseComparison(contoured=DoseMetrics(covered_percent=covered))
    measurements = Measurements(clean_case, roi=heart, dose=dose)
    found = run_rules(measurements, load_protocol(), only=frozenset({"dose.outside_grid", "dose.outside_grid_edge"}))
    assert {f.rule: f.severity for f in found} == rules


def test_no_limit_is_met_where_a_quarter_of_the_heart_has_no_dose(clean_case: Case, clean_draft: Draft) -> None:
    assert clean_case.dose is not None
    cropped = dose_cropped(clean_case.dose, float(clean_case.structures["Heart"].positions_mm[0]) + 30)
    found = assess(replace(clean_case, dose=cropped), QUICK, clean_draft)
    assert found.constraints
    assert {c.contoured_met for c in found.constraints} == {None}
    assert not any(c.outcome_flips for c in found.constraints)
    assert found.dose is not None
    assert found.dose.relative_risk is None
    rules = {f.rule: f.severity for f in found.findings}
    assert rules["dose.outside_grid"] == "fail"
    assert "constraint.not_assessed" not in rules


# --- Substructures ---


def with_artery(case: Case, aside_mm: float, name: str = "RIVA") -> Case:
    """A disc of 4 mm radius, so far from the heart's left side on each plane."""
    heart = case.structures["Heart"]
    planes = {w: MultiPolygon([Point(a.bounds[2] + aside_mm, a.centroid.y).buffer(4)]) for w, a in heart.planes.items()}
    return replace(case, rois=(*case.rois, Roi(99, Structure(name, planes))))


@pytest.mark.parametrize(("aside_mm", "fires"), [(-4.0, False), (0.0, False), (6.0, False), (40.0, True)])
def test_an_artery_lies_in_the_heart_or_on_it(clean_case: Case, clean_draft: Draft, aside_mm: float, fires: bool) -> None:
    found = assess(with_artery(clean_case, aside_mm), QUICK, clean_draft)
    assert ("substructure.place" in {f.rule for f in found.findings}) is fires
    if fires:
        assert "RIVA (left anterior descending artery)" in next(
            f.message for f in found.findings if f.rule == "substructure.place"
        )


def test_an_artery_by_any_of_its_names_is_held_against_its_own_limits(clean_case: Case, clean_draft: Draft) -> None:
    assert clean_case.dose is not None
    for gy, rules in ((9.9, set()), (10.1, {"constraint.above_ideal"})):
        # The heart's own limits aside: the artery's mean is 10 Gy.
        own = load_protocol("breast-40-15-degro")
        protocol = own.model_copy(update={"constraints": tuple(c for c in own.constraints if c.id == "lad-mean-10gy")})
        uniform = Dose(clean_case.dose.grid, np.full_like(clean_case.dose.gy, gy))
        case = replace(with_artery(clean_case, 0.0, "LAD_artery"), dose=uniform)
        found = assess(case, replace(QUICK, protocol=protocol), clean_draft)
        assert found.constraints[0].contoured == pytest.approx(gy, abs=0.01)
        assert {f.rule for f in found.findings if f.rule.startswith("constraint")} == rules


def test_a_drawn_artery_without_contours_is_said_and_one_that_nobody_drew_is_not(clean_case: Case, clean_draft: Draft) -> None:
    def messages(case: Case) -> list[str]:
        return [f.message for f in assess(case, QUICK, clean_draft).findings if f.rule == "constraint.not_assessed"]

    assert messages(clean_case) == []
    empty = replace(clean_case, rois=(*clean_case.rois, Roi(99, Structure("LAD", {}))))
    # One sentence, however many limits the artery has.
    assert [m for m in messages(empty) if "'LAD' has no contours" in m] == messages(empty)
    assert len(messages(empty)) == 1


# --- What the difference means, and prescriptions that are none ---


def test_coronary_risk_is_told_of_women_with_breast_cancer_only(clean_case: Case, clean_draft: Draft) -> None:
    def risk(case: Case) -> object:
        dose = assess(case, QUICK, clean_draft).dose
        assert dose is not None
        return dose.relative_risk

    assert risk(clean_case) is not None
    man = replace(clean_case, provenance=replace(clean_case.provenance, patient_sex="M"))
    lung = replace(clean_case, plan=Plan("Lung", prescriptions=(Prescription(60.0),), fractions=30))
    assert risk(man) is risk(lung) is None


@pytest.mark.parametrize(
    ("dose_gy", "kind", "fires"),
    [(100.0, "photon", False), (100.1, "photon", True), (4005.0, "photon", True), (145.0, "brachy", False)],
)
def test_a_prescription_in_centigray_fails(clean_case: Case, dose_gy: float, kind: str, fires: bool) -> None:
    assert clean_case.plan is not None
    plan = replace(clean_case.plan, prescriptions=(Prescription(dose_gy, "Breast"),), kind=kind)  # type: ignore[arg-type]
    found = run_rules(
        Measurements(replace(clean_case, plan=plan)), load_protocol(), only=frozenset({"plan.prescription_implausible"})
    )
    assert [f.severity for f in found] == (["fail"] if fires else [])
    if dose_gy == 4005.0:
        assert "40.05 Gy" in found[0].message


def test_no_limit_is_met_where_the_dose_grid_holds_zeros_because_none_was_calculated(
    clean_case: Case, clean_draft: Draft
) -> None:
    assert clean_case.dose is not None
    middle_mm = float(clean_case.structures["Heart"].centroid_mm[2])
    below = clean_case.dose.grid.positions_mm < middle_mm
    gy = np.where(below[:, None, None], np.float32(0), clean_case.dose.gy)
    found = assess(replace(clean_case, dose=replace(clean_case.dose, gy=gy)), QUICK, clean_draft)
    assert {c.contoured_met for c in found.constraints} == {None}
    finding = next(f for f in found.findings if f.rule == "dose.outside_grid")
    assert "no dose was calculated there (exactly 0 Gy)" in finding.message
    assert finding.evidence.positions_mm
    assert max(finding.evidence.positions_mm) < middle_mm
