"""Each finding of reading by a table: the file that raises it and one that is nearly so, and everything that it says."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from rtqc.core import Grid, Image
from rtqc.core.finding import Severity
from rtqc.dicom import READING_RULES, read_cases
from rtqc.dicom.study import uid_of
from tests.boxes import write_box
from tests.dicom.dose_files import add_dose, changed, part

#: Severity of each rule, written down here a second time: changing one is a change of what clinics see.
SEVERITIES: dict[str, Severity] = {
    "file.unreadable": "warning", "ct.absent": "fail", "ct.unusable": "fail", "ct.slice_missing": "warning", "ct.slice_duplicated": "warning",
    "ct.exported_twice": "info", "ct.mixed": "warning", "ct.gantry_tilt": "warning", "ct.rescale_absent": "warning", "structure_set.absent": "fail",
    "structure_set.unusable": "fail", "reference.structure_set_ct": "fail", "reference.plan_structure_set": "fail", "reference.dose_plan": "fail",
    "reference.patient": "fail", "reference.same_uid": "fail", "structure_set.contours_left_out": "info", "dose.unusable": "fail",
    "dose.summation": "fail", "dose.summation_absent": "info", "dose.frame_of_reference": "fail", "structure_set.roi_number": "fail",
    "structure_set.contours_without_roi": "warning", "structure_set.thickness_uncertain": "warning", "structure_set.numbers_merged": "warning",
    "structure_set.geometric_type": "warning", "reference.series_chosen": "warning", "ct.frames_unusable": "fail", "dose.zero": "fail",
    "dose.zero_part": "warning", "dose.of_several_plans": "warning", "file.not_judged": "info", "dose.planning_dvh": "info", "plan.unusable": "warning",
    "plan.prescription_unusable": "warning", "plan.several": "info", "file.beyond_limits": "fail", "file.decoder_died": "fail",
    "structure_set.contours_beyond_limits": "fail",
}  # fmt: skip

#: 23 slices of 3 mm, of which the heart is on all but the outermost; the first file is that of -33 mm.
GRID = Grid.regular((23, 32, 32), (3.0, 6.0, 6.0), (-93.0, -93.0, -33.0))
IMAGE = Image(GRID, np.full(GRID.shape, 40, np.float32))
Change = Callable[[Path], object]
#: What other tests raise: a command that reads two structure sets without their CT, and files that want to do harm.
MADE_ELSEWHERE = {
    "structure_set.thickness_uncertain": "tests/cli/test_compare.py",
    # Hostile files, which take a decoder down or state what no patient has.
    "file.beyond_limits": "tests/fuzz/test_hostile.py", "structure_set.contours_beyond_limits": "tests/fuzz/test_hostile.py",
    "file.decoder_died": "tests/fuzz/test_hostile.py",
}  # fmt: skip


@dataclass(frozen=True)
class Note:
    """What raises a rule.

    Attributes:
        rule: its id.
        change: makes it of a folder with nothing wrong.
        says: parts of the sentence.
        positions_mm, measured, files, structures: the evidence; a limit and a unit where there are.
        near: a change that is nearly so and raises nothing of this rule; None: the folder as it is.
        written: attributes of the study, where the files are written otherwise.
    """

    rule: str
    change: Change
    says: tuple[str, ...]
    positions_mm: tuple[float, ...] = ()
    measured: float | str | None = None
    files: tuple[str, ...] = ()
    structures: tuple[str, ...] = ()
    near: Change | None = None
    written: tuple[tuple[str, object], ...] = ()


def _as_it_is(folder: Path) -> None:
    """Nothing."""


def _gone(*patterns: str) -> Change:
    def change(folder: Path) -> None:
        for pattern in patterns:
            for file in folder.glob(pattern):
                file.unlink()

    return change


def _cut(name: str) -> Change:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:-700])


def _edit(name: str, change: Callable[[Dataset], object]) -> Change:
    return lambda folder: changed(folder, change, name)  # type: ignore[arg-type]


def _again(name: str, target: str, change: Callable[[Dataset], object] = lambda _: None, uid: bool = False) -> Change:
    """A copy of a file; with another UID where it is another object."""

    def add(folder: Path) -> None:
        dataset = pydicom.dcmread(folder / name)
        if uid:
            dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = uid_of("again", target)
        change(dataset)
        dataset.save_as(folder / target)

    return add


def _every(pattern: str, change: Callable[[Dataset], object]) -> Change:
    def edit(folder: Path) -> None:
        for file in folder.glob(pattern):
            changed(folder, change, file.name)  # type: ignore[arg-type]

    return edit


def _in_turn(*changes: Change) -> Change:
    return lambda folder: [change(folder) for change in changes]


def _second_ct(folder: Path) -> None:
    """The same slices as another series."""
    for file in sorted(folder.glob("CT*")):
        dataset = pydicom.dcmread(file)
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = uid_of("second", file.name)
        dataset.SeriesInstanceUID = uid_of("second series")
        dataset.save_as(folder / f"B{file.name}")


def _no_reference(structures: Dataset) -> None:
    del structures.ReferencedFrameOfReferenceSequence
    for roi in structures.ROIContourSequence:
        for contour in roi.ContourSequence:
            if "ContourImageSequence" in contour:
                del contour.ContourImageSequence


def _contours(structures: Dataset, roi: int) -> Iterable[Dataset]:
    return list(structures.ROIContourSequence[roi].ContourSequence)


def _kind(value: str, count: int) -> Callable[[Dataset], None]:
    """The liver's first contours are of another kind."""

    def change(structures: Dataset) -> None:
        for contour in list(_contours(structures, 1))[:count]:
            contour.ContourGeometricType = value

    return change


def _liver_is_one(structures: Dataset) -> None:
    """Both ROIs have the number 1."""
    structures.StructureSetROISequence[1].ROINumber = 1
    structures.ROIContourSequence[1].ReferencedROINumber = 1


def _heart_twice(structures: Dataset) -> None:
    """Both entries are the heart, ROI 1."""
    _liver_is_one(structures)
    structures.StructureSetROISequence[1].ROIName = "Heart"


def _to_two_plans(dose: Dataset) -> None:
    second = Dataset()
    second.ReferencedSOPClassUID, second.ReferencedSOPInstanceUID = (
        dose.ReferencedRTPlanSequence[0].ReferencedSOPClassUID,
        "1.2.3",
    )
    dose.ReferencedRTPlanSequence.append(second)
    dose.DoseSummationType = "MULTI_PLAN"


def _dvh(mean: str) -> Callable[[Dataset], None]:
    """A DVH of the heart: all of it gets 20 Gy."""

    def change(dose: Dataset) -> None:
        entry, named = Dataset(), Dataset()
        named.ReferencedROINumber, named.DVHROIContributionType = 1, "INCLUDED"
        entry.DVHReferencedROISequence, entry.DVHType, entry.DoseUnits, entry.DoseType = [named], "CUMULATIVE", "GY", "PHYSICAL"
        entry.DVHDoseScaling, entry.DVHVolumeUnits, entry.DVHNumberOfBins = "1", "CM3", 20
        entry.DVHData = [v for _ in range(20) for v in ("1", "226.8")]
        entry.DVHMeanDose = mean
        dose.DVHSequence = [entry]

    return change


def _zero(dose: Dataset) -> None:
    dose.PixelData = bytes(len(dose.PixelData))


def _parts(first: float, second: float) -> Change:
    """Doses of both beams instead of the plan's."""

    def change(folder: Path) -> None:
        add_dose(folder / "RTDOSE.dcm", folder, first, "BEAM", [part(1, [1])])
        add_dose(folder / "RTDOSE.dcm", folder, second, "BEAM", [part(1, [2])])
        (folder / "RTDOSE.dcm").unlink()

    return change


def _enhanced(folder: Path) -> None:
    """A multi-frame CT that does not say where its frames lie, in place of the CT."""

    def change(dataset: Dataset) -> None:
        dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.2.1"  # type: ignore[assignment]
        dataset.NumberOfFrames = 2
        dataset.PixelData = dataset.PixelData * 2

    changed(folder, change, "CT.001.dcm")
    for file in sorted(folder.glob("CT*"))[1:]:
        file.unlink()


def _record(dataset: Dataset) -> None:
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.481.4"  # type: ignore[assignment]


def _second_plan(dataset: Dataset) -> None:
    dataset.RTPlanLabel = "Boost"


NOTES = (
    Note("file.unreadable", lambda f: (f / "X.dcm").write_bytes(b"DICOM" * 60), ("X.dcm",), files=("X.dcm",)),
    Note("ct.absent", _gone("CT*"), ("The CT series that RTSTRUCT.dcm was drawn on is not here",), files=("RTSTRUCT.dcm",)),
    Note("ct.unusable", _gone("CT.00[2-9]*", "CT.01*", "CT.02*"), ("single",), near=_gone("CT.00[3-9]*", "CT.01*", "CT.02*")),
    Note("ct.slice_missing", _gone("CT.012.dcm"), ("missing",), positions_mm=(0.0,), near=_gone("CT.001.dcm", "CT.023.dcm")),
    Note("ct.slice_duplicated", _again("CT.012.dcm", "CTX.dcm", uid=True), ("1 CT slice lies at or between positions that other slices already have (CTX.dcm)",), positions_mm=(0.0,), files=("CTX.dcm",), near=_again("CT.012.dcm", "CTX.dcm")),
    Note("ct.exported_twice", _again("CT.012.dcm", "CTX.dcm"), ("1 CT slice is there more than once (CTX.dcm); each was used once",), files=("CTX.dcm",), near=_again("CT.012.dcm", "CTX.dcm", uid=True)),
    Note("ct.mixed", _as_it_is, ("left out",), written=(("resized", frozenset({5})),)),
    Note("ct.gantry_tilt", _as_it_is, ("10",), written=(("tilt_deg", 10.0),)),
    Note("ct.rescale_absent", _as_it_is, ("1 and 0",), written=(("rescaled", False),)),
    Note("structure_set.absent", _gone("RTSTRUCT.dcm"), ("There is no structure set for this CT",)),
    Note("structure_set.unusable", _cut("RTSTRUCT.dcm"), ("RTSTRUCT.dcm could not be read (the file is cut off or incomplete)",), files=("RTSTRUCT.dcm",)),
    Note("reference.structure_set_ct", _as_it_is, ("RTSTRUCT.dcm names another CT series than that of CT.001.dcm",), files=("RTSTRUCT.dcm", "CT.001.dcm"), written=(("structure_set_ct_key", "other"),)),
    Note("reference.plan_structure_set", _as_it_is, ("RTPLAN.dcm refers to a structure set that is not here; RTSTRUCT.dcm of the same patient was taken",), files=("RTPLAN.dcm", "RTSTRUCT.dcm"), written=(("plan_structure_set_key", "other"),)),
    Note("reference.dose_plan", _as_it_is, ("The dose RTDOSE.dcm refers to another plan than RTPLAN.dcm, so it was not used",), files=("RTPLAN.dcm", "RTDOSE.dcm"), written=(("dose_plan_key", "other"),)),
    Note("reference.patient", _as_it_is, ("different Patient IDs",), files=("RTPLAN.dcm", "RTDOSE.dcm"), written=(("dose_patient_id", "P2"),)),
    Note("reference.same_uid", _again("RTPLAN.dcm", "RTPLAN2.dcm", lambda d: setattr(d.FractionGroupSequence[0], "NumberOfFractionsPlanned", 5)), ("RTPLAN",), near=_again("RTPLAN.dcm", "RTPLAN2.dcm")),
    Note("structure_set.contours_left_out", _edit("RTSTRUCT.dcm", _kind("OPEN_NONPLANAR", 3)), ("Liver",), structures=("Liver",)),
    Note("dose.unusable", _edit("RTDOSE.dcm", lambda d: setattr(d, "DoseUnits", "RELATIVE")), ("RTDOSE.dcm: its DoseUnits are RELATIVE, not GY",), files=("RTDOSE.dcm",), near=_edit("RTDOSE.dcm", lambda d: setattr(d, "DoseUnits", "gy"))),
    Note("dose.summation", lambda f: add_dose(f / "RTDOSE.dcm", f, 0.5), ("2 dose objects claim to be the whole plan's dose",), near=lambda f: add_dose(f / "RTDOSE.dcm", f, 0.5, "BEAM", [part(1, [1])])),
    Note("dose.summation_absent", _edit("RTDOSE.dcm", lambda d: d.pop("DoseSummationType")), ("RTDOSE.dcm does not say what it is the dose of",), files=("RTDOSE.dcm",)),
    Note("dose.frame_of_reference", _edit("RTDOSE.dcm", lambda d: setattr(d, "FrameOfReferenceUID", "1.2.3")), ("RTDOSE.dcm has another frame of reference than the CT",), files=("RTDOSE.dcm",), near=_edit("RTDOSE.dcm", lambda d: setattr(d, "FrameOfReferenceUID", ""))),
    Note("structure_set.roi_number", _edit("RTSTRUCT.dcm", _liver_is_one), ("1",), structures=("Heart", "Liver")),
    Note("structure_set.contours_without_roi", _edit("RTSTRUCT.dcm", lambda d: setattr(d.ROIContourSequence[1], "ReferencedROINumber", 9)), ("9",)),
    Note("structure_set.numbers_merged", _edit("RTSTRUCT.dcm", _heart_twice), ("Heart",), structures=("Heart",)),
    Note("structure_set.geometric_type", _edit("RTSTRUCT.dcm", _kind("", 4)), ("Liver",), structures=("Liver",), near=_edit("RTSTRUCT.dcm", _kind("CLOSED_PLANAR", 4))),
    Note("reference.series_chosen", _in_turn(_second_ct, _edit("RTSTRUCT.dcm", _no_reference)), ("RTSTRUCT.dcm does not say on which of 2 CT series it was drawn",), measured=2.0, near=_second_ct),
    Note("ct.frames_unusable", _enhanced, ("CT.001.dcm",), files=("CT.001.dcm",)),
    Note("dose.zero", _edit("RTDOSE.dcm", _zero), ("The dose RTDOSE.dcm is zero everywhere",), measured=0.0, files=("RTDOSE.dcm",)),
    Note("dose.zero_part", _parts(1.0, 0.0), ("The dose of beam 2 (dose-1.dcm) is zero everywhere",), measured=0.0, files=("dose-1.dcm",), near=_parts(1.0, 0.001)),
    Note("dose.of_several_plans", _edit("RTDOSE.dcm", _to_two_plans), ("RTDOSE.dcm is the sum of 2 plans (DoseSummationType MULTI_PLAN)",), measured=2.0, files=("RTDOSE.dcm",)),
    Note("file.not_judged", _again("RTPLAN.dcm", "RT.dcm", _record, uid=True), ("1 RT Beams Treatment Record",), measured=1.0, files=("RT.dcm",)),
    Note("dose.planning_dvh", _edit("RTDOSE.dcm", _dvh("31")), ("RTDOSE.dcm",), files=("RTDOSE.dcm",), near=_edit("RTDOSE.dcm", _dvh("20"))),
    Note("plan.unusable", _cut("RTPLAN.dcm"), ("The plan RTPLAN.dcm could not be read (the file is cut off)",), files=("RTPLAN.dcm",)),
    Note("plan.prescription_unusable", _edit("RTPLAN.dcm", lambda d: setattr(d.DoseReferenceSequence[0], "TargetPrescriptionDose", "0")), ("RTPLAN.dcm states a prescription of 0 Gy to Breast",), measured="0", files=("RTPLAN.dcm",), near=_edit("RTPLAN.dcm", lambda d: setattr(d.DoseReferenceSequence[0], "TargetPrescriptionDose", "0.5"))),
    Note("plan.several", _again("RTPLAN.dcm", "RTPLAN2.dcm", _second_plan, uid=True), ("The patient has 2 plans here (",), measured=2.0, near=_again("RTPLAN.dcm", "RTPLAN2.dcm")),
)  # fmt: skip


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files with nothing wrong; not to be changed."""
    return write_box(tmp_path_factory.mktemp("clean"), image=IMAGE)


def _found(folder: Path, rule: str) -> list[object]:
    return [f for case in read_cases(folder) for f in case.findings if f.rule == rule]


@pytest.mark.parametrize("row", NOTES, ids=lambda row: row.rule)
def test_what_is_wrong_is_said_with_its_place_number_and_file(row: Note, clean: Path, tmp_path: Path) -> None:
    folder = tmp_path / "files"
    if row.written:
        write_box(folder, image=IMAGE, **dict(row.written))  # type: ignore[arg-type]
    else:
        shutil.copytree(clean, folder)
    row.change(folder)
    found = [f for case in read_cases(folder) for f in case.findings if f.rule == row.rule]
    assert found, [(f.rule, f.message) for case in read_cases(folder) for f in case.findings]
    finding = found[0]
    assert (finding.severity, finding.certainty) == (SEVERITIES[row.rule], "fact")
    for words in row.says:
        assert words in finding.message, finding.message
    assert finding.message.endswith(".")
    evidence = finding.evidence
    if row.positions_mm:
        assert evidence.positions_mm == pytest.approx(row.positions_mm)
    if row.measured is not None:
        assert evidence.measured == row.measured
    for names, expected in ((evidence.files, row.files), (evidence.structures, row.structures)):
        assert set(expected) <= set(names), names


@pytest.mark.parametrize("row", [row for row in NOTES if row.near is not None], ids=lambda row: row.rule)
def test_what_is_nearly_so_is_not_said(row: Note, clean: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(clean, tmp_path / "files")
    assert row.near is not None
    row.near(folder)
    assert _found(folder, row.rule) == []


def test_of_files_with_nothing_wrong_nothing_is_said(clean: Path) -> None:
    (case,) = read_cases(clean)
    assert case.findings == ()
    assert case.structures["Heart"].volume_ml == pytest.approx(226.8)


def test_every_rule_of_reading_has_a_row() -> None:
    """Whoever adds a rule adds its row: a rule without one is one that nobody would miss."""
    assert {row.rule for row in NOTES} | set(MADE_ELSEWHERE) == set(READING_RULES)
    root = Path(__file__).resolve().parents[2]
    assert all(rule in (root / test).read_text(encoding="utf-8") for rule, test in MADE_ELSEWHERE.items())
    assert {rule: severity for rule, (severity, _) in READING_RULES.items()} == SEVERITIES
