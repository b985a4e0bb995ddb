"""Why a case could not be assessed at all, beyond what its files say."""

from __future__ import annotations

from datetime import UTC, datetime

from rtqc.core.assessment import Assessment, CaseSummary, Run
from rtqc.core.finding import Evidence, Finding
from rtqc.core.version import rtqc_version

#: Rule -> one sentence for the catalogue. All are fails and facts, and allow no verdict.
UNDONE_RULES: dict[str, str] = {
    "model.unusable": "The heart model cannot be used.",
    "run.failed": "The check met something that nobody foresaw.",
    "run.killed": "The process that checked it died twice: out of memory, or a crash in a decoder.",
    "run.memory_limit": "The check took more memory than it may.",
    "run.time_limit": "The check took longer than it may.",
}


def undone_finding(rule: str, message: str, files: tuple[str, ...] = ()) -> Finding:
    """A finding of one of these rules.

    Raises:
        KeyError: there is no such rule.
    """
    if rule not in UNDONE_RULES:
        raise KeyError(rule)
    return Finding(rule=rule, severity="fail", certainty="fact", message=message, evidence=Evidence(files=files))


def undone(case: CaseSummary, finding: Finding) -> Assessment:
    """An assessment without a verdict."""
    return Assessment(
        verdict="error",
        headline=f"No verdict is possible. {finding.message}",
        case=case,
        findings=(finding,),
        run=Run(started=datetime.now(UTC).astimezone().isoformat(timespec="seconds"), versions={"rtqc": rtqc_version()}),
    )
