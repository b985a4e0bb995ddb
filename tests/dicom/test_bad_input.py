"""Bad input is normal: each case gets a sentence that names the file and says what to do, and never a traceback."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from rtqc.core import Case, Finding
from rtqc.dicom import read_case, read_cases
from rtqc.phantom import SyntheticPlan, write_plan
from tests.cli.run import Outcome, rtqc
from tests.conftest import real


def check(path: Path) -> Outcome:
    """``rtqc check PATH --json``."""
    return rtqc("check", path, "--json", "--device", "cpu")


def finding(case: Case, rule: str) -> Finding:
    """The finding of a rule; fails where there is none."""
    found = [f for f in case.findings if f.rule == rule]
    assert found, [f"{f.rule}: {f.message}" for f in case.findings]
    return found[0]


def advises(f: Finding, *words: str) -> None:
    """Whether a message names what it is about and says what to do."""
    for word in words:
        assert word in f.message
    actions = ("export", "give", "contour", "check", "redraw", "use", "was used", "left out", "assumed", "not used", "was not")
    assert any(w in f.message.lower() for w in actions), f.message


def edit(path: Path, **changes: object) -> None:
    """Change attributes of a DICOM file."""
    dataset = pydicom.dcmread(path)
    for keyword, value in changes.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    dataset.save_as(path)


def heart_of(dataset: Dataset) -> Dataset:
    """The item of the heart in the ROI Contour Sequence."""
    number = next(r.ROINumber for r in dataset.StructureSetROISequence if r.ROIName == "Heart")
    return next(c for c in dataset.ROIContourSequence if c.ReferencedROINumber == number)


# --- Folders ---


def test_an_empty_folder_is_no_verdict_and_says_what_to_give(tmp_path: Path) -> None:
    outcome = check(tmp_path)
    assert outcome.status == 2
    assert outcome.document["verdict"] == "error"
    assert "There is no DICOM file in" in outcome.findings("ct.absent")[0]["message"]


def test_a_path_that_does_not_exist_is_a_usage_error(tmp_path: Path) -> None:
    outcome = check(tmp_path / "nowhere")
    assert (outcome.status, outcome.out) == (2, "")
    assert "does not exist" in outcome.err


def test_files_in_subfolders_without_extension_among_others_are_found(folder: Path, tmp_path: Path) -> None:
    deep = tmp_path / "deep"
    for number, file in enumerate(sorted(folder.iterdir())):
        target = deep / ("a" if number % 2 else "b/c") / f"file{number}"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, target)
    (deep / "notes.txt").write_text("not ours")
    (deep / "DICOMDIR").write_bytes(b"x" * 200)
    case = read_case(deep)
    assert case.findings == ()
    assert case.image is not None
    assert case.dose is not None
    assert case.plan is not None


def test_old_files_without_preamble_are_read(folder: Path) -> None:
    for file in folder.glob("CT.*.dcm"):
        content = file.read_bytes()
        assert content[128:132] == b"DICM"
        file.write_bytes(content[132:])
    case = read_case(folder)
    assert case.image is not None
    assert case.findings == ()


# --- Missing parts ---


def test_without_ct_there_is_no_verdict_but_the_contours_are_still_judged(folder: Path) -> None:
    for file in folder.glob("CT.*"):
        file.unlink()
    outcome = check(folder)
    assert outcome.status == 2
    assert "RTSTRUCT.dcm" in outcome.findings("ct.absent")[0]["message"]
    assert outcome.document["heart"]["contoured"]["volume_ml"] > 500
    assert outcome.document["dose"]["contoured"]["mean_gy"] > 0


def test_ct_without_structure_set_is_no_verdict_and_can_still_be_drafted(folder: Path, tmp_path: Path) -> None:
    for name in ("RTSTRUCT.dcm", "RTPLAN.dcm", "RTDOSE.dcm"):
        (folder / name).unlink()
    outcome = check(folder)
    assert outcome.status == 2
    assert outcome.findings("structure_set.absent")
    assert outcome.findings("plan.absent")
    assert outcome.findings("dose.absent")
    assert outcome.document["heart"]["draft"]["volume_ml"] > 400
    drafted = rtqc("draft", folder, "--out", tmp_path / "heart.dcm")
    assert drafted.status == 0
    assert (tmp_path / "heart.dcm").is_file()


def test_plan_and_dose_alone_are_no_verdict(folder: Path) -> None:
    for file in [*folder.glob("CT.*"), folder / "RTSTRUCT.dcm"]:
        file.unlink()
    outcome = check(folder)
    assert outcome.status == 2
    assert "RTPLAN.dcm" in outcome.findings("ct.absent")[0]["message"]


# --- Damaged files ---


def test_a_truncated_slice_is_named_and_the_rest_is_used(folder: Path) -> None:
    file = folder / "CT.040.dcm"
    file.write_bytes(file.read_bytes()[:-9000])
    case = read_case(folder)
    advises(finding(case, "file.unreadable"), "CT.040.dcm")
    assert case.image is not None
    assert case.image.grid.shape[0] == 106
    assert finding(case, "ct.slice_missing")


def test_a_file_cut_inside_its_header_is_named(folder: Path) -> None:
    file = folder / "RTSTRUCT.dcm"
    file.write_bytes(file.read_bytes()[:700])
    outcome = check(folder)
    messages = " ".join(f["message"] for f in outcome.document["findings"])
    assert "RTSTRUCT.dcm" in messages
    assert outcome.status == 2


def test_a_structure_set_cut_in_the_middle_is_named(folder: Path) -> None:
    file = folder / "RTSTRUCT.dcm"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    outcome = check(folder)
    assert "RTSTRUCT.dcm" in outcome.findings("structure_set.unusable")[0]["message"]
    assert outcome.status == 2


@pytest.mark.parametrize("content", [b"", b"this is a text, not DICOM", os.urandom(5000)], ids=["empty", "text", "noise"])
def test_a_file_that_only_claims_to_be_dicom_is_named(folder: Path, content: bytes) -> None:
    (folder / "CT.999.dcm").write_bytes(content)
    case = read_case(folder)
    advises(finding(case, "file.unreadable"), "CT.999.dcm")
    assert case.image is not None
    assert case.image.grid.shape[0] == 107


def test_an_unreadable_file_is_named(folder: Path) -> None:
    if os.geteuid() == 0:  # root reads everything: a link to nowhere gives the same error of the system
        (folder / "CT.999.dcm").symlink_to(folder / "nowhere")
    else:
        shutil.copy(folder / "CT.001.dcm", folder / "CT.999.dcm")
        (folder / "CT.999.dcm").chmod(0)
    advises(finding(read_case(folder), "file.unreadable"), "CT.999.dcm", "check its permissions")


def test_a_plan_that_is_cut_off_costs_the_plan_only(folder: Path) -> None:
    raw = (folder / "RTPLAN.dcm").read_bytes()
    (folder / "RTPLAN.dcm").write_bytes(raw[:-400])
    case = read_case(folder)
    assert case.image is not None
    assert case.structures["Heart"].volume_ml > 500
    advises(finding(case, "plan.unusable"), "RTPLAN.dcm", "cut off")


# --- The CT series ---


def test_a_slice_of_another_size_is_left_out_and_named(folder: Path) -> None:
    dataset = pydicom.dcmread(folder / "CT.001.dcm")
    dataset.PixelData = dataset.pixel_array[:64, :64].tobytes()
    dataset.Rows = dataset.Columns = 64
    dataset.save_as(folder / "CT.001.dcm")
    advises(finding(read_case(folder), "ct.mixed"), "CT.001.dcm")


def test_a_missing_slice_is_named_by_its_position(folder: Path, clean_plan: SyntheticPlan) -> None:
    (folder / "CT.050.dcm").unlink()
    f = finding(read_case(folder), "ct.slice_missing")
    assert f.evidence.positions_mm == pytest.approx([clean_plan.study.image.grid.positions_mm[49]], abs=0.01)


def test_the_same_slice_twice_is_an_info_and_changes_nothing(folder: Path) -> None:
    before = read_case(folder)
    shutil.copy(folder / "CT.050.dcm", folder / "copy-of-50.dcm")
    case = read_case(folder)
    assert finding(case, "ct.exported_twice").severity == "info"
    assert before.image is not None
    assert case.image is not None
    assert np.array_equal(before.image.hu, case.image.hu)


def test_two_series_in_one_folder_are_told_apart_by_the_structure_sets_reference(
    folder: Path, tiny_plan: SyntheticPlan, tmp_path: Path
) -> None:
    other = write_plan(tiny_plan, tmp_path / "other")
    for file in other.glob("CT.*.dcm"):
        dataset = pydicom.dcmread(file)
        dataset.PatientID = "RTQC-TEST"
        dataset.save_as(folder / f"x{file.name}")
    case = read_case(folder)
    assert case.findings == ()
    assert case.provenance.files["ct"] == 107


def test_two_series_interleaved_under_one_uid_are_said(folder: Path) -> None:
    for file in list(folder.glob("CT.*.dcm"))[:80]:
        dataset = pydicom.dcmread(file)
        dataset.SOPInstanceUID = dataset.SOPInstanceUID + "1"
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        dataset.save_as(folder / f"x{file.name}")
    advises(finding(read_case(folder), "ct.mixed"), "CT.")


def test_absent_rescale_slope_is_said(folder: Path) -> None:
    edit(folder / "CT.050.dcm", RescaleSlope=None)
    advises(finding(read_case(folder), "ct.rescale_absent"), "CT.050.dcm", "1024 HU")


def test_a_series_whose_pixels_cannot_be_decoded_is_unusable(folder: Path) -> None:
    for file in folder.glob("CT.*.dcm"):
        edit(file, PixelData=None)
    outcome = check(folder)
    assert outcome.status == 2
    assert outcome.findings("ct.unusable")


# --- The structure set ---


def test_contours_without_image_references_are_placed_by_their_coordinates(folder: Path) -> None:
    before = read_case(folder).structures["Heart"]
    dataset = pydicom.dcmread(folder / "RTSTRUCT.dcm")
    for roi in dataset.ROIContourSequence:
        for contour in roi.ContourSequence:
            del contour.ContourImageSequence
    dataset.save_as(folder / "RTSTRUCT.dcm")
    assert read_case(folder).structures["Heart"].planes == before.planes


def test_the_real_structure_set_without_image_references_is_read() -> None:
    case = read_case(real("lung-gtv", "pat_2"))
    assert case.image is not None
    assert case.structures["GTV-1"].volume_ml > 0
    inside = [np.abs(case.image.grid.positions_mm - w).min() for w in case.structures["GTV-1"].planes]
    assert max(inside) < 0.1


@pytest.mark.parametrize("value", ["NaN", "abc", "1e999"])
def test_a_coordinate_that_is_no_number_costs_its_contour_only(folder: Path, value: str) -> None:
    raw = (folder / "RTSTRUCT.dcm").read_bytes()
    dataset = pydicom.dcmread(folder / "RTSTRUCT.dcm")
    contour = heart_of(dataset).ContourSequence[5]
    first = str(contour.ContourData[3]).encode()
    text = "\\".join(str(v) for v in contour.ContourData).encode()
    broken = text.replace(b"\\" + first, b"\\" + value.encode().ljust(len(first))[: len(first)], 1)
    assert len(broken) == len(text)
    at = raw.find(text)
    assert at > 0
    (folder / "RTSTRUCT.dcm").write_bytes(raw[:at] + broken + raw[at + len(text) :])
    case = read_case(folder)
    heart = next(r for r in case.rois if r.structure.name == "Heart")
    assert [d.kind for d in heart.defects] == ["not_a_number"]
    assert len(heart.structure.planes) == 36
    outcome = check(folder)
    assert outcome.findings("contour.degenerate")
    assert outcome.findings("contour.slice_missing")


def test_a_million_points_are_thinned_and_said(folder: Path) -> None:
    dataset = pydicom.dcmread(folder / "RTSTRUCT.dcm")
    contour = heart_of(dataset).ContourSequence[18]
    points = np.array(contour.ContourData, float).reshape(-1, 3)
    closed = np.vstack([points, points[:1]])
    at = np.linspace(0, len(points), 1_000_000, endpoint=False)
    dense = np.stack([np.interp(at, np.arange(len(closed)), closed[:, k]) for k in range(3)], axis=1)
    contour.ContourData = np.round(dense, 3).ravel().tolist()
    contour.NumberOfContourPoints = len(dense)
    dataset.save_as(folder / "RTSTRUCT.dcm")
    before = len(points)
    case = read_case(folder)
    heart = next(r for r in case.rois if r.structure.name == "Heart")
    assert [d.kind for d in heart.defects] == ["too_many_points"]
    assert heart.structure.volume_ml == pytest.approx(654.5, abs=1)
    assert before < 1000


def test_an_roi_without_contours_is_empty_and_harmless(folder: Path) -> None:
    dataset = pydicom.dcmread(folder / "RTSTRUCT.dcm")
    del dataset.ROIContourSequence[3].ContourSequence
    dataset.save_as(folder / "RTSTRUCT.dcm")
    case = read_case(folder)
    assert case.structures["Lung_R"].is_empty
    assert check(folder).status == 0


def test_a_structure_set_without_any_roi_has_no_heart(folder: Path) -> None:
    dataset = pydicom.dcmread(folder / "RTSTRUCT.dcm")
    dataset.StructureSetROISequence = dataset.ROIContourSequence = dataset.RTROIObservationsSequence = []
    dataset.save_as(folder / "RTSTRUCT.dcm")
    outcome = check(folder)
    assert outcome.findings("contour.missing")
    assert outcome.status == 1


def test_a_private_element_of_wrong_length_costs_nothing(folder: Path) -> None:
    dataset = pydicom.dcmread(folder / "RTSTRUCT.dcm")
    block = dataset.private_block(0x3287, "SOMEBODY", create=True)
    block.add_new(1, "DS", "1.5")
    dataset.save_as(folder / "RTSTRUCT.dcm")
    raw = (folder / "RTSTRUCT.dcm").read_bytes()
    (folder / "RTSTRUCT.dcm").write_bytes(raw.replace(b"1.5 ", b"x.y ", 1) if b"1.5 " in raw else raw)
    assert read_case(folder).findings == ()


# --- Dose and plan ---


def test_a_dose_in_percent_is_refused_with_its_name(folder: Path) -> None:
    edit(folder / "RTDOSE.dcm", DoseUnits="RELATIVE")
    case = read_case(folder)
    advises(finding(case, "dose.unusable"), "RTDOSE.dcm", "RELATIVE")
    assert case.dose is None


def test_a_dose_of_another_patient_is_not_used(folder: Path, tiny_plan: SyntheticPlan, tmp_path: Path) -> None:
    other = write_plan(tiny_plan, tmp_path / "other")
    shutil.copy(other / "RTDOSE.dcm", folder / "RTDOSE.dcm")
    case = read_case(folder)
    assert case.dose is None
    found = finding(case, "reference.patient")
    advises(found, "RTDOSE.dcm", "another Patient ID")
    # Whose it is, is not said in this patient's results.
    assert "OTHER" not in found.model_dump_json()


def test_a_dose_with_too_few_frame_positions_is_refused(folder: Path) -> None:
    edit(folder / "RTDOSE.dcm", GridFrameOffsetVector=[0, 3, 6])
    advises(finding(read_case(folder), "dose.unusable"), "RTDOSE.dcm", "GridFrameOffsetVector")


def test_the_real_plan_with_a_single_slice_has_no_verdict_and_still_its_contours() -> None:
    outcome = check(real("breast-plan"))
    assert outcome.status == 2
    assert outcome.findings("ct.unusable")
    heart = outcome.document["heart"]["contoured"]
    assert heart["name"] == "Heart"
    assert 300 < heart["volume_ml"] < 1200
    assert heart["extent_mm"][1] - heart["extent_mm"][0] > 50


# --- Several cases, writing ---


def test_other_cases_of_the_folder_are_still_assessed(folder: Path, tiny_plan: SyntheticPlan, tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    shutil.move(folder, archive / "one")
    write_plan(tiny_plan, archive / "two")
    for file in (archive / "one").glob("CT.*"):
        file.unlink()
    outcome = check(archive)
    verdicts = {c["case"]["patient_id"]: c["verdict"] for c in outcome.document["cases"]}
    assert verdicts == {"RTQC-TEST": "error", "RTQC-OTHER": "pass"}
    assert outcome.status == 2


def test_two_patients_are_two_cases(clean_folder: Path, tiny_plan: SyntheticPlan, tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    shutil.copytree(clean_folder, archive / "x")
    write_plan(tiny_plan, archive)
    cases = read_cases(archive)
    assert {c.provenance.patient_id for c in cases} == {"RTQC-TEST", "RTQC-OTHER"}
    assert all(c.findings == () for c in cases)
    with pytest.raises(ValueError, match="holds 2 cases"):
        read_case(archive)
