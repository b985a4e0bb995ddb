"""What a course says about the protocol of one of its plans, and what the protocols say about prescriptions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache

from rtqc.core.case import Case, Plan
from rtqc.core.patient_plan import PatientPlan
from rtqc.qc.choice import Choice
from rtqc.qc.conventional import in_conventional_fractions
from rtqc.qc.course_plans import course_plans
from rtqc.qc.protocol import list_protocols, load_protocol


def choice_within_course(case: Case, choice: Choice, choose: Callable[[Case], Choice]) -> Choice:
    """The protocol for a plan that says less alone than with its course.

    A boost whose own words do not say what is treated treats the site of the plan that it is added to. A part of a treatment, which no
    protocol is for, is judged by the protocol of the whole: 40 Gy in 20 and 20 Gy in 10 are 60 Gy in 30.

    Args:
        case: as read, with its companions.
        choice: by the plan's own words.
        choose: the protocol for a case.

    Returns:
        ``choice`` where it fits or was asked for, or the course does not say more.
    """
    if choice.fit == "other_fractionation" and case.companions:
        return _of_whole_treatment(case, choice, choose)
    if choice.fit != "assumed" or choice.site or case.plan is None or not case.companions:
        return choice
    others = [plan for plan in course_plans(case, whole_schedules()).plans if plan.uid != case.provenance.rtplan_uid]
    primary = max(others, key=prescribed_gy, default=None)
    if primary is None or primary.plan is None:
        return choice
    texts = (
        case.plan.description,
        primary.plan.label,
        primary.plan.description,
        *(p.target for p in primary.plan.prescriptions),
    )
    again = choose(replace(case, plan=replace(case.plan, description=" ".join(texts))))
    if again.fit == "assumed":
        return choice
    return replace(again, reason=f"{again.reason}, by the words of {primary.label}, which it is added to")


def _of_whole_treatment(case: Case, choice: Choice, choose: Callable[[Case], Choice]) -> Choice:
    chosen = course_plans(case, whole_schedules())
    own = case.provenance.rtplan_uid
    others = [plan.label for plan in chosen.plans if plan.uid != own]
    if case.plan is None or chosen.perhaps_replaced or len(others) == len(chosen.plans):
        return choice
    whole = whole_treatment(case.plan, chosen.plans)
    again = choose(replace(case, plan=whole)) if whole is not None else choice
    if again.fit != "fits" or again.site != choice.site:
        return choice
    return replace(again, reason=f"{again.reason}, together with {' and '.join(others)}", part_of_course=True)


def whole_treatment(plan: Plan, plans: Sequence[PatientPlan]) -> Plan | None:
    """A plan as if it gave all that several plans of conventional fractions prescribe; None where one's fractions are others or not known.

    Args:
        plan: whose words it keeps.
        plans: of one course; their prescriptions and fractions are added.
    """
    if not all(in_conventional_fractions(p.plan) for p in plans):
        return None
    total_gy = round(sum(prescribed_gy(p) for p in plans), 6)
    fractions = sum(p.plan.fractions or 0 for p in plans if p.plan is not None)
    prescription = replace(plan.prescriptions[0], dose_gy=total_gy)
    return replace(plan, prescriptions=(prescription,), fractions=fractions, fraction_groups=1, groups=())


@lru_cache(maxsize=1)
def whole_schedules() -> tuple[tuple[float, int], ...]:
    """Prescriptions that the shipped protocols are for: total dose in Gy and number of fractions."""
    applied = (load_protocol(name).applies for name in list_protocols())
    # Limits that are converted to what they are used for are no trial's: a boost by itself is no whole treatment.
    whole = (applies for applies in applied if applies is not None and not applies.converted)
    return tuple((s.dose_gy, s.fractions) for applies in whole for s in applies.schedules)


def prescribed_gy(plan: PatientPlan) -> float:
    """The highest prescription of a plan, in Gy; 0 where it has none."""
    return plan.plan.prescriptions[0].dose_gy if plan.plan is not None and plan.plan.prescriptions else 0.0
