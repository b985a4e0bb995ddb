"""``rtqc cardiac`` as users start it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest

from rtqc.core.cardiac_report import CardiacReport
from rtqc.dicom import write_volume
from rtqc.phantom.coronary import plant_coronary, plant_distractor, render_heart
from tests.cardiac.conftest import anatomy_of
from tests.cli.run import rtqc
from tests.conftest import real
from tests.dicom.test_scans import reconstruction

#: The contract of the issue and of DESIGN.md.
KEYS = {"heart_volume_ml", "epicardial_fat", "calcium", "findings", "run"}


@pytest.fixture(scope="module")
def calcified(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A chest with two calcified coronaries and a calcified valve, as a volume file."""
    from rtqc.core import Grid

    anatomy = anatomy_of()
    grid = Grid.regular((70, 256, 256), (3.0, 1.4, 1.4), (-180.0, -140.0, -120.0))
    planted = [
        plant_coronary(anatomy, "LM/LAD", 0.5, 3.5, 700.0),
        plant_coronary(anatomy, "RCA", 0.5, 3.5, 700.0),
        plant_distractor(anatomy, "aortic valve", 4.0),
    ]
    image = render_heart(anatomy, grid, planted, noise_hu=8.0)
    path = tmp_path_factory.mktemp("calcified") / "P1.nrrd"
    write_volume(path, grid, image.hu.astype(np.int16))
    return path


def test_the_json_has_the_keys_of_the_contract_and_the_report_the_lesions(calcified: Path, tmp_path: Path) -> None:
    outcome = rtqc("cardiac", calcified, "--out", tmp_path / "out", "--json", "--device", "cpu")
    assert outcome.status == 0, outcome.err
    told = outcome.document
    assert set(told) >= KEYS
    assert set(told["epicardial_fat"]) >= {"volume_ml", "mean_hu"}
    assert set(told["calcium"]) >= {"agatston", "volume_mm3", "class", "lesions"}
    assert len(told["calcium"]["lesions"]) == 2
    assert set(told["calcium"]["by_vessel"]) == {"LM/LAD", "RCA"}
    assert told["calcium"]["agatston"] == pytest.approx(sum(x["agatston"] for x in told["calcium"]["lesions"]), abs=0.11)
    assert CardiacReport.model_validate(told).calcium is not None
    assert json.loads((tmp_path / "out" / "cardiac.json").read_text())["calcium"] == told["calcium"]
    page = (tmp_path / "out" / "cardiac.html").read_text()
    assert page.count('class="lesion"') == 3
    assert f"{told['calcium']['agatston']:.0f}" in page
    assert rtqc("cardiac", calcified, "--out", tmp_path / "out", "--device", "cpu").status == 2
    assert rtqc("cardiac", calcified, "--out", tmp_path / "out", "--device", "cpu", "--force").status == 0


def test_a_reader_takes_out_and_puts_in(calcified: Path) -> None:
    first = rtqc("cardiac", calcified, "--json", "--device", "cpu").document["calcium"]
    out, left = first["lesions"]
    valve = first["others"][0]
    outcome = rtqc("cardiac", calcified, "--exclude", out["number"], "--include", valve["number"], "--json", "--device", "cpu")
    assert outcome.document["calcium"]["agatston"] == pytest.approx(left["agatston"] + valve["agatston"], abs=0.11)
    shown = rtqc("cardiac", calcified, "--exclude", out["number"], "--device", "cpu")
    assert "no (excluded)" in shown.out
    missing = rtqc("cardiac", calcified, "--exclude", 99, "--device", "cpu")
    assert missing.status == 2
    assert "no calcification 99" in missing.err
    assert rtqc("cardiac", calcified, "--exclude", 1, "--include", 1).status == 2


def test_several_scans_are_one_document_and_numbers_are_for_one(calcified: Path, tmp_path: Path) -> None:
    shutil.copy(calcified, tmp_path / "P2.nrrd")
    outcome = rtqc("cardiac", calcified, tmp_path / "P2.nrrd", "--json", "--device", "cpu", "--out", tmp_path / "out")
    assert [c["case"]["patient_id"] for c in outcome.document["cases"]] == ["P1", "P2"]
    assert (tmp_path / "out" / "P2" / "cardiac.html").exists()
    assert rtqc("cardiac", calcified, tmp_path / "P2.nrrd", "--exclude", 1, "--device", "cpu").status == 2


def test_what_is_no_chest_ct_is_said(tmp_path: Path, clean_folder: Path) -> None:
    (tmp_path / "empty").mkdir()
    empty = rtqc("cardiac", tmp_path / "empty", "--json")
    assert empty.status == 2
    assert empty.document["calcium"] is None
    assert "There is no CT in empty" in empty.findings("ct.absent")[0]["message"]
    assert rtqc("cardiac", tmp_path / "absent").status == 2
    (tmp_path / "text.nrrd").write_text("nothing")
    broken = rtqc("cardiac", tmp_path / "text.nrrd", "--json")
    assert broken.status == 2
    assert "text.nrrd" in broken.findings("file.unreadable")[0]["message"]
    mip = reconstruction(clean_folder, tmp_path / "mip", ImageType=["DERIVED", "SECONDARY", "AXIAL", "MIP"])
    refused = rtqc("cardiac", mip, "--json", "--device", "cpu")
    assert refused.status == 2
    assert "MIP" in refused.findings("cardiac.derived_image")[0]["message"]
    mr = tmp_path / "mr"
    reconstruction(clean_folder, mr, SOPClassUID="1.2.840.10008.5.1.4.1.1.4", Modality="MR")
    for path in mr.iterdir():
        slice_ = pydicom.dcmread(path)
        slice_.file_meta.MediaStorageSOPClassUID = slice_.SOPClassUID
        slice_.save_as(path)
    assert rtqc("cardiac", mr, "--json").findings("ct.absent")


def test_of_two_reconstructions_the_better_one_is_measured_and_named(clean_folder: Path, tmp_path: Path) -> None:
    reconstruction(clean_folder, tmp_path / "soft", SliceThickness=3.0, ConvolutionKernel="B35f", SeriesDescription="Soft")
    reconstruction(clean_folder, tmp_path / "sharp", SliceThickness=3.0, ConvolutionKernel="B80f", SeriesDescription="Sharp")
    outcome = rtqc("cardiac", tmp_path, "--json", "--device", "cpu")
    assert outcome.status == 0, outcome.err
    assert outcome.document["image"]["description"] == "Soft"
    assert "Sharp" in outcome.findings("cardiac.series_chosen")[0]["message"]


def test_contrast_is_status_1_with_the_volume(tmp_path: Path) -> None:
    from dataclasses import replace

    from rtqc.core import Grid

    anatomy = replace(anatomy_of(), contrast_hu=220.0)
    grid = Grid.regular((70, 200, 200), (3.0, 1.8, 1.8), (-180.0, -140.0, -120.0))
    write_volume(tmp_path / "contrast.nrrd", grid, render_heart(anatomy, grid).hu.astype(np.int16))
    outcome = rtqc("cardiac", tmp_path / "contrast.nrrd", "--json", "--device", "cpu")
    assert outcome.status == 1
    assert outcome.document["heart_volume_ml"] > 300
    assert outcome.document["calcium"] is None
    assert outcome.findings("cardiac.contrast")


def test_a_real_scan_of_a_patient_with_calcium() -> None:
    outcome = rtqc("cardiac", real("heart-ct", "0909"), "--json", "--device", "cpu")
    assert outcome.status == 0
    assert outcome.document["calcium"]["class"] == ">300"
    assert 600 < outcome.document["heart_volume_ml"] < 850
