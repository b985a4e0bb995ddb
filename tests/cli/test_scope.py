"""A pass is a promise: what was not checked is not passed, unless less was asked for, and then it is said."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rtqc.core import Assessment, Case
from rtqc.heart import Draft
from rtqc.pipeline import Options, assess, assess_fully
from rtqc.report import render_report
from tests.cli.run import rtqc
from tests.conftest import real


def _whole(case: Case, draft: Draft, **how: object) -> Assessment:
    return assess(case, Options(device="cpu", second_check=False, **how), draft)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("removed", "rule", "part"), [("RTDOSE.dcm", "dose.absent", "dose"), ("RTPLAN.dcm", "plan.absent", "plan")]
)
def test_a_plan_without_dose_or_plan_file_does_not_pass(folder: Path, removed: str, rule: str, part: str) -> None:
    (folder / removed).unlink()
    outcome = rtqc("check", folder, "--device", "cpu", "--json")
    assert outcome.status == 1
    assert outcome.document["verdict"] == "flag"
    assert part not in outcome.document["checked"]
    assert outcome.document["scope"] == "plan"
    message = outcome.findings(rule)[0]["message"]
    assert "--scope contour" in message


def test_the_same_passes_for_the_contour_only_when_that_was_asked_for_and_says_so(folder: Path, tmp_path: Path) -> None:
    (folder / "RTDOSE.dcm").unlink()
    (folder / "RTPLAN.dcm").unlink()
    outcome = rtqc("check", folder, "--device", "cpu", "--scope", "contour", "--out", tmp_path / "out")
    assert outcome.status == 0
    assert "passed for the contour only" in " ".join(outcome.out.split())
    assert outcome.out.startswith("PASSED, contour only ")
    document = json.loads((tmp_path / "out" / "assessment.json").read_text())
    assert (document["verdict"], document["scope"], document["checked"]) == ("pass", "contour", ["contour", "image"])
    assert document["findings"] == []
    assert document["constraints"] == []
    assert document["dose"] is None
    report = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "passed for the contour only" in report
    assert "Passed, contour only</p>" in report
    assert '<body class="verdict-pass scope-contour">' in report


def test_a_whole_plan_says_that_everything_was_checked(clean_case: Case, clean_draft: Draft) -> None:
    assessed = assess_fully(clean_case, Options(device="cpu", second_check=False), clean_draft)
    assert assessed.assessment.verdict == "pass"
    assert assessed.assessment.checked == ("contour", "dose", "plan", "image")
    assert "contour, dose, plan and image checked" in render_report(assessed)


def test_a_dose_that_fails_is_no_concern_of_a_verdict_on_the_contour(clean_case: Case, clean_draft: Draft) -> None:
    from rtqc.phantom import plant  # noqa: F401  (the catalogue is what makes such plans)

    assert clean_case.dose is not None
    hot = type(clean_case.dose)(clean_case.dose.grid, clean_case.dose.gy * 30)
    from dataclasses import replace

    case = replace(clean_case, dose=hot)
    assert _whole(case, clean_draft).verdict == "flag"
    narrow = _whole(case, clean_draft, scope="contour")
    assert narrow.verdict == "pass"
    assert narrow.dose is None


def test_more_plans_of_the_patient_are_no_concern_of_a_verdict_on_the_contour(clean_case: Case, clean_draft: Draft) -> None:
    from dataclasses import replace

    crowded = replace(clean_case, companions_left_out=30)
    assert "course.not_summed" in {f.rule for f in _whole(crowded, clean_draft).findings}
    assert _whole(crowded, clean_draft, scope="contour").findings == ()


def test_a_severity_that_a_clinic_turned_off_makes_no_pass_of_what_was_not_checked(
    clean_case: Case, clean_draft: Draft
) -> None:
    from dataclasses import replace

    from rtqc.qc import load_protocol

    silent = load_protocol().model_copy(update={"severity": {"dose.absent": "off"}})
    assessment = _whole(replace(clean_case, dose=None), clean_draft, protocol=silent)
    assert assessment.verdict == "flag"
    assert "dose could not be" in assessment.headline


def test_a_contour_that_is_wrong_is_flagged_in_either_scope(clean_case: Case, clean_draft: Draft) -> None:
    from dataclasses import replace

    others = tuple(r for r in clean_case.rois if r.structure.name != "Heart")
    assert _whole(replace(clean_case, rois=others), clean_draft, scope="contour").verdict == "flag"


def test_a_real_ct_with_its_contour_alone_does_not_pass() -> None:
    outcome = rtqc("check", real("heart-ct", "0187"), "--device", "cpu", "--json")
    assert outcome.status == 1
    assert outcome.document["checked"] == ["contour", "image"]
    assert {"dose.absent", "plan.absent"} <= {f["rule"] for f in outcome.document["findings"]}
