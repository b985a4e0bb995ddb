"""Each rule by a table: the plan that fires it and the one just inside its limit, and everything that it says."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rtqc.qc import RULES, load_protocol, run_rules
from tests.qc.rules import (
    agreement_rows,
    anatomy_rows,
    constraint_rows,
    contour_rows,
    course_rows,
    dose_rows,
    level_rows,
    plan_rows,
    population_rows,
)
from tests.qc.rules.table import GRADES, OF_THE_DRAFT, Fires, Silent, findings_of

TABLES = (
    agreement_rows, anatomy_rows, constraint_rows, contour_rows, course_rows, dose_rows, level_rows, plan_rows, population_rows,
)  # fmt: skip
ROWS = tuple(row for table in TABLES for row in table.ROWS)
FIRES = [row for row in ROWS if isinstance(row, Fires)]
SILENT = [row for row in ROWS if isinstance(row, Silent)]


def _name(row: Fires | Silent) -> str:
    return f"{row.rule}: {row.when}" + (f" ({row.nth + 1})" if isinstance(row, Fires) and row.hits > 1 else "")


@pytest.mark.parametrize("row", FIRES, ids=_name)
def test_the_rule_fires_and_says_what_where_and_how_much(row: Fires) -> None:
    found = findings_of(row.rule, row.given())
    assert len(found) == row.hits, [f.message for f in found]
    finding = found[row.nth]
    assert (finding.severity, finding.certainty) == GRADES[row.rule]
    for part in row.says:
        assert part in finding.message, finding.message
    for word in row.never:
        assert word not in finding.message, finding.message
    evidence = finding.evidence
    if isinstance(row.measured, float):
        # Evidence is written to four digits; doses have seven (float32).
        assert evidence.measured == pytest.approx(row.measured, abs=6e-5, rel=2e-7)
    else:
        assert evidence.measured == row.measured
    assert (evidence.limit, evidence.unit) == (row.limit, row.unit)
    assert bool(evidence.source) is (row.limit is not None)
    assert evidence.positions_mm == pytest.approx(row.positions_mm, abs=6e-3)
    assert (evidence.structures, evidence.files) == (row.structures, row.files)


@pytest.mark.parametrize("row", SILENT, ids=_name)
def test_the_rule_is_silent_just_inside_its_limit(row: Silent) -> None:
    assert [f.message for f in findings_of(row.rule, row.given())] == []


@pytest.mark.parametrize("row", [row for row in FIRES if row.rule in OF_THE_DRAFT], ids=_name)
def test_what_rests_on_the_draft_is_silent_where_that_is_not_trusted(row: Fires) -> None:
    measurements = row.given()
    assert measurements.draft is not None
    untrusted = replace(measurements, draft=replace(measurements.draft, trusted=False))
    assert findings_of(row.rule, untrusted) == []
    assert findings_of(row.rule, replace(measurements, draft=None)) == []


@pytest.mark.parametrize("row", [row for row in FIRES if row.rule not in OF_THE_DRAFT], ids=_name)
def test_what_follows_from_the_files_does_not_ask_whether_the_draft_is_trusted(row: Fires) -> None:
    measurements = row.given()
    if measurements.draft is not None:
        untrusted = replace(measurements, draft=replace(measurements.draft, trusted=False))
        assert len(findings_of(row.rule, untrusted)) == row.hits or row.rule.startswith("draft.")


def test_every_rule_has_a_row_that_fires_and_one_that_is_silent() -> None:
    """Whoever adds a rule adds its rows: a rule without them is one that nobody would miss."""
    assert set(GRADES) == set(RULES)
    assert set(RULES) - {row.rule for row in FIRES} == set()
    assert set(RULES) - {row.rule for row in SILENT} == set()
    assert {rule for rule, entry in RULES.items() if entry.needs == "trusted_draft"} == OF_THE_DRAFT


def test_the_grades_are_those_of_the_catalogue_and_a_protocol_changes_them() -> None:
    assert {rule: (entry.severity, entry.certainty) for rule, entry in RULES.items()} == GRADES
    row = FIRES[0]
    for severity in ("fail", "warning", "info"):
        protocol = load_protocol("heart").model_copy(update={"severity": {row.rule: severity}})
        assert run_rules(row.given(), protocol, frozenset({row.rule}))[0].severity == severity
    off = load_protocol("heart").model_copy(update={"severity": {row.rule: "off"}})
    assert run_rules(row.given(), off, frozenset({row.rule})) == []
