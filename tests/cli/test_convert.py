"""NRRD and NIfTI out and in, with SimpleITK as the judge of where voxels lie."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import nibabel
import nrrd
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from rtqc.core import Grid, Orientation
from rtqc.dicom import VolumeFileError, read_case, read_structure_set, read_volume, write_volume
from rtqc.geometry import rasterize
from tests.boxes import HEART_ML, write_box
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


# --- Several things in one call, and files that do not say where they lie ---


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_box(tmp_path_factory.mktemp("box"))


@pytest.mark.parametrize("ending", ["nrrd", "nii.gz"])
def test_several_structures_and_the_dose_are_written_in_one_call(box: Path, tmp_path: Path, ending: str) -> None:
    target = tmp_path / "out"
    outcome = rtqc("convert", box, target, "--roi", "Heart", "--roi", "Liver", "--dose", "--format", ending)
    assert outcome.status == 0, outcome.err
    assert {p.name for p in target.iterdir()} == {f"Heart.{ending}", f"Liver.{ending}", f"dose.{ending}"}
    # 20 x 20 and 6 x 6 voxel centres of 3 mm lie inside the boxes, on 21 slices.
    for name, ml in (("Heart", HEART_ML), ("Liver", 6 * 6 * 21 * 0.027)):
        pixels, image = as_sitk_reads(target / f"{name}.{ending}")
        assert pixels.sum() * np.prod(image.GetSpacing()) / 1000 == pytest.approx(ml, rel=1e-6)
    pixels, _ = as_sitk_reads(target / f"dose.{ending}")
    assert float(pixels.mean()) == pytest.approx(20.0, abs=0.05)
    again = rtqc("convert", box, target, "--roi", "Heart", "--dose", "--format", ending)
    assert again.status == 2
    assert "exist already" in again.err
    assert rtqc("convert", box, target, "--all", "--force").status == 0


def test_several_structures_into_one_name_get_their_own_behind_it(box: Path, tmp_path: Path) -> None:
    assert rtqc("convert", box, tmp_path / "case.nii.gz", "--all").status == 0
    assert {p.name for p in tmp_path.iterdir()} == {"case_Heart.nii.gz", "case_Liver.nii.gz"}


def test_masks_lie_on_the_doses_voxels_where_that_is_asked_for(box: Path, tmp_path: Path) -> None:
    assert rtqc("convert", box, tmp_path / "m", "--all", "--grid", "dose").status == 0
    assert {read_volume(p)[0].shape for p in (tmp_path / "m").iterdir()} == {(51, 64, 64)}


def test_a_dose_alone_is_converted(box: Path, tmp_path: Path) -> None:
    alone = tmp_path / "dose"
    alone.mkdir()
    (alone / "RD.dcm").write_bytes((box / "RTDOSE.dcm").read_bytes())
    for number, source in enumerate((alone, alone / "RD.dcm")):
        target = tmp_path / f"d{number}.nrrd"
        outcome = rtqc("convert", source, target, "--dose")
        assert outcome.status == 0, outcome.err
        assert read_volume(target)[1].shape == (51, 64, 64)
    without = rtqc("convert", alone, tmp_path / "x.nrrd")
    assert without.status == 2
    assert "--dose converts the dose" in without.err


def placed(path: Path, change: Callable[[nibabel.Nifti1Image], None]) -> Path:
    """A mask of 20 x 20 x 10 voxels inside the box's CT, with its header changed."""
    affine = np.diag([-3.0, -3.0, 3.0, 1.0])
    affine[:3, 3] = (30, 30, -15)
    image = nibabel.Nifti1Image(np.ones((20, 20, 10), np.uint8), affine)
    image.header.set_xyzt_units("mm")
    change(image)
    nibabel.save(image, path)
    return path


def two_places(image: nibabel.Nifti1Image) -> None:
    moved = image.affine.copy()
    moved[0, 3] += 9
    image.header.set_qform(moved, 1)
    image.header.set_sform(image.affine, 1)


def test_a_nifti_mask_without_a_place_is_refused(box: Path, tmp_path: Path) -> None:
    """qform_code and sform_code are two shorts at byte 252 of the header; nibabel does not leave both unset."""
    mask = placed(tmp_path / "mask.nii", lambda _: None)
    content = bytearray(mask.read_bytes())
    content[252:256] = bytes(4)
    mask.write_bytes(content)
    outcome = rtqc("convert", mask, tmp_path / "x.dcm", "--ct", box)
    assert outcome.status == 2
    assert "does not say where its voxels lie (qform and sform are both unset)" in outcome.err
    assert not (tmp_path / "x.dcm").exists()


@pytest.mark.parametrize("affine", [np.eye(4), np.diag([2.0, 2, 3, 1]), np.diag([-1.0, -1, 1, 1])])
def test_a_mask_that_lies_where_arrays_lie_is_refused(box: Path, tmp_path: Path, affine: np.ndarray) -> None:
    nibabel.save(nibabel.Nifti1Image(np.ones((20, 20, 10), np.uint8), affine), tmp_path / "mask.nii.gz")
    sitk.WriteImage(sitk.GetImageFromArray(np.ones((10, 20, 20), np.uint8)), str(tmp_path / "mask.nrrd"))
    for mask in ("mask.nii.gz", "mask.nrrd"):
        outcome = rtqc("convert", tmp_path / mask, tmp_path / "x.dcm", "--ct", box)
        assert outcome.status == 2
        assert "were given no place" in outcome.err


def test_a_nifti_mask_with_two_places_is_refused(box: Path, tmp_path: Path) -> None:
    outcome = rtqc("convert", placed(tmp_path / "mask.nii.gz", two_places), tmp_path / "x.dcm", "--ct", box)
    assert outcome.status == 2
    assert "qform and sform are up to 9.0 mm apart" in outcome.err
    assert not (tmp_path / "x.dcm").exists()


def test_a_nifti_mask_with_its_place_is_written_in_metres_too(box: Path, tmp_path: Path) -> None:
    def metres(image: nibabel.Nifti1Image) -> None:
        affine = image.affine.copy()
        affine[:3] /= 1000
        image.set_sform(affine, 1)
        image.set_qform(affine, 0)
        image.header.set_xyzt_units("meter")

    for name, change in (("mm", lambda _: None), ("m", metres)):
        mask = placed(tmp_path / f"{name}.nii.gz", change)
        outcome = rtqc("convert", mask, tmp_path / f"{name}.dcm", "--ct", box)
        assert outcome.status == 0, outcome.err
        structure = read_structure_set(tmp_path / f"{name}.dcm").rois[0].structure
        assert structure.volume_ml == pytest.approx(60 * 60 * 30 / 1000, rel=0.03)


def test_a_fourth_dimension_of_one_is_none_and_one_of_two_is_refused(tmp_path: Path) -> None:
    for count in (1, 2):
        image = nibabel.Nifti1Image(np.ones((4, 5, 6, count), np.uint8), np.eye(4))
        nibabel.save(image, tmp_path / f"{count}.nii")
    assert read_volume(tmp_path / "1.nii")[1].shape == (6, 5, 4)
    with pytest.raises(VolumeFileError, match="4 dimensions"):
        read_volume(tmp_path / "2.nii")


@pytest.mark.parametrize("key", ["space", "space directions", "space origin"])
def test_an_nrrd_that_does_not_say_where_it_lies_is_refused(tmp_path: Path, key: str) -> None:
    header = {
        "space": "left-posterior-superior", "space directions": np.eye(3), "space origin": np.zeros(3), "kinds": ["domain"] * 3,
    }  # fmt: skip
    del header[key]
    nrrd.write(str(tmp_path / "x.nrrd"), np.ones((2, 3, 4), np.uint8), header)
    with pytest.raises(VolumeFileError, match="does not say where its voxels lie"):
        read_volume(tmp_path / "x.nrrd")


def mask_at(path: Path, z_mm: float) -> Path:
    """A mask of 30 x 30 x 30 mm whose slices begin at a height; the box's CT reaches from -60 to 60 mm."""
    return write_volume(path, Grid.regular((10, 10, 10), (3, 3, 3), (-13.5, -13.5, z_mm)), np.ones((10, 10, 10), bool))


def test_a_mask_that_misses_the_ct_is_refused(box: Path, tmp_path: Path) -> None:
    outcome = rtqc("convert", mask_at(tmp_path / "m.nrrd", 300.0), tmp_path / "x.dcm", "--ct", box)
    assert outcome.status == 2
    assert "m.nrrd lies wholly outside the CT (27.0 ml)" in outcome.err


def test_a_mask_that_leaves_the_ct_is_refused_unless_it_may_be_clipped(box: Path, tmp_path: Path) -> None:
    mask = mask_at(tmp_path / "m.nrrd", 48.0)  # five of its ten slices
    outcome = rtqc("convert", mask, tmp_path / "x.dcm", "--ct", box)
    assert outcome.status == 2
    assert "13.5 of 27.0 ml" in outcome.err
    clipped = rtqc("convert", mask, tmp_path / "x.dcm", "--ct", box, "--clip")
    assert clipped.status == 0
    assert "13.5 of 27.0 ml of m.nrrd lie outside the CT and were left out" in clipped.err
    assert rtqc("convert", mask_at(tmp_path / "inside.nrrd", 33.0), tmp_path / "y.dcm", "--ct", box).err == ""


def test_several_labels_become_several_structures(box: Path, tmp_path: Path) -> None:
    values = np.ones((10, 10, 10), np.uint8)
    values[5:] = 2
    labels = write_volume(tmp_path / "l.nrrd", Grid.regular((10, 10, 10), (3, 3, 3), (-13.5, -13.5, 0.0)), values)
    wanted = ("--label", 1, "--name", "Low", "--label", 2, "--name", "High")
    assert rtqc("convert", labels, tmp_path / "x.dcm", "--ct", box, *wanted).status == 0
    assert [r.structure.name for r in read_structure_set(tmp_path / "x.dcm").rois] == ["Low", "High"]
    assert "a --name for each --label" in rtqc("convert", labels, tmp_path / "y.dcm", "--ct", box, *wanted[:-2]).err
    assert (
        "two labels have one name"
        in rtqc(
            "convert", labels, tmp_path / "y.dcm", "--ct", box, "--label", 1, "--name", "A", "--label", 2, "--name", "A"
        ).err
    )


def test_a_structure_set_of_another_patient_beside_a_plan_changes_nothing_for_dvh_and_convert(tmp_path: Path) -> None:
    """The plan alone is complete, so both commands mean it; nobody else's identity is said."""
    folder = write_box(tmp_path / "plan")
    for file in write_box(tmp_path / "other", "ZZ9", "Else^Someone").iterdir():
        if file.name.startswith("RTSTRUCT"):
            file.rename(folder / "more.dcm")
    dvh = rtqc("dvh", folder, "--json")
    converted = rtqc("convert", folder, tmp_path / "heart.nrrd", "--roi", "Heart")
    assert (dvh.status, converted.status) == (0, 0), (dvh.err, converted.err)
    assert dvh.document["volume_ml"] == pytest.approx(HEART_ML, rel=1e-3)
    mask, header = nrrd.read(str(tmp_path / "heart.nrrd"))
    assert (mask > 0).sum() * abs(np.linalg.det(header["space directions"])) / 1000 == pytest.approx(HEART_ML, rel=1e-3)
    for outcome in (dvh, converted):
        assert "1 file of 1 other case in this folder was left aside" in outcome.err
        assert "ZZ9" not in outcome.out + outcome.err


@pytest.mark.parametrize("arguments", [("dvh",), ("convert", "--roi", "Heart")])
def test_of_two_complete_patients_neither_is_named_by_identity(arguments: tuple[str, ...], tmp_path: Path) -> None:
    folder = write_box(tmp_path / "plan", "PAT-1")
    for file in write_box(tmp_path / "other", "ZZ9", "Else^Someone").iterdir():
        file.rename(folder / f"more-{file.name}")
    target = (tmp_path / "heart.nrrd",) if arguments[0] == "convert" else ()
    outcome = rtqc(arguments[0], folder, *target, *arguments[1:])
    assert outcome.status == 2
    assert "holds 2 cases of 2 patients" in outcome.err
    assert "more-RTPLAN.dcm" in outcome.err
    assert not any(name in outcome.err for name in ("PAT-1", "ZZ9", "Someone"))


def test_why_a_structure_has_no_mask_is_said_as_other_commands_say_it(clean_folder: Path, tmp_path: Path) -> None:
    """Two structures of one ROI number: nobody can say whose the contours are, and the sentence names both."""
    folder = tmp_path / "plan"
    shutil.copytree(clean_folder, folder)
    dataset = pydicom.dcmread(folder / "RTSTRUCT.dcm")
    heart, lung = (next(r for r in dataset.StructureSetROISequence if r.ROIName == name) for name in ("Heart", "Lung_L"))
    for contours in dataset.ROIContourSequence:
        if contours.ReferencedROINumber == lung.ROINumber:
            contours.ReferencedROINumber = heart.ROINumber
    lung.ROINumber = heart.ROINumber
    dataset.save_as(folder / "RTSTRUCT.dcm")
    outcome = rtqc("convert", folder, tmp_path / "heart.nrrd", "--roi", "Heart")
    assert outcome.status == 2
    assert f"Heart, Lung_L have ROI number {heart.ROINumber} together" in " ".join(outcome.err.split())
