"""Findings -> verdict and the one sentence on top of the report."""

from __future__ import annotations

from rtqc.core.assessment import DoseComparison, Verdict
from rtqc.core.finding import Finding, worst_first
from rtqc.qc.undone import UNDONE_RULES

#: Without these nothing can be judged, whatever else was found.
_PREVENT_VERDICT = ("ct.absent", "ct.unusable", "structure_set.absent", "structure_set.unusable", *UNDONE_RULES)


def verdict_of(findings: list[Finding]) -> Verdict:
    """``error`` when no verdict is possible, ``flag`` when somebody must look, else ``pass``.

    A warning flags: it says that somebody must look. An info never does.
    """
    rules = {f.rule for f in findings}
    if rules & set(_PREVENT_VERDICT):
        return "error"
    if {"draft.no_heart", "contour.missing"} <= rules:
        return "error"
    return "flag" if any(f.severity in ("fail", "warning") for f in findings) else "pass"


def headline_of(verdict: Verdict, findings: list[Finding], dose: DoseComparison | None) -> str:
    """What is wrong and what it does to the dose, in one or two sentences."""
    ordered = worst_first(findings)
    if verdict == "pass":
        return "No rule asks for a second look."
    if verdict == "error":
        reason = next((f for f in ordered if f.rule in _PREVENT_VERDICT), ordered[0])
        return f"No verdict is possible. {reason.message}"
    contour = [
        f for f in ordered if f.rule.startswith(("contour.", "agreement.", "lungs.", "reference.")) and f.severity != "info"
    ]
    # The end of the contour says more than a Dice; a fact says more than either.
    contour.sort(key=lambda f: (f.certainty != "fact", not f.rule.endswith("_end"), f.severity != "fail"))
    parts = [(contour or ordered)[0].message]
    flip = next((f for f in ordered if f.rule == "constraint.flips"), None)
    change = next((f for f in ordered if f.rule == "dose.mean_difference"), None)
    course = next((f for f in ordered if f.rule == "course.constraint_exceeded"), None)
    for consequence in (change, flip, course):
        if consequence is not None and consequence.message not in parts:
            parts.append(consequence.message)
    return " ".join(parts)
