"""Scans by study; of several reconstructions the one that suits calcium; what the header says of how it was made."""

from __future__ import annotations

import shutil
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import generate_uid

from rtqc.dicom import described, index_folder, read_acquisition, read_case, scans_of
from tests.conftest import real


def reconstruction(source: Path, target: Path, every: int = 1, **changes: object) -> Path:
    """The same slices as another series."""
    target.mkdir(parents=True)
    series = generate_uid()
    paths = [
        p for p in sorted(source.rglob("*")) if p.is_file() and pydicom.dcmread(p, stop_before_pixels=True).Modality == "CT"
    ]
    for path in paths[::every]:
        slice_ = pydicom.dcmread(path)
        slice_.SeriesInstanceUID, slice_.SOPInstanceUID = series, generate_uid()
        slice_.file_meta.MediaStorageSOPInstanceUID = slice_.SOPInstanceUID
        for keyword, value in changes.items():
            setattr(slice_, keyword, value)
        slice_.save_as(target / path.name)
    return target


@pytest.fixture
def study(clean_folder: Path, tmp_path: Path) -> Path:
    reconstruction(
        clean_folder,
        tmp_path / "study" / "soft",
        SliceThickness=3.0,
        ConvolutionKernel="Qr36d",
        SeriesDescription="CaSc 3.0",
        KVP=120,
    )
    reconstruction(
        clean_folder,
        tmp_path / "study" / "sharp",
        SliceThickness=1.0,
        ConvolutionKernel="B70f",
        SeriesDescription="Lung 1.0",
        KVP=120,
    )
    reconstruction(
        clean_folder,
        tmp_path / "study" / "thick",
        2,
        SliceThickness=6.0,
        ConvolutionKernel="B30f",
        SeriesDescription="Thick",
        KVP=120,
    )
    reconstruction(
        clean_folder, tmp_path / "study" / "mip", SliceThickness=3.0, ConvolutionKernel="B30f", SeriesDescription="MIP", KVP=120,
        ImageType=["DERIVED", "SECONDARY", "AXIAL", "MIP"],
    )  # fmt: skip
    return tmp_path / "study"


def test_the_soft_reconstruction_near_3_mm_is_taken_and_the_others_are_named(study: Path) -> None:
    (scan,) = scans_of(index_folder(study))
    assert described(scan).startswith("CaSc 3.0, Qr36d, 3 mm")
    assert [p.split(",")[0] for p in scan.passed_over] == ["Thick", "Lung 1.0", "MIP"]
    assert scan.acquisition.kvp == 120


def test_without_contrast_comes_before_with(study: Path) -> None:
    for path in (study / "soft").iterdir():
        slice_ = pydicom.dcmread(path)
        slice_.ContrastBolusAgent = "Iomeron"
        slice_.save_as(path)
    shutil.rmtree(study / "mip")
    (scan,) = scans_of(index_folder(study))
    assert described(scan).startswith("Thick")


def test_two_studies_are_two_scans(study: Path, clean_folder: Path) -> None:
    reconstruction(clean_folder, study / "later", StudyInstanceUID=generate_uid())
    assert len(scans_of(index_folder(study))) == 2


def test_headers_are_read_and_nonsense_is_left_out() -> None:
    dataset = pydicom.Dataset()
    dataset.KVP, dataset.ConvolutionKernel, dataset.SliceThickness = "100", ["Br40f", "2"], "2.5"
    dataset.ImageType, dataset.PatientSize, dataset.PatientWeight = ["ORIGINAL", "PRIMARY", "axial"], "1.70", "70"
    dataset.ContrastBolusAgent, dataset.CardiacSynchronizationTechnique = "Ultravist", "PROSPECTIVE"
    told = read_acquisition(dataset)
    assert (told.kvp, told.kernel, told.slice_thickness_mm) == (100.0, "Br40f\\2", 2.5)
    assert told.image_type == ("ORIGINAL", "PRIMARY", "AXIAL")
    assert (told.height_m, told.weight_kg, told.gated, told.contrast_agent) == (1.7, 70.0, True, "Ultravist")
    dataset.PatientSize, dataset.PatientWeight, dataset.KVP = "170", "0", "0"  # centimetres, nothing, nothing
    told = read_acquisition(dataset)
    assert (told.height_m, told.weight_kg, told.kvp) == (None, None, None)
    empty = read_acquisition(pydicom.Dataset())
    assert (empty.kvp, empty.kernel, empty.gated) == (None, "", None)


def test_a_case_carries_how_its_ct_was_made() -> None:
    case = read_case(real("lung-gtv", "pat_2"))
    first = next(
        p
        for p in real("lung-gtv", "pat_2").rglob("*")
        if p.is_file() and pydicom.dcmread(p, force=True).get("Modality") == "CT"
    )
    header = pydicom.dcmread(first, stop_before_pixels=True)
    assert case.acquisition.kvp == (float(header.KVP) if header.get("KVP") else None)
