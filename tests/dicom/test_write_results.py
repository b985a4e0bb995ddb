"""Segmentation, structured report and PDF of a check: valid, and read by programs that we did not write."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pydicom
import pytest
from highdicom.seg import segread
from highdicom.sr import srread
from pydicom.uid import ComprehensiveSRStorage

from rtqc.core import Case, Structure
from rtqc.dicom import read_case, write_pdf, write_seg, write_sr
from rtqc.geometry import cover
from rtqc.heart import Draft
from rtqc.pipeline import Assessed, Options, assess_fully, drawn_by_of
from rtqc.report import NoBrowserError, report_pdf, write_objects
from tests.conftest import HEARTS, dciodvfy, real, tool
from tests.standard import violations


@pytest.fixture(scope="module")
def assessed(clean_case: Case, clean_draft: Draft) -> Assessed:
    return assess_fully(clean_case, Options(device="cpu", second_check=False), clean_draft)


def test_a_binary_segmentation_has_just_the_drafts_voxels(clean_case: Case, clean_draft: Draft, tmp_path: Path) -> None:
    path = write_seg(clean_draft.structure, clean_case, tmp_path / "seg.dcm", drawn_by_of(clean_draft))
    assert dciodvfy(path) == ([], [])
    seg = segread(path)
    volume = seg.get_volume(combine_segments=True)
    assert clean_case.image is not None
    grid = clean_case.image.grid
    # Each voxel is looked up at its place in the patient: highdicom orders frames its own way.
    index = np.argwhere(volume.array > 0)
    patient = volume.map_indices_to_reference(index)
    ours = np.rint(grid.index_of_patient(patient)).astype(int)
    mask = np.zeros(grid.shape, bool)
    mask[tuple(ours.T)] = True
    assert (mask == clean_draft.mask.array).all()
    description = seg.get_segment_description(1)
    assert description.algorithm_type.value == "AUTOMATIC"
    assert description.segmented_property_type.value == "80891009"
    assert clean_draft.model_hash in description.SegmentationAlgorithmIdentificationSequence[0].AlgorithmParameters
    assert set(seg.get_source_image_uids()) <= {
        (clean_case.provenance.study_uid, clean_case.provenance.ct_series_uid, uid)
        for _, uid in clean_case.provenance.slice_uids
    }


def test_a_fractional_segmentation_has_the_share_of_each_voxel(clean_case: Case, clean_draft: Draft, tmp_path: Path) -> None:
    path = write_seg(clean_draft.structure, clean_case, tmp_path / "seg.dcm", drawn_by_of(clean_draft), "fractional")
    assert dciodvfy(path) == ([], [])
    dataset = pydicom.dcmread(path)
    assert dataset.SegmentationFractionalType == "OCCUPANCY"
    assert clean_case.image is not None
    written = dataset.pixel_array.sum() / dataset.MaximumFractionalValue
    assert written == pytest.approx(float(cover(clean_draft.structure, clean_case.image.grid).sum()), rel=1e-3)


@pytest.mark.real
@pytest.mark.parametrize("patient", HEARTS)
def test_segmentations_of_real_patients_are_valid(patient: str, tmp_path: Path) -> None:
    case = read_case(real("heart-ct", patient))
    for kind in ("binary", "fractional"):
        path = write_seg(case.structures["Heart"], case, tmp_path / f"{kind}.dcm", drawn_by_of(None), kind)  # type: ignore[arg-type]
        assert dciodvfy(path)[0] == []


def test_the_structured_report_holds_every_number_and_the_verdict(assessed: Assessed, tmp_path: Path) -> None:
    path = write_sr(assessed.assessment, assessed.case, tmp_path / "sr.dcm", drawn_by_of(assessed.draft))
    errors, warnings = dciodvfy(path)
    assert errors == []
    # A scheme of one's own is not in dicom3tools' list; PS3.16 chapter 8 lets its name begin with 99.
    assert [w for w in warnings if "<99RTQC>" not in w] == []
    report = srread(path)
    assert report.SOPClassUID == ComprehensiveSRStorage
    groups = report.content.get_image_measurement_groups()
    values = {
        group.tracking_identifier: {m.name.meaning: (m.value, m.unit.value) for m in group.get_measurements()}
        for group in groups
    }
    a = assessed.assessment
    assert a.agreement is not None
    assert a.dose is not None
    assert a.dose.contoured is not None
    assert values["rtqc verdict"]["Dice coefficient"] == (a.agreement.dice, "1")
    assert values["rtqc verdict"]["Hausdorff distance, 95th percentile"] == (a.agreement.hausdorff95_mm, "mm")
    assert values["rtqc contour"]["Mean dose"] == (a.dose.contoured.mean_gy, "Gy")
    assert values["rtqc contour"]["V20Gy"] == (a.dose.contoured.v20_gy_percent, "%")
    assert a.heart.draft is not None
    assert values["rtqc draft"]["Volume"] == (a.heart.draft.volume_ml, "ml")
    dumped = subprocess.run([tool("dsrdump"), str(path)], capture_output=True, text=True, check=True).stdout
    assert '"Verdict")=(verdict-pass,99RTQC,"Passed")' in dumped


def test_findings_stand_in_the_structured_report(clean_case: Case, clean_draft: Draft, tmp_path: Path) -> None:
    from dataclasses import replace

    case = replace(clean_case, rois=tuple(r for r in clean_case.rois if r.structure.name != "Heart"))
    flagged = assess_fully(case, Options(device="cpu", second_check=False), clean_draft)
    path = write_sr(flagged.assessment, case, tmp_path / "sr.dcm", drawn_by_of(clean_draft))
    assert dciodvfy(path)[0] == []
    dumped = subprocess.run([tool("dsrdump"), "+Pl", str(path)], capture_output=True, text=True, check=True).stdout
    assert "contour.missing" in dumped
    assert "The structure set has no heart contour" in dumped


def test_the_report_is_filed_as_a_pdf_of_the_same_study(assessed: Assessed, tmp_path: Path) -> None:
    tool("chromium")
    written, left_out = write_objects(assessed, tmp_path)
    assert left_out == {}
    assert sorted(p.name for p in written.values()) == sorted(p.name for p in tmp_path.iterdir())
    dataset = pydicom.dcmread(written["pdf"])
    assert dciodvfy(written["pdf"]) == ([], [])
    assert violations(dataset) == []
    assert dataset.EncapsulatedDocument.startswith(b"%PDF-")
    assert dataset.StudyInstanceUID == assessed.case.provenance.study_uid
    assert len(dataset.SourceInstanceSequence) == len(assessed.case.provenance.slice_uids)
    with pytest.raises(FileExistsError):
        write_objects(assessed, tmp_path)


def test_without_a_browser_the_rest_is_written_and_it_is_said(
    assessed: Assessed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("RTQC_CHROMIUM", raising=False)
    with pytest.raises(NoBrowserError, match="install chromium, or set RTQC_CHROMIUM"):
        report_pdf(assessed)
    monkeypatch.setenv("RTQC_CHROMIUM", "/bin/false")
    written, left_out = write_objects(assessed, tmp_path / "out")
    assert set(written) == {"rtstruct", "seg", "sr"}
    assert "did not print" in left_out["pdf"]


def test_what_cannot_be_written_says_why(clean_case: Case, clean_draft: Draft, tmp_path: Path) -> None:
    from dataclasses import replace

    by = drawn_by_of(clean_draft)
    with pytest.raises(ValueError, match="empty"):
        write_seg(Structure("Heart_rtqc", {}), clean_case, tmp_path / "x.dcm", by)
    with pytest.raises(ValueError, match="no CT to refer to"):
        write_seg(clean_draft.structure, replace(clean_case, image=None), tmp_path / "x.dcm", by)
    with pytest.raises(ValueError, match="not a PDF"):
        write_pdf(b"text", clean_case, tmp_path / "x.dcm", by)
    assert list(tmp_path.iterdir()) == []
