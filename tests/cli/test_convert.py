"""NRRD and NIfTI out and in, with SimpleITK as the judge of where voxels lie."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from rtqc.core import Grid, Orientation
from rtqc.dicom import VolumeFileError, read_case, read_structure_set, read_volume, write_volume
from rtqc.geometry import rasterize
from tests.cli.run import rtqc
from tests.conftest import HEARTS, dciodvfy, real
from tests.standard import violations

ENDINGS = (".nrrd", ".nii", ".nii.gz")


def as_sitk_reads(path: Path) -> tuple[np.ndarray, sitk.Image]:
    image = sitk.ReadImage(str(path))
    return sitk.GetArrayFromImage(image), image


@pytest.mark.real
@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("patient", HEARTS)
def test_a_real_ct_lies_where_simpleitk_puts_the_dicom_series(patient: str, ending: str, tmp_path: Path) -> None:
    folder = real("heart-ct", patient)
    target = tmp_path / f"ct{ending}"
    assert rtqc("convert", folder, target).status == 0
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder / "ct")))
    theirs = reader.Execute()
    pixels, ours = as_sitk_reads(target)
    assert (pixels == sitk.GetArrayFromImage(theirs)).all()
    assert ours.GetSize() == theirs.GetSize()
    for a, b in (
        (ours.GetOrigin(), theirs.GetOrigin()),
        (ours.GetSpacing(), theirs.GetSpacing()),
        (ours.GetDirection(), theirs.GetDirection()),
    ):
        assert a == pytest.approx(b, abs=1e-4)


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize(
    "orientation",
    [
        Orientation((1, 0, 0), (0, 1, 0)),
        Orientation((-1, 0, 0), (0, 1, 0)),
        Orientation((0, 1, 0), (0, 0, -1)),
        Orientation((0.8, 0.6, 0), (-0.6, 0.8, 0)),
    ],
)
def test_any_orientation_is_written_and_read_back_and_simpleitk_agrees(
    orientation: Orientation, ending: str, tmp_path: Path
) -> None:
    rng = np.random.default_rng(5)
    grid = Grid.regular((5, 7, 9), (2.5, 0.8, 1.3), (-10.5, 22.0, -300.25), orientation)
    values = rng.normal(size=grid.shape).astype(np.float32)
    path = write_volume(tmp_path / f"v{ending}", grid, values)
    back, array = read_volume(path)
    assert (array == values).all()
    assert back.orientation.matrix == pytest.approx(orientation.matrix, abs=1e-6)
    index = [(0, 0, 0), (4, 6, 8), (2, 3, 1)]
    assert back.patient_mm(index) == pytest.approx(grid.patient_mm(index), abs=1e-3)
    pixels, image = as_sitk_reads(path)
    for k, i, j in index:
        assert image.TransformIndexToPhysicalPoint((j, i, k)) == pytest.approx(grid.patient_mm([(k, i, j)])[0], abs=1e-3)
        assert pixels[k, i, j] == values[k, i, j]


def test_what_simpleitk_writes_is_read_whichever_way_its_slices_run(tmp_path: Path) -> None:
    values = np.arange(4 * 3 * 2, dtype=np.int16).reshape(4, 3, 2)
    for direction in ((1, 0, 0, 0, 1, 0, 0, 0, 1), (1, 0, 0, 0, 1, 0, 0, 0, -1), (-1, 0, 0, 0, -1, 0, 0, 0, 1)):
        image = sitk.GetImageFromArray(values)
        image.SetSpacing((1.5, 2.0, 3.0))
        image.SetOrigin((10.0, -20.0, 30.0))
        image.SetDirection(direction)
        for ending in ENDINGS:
            sitk.WriteImage(image, str(tmp_path / f"s{ending}"))
            grid, array = read_volume(tmp_path / f"s{ending}")
            for k, i, j in ((0, 0, 0), (3, 2, 1), (1, 0, 1)):
                place = np.array([image.TransformIndexToPhysicalPoint((j, i, k))])
                own = tuple(np.rint(grid.index_of_patient(place)).astype(int)[0])
                assert array[own] == values[k, i, j]


def test_dose_and_masks_are_written_and_a_mask_becomes_a_structure_again(clean_folder: Path, tmp_path: Path) -> None:
    case = read_case(clean_folder)
    assert case.image is not None
    assert case.dose is not None
    assert rtqc("convert", clean_folder, tmp_path / "dose.nrrd", "--dose").status == 0
    assert (read_volume(tmp_path / "dose.nrrd")[1] == case.dose.gy).all()
    for ending in ENDINGS:
        mask, back = tmp_path / f"Heart{ending}", tmp_path / f"back{ending.replace('.', '-')}.dcm"
        assert rtqc("convert", clean_folder, mask, "--roi", "Heart").status == 0
        ours = rasterize(case.structures["Heart"], case.image.grid).array
        assert (read_volume(mask)[1].astype(bool) == ours).all()
        assert rtqc("convert", mask, back, "--ct", clean_folder).status == 0
        assert dciodvfy(back)[0] == []
        dataset = pydicom.dcmread(back)
        assert violations(dataset) == []
        roi = dataset.StructureSetROISequence[0]
        assert (roi.ROIName, roi.ROIGenerationAlgorithm) == ("Heart", "")
        assert f"Converted from Heart{ending}" in roi.ROIDescription
        again = rasterize(read_structure_set(back, case.image.grid.orientation, 3.0).rois[0].structure, case.image.grid).array
        assert 2 * (again & ours).sum() / (again.sum() + ours.sum()) >= 0.995


@pytest.mark.real
def test_a_full_resolution_label_map_becomes_a_structure_on_its_resampled_ct(tmp_path: Path) -> None:
    labels = real("heart-masks", "0187.nrrd")
    folder = real("heart-ct", "0187")
    several = rtqc("convert", labels, tmp_path / "heart.dcm", "--ct", folder)
    assert several.status == 2
    assert "holds several labels (1, 2): choose one with --label" in several.err
    assert rtqc("convert", labels, tmp_path / "heart.dcm", "--ct", folder, "--name", "Heart_fine", "--label", 1).status == 0
    case = read_case(folder)
    assert case.image is not None
    fine = read_structure_set(tmp_path / "heart.dcm", case.image.grid.orientation, 3.0).rois[0].structure
    a, b = (rasterize(s, case.image.grid).array for s in (fine, case.structures["Heart"]))
    assert 2 * (a & b).sum() / (a.sum() + b.sum()) > 0.95


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("{plan}", "x.mha"), "neither .nrrd nor .nii"),
        (("{plan}", "x.nrrd", "--roi", "Nobody"), "has no structure 'Nobody'"),
        (("{mask}", "x.dcm"), "with --ct"),
        (("{mask}", "x.dcm", "--ct", "{plan}", "--label", "7"), "no voxel of label 7"),
        (("{broken}", "x.dcm", "--ct", "{plan}"), "broken.nrrd could not be read"),
        (("{broken}.gone", "x.dcm"), "does not exist"),
    ],
)
def test_what_cannot_be_converted_is_said(arguments: tuple[str, ...], words: str, clean_folder: Path, tmp_path: Path) -> None:
    mask, broken = tmp_path / "mask.nrrd", tmp_path / "broken.nrrd"
    write_volume(mask, Grid.regular((2, 3, 4), (1, 1, 1)), np.ones((2, 3, 4), bool))
    broken.write_bytes(mask.read_bytes()[:100])
    filled = [a.format(plan=clean_folder, mask=mask, broken=broken) for a in arguments]
    filled[1] = str(tmp_path / filled[1])
    outcome = rtqc("convert", *filled)
    assert outcome.status == 2
    assert words in outcome.err
    assert "Traceback" not in outcome.err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["broken.nrrd", "mask.nrrd"]


def test_uneven_slices_and_files_that_are_there_are_refused(tmp_path: Path) -> None:
    grid = Grid(Orientation((1, 0, 0), (0, 1, 0)), (0.0, 0.0), (1.0, 1.0), (3, 3), (0.0, 1.0, 5.0))
    with pytest.raises(VolumeFileError, match="not evenly spaced"):
        write_volume(tmp_path / "x.nrrd", grid, np.zeros(grid.shape))
    even = Grid.regular((2, 3, 4), (1, 1, 1))
    path = write_volume(tmp_path / "x.nrrd", even, np.zeros(even.shape))
    with pytest.raises(FileExistsError):
        write_volume(path, even, np.ones(even.shape))
    assert write_volume(path, even, np.ones(even.shape), replace=True) == path
    assert [p.name for p in tmp_path.iterdir()] == ["x.nrrd"]
