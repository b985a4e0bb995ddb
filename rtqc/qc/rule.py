"""What a rule is: a function from measurements and limits to hits, registered by id in one table."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from rtqc.cardiac import CARDIAC_RULES
from rtqc.core.finding import Certainty, Evidence, Finding, Severity
from rtqc.core.wording import counted
from rtqc.dicom import READING_RULES
from rtqc.dosimetry import dose_unit_of
from rtqc.qc.dose_unit import with_dose_unit
from rtqc.qc.measurements import Measurements
from rtqc.qc.protocol import Limit, Limits, Protocol


@dataclass(frozen=True)
class Hit:
    """A rule found something.

    Attributes:
        message: one sentence that a physicist understands.
        positions_mm: slice positions.
        measured: measured value.
        limit: the threshold; carries unit and source.
        structures, files: names of what it is about.
    """

    message: str
    positions_mm: tuple[float, ...] = ()
    measured: float | str | None = None
    limit: Limit | None = None
    structures: tuple[str, ...] = ()
    files: tuple[str, ...] = ()


Check = Callable[[Measurements, Limits], Iterable[Hit]]


@dataclass(frozen=True)
class Rule:
    """An entry of the catalogue.

    Attributes:
        id: stable name, ``topic.what``.
        severity, certainty: of its findings.
        about: one sentence for the catalogue.
        needs: ``trusted_draft`` rules are silent when the draft is not trusted.
    """

    id: str
    severity: Severity
    certainty: Certainty
    about: str
    check: Check
    needs: Literal["nothing", "trusted_draft"] = "nothing"


RULES: dict[str, Rule] = {}


def rule(
    id: str, severity: Severity, certainty: Certainty, about: str, needs: Literal["nothing", "trusted_draft"] = "nothing"
) -> Callable[[Check], Check]:
    """Register a function as a rule.

    Raises:
        ValueError: the id is taken.
    """

    def register(check: Check) -> Check:
        if id in RULES:
            raise ValueError(f"two rules are called {id}")
        RULES[id] = Rule(id, severity, certainty, about, check, needs)
        return check

    return register


def at_positions(positions: Iterable[float], most: int = 4) -> str:
    """Slice positions for a sentence."""
    values = sorted(positions)
    shown = ", ".join(f"{v:.1f}" for v in values[:most])
    return f"{shown} mm" if len(values) <= most else f"{shown} ... {values[-1]:.1f} mm ({counted(len(values), 'slice')})"


def with_error(value: float, error: float | None, unit: str) -> str:
    """A number of the draft for a sentence, with how far off it may be where that is known.

    >>> with_error(5.23, 1.9, "%"), with_error(5.23, None, "%")
    ('5.23 ± 1.90 %', '5.23 %')
    """
    return f"{value:.2f} {unit}" if error is None else f"{value:.2f} ± {error:.2f} {unit}"


def rule_ids() -> frozenset[str]:
    """Ids that a protocol's ``[severity]`` may name: the catalogue's, those of reading and those of measuring the heart."""
    return frozenset(RULES) | frozenset(READING_RULES) | frozenset(CARDIAC_RULES)


def run_rules(measurements: Measurements, protocol: Protocol, only: frozenset[str] | None = None) -> list[Finding]:
    """Every finding of every rule (or of some only), in the catalogue's order, with the protocol's severities."""
    findings: list[Finding] = []
    trusted = measurements.draft is not None and measurements.draft.trusted
    for entry in RULES.values():
        severity = protocol.severity.get(entry.id, entry.severity)
        if (only is not None and entry.id not in only) or severity == "off" or (entry.needs == "trusted_draft" and not trusted):
            continue
        findings += [_finding(entry, severity, hit) for hit in entry.check(measurements, protocol.limits)]
    return with_dose_unit(findings, dose_unit_of(measurements.case))


def with_severities(findings: Iterable[Finding], protocol: Protocol) -> list[Finding]:
    """Findings of reading, with the protocol's severities."""
    result = []
    for finding in findings:
        severity = protocol.severity.get(finding.rule, finding.severity)
        if severity != "off":
            result.append(finding.model_copy(update={"severity": severity}))
    return result


def _finding(entry: Rule, severity: Severity, hit: Hit) -> Finding:
    evidence = Evidence(
        positions_mm=tuple(round(float(p), 2) for p in hit.positions_mm),
        measured=round(hit.measured, 4) if isinstance(hit.measured, float) else hit.measured,
        limit=hit.limit.value if hit.limit else None,
        unit=hit.limit.unit if hit.limit else "",
        source=hit.limit.source if hit.limit else "",
        structures=hit.structures,
        files=hit.files,
    )
    return Finding(rule=entry.id, severity=severity, certainty=entry.certainty, message=hit.message, evidence=evidence)
