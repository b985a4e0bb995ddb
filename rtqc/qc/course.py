"""A course, judged: the doses of its plans added, and held against the limits of the plan with the highest prescription.

Limits are made for doses in one fractionation. Where every plan gives about 2 Gy a fraction they hold for the sum as it is; else the sum
is expressed as the dose that does as much in the number of fractions that the limits were made for (docs/courses.md).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from rtqc.core.assessment import ConstraintResult, Course, CourseDose, CourseEqd2, CoursePlan, LeftOutPlan, LeftOutReason
from rtqc.core.case import Case, Roi
from rtqc.core.patient_plan import PatientPlan, PlannedStructures
from rtqc.core.structure import Structure
from rtqc.core.substructures import resolved
from rtqc.core.volumes import Dose
from rtqc.dosimetry import (
    DVH,
    DoseOfPlan,
    MovedSurface,
    OrganDose,
    SurfaceBand,
    course_dose,
    course_draft_errors,
    dvh,
    evaluate,
    in_fractions,
    metrics_of,
    moved_surface,
)
from rtqc.qc.applicable import applicable_constraints, published_constraints
from rtqc.qc.choice import Choice
from rtqc.qc.conventional import has_conventional_limits, in_conventional_fractions
from rtqc.qc.course_choice import prescribed_gy, whole_schedules, whole_treatment
from rtqc.qc.course_doubt import dose_doubts
from rtqc.qc.course_plans import CoursePlans, LeftOut, course_plans
from rtqc.qc.course_sums import planning_sums
from rtqc.qc.protocol import Protocol

#: A plan whose 50 % isodose is further from the heart than this (mm) gives it leakage and head scatter only, under 0.5 % of its dose
#: (from knowledge, after AAPM TG-158).
REMOTE_MM = 150.0
#: Why a course with sources is held against no limit.
_SOURCES = "what the limits mean for it: there is brachytherapy in it, and the protocols' limits are for external beams, so none was judged"
#: What leaves the sum of a course too low.
_MISSING: frozenset[LeftOutReason] = frozenset({"unreadable", "other_frame", "brachytherapy", "no_dose", "doubtful_dose"})


@dataclass(frozen=True, eq=False)
class Judging:
    """How a course is judged.

    Attributes:
        choose: the protocol for a case.
        heart_of: the heart among ROIs; None where there is none with contours.
        draft: rtqc's own heart; None where there is none.
        band: how sure the draft's surface is; None where that is not known.
    """

    choose: Callable[[Case], Choice]
    heart_of: Callable[[tuple[Roi, ...]], Structure | None]
    draft: Structure | None = None
    band: SurfaceBand | None = None

    @cached_property
    def surface(self) -> MovedSurface | None:
        """The draft's surface with the moves that its band allows; None where there is none."""
        return moved_surface(self.draft, self.band) if self.draft is not None and self.band is not None else None


@dataclass(frozen=True, eq=False)
class _Part:
    """A dose of the sum: of one plan, or of several together."""

    plans: tuple[PatientPlan, ...]
    dose: Dose

    @property
    def is_multi_plan(self) -> bool:
        """Whether it is one dose of several plans."""
        return len(self.plans) > 1 or self.plans[0].dose.is_multi_plan

    @property
    def of_plan(self) -> DoseOfPlan:
        """With its fractions where they are those of one plan and all alike, and the linear-quadratic model may be applied to its dose.

        An EFFECTIVE dose of photons has a biological model in it already; a PHYSICAL one of ions lacks its effectiveness (ICRU 78). That of
        sources is given at another rate.
        """
        plan = self.plans[0].plan if not self.is_multi_plan else None
        effective = self.plans[0].dose.attributes.dose_type == "EFFECTIVE"
        if plan is None or plan.has_brachytherapy or effective != (plan.kind == "ion"):
            return DoseOfPlan(self.dose)
        return DoseOfPlan(self.dose, plan.alike_fractions)


def assess_course(case: Case, judging: Judging) -> Course | None:
    """The course of a case's plan; None for a plan that is alone and has a dose of its own.

    Args:
        case: as read, with its companions.
        judging: protocol, contour and draft.
    """
    if case.plan is None or (not case.companions and not PatientPlan.of(case).dose.is_multi_plan):
        return None
    chosen = course_plans(case, whole_schedules())
    if not chosen.plans and not chosen.left_out:
        return None
    structures, other_set = _structures_of(case, chosen.plans, judging)
    heart = judging.heart_of(structures.rois)
    doubt_of = dose_doubts(case, judging.choose)
    parts, left_out, doubts = _parts_of(chosen, heart or judging.draft, doubt_of)
    course = Course(
        plans=_plans(parts, heart or judging.draft),
        left_out=tuple(_left_out(item) for item in left_out),
        complete=not any(item.reason in _MISSING for item in left_out),
        doubts=doubts,
        upper_estimate=bool(chosen.perhaps_replaced),
        structure_set=structures.label,
        other_structure_set=other_set,
    )
    measured = heart or judging.draft
    if (len(parts) > 1 or any(part.is_multi_plan for part in parts)) and measured is not None:
        course = _judged(course, case, parts, structures.rois, judging)
        single = {part.plans[0].uid: part.plans[0] for part in parts if not part.is_multi_plan}
        sums = planning_sums(case.doses_of_several_plans, single, measured)
        course = course.model_copy(update={"planning_sums": sums})

    def constraints_of(plans: Sequence[PatientPlan]) -> tuple[ConstraintResult, ...]:
        """Of other plans than those of the course, where there are several."""
        wanted, _, _ = _parts_of(CoursePlans(tuple(plans)), heart or judging.draft, doubt_of)
        return _judged(course, case, wanted, structures.rois, judging).constraints if len(wanted) > 1 else ()

    sure = [p for p in chosen.plans if all(p is not perhaps for perhaps in chosen.perhaps_replaced)]
    least = constraints_of(sure) if chosen.perhaps_replaced else ()
    return course.model_copy(update={"least": least, "prospective": constraints_of(chosen.prospective)})


def _structures_of(case: Case, plans: Sequence[PatientPlan], judging: Judging) -> tuple[PlannedStructures, bool]:
    """The contours for the course, and whether they are of another structure set than some plan's.

    Of several structure sets the approved one, else the one drawn last, of those that hold a heart.
    """
    own = PatientPlan.of(case)
    sets: dict[str, PlannedStructures] = {}
    for plan in plans or (own,):
        if plan.structure_set_uid not in sets:
            sets[plan.structure_set_uid] = (own if plan.structure_set_uid == own.structure_set_uid else plan).structures
    with_heart = [s for s in sets.values() if judging.heart_of(s.rois) is not None]
    if not with_heart:
        return own.structures, False
    return max(with_heart, key=_drawn), len(sets) > 1


def _drawn(structures: PlannedStructures) -> tuple[bool, str]:
    says = structures.attributes
    return says.approval.upper() == "APPROVED", says.approved_at or says.drawn_at or says.created_at


def _parts_of(
    chosen: CoursePlans, heart: Structure | None, doubt_of: Callable[[PatientPlan], str]
) -> tuple[list[_Part], list[LeftOut], tuple[str, ...]]:
    """The doses that make the course's sum, each plan in one of them, what is left out, and doubts about the sum."""
    left_out, doubts = list(chosen.left_out), list(chosen.doubts)
    by_uid = {plan.uid: plan for plan in chosen.plans}
    parts: list[_Part] = []
    known: set[str] = set()
    for plan in sorted(chosen.plans, key=lambda p: not p.dose.is_multi_plan):
        planned = plan.dose
        if plan.uid in known:
            continue
        if planned.dose is None:
            left_out.append(LeftOut(plan, planned.reason, f"cannot be added: {planned.why_not}"))
        elif heart is not None and not planned.is_multi_plan and _is_remote(planned.dose, heart):
            left_out.append(LeftOut(plan, "remote", "treats a site far from the heart, and its dose does not reach there"))
        elif doubt_of(plan):
            left_out.append(LeftOut(plan, "doubtful_dose", doubt_of(plan)))
        elif planned.is_multi_plan:
            # What cannot be added to this plan may lie in the planning system's sum all the same.
            inside = {item.plan.uid: item.plan for item in left_out if item.reason == "brachytherapy"}
            inside = {uid: p for uid, p in inside.items() if uid in planned.plan_uids}
            left_out = [item for item in left_out if item.plan.uid not in inside]
            by_uid |= inside
            together = [by_uid[uid] for uid in dict.fromkeys(planned.plan_uids) if uid in by_uid and uid not in known]
            others = len(set(planned.plan_uids) - set(by_uid))
            if others:
                more = "1 more plan that is" if others == 1 else f"{others} more plans that are"
                doubts.append(f"what the dose of {plan.label} is of: it refers to {more} not of this course or not here")
            # A plan that has a dose of its own beside a dose of several is in the latter all the same.
            parts.append(_Part(tuple(together) or (plan,), planned.dose))
            known |= {p.uid for p in together}
        else:
            parts.append(_Part((plan,), planned.dose))
    if len({part.plans[0].dose.attributes.dose_type or "PHYSICAL" for part in parts}) > 1:
        doubts.append("how doses of types PHYSICAL and EFFECTIVE add up: they were added as they are")
    return parts, left_out, tuple(doubts)


def _is_remote(dose: Dose, heart: Structure) -> bool:
    """Whether a dose lies far from the heart and does not cover it: one that covers it is added, however small it is there."""
    hot = np.argwhere(dose.gy >= 0.5 * float(dose.gy.max()))
    treated = dose.grid.patient_mm(np.stack([hot.min(axis=0), hot.max(axis=0)]))
    planes = [(w, area.bounds) for w, area in heart.planes.items()]
    outline = np.array([(u, v, w) for w, (u0, v0, u1, v1) in planes for u in (u0, u1) for v in (v0, v1)])
    box = heart.orientation.to_patient(outline)
    gap = np.maximum(treated.min(axis=0) - box.max(axis=0), box.min(axis=0) - treated.max(axis=0))
    if float(np.linalg.norm(np.maximum(gap, 0))) <= REMOTE_MM:
        return False
    index = dose.grid.index_of_patient(box)
    return bool((index < 0).any() or (index > np.array(dose.grid.shape) - 1).any())


def _plans(parts: Sequence[_Part], heart: Structure | None) -> tuple[CoursePlan, ...]:
    found = []
    for part in parts:
        own = dvh(heart, part.dose) if heart is not None and not part.is_multi_plan else None
        found += [_plan(plan, own) for plan in part.plans]
    return tuple(found)


def _plan(patient_plan: PatientPlan, own: DVH | None) -> CoursePlan:
    plan = patient_plan.plan
    assert plan is not None
    metrics = metrics_of(own) if own is not None else None
    return CoursePlan(
        label=patient_plan.label,
        rtplan_uid=patient_plan.uid,
        date=plan.date,
        approval=plan.approval,
        prescription_gy=plan.prescriptions[0].dose_gy if plan.prescriptions else None,
        fractions=plan.fractions,
        mean_gy=metrics.mean_gy if metrics is not None else None,
        covered_percent=metrics.covered_percent if metrics is not None else None,
    )


def _left_out(item: LeftOut) -> LeftOutPlan:
    return LeftOutPlan(label=item.plan.label, rtplan_uid=item.plan.uid, file=item.plan.file, reason=item.reason, why=item.why)


def _judged(course: Course, case: Case, parts: Sequence[_Part], rois: tuple[Roi, ...], judging: Judging) -> Course:
    """With its sum and what that means for the limits."""
    plans = [plan for part in parts for plan in part.plans]
    primary = max(plans, key=prescribed_gy)
    as_primary = replace(case, plan=primary.plan, rois=rois)
    choice = _choice_for(as_primary, plans, judging)
    protocol = choice.protocol
    alpha_beta = protocol.alpha_beta
    doses = [part.of_plan for part in parts]
    heart = judging.heart_of(rois)
    organs = [course_dose(s, doses, alpha_beta.value) if s is not None else OrganDose() for s in (heart, judging.draft)]
    sources = any(plan.plan is not None and plan.plan.has_brachytherapy for plan in plans)
    fractions, doubt = (None, (_SOURCES,)) if sources else _judged_fractions(plans, primary, organs)
    as_published = has_conventional_limits(protocol) and all(in_conventional_fractions(plan.plan) for plan in plans)
    applicable = published_constraints if as_published else applicable_constraints
    constraints = () if sources else applicable(choice, as_primary)
    structures = as_primary.structures
    there = {c.structure: resolved(c.structure, structures) for c in constraints if c.structure}
    others = {
        name: _as_judged(course_dose(structures[found], doses, alpha_beta.value), fractions, protocol)
        for name, found in there.items()
        if found is not None
    }
    judged = [_as_judged(organ, fractions, protocol) for organ in organs]
    errors = (
        course_draft_errors(judging.surface, doses, judged[1], constraints, alpha_beta.value, fractions)
        if judging.surface is not None
        else {}
    )
    results = evaluate(constraints, judged[0], judged[1], others, errors)
    metrics = [metrics_of(organ.physical) if organ.physical is not None else None for organ in organs]
    in_2_gy = [metrics_of(organ.eqd2) if organ.eqd2 is not None else None for organ in organs]
    eqd2 = CourseEqd2(alpha_beta_gy=alpha_beta.value, source=alpha_beta.source, contoured=in_2_gy[0], draft=in_2_gy[1])
    update = {
        "summation": "multi_plan" if any(part.is_multi_plan for part in parts) else "sum",
        "doubts": (*course.doubts, *doubt),
        "protocol": protocol.name,
        "judged_in": "physical" if fractions is None else "isoeffective",
        "judged_fractions": fractions,
        "dose": CourseDose(contoured=metrics[0], draft=metrics[1]),
        "eqd2": eqd2 if in_2_gy != [None, None] else None,
        "constraints": tuple(_as_known(r, course.complete) for r in results),
    }
    return course.model_copy(update=update)


def _choice_for(as_primary: Case, plans: Sequence[PatientPlan], judging: Judging) -> Choice:
    """The protocol for the whole treatment where one is for it, else for the plan with the highest prescription."""
    whole = whole_treatment(as_primary.plan, plans) if as_primary.plan is not None else None
    choice = judging.choose(replace(as_primary, plan=whole)) if whole is not None else None
    return choice if choice is not None and choice.fit == "fits" else judging.choose(as_primary)


def _judged_fractions(
    plans: Sequence[PatientPlan], primary: PatientPlan, organs: Sequence[OrganDose]
) -> tuple[int | None, tuple[str, ...]]:
    """In how many fractions the sum is expressed for the limits; None: as it is. And what is doubtful about that."""
    if all(in_conventional_fractions(plan.plan) for plan in plans):
        return None, ()
    fractions = primary.plan.alike_fractions if primary.plan is not None else None
    if fractions is None or all(organ.eqd2 is None for organ in organs):
        return None, ("what the limits mean for it: doses a fraction differ from 2 Gy, and not every plan tells its fractions",)
    return fractions, ()


def _as_judged(organ: OrganDose, fractions: int | None, protocol: Protocol) -> OrganDose:
    if fractions is None or organ.eqd2 is None:
        return organ
    return OrganDose(in_fractions(organ.eqd2, fractions, protocol.alpha_beta.value), organ.eqd2)


def _as_known(result: ConstraintResult, complete: bool) -> ConstraintResult:
    """A limit is met only if the whole course is in the sum; exceeded it is by a part of it, too."""
    if complete:
        return result
    known = {key: False if getattr(result, key) is False else None for key in ("contoured_met", "draft_met")}
    return result.model_copy(update={**known, "outcome_flips": False})
