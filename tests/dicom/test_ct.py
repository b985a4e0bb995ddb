"""Pixels and geometry of the CT, however the files store them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import gdcm
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.uid import JPEG2000Lossless, RLELossless

from rtqc.core import AXIAL
from rtqc.dicom import index_folder, read_case
from tests.conftest import HEARTS, real, tool


def _compress(source: Path, target: Path, syntax: str) -> None:
    """Compress with programs that we did not write: dcmtk for JPEG lossless, GDCM for JPEG 2000, pydicom for RLE."""
    if syntax == "jpeg-lossless":
        subprocess.run([tool("dcmcjpeg"), "+e1", str(source), str(target)], check=True, capture_output=True)
    elif syntax == "jpeg-2000":
        reader, change, writer = gdcm.ImageReader(), gdcm.ImageChangeTransferSyntax(), gdcm.ImageWriter()
        reader.SetFileName(str(source))
        assert reader.Read()
        change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.JPEG2000Lossless))
        change.SetInput(reader.GetImage())
        assert change.Change()
        writer.SetFileName(str(target))
        writer.SetFile(reader.GetFile())
        writer.SetImage(change.GetOutput())
        assert writer.Write()
        assert pydicom.dcmread(target).file_meta.TransferSyntaxUID == JPEG2000Lossless
    else:
        dataset = pydicom.dcmread(source)
        dataset.compress(RLELossless)
        dataset.save_as(target)


@pytest.mark.parametrize("syntax", ["jpeg-lossless", "jpeg-2000", "rle"])
def test_compressed_slices_are_decoded_to_the_last_bit(folder: Path, tmp_path: Path, syntax: str) -> None:
    plain = read_case(folder).image
    for file in sorted(folder.glob("CT.*.dcm")):
        target = tmp_path / "packed.dcm"
        target.unlink(missing_ok=True)
        _compress(file, target, syntax)
        target.replace(file)
    packed = read_case(folder)
    assert plain is not None
    assert packed.image is not None
    assert np.array_equal(packed.image.hu, plain.hu)
    assert [f.rule for f in packed.findings] == []


@pytest.mark.real
@pytest.mark.parametrize("patient", HEARTS)
def test_a_real_series_has_simpleitks_pixels_and_geometry(patient: str) -> None:
    folder = real("heart-ct", patient, "ct")
    image = read_case(folder).image
    assert image is not None
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    reference = reader.Execute()
    assert np.array_equal(image.hu, sitk.GetArrayFromImage(reference).astype(np.float32))
    for k, i, j in ((0, 0, 0), (7, 20, 33), (image.grid.shape[0] - 1, 5, 100)):
        expected = reference.TransformIndexToPhysicalPoint((j, i, k))
        assert image.grid.patient_mm([(k, i, j)])[0] == pytest.approx(expected, abs=0.05)


def _turn(folder: Path, row: tuple[int, int, int], column: tuple[int, int, int], flip: tuple[bool, bool]) -> None:
    """Store every slice with its pixels turned, and say so in its header: the patient stays where he is."""
    for file in folder.glob("CT.*.dcm"):
        dataset = pydicom.dcmread(file)
        pixels = dataset.pixel_array
        spacing = [float(v) for v in dataset.PixelSpacing]
        corner = np.array([float(v) for v in dataset.ImagePositionPatient])
        if flip[0]:
            corner = corner + np.array([0, 1, 0]) * spacing[0] * (pixels.shape[0] - 1)
            pixels = pixels[::-1]
        if flip[1]:
            corner = corner + np.array([1, 0, 0]) * spacing[1] * (pixels.shape[1] - 1)
            pixels = pixels[:, ::-1]
        dataset.PixelData = np.ascontiguousarray(pixels).tobytes()
        dataset.ImagePositionPatient = [f"{v:.6f}" for v in corner]
        dataset.ImageOrientationPatient = [*row, *column]
        dataset.save_as(file)


@pytest.mark.parametrize(
    ("row", "column", "flip"),
    [((-1, 0, 0), (0, -1, 0), (True, True)), ((-1, 0, 0), (0, 1, 0), (False, True))],
    ids=["prone", "feet first"],
)
def test_an_image_stored_otherwise_is_the_same_patient(
    folder: Path, row: tuple[int, int, int], column: tuple[int, int, int], flip: tuple[bool, bool]
) -> None:
    before = read_case(folder)
    _turn(folder, row, column, flip)
    after = read_case(folder)
    assert before.image is not None
    assert after.image is not None
    assert after.image.grid.orientation != AXIAL
    assert after.structures["Heart"].planes == before.structures["Heart"].planes
    for point in ((20.0, -30.0, 0.0), (-60.0, 10.0, 60.0)):
        values = []
        for image in (before.image, after.image):
            k, i, j = np.round(image.grid.index_of_patient([point])[0]).astype(int)
            values.append(image.hu[k, i, j])
        assert values[0] == values[1]


def test_headers_are_read_without_pixels(folder: Path) -> None:
    """Pixels of other series stay on disk: without any, the index is the same."""
    for file in folder.glob("CT.*.dcm"):
        raw = file.read_bytes()
        file.write_bytes(raw[: raw.rfind(b"\xe0\x7f\x10\x00") + 12])
    index = index_folder(folder)
    assert sum(len(s) for s in index.ct.values()) == 107
    assert index.findings == []


def test_a_scout_view_is_no_slice(folder: Path) -> None:
    dataset = pydicom.dcmread(folder / "CT.001.dcm")
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID + "9"
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 0, -1]
    dataset.save_as(folder / "scout.dcm")
    case = read_case(folder)
    assert case.findings == ()
    assert case.provenance.files["ct"] == 107


def test_slices_of_a_tilted_gantry_are_straightened(clean_plan, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    from rtqc.phantom import plant, write_plan

    case = read_case(write_plan(plant(clean_plan, "ct_tilted", 5.0), tmp_path))
    assert case.image is not None
    finding = next(f for f in case.findings if f.rule == "ct.gantry_tilt")
    length = clean_plan.study.image.grid.positions_mm[-1] - clean_plan.study.image.grid.positions_mm[0]
    assert finding.evidence.measured == pytest.approx(np.tan(np.radians(5)) * length, rel=0.05)
