"""The course: what its sum exceeds, what is not in it, and what could not be told."""

from __future__ import annotations

from functools import partial
from typing import Any

from rtqc.core import Finding
from rtqc.core.assessment import (
    ConstraintResult,
    Course,
    CourseDose,
    CoursePlan,
    DoseMetrics,
    LeftOutPlan,
    SumOfPlans,
)
from rtqc.core.case import Case, Provenance
from rtqc.qc import Measurements
from tests.qc.rules.build import result
from tests.qc.rules.table import Fires, Silent

_WHOLE = CoursePlan(label="Breast", prescription_gy=50.0, fractions=25, approval="APPROVED", covered_percent=100.0, mean_gy=3.0)
_BOOST = CoursePlan(label="Boost", prescription_gy=16.0, fractions=1, covered_percent=100.0, mean_gy=1.4)


def _given(findings: tuple[Finding, ...] = (), uid: str = "own", companions: int = 0, **course: Any) -> Measurements:
    values: dict[str, Any] = {"plans": (_WHOLE, _BOOST), "summation": "sum", **course}
    return Measurements(
        Case(findings=findings, provenance=Provenance(rtplan_uid=uid), companions_left_out=companions), course=Course(**values)
    )


def _left(reason: Any, why: str = "it is a test", uid: str = "other", file: str = "RP2.dcm") -> dict[str, Any]:
    return {"left_out": (LeftOutPlan(label="Old", rtplan_uid=uid, file=file, reason=reason, why=why),)}


def _mean(gy: float | None = 4.4) -> dict[str, Any]:
    return {"dose": CourseDose(contoured=DoseMetrics(mean_gy=gy), draft=DoseMetrics(mean_gy=9.9))}


def _covered(percent: float) -> dict[str, Any]:
    return {"plans": (_WHOLE, _BOOST.model_copy(update={"covered_percent": percent})), **_mean()}


def _sums(mean: float, summed: float) -> Measurements:
    return _given(planning_sums=(SumOfPlans(file="RD9.dcm", plans=("Breast", "Boost"), mean_gy=mean, summed_mean_gy=summed),))


def _v(gy: int, value: float, tier: Any) -> ConstraintResult:
    return result(
        value, limit=5.0, metric=f"v{gy}_gy_percent", unit="%", tier=tier, description=f"Heart volume receiving {gy} Gy"
    )


_SEVERAL = Finding(rule="dose.of_several_plans", severity="warning", certainty="fact", message="It is a test.")
_ALONE = {"plans": (_WHOLE.model_copy(update={"covered_percent": None, "mean_gy": None}), _BOOST), "summation": "multi_plan"}
_TOGETHER = {
    "plans": tuple(p.model_copy(update={"covered_percent": None}) for p in (_WHOLE, _BOOST)),
    "summation": "multi_plan",
}

ROWS: tuple[Fires | Silent, ...] = (
    Fires(
        "course.constraint_exceeded", "4.4 of 4 Gy", lambda: _given(constraints=(result(4.4),)),
        ("The course (Breast + Boost) exceeds the acceptable limit of 4 Gy: mean heart dose 4.40 Gy with the contour.",), ("at least", "as if"), 4.4, 4.0, "Gy",
    ),
    Fires(
        "course.constraint_exceeded", "of an incomplete course", lambda: _given(constraints=(result(4.4, structure="A_LAD"),), complete=False, judged_in="isoeffective", judged_fractions=25),
        ("mean heart dose at least 4.40 Gy with the contour, as if given in 25 fractions.",), (), 4.4, 4.0, "Gy", structures=("A_LAD",),
    ),
    Fires(
        "course.constraint_exceeded", "without the plan that may be replaced", lambda: _given(constraints=(result(6.0),), least=(result(4.5),), upper_estimate=True),
        ("mean heart dose at least 4.50 Gy",), (), 4.5, 4.0, "Gy",
    ),
    Silent("course.constraint_exceeded", "4.0 of 4 Gy", lambda: _given(constraints=(result(4.0),))),
    Silent("course.constraint_exceeded", "only with a plan that may be replaced", lambda: _given(constraints=(result(4.5),), least=(result(3.0),), upper_estimate=True)),
    Silent("course.constraint_exceeded", "an ideal limit", lambda: _given(constraints=(result(4.4, tier="ideal"),))),
    Silent("course.constraint_exceeded", "no course", lambda: Measurements(Case())),
    Fires(
        "course.constraint_above_ideal", "4.4 of 4 Gy", lambda: _given(constraints=(result(4.4, tier="ideal"),)),
        ("The course (Breast + Boost) exceeds the ideal limit of 4 Gy",), (), 4.4, 4.0, "Gy",
    ),
    Silent("course.constraint_above_ideal", "implied by one that failed", lambda: _given(constraints=(_v(25, 7.0, "acceptable"), _v(20, 9.0, "ideal")))),
    Silent("course.constraint_above_ideal", "4.0 of 4 Gy", lambda: _given(constraints=(result(4.0, tier="ideal"),))),
    Fires(
        "course.may_exceed", "only with a plan that may be replaced", lambda: _given(constraints=(result(4.5),), least=(result(3.0),), upper_estimate=True),
        ("If all of its plans are given, the course (Breast + Boost) exceeds the acceptable limit of 4 Gy: mean heart dose 4.50 Gy",), (), 4.5, 4.0, "Gy",
    ),
    Silent("course.may_exceed", "without it too", lambda: _given(constraints=(result(6.0),), least=(result(4.5),), upper_estimate=True)),
    Silent("course.may_exceed", "all plans are given", lambda: _given(constraints=(result(4.5),))),
    Silent("course.may_exceed", "met with all", lambda: _given(constraints=(result(4.0),), least=(result(3.0),), upper_estimate=True)),
    Fires(
        "course.unapproved_would_exceed", "4.4 of 4 Gy", lambda: _given(prospective=(result(4.4),)),
        ("This plan is not approved; with it, the course would exceed the acceptable limit of 4 Gy: mean heart dose 4.40 Gy.",), (), 4.4, 4.0, "Gy",
    ),
    Silent("course.unapproved_would_exceed", "4.0 of 4 Gy", lambda: _given(prospective=(result(4.0),))),
    Silent("course.unapproved_would_exceed", "an ideal limit", lambda: _given(prospective=(result(4.4, tier="ideal"),))),
    Silent("course.unapproved_would_exceed", "an approved plan", lambda: _given(constraints=(result(4.4),))),
    *(
        Fires("course.not_summed", reason, partial(_given, **_left(reason, "is a test")), (f"Old is not in the sum of the course: it is a test; {advice}",), files=("RP2.dcm",))
        for reason, advice in (
            ("unreadable", "export it again."), ("no_dose", "export its RTDOSE with it."), ("other_frame", "judge the heart's dose of both together by hand, or register"),
            ("brachytherapy", "judge the heart's dose of both together by hand."), ("earlier_course", "judge by hand what the heart has had already."),
        )
    ),
    Fires(
        "course.not_summed", "another plan's dose is not to be believed", lambda: _given(**_left("doubtful_dose", "It is in cGy.")),
        ("Old is not in the sum of the course: its dose is not to be believed. It is in cGy.",), files=("RP2.dcm",),
    ),
    Fires(
        "course.not_summed", "1 % of the heart outside the boost's grid", lambda: _given(**_covered(99.0)),
        ("1.0 % of the heart lies outside the dose grid of Boost, or no dose was calculated there",), (), 1.0, 0.5, "% of the heart's volume",
    ),
    Fires("course.not_summed", "too many plans", lambda: Measurements(Case(companions_left_out=70)), ("The patient has 71 plans here, too many to tell",), measured=71.0),
    Silent("course.not_summed", "half a percent outside", lambda: _given(**_covered(99.5))),
    Silent("course.not_summed", "a plan that does not belong to it", lambda: _given(**_left("not_treated"))),
    Silent("course.not_summed", "its own dose is not to be believed, which its own rules say", lambda: _given(**_left("doubtful_dose", uid="own"))),
    Fires(
        "course.uncertain", "what may be replaced was added", lambda: _given(doubts=("whether B replaces A", "which came first")),
        ("It cannot be told whether B replaces A. They were added: the sum is an upper estimate.",), hits=2,
    ),
    Fires("course.uncertain", "an order", lambda: _given(doubts=("whether B replaces A", "which came first")), ("It cannot be told which came first.",), ("upper estimate",), hits=2, nth=1),
    Silent("course.uncertain", "no doubt", _given),
    Fires(
        "course.summed", "two plans, of which one is approved", lambda: _given(**_mean()),
        ("2 plans were added as one course (Breast: 50 Gy in 25 fractions, Boost: 16 Gy in 1 fraction): the mean heart dose is 4.40 Gy.",), ("None of them", "at least", "structure set"), 4.4,
    ),
    Fires(
        "course.summed", "none is approved, something is missing, contours of one of them",
        lambda: _given(**{**_mean(), "plans": (_BOOST, _BOOST.model_copy(update={"fractions": None, "prescription_gy": None}))}, complete=False, other_structure_set=True, structure_set="CT2"),
        ("Boost: an unknown dose in unknown fractions", "the mean heart dose is at least 4.40 Gy. None of them is approved. Contours of structure set CT2."), measured=4.4,
    ),
    Fires("course.summed", "no common dose", lambda: _given(**_mean(None)), ("no part of the heart has a dose in all of them",)),
    Fires("course.summed", "one lies in a dose of several plans", lambda: _given(**{**_mean(), **_ALONE}), ("Breast lies in one dose of several plans (MULTI_PLAN), to which Boost was added",), measured=4.4),
    Fires("course.summed", "both lie in one", lambda: _given(**{**_mean(), **_TOGETHER}), ("Breast + Boost lie in one dose of several plans (MULTI_PLAN) (",), measured=4.4),
    Silent("course.summed", "nothing was added", _given),
    Silent("course.summed", "all of it is this case's own dose, which reading says", lambda: _given((_SEVERAL,), **{**_mean(), **_TOGETHER})),
    Fires(
        "course.sum_differs", "0.2 Gy more", lambda: _sums(4.6, 4.4),
        ("RD9.dcm is the dose of Breast + Boost together, and gives the heart a mean of 4.60 Gy; their own doses give 4.40 Gy, which was judged",), (), 0.2, 0.1, "Gy in the mean", files=("RD9.dcm",),
    ),
    Fires("course.sum_differs", "0.2 Gy less", lambda: _sums(4.2, 4.4), ("a mean of 4.20 Gy; their own doses give 4.40 Gy",), (), -0.2, 0.1, "Gy in the mean", files=("RD9.dcm",)),
    Silent("course.sum_differs", "0.09 Gy more", lambda: _sums(4.49, 4.4)),
    Silent("course.sum_differs", "0.09 Gy less", lambda: _sums(4.31, 4.4)),
    Fires("course.superseded", "a replaced plan", lambda: _given(**_left("superseded", "was replaced by New")), ("Old was replaced by New; it is not in the course.",), files=("RP2.dcm",)),
    Silent("course.superseded", "an alternative", lambda: _given(**_left("alternative"))),
    *(
        Fires("course.left_out", reason, partial(_given, **_left(reason, "is a test", file="")), ("Old is a test; it is not in the course.",))
        for reason in ("not_treated", "not_approved", "later_course", "alternative", "remote")
    ),
    *(
        Silent("course.left_out", reason, partial(_given, **_left(reason)))
        for reason in ("superseded", "doubtful_dose", "unreadable", "no_dose", "other_frame", "brachytherapy", "earlier_course")
    ),
)  # fmt: skip
