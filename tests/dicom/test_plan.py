"""RTPLAN: prescription, target and fractions, however the planning system wrote them; a finding for each way it did not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pydicom
import pytest
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from rtqc.core import Finding
from rtqc.core.case import Prescription
from rtqc.dicom import read_case
from rtqc.heart import Draft
from rtqc.pipeline import Options, assess
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
