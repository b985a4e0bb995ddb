"""Series as scanners, PACS and anonymisers send them: which slices are of the image, and which series the contours lie on."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from rtqc.core import Case
from rtqc.dicom import DrawnBy, read_case
from rtqc.dicom import write_rtstruct as write_structure
from tests.dicom.boxes import HEART_SLICES, SLICES, heart, uid, write_ct, write_structures

HEART = [(1, "Heart", heart())]


def _rules(case: Case) -> list[str]:
    return [f.rule for f in case.findings]


def _hu_at(case: Case, z: float) -> float:
    assert case.image is not None
    k = int(np.abs(case.image.grid.positions_mm - z).argmin())
    return float(case.image.hu[k, 0, 0])


@pytest.mark.parametrize(
    "edit",
    [
        lambda k, d: setattr(d, "PixelSpacing", [6.0, 6.0] if k % 2 else ["6.0000000010", "6.0000000010"]),
        lambda k, d: setattr(d, "PixelSpacing", ["5.99995", "5.99995"] if k % 2 else ["6.00005", "6.00005"]),
        lambda k, d: setattr(d, "ImageOrientationPatient", [1, 0, 0, 0, 1, 0] if k % 2 else ["0.9999995", "0.0004996", "0", "-0.0004996", "0.9999995", "0"]),
        lambda k, d: setattr(d, "ImageOrientationPatient", [1, 0, 0, 0, 1, 0] if k % 2 else ["1", "-0.0", "1e-9", "0", "1", "0"]),
    ],
    ids=["1e-9", "1e-5", "0.03 degrees", "1e-9 of a direction"],
)  # fmt: skip
def test_headers_that_are_rounded_differently_are_of_one_geometry(tmp_path: Path, edit: Callable[[int, Dataset], None]) -> None:
    write_structures(tmp_path, HEART, write_ct(tmp_path, edit=edit))
    case = read_case(tmp_path)
    assert case.provenance.files["ct"] == len(SLICES)
    assert _rules(case) == []


def test_slices_of_another_spacing_are_left_out_even_if_they_are_many(tmp_path: Path) -> None:
    """The structure set's slices stay, although the others are more."""
    write_structures(tmp_path, HEART, write_ct(tmp_path))
    write_ct(tmp_path, [0.5 * k for k in range(-60, 61)], prefix="A", edit=lambda k, d: setattr(d, "PixelSpacing", [3, 3]))
    case = read_case(tmp_path)
    assert case.image is not None
    assert case.image.grid.spacing_mm == (6.0, 6.0)
    assert case.provenance.files["ct"] == len(SLICES)
    assert _rules(case) == ["ct.mixed"]


@pytest.mark.parametrize("name", ["A", "Z"])
def test_bolus_slices_do_not_displace_the_slice_that_the_structure_set_refers_to(tmp_path: Path, name: str) -> None:
    write_structures(tmp_path, HEART, write_ct(tmp_path))
    write_ct(tmp_path, [0.0] * 20, prefix=name, hu=300)
    case = read_case(tmp_path)
    assert _hu_at(case, 0) == 40
    assert _rules(case) == ["ct.slice_duplicated"]
    assert (
        f"20 CT slices lie at or between positions that other slices already have ({name}.000.dcm" in case.findings[0].message
    )


@pytest.mark.parametrize("shift", [0.0, 1.5, 1.0])
def test_a_second_acquisition_in_the_series_is_left_out(tmp_path: Path, shift: float) -> None:
    write_structures(tmp_path, HEART, write_ct(tmp_path))
    write_ct(tmp_path, [z + shift for z in SLICES], prefix="A", hu=300)
    case = read_case(tmp_path)
    assert case.image is not None
    # A last slice that lies beyond the first acquisition lies between none of its slices.
    assert case.image.grid.slice_positions_mm[: len(SLICES)] == SLICES
    assert all(_hu_at(case, z) == 40 for z in HEART_SLICES)
    assert case.structures["Heart"].volume_ml == pytest.approx(226.8, rel=1e-6)
    assert "ct.mixed" in _rules(case)


def test_slices_that_the_structure_set_does_not_list_stay(tmp_path: Path) -> None:
    """Many structure sets list only the slices that carry contours."""
    uids = write_ct(tmp_path)
    write_structures(tmp_path, HEART, uids[10:31])
    case = read_case(tmp_path)
    assert case.provenance.files["ct"] == len(SLICES)
    assert _rules(case) == []


def test_acquisitions_that_follow_each_other_are_one_image(tmp_path: Path) -> None:
    write_structures(
        tmp_path, HEART, write_ct(tmp_path, edit=lambda k, d: setattr(d, "AcquisitionNumber", k // 4)), series="ct"
    )
    assert read_case(tmp_path).provenance.files["ct"] == len(SLICES)


def test_without_references_the_acquisition_with_most_slices_is_used(tmp_path: Path) -> None:
    write_ct(tmp_path, edit=lambda k, d: setattr(d, "AcquisitionNumber", 2))
    write_ct(tmp_path, [0.0] * 5, prefix="A", hu=300, edit=lambda k, d: setattr(d, "AcquisitionNumber", 3))
    write_structures(tmp_path, HEART)
    assert _hu_at(read_case(tmp_path), 0) == 40


def test_a_change_of_spacing_is_no_missing_slice_and_a_missing_slice_still_is(tmp_path: Path) -> None:
    slices = [-60.0 + 2 * k for k in range(31)] + [6.0 * k for k in range(1, 13)]
    write_ct(tmp_path / "changed", slices)
    assert "ct.slice_missing" not in _rules(read_case(tmp_path / "changed"))
    write_ct(tmp_path / "missing", [z for z in slices if z not in (-20.0, 36.0)])
    (finding,) = [f for f in read_case(tmp_path / "missing").findings if f.rule == "ct.slice_missing"]
    assert finding.evidence.positions_mm == (-20.0, 36.0)
    assert "About 2 CT slices" in finding.message


def _copied(folder: Path, change: Callable[[Dataset], None]) -> Case:
    write_structures(folder, HEART, write_ct(folder))
    dataset = pydicom.dcmread(folder / "CT.020.dcm")
    change(dataset)
    dataset.save_as(folder / "again.dcm")
    return read_case(folder)


@pytest.mark.parametrize(
    "change",
    [
        lambda d: setattr(d, "PixelData", b"\x01" + d.PixelData[1:]),
        lambda d: setattr(d, "ImagePositionPatient", [-93, -93, 3]),
        lambda d: setattr(d, "RescaleIntercept", 0),
    ],
    ids=["pixels", "position", "intercept"],
)
def test_two_slices_of_one_uid_that_differ_are_both_named(tmp_path: Path, change: Callable[[Dataset], None]) -> None:
    (finding,) = _copied(tmp_path, change).findings
    assert finding.rule == "reference.same_uid"
    assert finding.severity == "fail"
    assert finding.evidence.files == ("CT.020.dcm", "again.dcm")


def test_a_copy_with_another_description_is_a_copy(tmp_path: Path) -> None:
    assert _rules(_copied(tmp_path, lambda d: setattr(d, "SeriesDescription", "copy"))) == ["ct.exported_twice"]


# --- Which series ---


def _unreferred(folder: Path) -> None:
    write_structures(folder, HEART, series=None)


@pytest.mark.parametrize(
    ("others", "expected"),
    [([float(z) for z in range(-60, 61)], 41), ([z + 1.5 for z in SLICES], 41), ([float(z) for z in range(-100, 100, 7)], 41)],
    ids=["thinner", "shifted", "longer"],
)
def test_the_series_on_whose_slices_the_contours_lie_is_taken_and_that_is_said(
    tmp_path: Path, others: list[float], expected: int
) -> None:
    write_ct(tmp_path)
    write_ct(tmp_path, others, series="other", prefix="A")
    _unreferred(tmp_path)
    case = read_case(tmp_path)
    assert case.provenance.ct_series_uid == uid("ct")
    assert case.provenance.files["ct"] == expected
    assert _rules(case) == ["reference.series_chosen"]
    assert "100 % of its contours lie on its slices" in case.findings[0].message


def test_the_only_series_is_no_choice(tmp_path: Path) -> None:
    write_ct(tmp_path)
    _unreferred(tmp_path)
    assert _rules(read_case(tmp_path)) == []


def test_two_series_of_the_same_slices_are_said_to_fit_alike(tmp_path: Path) -> None:
    write_ct(tmp_path)
    write_ct(tmp_path, series="contrast", prefix="A", hu=60)
    _unreferred(tmp_path)
    case = read_case(tmp_path)
    assert "as they do on another's" in case.findings[0].message


# --- Enhanced CT ---


def _enhanced(folder: Path, slices: tuple[float, ...] = SLICES) -> Dataset:
    """A CT as highdicom makes a multi-frame one of it; each slice has HU of its own."""
    single = folder / "single"

    def edit(k: int, d: Dataset) -> None:
        d.PixelData = np.full((d.Rows, d.Columns), k * 10, np.int16).tobytes()
        d.AcquisitionNumber, d.ContentDate, d.ContentTime, d.BodyPartExamined = 1, "20260102", "120000", "CHEST"
        d.PatientOrientation, d.StudyDate, d.StudyTime, d.AccessionNumber = ["L", "P"], "20260102", "120000", ""
        d.PatientBirthDate, d.PatientSex, d.StudyID, d.ReferringPhysicianName, d.Manufacturer = "", "F", "1", "", "rtqc"
        d.SeriesNumber, d.PositionReferenceIndicator, d.KVP = 1, "", 120

    write_ct(single, slices, edit=edit)
    files = [pydicom.dcmread(f) for f in sorted(single.glob("*.dcm"))]
    return hd.legacy.LegacyConvertedEnhancedCTImage(
        files, series_instance_uid=uid("ct"), series_number=1, sop_instance_uid=uid("enhanced"), instance_number=1
    )


def _same_as_single(case: Case, folder: Path) -> None:
    single = read_case(folder / "single").image
    assert case.image is not None
    assert single is not None
    assert case.image.grid == single.grid
    assert np.array_equal(case.image.hu, single.hu)


def test_an_enhanced_ct_is_the_ct_that_it_was_made_of(tmp_path: Path) -> None:
    _enhanced(tmp_path).save_as(tmp_path / "E.dcm")
    (tmp_path / "plan").mkdir()
    (tmp_path / "E.dcm").rename(tmp_path / "plan" / "E.dcm")
    write_structures(tmp_path / "plan", HEART, [uid("enhanced")])
    case = read_case(tmp_path / "plan")
    assert _rules(case) == []
    assert case.structures["Heart"].volume_ml == pytest.approx(226.8, rel=1e-6)
    assert case.provenance.files["ct"] == len(SLICES)
    _same_as_single(case, tmp_path)


def test_contours_on_an_enhanced_ct_name_the_frame_that_they_are_drawn_on(tmp_path: Path) -> None:
    """PS3.3 10.3: Referenced Frame Number is required where a reference is not to all frames; the frame is where the contour lies."""
    dataset = _enhanced(tmp_path)
    order = np.random.default_rng(4).permutation(len(SLICES))
    dataset.PerFrameFunctionalGroupsSequence = [dataset.PerFrameFunctionalGroupsSequence[k] for k in order]
    (tmp_path / "plan").mkdir()
    dataset.save_as(tmp_path / "plan" / "E.dcm")
    write_structures(tmp_path / "plan", HEART, [uid("enhanced")])
    case = read_case(tmp_path / "plan")
    written = write_structure(
        case.structures["Heart"].renamed("Heart_rtqc"), case, tmp_path / "draft.dcm", DrawnBy("rtqc", "1", "", "rtqc 1")
    )
    structure_set = pydicom.dcmread(written)
    contours = structure_set.ROIContourSequence[0].ContourSequence
    assert len(contours) > 3
    for contour in contours:
        (reference,) = contour.ContourImageSequence
        frame = dataset.PerFrameFunctionalGroupsSequence[int(reference.ReferencedFrameNumber) - 1]
        assert reference.ReferencedSOPInstanceUID == uid("enhanced")
        assert float(frame.PlanePositionSequence[0].ImagePositionPatient[2]) == pytest.approx(
            float(contour.ContourData[2]), abs=0.01
        )
    (study,) = structure_set.ReferencedFrameOfReferenceSequence[0].RTReferencedStudySequence
    assert len(study.RTReferencedSeriesSequence[0].ContourImageSequence) == 1


def test_contours_on_single_slices_name_no_frame(tmp_path: Path) -> None:
    write_ct(tmp_path / "plan", SLICES)
    write_structures(tmp_path / "plan", HEART)
    case = read_case(tmp_path / "plan")
    written = write_structure(
        case.structures["Heart"].renamed("Heart_rtqc"), case, tmp_path / "draft.dcm", DrawnBy("rtqc", "1", "", "rtqc 1")
    )
    contours = pydicom.dcmread(written).ROIContourSequence[0].ContourSequence
    assert all("ReferencedFrameNumber" not in c.ContourImageSequence[0] for c in contours)


def _classic(dataset: Dataset) -> Dataset:
    """The same with the SOP Class and the frame types of scanners that send Enhanced CT themselves."""
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.2.1"
    return dataset


def test_frames_in_any_order_with_rescale_of_their_own_are_placed_by_their_positions(tmp_path: Path) -> None:
    dataset = _classic(_enhanced(tmp_path))
    order = np.random.default_rng(3).permutation(len(SLICES))
    frames, pixels = list(dataset.PerFrameFunctionalGroupsSequence), dataset.pixel_array
    dataset.PerFrameFunctionalGroupsSequence = [frames[k] for k in order]
    dataset.PixelData = np.ascontiguousarray(pixels[order]).tobytes()
    (tmp_path / "plan").mkdir()
    dataset.save_as(tmp_path / "plan" / "E.dcm")
    _same_as_single(read_case(tmp_path / "plan"), tmp_path)


def test_a_scout_among_the_frames_is_no_slice(tmp_path: Path) -> None:
    dataset = _classic(_enhanced(tmp_path))
    kind = Dataset()
    kind.FrameType = ["ORIGINAL", "PRIMARY", "LOCALIZER", "NONE"]
    scout = dataset.PerFrameFunctionalGroupsSequence[0]
    scout.CTImageFrameTypeSequence = [kind]
    z = float(scout.PlanePositionSequence[0].ImagePositionPatient[2])
    (tmp_path / "plan").mkdir()
    dataset.save_as(tmp_path / "plan" / "E.dcm")
    case = read_case(tmp_path / "plan")
    assert case.image is not None
    assert case.image.grid.slice_positions_mm == tuple(w for w in SLICES if w != z)


def _parts(dataset: Dataset, at: int) -> list[Dataset]:
    """A concatenation of two."""
    pixels, frames, parts = dataset.pixel_array, list(dataset.PerFrameFunctionalGroupsSequence), []
    for number, part in enumerate((slice(0, at), slice(at, None)), 1):
        copy = deepcopy(dataset)
        copy.SOPInstanceUID = copy.file_meta.MediaStorageSOPInstanceUID = uid("part", number)
        copy.ConcatenationUID, copy.InConcatenationNumber, copy.InConcatenationTotalNumber = uid("whole"), number, 2
        copy.ConcatenationFrameOffsetNumber = part.start
        copy.PerFrameFunctionalGroupsSequence = frames[part]
        copy.NumberOfFrames = len(frames[part])
        copy.PixelData = np.ascontiguousarray(pixels[part]).tobytes()
        parts.append(copy)
    return parts


def test_a_concatenation_is_one_image_and_a_part_that_is_absent_is_said(tmp_path: Path) -> None:
    first, second = _parts(_classic(_enhanced(tmp_path)), 15)
    (tmp_path / "plan").mkdir()
    second.save_as(tmp_path / "plan" / "a.dcm")
    write_structures(tmp_path / "plan", HEART, [uid("part", 1), uid("part", 2)])
    half = read_case(tmp_path / "plan")
    assert "ct.frames_unusable" in _rules(half)
    assert "Of the 2 parts" in half.findings[0].message
    first.save_as(tmp_path / "plan" / "b.dcm")
    whole = read_case(tmp_path / "plan")
    assert _rules(whole) == []
    _same_as_single(whole, tmp_path)


@pytest.mark.parametrize("absent", ["PerFrameFunctionalGroupsSequence", "PlanePositionSequence", "PlaneOrientationSequence"])
def test_frames_without_a_place_are_named_as_what_they_are(tmp_path: Path, absent: str) -> None:
    dataset = _classic(_enhanced(tmp_path))
    if absent in dataset:
        del dataset[absent]
    else:
        for group in (*dataset.PerFrameFunctionalGroupsSequence, *dataset.SharedFunctionalGroupsSequence):
            if absent in group:
                del group[absent]
    (tmp_path / "plan").mkdir()
    dataset.save_as(tmp_path / "plan" / "E.dcm")
    write_structures(tmp_path / "plan", HEART, [uid("enhanced")])
    case = read_case(tmp_path / "plan")
    (finding,) = [f for f in case.findings if f.rule == "ct.frames_unusable"]
    assert "E.dcm is an Enhanced (multi-frame) CT that" in finding.message
    assert "ct.absent" not in _rules(case)
