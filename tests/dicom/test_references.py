"""RTDOSE -> RTPLAN -> RTSTRUCT -> CT: the files' own references decide, never the first file of a kind."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest

from rtqc.dicom import read_case, read_cases
from rtqc.phantom import SyntheticPlan
from rtqc.pipeline import Options, assess
from tests.dicom.dose_files import part
from tests.dicom.test_bad_input import finding


def _another(file: Path, target: Path, **changes: object) -> pydicom.Dataset:
    """A copy of an object under another UID."""
    dataset = pydicom.dcmread(file)
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID + "7"
    for keyword, value in changes.items():
        setattr(dataset, keyword, value)
    dataset.save_as(target)
    return dataset


def test_a_re_exported_structure_set_that_the_plan_does_not_use_is_no_finding(folder: Path) -> None:
    _another(
        folder / "RTSTRUCT.dcm", folder / "A_first_by_name.dcm", StructureSetLabel="older", InstanceCreationDate="20990101"
    )
    case = read_case(folder)
    assert case.findings == ()
    assert case.provenance.labels["structure_set"] == "Plan"


def test_of_two_plans_each_has_its_own_dose_and_structure_set(folder: Path) -> None:
    structures = _another(folder / "RTSTRUCT.dcm", folder / "S2.dcm", StructureSetLabel="second")
    plan = _another(folder / "RTPLAN.dcm", folder / "P2.dcm", RTPlanLabel="second")
    plan.ReferencedStructureSetSequence[0].ReferencedSOPInstanceUID = structures.SOPInstanceUID
    plan.save_as(folder / "P2.dcm")
    dose = _another(folder / "RTDOSE.dcm", folder / "D2.dcm")
    dose.ReferencedRTPlanSequence[0].ReferencedSOPInstanceUID = plan.SOPInstanceUID
    dose.DoseGridScaling = f"{float(dose.DoseGridScaling) * 2:.10e}"
    dose.save_as(folder / "D2.dcm")
    cases = {c.provenance.labels["plan"]: c for c in read_cases(folder)}
    assert {p: c.provenance.labels["structure_set"] for p, c in cases.items()} == {"Breast_L": "Plan", "second": "second"}
    first, second = cases["Breast_L"].dose, cases["second"].dose
    assert first is not None
    assert second is not None
    assert float(second.gy.max()) == pytest.approx(2 * float(first.gy.max()), rel=1e-6)
    assert all([f.rule for f in c.findings] == ["plan.several"] for c in cases.values())
    assert "with the others of its course as their sum" in finding(cases["second"], "plan.several").message


def test_a_dose_that_does_not_say_to_which_of_two_plans_it_belongs_is_not_used(folder: Path) -> None:
    _another(folder / "RTPLAN.dcm", folder / "P2.dcm", RTPlanLabel="second")
    dose = pydicom.dcmread(folder / "RTDOSE.dcm")
    del dose.ReferencedRTPlanSequence
    dose.save_as(folder / "RTDOSE.dcm")
    for case in read_cases(folder):
        assert case.dose is None
        assert "RTDOSE.dcm does not say to which of the 2 plans" in finding(case, "reference.dose_plan").message


def test_beam_doses_of_all_beams_are_added_up(folder: Path) -> None:
    whole = read_case(folder).dose
    for number in (1, 2):
        dataset = pydicom.dcmread(folder / "RTDOSE.dcm")
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID + str(number)
        dataset.DoseSummationType = "BEAM"
        dataset.ReferencedRTPlanSequence[0].ReferencedFractionGroupSequence = [part(1, [number])]
        dataset.DoseGridScaling = f"{float(dataset.DoseGridScaling) / 2:.10e}"
        dataset.save_as(folder / f"beam{number}.dcm")
    (folder / "RTDOSE.dcm").unlink()
    case = read_case(folder)
    assert case.findings == ()
    assert whole is not None
    assert case.dose is not None
    assert np.allclose(case.dose.gy, whole.gy, rtol=1e-5)


def test_a_dose_in_another_frame_of_reference_is_not_used(folder: Path) -> None:
    dataset = pydicom.dcmread(folder / "RTDOSE.dcm")
    dataset.FrameOfReferenceUID = dataset.FrameOfReferenceUID + "1"
    dataset.save_as(folder / "RTDOSE.dcm")
    case = read_case(folder)
    assert case.dose is None
    assert "RTDOSE.dcm" in finding(case, "dose.frame_of_reference").message


@pytest.mark.parametrize("turned", ["columns", "frames", "both"])
def test_a_dose_grid_that_runs_the_other_way_is_the_same_dose(folder: Path, turned: str) -> None:
    before = assess(read_case(folder), Options(device="cpu", second_check=False))
    dataset = pydicom.dcmread(folder / "RTDOSE.dcm")
    pixels = dataset.pixel_array
    corner = np.array([float(v) for v in dataset.ImagePositionPatient])
    offsets = np.array([float(v) for v in dataset.GridFrameOffsetVector])
    if turned in ("columns", "both"):
        corner = corner + np.array([1, 0, 0]) * float(dataset.PixelSpacing[1]) * (pixels.shape[2] - 1)
        pixels = pixels[:, :, ::-1]
        dataset.ImageOrientationPatient = [-1, 0, 0, 0, 1, 0]
        # The normal now points down: frames go up against it.
        offsets = -offsets
    if turned in ("frames", "both"):
        last = offsets[-1] if turned == "frames" else -offsets[-1]
        corner = corner + np.array([0, 0, last])
        pixels = pixels[::-1]
        offsets = -offsets
    dataset.PixelData = np.ascontiguousarray(pixels).tobytes()
    dataset.ImagePositionPatient = [f"{v:.4f}" for v in corner]
    dataset.GridFrameOffsetVector = [f"{v:g}" for v in offsets]
    dataset.save_as(folder / "RTDOSE.dcm")
    after = assess(read_case(folder), Options(device="cpu", second_check=False))
    assert before.dose is not None
    assert after.dose is not None
    assert before.dose.contoured is not None
    assert after.dose.contoured is not None
    assert after.dose.contoured.mean_gy == pytest.approx(before.dose.contoured.mean_gy, abs=1e-3)
    assert after.dose.contoured.d2_percent_gy == pytest.approx(before.dose.contoured.d2_percent_gy, abs=1e-3)


def test_a_dose_whose_frames_are_absolute_positions_is_read(folder: Path) -> None:
    before = read_case(folder).dose
    dataset = pydicom.dcmread(folder / "RTDOSE.dcm")
    z = float(dataset.ImagePositionPatient[2])
    dataset.GridFrameOffsetVector = [f"{z + float(v):.4f}" for v in dataset.GridFrameOffsetVector]
    dataset.save_as(folder / "RTDOSE.dcm")
    after = read_case(folder).dose
    assert before is not None
    assert after is not None
    assert after.grid.slice_positions_mm == pytest.approx(before.grid.slice_positions_mm, abs=1e-3)


def test_a_plan_without_its_structure_set_takes_the_patients_own_and_says_so(folder: Path, clean_plan: SyntheticPlan) -> None:
    _another(folder / "RTSTRUCT.dcm", folder / "other.dcm")
    (folder / "RTSTRUCT.dcm").unlink()
    f = finding(read_case(folder), "reference.plan_structure_set")
    assert "other.dcm" in f.message
    assert f.severity == "fail"


def test_copies_of_one_object_are_one_case(folder: Path) -> None:
    for name in ("RTSTRUCT.dcm", "RTPLAN.dcm", "RTDOSE.dcm"):
        shutil.copy(folder / name, folder / f"copy_{name}")
    assert len(read_cases(folder)) == 1
