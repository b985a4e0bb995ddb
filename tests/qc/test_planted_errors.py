"""Every planted error raises its rule; a clean patient raises none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rtqc.core import Case, Finding
from rtqc.dicom import READING_RULES, read_case, read_cases
from rtqc.heart import Draft
from rtqc.phantom import PLANTED, Anatomy, SyntheticPlan, plant, synthetic_plan, write_plan
from rtqc.pipeline import Options, assess
from rtqc.qc import RULES
from tests.conftest import SMALL

#: Rules that no synthetic plan raises; each has its own test elsewhere.
TESTED_ELSEWHERE = {
    **{f"population.{what}": "tests/qc/test_population.py" for what in ("size", "place", "form", "density", "agreement")},
    "cardiac.calcium_and_dose": "tests/qc/test_cardiac_rules.py",
    "contour.area_jump": "planted as area_jumps",
    "protocol.other_model": "tests/qc/test_ends.py",
    "contour.unedited_draft": "tests/dicom/test_write_rtstruct.py",
    "file.unreadable": "tests/dicom/test_bad_input.py",
    "file.beyond_limits": "tests/fuzz/test_hostile.py",
    "file.decoder_died": "tests/fuzz/test_hostile.py",
    "structure_set.contours_beyond_limits": "tests/fuzz/test_hostile.py",
    "ct.absent": "tests/dicom/test_bad_input.py",
    "ct.unusable": "tests/dicom/test_bad_input.py",
    "ct.exported_twice": "tests/dicom/test_bad_input.py",
    "structure_set.roi_number": "tests/dicom/test_structures.py",
    "structure_set.contours_without_roi": "tests/dicom/test_structures.py",
    "structure_set.thickness_uncertain": "tests/cli/test_compare.py",
    "structure_set.numbers_merged": "tests/dicom/test_structures.py",
    "structure_set.geometric_type": "tests/dicom/test_structures.py",
    "reference.series_chosen": "tests/dicom/test_ct_series.py",
    "ct.frames_unusable": "tests/dicom/test_ct_series.py",
    "structure_set.absent": "tests/dicom/test_bad_input.py",
    "structure_set.unusable": "tests/dicom/test_bad_input.py",
    "plan.unusable": "tests/dicom/test_bad_input.py",
    "plan.absent": "tests/dicom/test_bad_input.py",
    "dose.absent": "tests/dicom/test_bad_input.py",
    "dose.frame_of_reference": "tests/dicom/test_references.py",
    "dose.second_calculation": "tests/qc/test_rules.py",
    "dose.planning_system": "tests/dosimetry/test_planning.py",
    "dose.planning_system_volume": "tests/dosimetry/test_planning.py",
    "dose.planning_dvh": "tests/dosimetry/test_planning.py",
    "dose.summation_absent": "tests/dicom/test_dose_parts.py",
    "dose.zero_part": "tests/dicom/test_dose_parts.py",
    "dose.rbe_weighted": "tests/dicom/test_ions_and_sources.py",
    "plan.brachytherapy": "tests/dicom/test_ions_and_sources.py",
    "contour.hole_or_piece": "tests/dicom/test_structures.py",
    "file.not_judged": "tests/dicom/test_ions_and_sources.py",
    "dose.small_structure": "tests/qc/test_protocols.py",
    **{
        f"course.{what}": "tests/qc/test_course.py"
        for what in (
            "constraint_above_ideal",
            "may_exceed",
            "unapproved_would_exceed",
            "not_summed",
            "uncertain",
            "summed",
            "superseded",
            "left_out",
            "sum_differs",
        )
    },
    "constraint.not_assessed": "tests/qc/test_protocols.py",
    "protocol.converted": "tests/qc/test_protocols.py",
    "anatomy.heart_in_target": "tests/qc/test_anatomy.py",
    "approval.contours_unapproved": "tests/qc/test_approval.py",
    "respiration.state": "tests/qc/test_respiration.py",
    "reference.same_uid": "tests/dicom/test_belonging.py",
    "structure_set.contours_left_out": "tests/dicom/test_belonging.py",
    "plan.several": "tests/dicom/test_references.py",
    "plan.several_prescriptions": "tests/dicom/test_plan.py",
    "plan.prescription_per_beam": "tests/dicom/test_plan.py",
    "plan.fraction_groups": "tests/dicom/test_plan.py",
    "plan.prescription_unusable": "tests/dicom/test_plan.py",
    "plan.prescription_to_point": "tests/dicom/test_plan.py",
    "plan.target_is_organ": "tests/dicom/test_plan.py",
}


@pytest.fixture(scope="module")
def cpu() -> Options:
    return Options(device="cpu", second_check=False)


def test_a_clean_patient_raises_nothing(clean_case: Case, clean_draft: Draft) -> None:
    assessment = assess(clean_case, Options(device="cpu"), clean_draft)
    assert [f"{f.rule}: {f.message}" for f in assessment.findings] == []
    assert assessment.verdict == "pass"


def test_a_clean_man_with_a_deep_breath_and_a_right_sided_plan_raises_nothing(tmp_path: Path, cpu: Options) -> None:
    anatomy = Anatomy(
        half_width_mm=178, half_depth_mm=122, breath_mm=18, breast_mm=14, side="right", heart_scale=1.05, texture_seed=3
    )
    folder = write_plan(synthetic_plan(anatomy, SMALL, key="man"), tmp_path)
    assessment = assess(read_case(folder), cpu)
    assert [f"{f.rule}: {f.message}" for f in assessment.findings] == []


@pytest.mark.parametrize("name", PLANTED)
def test_planted_error_raises_its_rule(
    name: str, clean_plan: SyntheticPlan, clean_draft: Draft, tmp_path: Path, cpu: Options
) -> None:
    entry = PLANTED[name]
    case = read_cases(write_plan(plant(clean_plan, name), tmp_path))[0]
    assessment = assess(case, cpu, None if entry.changes_ct else clean_draft)
    found = {f.rule: f for f in assessment.findings}
    assert entry.rule in found, f"{sorted(found)}: {assessment.headline}"
    # An info tells and does not flag.
    assert assessment.verdict != "pass" or found[entry.rule].severity == "info"
    _is_worth_reading(found[entry.rule])
    if entry.rule.startswith("contour.") and found[entry.rule].evidence.positions_mm:
        low, high = clean_plan.study.image.grid.positions_mm[[0, -1]]
        assert all(low - 5 <= p <= high + 5 for p in found[entry.rule].evidence.positions_mm)


def _is_worth_reading(finding: Finding) -> None:
    assert finding.message.endswith(".")
    assert 20 < len(finding.message) < 400
    rule = RULES.get(finding.rule)
    severity = rule.severity if rule else READING_RULES[finding.rule][0]
    assert finding.severity == severity


def test_every_rule_is_raised_by_a_planted_error_or_tested_elsewhere() -> None:
    planted = {entry.rule for entry in PLANTED.values()}
    rules = set(RULES) | set(READING_RULES)
    assert planted <= rules
    assert rules - planted - set(TESTED_ELSEWHERE) == set()


def test_there_are_at_least_fifteen_planted_errors_each_with_a_magnitude() -> None:
    assert len(PLANTED) >= 15
    assert all(entry.magnitude > 0 and entry.unit and entry.about for entry in PLANTED.values())


def test_an_unknown_planted_error_names_the_known_ones(clean_plan: SyntheticPlan) -> None:
    with pytest.raises(KeyError, match="apex_cut"):
        plant(clean_plan, "nonsense")


def test_the_forgotten_slices_are_named(clean_plan: SyntheticPlan, clean_draft: Draft, tmp_path: Path, cpu: Options) -> None:
    planes = list(clean_plan.structures["Heart"].planes)
    k = len(planes) // 2
    case = read_case(write_plan(plant(clean_plan, "slices_not_contoured", 2), tmp_path))
    finding = next(f for f in assess(case, cpu, clean_draft).findings if f.rule == "contour.slice_missing")
    assert finding.evidence.positions_mm == pytest.approx(planes[k : k + 2], abs=0.01)


def test_the_same_case_gives_the_same_json_twice(clean_folder: Path, cpu: Options) -> None:
    documents = []
    for _ in range(2):
        document = json.loads(assess(read_case(clean_folder), cpu).model_dump_json())
        del document["run"]
        documents.append(json.dumps(document))
    assert documents[0] == documents[1]
