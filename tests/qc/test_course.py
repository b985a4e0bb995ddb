"""Which plans of a patient make one course, and what their sum is held against: uniform doses, whose sums stand in the test."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from shapely.geometry import box

from rtqc.core import Case, Dose, Finding, Grid, Structure
from rtqc.core.assessment import Assessment, Course
from rtqc.core.case import (
    ApplicationSetup,
    Beam,
    DoseAttributes,
    FractionGroup,
    Plan,
    Prescription,
    Provenance,
    Roi,
    StructureSetAttributes,
)
from rtqc.core.patient_plan import DoseOfSeveralPlans, PatientPlan, PlannedDose, PlannedStructures
from rtqc.dicom import index_folder, plan_cases, read_cases
from rtqc.dicom.parts import MOST_SIBLINGS
from rtqc.dosimetry import SurfaceBand, dvh
from rtqc.dosimetry.draft_error import CALIBRATION, LEVEL_95
from rtqc.geometry.coverage import as_multipolygon
from rtqc.heart import Draft
from rtqc.phantom import SyntheticPlan, course_errors, plant, write_plan
from rtqc.pipeline import Options, assess
from rtqc.qc import (
    Judging,
    Measurements,
    Protocol,
    applicable_constraints,
    assess_course,
    choice_within_course,
    choose_protocol,
    load_protocol,
    named_choice,
    run_rules,
)
from rtqc.qc.course_labels import Label, is_boost
from rtqc.qc.course_relations import relation

SCHEDULES = ((50.0, 25), (40.05, 15), (60.0, 30), (54.0, 3))
ISOCENTRE = (70.0, -60.0, 0.0)


def beams(isocentre: tuple[float, float, float] = ISOCENTRE, *gantry_deg: float) -> tuple[Beam, ...]:
    return tuple(Beam(n, isocentre_mm=isocentre, gantry_deg=g) for n, g in enumerate(gantry_deg or (305.0, 125.0), 1))


def plan_of(label: str, gy: float, fractions: int, date: str = "20260102", target: str = "Breast", **more: Any) -> Plan:
    approval = more.pop("approval", "APPROVED")
    return Plan(
        label, prescriptions=(Prescription(gy, target),), fractions=fractions, date=date, approval=approval,
        **{"treatment_beams": beams(), **more},
    )  # fmt: skip


WHOLE = plan_of("Breast_L", 50.0, 25)
#: The same, whose approval was withdrawn.
RETIRED = plan_of("Breast_L", 50.0, 25, approval="UNAPPROVED")
BOOST = plan_of("Boost_L", 16.0, 8, "20260120", "Tumor bed")


def kind(earlier: Plan, later: Plan, *, frame: str = "f", uids: tuple[str, str] = ("1", "2")) -> str:
    plans = [
        PatientPlan(uid, f"{uid}.dcm", p, frame_of_reference_uid=frame) for uid, p in zip(uids, (earlier, later), strict=True)
    ]
    return relation(plans[0], plans[1], SCHEDULES).kind


# --- Replans replace, boosts add ---


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        (WHOLE, BOOST),
        (WHOLE, plan_of("Breast_L_2", 16.0, 8, "20260120", "CTV boost")),
        (WHOLE, plan_of("Bst", 10.0, 5, "20260120")),
        (plan_of("Breast_L", 40.05, 15), plan_of("Boost", 13.35, 5, "20260120")),
        # A boost is a boost even if it was copied from the whole breast's plan.
        (WHOLE, replace(BOOST, relations=(("1", "PREDECESSOR"),))),
        # Both breasts, both alike.
        (WHOLE, plan_of("Breast_R", 50.0, 25)),
        # Two lesions: other names at other places, or the same name far apart.
        (plan_of("SBRT1", 54.0, 3, target="PTV_1"), plan_of("SBRT2", 54.0, 3, "20260103", "PTV_2", treatment_beams=beams((20.0, 0.0, 40.0)))),
        (plan_of("Lung_1", 54.0, 3, target="PTV"), plan_of("Lung_2", 54.0, 3, "20260103", "PTV", treatment_beams=beams((70.0, 40.0, 90.0)))),
        # Phases, and parts of one prescription.
        (plan_of("Phase1", 46.0, 23, target="PTV"), plan_of("Phase2", 14.0, 7, "20260120", "PTV")),
        (plan_of("Mediastinum", 46.0, 23, target="PTV"), plan_of("Cone down", 14.0, 7, "20260120", "PTV")),
        (plan_of("Breast_L", 30.0, 15), plan_of("Breast_L_adapt", 20.0, 10, "20260120")),
        (plan_of("Breast_L", 20.0, 10), plan_of("Breast_L:1", 30.0, 15, "20260120")),
        # What was given before adds, whatever it is called.
        (WHOLE, plan_of("Breast_L", 50.0, 25, "20260120", relations=(("1", "PRIOR"),))),
    ],
)  # fmt: skip
def test_plans_that_add_up(earlier: Plan, later: Plan) -> None:
    assert kind(earlier, later) == "adds"


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        (WHOLE, plan_of("Breast_L:1", 50.0, 25, treatment_beams=beams(ISOCENTRE, 300.0, 120.0))),
        (WHOLE, plan_of("Breast_L_rev2", 50.0, 25, "20260104")),
        (plan_of("Breast_L:1", 50.0, 25), plan_of("Breast_L:2", 50.0, 25)),
        (RETIRED, plan_of("Breast_L", 50.0, 25, "20260104", treatment_beams=beams(ISOCENTRE, 310.0, 130.0))),
        (RETIRED, plan_of("Final", 50.0, 25, "20260104")),
        (WHOLE, plan_of("Breast_L_replan", 50.0, 25, "20260104", treatment_beams=beams(ISOCENTRE, 310.0, 130.0))),
        (WHOLE, plan_of("Breast_L:1", 40.05, 15, "20260104")),
        (BOOST, plan_of("Boost_L:1", 16.0, 8, "20260122", "Tumor bed")),
        (WHOLE, plan_of("VMAT", 50.0, 25, "20260104", relations=(("1", "PREDECESSOR"),), treatment_beams=beams(ISOCENTRE, 0.0, 10.0))),
        # A lesion that was drawn anew: the beams stay where they are.
        (plan_of("SBRT", 54.0, 3, target="PTV_1"), plan_of("SBRT_new", 54.0, 3, "20260103", "PTV_2")),
    ],
)  # fmt: skip
def test_plans_that_replace_the_earlier_one(earlier: Plan, later: Plan) -> None:
    assert kind(earlier, later) == "replaces"


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        # Adaptive: how many of the 25 fractions were given before?
        (WHOLE, plan_of("Breast_L_adapt", 20.0, 10, "20260120")),
        (WHOLE, plan_of("Breast_L:1", 20.0, 10, "20260120")),
        # Rivals or phases: 20 Gy from the front, 20 Gy obliquely.
        (plan_of("APPA", 20.0, 10), plan_of("Oblique", 20.0, 10, "20260104", treatment_beams=beams(ISOCENTRE, 45.0, 225.0))),
        (WHOLE, plan_of("Other", 45.0, 20, "20260104")),
        (WHOLE, Plan("Other", date="20260104")),
        # Which is the later?
        (RETIRED, plan_of("Second", 50.0, 25)),
        # Both may be treated: one label and prescription, eleven months or eight days apart, with the same beams or with others.
        (WHOLE, plan_of("Breast_L", 50.0, 25, "20261202")),
        (WHOLE, plan_of("Breast_L", 50.0, 25, "20260110", treatment_beams=beams(ISOCENTRE, 310.0, 130.0))),
        (WHOLE, plan_of("Final", 50.0, 25, "20260104")),
        (plan_of("Breast_L:1", 50.0, 25), plan_of("Breast_L:1", 50.0, 25, "20260104")),
        # What it was derived from, and given before?
        (WHOLE, plan_of("Breast_L", 50.0, 25, "20260120", relations=(("1", "PRIOR"), ("1", "PREDECESSOR")))),
        # Two lesions of one name, or two versions: nothing says where they lie.
        (plan_of("Lung_1", 54.0, 3, target="PTV", treatment_beams=()), plan_of("Lung_2", 54.0, 3, "20260103", "PTV", treatment_beams=())),
    ],
)  # fmt: skip
def test_what_cannot_be_told_is_not_chosen(earlier: Plan, later: Plan) -> None:
    assert kind(earlier, later) == "unknown"


def test_an_alternative_neither_adds_nor_replaces() -> None:
    assert kind(WHOLE, plan_of("Protons", 50.0, 25, relations=(("1", "ALTERNATIVE"),))) == "alternative"


def test_isocentres_of_two_frames_of_reference_are_not_compared() -> None:
    moved = plan_of("Breast_L", 50.0, 25, "20260110", treatment_beams=beams((500.0, 0.0, 0.0)))
    first = PatientPlan("1", plan=RETIRED, frame_of_reference_uid="old")
    second = PatientPlan("2", plan=moved, frame_of_reference_uid="new")
    assert relation(first, second, SCHEDULES).kind == "replaces"


@pytest.mark.parametrize(
    ("label", "target", "boost"),
    [
        ("Boost_L", "", True), ("Breast", "Tumor bed", True), ("PTV boost", "", True), ("Breast_SIB", "Boost", False),
        ("Breast_L", "Breast", False), ("SIB boost", "", False),
    ],
)  # fmt: skip
def test_a_boost_is_known_by_its_words(label: str, target: str, boost: bool) -> None:
    assert is_boost(plan_of(label, 16.0, 8, target=target)) is boost


def test_a_plan_with_an_integrated_boost_among_its_targets_is_no_boost() -> None:
    both = Plan("Breast_L", prescriptions=(Prescription(48.0, "Boost"), Prescription(40.05, "Breast")), fractions=15)
    assert not is_boost(both)


def test_labels_are_taken_apart_into_base_version_and_phase() -> None:
    assert Label.of("Breast_L:2").base == Label.of("breast L").base == Label.of("Breast_L_rev3").base == ("breast", "l")
    assert (Label.of("Breast_L (2)").version, Label.of("Breast_L_rev3").version) == (2, 3)
    assert Label.of("Lung_R1").trailing == 1
    assert not Label.of("Lung_R1").marked


# --- The course of a case ---


def heart(side_mm: float = 60.0, name: str = "Heart") -> Structure:
    square = as_multipolygon(box(-side_mm / 2, -side_mm / 2, side_mm / 2, side_mm / 2))
    return Structure(name, {float(z): square for z in np.arange(-9, 9.1, 3)}, slice_spacing_mm=3.0)


def uniform(gy: float, z_mm: tuple[float, float] = (-60.0, 60.0), spacing_mm: float = 5.0) -> Dose:
    count = int((z_mm[1] - z_mm[0]) / spacing_mm) + 1
    wide = int(160 / spacing_mm)
    grid = Grid.regular((count, wide, wide), (spacing_mm,) * 3, (-80.0, -80.0, z_mm[0]))
    return Dose(grid, np.full(grid.shape, gy, np.float32))


def treating(dose: Dose | None, plan: Plan | None) -> Dose | None:
    """The dose with what the plan prescribes beside the heart, at x from 60 to 75 mm, so that its level belongs to the plan."""
    if dose is None or plan is None or not plan.prescriptions:
        return dose
    x, y, z = dose.grid.columns_mm, dose.grid.rows_mm, np.arange(dose.grid.shape[0])
    inside = (
        ((z > 0) & (z < z[-1]))[:, None, None] & (abs(y) < 40)[None, :, None] & ((x > 59) & (x < 74))[None, None]
    )  # fmt: skip
    return replace(dose, gy=np.where(inside, np.float32(plan.prescriptions[0].dose_gy), dose.gy))


def patient_plan(uid: str, plan: Plan | None, dose: Dose | None, frame: str = "f", **more: Any) -> PatientPlan:
    given = more.pop("planned", None)
    dose = dose if more.pop("as_it_is", False) else treating(dose, plan)
    planned = (
        replace(given, dose=treating(given.dose, plan))
        if given is not None
        else PlannedDose(
            dose,
            DoseAttributes("PHYSICAL", "PLAN"),
            (f"d{uid}",),
            (uid,),
            "" if dose is not None else "there is no RTDOSE of it here",
        )
    )
    return PatientPlan(
        uid, f"{uid}.dcm", plan, frame_of_reference_uid=frame, structure_set_uid=more.pop("set_uid", "s"), read_dose=lambda: planned, **more
    )  # fmt: skip


def case_of(plan: Plan, dose: Dose | None, *companions: PatientPlan, **more: Any) -> Case:
    provenance = Provenance(
        rtplan_uid="1", rtstruct_uid="s", frame_of_reference_uid="f", rtdose_uids=("d1",), labels={"plan_file": "1.dcm", "structure_set": "S"}
    )  # fmt: skip
    return Case(
        provenance,
        rois=(Roi(1, heart()),),
        plan=plan,
        dose=treating(dose, plan),
        has_structure_set=True,
        dose_attributes=DoseAttributes("PHYSICAL", "PLAN"),
        dose_plan_uids=("1",),
        companions=companions,
        **more,
    )


def judging(protocol: Protocol | None = None) -> Judging:
    used = protocol or load_protocol("breast-50-25")

    def heart_of(rois: tuple[Roi, ...]) -> Structure | None:
        return next((r.structure for r in rois if r.structure.name == "Heart" and not r.structure.is_empty), None)

    return Judging(lambda case: named_choice(used, case), heart_of)


def course_of(case: Case, protocol: Protocol | None = None) -> Course:
    course = assess_course(case, judging(protocol))
    assert course is not None
    return course


def said(case: Case, protocol: Protocol | None = None) -> dict[str, Finding]:
    used = protocol or load_protocol("breast-50-25")
    measurements = Measurements(case, course=assess_course(case, judging(used)))
    return {f.rule: f for f in run_rules(measurements, used) if f.rule.startswith("course.")}


def mean_of(course: Course) -> float:
    assert course.dose is not None
    assert course.dose.contoured is not None
    assert course.dose.contoured.mean_gy is not None
    return course.dose.contoured.mean_gy


def with_mean_limit(limit: float, tier: str = "acceptable", eqd2: bool = False) -> Protocol:
    protocol = load_protocol("breast-50-25")
    first = protocol.constraints[0].model_copy(
        update={"id": "mean", "metric": "mean_gy", "limit": limit, "tier": tier, "eqd2": eqd2, "side": None, "unit": "Gy"}
    )
    return protocol.model_copy(update={"constraints": (first,)})


def test_a_patient_with_one_plan_has_no_course() -> None:
    assert assess_course(case_of(WHOLE, uniform(2.34)), judging()) is None


def test_two_plans_that_keep_the_limit_fail_together() -> None:
    case = case_of(WHOLE, uniform(2.34), patient_plan("2", BOOST, uniform(2.28, spacing_mm=4.0)))
    course = course_of(case)
    assert mean_of(course) == pytest.approx(4.62, abs=1e-4)
    assert [(p.label, p.mean_gy) for p in course.plans] == [("Breast_L", pytest.approx(2.34)), ("Boost_L", pytest.approx(2.28))]
    assert course.eqd2 is not None
    assert course.eqd2.contoured is not None
    # 2.34 (2.34/25 + a/b) / (2 + a/b) + 2.28 (2.28/8 + a/b) / (2 + a/b)
    ab = course.eqd2.alpha_beta_gy
    assert course.eqd2.contoured.mean_gy == pytest.approx(
        (2.34 * (2.34 / 25 + ab) + 2.28 * (2.28 / 8 + ab)) / (2 + ab), abs=1e-3
    )
    found = said(case, with_mean_limit(4.0))["course.constraint_exceeded"]
    assert (found.severity, found.evidence.measured, found.evidence.limit) == ("fail", pytest.approx(4.62, abs=1e-3), 4.0)
    assert "course (Breast_L + Boost_L) exceeds the acceptable limit of 4 Gy: mean heart dose 4.62 Gy" in found.message
    assert "course.constraint_exceeded" not in said(case, with_mean_limit(4.63))


def test_the_course_is_the_same_from_each_of_its_plans() -> None:
    from_whole = course_of(case_of(WHOLE, uniform(2.34), patient_plan("2", BOOST, uniform(2.28))))
    other = patient_plan("2", WHOLE, uniform(2.34))
    from_boost = course_of(case_of(BOOST, uniform(2.28), other))
    assert [p.label for p in from_boost.plans] == [p.label for p in from_whole.plans]
    assert mean_of(from_boost) == mean_of(from_whole)
    assert [(c.id, c.limit, c.contoured) for c in from_boost.constraints] == [
        (c.id, c.limit, c.contoured) for c in from_whole.constraints
    ]


def rising(gy: float, a_mm: float) -> Dose:
    """A dose of ``gy`` in the heart's middle that rises by ``a_mm`` Gy a mm to the patient's head."""
    flat = uniform(gy)
    slope = a_mm * flat.grid.positions_mm[:, None, None]
    return replace(flat, gy=np.ascontiguousarray(flat.gy + slope, np.float32))


@pytest.mark.parametrize(("boosts_slope", "sure_to_mm", "flips"), [(0.1, 5.0, False), (0.1, 0.1, True), (-0.1, 5.0, False)])
def test_a_courses_outcome_flips_only_beyond_the_drafts_error_in_the_sum(
    boosts_slope: float, sure_to_mm: float, flips: bool
) -> None:
    """Each plan rises by 0.1 Gy a mm: together 0.6 Gy over the 3 mm between contour and draft, or nothing."""
    drafted = heart()
    higher = Structure("Heart", {w + 3.0: area for w, area in drafted.planes.items()}, slice_spacing_mm=3.0)
    case = case_of(WHOLE, rising(10.0, 0.1), patient_plan("2", BOOST, rising(10.0, boosts_slope)))
    case = replace(case, rois=(Roi(1, higher),))
    band = SurfaceBand(lambda points: np.zeros(len(points)), sure_to_mm, sure_to_mm)
    course = assess_course(case, replace(judging(with_mean_limit(20.3)), draft=drafted, band=band))
    assert course is not None
    (mean,) = course.constraints
    assert (mean.contoured, mean.draft) == (
        pytest.approx(20 + 3 * (0.1 + boosts_slope), abs=0.02), pytest.approx(20, abs=0.02)
    )  # fmt: skip
    assert mean.draft_error is not None
    # Both ends by themselves: the mean height is sure to half the root of the sum of their squares.
    expected = CALIBRATION * LEVEL_95 * (0.1 + boosts_slope) * sure_to_mm / np.sqrt(2)
    assert mean.draft_error == pytest.approx(expected, rel=0.1, abs=0.01)
    assert mean.outcome_flips is flips


def test_between_the_tiers_the_course_is_a_warning() -> None:
    case = case_of(WHOLE, uniform(2.34), patient_plan("2", BOOST, uniform(2.28)))
    assert said(case, with_mean_limit(4.0, "ideal"))["course.constraint_above_ideal"].severity == "warning"
    assert "course.constraint_above_ideal" not in said(case, with_mean_limit(4.63, "ideal"))


def test_a_course_that_keeps_every_limit_has_notes_only() -> None:
    found = said(case_of(WHOLE, uniform(1.0), patient_plan("2", BOOST, uniform(0.5))))
    assert set(found) == {"course.summed"}
    assert "mean heart dose is 1.50 Gy" in found["course.summed"].message


def test_a_replaced_version_is_not_in_the_sum() -> None:
    old = patient_plan("0", plan_of("Breast_L", 50.0, 25, "20260101"), uniform(3.0))
    again = plan_of("Breast_L:1", 50.0, 25, "20260105")
    case = case_of(again, uniform(2.34), old, patient_plan("2", BOOST, uniform(1.0)))
    assert mean_of(course_of(case)) == pytest.approx(3.34, abs=1e-4)
    assert "Breast_L was replaced by Breast_L:1" in said(case)["course.superseded"].message
    # The replaced plan's own check speaks of the same course.
    replaced = case_of(WHOLE, uniform(3.0), patient_plan("3", again, uniform(2.34)), patient_plan("2", BOOST, uniform(1.0)))
    assert mean_of(course_of(replaced)) == pytest.approx(3.34, abs=1e-4)


def test_what_cannot_be_told_is_summed_as_an_upper_estimate_and_said() -> None:
    adaptive = plan_of("Breast_L_adapt", 20.0, 10, "20260120")
    case = case_of(WHOLE, uniform(2.0), patient_plan("2", adaptive, uniform(0.8)))
    assert mean_of(course_of(case)) == pytest.approx(2.8, abs=1e-4)
    found = said(case)["course.uncertain"]
    assert found.severity == "warning"
    assert "how many fractions of the earlier one were given" in found.message
    assert "upper estimate" in found.message


RIVAL = plan_of("VMAT", 50.0, 25, "20260105", treatment_beams=beams(ISOCENTRE, 0.0, 10.0))


def test_a_limit_that_only_an_upper_estimate_exceeds_is_a_warning_and_no_fail() -> None:
    found = said(case_of(WHOLE, uniform(2.5), patient_plan("2", RIVAL, uniform(2.4))), with_mean_limit(4.0))
    assert set(found) == {"course.uncertain", "course.may_exceed", "course.summed"}
    assert found["course.may_exceed"].severity == "warning"
    assert "If all of its plans are given" in found["course.may_exceed"].message
    kept = said(case_of(WHOLE, uniform(1.5), patient_plan("2", RIVAL, uniform(1.4))), with_mean_limit(4.0))
    assert set(kept) == {"course.uncertain", "course.summed"}


def test_what_the_plans_that_are_given_for_sure_exceed_is_a_fail_whatever_else_is_given() -> None:
    rival, boost = patient_plan("2", RIVAL, uniform(2.4)), patient_plan("3", BOOST, uniform(2.28))
    found = said(case_of(WHOLE, uniform(2.5), rival, boost), with_mean_limit(4.0))
    # The later of the rivals and the boost: 2.4 + 2.28 Gy.
    assert "at least 4.68 Gy" in found["course.constraint_exceeded"].message
    assert "course.may_exceed" not in found


def test_a_boost_takes_its_site_from_the_plan_that_it_is_added_to() -> None:
    nameless = plan_of("Add-on", 16.0, 8, "20260120", "PTV_2")
    case = case_of(nameless, uniform(1.0), patient_plan("2", WHOLE, uniform(1.0)))
    alone = choose_protocol(case)
    choice = choice_within_course(case, alone, choose_protocol)
    assert alone.fit == "assumed"
    assert (choice.fit, choice.site, choice.protocol.name) == ("fits", "breast", "breast-boost")
    brain = case_of(plan_of("Brain", 30.0, 10, "20260120", "PTV brain"), uniform(1.0), patient_plan("2", WHOLE, uniform(1.0)))
    assert choice_within_course(brain, choose_protocol(brain), choose_protocol).site == "brain"
    assert choice_within_course(case_of(nameless, uniform(1.0)), alone, choose_protocol) is alone


@pytest.mark.parametrize("approval", ["UNAPPROVED", "REJECTED", ""])
def test_a_plan_that_is_not_approved_beside_approved_ones_is_left_out(approval: str) -> None:
    waiting = replace(BOOST, approval=approval)
    case = case_of(WHOLE, uniform(2.34), patient_plan("2", waiting, uniform(2.28)))
    assert set(said(case, with_mean_limit(4.0))) == {"course.left_out"}
    assert course_of(case).summation == "none"


def test_of_plans_none_of_which_is_approved_all_count_and_it_is_said() -> None:
    waiting = [replace(p, approval="UNAPPROVED") for p in (WHOLE, BOOST)]
    found = said(case_of(waiting[0], uniform(2.34), patient_plan("2", waiting[1], uniform(2.28))))
    assert "None of them is approved" in found["course.summed"].message


def test_a_boost_that_waits_for_approval_is_told_what_the_course_would_be() -> None:
    case = case_of(replace(BOOST, approval="UNAPPROVED"), uniform(2.28), patient_plan("2", WHOLE, uniform(2.34)))
    assert "mean heart dose 4.62 Gy" in said(case, with_mean_limit(4.0))["course.unapproved_would_exceed"].message
    assert "course.unapproved_would_exceed" not in said(case, with_mean_limit(4.63))
    again = case_of(
        plan_of("Breast_L:1", 50.0, 25, "20260110", approval="UNAPPROVED"),
        uniform(3.0),
        patient_plan("2", WHOLE, uniform(2.34)),
    )
    assert "course.unapproved_would_exceed" not in said(again, with_mean_limit(4.0)), (
        "it would replace the other, not add to it"
    )


@pytest.mark.parametrize(
    "change", [{"intent": "VERIFICATION"}, {"geometry": "TREATMENT_DEVICE"}, {"relations": (("1", "VERIFIED_PLAN"),)}]
)
def test_a_plan_that_nobody_is_treated_with_never_counts(change: dict[str, Any]) -> None:
    check = replace(plan_of("QA", 50.0, 25, "20260105"), **change)
    case = case_of(WHOLE, uniform(2.34), patient_plan("2", check, uniform(30.0)))
    assert set(said(case)) == {"course.left_out"}
    assert assess_course(case_of(check, uniform(30.0)), judging()) is None


def test_courses_years_apart_are_not_summed_without_a_word() -> None:
    earlier = patient_plan("2", plan_of("Breast_L", 50.0, 25, "20231001"), uniform(3.0))
    found = said(case_of(WHOLE, uniform(2.34), earlier))
    assert set(found) == {"course.not_summed"}
    assert "2023-10-01, more than a year before the plans of this course" in found["course.not_summed"].message
    later = patient_plan("2", plan_of("Breast_L", 50.0, 25, "20281001"), uniform(3.0))
    assert set(said(case_of(WHOLE, uniform(2.34), later))) == {"course.left_out"}


def test_a_boost_on_another_ct_is_refused() -> None:
    case = case_of(WHOLE, uniform(2.34), patient_plan("2", BOOST, uniform(2.28), frame="another"))
    found = said(case, with_mean_limit(4.0))
    assert set(found) == {"course.not_summed"}
    assert "Boost_L is not in the sum of the course" in found["course.not_summed"].message
    assert course_of(case).dose is None
    brain = plan_of("Brain", 30.0, 10, "20260120", "PTV brain")
    assert set(said(case_of(WHOLE, uniform(2.34), patient_plan("2", brain, uniform(1.0), frame="another")))) == {
        "course.left_out"
    }


def test_a_boost_whose_exported_dose_is_of_another_ct_is_not_asked_for_again() -> None:
    planned = PlannedDose(why_not="its dose (b.dcm) has another frame of reference (another CT)", reason="other_frame")
    message = said(case_of(WHOLE, uniform(2.34), patient_plan("2", BOOST, None, planned=planned)))["course.not_summed"].message
    assert "its dose (b.dcm) has another frame of reference" in message
    assert "register the CTs" in message
    assert "RTDOSE" not in message
    missing = said(case_of(WHOLE, uniform(2.34), patient_plan("2", BOOST, None)))["course.not_summed"].message
    assert "export its RTDOSE with it" in missing


def test_a_dose_of_another_frame_of_reference_is_refused_as_such(copied: Path) -> None:
    dataset = pydicom.dcmread(copied / "RTDOSE.boost.dcm")
    dataset.FrameOfReferenceUID = "2.25.99"
    dataset.save_as(copied / "RTDOSE.boost.dcm")
    case = next(c for c in read_cases(copied) if c.provenance.labels["plan"] == "Breast_L")
    dose = case.companions[0].dose
    assert (dose.reason, "RTDOSE.boost.dcm" in dose.why_not) == ("other_frame", True)
    left_out = course_of(case).left_out
    assert [(p.label, p.reason) for p in left_out] == [("Boost_L", "other_frame")]


@pytest.mark.parametrize(
    ("date", "words"),
    [
        ("20251220", "Breast_L of 2025-12-20 was replaced by Breast_L of 2026-01-02: it has the same label, and the prescription is the same"),
        ("20260102", "Breast_L (0.dcm) was replaced by Breast_L (1.dcm)"),
    ],
)  # fmt: skip
def test_of_two_plans_of_one_label_the_sentence_says_which_is_which(date: str, words: str) -> None:
    old = replace(plan_of("Breast_L", 50.0, 25, date), approval="UNAPPROVED")
    again = replace(WHOLE, time="120000", approval="UNAPPROVED")
    case = case_of(again, uniform(2.34), patient_plan("0", old, uniform(2.0)))
    assert words in said(case)["course.superseded"].message


def test_one_fraction_is_one() -> None:
    single = plan_of("Boost_L", 10.0, 1, "20260120", "Tumor bed")
    message = said(case_of(WHOLE, uniform(1.0), patient_plan("2", single, uniform(0.5))))["course.summed"].message
    assert "Breast_L: 50 Gy in 25 fractions, Boost_L: 10 Gy in 1 fraction)" in message


@pytest.mark.parametrize(
    ("approval", "label", "found"),
    [("UNAPPROVED", "Breast_L", "course.superseded"), ("APPROVED", "Breast_L:1", "course.superseded"), ("APPROVED", "Breast_L", "course.not_summed")],
)  # fmt: skip
def test_a_replan_on_another_ct_replaces_and_is_no_alarm_unless_both_may_be_treated(
    approval: str, label: str, found: str
) -> None:
    old = patient_plan("2", plan_of("Breast_L", 50.0, 25, "20251220", approval=approval), uniform(2.0), frame="another")
    assert set(said(case_of(replace(WHOLE, label=label), uniform(2.34), old))) == {found}


def test_two_approved_plans_of_one_label_are_summed_as_an_upper_estimate() -> None:
    again = patient_plan("2", plan_of("Breast_L", 50.0, 25, "20261202"), uniform(2.34))
    case = case_of(WHOLE, uniform(2.34), again)
    found = said(case, with_mean_limit(4.0))
    assert set(found) == {"course.uncertain", "course.may_exceed", "course.summed"}
    assert "Breast_L of 2026-12-02 adds to Breast_L of 2026-01-02" in found["course.uncertain"].message
    assert "both are approved" in found["course.uncertain"].message
    assert mean_of(course_of(case)) == pytest.approx(4.68, abs=1e-4)


SETUPS = (ApplicationSetup(1, 1, 10.0),)
IMPLANT = plan_of(
    "Boost HDR", 10.0, 1, "20260120", "Tumor bed", kind="brachy", treatment_beams=(), application_setups=SETUPS, brachy_type="HDR"
)  # fmt: skip
MIXED = plan_of("Breast HDR", 50.0, 25, "20260120", application_setups=SETUPS)


@pytest.mark.parametrize(
    ("own", "other", "why"),
    [
        (WHOLE, IMPLANT, "is of brachytherapy, and"),
        (IMPLANT, WHOLE, "is of external beams, and"),
        (BOOST, MIXED, "is of external beams and brachytherapy, and"),
        (MIXED, BOOST, "is of external beams, and"),
        (MIXED, replace(MIXED, label="Boost HDR"), "is of external beams and brachytherapy, as Breast HDR is, and"),
    ],
)
def test_sources_and_external_beams_are_never_added(own: Plan, other: Plan, why: str) -> None:
    case = case_of(own, uniform(2.34), patient_plan("2", other, uniform(2.28)))
    found = said(case, with_mean_limit(4.0))
    assert f"{other.label} is not in the sum of the course: it {why} doses of sources and of external beams" in (
        found["course.not_summed"].message
    )
    assert set(found) == {"course.not_summed"}
    assert course_of(case, with_mean_limit(4.0)).constraints == ()


def test_a_course_of_implants_alone_is_added_and_held_against_no_limit() -> None:
    again = replace(IMPLANT, label="Second HDR", prescriptions=(Prescription(20.0, "Sternum"),))
    case = case_of(IMPLANT, uniform(2.34), patient_plan("2", again, uniform(2.28)))
    course = course_of(case, with_mean_limit(4.0))
    assert (mean_of(course), course.constraints, course.eqd2) == (pytest.approx(4.62, abs=1e-4), (), None)
    assert "limits are for external beams" in said(case, with_mean_limit(4.0))["course.uncertain"].message


def test_a_planning_systems_sum_of_beams_and_sources_is_held_against_no_limit() -> None:
    for own, other in ((WHOLE, IMPLANT), (IMPLANT, WHOLE)):
        case = case_of(own, uniform(4.62), patient_plan("2", other, None))
        case = replace(case, dose_attributes=DoseAttributes("PHYSICAL", "MULTI_PLAN"), dose_plan_uids=("1", "2"))
        course = course_of(case, with_mean_limit(4.0))
        assert (mean_of(course), course.constraints, course.left_out) == (pytest.approx(4.62, abs=1e-4), (), ())


def test_without_one_plans_dose_the_sum_is_at_least_that_and_no_limit_is_met() -> None:
    third = patient_plan("3", plan_of("Boost2", 10.0, 5, "20260210", "Sternum boost"), None)
    case = case_of(WHOLE, uniform(2.34), patient_plan("2", BOOST, uniform(2.28)), third)
    course = course_of(case, with_mean_limit(6.0))
    assert not course.complete
    assert [c.contoured_met for c in course.constraints] == [None]
    found = said(case, with_mean_limit(4.0))
    assert "there is no RTDOSE of it here" in found["course.not_summed"].message
    assert "at least 4.62 Gy" in found["course.constraint_exceeded"].message


def test_a_plan_that_cannot_be_read_is_said() -> None:
    assert (
        "could not be read" in said(case_of(WHOLE, uniform(2.34), patient_plan("2", None, None)))["course.not_summed"].message
    )


def test_a_plan_far_from_the_heart_whose_dose_does_not_reach_there_is_no_alarm() -> None:
    far = uniform(30.0, (300.0, 420.0))
    brain = plan_of("Brain", 30.0, 10, "20260120", "PTV brain", treatment_beams=beams((0.0, 0.0, 360.0)))
    case = case_of(WHOLE, uniform(2.34), patient_plan("2", BOOST, uniform(1.0)), patient_plan("3", brain, far))
    assert set(said(case)) == {"course.summed", "course.left_out"}
    assert mean_of(course_of(case)) == pytest.approx(3.34, abs=1e-4)


def test_a_boost_whose_grid_ends_in_the_heart_leaves_the_limits_open() -> None:
    case = case_of(WHOLE, uniform(2.34), patient_plan("2", BOOST, uniform(1.0, (0.0, 60.0))))
    assert [c.contoured_met for c in course_of(case, with_mean_limit(6.0)).constraints] == [None]
    assert re.search(r"\d % of the heart lies outside the dose grid of Boost_L", said(case)["course.not_summed"].message)


def test_plans_of_other_fractionation_are_judged_by_what_does_as_much_in_the_primary_ones_fractions() -> None:
    whole, boost = plan_of("Breast_L", 40.05, 15), plan_of("Boost_L", 13.35, 5, "20260120", "Tumor bed")
    case = case_of(whole, uniform(2.0), patient_plan("2", boost, uniform(1.0)))
    course = course_of(case, load_protocol("breast-40-15"))
    assert (course.judged_in, course.judged_fractions) == ("isoeffective", 15)
    mean = next(c for c in course.constraints if c.metric == "mean_gy" and not c.structure and not c.eqd2)
    assert course.eqd2 is not None
    ab = course.eqd2.alpha_beta_gy
    effect = 2.0 * (2.0 / 15 + ab) + 1.0 * (1.0 / 5 + ab)
    assert mean.contoured is not None
    assert mean.contoured * (mean.contoured / 15 + ab) == pytest.approx(effect, abs=1e-3)
    conventional = course_of(case_of(WHOLE, uniform(2.0), patient_plan("2", BOOST, uniform(1.0))))
    assert conventional.judged_in == "physical"


LUNG = plan_of("Lung_1", 40.0, 20, target="PTV Lung")
LUNG_REST = plan_of("Lung_2", 20.0, 10, "20260120", "PTV Lung")


def test_parts_of_a_conventional_treatment_are_judged_by_the_limits_of_the_whole_as_published() -> None:
    """40 Gy in 20 and 20 Gy in 10 are 60 Gy in 30, for which V50, V30 and mean 20 Gy were made."""
    for own, other in ((LUNG, LUNG_REST), (LUNG_REST, LUNG)):
        case = case_of(own, uniform(2.0), patient_plan("2", other, uniform(1.0)))
        choice = choice_within_course(case, choose_protocol(case), choose_protocol)
        assert (choice.fit, choice.protocol.name, choice.part_of_course) == ("fits", "lung", True)
        assert "60 Gy in 30 fractions" in choice.reason
        course = assess_course(case, replace(judging(), choose=choose_protocol))
        assert course is not None
        assert (course.protocol, course.judged_in) == ("lung", "physical")
        for limits in (course.constraints, applicable_constraints(choice, case)):
            assert {"v50_gy_percent", "v30_gy_percent", "mean_gy"} <= {c.metric for c in limits}
            assert not any(c.converted_from for c in limits)
            assert next(c.limit for c in limits if c.metric == "mean_gy") == 20.0


def test_parts_that_are_no_usual_treatment_together_keep_the_warning_of_another_fractionation() -> None:
    odd = replace(LUNG_REST, prescriptions=(Prescription(12.0, "PTV Lung"),), fractions=6)
    case = case_of(LUNG, uniform(2.0), patient_plan("2", odd, uniform(1.0)))
    assert choice_within_course(case, choose_protocol(case), choose_protocol).fit == "other_fractionation"
    large = replace(LUNG_REST, fractions=5)
    case = case_of(LUNG, uniform(2.0), patient_plan("2", large, uniform(1.0)))
    assert choice_within_course(case, choose_protocol(case), choose_protocol).fit == "other_fractionation"


def test_doses_in_2_gy_are_unknown_for_a_plan_of_several_fraction_groups_and_the_physical_sum_is_judged() -> None:
    groups = replace(WHOLE, fraction_groups=2, groups=(FractionGroup(1, 20, 2.0), FractionGroup(2, 5, 2.0)))
    case = case_of(groups, uniform(2.34), patient_plan("2", BOOST, uniform(2.28)))
    course = course_of(case)
    assert course.eqd2 is None
    assert mean_of(course) == pytest.approx(4.62, abs=1e-4)
    # 40.05 Gy in 15 and 10 Gy in 5: 50.05 Gy in 20 would be 2.5 Gy a fraction; 50 Gy in 25 and 16 Gy in 4 would be 1.7 Gy by the prescription.
    for odd in (
        replace(plan_of("Breast_L", 40.05, 15), fraction_groups=2),
        replace(plan_of("Breast_L", 50.0, 29), fraction_groups=2, groups=(FractionGroup(1, 25, 2.0), FractionGroup(2, 4, 4.0))),
    ):
        found = said(case_of(odd, uniform(2.0), patient_plan("2", BOOST, uniform(1.0))))
        assert "doses a fraction differ" in found["course.uncertain"].message


def multi(dose: Dose, *plan_uids: str) -> PlannedDose:
    return PlannedDose(dose, DoseAttributes("PHYSICAL", "MULTI_PLAN"), ("m",), plan_uids)


def test_a_dose_of_several_plans_is_the_course_and_is_added_to_none_of_them() -> None:
    case = case_of(WHOLE, uniform(2.34), patient_plan("2", BOOST, None, planned=multi(uniform(4.62), "1", "2")))
    course = course_of(case)
    assert (course.summation, mean_of(course)) == ("multi_plan", pytest.approx(4.62, abs=1e-4))
    assert sorted(p.label for p in course.plans) == ["Boost_L", "Breast_L"]
    assert course.eqd2 is None
    assert "MULTI_PLAN" in said(case)["course.summed"].message


def test_a_dose_of_several_plans_is_judged_as_such_where_only_one_of_them_is_here() -> None:
    case = replace(
        case_of(WHOLE, uniform(4.62)), dose_attributes=DoseAttributes("PHYSICAL", "MULTI_PLAN"), dose_plan_uids=("1", "2")
    )
    course = course_of(case, with_mean_limit(4.0))
    assert course.summation == "multi_plan"
    assert course.constraints[0].contoured_met is False
    assert "refers to 1 more plan" in said(case)["course.uncertain"].message


def test_a_plan_whose_only_dose_is_that_of_several_says_so_once() -> None:
    message = "RTDOSE.dcm is the sum of 2 plans (DoseSummationType MULTI_PLAN)."
    note = Finding(rule="dose.of_several_plans", severity="warning", certainty="fact", message=message)
    own = replace(
        case_of(WHOLE, uniform(4.62), patient_plan("2", BOOST, None), findings=(note,)),
        dose_attributes=DoseAttributes("PHYSICAL", "MULTI_PLAN"), dose_plan_uids=("1", "2"),
    )  # fmt: skip
    assert set(said(own, with_mean_limit(6.0))) == set()
    # What is added to it is no part of that note.
    third = patient_plan("3", plan_of("Sternum", 10.0, 5, "20260210", "Sternum boost"), uniform(0.5))
    more = said(replace(own, companions=(*own.companions, third)))["course.summed"]
    assert "Breast_L + Boost_L lie in one dose of several plans (MULTI_PLAN), to which Sternum was added" in more.message
    assert "mean heart dose is 5.12 Gy" in more.message


@pytest.mark.parametrize(("sum_gy", "fires"), [(4.62, False), (4.71, False), (4.73, True), (4.51, True), (2.34, True)])
def test_a_planning_systems_sum_that_is_not_the_sum_of_the_plans_is_a_warning(sum_gy: float, fires: bool) -> None:
    """2.34 and 2.28 Gy are 4.62 Gy, to 0.1 Gy."""
    case = case_of(WHOLE, uniform(2.34), patient_plan("2", BOOST, uniform(2.28, spacing_mm=4.0)))
    together = DoseOfSeveralPlans("RTDOSE.sum.dcm", ("1", "2"), lambda: multi(uniform(sum_gy, spacing_mm=3.0), "1", "2"))
    found = said(replace(case, doses_of_several_plans=(together,))).get("course.sum_differs")
    assert (found is not None) is fires
    if found is not None:
        assert found.severity == "warning"
        assert (
            f"RTDOSE.sum.dcm is the dose of Breast_L + Boost_L together, and gives the heart a mean of {sum_gy:.2f} Gy"
            in found.message
        )
        assert "their own doses give 4.62 Gy" in found.message


def test_a_planning_systems_sum_of_other_plans_or_of_another_dose_type_is_not_compared() -> None:
    case = case_of(WHOLE, uniform(2.34), patient_plan("2", BOOST, uniform(2.28)))
    effective = PlannedDose(uniform(9.0), DoseAttributes("EFFECTIVE", "MULTI_PLAN"), ("m",), ("1", "2"))
    for together in (
        DoseOfSeveralPlans("m.dcm", ("1", "elsewhere"), lambda: multi(uniform(9.0), "1", "elsewhere")),
        DoseOfSeveralPlans("m.dcm", ("1", "2"), lambda: effective),
        DoseOfSeveralPlans("m.dcm", ("1", "2"), lambda: PlannedDose(why_not="its dose cannot be used")),
    ):
        assert course_of(replace(case, doses_of_several_plans=(together,))).planning_sums == ()


def test_of_two_structure_sets_the_approved_one_then_the_later_one_is_used_and_said() -> None:
    small = PlannedStructures(
        (Roi(1, heart(20.0)),), StructureSetAttributes("APPROVED", approved_at="20260101120000"), "Approved"
    )
    linear = uniform(2.0)
    slope = replace(linear, gy=(linear.gy + np.abs(linear.grid.columns_mm)[None, None] / 10).astype(np.float32))
    boost = patient_plan("2", BOOST, uniform(1.0), set_uid="other", read_structures=lambda: small)
    course = course_of(case_of(WHOLE, slope, boost))
    # |x| / 10 has a mean of 0.5 Gy over 20 mm and of 1.5 Gy over 60 mm.
    assert mean_of(course) == pytest.approx(3.5, abs=0.02)
    assert (course.structure_set, course.other_structure_set) == ("Approved", True)
    assert "Contours of structure set Approved" in said(case_of(WHOLE, slope, boost))["course.summed"].message


def test_doses_of_two_types_are_added_with_a_warning() -> None:
    protons = PlannedDose(uniform(1.0), DoseAttributes("EFFECTIVE", "PLAN"), ("d2",), ("2",))
    found = said(case_of(WHOLE, uniform(2.0), patient_plan("2", BOOST, None, planned=protons)))
    assert "EFFECTIVE" in found["course.uncertain"].message


# --- A dose that its own plan contradicts ---


@pytest.mark.parametrize("factor", [1 / 8, 42.7 / 68, 100.0])
def test_a_dose_that_does_not_belong_to_its_plan_is_not_added_and_leaves_the_course_open(factor: float) -> None:
    given = treating(uniform(2.28), BOOST)
    assert given is not None
    wrong = replace(given, gy=np.float32(factor) * given.gy)
    boost = patient_plan("2", BOOST, wrong, as_it_is=True)
    case = case_of(WHOLE, uniform(2.34), boost)
    found = said(case, with_mean_limit(6.0))
    assert set(found) == {"course.not_summed"}
    assert "Boost_L is not in the sum of the course: its dose is not to be believed" in found["course.not_summed"].message
    assert f"{16 * factor:.2f} Gy" in found["course.not_summed"].message
    course = course_of(case, with_mean_limit(6.0))
    assert (course.complete, [p.reason for p in course.left_out]) == (False, ["doubtful_dose"])
    # The boost's own check says it as what it is; the course is the same.
    own = replace(case_of(BOOST, None, patient_plan("2", WHOLE, uniform(2.34))), dose=wrong)
    assert "course.not_summed" not in said(own, with_mean_limit(6.0))
    assert (course_of(own).complete, [p.label for p in course_of(own).plans]) == (False, ["Breast_L"])


def test_what_the_rest_of_a_course_exceeds_is_a_fail_and_what_it_keeps_is_not_met() -> None:
    wrong = patient_plan("3", plan_of("Boost2", 10.0, 5, "20260210", "Sternum boost"), uniform(1.0), as_it_is=True)
    case = case_of(WHOLE, uniform(2.34), patient_plan("2", BOOST, uniform(2.28)), wrong)
    assert [c.contoured_met for c in course_of(case, with_mean_limit(6.0)).constraints] == [None]
    assert "at least 4.62 Gy" in said(case, with_mean_limit(4.0))["course.constraint_exceeded"].message


@pytest.mark.parametrize(("spine_x_mm", "believed"), [(0.0, True), (120.0, False)])
def test_a_boost_whose_dose_lies_on_the_other_side_is_not_added(spine_x_mm: float, believed: bool) -> None:
    """The boost's dose lies 67 mm to the left of the origin: of a spine at 120 mm it lies to the right."""
    cord = Structure("SpinalCord", {0.0: as_multipolygon(box(spine_x_mm - 5, -5, spine_x_mm + 5, 5))}, slice_spacing_mm=3.0)
    case = case_of(WHOLE, uniform(2.34), patient_plan("2", BOOST, uniform(2.28), set_uid="other", read_structures=lambda: PlannedStructures((Roi(1, heart()), Roi(2, cord)))))  # fmt: skip
    left_out = {p.label: p.reason for p in course_of(case).left_out}
    assert left_out == ({} if believed else {"Boost_L": "doubtful_dose"})


def test_a_protocol_that_silences_the_doses_level_silences_it_in_a_course() -> None:
    boost = patient_plan("2", BOOST, uniform(2.28), as_it_is=True)
    case = case_of(WHOLE, uniform(2.34), boost)
    silent = with_mean_limit(6.0).model_copy(update={"severity": {"dose.level": "off"}})
    assert course_of(case, silent).complete


def test_what_was_wrong_when_a_dose_was_read_leaves_it_out() -> None:
    note = Finding(rule="dose.summation", severity="fail", certainty="fact", message="RTDOSE.2.dcm is one beam's dose.")
    planned = PlannedDose(uniform(2.28), DoseAttributes("PHYSICAL", "PLAN"), ("d2",), ("2",), findings=(note,))
    found = said(case_of(WHOLE, uniform(2.34), patient_plan("2", BOOST, None, planned=planned)))
    assert "not to be believed. RTDOSE.2.dcm is one beam's dose." in found["course.not_summed"].message
    warning = replace(planned, findings=(note.model_copy(update={"rule": "dose.zero_part", "severity": "warning"}),))
    assert "course.not_summed" not in said(case_of(WHOLE, uniform(2.34), patient_plan("2", BOOST, None, planned=warning)))


# --- Files ---


@pytest.fixture(scope="module")
def course_folder(clean_plan: SyntheticPlan, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Whole breast and boost, whose sum is too much."""
    return write_plan(plant(clean_plan, "boost_not_counted"), tmp_path_factory.mktemp("course"))


@pytest.fixture
def copied(course_folder: Path, tmp_path: Path) -> Path:
    shutil.copytree(course_folder, tmp_path / "course")
    return tmp_path / "course"


def _assessments(folder: Path, draft: Draft) -> Iterator[Assessment]:
    for case in read_cases(folder):
        yield assess(case, Options(device="cpu", second_check=False), draft)


def test_both_plans_of_a_folder_fail_for_their_course_and_would_pass_alone(course_folder: Path, clean_draft: Draft) -> None:
    assessments = list(_assessments(course_folder, clean_draft))
    assert [a.case.plan_label for a in assessments] == ["Breast_L", "Boost_L"]
    for a in assessments:
        rules = {f.rule for f in a.findings if f.severity == "fail"}
        assert rules == {"course.constraint_exceeded"}
        assert a.verdict == "flag"
        assert "The course (Breast_L + Boost_L) exceeds" in a.headline
        assert a.protocol in ("breast-50-25", "breast-boost")
        assert not any(f.severity == "warning" for f in a.findings)
    first, second = (a.course for a in assessments)
    assert first is not None
    assert first == second
    assert mean_of(first) == pytest.approx(sum(p.mean_gy or 0.0 for p in first.plans), abs=0.005)


def test_the_doses_of_other_plans_are_decoded_only_when_they_are_needed(copied: Path) -> None:
    for file in ("RTDOSE.boost.dcm",):
        dataset = pydicom.dcmread(copied / file)
        dataset.PixelData = b"\0\0"
        dataset.save_as(copied / file)
    case = next(c for c in read_cases(copied) if c.provenance.labels["plan"] == "Breast_L")
    assert case.findings[0].rule == "plan.several"
    assert case.companions[0].dose.why_not == "its dose (RTDOSE.boost.dcm) cannot be used"


def test_a_sum_that_the_planning_system_exported_is_not_added_to_the_plans(copied: Path, clean_draft: Draft) -> None:
    dataset = pydicom.dcmread(copied / "RTDOSE.boost.dcm")
    boost = dataset.ReferencedRTPlanSequence[0]
    dataset.ReferencedRTPlanSequence = [pydicom.dcmread(copied / "RTDOSE.dcm").ReferencedRTPlanSequence[0], boost]
    dataset.DoseSummationType = "MULTI_PLAN"
    dataset.save_as(copied / "RTDOSE.boost.dcm")
    courses = [a.course for a in _assessments(copied, clean_draft)]
    assert courses[0] == courses[1]
    assert courses[0] is not None
    assert courses[0].summation == "multi_plan"
    boost_case = next(c for c in read_cases(copied) if c.provenance.labels["plan"] == "Boost_L")
    assert boost_case.dose is not None
    assert mean_of(courses[0]) == pytest.approx(dvh(boost_case.structures["Heart"], boost_case.dose).mean_gy, abs=1e-3)


def test_a_planning_systems_sum_beside_both_plans_is_compared_with_them(copied: Path) -> None:
    whole, boost = (pydicom.dcmread(copied / name) for name in ("RTDOSE.dcm", "RTDOSE.boost.dcm"))
    gy = [d.pixel_array * float(d.DoseGridScaling) for d in (whole, boost)]
    sums = []
    for share in (1.0, 1.1):
        total = share * (gy[0] + gy[1])
        whole.DoseGridScaling = f"{total.max() / (2**32 - 1):.10e}"
        whole.PixelData = np.round(total / float(whole.DoseGridScaling)).clip(0, 2**32 - 1).astype("<u4").tobytes()
        whole.SOPInstanceUID = whole.file_meta.MediaStorageSOPInstanceUID = "2.25.4711"
        whole.DoseSummationType = "MULTI_PLAN"
        plans = [pydicom.dcmread(copied / name).ReferencedRTPlanSequence[0] for name in ("RTDOSE.dcm", "RTDOSE.boost.dcm")]
        whole.ReferencedRTPlanSequence = plans
        whole.save_as(copied / "RTDOSE.sum.dcm")
        courses = [course_of(case, load_protocol("breast-50-25")) for case in read_cases(copied)]
        assert courses[0].planning_sums == courses[1].planning_sums
        sums += courses[0].planning_sums
    assert [s.file for s in sums] == ["RTDOSE.sum.dcm"] * 2
    assert sums[0].mean_gy == pytest.approx(sums[0].summed_mean_gy, abs=0.002)
    assert sums[1].mean_gy == pytest.approx(1.1 * sums[0].summed_mean_gy, abs=0.005)


def test_a_boost_on_a_ct_of_its_own_is_not_added(clean_plan: SyntheticPlan, tmp_path: Path) -> None:
    boost = course_errors.boost_beside(clean_plan, 20.0, ct_key="another scan")
    folder = write_plan(clean_plan.with_study(beside=(boost,)), tmp_path)
    case = next(c for c in read_cases(folder) if c.provenance.labels["plan"] == "Breast_L")
    reasons = [(p.label, p.reason) for p in course_of(case).left_out]
    assert reasons == [("Boost_L", "other_frame")]


def test_a_folder_of_many_plans_of_one_patient_is_not_walked_through_for_each(course_folder: Path) -> None:
    index = index_folder(course_folder)
    header = index.plans[0]
    index.plans = [replace(header, uid=f"{header.uid}.{n}", name=f"{n}.dcm") for n in range(MOST_SIBLINGS + 2)]
    cases = plan_cases(index)
    assert [(len(c.siblings), c.siblings_left_out) for c in cases] == [(0, MOST_SIBLINGS + 1)] * (MOST_SIBLINGS + 2)
    crowded = replace(case_of(WHOLE, uniform(1.0)), companions_left_out=MOST_SIBLINGS + 1)
    assert "too many to tell" in said(crowded)["course.not_summed"].message
