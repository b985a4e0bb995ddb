"""From measured contours to habit, limits, criteria and a protocol; numbers drawn from known distributions stand for contours."""

from __future__ import annotations

import html
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from rtqc.nightly.commissioning.comparison import compared, read_report
from rtqc.nightly.commissioning.learn import Archive, learned
from rtqc.nightly.commissioning.page import commissioning_page
from rtqc.nightly.commissioning.protocol_file import write_protocol
from rtqc.nightly.commissioning.result import CaseLeftOut, CaseMeasured, CommissioningReport
from rtqc.nightly.places import PlaceError
from rtqc.qc import load_protocol, population_of, rule_ids

ARCHIVE = Archive(
    "2026-11-27", "/archive", "heart-v1", "ab" * 32, "cpu", "host", "0.1", load_protocol("breast"), Counter({"breast": 12})
)


def contours(
    count: int, upper: float = -20.0, spread: float = 4.0, volume: float = 5.0, seed: int = 1, first: int = 0
) -> list[CaseMeasured]:
    """Contours of a clinic with this habit; ends in slices of 3 mm."""
    rng = np.random.default_rng(seed)
    return [
        CaseMeasured(
            key=f"k{first + n:03d}", patient_id=f"P{first + n:03d}", plan_label="Breast_L", plan_date="20260901", protocol="breast",
            rtstruct_uid=f"1.2.{first + n}", heart="Heart", dice=float(np.clip(rng.normal(0.94, 0.01), 0, 1)), whole_dice=0.88,
            hausdorff95_mm=float(rng.normal(6, 1)), mean_surface_distance_mm=float(rng.normal(2, 0.3)), volume_percent=float(rng.normal(volume, 2)),
            upper_end_mm=3 * round(rng.normal(upper, spread) / 3), lower_end_mm=3 * round(rng.normal(0, 3) / 3), contoured_mean_gy=2.0 + 0.1 * n,
            draft_mean_gy=2.0 + 0.1 * n + float(rng.normal(0.05, 0.1)), predicted_dice=0.92, slice_spacing_mm=3.0, verdict="pass",
        )
        for n in range(count)
    ]  # fmt: skip


def untrusted(count: int) -> list[CaseLeftOut]:
    return [
        CaseLeftOut(key=f"u{n}", patient_id=f"U{n}", kind="untrusted", why="the expected Dice is 0.70") for n in range(count)
    ]


def test_ten_contours_tell_the_habit_of_the_ends() -> None:
    for seed in range(5):
        report, _ = learned(contours(10, seed=seed), [], ARCHIVE)
        habit = report.upper_end_habit
        assert habit is not None
        assert habit.low <= -20 + 3
        assert habit.high >= -20 - 3
        assert abs(habit.median + 20) < 5
        assert habit.limit > 9
    assert report.volume_habit is not None
    assert report.volume_habit.median == pytest.approx(5, abs=3)


def test_a_clinic_that_is_like_the_drafts_but_for_its_habit_is_accepted() -> None:
    report, rules = learned(contours(30), untrusted(3), ARCHIVE)
    assert [(c.id, c.met) for c in report.criteria if not c.met] == []
    assert report.accepted
    assert report.untrusted.percent == pytest.approx(100 * 3 / 33, abs=0.1)
    assert report.flagged_with_proposal.percent <= 10
    assert rules.upper_end is not None
    assert abs(-20 - rules.upper_end.median) <= rules.upper_end.limit < 20


def test_each_limit_is_told_with_the_false_flags_that_it_would_have() -> None:
    report, _ = learned(contours(40), [], ARCHIVE)
    rows = {x.name: x for x in report.limits}
    upper = rows["Upper end, from the clinic's median"]
    # Contours begin 20 mm below the draft: the shipped 15 mm flag most of them, the clinic's own limit hardly any.
    assert upper.shipped_rate.percent > 70
    assert upper.proposed_rate.percent < 10
    assert upper.proposed_rate.high_percent > upper.proposed_rate.percent
    assert rows["Dice"].proposed <= 0.90


def test_proposed_limits_flag_about_as_many_new_contours_of_the_clinic_as_they_say() -> None:
    flagged = []
    for seed in range(30):
        _, rules = learned(contours(15, seed=seed), [], ARCHIVE)
        flagged += [bool(rules.flags(c)) for c in contours(20, seed=1000 + seed)]
    # Six limits of one in a hundred each.
    assert np.mean(flagged) < 0.08


def test_an_error_beyond_the_habit_is_flagged_and_does_not_spoil_the_limits() -> None:
    wrong = [c.model_copy(update={"upper_end_mm": 12.0}) for c in contours(2, first=90)]
    report, rules = learned([*contours(14), *wrong], [], ARCHIVE)
    assert rules.upper_end is not None
    assert rules.upper_end.median == pytest.approx(-20, abs=4)
    assert all("upper_end" in c.flagged_by for c in report.cases if c.patient_id in ("P090", "P091"))
    assert sum("upper_end" in c.flagged_by for c in report.cases) == 2


def test_two_habits_are_said_and_no_median_of_both_is_written(tmp_path: Path) -> None:
    cases = [*contours(8), *contours(8, upper=9, seed=2, first=50)]
    report, rules = learned(cases, [], ARCHIVE)
    assert [h.end for h in report.two_habits] == ["upper"]
    assert len(report.two_habits[0].lower_keys) == 8
    assert rules.upper_end is None
    assert rules.lower_end is not None
    assert not report.accepted
    assert "two habits" in report.notes[0]
    write_protocol(report, rules, None, "breast", tmp_path)
    written = load_protocol(str(tmp_path / "protocol.toml"), rule_ids()).commissioned
    assert written is not None
    assert written.upper_end_mm is None


def test_five_cases_are_too_few_and_the_shipped_limits_stay(tmp_path: Path) -> None:
    report, rules = learned(contours(5), [], ARCHIVE)
    assert not report.accepted
    assert "5 contours are too few" in report.notes[0]
    assert {c.id: c.met for c in report.criteria}["cases"] is False
    assert {c.id: c.met for c in report.criteria}["false_flags"] is None
    assert rules.limits == {}
    write_protocol(report, rules, None, "breast", tmp_path)
    written = load_protocol(str(tmp_path / "protocol.toml"), rule_ids())
    assert written.limits == load_protocol("breast").limits
    assert not (tmp_path / "population.toml").exists()
    for count in (0, 1, 2):
        assert not learned(contours(count), untrusted(2), ARCHIVE)[0].accepted


def test_the_protocol_that_is_written_is_the_one_that_was_learned(tmp_path: Path) -> None:
    report, rules = learned(contours(12), [], ARCHIVE)
    rng = np.random.default_rng(4)
    population = population_of([{"volume_ml": float(rng.normal(700, 80))} for _ in range(12)], 'a "clinic"', "us\n", 10)
    write_protocol(report, rules, population, "breast", tmp_path)
    protocol = load_protocol(str(tmp_path / "protocol.toml"), rule_ids())
    assert protocol.commissioned is not None
    assert protocol.commissioned.upper_end_mm == rules.upper_end
    assert protocol.commissioned.model_hash == ARCHIVE.model_hash
    assert protocol.commissioned.population == population
    assert protocol.limits.agreement_dice.value == rules.limits["agreement_dice"]
    assert "rtqc commission" in protocol.limits.agreement_dice.source
    assert protocol.constraints == load_protocol("breast").constraints


def test_more_contours_make_limits_closer_and_medians_surer() -> None:
    few, many = (learned(contours(n, seed=8), [], ARCHIVE)[0] for n in (10, 60))
    assert few.upper_end_habit is not None
    assert many.upper_end_habit is not None
    assert many.upper_end_habit.high - many.upper_end_habit.low < few.upper_end_habit.high - few.upper_end_habit.low
    widths = [p.upper_end_mm for p in many.precision if p.upper_end_mm is not None]
    assert widths == sorted(widths, reverse=True)


def test_after_an_update_the_same_contours_are_compared(tmp_path: Path) -> None:
    before, _ = learned(contours(12), untrusted(1), ARCHIVE)
    (tmp_path / "commissioning.json").write_text(before.model_dump_json())
    changed = [c.model_copy(update={"dice": c.dice - 0.02, "upper_end_mm": c.upper_end_mm + 3}) for c in contours(11)]
    now, _ = learned([*changed, *contours(3, first=70)], [], replace(ARCHIVE, model="heart-v2", model_hash="cd" * 32))
    found = compared(now, read_report(tmp_path), "old")
    assert found.same_cases == 11
    assert (found.model, found.model_hash) == ("heart-v1", "ab" * 32)
    rows = {c.name: c for c in found.changed}
    assert rows["Dice between the ends"].difference == pytest.approx(-0.02, abs=1e-4)
    assert rows["Upper end, contour minus draft"].difference == pytest.approx(3)
    with pytest.raises(PlaceError, match="cannot be read"):
        read_report(tmp_path / "nowhere")
    (tmp_path / "commissioning.json").write_text("{}")
    with pytest.raises(PlaceError, match="not a commissioning"):
        read_report(tmp_path)


def test_the_report_is_one_page_that_says_what_the_json_says(tmp_path: Path) -> None:
    cases = [c.model_copy(update={"patient_id": f"<b>{c.patient_id}</b>"}) for c in contours(12)]
    report, _ = learned(cases, untrusted(2), ARCHIVE)
    page = commissioning_page(report, tmp_path)
    assert "<b>P00" not in page
    assert "<script" not in page
    for criterion in report.criteria:
        assert html.escape(criterion.about).replace("&#x27;", "&#39;") in page
    assert "Vandewinckele" in page
    assert "Signature" in page
    assert "Bland–Altman" in page
    empty, _ = learned([], untrusted(1), ARCHIVE)
    assert "Too few contours" in commissioning_page(empty, tmp_path)


def test_the_json_keeps_its_schema() -> None:
    report, _ = learned(contours(12), untrusted(2), ARCHIVE)
    schema = json.loads((Path(__file__).resolve().parents[2] / "docs" / "commissioning.schema.json").read_text())
    jsonschema.validate(json.loads(report.model_dump_json()), schema)
    assert CommissioningReport.model_validate_json(report.model_dump_json()) == report
