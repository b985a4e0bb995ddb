"""RTPLAN: prescription, target and fractions, however the planning system wrote them; a finding for each way it did not."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable
from pathlib import Path

import pydicom
import pytest
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from rtqc.core import Case, Finding
from rtqc.core.case import Prescription
from rtqc.dicom import read_case
from rtqc.heart import Draft
from rtqc.pipeline import Options, assess
from rtqc.qc import Measurements, load_protocol, run_rules
from tests.conftest import real
from tests.dicom.test_bad_input import finding


def changed(folder: Path, change: Callable[[Dataset], None]) -> Path:
    """The folder with its plan changed."""
    plan = pydicom.dcmread(folder / "RTPLAN.dcm")
    change(plan)
    plan.save_as(folder / "RTPLAN.dcm")
    return folder


def reference(dose: float, kind: str, description: str = "", roi: int | None = None) -> Dataset:
    """An item of the Dose Reference Sequence."""
    item = Dataset()
    item.DoseReferenceStructureType, item.DoseReferenceType = kind, "TARGET"
    item.TargetPrescriptionDose = f"{dose:g}"
    if description:
        item.DoseReferenceDescription = description
    if roi is not None:
        item.ReferencedROINumber = roi
    return item


def found(folder: Path, draft: Draft) -> dict[str, Finding]:
    """Every finding of an assessment."""
    return {f.rule: f for f in assess(read_case(folder), Options(device="cpu", second_check=False), draft).findings}


def test_the_real_plan_prescribes_to_the_breast_before_a_calculation_point() -> None:
    plan = read_case(real("breast-plan")).plan
    assert plan is not None
    assert plan.prescriptions[0] == Prescription(14.0, "Breast", "target")
    assert plan.prescriptions[1].stated_for == "point"
    assert (plan.fractions, plan.beams, plan.fraction_groups) == (7, 4, 1)


def test_targets_come_before_points_and_take_their_rois_name(folder: Path, clean_draft: Draft) -> None:
    def change(plan: Dataset) -> None:
        plan.DoseReferenceSequence = [
            reference(50, "POINT", "ref"),
            reference(40.05, "VOLUME", roi=2),
            reference(48, "SITE", "Boost"),
        ]

    case = read_case(changed(folder, change))
    assert case.plan is not None
    assert [(p.dose_gy, p.target) for p in case.plan.prescriptions] == [(48, "Boost"), (40.05, "Heart"), (50, "ref")]
    several = found(folder, clean_draft)["plan.several_prescriptions"]
    assert "48 Gy to Boost, 40.05 Gy to Heart, 50 Gy to ref" in several.message
    assert several.severity == "info"


def test_a_prescription_per_beam_only_is_added_up_over_beams_and_fractions(folder: Path, clean_draft: Draft) -> None:
    def change(plan: Dataset) -> None:
        del plan.DoseReferenceSequence
        for beam, dose in zip(plan.FractionGroupSequence[0].ReferencedBeamSequence, ("1.4", "1.27"), strict=True):
            beam.BeamDose = dose

    plan = read_case(changed(folder, change)).plan
    assert plan is not None
    assert plan.prescriptions == (Prescription(40.05, "", "beams"),)
    findings = found(folder, clean_draft)
    assert "40.05 Gy" in findings["plan.prescription_per_beam"].message
    assert "plan.prescription_missing" not in findings


@pytest.fixture
def plan_alone(clean_folder: Path, tmp_path: Path) -> Path:
    """A plan with its dose and without CT and contours: reading it takes no time."""
    for name in ("RTPLAN.dcm", "RTDOSE.dcm"):
        shutil.copy(clean_folder / name, tmp_path / name)
    return tmp_path


def spoken(case: Case) -> dict[str, Finding]:
    """Findings of reading and of the rules about plans, by rule."""
    found = [*case.findings, *run_rules(Measurements(case), load_protocol())]
    return {f.rule: f for f in found if f.rule.startswith("plan.")}


def beam_doses(plan: Dataset, *doses: str) -> None:
    for beam, dose in zip(plan.FractionGroupSequence[0].ReferencedBeamSequence, doses, strict=True):
        beam.BeamDose = dose


@pytest.mark.parametrize(("stated", "said"), [(b"0", "0"), (b"-50", "-50"), (b"fifty ", "fifty"), (b"0.0 ", "0")])
def test_a_prescription_that_is_no_dose_is_said_and_left_out(plan_alone: Path, stated: bytes, said: str) -> None:
    def change(plan: Dataset) -> None:
        tag = Tag("TargetPrescriptionDose")
        wrong = reference(1, "SITE", "Boost")
        wrong._dict[tag] = RawDataElement(tag, "DS", len(stated), stated, 0, False, True, True)
        plan.DoseReferenceSequence.append(wrong)

    case = read_case(changed(plan_alone, change))
    assert case.plan is not None
    assert [(p.dose_gy, p.target) for p in case.plan.prescriptions] == [(40.05, "Breast")]
    note = spoken(case)["plan.prescription_unusable"]
    assert note.severity == "warning"
    assert f"RTPLAN.dcm states a prescription of {said} Gy to Boost, which is no dose" in note.message


def test_a_plan_whose_only_prescription_is_zero_says_it_once(plan_alone: Path) -> None:
    def change(plan: Dataset) -> None:
        plan.DoseReferenceSequence = [reference(0, "SITE", "Breast")]

    said = spoken(read_case(changed(plan_alone, change)))
    assert "plan.prescription_unusable" in said
    assert "plan.prescription_missing" not in said


def test_an_organs_limit_and_an_empty_dose_are_no_prescriptions(plan_alone: Path) -> None:
    def change(plan: Dataset) -> None:
        organ, empty = reference(0, "SITE", "Heart"), reference(1, "SITE", "Boost")
        organ.DoseReferenceType, empty.TargetPrescriptionDose = "ORGAN_AT_RISK", None
        plan.DoseReferenceSequence += [organ, empty]

    assert spoken(read_case(changed(plan_alone, change))) == {}


@pytest.mark.parametrize("dose", [4005, 5000])
def test_a_prescription_in_centigray_is_no_dose_in_gray(plan_alone: Path, dose: float) -> None:
    def change(plan: Dataset) -> None:
        plan.DoseReferenceSequence = [reference(dose, "SITE", "Breast")]

    found = spoken(read_case(changed(plan_alone, change)))["plan.prescription_implausible"]
    assert found.severity == "fail"
    assert f"cGy ({dose / 100:g} Gy)" in found.message


@pytest.mark.parametrize(
    ("target_gy", "first", "said"),
    [
        # 15 fractions of 140 and 127 cGy and nothing else; beside a prescription in Gy; both in Gy.
        (None, ("140", "127"), "prescribes 4005 Gy"),
        (40.05, ("140", "127"), "beams give 267 Gy in one fraction together"),
        (40.05, ("1.4", "1.27"), None),
    ],
)
def test_beams_doses_in_centigray_fail(
    plan_alone: Path, target_gy: float | None, first: tuple[str, str], said: str | None
) -> None:
    def change(plan: Dataset) -> None:
        beam_doses(plan, *first)
        if target_gy is None:
            del plan.DoseReferenceSequence

    found = spoken(read_case(changed(plan_alone, change))).get("plan.prescription_implausible")
    assert (found is None) is (said is None)
    if found is not None and said is not None:
        assert said in found.message


def test_a_prescription_to_a_point_is_said_where_no_target_is_prescribed_to(plan_alone: Path) -> None:
    def change(plan: Dataset) -> None:
        plan.DoseReferenceSequence = [reference(40.05, "COORDINATES", "calc point")]

    said = spoken(read_case(changed(plan_alone, change)))["plan.prescription_to_point"]
    assert (said.severity, "40.05 Gy to a point (calc point)" in said.message) == ("info", True)

    def both(plan: Dataset) -> None:
        plan.DoseReferenceSequence = [reference(50, "POINT", "calc point"), reference(40.05, "SITE", "Breast")]

    assert "plan.prescription_to_point" not in spoken(read_case(changed(plan_alone, both)))


@pytest.mark.parametrize(
    ("target", "organ"),
    [
        ("Heart", True), ("Herz", True), ("A_LAD", True), ("SpinalCord", True), ("PTV Heart", False), ("Breast", False),
        ("Esophagus", False), ("Lung_L", False), ("VB_T5", False),
    ],
)  # fmt: skip
def test_a_target_named_like_an_organ_at_risk_is_a_warning(plan_alone: Path, target: str, organ: bool) -> None:
    def change(plan: Dataset) -> None:
        plan.DoseReferenceSequence = [reference(40.05, "SITE", target)]

    found = spoken(read_case(changed(plan_alone, change))).get("plan.target_is_organ")
    assert (found is not None) is organ
    if found is not None:
        assert (found.severity, f"40.05 Gy to {target}" in found.message) == ("warning", True)


@pytest.mark.parametrize("number", [0, None])
def test_zero_fractions_are_said_and_leave_no_doses_in_twos(folder: Path, clean_draft: Draft, number: int | None) -> None:
    def change(plan: Dataset) -> None:
        plan.FractionGroupSequence[0].NumberOfFractionsPlanned = number

    case = read_case(changed(folder, change))
    assert case.plan is not None
    assert case.plan.fractions is None
    assessment = assess(case, Options(device="cpu", second_check=False), clean_draft)
    assert "NumberOfFractionsPlanned" in next(f.message for f in assessment.findings if f.rule == "plan.fractions_missing")
    assert assessment.dose is not None
    assert assessment.dose.eqd2 is None
    assert assessment.dose.contoured is not None


def test_two_fraction_groups_leave_no_doses_in_twos(folder: Path, clean_draft: Draft) -> None:
    def change(plan: Dataset) -> None:
        second = Dataset()
        second.FractionGroupNumber, second.NumberOfFractionsPlanned = 2, 5
        plan.FractionGroupSequence.append(second)

    case = read_case(changed(folder, change))
    assert case.plan is not None
    assert (case.plan.fractions, case.plan.alike_fractions) == (20, None)
    assert "2 fraction groups" in found(folder, clean_draft)["plan.fraction_groups"].message


@pytest.mark.parametrize(
    ("beams", "referring", "expected"),
    [
        (("1", "1"), {}, (2.0, 2.0)),
        ((None, None), {"TargetPrescriptionDose": "16"}, (None, 2.0)),
        ((None, None), {"ReferencedDoseReferenceNumber": 1}, (None, pytest.approx(40.05 / 8))),
        ((None, "1"), {}, (None, None)),
    ],
)
def test_a_fraction_groups_dose_is_that_of_its_beams_else_of_the_prescription_that_it_refers_to(
    plan_alone: Path, beams: tuple[str | None, str | None], referring: dict[str, object], expected: tuple[float | None, ...]
) -> None:
    def change(plan: Dataset) -> None:
        for reference_, dose in zip(plan.FractionGroupSequence[0].ReferencedBeamSequence, beams, strict=True):
            if dose is not None:
                reference_.BeamDose = dose
        second = copy.deepcopy(plan.FractionGroupSequence[0])
        second.FractionGroupNumber, second.NumberOfFractionsPlanned = 2, 8
        if referring:
            item = Dataset()
            for keyword, value in referring.items():
                setattr(item, keyword, value)
            second.ReferencedDoseReferenceSequence = [item]
        plan.FractionGroupSequence.append(second)

    plan = read_case(changed(plan_alone, change)).plan
    assert plan is not None
    assert [(g.number, g.fractions) for g in plan.groups] == [(1, 15), (2, 8)]
    assert tuple(g.dose_gy for g in plan.groups) == expected


def test_a_negative_dose_is_refused_with_its_file(folder: Path) -> None:
    dose = pydicom.dcmread(folder / "RTDOSE.dcm")
    dose.PixelRepresentation, dose.PixelData = 1, (dose.pixel_array.astype("<i4") - 1000).tobytes()
    dose.save_as(folder / "RTDOSE.dcm")
    refused = finding(read_case(folder), "dose.unusable")
    assert "negative doses" in refused.message
    assert "RTDOSE.dcm" in refused.message


@pytest.mark.parametrize(
    ("metersets", "treating"), [(("150,5", "75,25"), [1, 2]), (("abc", "12"), [1, 2]), (("1.0e2", "0"), [1]), (("", "12"), [2])]
)
def test_a_meterset_that_cannot_be_read_is_one_all_the_same(
    folder: Path, metersets: tuple[str, str], treating: list[int]
) -> None:
    def change(plan: Dataset) -> None:
        for reference, meterset in zip(plan.FractionGroupSequence[0].ReferencedBeamSequence, metersets, strict=True):
            data = meterset.encode().ljust(len(meterset) + len(meterset) % 2)
            reference._dict[Tag("BeamMeterset")] = RawDataElement(
                Tag("BeamMeterset"), "DS", len(data), data, 0, False, True, True
            )

    plan = read_case(changed(folder, change)).plan
    assert plan is not None
    assert [b.number for b in plan.treatment_beams] == treating
