"""The draft as a file: valid, referenced, read by programs that we did not write, and never mistaken for a human's."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pydicom
import pytest
import shapely
from rt_utils import RTStructBuilder
from scipy.ndimage import binary_dilation, generate_binary_structure
from shapely.geometry import MultiPolygon, Polygon

from rtqc.core import Case, Structure
from rtqc.dicom import DrawnBy, append_rtstruct, pydicom_with_read_file, read_case, read_structure_set, write_rtstruct
from rtqc.geometry import rasterize
from rtqc.heart import Draft
from tests.conftest import HEARTS, dciodvfy, real, tool
from tests.shapes import circle

BY = DrawnBy("heart-v1", "1", "ab" * 32, "rtqc test")


@pytest.fixture(scope="module")
def written(clean_case: Case, clean_draft: Draft, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_rtstruct(clean_draft.structure, clean_case, tmp_path_factory.mktemp("draft") / "heart.dcm", BY)


def test_dciodvfy_finds_no_error_and_no_warning(written: Path) -> None:
    assert dciodvfy(written) == ([], [])


@pytest.mark.real
@pytest.mark.parametrize("patient", HEARTS)
def test_dciodvfy_finds_no_error_on_real_patients(patient: str, tmp_path: Path) -> None:
    case = read_case(real("heart-ct", patient))
    path = write_rtstruct(case.structures["Heart"].renamed("Heart_rtqc"), case, tmp_path / "heart.dcm", BY)
    errors, warnings = dciodvfy(path)
    assert errors == []
    assert warnings == []


def test_dcmtk_reads_it(written: Path) -> None:
    done = subprocess.run([tool("dcmdump"), "+P", "ROIName", str(written)], capture_output=True, text=True, check=True)
    assert "Heart_rtqc" in done.stdout


def test_it_says_that_a_machine_drew_it(written: Path) -> None:
    dataset = pydicom.dcmread(written)
    roi = dataset.StructureSetROISequence[0]
    assert roi.ROIName == "Heart_rtqc"
    assert roi.ROIGenerationAlgorithm == "AUTOMATIC"
    assert "heart-v1" in roi.ROIGenerationDescription
    assert dataset.ApprovalStatus == "UNAPPROVED"
    assert dataset.OperatorsName == ""
    assert "heart-v1" in dataset.StructureSetDescription


def test_it_refers_to_the_right_series_and_every_slice(written: Path, clean_case: Case) -> None:
    dataset = pydicom.dcmread(written)
    series = dataset.ReferencedFrameOfReferenceSequence[0].RTReferencedStudySequence[0].RTReferencedSeriesSequence[0]
    assert series.SeriesInstanceUID == clean_case.provenance.ct_series_uid
    assert clean_case.image is not None
    by_uid = {uid: w for (_, uid), w in zip(clean_case.provenance.slice_uids, clean_case.image.grid.positions_mm, strict=True)}
    for contour in dataset.ROIContourSequence[0].ContourSequence:
        w = by_uid[contour.ContourImageSequence[0].ReferencedSOPInstanceUID]
        heights = np.array(contour.ContourData, float)[2::3]
        assert np.ptp(heights) == 0
        assert heights[0] == pytest.approx(w, abs=0.01)
        assert contour.NumberOfContourPoints <= 250
        assert all(len(str(v)) <= 16 for v in contour.ContourData)


def test_rtqc_reads_back_what_it_wrote(written: Path, clean_case: Case, clean_draft: Draft) -> None:
    assert clean_case.image is not None
    back = read_structure_set(written, clean_case.image.grid.orientation, 3.0).rois[0]
    assert back.defects == ()
    a, b = (rasterize(s, clean_case.image.grid).array for s in (back.structure, clean_draft.structure))
    assert 2 * (a & b).sum() / (a.sum() + b.sum()) >= 0.995
    assert back.structure.volume_ml == pytest.approx(clean_draft.structure.volume_ml, rel=0.002)


def test_rt_utils_reads_the_same_voxels(
    written: Path, clean_case: Case, clean_draft: Draft, clean_folder: Path, tmp_path: Path
) -> None:
    series = tmp_path / "ct"
    series.mkdir()
    for file in clean_folder.glob("CT.*"):
        (series / file.name).symlink_to(file)
    theirs = np.transpose(RTStructBuilder.create_from(str(series), str(written)).get_roi_mask_by_name("Heart_rtqc"), (2, 0, 1))
    ours = clean_draft.mask.array
    # It fills every pixel that the outline touches, so it may have one pixel more around, and none less.
    cross = generate_binary_structure(3, 1) & np.array([0, 1, 0], bool)[:, None, None]
    assert (ours & ~theirs).sum() <= 0.001 * ours.sum()
    assert not (theirs & ~binary_dilation(ours, cross, iterations=2)).any()


def test_dicompyler_core_reads_it_and_its_volume(written: Path, clean_draft: Draft) -> None:
    pydicom_with_read_file()
    from dicompylercore import dicomparser

    parser = dicomparser.DicomParser(str(written))
    structure = parser.GetStructures()[1]
    assert structure["name"] == "Heart_rtqc"
    planes = parser.GetStructureCoordinates(1)
    areas = [Polygon([p[:2] for p in c["data"]]).area for plane in planes.values() for c in plane]
    assert len(planes) == len(clean_draft.structure.planes)
    assert sum(areas) * 3.0 / 1000 == pytest.approx(clean_draft.structure.volume_ml, rel=0.003)


def test_holes_are_written_as_keyholes_that_are_read_back_as_holes(clean_case: Case, tmp_path: Path) -> None:
    assert clean_case.image is not None
    planes = {}
    for w in clean_case.image.grid.slice_positions_mm[40:44]:
        planes[w] = MultiPolygon([circle(0, 0, 30).difference(circle(5, 5, 8)).difference(circle(-12, 0, 5)), circle(60, 0, 6)])
    ring = Structure("Heart_rtqc", planes, slice_spacing_mm=3.0)
    path = write_rtstruct(ring, clean_case, tmp_path / "ring.dcm", BY)
    assert dciodvfy(path) == ([], [])
    back = read_structure_set(path, slice_spacing_mm=3.0).rois[0]
    assert back.defects == ()
    for w, area in planes.items():
        assert shapely.symmetric_difference(back.structure.planes[w], area).area < 0.01 * area.area
        assert sum(len(p.interiors) for p in back.structure.planes[w].geoms) == 2


def test_an_existing_file_is_not_replaced(written: Path, clean_case: Case, clean_draft: Draft) -> None:
    before = written.read_bytes()
    with pytest.raises(FileExistsError, match="exists already"):
        write_rtstruct(clean_draft.structure, clean_case, written, BY)
    assert written.read_bytes() == before


def test_nothing_is_written_of_an_empty_draft(clean_case: Case, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="empty"):
        write_rtstruct(Structure("Heart_rtqc", {}), clean_case, tmp_path / "x.dcm", BY)
    assert list(tmp_path.iterdir()) == []


def test_appending_keeps_every_other_roi_and_private_attributes(folder: Path, tmp_path: Path, clean_draft: Draft) -> None:
    source = folder / "RTSTRUCT.dcm"
    dataset = pydicom.dcmread(source)
    dataset.private_block(0x3287, "CLINIC", create=True).add_new(1, "LO", "kept")
    dataset.save_as(source)
    before = source.read_bytes()
    case = read_case(folder)
    target = append_rtstruct(clean_draft.structure, case, source, tmp_path / "both.dcm", BY)
    assert source.read_bytes() == before
    old, new = pydicom.dcmread(source), pydicom.dcmread(target)
    assert new.SOPInstanceUID != old.SOPInstanceUID
    assert new.private_block(0x3287, "CLINIC")[1].value == "kept"
    assert [r.ROIName for r in new.StructureSetROISequence] == [*(r.ROIName for r in old.StructureSetROISequence), "Heart_rtqc"]
    for keyword in ("StructureSetROISequence", "ROIContourSequence", "RTROIObservationsSequence"):
        assert list(new[keyword].value)[:-1] == list(old[keyword].value)
    assert new.PredecessorStructureSetSequence[0].ReferencedSOPInstanceUID == old.SOPInstanceUID
    assert dciodvfy(target)[0] == []
    with pytest.raises(FileExistsError):
        append_rtstruct(clean_draft.structure, case, source, source, BY, replace=True)


def test_appending_to_a_structure_set_of_another_ct_is_refused(folder: Path, clean_draft: Draft, tmp_path: Path) -> None:
    case = read_case(folder)
    with pytest.raises(ValueError, match="not a structure set of this CT"):
        append_rtstruct(clean_draft.structure, case, real("heart-ct", "0187", "rtstruct.dcm"), tmp_path / "x.dcm", BY)
    assert list(tmp_path.glob("*.dcm")) == []


def test_every_object_of_a_synthetic_plan_is_valid(clean_folder: Path) -> None:
    for name in ("CT.050.dcm", "RTSTRUCT.dcm", "RTPLAN.dcm", "RTDOSE.dcm"):
        assert dciodvfy(clean_folder / name)[0] == [], name
