"""Plan, protocol, image, approval and respiration: what is absent, what contradicts, what is later than what."""

from __future__ import annotations

from functools import partial
from typing import Any

from rtqc.core import Finding
from rtqc.core.acquisition import Acquisition, Respiration, RespirationKind
from rtqc.core.assessment import ConstraintResult
from rtqc.core.case import (
    ApplicationSetup,
    Beam,
    Case,
    DoseAttributes,
    FractionGroup,
    Plan,
    Prescription,
    StructureSetAttributes,
    UnusablePrescription,
)
from rtqc.core.grid import Grid
from rtqc.core.volumes import Image
from rtqc.qc import Choice, Measurements, load_protocol
from rtqc.qc.choice import Fit
from tests.qc.rules.build import IMAGE, block, case, measured, plan, result, uniform
from tests.qc.rules.table import Fires, Silent


def _plan(*prescriptions: Prescription, fractions: int | None = 25, **more: Any) -> Measurements:
    """A plan with what is given; no prescription where none is."""
    made = Plan(**{"label": "Breast", "prescriptions": prescriptions, "fractions": fractions, **more})
    return Measurements(Case(plan=made, dose=uniform()))


def _chosen(
    fit: Fit, *results: ConstraintResult, of: Plan | None = None, protocol: str = "breast", reason: str = "because"
) -> Measurements:
    made = Case(plan=of if of is not None else plan(), dose=uniform())
    return Measurements(made, choice=Choice(load_protocol(protocol), fit, reason), constraints=results)


def _no_plan(scope: Any = "plan", *findings: Finding, choice: Choice | None = None) -> Measurements:
    return Measurements(Case(findings=findings), scope=scope, choice=choice)


def _spaced(mm: float) -> Measurements:
    grid = Grid.regular((5, 4, 4), (mm, 1.0, 1.0))
    return Measurements(Case(image=Image(grid, IMAGE.hu[:5, :4, :4])))


def _dated(drawn: str, dose: str = "", approved: str = "", approval: str = "APPROVED", own: str = "") -> Measurements:
    return Measurements(
        Case(
            plan=plan(approval=approval, approved_at=approved),
            dose_attributes=DoseAttributes(created_at=dose),
            structure_set_attributes=StructureSetAttributes(approval=own, drawn_at=drawn),
        )
    )


def _breathing(
    kind: RespirationKind, percent: float | None = None, label: str = "Breast", description: str = ""
) -> Measurements:
    acquisition = Acquisition(respiration=Respiration(kind, percent, f"series of {kind}"))
    return Measurements(Case(plan=plan(label=label, description=description), acquisition=acquisition))


def _elsewhere(**shares: float) -> Measurements:
    """Parts of the contours of heart (ROI 1) and liver (ROI 2) on images of another series."""
    of = case(block(), block("Liver"), contours_on_other_images={1: shares["heart"], 2: shares["liver"]})
    return measured(of=of)


_BREAST = Choice(load_protocol("breast"), "no_prescription", "nobody says")
_UNUSABLE = Finding(rule="plan.unusable", severity="warning", certainty="fact", message="It is a test.")
_CONVERTED = result(4.0, converted_from="5 Gy in 25 fractions")
_SETUPS = (ApplicationSetup(1, 1),)
_GROUPS = (FractionGroup(1, 20, 2.0), FractionGroup(2, 5, 2.0))
_TWO_GROUPS = plan(fraction_groups=2, groups=_GROUPS)

ROWS: tuple[Fires | Silent, ...] = (
    Fires("plan.absent", "no plan", _no_plan, ("There is no plan in the folder: prescription and fractions are unknown. Export the RTPLAN",)),
    Fires("plan.absent", "a protocol for want of a better", lambda: _no_plan(choice=_BREAST), ("so the constraints of protocol 'breast' were used for want of a better",)),
    Silent("plan.absent", "a plan", _plan),
    Silent("plan.absent", "the contour only", lambda: _no_plan("contour")),
    Silent("plan.absent", "a plan that cannot be read", lambda: _no_plan("plan", _UNUSABLE)),
    Fires("plan.prescription_missing", "none", _plan, ("neither a target prescription dose nor doses of its beams. Add the prescription",)),
    Silent("plan.prescription_missing", "one", lambda: _plan(Prescription(50.0))),
    Silent("plan.prescription_missing", "one that is no dose, of which reading speaks", lambda: _plan(unusable_prescriptions=(UnusablePrescription("0"),))),
    Fires(
        "plan.prescription_per_beam", "beams", lambda: _plan(Prescription(50.4, "", "beams")),
        ("its beams give 50.40 Gy to their dose specification points together",), measured=50.4,
    ),
    Fires("plan.prescription_per_beam", "sources", lambda: _plan(Prescription(7.0, "", "beams"), application_setups=_SETUPS), ("its application setups give 7.00 Gy",), measured=7.0),
    Fires(
        "plan.prescription_per_beam", "beams and sources", lambda: _plan(Prescription(57.0, "", "beams"), application_setups=_SETUPS, treatment_beams=(Beam(1),)),
        ("its beams and application setups give 57.00 Gy",), measured=57.0,
    ),
    Silent("plan.prescription_per_beam", "a target", lambda: _plan(Prescription(50.4, "PTV"))),
    Fires(
        "plan.several_prescriptions", "two", lambda: _plan(Prescription(48.0, "Boost"), Prescription(40.05)),
        ("The plan has 2 prescriptions: 48 Gy to Boost, 40.05 Gy to an unnamed target. The first counts",), measured=2.0,
    ),
    Silent("plan.several_prescriptions", "one", lambda: _plan(Prescription(48.0, "Boost"))),
    Fires("plan.prescription_to_point", "a point", lambda: _plan(Prescription(50.0, "ref", "point")), ("The plan prescribes 50 Gy to a point (ref), not to a target",), measured=50.0),
    Fires("plan.prescription_to_point", "a point without a name", lambda: _plan(Prescription(50.0, "", "point")), ("to a point (without a name)",), measured=50.0),
    Silent("plan.prescription_to_point", "a target before a point", lambda: _plan(Prescription(40.0, "PTV"), Prescription(50.0, "ref", "point"))),
    *(
        Fires("plan.target_is_organ", name, partial(_plan, Prescription(50.0, "PTV"), Prescription(20.0, name)), (f"The plan prescribes 20 Gy to {name}, which is named like an organ at risk",), measured=20.0, structures=(name,))
        for name in ("Heart", "A_LAD", "SpinalCord", "Spinal Canal")
    ),
    Silent("plan.target_is_organ", "an organ that is treated at times", lambda: _plan(Prescription(50.0, "Esophagus"))),
    Silent("plan.target_is_organ", "a target", lambda: _plan(Prescription(50.0, "PTV_Heart"))),
    Fires("plan.fractions_missing", "absent", lambda: _plan(fractions=None), ("The plan has no fractions (NumberOfFractionsPlanned is absent or 0)",)),
    Fires("plan.fractions_missing", "0", lambda: _plan(fractions=0), ("The plan has no fractions",)),
    Silent("plan.fractions_missing", "1", lambda: _plan(fractions=1)),
    Fires("plan.fraction_groups", "two", lambda: _plan(Prescription(50.0), fraction_groups=2), ("The plan has 2 fraction groups whose doses lie in one sum",), ("physical limits",), measured=2.0),
    Fires(
        "plan.fraction_groups", "two of usual fractions", lambda: _chosen("other_fractionation", result(3.0), of=_TWO_GROUPS),
        ("2 fraction groups", "Each fraction gives at most 2.2 Gy, so the physical limits of protocol 'breast' were held against the sum."), measured=2.0,
    ),
    Silent("plan.fraction_groups", "one", lambda: _plan(Prescription(50.0))),
    Silent("plan.fraction_groups", "no dose", lambda: Measurements(Case(plan=plan(fraction_groups=2)))),
    Fires(
        "plan.prescription_implausible", "5000 Gy, not the highest first", lambda: _plan(Prescription(50.0), Prescription(5000.0)),
        ("The plan prescribes 5000 Gy, more than any treatment (100 Gy): it may be meant in cGy (50 Gy)",), (), 5000.0, 100.0, "Gy",
    ),
    Fires("plan.prescription_implausible", "100.5 Gy", lambda: _plan(Prescription(100.5)), ("prescribes 100.5 Gy",), (), 100.5, 100.0, "Gy"),
    Fires(
        "plan.prescription_implausible", "beams in cGy", lambda: _plan(Prescription(50.0), treatment_beams=(Beam(1, dose_gy=80.0, fraction_group=1), Beam(2, dose_gy=120.0, fraction_group=1), Beam(1, dose_gy=90.0, fraction_group=2))),
        ("The plan's beams give 200 Gy in one fraction together", "in cGy (2 Gy)"), (), 200.0, 100.0, "Gy",
    ),
    Silent("plan.prescription_implausible", "100 Gy", lambda: _plan(Prescription(100.0))),
    Silent("plan.prescription_implausible", "beams of 100 Gy", lambda: _plan(Prescription(50.0), treatment_beams=(Beam(1, dose_gy=50.0), Beam(2, dose_gy=50.0)))),
    Silent("plan.prescription_implausible", "implanted sources", lambda: _plan(Prescription(145.0), kind="brachy")),
    Fires(
        "protocol.assumed", "limits for want of a better", lambda: _chosen("assumed", result(3.0), reason="50 Gy is usual"),
        ("The dose constraints are those of protocol 'breast' for want of a better: 50 Gy is usual. Whether they are met says little here",), measured="breast",
    ),
    Fires("protocol.assumed", "no limits", lambda: _chosen("assumed", protocol="heart", reason="the plan names brain"), ("No dose constraint was checked: the plan names brain: name the right protocol",), measured="heart"),
    Silent("protocol.assumed", "one that fits", lambda: _chosen("fits", result(3.0))),
    Silent("protocol.assumed", "brachytherapy", lambda: _chosen("assumed", of=plan(application_setups=_SETUPS))),
    Silent("protocol.assumed", "no dose", lambda: Measurements(Case(plan=plan()), choice=Choice(load_protocol(), "assumed", "x"))),
    Fires(
        "protocol.other_fractionation", "converted", lambda: _chosen("other_fractionation", _CONVERTED, of=plan(Prescription(42.56), fractions=16), reason="breast, 42.56 Gy"),
        ("The dose constraints are those of protocol 'breast' (breast, 42.56 Gy), converted from 25 to 16 fractions with alpha/beta",), measured="breast",
    ),
    Fires(
        "protocol.other_fractionation", "one number of fractions is not told", lambda: _chosen("other_fractionation", of=plan(fraction_groups=2), reason="x"),
        ("No dose constraint was checked (x), because the plan does not tell one number of fractions",), measured="breast",
    ),
    Fires(
        "protocol.other_fractionation", "8 Gy a fraction", lambda: _chosen("named", of=plan(Prescription(24.0), fractions=3)),
        ("protocol 'breast' has none for 24 Gy in 3 fractions, and limits are not converted from or to 8 Gy a fraction or more",), measured="breast",
    ),
    Silent("protocol.other_fractionation", "7.9 Gy a fraction that nobody called another fractionation", lambda: _chosen("named", of=plan(Prescription(23.7), fractions=3))),
    Silent("protocol.other_fractionation", "one that fits", lambda: _chosen("fits", result(3.0))),
    Silent("protocol.other_fractionation", "usual fractions in two groups", lambda: _chosen("other_fractionation", result(3.0), of=_TWO_GROUPS)),
    Fires("protocol.converted", "as asked for", lambda: _chosen("named", _CONVERTED, of=plan(Prescription(40.0), fractions=1)), ("those of protocol 'breast', converted from 25 to 1 fraction with alpha/beta",)),
    Silent("protocol.converted", "as published", lambda: _chosen("named", result(3.0))),
    Silent("protocol.converted", "another fractionation, of which its own rule speaks", lambda: _chosen("other_fractionation", _CONVERTED)),
    Fires("ct.spacing", "6 mm", lambda: _spaced(6.0), ("CT slices are 6 mm apart, more than 5 mm",), (), 6.0, 5.0, "mm"),
    Silent("ct.spacing", "5 mm", lambda: _spaced(5.0)),
    Silent("ct.spacing", "no CT", measured),
    # Later by more than an hour; earlier never.
    Fires(
        "approval.contours_after_dose", "61 minutes", lambda: _dated("20260102090100", dose="20260102080000"),
        ("The structure set is of 2026-01-02 09:01, 61 minutes after the dose was calculated (2026-01-02 08:00)", "calculate it again"), (), 61.0, 60.0, "minutes",
    ),
    Fires("approval.contours_after_dose", "a day, without times of day", lambda: _dated("20260103", dose="20260102080000"), ("The structure set is of 2026-01-03, 24 hours after",), (), 1440.0, 60.0, "minutes"),
    Fires("approval.contours_after_dose", "three days", lambda: _dated("20260105080000.5", dose="20260102080000"), ("3 days after the dose",), (), 4320.0, 60.0, "minutes"),
    Silent("approval.contours_after_dose", "an hour", lambda: _dated("20260102090000", dose="20260102080000")),
    Silent("approval.contours_after_dose", "a day before", lambda: _dated("20260101090000", dose="20260102080000")),
    Silent("approval.contours_after_dose", "the same day, without times of day", lambda: _dated("20260102", dose="20260102000100")),
    Silent("approval.contours_after_dose", "unknown", lambda: _dated("20260103090000")),
    Fires(
        "approval.contours_after_approval", "90 minutes", lambda: _dated("20260102093000", approved="20260102080000"),
        ("90 minutes after the plan was approved (2026-01-02 08:00)", "have the plan approved again"), ("dose",), 90.0, 60.0, "minutes",
    ),
    Silent("approval.contours_after_approval", "an hour", lambda: _dated("20260102090000", approved="20260102080000")),
    Silent("approval.contours_after_approval", "before", lambda: _dated("20260101090000", approved="20260102080000")),
    Silent("approval.contours_after_approval", "a plan that is not approved", lambda: _dated("20260102093000", approved="20260102080000", approval="UNAPPROVED")),
    Fires("approval.contours_unapproved", "unapproved contours", lambda: _dated("", own="UNAPPROVED"), ("The plan is approved, its structure set says UNAPPROVED",), measured="UNAPPROVED"),
    Silent("approval.contours_unapproved", "approved contours", lambda: _dated("", own="APPROVED")),
    Silent("approval.contours_unapproved", "an unapproved plan", lambda: _dated("", approval="UNAPPROVED", own="UNAPPROVED")),
    Fires("approval.rejected", "the plan", lambda: _dated("", approval="REJECTED"), ("The plan was rejected (Approval Status REJECTED)",), measured="REJECTED"),
    Fires("approval.rejected", "the contours", lambda: _dated("", own="rejected"), ("The structure set was rejected",), measured="REJECTED"),
    Fires("approval.rejected", "both", lambda: _dated("", approval="REJECTED", own="REJECTED"), ("The structure set was rejected",), measured="REJECTED", hits=2, nth=1),
    Silent("approval.rejected", "approved", lambda: _dated("", own="APPROVED")),
    Fires("respiration.projection", "maximum", lambda: _breathing("maximum"), ("The CT is the maximum (MIP) of a 4D CT (series of maximum): the heart looks too large on it",), ("too small",), "series of maximum"),
    Fires("respiration.projection", "minimum", lambda: _breathing("minimum"), ("The CT is the minimum (MinIP) of a 4D CT (series of minimum): the heart looks too small on it",), ("too large",), "series of minimum"),
    Silent("respiration.projection", "average", lambda: _breathing("average")),
    Fires("respiration.state", "average", lambda: _breathing("average"), ("The CT is the average of a 4D CT (series of average)", "blurred"), measured="average"),
    Fires("respiration.state", "50 %", lambda: _breathing("phase", 50.0), ("The CT is the phase at 50 % of a 4D CT (series of phase)",), measured="phase"),
    Fires("respiration.state", "a phase", lambda: _breathing("phase"), ("The CT is one phase of a 4D CT",), measured="phase"),
    Fires("respiration.state", "breath hold", lambda: _breathing("breath_hold"), ("The CT was taken in breath hold", "holds for treatment in breath hold"), measured="breath_hold"),
    Silent("respiration.state", "free breathing", lambda: _breathing("free")),
    Silent("respiration.state", "a projection, of which its own rule speaks", lambda: _breathing("maximum")),
    Fires(
        "respiration.contradiction", "planned in breath hold, scanned free", lambda: _breathing("free", label="Breast DIBH"),
        ("The plan 'Breast DIBH' is for breath hold, its CT shows free breathing (series of free)",), measured="free",
    ),
    Fires(
        "respiration.contradiction", "planned free, scanned in breath hold", lambda: _breathing("breath_hold", label="Breast", description="FB plan"),
        ("The plan 'FB plan' is for free breathing, its CT shows breath hold (series of breath_hold)",), measured="breath_hold",
    ),
    Fires("respiration.contradiction", "planned in breath hold on a phase", lambda: _breathing("phase", 50.0, "DIBH"), ("its CT shows a phase of a 4D CT",), measured="phase"),
    Fires("respiration.contradiction", "planned in breath hold on an average", lambda: _breathing("average", None, "DIBH"), ("its CT shows a projection of a 4D CT",), measured="average"),
    Silent("respiration.contradiction", "both breath hold", lambda: _breathing("breath_hold", label="Breast DIBH")),
    Silent("respiration.contradiction", "both free", lambda: _breathing("average", label="Breast FB")),
    Silent("respiration.contradiction", "a CT that says nothing", lambda: _breathing("", label="Breast DIBH")),
    Silent("respiration.contradiction", "a plan that says nothing", lambda: _breathing("free")),
    Fires(
        "respiration.other_series", "60 % of the heart's contours", lambda: _elsewhere(heart=0.6, liver=0.0),
        ("60 % of the contours of Heart refer to images of another series",), measured=60.0, structures=("Heart",),
    ),
    Silent("respiration.other_series", "half of them", lambda: _elsewhere(heart=0.5, liver=0.0)),
    Silent("respiration.other_series", "the liver's", lambda: _elsewhere(heart=0.1, liver=0.9)),
    Silent("respiration.other_series", "all organs', of which reading speaks", lambda: _elsewhere(heart=0.9, liver=0.9)),
)  # fmt: skip
