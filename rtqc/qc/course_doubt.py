"""Whether the dose of a plan of a course may be added: a dose that its own plan contradicts belongs in no sum.

Each plan is held against its own prescription and side by the rules that judge it when it is checked itself. What fails there is no part
of the course: a sum with one fraction's dose of a boost in it keeps limits that the treatment does not keep.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from rtqc.core.case import Case, Provenance
from rtqc.core.finding import worst_first
from rtqc.core.patient_plan import MULTI_PLAN, PatientPlan
from rtqc.qc.choice import Choice
from rtqc.qc.measurements import Measurements
from rtqc.qc.rule import run_rules, with_severities

#: Rules whose fail says that a dose is not what its plan gives.
DOSE_CONTRADICTED = ("plan.prescription_implausible", "dose.level", "side.contradiction")
#: The same of reading.
_DOSE_MISREAD = ("dose.zero", "dose.unusable", "dose.summation", "dose.frame_of_reference", "reference.dose_plan")


def dose_doubts(case: Case, choose: Callable[[Case], Choice]) -> Callable[[PatientPlan], str]:
    """A function that says why the dose of one of a case's plans is not to be believed, as a sentence; empty where nothing speaks against it.

    Args:
        case: as read, with its companions.
        choose: the protocol for a case, whose limits and severities are used.
    """
    known: dict[str, str] = {}

    def doubt_of(plan: PatientPlan) -> str:
        if plan.uid not in known:
            known[plan.uid] = _doubt(_alone(plan, case), choose)
        return known[plan.uid]

    return doubt_of


def _alone(plan: PatientPlan, case: Case) -> Case:
    """A plan of the patient as a case of its own, on the case's CT where that is its frame of reference."""
    own = PatientPlan.of(case)
    attributes = plan.dose.attributes
    if plan.dose.is_multi_plan:
        # One object that refers to several plans is a dose of several, whatever it says of itself.
        attributes = replace(attributes, summation_type=MULTI_PLAN)
    structures = own.structures if plan.structure_set_uid == own.structure_set_uid else plan.structures
    return Case(
        Provenance(rtplan_uid=plan.uid, rtdose_uids=plan.dose.uids, frame_of_reference_uid=plan.frame_of_reference_uid),
        image=case.image if plan.shares_frame_with(own) else None,
        rois=structures.rois,
        plan=plan.plan,
        dose=plan.dose.dose,
        findings=plan.dose.findings,
        dose_attributes=attributes,
        dose_plan_uids=plan.dose.plan_uids,
    )


def _doubt(case: Case, choose: Callable[[Case], Choice]) -> str:
    choice = choose(case)
    read = [f for f in case.findings if f.rule in _DOSE_MISREAD]
    found = run_rules(Measurements(case, choice=choice), choice.protocol, frozenset(DOSE_CONTRADICTED))
    fails = [f for f in (*with_severities(read, choice.protocol), *found) if f.severity == "fail"]
    return worst_first(fails)[0].message if fails else ""
