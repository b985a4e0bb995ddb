"""Times and approvals of plan, dose and structure set."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rtqc.core import Case
from rtqc.core.case import DoseAttributes, Prescription, StructureSetAttributes
from rtqc.qc.approval_rules import minutes_between
from tests.qc.plans import case, dose, found


def rules(of: Case) -> dict[str, str]:
    return {rule: f.severity for rule, f in found(of, "approval.").items()}


def at(drawn: str, calculated: str = "", approved: str = "", plan: str = "", structures: str = "") -> Case:
    of = case(dose(42.0), Prescription(40.05, ""), approval=plan, approved_at=approved)
    return replace(
        of,
        dose_attributes=DoseAttributes(created_at=calculated),
        structure_set_attributes=StructureSetAttributes(approval=structures, drawn_at=drawn, created_at="20270101000000"),
    )


@pytest.mark.parametrize(
    ("drawn", "calculated", "fires"),
    [
        ("20260102100000", "20260102090000", False), ("20260102100100", "20260102090000", True), ("20260102090000", "20260102100000", False),
        ("20260103", "20260102235900", True), ("20260102", "20260102080000", False), ("", "20260102080000", False), ("20260102080000", "", False),
        ("20260103101500.123456", "20260102090000", True), ("nonsense", "20260102090000", False),
    ],
)  # fmt: skip
def test_contours_drawn_more_than_an_hour_after_the_dose_are_said(drawn: str, calculated: str, fires: bool) -> None:
    assert rules(at(drawn, calculated)) == ({"approval.contours_after_dose": "warning"} if fires else {})


def test_an_export_of_old_contours_is_not_a_change() -> None:
    """The structure set's instance was created a year later than everything; only its own date and time count."""
    assert rules(at("20260102080000", "20260102080500")) == {}


def test_contours_drawn_after_the_approval_are_said_for_approved_plans_only() -> None:
    late, soon = "20260103120000", "20260102095900"
    assert rules(at(late, approved="20260102090000", plan="APPROVED")) == {"approval.contours_after_approval": "warning"}
    assert rules(at(soon, approved="20260102090000", plan="APPROVED")) == {}
    assert rules(at(late, approved="20260102090000", plan="UNAPPROVED")) == {}


def test_a_date_that_is_the_moment_of_one_export_is_no_change_and_one_of_its_own_is() -> None:
    """Some planning systems date a structure set when they export it: then its file, and the plan's, are of the same moment."""
    approved, exported = "20260102090000", "20260103120000"

    def dated(drawn: str, file: str, plan_file: str) -> dict[str, str]:
        of = at(drawn, approved=approved, plan="APPROVED")
        own = replace(of.structure_set_attributes, created_at=file)
        provenance = replace(of.provenance, labels={**of.provenance.labels, "plan_created": plan_file})
        return rules(replace(of, structure_set_attributes=own, provenance=provenance))

    late = {"approval.contours_after_approval": "warning"}
    assert dated(exported, "20260103120200", "20260103120459") == {}
    assert dated("20260103080000", "20260103120200", "20260103120459") == late
    assert dated(exported, "20260103120200", "20260102090500") == late
    assert dated("20260103", "20260103", "20260103") == late


@pytest.mark.parametrize(
    ("reviewed", "fires"), [("20260103120000", True), ("20260103080000", True), ("20260103130000", True), ("20260103", False), ("20260102", True), ("", True)]
)  # fmt: skip
def test_contours_dated_after_their_own_approval_have_changed_whenever_they_were_approved(reviewed: str, fires: bool) -> None:
    """Dated 61 minutes after the plan's approval; an approval of the same day without a time may be later than that."""
    of = at("20260103130100", approved="20260103120000", plan="APPROVED", structures="APPROVED")
    of = replace(of, structure_set_attributes=replace(of.structure_set_attributes, approved_at=reviewed))
    assert rules(of) == ({"approval.contours_after_approval": "warning"} if fires else {})


@pytest.mark.parametrize(
    ("plan_file", "calculated", "fires"),
    [
        ("20260102070000", "20260102120000", True), ("20260102093200", "20260102120000", True), ("20260102070000", "20260102092900", True),
        ("20260102093200", "20260102092900", False), ("20260102093200", "", True), ("", "20260102092900", True),
    ],
)  # fmt: skip
def test_contours_dated_after_their_own_approval_changed_unless_plan_and_dose_are_of_that_moment_too(
    plan_file: str, calculated: str, fires: bool
) -> None:
    """Plan and structure set are approved at 8:00, the structure set is dated 9:30: an export dates all three."""
    of = at("20260102093000", calculated, approved="20260102080000", plan="APPROVED", structures="APPROVED")
    own = replace(of.structure_set_attributes, approved_at="20260102080000")
    provenance = replace(of.provenance, labels={**of.provenance.labels, "plan_created": plan_file})
    found_rules = rules(replace(of, structure_set_attributes=own, provenance=provenance))
    assert found_rules == ({"approval.contours_after_approval": "warning"} if fires else {})


@pytest.mark.parametrize(("plan", "structures", "fires"), [("APPROVED", "UNAPPROVED", True), ("APPROVED", "APPROVED", False), ("APPROVED", "", False), ("UNAPPROVED", "UNAPPROVED", False)])  # fmt: skip
def test_an_approved_plan_on_unapproved_contours_is_an_info(plan: str, structures: str, fires: bool) -> None:
    assert rules(at("", plan=plan, structures=structures)) == ({"approval.contours_unapproved": "info"} if fires else {})


def test_a_rejected_plan_or_structure_set_fails() -> None:
    assert rules(at("", plan="REJECTED")) == {"approval.rejected": "fail"}
    assert rules(at("", plan="UNAPPROVED", structures="REJECTED")) == {"approval.rejected": "fail"}


def test_minutes_between_two_times_of_dicom() -> None:
    assert minutes_between("20260102080000", "20260102093000.5") == 90.0
    assert minutes_between("202601020800", "20260102093000") == 90.0
    assert minutes_between("20260102", "20260104093000") == 2 * 24 * 60
    assert minutes_between("20261302", "20260104093000") is None
