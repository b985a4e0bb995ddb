"""Which file belongs to whom: another patient's changes nothing, and one UID with two contents is said."""

from __future__ import annotations

import shutil
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest

import rtqc as package
from rtqc.core import Case
from rtqc.dicom import content_digest, index_folder, plan_cases, read_case, read_cases, silence_readers, split_archive
from rtqc.dicom.read_case import load_case
from rtqc.scan import found_scans
from tests.boxes import HEART_ML, changed, heart, without_contours, write_box
from tests.cli.run import rtqc
from tests.dicom.test_bad_input import finding

#: Who must never be named in P1's results.
STRANGER = "XQ-4711", "Verysecret^Somebody"


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    return write_box(tmp_path / "plan")


@pytest.fixture
def stranger(tmp_path: Path) -> Path:
    return write_box(tmp_path / "elsewhere", *STRANGER)


def case_of(folder: Path, patient: str = "P1") -> Case:
    return next(c for c in read_cases(folder) if c.provenance.patient_id == patient)


def told(case: Case) -> str:
    """Everything that is said of a case."""
    return " ".join([*(f.model_dump_json() for f in case.findings), case.provenance.patient_name, case.provenance.patient_id])


# --- Another patient's files ---


@pytest.mark.parametrize("file", ["RTDOSE.dcm", "RTPLAN.dcm", "RTSTRUCT.dcm", "CT.020.dcm"])
def test_a_strangers_file_in_the_folder_changes_nothing(plan: Path, stranger: Path, file: str) -> None:
    before = read_case(plan)
    shutil.copy(stranger / file, plan / f"stray_{STRANGER[0]}_{file}")
    after = case_of(plan)
    assert after.findings == before.findings == ()
    assert after.dose is not None
    assert before.dose is not None
    assert np.array_equal(after.dose.gy, before.dose.gy)
    assert after.structures["Heart"].volume_ml == pytest.approx(HEART_ML, rel=1e-6)
    outcome = rtqc("dvh", plan, "--roi", "Heart", "--json")
    assert outcome.status == 0, outcome.err
    assert outcome.document["mean_gy"] == pytest.approx(20.0, abs=0.01)
    assert STRANGER[0] not in outcome.out + outcome.err
    assert "Verysecret" not in outcome.out + outcome.err
    assert "in this folder" in outcome.err


def test_a_whole_plan_of_a_stranger_beside_is_a_case_of_its_own(plan: Path, stranger: Path) -> None:
    for file in stranger.iterdir():
        shutil.copy(file, plan / f"other_{file.name}")
    cases = {c.provenance.patient_id: c for c in read_cases(plan)}
    assert {p: c.findings for p, c in cases.items()} == {"P1": (), STRANGER[0]: ()}


def test_a_strangers_dose_explains_why_a_plan_has_none_and_does_not_say_whose_it_is(plan: Path, stranger: Path) -> None:
    shutil.copy(stranger / "RTDOSE.dcm", plan / "RTDOSE.dcm")
    case = case_of(plan)
    assert case.dose is None
    assert "RTDOSE.dcm has another Patient ID and was not used" in finding(case, "reference.patient").message
    (plan / "RTDOSE.dcm").rename(plan / f"dose of {STRANGER[0]}.dcm")
    case = case_of(plan)
    assert "a file whose name is another patient's" in finding(case, "reference.patient").message
    assert STRANGER[0] not in told(case)
    (plan / f"dose of {STRANGER[0]}.dcm").rename(plan / "Verysecret.dcm")
    assert "Verysecret" not in told(case_of(plan))


def test_files_that_refer_to_each_other_under_two_patient_ids_are_said_without_the_other_id(tmp_path: Path) -> None:
    folder = write_box(tmp_path, dose_patient_id=STRANGER[0])
    case = case_of(folder)
    f = finding(case, "reference.patient")
    assert "RTDOSE.dcm) have different Patient IDs" in f.message
    assert STRANGER[0] not in told(case)


def test_a_structure_set_of_another_patient_does_not_give_the_case_his_name(plan: Path, tmp_path: Path) -> None:
    def rename(dataset: pydicom.Dataset) -> None:
        dataset.PatientID, dataset.PatientName, dataset.PatientBirthDate = *STRANGER, "19500101"

    changed(plan / "RTSTRUCT.dcm", plan / "RTSTRUCT.dcm", rename)
    for file in plan.glob("CT.*"):
        changed(file, file, rename)
    case = case_of(plan)
    assert finding(case, "reference.patient").severity == "fail"
    assert case.provenance.patient_birth_date == ""
    assert "Verysecret" not in told(case)
    assert STRANGER[0] not in told(case)


def test_one_series_uid_of_two_patients_is_two_series(plan: Path, stranger: Path) -> None:
    series = pydicom.dcmread(plan / "CT.001.dcm").SeriesInstanceUID
    for file in stranger.glob("CT.*"):
        changed(file, plan / f"x{file.name}", lambda d: setattr(d, "SeriesInstanceUID", series))
    case = case_of(plan)
    assert case.findings == ()
    assert case.image is not None
    assert case.image.grid.shape[0] == 41


def test_one_structure_set_uid_of_two_patients_is_two_structure_sets(plan: Path, stranger: Path) -> None:
    uid = pydicom.dcmread(plan / "RTSTRUCT.dcm").SOPInstanceUID

    def taken(dataset: pydicom.Dataset) -> None:
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = uid
        without_contours(dataset)

    changed(stranger / "RTSTRUCT.dcm", plan / "zz.dcm", taken)
    case = case_of(plan)
    assert case.findings == ()
    assert case.structures["Heart"].volume_ml == pytest.approx(HEART_ML, rel=1e-6)


def test_files_without_patient_id_are_kept_apart_by_study(tmp_path: Path) -> None:
    for number in (1, 2):
        folder = write_box(tmp_path / str(number), f"K{number}", "")
        for file in folder.iterdir():
            changed(file, tmp_path / f"{number}{file.name}", lambda d: setattr(d, "PatientID", ""))
        shutil.rmtree(folder)
    cases = read_cases(tmp_path)
    assert [c.findings for c in cases] == [(), ()]


# --- Files that cannot be read ---


def test_a_damaged_file_speaks_for_the_patient_in_whose_folder_it_lies(tmp_path: Path) -> None:
    for patient in ("P1", "P2"):
        write_box(tmp_path / patient, patient)
    (tmp_path / "P2" / "CT.999.dcm").write_bytes(b"nothing")
    assert case_of(tmp_path, "P1").findings == ()
    assert finding(case_of(tmp_path, "P2"), "file.unreadable").evidence.files == ("P2/CT.999.dcm",)


@pytest.mark.parametrize("name", ["P2\\CT.999.dcm", "P2\\deep\\er.dcm"])
def test_names_with_backslashes_are_folders_too(tmp_path: Path, name: str) -> None:
    """As some programs unpack what was packed on Windows."""
    for patient in ("P1", "P2"):
        for file in write_box(tmp_path / "x", patient).iterdir():
            file.rename(tmp_path / f"{patient}\\{file.name}")
    (tmp_path / "x").rmdir()
    (tmp_path / name).write_bytes(b"nothing")
    assert case_of(tmp_path, "P1").findings == ()
    assert finding(case_of(tmp_path, "P2"), "file.unreadable")


def test_one_damaged_file_among_several_patients_is_no_case_and_is_said(tmp_path: Path) -> None:
    for patient in ("P1", "P2"):
        for file in write_box(tmp_path / "x", patient).iterdir():
            file.rename(tmp_path / f"{patient}{file.name}")
    (tmp_path / "x").rmdir()
    (tmp_path / "bad.dcm").write_bytes(b"nothing")
    index = index_folder(tmp_path)
    assert len(split_archive(index)) == 2
    cases = [load_case(parts, index) for parts in plan_cases(index)]
    assert [c.findings for c in cases] == [(), ()]
    outcome = rtqc("dvh", tmp_path)
    assert outcome.status == 2
    assert "holds 2 cases" in outcome.err


def test_a_folder_of_nothing_but_damaged_files_is_not_said_to_be_empty(tmp_path: Path) -> None:
    (tmp_path / "a.dcm").write_bytes(b"nothing")
    message = finding(read_case(tmp_path), "ct.absent").message
    assert "Nothing could be read" in message
    assert "a.dcm" in message
    assert "no DICOM file" not in message


# --- One UID, two contents ---


def test_two_structure_sets_of_one_uid_that_differ_are_both_named(plan: Path) -> None:
    changed(plan / "RTSTRUCT.dcm", plan / "RTSTRUCT-again.dcm", without_contours)
    f = finding(read_case(plan), "reference.same_uid")
    assert f.severity == "fail"
    assert set(f.evidence.files) == {"RTSTRUCT.dcm", "RTSTRUCT-again.dcm"}
    assert all(name in f.message for name in f.evidence.files)
    outcome = rtqc("dvh", plan, "--json")
    assert outcome.findings("reference.same_uid")


def test_three_contents_of_one_uid_are_three_names(plan: Path) -> None:
    for number in (1, 2):

        def shorter(dataset: pydicom.Dataset, number: int = number) -> None:
            drawn = dataset.ROIContourSequence[0]
            drawn.ContourSequence = list(drawn.ContourSequence)[number:]

        changed(plan / "RTSTRUCT.dcm", plan / f"again{number}.dcm", shorter)
    f = finding(read_case(plan), "reference.same_uid")
    assert set(f.evidence.files) == {"RTSTRUCT.dcm", "again1.dcm", "again2.dcm"}


@pytest.mark.parametrize("file", ["RTDOSE.dcm", "RTPLAN.dcm", "CT.020.dcm"])
def test_dose_plan_and_slice_of_one_uid_that_differ_are_said(plan: Path, file: str) -> None:
    def other(dataset: pydicom.Dataset) -> None:
        if "DoseGridScaling" in dataset:
            dataset.DoseGridScaling = f"{float(dataset.DoseGridScaling) * 2:.9e}"
        elif "FractionGroupSequence" in dataset:
            dataset.FractionGroupSequence[0].NumberOfFractionsPlanned = 5
        else:
            dataset.PixelData = (dataset.pixel_array + 7).tobytes()

    changed(plan / file, plan / f"again_{file}", other)
    f = finding(read_case(plan), "reference.same_uid")
    assert {file, f"again_{file}"} == set(f.evidence.files)


@pytest.mark.parametrize("file", ["RTSTRUCT.dcm", "RTPLAN.dcm", "RTDOSE.dcm", "CT.020.dcm"])
def test_a_copy_that_came_another_way_is_the_same_object(plan: Path, file: str) -> None:
    """Another transfer syntax, a corrected name, an archive's own elements: the content is the same."""
    dataset = pydicom.dcmread(plan / file)
    dataset.PatientName, dataset.AccessionNumber, dataset.InstanceCreationTime = "Corrected^Name", "9", "235959"
    dataset.private_block(0x0009, "ARCHIVE", create=True).add_new(1, "LO", "x")
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.ImplicitVRLittleEndian
    dataset.save_as(plan / f"again_{file}")
    assert content_digest(plan / f"again_{file}") == content_digest(plan / file)
    assert {f.rule for f in read_case(plan).findings} <= {"ct.exported_twice"}


def test_a_compressed_copy_is_the_same_object(plan: Path) -> None:
    dataset = pydicom.dcmread(plan / "CT.020.dcm")
    dataset.compress(pydicom.uid.RLELossless, generate_instance_uid=False)
    dataset.save_as(plan / "again.dcm")
    assert content_digest(plan / "again.dcm") == content_digest(plan / "CT.020.dcm")


def test_compressed_and_deflated_files_are_read_everywhere(plan: Path) -> None:
    for file in plan.iterdir():
        dataset = pydicom.dcmread(file)
        if file.name.startswith("CT"):
            dataset.compress(pydicom.uid.RLELossless, generate_instance_uid=False)
            dataset.save_as(file)
        else:
            dataset.file_meta.TransferSyntaxUID = pydicom.uid.DeflatedExplicitVRLittleEndian
            dataset.save_as(file, enforce_file_format=True)
    case = read_case(plan)
    assert case.findings == ()
    assert case.image is not None
    assert case.image.grid.shape[0] == 41
    outcome = rtqc("dvh", plan, "--json")
    assert outcome.document["volume_ml"] == pytest.approx(HEART_ML, rel=1e-4)
    assert outcome.document["mean_gy"] == pytest.approx(20.0, abs=0.01)
    file = plan / "RTSTRUCT.dcm"
    assert rtqc("compare", file, file, "--json").document["dice"] == 1.0


# --- What reading found reaches everybody ---


def test_open_contours_are_said_by_every_command_and_by_the_library(tmp_path: Path) -> None:
    folder = write_box(tmp_path / "plan", rois=(heart("OPEN_PLANAR", 6),))
    file = folder / "RTSTRUCT.dcm"
    f = finding(package.read_case(folder), "structure_set.contours_left_out")
    assert f.severity == "info"
    assert "6 contours" in f.message
    assert "Heart 6" in f.message
    case = package.read_case(folder)
    about = package.structure_findings(case, case.structures["Heart"])
    assert [g.rule for g in about if g.severity == "warning"] == ["contour.degenerate"]
    for outcome in (rtqc("dvh", folder, "--json"), rtqc("compare", file, file, "--json")):
        assert "6 left out" in outcome.findings("contour.degenerate")[0]["message"]
    converted = rtqc("convert", folder, tmp_path / "Heart.nrrd", "--roi", "Heart")
    assert converted.status == 0
    assert "contour.degenerate" in converted.err
    assert "contour.degenerate" in rtqc("compare", file, file).out


def test_a_contour_that_stands_there_twice_is_no_loss(tmp_path: Path) -> None:
    drawn = heart()
    folder = write_box(tmp_path / "plan", rois=(replace(drawn, contours=drawn.contours * 2),))
    case = package.read_case(folder)
    assert case.structures["Heart"].volume_ml == pytest.approx(HEART_ML, rel=1e-4)
    assert "structure_set.contours_left_out" not in {f.rule for f in case.findings}
    assert "contour.repeated" in {f.rule for f in package.structure_findings(case, case.structures["Heart"])}


def test_a_clean_plan_has_no_contour_left_out(plan: Path) -> None:
    assert read_case(plan).findings == ()
    assert rtqc("dvh", plan, "--json").document["findings"] == []


def test_no_librarys_warning_reaches_the_user(plan: Path) -> None:
    """A scan whose UIDs an anonymiser made: pydicom warns of each, and of every slice."""

    def anonymised(dataset: pydicom.Dataset) -> None:
        dataset.StudyInstanceUID = "ANON_STUDY.01"
        dataset.PatientBirthDate = "1950"

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for file in plan.iterdir():
            changed(file, file, anonymised)
    program = f"import rtqc; case = rtqc.read_case({str(plan)!r}); print(case.provenance.study_uid)"
    for arguments in (("-c", program), ("-m", "rtqc", "dvh", str(plan))):
        done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""


def test_a_programs_own_warnings_stay() -> None:
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        silence_readers()
        warnings.warn("mine", stacklevel=1)
    assert [str(w.message) for w in heard] == ["mine"]


def test_what_reading_found_reaches_a_scan_of_the_heart_too(plan: Path) -> None:
    (plan / "CT.999.dcm").write_bytes(b"nothing")
    (scan,) = found_scans(plan)
    assert [f.rule for f in scan.findings] == ["file.unreadable"]


def test_a_ct_of_two_spacings_is_not_chosen_for_a_comparison(plan: Path, tmp_path: Path) -> None:
    from rtqc.core import Grid, Image

    grid = Grid.regular((41, 64, 64), (2.0, 3.0, 3.0), (-94.5, -94.5, -60.0))
    other = write_box(tmp_path / "thin", "P1", key="thin", image=Image(grid, np.zeros(grid.shape, np.float32)))
    file = plan / "RTSTRUCT.dcm"
    shutil.copytree(other, plan / "thin")
    outcome = rtqc("compare", file, file, "--ct", plan)
    assert outcome.status == 2
    assert "CT series of different slices" in outcome.err
    assert rtqc("compare", file, file, "--ct", other).status == 0


def test_a_case_put_together_by_hand_keeps_its_patients_findings(tmp_path: Path) -> None:
    for patient in ("P1", "P2"):
        write_box(tmp_path / patient, patient)
        (tmp_path / patient / "CT.999.dcm").write_bytes(b"nothing")
    index = index_folder(tmp_path)
    parts = next(p for p in plan_cases(index) if p.patient_id == "P2")
    case = load_case(replace(parts, patient=""), index)
    assert [f.evidence.files for f in case.findings] == [("P2/CT.999.dcm",)]


# --- Damaged copies ---


@pytest.mark.parametrize("share", [0.02, 0.5, 0.999])
@pytest.mark.parametrize("file", ["RTSTRUCT.dcm", "RTPLAN.dcm", "RTDOSE.dcm", "CT.020.dcm"])
def test_a_copy_that_was_cut_off_never_displaces_the_intact_file(plan: Path, file: str, share: float) -> None:
    """Whatever its name: it sorts before the intact file or behind it."""
    content = (plan / file).read_bytes()
    # As many bytes as the attributes need that say whose object it is.
    kept = content[: max(1200, round(share * len(content)))]
    for name in ("0.dcm", "zz.dcm"):
        (plan / name).write_bytes(kept)
    findings = {f.rule: f for f in read_case(plan).findings}
    assert set(findings) == {"file.unreadable"}, findings
    f = findings["file.unreadable"]
    assert set(f.evidence.files) == {"0.dcm", "zz.dcm", file}
    assert "which was used" in f.message


def test_of_copies_that_are_all_cut_off_none_is_called_intact(plan: Path) -> None:
    content = (plan / "RTDOSE.dcm").read_bytes()
    (plan / "RTDOSE.dcm").write_bytes(content[: len(content) // 2])
    (plan / "more.dcm").write_bytes(content[: len(content) // 3])
    rules = {f.rule for f in read_case(plan).findings}
    assert "dose.unusable" in rules
