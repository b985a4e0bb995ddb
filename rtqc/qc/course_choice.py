"""What a course says about the protocol of one of its plans, and what the protocols say about prescriptions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

from rtqc.core.case import Case
from rtqc.core.patient_plan import PatientPlan
from rtqc.qc.choice import Choice
from rtqc.qc.course_plans import course_plans
from rtqc.qc.protocol import list_protocols, load_protocol


def choice_within_course(case: Case, choice: Choice, choose: Callable[[Case], Choice]) -> Choice:
    """The protocol for a plan whose own words do not say what is treated: a boost treats the site of the plan that it is added to.

    Args:
        case: as read, with its companions.
        choice: by the plan's own words.
        choose: the protocol for a case.

    Returns:
        ``choice`` where it is no assumption, names a site of its own, or the course does not say more.
    """
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
