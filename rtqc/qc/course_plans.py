"""Which plans of a patient make one course of treatment, and why the others do not."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import combinations

from rtqc.core.assessment import LeftOutReason
from rtqc.core.case import Case, Plan
from rtqc.core.patient_plan import PatientPlan
from rtqc.qc.course_labels import is_remote
from rtqc.qc.course_relations import ScheduleOf, made_at, order_key, relation

#: Plans made so many days after the one before begin another course: no course of external beams lasts so long (from knowledge).
ANOTHER_COURSE_DAYS = 365
#: Plan Intents (PS3.3 C.8.8.9) that nobody is treated with.
_NOT_TREATED = {"VERIFICATION": "a verification plan", "MACHINE_QA": "a plan of machine quality assurance", "SERVICE": "a service plan",
                "RESEARCH": "a research plan"}  # fmt: skip


@dataclass(frozen=True, eq=False)
class LeftOut:
    """A plan that was not added, the kind of reason, and the reason as the end of a sentence."""

    plan: PatientPlan
    reason: LeftOutReason
    why: str


@dataclass(frozen=True, eq=False)
class CoursePlans:
    """The plans of one course.

    Attributes:
        plans: those to be added, earliest first; one alone where there is nothing to add.
        left_out: the patient's other plans.
        doubts: why the sum may be too high.
        perhaps_replaced: those of the plans that a later one may have replaced.
        prospective: the course if the case's own plan were approved; empty where it is, or where it would be no other course.
    """

    plans: tuple[PatientPlan, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    doubts: tuple[str, ...] = ()
    perhaps_replaced: tuple[PatientPlan, ...] = ()
    prospective: tuple[PatientPlan, ...] = ()


@dataclass
class _Sorting:
    """Plans on their way into the course or out of it."""

    plans: list[PatientPlan]
    left_out: list[LeftOut] = field(default_factory=list)

    def remove(self, plan: PatientPlan, reason: LeftOutReason, why: str) -> None:
        self.plans = [p for p in self.plans if p is not plan]
        self.left_out.append(LeftOut(plan, reason, why))


def course_plans(case: Case, schedules: Collection[ScheduleOf]) -> CoursePlans:
    """The course that a case's plan belongs to; the same for each of the course's plans.

    Args:
        case: as read, with its companions.
        schedules: prescriptions that are whole treatments.
    """
    own = PatientPlan.of(case)
    if own.plan is None or not_treated(own.plan):
        return CoursePlans()
    everybody = sorted((own, *case.companions), key=lambda p: (order_key(p) if p.plan is not None else ("", "", 0, ""), p.file))
    sorting = _Sorting(everybody)
    for plan in everybody:
        if plan.plan is None:
            sorting.remove(plan, "unreadable", "could not be read")
        elif not_treated(plan.plan):
            sorting.remove(plan, "not_treated", f"is {not_treated(plan.plan)}")
        elif plan.plan.approval.upper() == "REJECTED":
            sorting.remove(plan, "not_approved", "was rejected")
    _leave_out_other_courses(own, sorting)
    waiting = _leave_out_unapproved(sorting)
    doubts = _leave_out_superseded(sorting, schedules)
    _leave_out_what_cannot_be_added(own, sorting)
    summed = {id(p) for p in sorting.plans}
    open_doubts = [(pair, why) for pair, why in doubts if {id(p) for p in pair} <= summed]
    said = tuple(why for _, why in open_doubts)
    perhaps = tuple({id(pair[0]): pair[0] for pair, _ in open_doubts}.values())
    prospective = _prospective(own, sorting.plans, schedules) if any(p is own for p in waiting) else ()
    return CoursePlans(tuple(sorting.plans), tuple(sorting.left_out), said, perhaps, prospective)


def not_treated(plan: Plan) -> str:
    """What a plan is that nobody is treated with; empty for one that is for treatment."""
    if any(relationship == "VERIFIED_PLAN" for _, relationship in plan.relations):
        return _NOT_TREATED["VERIFICATION"]
    if plan.geometry == "TREATMENT_DEVICE":
        return "a plan without patient geometry (TREATMENT_DEVICE)"
    return _NOT_TREATED.get(plan.intent, "")


def _leave_out_other_courses(own: PatientPlan, sorting: _Sorting) -> None:
    """Plans more than a year apart from the next one."""
    dated = [(moment, p) for p in sorting.plans if (moment := _moment(p)) is not None]
    groups: list[list[PatientPlan]] = []
    before: datetime | None = None
    for moment, plan in dated:
        if before is None or (moment - before).days > ANOTHER_COURSE_DAYS:
            groups.append([])
        groups[-1].append(plan)
        before = moment
    mine = next((n for n, group in enumerate(groups) if any(p is own for p in group)), None)
    if mine is None:
        return
    for number, group in enumerate(groups):
        for plan in group if number != mine else ():
            reason: LeftOutReason = "earlier_course" if number < mine else "later_course"
            if reason == "earlier_course" and plan.plan is not None and is_remote(plan.plan):
                reason = "remote"
            sorting.remove(plan, reason, f"is of {_day(plan)}, more than a year apart")


def _moment(plan: PatientPlan) -> datetime | None:
    try:
        return datetime.strptime(made_at(plan)[:8], "%Y%m%d")
    except ValueError:
        return None


def _day(plan: PatientPlan) -> str:
    moment = _moment(plan)
    return moment.strftime("%Y-%m-%d") if moment is not None else "an unknown date"


def _leave_out_unapproved(sorting: _Sorting) -> list[PatientPlan]:
    """Plans without approval where another one of their frame of reference has it."""
    approved = [p for p in sorting.plans if _is_approved(p)]
    waiting = [p for p in sorting.plans if not _is_approved(p) and any(p.shares_frame_with(a) for a in approved)]
    for plan in waiting:
        sorting.remove(plan, "not_approved", "is not approved, while others are")
    return waiting


def _is_approved(plan: PatientPlan) -> bool:
    return plan.plan is not None and plan.plan.approval.upper() == "APPROVED"


def _leave_out_superseded(
    sorting: _Sorting, schedules: Collection[ScheduleOf]
) -> list[tuple[tuple[PatientPlan, PatientPlan], str]]:
    """Replaced plans go; what cannot be told is returned, by pair."""
    doubts = []
    gone: set[int] = set()
    for earlier, later in combinations(list(sorting.plans), 2):
        found = relation(earlier, later, schedules)
        if found.kind == "replaces" and id(earlier) not in gone:
            gone.add(id(earlier))
            sorting.remove(earlier, "superseded", f"was replaced by {later.label}: {found.why}")
        elif found.kind == "alternative" and id(later) not in gone:
            gone.add(id(later))
            sorting.remove(later, "alternative", f"is an alternative to {earlier.label}")
        elif found.kind == "unknown":
            names = [p.label if earlier.label != later.label else f"{p.label} of {_day(p)}" for p in (earlier, later)]
            doubts.append(((earlier, later), f"whether {names[1]} adds to {names[0]} or replaces it: {found.why}"))
    return doubts


def _leave_out_what_cannot_be_added(own: PatientPlan, sorting: _Sorting) -> None:
    replaced = not any(p is own for p in sorting.plans)
    for plan in list(sorting.plans):
        assert plan.plan is not None
        if plan is own:
            continue
        if replaced and not plan.shares_frame_with(own):
            sorting.plans = [
                p for p in sorting.plans if p is not plan
            ]  # the course of a plan that was replaced on another CT is judged there
        elif not plan.shares_frame_with(own):
            if is_remote(plan.plan):
                sorting.remove(plan, "remote", "treats a site far from the heart")
            else:
                sorting.remove(plan, "other_frame", "was planned in another frame of reference (another CT)")
        elif own.plan is not None and not (_kinds(plan.plan) == _kinds(own.plan) and len(_kinds(own.plan)) == 1):
            both = "doses of sources and of external beams do not add up as they are"
            what = " and ".join(_kinds(plan.plan))
            other = "" if _kinds(plan.plan) != _kinds(own.plan) else f", as {own.label} is"
            sorting.remove(plan, "brachytherapy", f"is of {what}{other}, and {both}")


def _kinds(plan: Plan) -> tuple[str, ...]:
    """The kinds of treatment in a plan, in words."""
    beams = plan.kind != "brachy" or bool(plan.treatment_beams)
    return (*(("external beams",) if beams else ()), *(("brachytherapy",) if plan.has_brachytherapy else ()))


def _prospective(own: PatientPlan, plans: Sequence[PatientPlan], schedules: Collection[ScheduleOf]) -> tuple[PatientPlan, ...]:
    """The course with a plan that is not approved yet, in place of those that it would replace."""
    kept = []
    for plan in plans:
        earlier, later = (plan, own) if order_key(plan) <= order_key(own) else (own, plan)
        if relation(earlier, later, schedules).kind == "adds":
            kept.append(plan)
    return (*kept, own) if kept else ()
