"""The draft as a file: valid, referenced, read by programs that we did not write, and never mistaken for a human's."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import nrrd
import numpy as np
import pydicom
import pytest
import shapely
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from rt_utils import RTStructBuilder
from scipy.ndimage import binary_dilation, generate_binary_structure
from shapely.geometry import MultiPolygon, Polygon

from rtqc.core import Case, Structure
from rtqc.dicom import DrawnBy, Writing, append_rtstruct, pydicom_with_read_file, read_case, read_structure_set, write_rtstruct
from rtqc.geometry import rasterize
from rtqc.heart import Draft
from rtqc.pipeline import Options, assess
from tests.conftest import HEARTS, dciodvfy, real, tool
from tests.shapes import circle
from tests.standard import violations

BY = DrawnBy("heart-v1", "1", "ab" * 32, "rtqc test", "three patients", "cpu")


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


#: Warnings about what is the CT's: patient and study must be the same in every object of the study.
_OF_THE_CT = ("Study Date", "Study Time", "Study ID", "Patient's Name", "Referring Physician's Name")


@pytest.mark.real
@pytest.mark.parametrize("where", ["lung-gtv/pat_2", "breast-plan"])
def test_it_is_valid_on_headers_of_real_planning_systems(where: str, tmp_path: Path) -> None:
    folder = real(*where.split("/"))
    if where == "breast-plan":  # one CT slice is no image: its header once more, 3 mm higher
        first = pydicom.dcmread(folder / "ct.0.dcm")
        for k in range(2):
            first.SOPInstanceUID = first.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{k}"
            first.ImagePositionPatient = [*first.ImagePositionPatient[:2], 3.0 * k]
            first.save_as(tmp_path / f"ct{k}.dcm")
        folder = tmp_path
    case = read_case(folder)
    assert case.image is not None
    x, y = (float(np.mean(axis)) for axis in (case.image.grid.columns_mm, case.image.grid.rows_mm))
    planes = {float(w): MultiPolygon([circle(x, y, 20)]) for w in case.image.grid.positions_mm[:5]}
    path = write_rtstruct(Structure("Heart_rtqc", planes, slice_spacing_mm=3.0), case, tmp_path / "heart.dcm", BY)
    errors, warnings = dciodvfy(path)
    assert errors == []
    assert [w for w in warnings if not any(attribute in w for attribute in _OF_THE_CT)] == []
    assert violations(pydicom.dcmread(path)) == []


def test_it_holds_what_the_standard_asks_for_and_nothing_else(written: Path) -> None:
    assert violations(pydicom.dcmread(written)) == []


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
    for told in ("rtqc test", "not approved", "sha256:" + "ab" * 32, "on cpu", "trained on three patients", "contours sha256:"):
        assert told in roi.ROIDescription


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


def test_plastimatch_reads_the_same_voxels(written: Path, clean_draft: Draft, clean_folder: Path, tmp_path: Path) -> None:
    series = tmp_path / "ct"
    series.mkdir()
    for file in clean_folder.glob("CT.*"):
        (series / file.name).symlink_to(file)
    subprocess.run(
        [shutil.which("plastimatch", path=str(Path(sys.executable).parent)) or tool("plastimatch"), "convert", "--input", written,
         "--referenced-ct", series, "--output-prefix", tmp_path / "masks", "--prefix-format", "nrrd"],
        check=True, capture_output=True,
    )  # fmt: skip
    theirs = nrrd.read(str(next((tmp_path / "masks").glob("*.nrrd"))))[0].T > 0
    ours = clean_draft.mask.array
    assert 2 * (theirs & ours).sum() / (theirs.sum() + ours.sum()) >= 0.99


def test_holes_as_contours_of_their_own_are_read_back_and_valid(clean_case: Case, tmp_path: Path) -> None:
    assert clean_case.image is not None
    area = MultiPolygon([circle(0, 0, 30).difference(circle(5, 5, 8)).difference(circle(-12, 0, 5))])
    ring = Structure("Heart_rtqc", dict.fromkeys(clean_case.image.grid.slice_positions_mm[40:44], area), slice_spacing_mm=3.0)
    path = write_rtstruct(ring, clean_case, tmp_path / "ring.dcm", BY, Writing("xor"))
    contours = pydicom.dcmread(path).ROIContourSequence[0].ContourSequence
    assert {c.ContourGeometricType for c in contours} == {"CLOSEDPLANAR_XOR"}
    assert len(contours) == 12
    assert violations(pydicom.dcmread(path)) == []
    back = read_structure_set(path, slice_spacing_mm=3.0).rois[0]
    assert back.defects == ()
    for plane in back.structure.planes.values():
        assert shapely.symmetric_difference(plane, area).area < 0.01 * area.area


def test_several_drafts_lie_in_one_file_with_names_numbers_and_colours_of_their_own(
    clean_case: Case, clean_draft: Draft, tmp_path: Path
) -> None:
    heart = clean_draft.structure
    path = write_rtstruct([heart, heart, heart.renamed("Other_rtqc")], clean_case, tmp_path / "three.dcm", BY)
    assert dciodvfy(path) == ([], [])
    dataset = pydicom.dcmread(path)
    assert [r.ROIName for r in dataset.StructureSetROISequence] == ["Heart_rtqc", "Heart_rtqc_2", "Other_rtqc"]
    assert [r.ROINumber for r in dataset.StructureSetROISequence] == [1, 2, 3]
    assert len({tuple(c.ROIDisplayColor) for c in dataset.ROIContourSequence}) == 3


def test_contours_are_what_somebody_can_edit(written: Path, clean_draft: Draft) -> None:
    contours = pydicom.dcmread(written).ROIContourSequence[0].ContourSequence
    heights = [float(c.ContourData[2]) for c in contours]
    assert len(heights) == len(set(heights)) == len(clean_draft.structure.planes)
    for contour in contours:
        points = np.array(contour.ContourData, float).reshape(-1, 3)[:, :2]
        ring = shapely.Polygon(points)
        assert ring.is_valid
        assert ring.exterior.is_ccw
        edges = np.roll(points, -1, axis=0) - points
        assert np.hypot(*edges.T).min() > 0.1
        turn = np.angle(np.exp(1j * np.diff(np.arctan2(edges[:, 1], edges[:, 0]), append=0)))[:-1]
        assert np.abs(turn).max() < np.radians(75)
        assert len(points) <= 200
        # Within 0.1 mm of what was drawn.
        drawn = min(clean_draft.structure.planes.items(), key=lambda p: abs(p[0] - float(contour.ContourData[2])))[1]
        assert shapely.hausdorff_distance(ring.boundary, drawn.boundary, densify=0.1) < 0.1


def _approved(written: Path, target: Path, edit: Callable[[pydicom.Dataset], None]) -> bool:
    """Whether the draft under the approved name is known as unedited."""
    dataset = pydicom.dcmread(written)
    dataset.StructureSetROISequence[0].ROIName = "Heart"
    edit(dataset.ROIContourSequence[0])
    dataset.save_as(target)
    return read_structure_set(target, slice_spacing_mm=3.0).rois[0].unedited_draft


def test_a_draft_that_nobody_edited_is_known_under_any_name(written: Path, tmp_path: Path) -> None:
    def rewritten(roi: pydicom.Dataset) -> None:
        roi.ContourSequence = list(roi.ContourSequence)[::-1]
        for contour in roi.ContourSequence:
            points = np.roll(np.array(contour.ContourData, float).reshape(-1, 3), 7, axis=0)[::-1]
            points = np.vstack([points, points[:1]])
            contour.ContourData = [f"{v + 0.0004:.4f}" for v in points.ravel()]
            contour.NumberOfContourPoints = len(points)

    def moved(roi: pydicom.Dataset) -> None:
        values = [float(v) for v in roi.ContourSequence[3].ContourData]
        values[0] += 0.5
        roi.ContourSequence[3].ContourData = values

    def erased(roi: pydicom.Dataset) -> None:
        del roi.ContourSequence[0]

    assert _approved(written, tmp_path / "a.dcm", lambda roi: None)
    assert _approved(written, tmp_path / "b.dcm", rewritten)
    assert not _approved(written, tmp_path / "c.dcm", moved)
    assert not _approved(written, tmp_path / "d.dcm", erased)


def test_an_unedited_draft_under_the_approved_name_is_a_finding(
    clean_case: Case, clean_draft: Draft, folder: Path, tmp_path: Path
) -> None:
    written = write_rtstruct(clean_draft.structure.renamed("Heart"), clean_case, tmp_path / "Heart.dcm", BY)
    dataset, plan = pydicom.dcmread(written), pydicom.dcmread(folder / "RTPLAN.dcm")
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = plan.ReferencedStructureSetSequence[
        0
    ].ReferencedSOPInstanceUID
    dataset.save_as(folder / "RTSTRUCT.dcm")
    assessment = assess(read_case(folder), Options(device="cpu", second_check=False), clean_draft)
    assert "contour.unedited_draft" in {f.rule for f in assessment.findings}
    assert assessment.verdict == "flag"


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
        append_rtstruct(clean_draft.structure, case, source, source, BY, Writing(replace=True))


def _bytes_of(path: Path, keyword: str) -> list[bytes]:
    """Each item of a top-level sequence, encoded as it is read."""
    encoded = []
    for item in pydicom.dcmread(path)[keyword].value:
        buffer = DicomBytesIO()
        buffer.is_little_endian, buffer.is_implicit_VR = True, False
        write_dataset(buffer, item)
        encoded.append(buffer.getvalue())
    return encoded


def test_appending_to_a_strange_structure_set_changes_nothing_in_it(folder: Path, tmp_path: Path, clean_draft: Draft) -> None:
    source = folder / "RTSTRUCT.dcm"
    dataset = pydicom.dcmread(source)
    dataset.SpecificCharacterSet = ["ISO 2022 IR 6", "ISO 2022 IR 87"]
    template = dataset.StructureSetROISequence[1]
    for number in range(10, 205):
        roi = Dataset()
        roi.ROINumber = number if number % 50 else 12  # some numbers stand there twice
        roi.ReferencedFrameOfReferenceUID = template.ReferencedFrameOfReferenceUID
        roi.ROIName, roi.ROIGenerationAlgorithm = f"心臓 {number}", ""
        roi.private_block(0x3287, "CLINIC", create=True).add_new(1, "OB", b"\x00\xff" * (number % 7))
        dataset.StructureSetROISequence.append(roi)
    # A wrong VR, an odd number of decimals, and no observations at all.
    dataset.StructureSetROISequence[0].add_new("ROIVolume", "LO", "about 3 litres")
    contour = dataset.ROIContourSequence[0].ContourSequence[0]
    contour.ContourData = [f"{float(v):.6f}" for v in contour.ContourData]
    del dataset.RTROIObservationsSequence
    dataset.save_as(source)
    before = source.read_bytes()
    target = append_rtstruct(clean_draft.structure, read_case(folder), source, tmp_path / "both.dcm", BY)
    assert source.read_bytes() == before
    for keyword in ("StructureSetROISequence", "ROIContourSequence"):
        old, new = _bytes_of(source, keyword), _bytes_of(target, keyword)
        assert new[: len(old)] == old
        assert len(new) == len(old) + 1
        # And they stand in the file as they did: nothing was decoded and encoded on the way.
        assert all(item in target.read_bytes() for item in old)
    new = pydicom.dcmread(target)
    assert new.StructureSetROISequence[-2].ROIName == "心臓 204"
    numbers = [r.ROINumber for r in new.StructureSetROISequence]
    assert numbers[-1] == 205
    assert numbers.count(205) == 1
    assert new.RTROIObservationsSequence[0].ReferencedROINumber == 205
    assert new.SeriesInstanceUID != pydicom.dcmread(source).SeriesInstanceUID


def test_appending_to_a_structure_set_of_another_series_is_refused(folder: Path, clean_draft: Draft, tmp_path: Path) -> None:
    case, other = read_case(folder), pydicom.dcmread(folder / "RTSTRUCT.dcm")
    reference = other.ReferencedFrameOfReferenceSequence[0].RTReferencedStudySequence[0].RTReferencedSeriesSequence[0]
    reference.SeriesInstanceUID = "1.2.3.4"
    other.save_as(tmp_path / "other.dcm")
    with pytest.raises(ValueError, match=r"not a structure set of this CT series \(it refers to 1\.2\.3\.4\)"):
        append_rtstruct(clean_draft.structure, case, tmp_path / "other.dcm", tmp_path / "x.dcm", BY)
    (tmp_path / "half.dcm").write_bytes((folder / "RTSTRUCT.dcm").read_bytes()[:20_000])
    (tmp_path / "text.dcm").write_text("no DICOM")
    for name, words in (("half.dcm", "not a whole RTSTRUCT"), ("text.dcm", "not a DICOM file")):
        with pytest.raises(ValueError, match=words):
            append_rtstruct(clean_draft.structure, case, tmp_path / name, tmp_path / "x.dcm", BY)
    assert not (tmp_path / "x.dcm").exists()


def test_appending_to_a_structure_set_of_another_ct_is_refused(folder: Path, clean_draft: Draft, tmp_path: Path) -> None:
    case = read_case(folder)
    with pytest.raises(ValueError, match="not a structure set of this CT"):
        append_rtstruct(clean_draft.structure, case, real("heart-ct", "0187", "rtstruct.dcm"), tmp_path / "x.dcm", BY)
    assert list(tmp_path.glob("*.dcm")) == []


def test_every_object_of_a_synthetic_plan_is_valid(clean_folder: Path) -> None:
    for name in ("CT.050.dcm", "RTSTRUCT.dcm", "RTPLAN.dcm", "RTDOSE.dcm"):
        assert dciodvfy(clean_folder / name)[0] == [], name
