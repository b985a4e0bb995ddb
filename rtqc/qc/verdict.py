"""Findings and what could be checked -> verdict, and the one sentence on top of the report.

A pass is a promise: it covers what was there and was checked, and says so. A plan without a dose or without a plan file is no pass
unless less was asked for (scope ``contour``).
"""

from __future__ import annotations

from collections.abc import Sequence

from rtqc.core.assessment import CheckedPart, DoseComparison, Scope, Verdict
from rtqc.core.case import Case
from rtqc.core.finding import CAUSES_FIRST, Finding, worst_first
from rtqc.core.structure import Structure
from rtqc.core.wording import listed
from rtqc.qc.undone import UNDONE_RULES

#: What a pass in a scope must have checked.
NEEDED: dict[Scope, tuple[CheckedPart, ...]] = {
    "plan": ("contour", "dose", "plan", "image"),
    "contour": ("contour", "image"),
}
#: Without these nothing can be judged, whatever else was found.
_PREVENT_VERDICT = (
    "ct.absent",
    "ct.unusable",
    "structure_set.absent",
    "structure_set.unusable",
    "file.beyond_limits",
    "file.decoder_died",
    *UNDONE_RULES,
)

#: Topics of findings about plan and dose, which a verdict on the contour alone does not cover.
_PLAN_TOPICS = ("dose.", "plan.", "constraint.", "protocol.", "course.")
_PLAN_RULES = frozenset({"reference.dose_plan", "reference.plan_structure_set"})


def checked_parts(case: Case, heart: Structure | None, dose: DoseComparison | None) -> tuple[CheckedPart, ...]:
    """What was there and usable, so that rules could look at it.

    Args:
        case: as read.
        heart: the contoured heart; None where there is none.
        dose: heart doses; None where none could be computed.

    Returns:
        ``contour`` where a heart is contoured, ``dose`` where a part of it has a dose, ``plan`` and ``image`` where they were read.
    """
    metrics = dose.contoured if dose is not None else None
    there: dict[CheckedPart, bool] = {
        "contour": heart is not None,
        "dose": metrics is not None and metrics.mean_gy is not None,
        "plan": case.plan is not None,
        "image": case.image is not None,
    }
    return tuple(part for part in NEEDED["plan"] if there[part])


def in_scope(finding: Finding, scope: Scope) -> bool:
    """Whether a finding is about what the verdict covers."""
    if scope == "plan":
        return True
    return not (finding.rule.startswith(_PLAN_TOPICS) or finding.rule in _PLAN_RULES)


def verdict_of(findings: Sequence[Finding], checked: Sequence[CheckedPart], scope: Scope = "plan") -> Verdict:
    """``error`` when no verdict is possible, ``flag`` when somebody must look, else ``pass``.

    A warning flags: it says that somebody must look. An info never does. What the scope needs and was not checked flags too, whatever
    severities a protocol gives to the findings that say so.
    """
    rules = {f.rule for f in findings}
    if rules & set(_PREVENT_VERDICT):
        return "error"
    if {"draft.no_heart", "contour.missing"} <= rules:
        return "error"
    if unchecked(checked, scope) or any(f.severity in ("fail", "warning") for f in findings):
        return "flag"
    return "pass"


def unchecked(checked: Sequence[CheckedPart], scope: Scope) -> tuple[CheckedPart, ...]:
    """What the scope needs and was not checked."""
    return tuple(part for part in NEEDED[scope] if part not in checked)


def verdict_words(verdict: Verdict, scope: Scope = "plan") -> str:
    """A verdict at first sight: a pass for less than the plan says so in the same breath.

    >>> verdict_words("pass"), verdict_words("pass", "contour"), verdict_words("flag", "contour")
    ('Passed', 'Passed, contour only', 'Flagged')
    """
    words = {"pass": "Passed", "flag": "Flagged", "error": "No verdict"}[verdict]
    return f"{words}, contour only" if verdict == "pass" and scope == "contour" else words


def coverage_words(verdict: Verdict, checked: Sequence[CheckedPart], scope: Scope) -> str:
    """What a verdict covers, for people.

    >>> coverage_words("pass", ("contour", "image"), "contour")
    'passed for the contour only: contour and image checked'
    >>> coverage_words("flag", ("contour", "image"), "plan")
    'contour and image checked; dose and plan not checked'
    """
    words = f"{_and(checked)} checked" if checked else "nothing checked"
    missing = unchecked(checked, scope)
    if missing:
        words += f"; {_and(missing)} not checked"
    if scope == "contour":
        return f"{'passed for the contour only' if verdict == 'pass' else 'contour only'}: {words}"
    return words


def _and(parts: Sequence[CheckedPart]) -> str:
    return listed(parts, None, last=" and ")


#: How the headline of a pass begins that covers contour and image only.
CONTOUR_PASS = "Passed for the contour only"


def headline_of(
    verdict: Verdict,
    findings: Sequence[Finding],
    dose: DoseComparison | None,
    checked: Sequence[CheckedPart] = NEEDED["plan"],
    scope: Scope = "plan",
) -> str:
    """What is wrong and what it does to the dose, in one or two sentences."""
    ordered = worst_first(findings)
    if verdict == "pass":
        if scope == "contour":
            return f"{CONTOUR_PASS}: no rule asks for a second look; plan and dose were not checked."
        return "No rule asks for a second look."
    if verdict == "error":
        reason = next((f for f in ordered if f.rule in _PREVENT_VERDICT), ordered[0])
        return f"No verdict is possible. {reason.message}"
    if not any(f.severity != "info" for f in ordered):
        return f"Not everything was checked: {_and(unchecked(checked, scope))} could not be. Export the whole plan, or ask for less with --scope contour."
    first = ordered[0]
    if first.rule in CAUSES_FIRST and first.severity == "fail":
        # What follows from a dose that is not to be believed is no news beside it.
        return first.message
    contour = [
        f for f in ordered if f.rule.startswith(("contour.", "agreement.", "lungs.", "reference.")) and f.severity != "info"
    ]
    # The end of the contour says more than the Dice that fails because of it; no other warning comes before a fail.
    contour.sort(
        key=lambda f: (f.severity != "fail" and not f.rule.endswith("_end"), f.certainty != "fact", not f.rule.endswith("_end"))
    )
    if contour and (
        first.severity != "fail" or contour[0].severity == "fail" or first in contour or first.rule in _CONSEQUENCES
    ):
        first = contour[0]
    parts = [first.message]
    for rule in ("dose.mean_difference", "constraint.flips", "course.constraint_exceeded"):
        consequence = next((f for f in ordered if f.rule == rule), None)
        if consequence is not None and consequence.message not in parts:
            parts.append(consequence.message)
    return " ".join(parts)


#: Fails that a wrong contour brings about: the contour is the headline, and what it does to the dose follows.
_CONSEQUENCES = frozenset({"constraint.flips"})
