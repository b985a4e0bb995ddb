"""Rules about the course: the sum of the plans that a patient is given together, and what of it could not be told."""

from __future__ import annotations

from collections.abc import Iterable

from rtqc.core.assessment import ConstraintResult, Course, CoursePlan, LeftOutPlan, LeftOutReason
from rtqc.core.wording import counted
from rtqc.qc.constraint_rules import implies
from rtqc.qc.measurements import Measurements
from rtqc.qc.protocol import Limit, Limits
from rtqc.qc.rule import Hit, rule

#: What a plan that belongs to the course, or may do so, needs to be added.
_ADVICE: dict[LeftOutReason, str] = {
    "unreadable": "export it again",
    "no_dose": "export its RTDOSE with it",
    "other_frame": "judge the heart's dose of both together by hand, or register the CTs and export their sum (MULTI_PLAN)",
    "brachytherapy": "judge the heart's dose of both together by hand",
    "earlier_course": "judge by hand what the heart has had already",
}


def _names(course: Course) -> str:
    return " + ".join(plan.label for plan in course.plans)


def _prescribed(course: Course) -> str:
    parts = []
    for plan in course.plans:
        dose = f"{plan.prescription_gy:g} Gy" if plan.prescription_gy is not None else "an unknown dose"
        fractions = counted(plan.fractions, "fraction") if plan.fractions else "unknown fractions"
        parts.append(f"{plan.label}: {dose} in {fractions}")
    return ", ".join(parts)


def _lower(description: str) -> str:
    return description[:1].lower() + description[1:]


def _in(course: Course) -> str:
    if course.judged_in != "isoeffective" or course.judged_fractions is None:
        return ""
    return f", as if given in {counted(course.judged_fractions, 'fraction')}"


@rule("course.constraint_exceeded", "fail", "fact", "An acceptable dose limit is exceeded by the plans of one course together.")
def course_constraint_exceeded(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """The course by the contoured heart."""
    for result in _exceeded(_sure(m.course), "acceptable"):
        yield _hit(m, result)


@rule(
    "course.constraint_above_ideal", "warning", "fact", "An ideal dose limit is exceeded by the plans of one course together."
)
def course_constraint_above_ideal(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """Between the two limits, or where there is only an ideal one."""
    failed = _exceeded(_sure(m.course), "acceptable")
    for result in _exceeded(_sure(m.course), "ideal"):
        if not any(implies(f, result) for f in failed):
            yield _hit(m, result)


@rule("course.may_exceed", "warning", "estimate", "A dose limit is exceeded if plans add up of which one may replace another.")
def course_may_exceed(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """An upper estimate: it is no fail as long as nobody knows whether all of its plans are given."""
    if m.course is None or not m.course.upper_estimate:
        return
    known = [r for tier in ("acceptable", "ideal") for r in _exceeded(_sure(m.course), tier)]
    said = list(known)
    for result in (r for tier in ("acceptable", "ideal") for r in _exceeded(m.course.constraints, tier)):
        if not any(implies(s, result) for s in said):
            said.append(result)
            yield _hit(m, result, "If all of its plans are given, the course")


def _sure(course: Course | None) -> tuple[ConstraintResult, ...]:
    """The constraints of the plans that are given for sure."""
    if course is None:
        return ()
    return course.least if course.upper_estimate else course.constraints


def _exceeded(results: Iterable[ConstraintResult], tier: str) -> list[ConstraintResult]:
    return [r for r in results if r.tier == tier and r.contoured_met is False and r.contoured is not None]


def _hit(m: Measurements, r: ConstraintResult, who: str = "The course") -> Hit:
    assert m.course is not None
    least = "at least " if not m.course.complete or r in m.course.least else ""
    limit = Limit(value=r.limit, unit=r.unit, source=r.source)
    return Hit(
        f"{who} ({_names(m.course)}) exceeds the {r.tier} limit of {r.limit:g} {r.unit}: {_lower(r.description)} {least}{r.contoured:.2f} {r.unit} with the contour{_in(m.course)}.",
        measured=r.contoured,
        limit=limit,
        structures=(r.structure,) if r.structure else (),
    )


@rule(
    "course.unapproved_would_exceed",
    "warning",
    "fact",
    "With this plan, which is not approved, the course would exceed a limit.",
)
def course_unapproved_would_exceed(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """The approved plans and this one together."""
    course = m.course
    for r in course.prospective if course is not None else ():
        if r.contoured_met is False and r.contoured is not None and r.tier == "acceptable":
            limit = Limit(value=r.limit, unit=r.unit, source=r.source)
            yield Hit(
                f"This plan is not approved; with it, the course would exceed the acceptable limit of {r.limit:g} {r.unit}: {_lower(r.description)} {r.contoured:.2f} {r.unit}.",
                measured=r.contoured,
                limit=limit,
            )


@rule("course.not_summed", "warning", "fact", "A plan that belongs to the course, or may do so, could not be added.")
def course_not_summed(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """Each such plan; what its dose does not cover of the heart; more plans than a course has."""
    if m.case.companions_left_out and not m.case.companions:
        yield Hit(
            f"The patient has {m.case.companions_left_out + 1} plans here, too many to tell which make one course: nothing was added. Give a folder with the plans of one course.",
            measured=float(m.case.companions_left_out + 1),
        )
    if m.course is None:
        return
    for plan in m.course.left_out:
        if (
            plan.reason == "doubtful_dose" and plan.rtplan_uid != m.case.provenance.rtplan_uid
        ):  # its own check says it of itself
            yield Hit(
                f"{plan.label} is not in the sum of the course: its dose is not to be believed. {plan.why}",
                files=_file(plan),
            )
        elif plan.reason in _ADVICE:
            yield Hit(
                f"{plan.label} is not in the sum of the course: it {plan.why}; {_ADVICE[plan.reason]}.", files=_file(plan)
            )
    limit = limits.dose_outside_grid_edge
    # Of the case's own plan, dose.outside_grid says it.
    own = m.case.provenance.rtplan_uid
    for part in (p for p in m.course.plans if not own or p.rtplan_uid != own) if m.course.dose is not None else ():
        outside = 100 - part.covered_percent if part.covered_percent is not None else 0.0
        if outside > limit.value:
            yield Hit(
                f"{outside:.1f} % of the heart lies outside the dose grid of {part.label}, or no dose was calculated there, so the course's dose is not known there: calculate it on a larger grid.",
                measured=outside,
                limit=limit,
            )


@rule("course.uncertain", "warning", "estimate", "Whether plans add up or replace each other cannot be told.")
def course_uncertain(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """What the files do not say."""
    for doubt in m.course.doubts if m.course is not None else ():
        added = " They were added: the sum is an upper estimate." if doubt.startswith("whether ") else ""
        yield Hit(f"It cannot be told {doubt}.{added}")


@rule("course.summed", "info", "fact", "The doses of several plans of one course were added.")
def course_summed(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """What was added, and the heart's mean dose; where all of it is this case's own dose, its reading says so."""
    course = m.course
    if course is None or course.dose is None:
        return
    # Of a plan whose dose lies in one of several plans nothing is known by itself.
    alone = [plan for plan in course.plans if plan.covered_percent is not None]
    if not alone and any(f.rule == "dose.of_several_plans" for f in m.case.findings):
        return
    heart = course.dose.contoured or course.dose.draft
    mean = heart.mean_gy if heart is not None else None
    least = "" if course.complete else "at least "
    dose = (
        f"the mean heart dose is {least}{mean:.2f} Gy" if mean is not None else "no part of the heart has a dose in all of them"
    )
    approved = "" if any(p.approval.upper() == "APPROVED" for p in course.plans) else " None of them is approved."
    set_ = f" Contours of structure set {course.structure_set}." if course.other_structure_set else ""
    yield Hit(f"{_how_summed(course, alone)} ({_prescribed(course)}): {dose}.{approved}{set_}", measured=mean)


def _how_summed(course: Course, alone: list[CoursePlan]) -> str:
    """Which plans were added, and which lie in one dose already."""
    together = [plan.label for plan in course.plans if plan.covered_percent is None]
    if course.summation != "multi_plan":
        return f"{len(course.plans)} plans were added as one course"
    lie = "lies" if len(together) == 1 else "lie"
    of_several = f"{' + '.join(together)} {lie} in one dose of several plans (MULTI_PLAN)"
    return of_several if not alone else f"{of_several}, to which {' + '.join(p.label for p in alone)} was added"


@rule(
    "course.sum_differs",
    "warning",
    "fact",
    "The planning system's sum of several plans is not the sum of their own doses.",
)
def course_sum_differs(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """Mean heart dose of a MULTI_PLAN dose all of whose plans have doses of their own here."""
    limit = limits.course_sum_difference
    for given in m.course.planning_sums if m.course is not None else ():
        difference = given.mean_gy - given.summed_mean_gy
        if abs(difference) > limit.value:
            yield Hit(
                f"{given.file} is the dose of {' + '.join(given.plans)} together, and gives the heart a mean of {given.mean_gy:.2f} Gy; their own doses give {given.summed_mean_gy:.2f} Gy, which was judged. Export all of them again.",
                measured=difference,
                limit=limit,
                files=(given.file,),
            )


@rule("course.superseded", "info", "fact", "A plan was replaced by a later one and is not in the sum of the course.")
def course_superseded(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """Replaced plans."""
    for plan in m.course.left_out if m.course is not None else ():
        if plan.reason == "superseded":
            yield Hit(f"{plan.label} {plan.why}; it is not in the course.", files=_file(plan))


@rule("course.left_out", "info", "fact", "A plan of the patient does not belong to the course.")
def course_left_out(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """Plans that nobody is treated with, or at another time or place."""
    for plan in m.course.left_out if m.course is not None else ():
        if plan.reason not in _ADVICE and plan.reason not in ("superseded", "doubtful_dose"):
            yield Hit(f"{plan.label} {plan.why}; it is not in the course.", files=_file(plan))


def _file(plan: LeftOutPlan) -> tuple[str, ...]:
    return (plan.file,) if plan.file else ()
