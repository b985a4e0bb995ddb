"""Rules at their thresholds, and the verdict."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rtqc.core import Case, Finding
from rtqc.core.assessment import CheckedPart, DoseComparison, DoseMetrics
from rtqc.core.finding import CAUSES_FIRST, worst_first
from rtqc.heart import Draft
from rtqc.pipeline import Options, assess
from rtqc.qc import RULES, Measurements, Protocol, ProtocolError, headline_of, load_protocol, rule_ids, run_rules, verdict_of

#: What a pass of a whole plan must have checked.
WHOLE: tuple[CheckedPart, ...] = ("contour", "dose", "plan", "image")


def _fired(measurements: Measurements, protocol: Protocol | None = None) -> dict[str, Finding]:
    return {f.rule: f for f in run_rules(measurements, protocol or load_protocol())}


def _finding(rule: str, severity: str = "warning") -> Finding:
    return Finding(rule=rule, severity=severity, certainty="fact", message=f"{rule} happened.")  # type: ignore[arg-type]


def test_every_limit_of_the_protocol_has_a_source() -> None:
    protocol = load_protocol()
    for name, limit in protocol.limits.model_dump().items():
        assert len(limit["source"]) > 10, name
    assert all(len(c.source) > 5 for c in protocol.constraints)


def test_the_second_calculation_speaks_when_means_differ(clean_case: Case) -> None:
    limit = load_protocol().limits.dose_second_calculation.value
    for change, fires in ((limit + 0.01, True), (limit - 0.01, False)):
        dose = DoseComparison(
            contoured=DoseMetrics(mean_gy=2.0, covered_percent=100.0), second_calculation=DoseMetrics(mean_gy=2.0 + change)
        )
        assert ("dose.second_calculation" in _fired(Measurements(clean_case, dose=dose))) is fires


def test_rules_that_rest_on_the_draft_are_silent_when_it_is_not_trusted(clean_case: Case, clean_draft: Draft) -> None:
    far = replace(clean_draft, trusted=False, doubts=("it is a test",))
    cut = {w: a for w, a in clean_draft.structure.planes.items() if w > 10}
    far = replace(far, structure=replace(clean_draft.structure, planes=cut))
    rules = {f.rule for f in assess(clean_case, Options(device="cpu", second_check=False), far).findings}
    assert rules == {"draft.untrusted"}
    trusted = replace(far, trusted=True, doubts=())
    rules = {f.rule for f in assess(clean_case, Options(device="cpu", second_check=False), trusted).findings}
    assert {"agreement.lower_end", "agreement.dice"} <= rules


def test_a_protocol_turns_rules_off_and_changes_their_severity(clean_case: Case, clean_draft: Draft) -> None:
    half = {w: a for w, a in clean_draft.structure.planes.items() if w > 10}
    draft = replace(clean_draft, structure=replace(clean_draft.structure, planes=half))
    protocol = load_protocol().model_copy(update={"severity": {"agreement.dice": "info", "agreement.lower_end": "off"}})
    found = {
        f.rule: f.severity for f in assess(clean_case, Options(protocol, device="cpu", second_check=False), draft).findings
    }
    assert found["agreement.dice"] == "info"
    assert "agreement.lower_end" not in found


def test_the_verdict_is_the_worst_that_was_found() -> None:
    assert verdict_of([], WHOLE) == "pass"
    assert verdict_of([_finding("x", "info")], WHOLE) == "pass"
    assert verdict_of([_finding("x", "warning")], WHOLE) == "flag"
    assert verdict_of([_finding("ct.absent", "fail")], WHOLE) == "error"


@pytest.mark.parametrize("missing", WHOLE)
def test_what_was_not_checked_is_not_passed_whatever_the_findings_say(missing: CheckedPart) -> None:
    checked = [part for part in WHOLE if part != missing]
    assert verdict_of([], checked) == "flag"
    assert missing in headline_of("flag", [], None, checked)


def test_a_verdict_on_the_contour_needs_contour_and_image_only() -> None:
    assert verdict_of([], ["contour", "image"], "contour") == "pass"
    assert verdict_of([], ["image"], "contour") == "flag"
    assert verdict_of([], ["contour"], "contour") == "flag"
    assert "contour only" in headline_of("pass", [], None, ["contour", "image"], "contour")


def test_a_dose_that_fails_comes_before_a_warning_of_the_contour() -> None:
    exceeded = _finding("constraint.exceeded", "fail")
    assert headline_of("flag", [_finding("contour.hole"), exceeded], None).startswith("constraint.exceeded")
    assert headline_of("flag", [_finding("contour.missing", "fail"), exceeded], None).startswith("contour.missing")
    assert headline_of("flag", [_finding("contour.hole"), _finding("agreement.dice", "fail")], None).startswith(
        "agreement.dice"
    )


def test_the_headline_puts_the_contour_first_and_then_the_dose() -> None:
    findings = [
        _finding("agreement.dice", "fail"), _finding("agreement.lower_end"), _finding("dose.mean_difference"), _finding("constraint.flips", "fail"),
    ]  # fmt: skip
    text = headline_of("flag", findings, None)
    assert text == "agreement.lower_end happened. dose.mean_difference happened. constraint.flips happened."


@pytest.mark.parametrize("end", ["agreement.upper_end", "agreement.lower_end"])
def test_the_end_that_a_contour_lacks_says_more_than_the_dice_that_fails_of_it(end: str) -> None:
    given = (_finding("agreement.dice", "fail"), _finding("agreement.volume"), _finding(end))
    findings = [f.model_copy(update={"certainty": "estimate"}) for f in given]
    assert headline_of("flag", findings, None) == f"{end} happened."
    # No other warning comes before a fail, and a fail that is a fact comes before all of it.
    assert headline_of("flag", findings[:2], None) == "agreement.dice happened."
    assert headline_of("flag", [*findings, _finding("contour.slice_missing", "fail")], None).startswith("contour.slice_missing")


def test_a_flipped_limit_comes_before_everything_else_that_fails() -> None:
    exceeded = _finding("constraint.exceeded", "fail").model_copy(update={"certainty": "fact"})
    ordered = worst_first(
        [_finding("contour.hole"), exceeded, _finding("agreement.dice", "fail"), _finding("constraint.flips", "fail")]
    )
    assert [f.rule for f in ordered] == ["constraint.flips", "constraint.exceeded", "agreement.dice", "contour.hole"]


@pytest.mark.parametrize(
    "cause",
    ["dose.level", "dose.zero", "plan.prescription_implausible", "side.contradiction", "reference.dose_plan", "reference.patient"],
)  # fmt: skip
def test_a_dose_or_plan_that_is_not_to_be_believed_comes_before_the_limits_that_it_exceeds(cause: str) -> None:
    consequences = [
        _finding(rule, "fail") for rule in ("constraint.exceeded", "constraint.flips", "course.constraint_exceeded")
    ]
    findings = [*consequences, _finding("agreement.dice", "fail"), _finding("contour.hole"), _finding(cause, "fail")]
    assert worst_first(findings)[0].rule == cause
    assert headline_of("flag", findings, None) == f"{cause} happened."


def test_the_cause_of_a_cause_comes_first() -> None:
    rules = ("side.contradiction", "dose.level", "plan.prescription_implausible", "reference.dose_plan")
    ordered = worst_first(_finding(rule, "fail") for rule in rules)
    assert [f.rule for f in ordered] == [*reversed(rules)]


def test_a_cause_that_is_a_warning_only_does_not_come_before_a_fail() -> None:
    findings = [_finding("dose.level"), _finding("constraint.exceeded", "fail")]
    assert worst_first(findings)[0].rule == "constraint.exceeded"
    assert headline_of("flag", findings, None) == "constraint.exceeded happened."


def test_every_cause_is_a_rule() -> None:
    assert set(CAUSES_FIRST) <= rule_ids()


def test_a_severity_for_an_unknown_rule_names_the_nearest(tmp_path) -> None:  # type: ignore[no-untyped-def]
    from importlib.resources import files

    text = (files("rtqc.qc") / "protocols" / "heart.toml").read_text(encoding="utf-8")
    (tmp_path / "p.toml").write_text(text.replace("[severity]", '[severity]\n"agreement.dise" = "off"'))
    with pytest.raises(ProtocolError, match=r"did you mean 'agreement\.dice'"):
        load_protocol(str(tmp_path / "p.toml"), rule_ids())
    (tmp_path / "q.toml").write_text("name = ")
    with pytest.raises(ProtocolError, match="not valid TOML"):
        load_protocol(str(tmp_path / "q.toml"))


def test_the_catalogue_is_documented() -> None:
    from pathlib import Path

    text = (Path(__file__).resolve().parents[2] / "docs" / "rules.md").read_text(encoding="utf-8")
    for rule in rule_ids():
        assert f"`{rule}`" in text, rule
    assert all(entry.about.endswith(".") for entry in RULES.values())
