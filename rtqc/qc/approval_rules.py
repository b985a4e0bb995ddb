"""Rules about time and approval: were contours changed after the dose was calculated or the plan approved.

Severities: a contour that changed after the dose or the approval makes numbers of another contour than the one approved, which somebody
must look at (warning). A rejected plan must not go on (fail). An unapproved structure set under an approved plan is worth knowing and no
more (info): most planning systems export structure sets as ``UNAPPROVED`` whatever was approved in them (PS3.3 C.8.8.16 leaves that to them).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from rtqc.core.case import Plan
from rtqc.core.wording import counted
from rtqc.qc.measurements import Measurements
from rtqc.qc.protocol import Limits
from rtqc.qc.rule import Hit, rule

#: Files of one export are written within this, in minutes: from knowledge, a plan with its CT takes a minute or two over a slow network.
_ONE_EXPORT_MINUTES = 10


@rule("approval.contours_after_dose", "warning", "fact", "The contours were changed after the dose was calculated.")
def contours_after_dose(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """Structure Set Date and Time against the creation of the dose."""
    yield from _later(m, limits, m.case.dose_attributes.created_at, "the dose was calculated", "calculate it again")


@rule("approval.contours_after_approval", "warning", "fact", "The contours were changed after the plan was approved.")
def contours_after_approval(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """Structure Set Date and Time against the plan's Review Date and Time, unless it is that of an export, or the contours were approved themselves."""
    plan = m.case.plan
    if (
        plan is not None
        and plan.approval.upper() == "APPROVED"
        and not (_dated_by_export(m) or _approved_before(m, plan, limits))
    ):
        yield from _later(m, limits, plan.approved_at, "the plan was approved", "have the plan approved again")


@rule("approval.contours_unapproved", "info", "fact", "The plan is approved, the structure set is not.")
def contours_unapproved(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """Approval Status of both."""
    plan, structures = m.case.plan, m.case.structure_set_attributes
    if plan is not None and plan.approval.upper() == "APPROVED" and structures.approval.upper() == "UNAPPROVED":
        yield Hit(
            "The plan is approved, its structure set says UNAPPROVED: approve the contours too, if the planning system exports their approval.",
            measured="UNAPPROVED",
        )


@rule("approval.rejected", "fail", "fact", "The plan or its structure set was rejected.")
def rejected(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """Approval Status REJECTED of either."""
    plan = m.case.plan
    statuses = (
        ("plan", plan.approval if plan is not None else ""),
        ("structure set", m.case.structure_set_attributes.approval),
    )
    for what, status in statuses:
        if status.upper() == "REJECTED":
            yield Hit(f"The {what} was rejected (Approval Status REJECTED): do not treat with it.", measured="REJECTED")


def _dated_by_export(m: Measurements) -> bool:
    """Whether the structure set's date is when it was exported: it, its file and the plan's file are of one moment, which says nothing of its contours."""
    structures = m.case.structure_set_attributes
    moments = [_time(t) for t in (structures.drawn_at, structures.created_at, m.case.provenance.labels.get("plan_created", ""))]
    exact = [moment[0] for moment in moments if moment is not None and moment[1]]
    return len(exact) == len(moments) and (max(exact) - min(exact)).total_seconds() <= 60 * _ONE_EXPORT_MINUTES


def _approved_before(m: Measurements, plan: Plan, limits: Limits) -> bool:
    """Whether the structure set is approved since before the plan is, and not dated after its own approval.

    Planning systems take the approval off contours that change; a structure set that is dated later and says to be approved was changed after it, unless
    an export dated it: then structure set, plan and dose are of one moment.
    """
    structures = m.case.structure_set_attributes
    minutes = minutes_between(plan.approved_at, structures.approved_at)
    if structures.approval.upper() != "APPROVED" or minutes is None or minutes > 0:
        return False
    since = minutes_between(structures.approved_at, structures.drawn_at)
    return since is None or since <= limits.approval_delay.value or _of_one_export(m)


def _of_one_export(m: Measurements) -> bool:
    """Whether structure set, plan and dose bear one date and time, or one day where a time is not said."""
    created = m.case.provenance.labels.get("plan_created", "")
    moments = [m.case.structure_set_attributes.drawn_at, created, m.case.dose_attributes.created_at]
    apart = [minutes_between(a, b) for a in moments for b in moments]
    return all(minutes is not None and minutes <= _ONE_EXPORT_MINUTES for minutes in apart)


def _later(m: Measurements, limits: Limits, reference: str, event: str, advice: str) -> Iterable[Hit]:
    drawn_at = m.case.structure_set_attributes.drawn_at
    minutes = minutes_between(reference, drawn_at)
    limit = limits.approval_delay
    if minutes is None or minutes <= limit.value:
        return
    yield Hit(
        f"The structure set is of {_date(drawn_at)}, {_duration(minutes)} after {event} ({_date(reference)}): its contours may have changed since; {advice}.",
        measured=minutes,
        limit=limit,
    )


def minutes_between(earlier: str, later: str) -> float | None:
    """Minutes from one DICOM date and time to another; None where either is absent or unreadable.

    Where either has a date only, days are compared: the same day is no difference.

    Args:
        earlier, later: ``YYYYMMDD`` or ``YYYYMMDDHHMMSS``, with or without a fraction.

    >>> minutes_between("20260102080000", "20260102100000"), minutes_between("20260102", "20260102100000")
    (120.0, 0.0)
    """
    times = [_time(value) for value in (earlier, later)]
    if times[0] is None or times[1] is None:
        return None
    (first, first_exact), (second, second_exact) = times[0], times[1]
    if first_exact and second_exact:
        return (second - first).total_seconds() / 60
    return float((second.date() - first.date()).days * 24 * 60)


def _time(value: str) -> tuple[datetime, bool] | None:
    """A date and time, and whether the time of day is known; None where it is none."""
    digits = value.split(".", maxsplit=1)[0].strip()
    for form, length in (("%Y%m%d%H%M%S", 14), ("%Y%m%d%H%M", 12), ("%Y%m%d", 8)):
        if len(digits) == length and digits.isdigit():
            try:
                return datetime.strptime(digits, form), length > 8
            except ValueError:
                return None
    return None


def _date(value: str) -> str:
    parsed = _time(value)
    assert parsed is not None
    time, exact = parsed
    return f"{time:%Y-%m-%d %H:%M}" if exact else f"{time:%Y-%m-%d}"


def _duration(minutes: float) -> str:
    if minutes < 2 * 60:
        return counted(round(minutes), "minute")
    return f"{minutes / 60:.0f} hours" if minutes < 48 * 60 else f"{minutes / 60 / 24:.0f} days"
