"""Doses that differ from point to point and of which there are two: which is taken, which are added, where they lie, and what is no dose."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from rtqc.core import Case, Grid, Orientation
from rtqc.core.volumes import Dose
from rtqc.dicom import read_case
from rtqc.dicom.study_plan import plan_object
from tests.boxes import box_study, write_box
from tests.dicom.dose_files import add_dose, changed, gy_of, messages, part, without_ct

#: Another distance between slices, rows and columns, and a dose that rises by another step along each: no exchange of two axes leaves it as it is.
POINTS = Grid.regular((15, 12, 18), (5.0, 4.0, 2.5), (-21.0, -22.0, -33.0))


def formula(patient_mm: np.ndarray) -> np.ndarray:
    """A dose that a point's place tells, in Gy."""
    return np.asarray(20 + patient_mm @ np.array([0.11, -0.07, 0.23]))


def dose_on(grid: Grid) -> Dose:
    """It, at the points of a grid."""
    index = np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), axis=-1).reshape(-1, 3)
    return Dose(grid, formula(grid.patient_mm(index)).reshape(grid.shape).astype(np.float32))


@pytest.fixture(scope="module")
def rising(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plan of two beams with that dose; not to be changed."""
    return write_box(tmp_path_factory.mktemp("rising"), dose=dose_on(POINTS))


@pytest.fixture
def parts(rising: Path, tmp_path: Path) -> Path:
    """Its structure set and plan, without a dose."""
    return without_ct(rising, tmp_path / "parts", dose=False)


def add(parts: Path, rising: Path, share: float, *rest: object, change: Callable[[Dataset], None] = lambda _: None) -> Path:
    return add_dose(rising / "RTDOSE.dcm", parts, share, *rest, change=change)  # type: ignore[arg-type,misc]


#: Half a step of what is stored: 27 Gy in 32 bits, and seven digits of float32.
ROUNDING_GY = 1e-5
ORIENTATIONS = {
    "as usual": ((1, 0, 0), (0, 1, 0)),
    "columns from left to right": ((-1, 0, 0), (0, 1, 0)),
    "rows from back to front": ((1, 0, 0), (0, -1, 0)),
    "prone": ((-1, 0, 0), (0, -1, 0)),
    "rows and columns exchanged": ((0, 1, 0), (1, 0, 0)),
    "coronal": ((1, 0, 0), (0, 0, -1)),
    "sagittal": ((0, 1, 0), (0, 0, -1)),
    "oblique": ((0.8, 0.6, 0), (-0.6, 0.8, 0)),
}


@pytest.mark.parametrize("name", ORIENTATIONS)
def test_each_point_has_the_dose_of_its_place_however_the_grid_lies(name: str, tmp_path: Path) -> None:
    row, column = ORIENTATIONS[name]
    grid = Grid.regular((6, 9, 13), (5.0, 4.0, 2.5), (11.0, -7.0, 3.0), Orientation(row, column))
    case = read_case(without_ct(write_box(tmp_path / "whole", dose=dose_on(grid)), tmp_path / "parts"))
    assert case.dose is not None
    asked = grid.patient_mm([(0, 0, 0), (5, 8, 12), (2, 7, 1), (4, 1, 11)])
    index = case.dose.grid.index_of_patient(asked)
    np.testing.assert_allclose(index, np.rint(index), atol=1e-4)
    found = case.dose.gy[tuple(np.rint(index).astype(int).T)]
    np.testing.assert_allclose(found, formula(asked), atol=ROUNDING_GY)


def _downward(dataset: Dataset) -> None:
    """The same planes, written from above downward."""
    offsets = [float(v) for v in dataset.GridFrameOffsetVector]
    corner = [float(v) for v in dataset.ImagePositionPatient]
    dataset.ImagePositionPatient = [corner[0], corner[1], corner[2] + offsets[-1]]
    dataset.GridFrameOffsetVector = [-v for v in offsets]
    dataset.PixelData = np.frombuffer(dataset.PixelData, "<u4").reshape(15, 12, 18)[::-1].tobytes()


def _as_heights(dataset: Dataset) -> None:
    """Offsets that are the planes' z (PS3.3 C.8.8.3.2, b)."""
    corner = float(dataset.ImagePositionPatient[2])
    dataset.GridFrameOffsetVector = [corner + float(v) for v in dataset.GridFrameOffsetVector]


@pytest.mark.parametrize("change", [_downward, _as_heights])
def test_planes_lie_where_their_offsets_say(change: Callable[[Dataset], None], parts: Path, rising: Path) -> None:
    add(parts, rising, 1.0, change=change)
    case = read_case(parts)
    assert case.dose is not None
    np.testing.assert_allclose(case.dose.grid.positions_mm, POINTS.positions_mm)
    np.testing.assert_allclose(case.dose.gy, dose_on(POINTS).gy, atol=ROUNDING_GY)


@pytest.mark.parametrize("kind", ["ERROR", "error", "CODED"])
def test_a_difference_of_doses_is_no_dose(kind: str, parts: Path, rising: Path) -> None:
    name = add(parts, rising, 1.0, change=lambda d: setattr(d, "DoseType", kind)).name
    case = read_case(parts)
    assert case.dose is None
    assert messages(case) == {"dose.unusable": f"{name}: its DoseType is {kind.upper()}: export the physical dose."}
    (finding,) = [f for f in case.findings if f.rule == "dose.unusable"]
    assert (finding.severity, finding.evidence.files) == ("fail", (name,))


@pytest.mark.parametrize(("units", "said"), [("RELATIVE", "RELATIVE"), ("", "absent")])
def test_relative_units_are_no_dose(units: str, said: str, parts: Path, rising: Path) -> None:
    add(parts, rising, 1.0, change=lambda d: setattr(d, "DoseUnits", units))
    case = read_case(parts)
    assert case.dose is None
    assert f"its DoseUnits are {said}, not GY" in messages(case)["dose.unusable"]


def _made(time: str, kind: str = "PHYSICAL") -> Callable[[Dataset], None]:
    def change(dataset: Dataset) -> None:
        dataset.InstanceCreationTime, dataset.DoseType = time, kind

    return change


@pytest.mark.parametrize("times", [("090000", "100000"), ("100000", "090000")])
def test_of_two_plan_doses_the_one_made_last_is_taken_whatever_its_file_is_called(
    times: tuple[str, str], parts: Path, rising: Path
) -> None:
    names = [add(parts, rising, share, change=_made(time)).name for share, time in zip((0.5, 0.7), times, strict=True)]
    last = int(times[1] > times[0])
    case = read_case(parts)
    np.testing.assert_allclose(gy_of(case), (0.5, 0.7)[last] * dose_on(POINTS).gy, rtol=1e-6)
    said = messages(case)["dose.summation"]
    assert "2 dose objects claim to be the whole plan's dose" in said
    assert f"the last one by creation time, {names[last]}, was used" in said


@pytest.mark.parametrize(("radiation", "share"), [("PHOTON", 0.5), ("PROTON", 0.7)])
def test_of_a_physical_and_an_effective_dose_that_which_limits_are_for_is_taken(
    radiation: str, share: float, parts: Path, rising: Path
) -> None:
    plan = plan_object(box_study(radiation_type=radiation))
    plan.SOPInstanceUID = plan.file_meta.MediaStorageSOPInstanceUID = pydicom.dcmread(parts / "RTPLAN.dcm").SOPInstanceUID
    plan.save_as(parts / "RTPLAN.dcm", enforce_file_format=True)
    effective_first = radiation == "PHOTON"
    shares = {"PHYSICAL": 0.5, "EFFECTIVE": 0.7}
    for kind in sorted(shares, reverse=not effective_first):
        add(parts, rising, shares[kind], change=_made("080000", kind))
    case = read_case(parts)
    np.testing.assert_allclose(gy_of(case), share * dose_on(POINTS).gy, rtol=1e-6)
    assert case.dose_attributes.dose_type == ("PHYSICAL" if radiation == "PHOTON" else "EFFECTIVE")


def _beams(parts: Path, rising: Path, change: Callable[[Dataset], None] = lambda _: None) -> Case:
    """Doses of both beams, 0.3 and 0.9 of the whole; the second is changed."""
    add(parts, rising, 0.3, "BEAM", [part(1, [1])])
    add(parts, rising, 0.9, "BEAM", [part(1, [2])], change=change)
    return read_case(parts)


def test_doses_of_two_beams_are_added_without_weights(parts: Path, rising: Path) -> None:
    case = _beams(parts, rising)
    np.testing.assert_allclose(gy_of(case), 1.2 * dose_on(POINTS).gy, rtol=1e-6)
    assert messages(case) == {}
    assert len(case.provenance.rtdose_uids) == 2


def _moved(axis: int, by_mm: float) -> Callable[[Dataset], None]:
    def change(dataset: Dataset) -> None:
        corner = [float(v) for v in dataset.ImagePositionPatient]
        corner[axis] += by_mm
        dataset.ImagePositionPatient = corner

    return change


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("by_mm", [3.0, -3.0, 0.2])
def test_doses_of_beams_that_lie_elsewhere_are_not_added(axis: int, by_mm: float, parts: Path, rising: Path) -> None:
    case = _beams(parts, rising, _moved(axis, by_mm))
    assert case.dose is None
    assert "lie on different grids and were not added" in messages(case)["dose.summation"]


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_rounding_of_the_place_is_no_other_place(axis: int, parts: Path, rising: Path) -> None:
    case = _beams(parts, rising, _moved(axis, 0.04))
    np.testing.assert_allclose(gy_of(case), 1.2 * dose_on(POINTS).gy, rtol=1e-6)


@pytest.mark.parametrize(
    "change",
    [
        lambda d: setattr(d, "PixelSpacing", [4.0, 2.6]),
        lambda d: setattr(d, "PixelSpacing", [4.1, 2.5]),
        lambda d: setattr(d, "ImageOrientationPatient", [-1, 0, 0, 0, 1, 0]),
        lambda d: setattr(d, "ImageOrientationPatient", [1, 0, 0, 0, -1, 0]),
        lambda d: setattr(d, "GridFrameOffsetVector", [5.5 * k for k in range(15)]),
    ],
)
def test_doses_of_beams_on_other_spacings_or_directions_are_not_added(
    change: Callable[[Dataset], None], parts: Path, rising: Path
) -> None:
    case = _beams(parts, rising, change)
    assert case.dose is None
    assert "different grids" in messages(case)["dose.summation"]


def test_doses_of_beams_of_different_types_are_not_added(parts: Path, rising: Path) -> None:
    case = _beams(parts, rising, lambda d: setattr(d, "DoseType", "EFFECTIVE"))
    assert case.dose is None
    assert "different DoseTypes (EFFECTIVE, PHYSICAL)" in messages(case)["dose.summation"]


@pytest.mark.parametrize(("first", "second", "said"), [(1, 1, "beam 1 has a dose more than once and beam 2 has no dose"), (2, 2, "beam 2 has a dose more than once and beam 1 has no dose")])  # fmt: skip
def test_a_beam_twice_and_the_other_not_at_all_are_not_added(
    first: int, second: int, said: str, parts: Path, rising: Path
) -> None:
    add(parts, rising, 0.3, "BEAM", [part(1, [first])])
    add(parts, rising, 0.9, "BEAM", [part(1, [second])])
    case = read_case(parts)
    assert case.dose is None
    assert said in messages(case)["dose.summation"]


def test_the_plans_own_dose_comes_before_those_of_its_beams(parts: Path, rising: Path) -> None:
    add(parts, rising, 0.3, "BEAM", [part(1, [1])])
    add(parts, rising, 0.5)
    add(parts, rising, 0.9, "BEAM", [part(1, [2])])
    np.testing.assert_allclose(gy_of(read_case(parts)), 0.5 * dose_on(POINTS).gy, rtol=1e-6)


@pytest.mark.parametrize("summation", ["RECORD", "FRACTION_SESSION", "CONTROL_POINT"])
def test_a_dose_of_one_session_or_of_a_record_is_not_the_plans(summation: str, parts: Path, rising: Path) -> None:
    add(parts, rising, 0.5, summation)
    case = read_case(parts)
    assert case.dose is None
    assert f"DoseSummationType {summation} is not the dose of a plan" in messages(case)["dose.summation"]


def test_the_date_of_a_dose_of_parts_is_that_of_the_latest(parts: Path, rising: Path) -> None:
    case = _beams(parts, rising, lambda d: setattr(d, "TissueHeterogeneityCorrection", "WATER"))
    assert case.dose_attributes.created_at.endswith("080100")
    assert case.dose_attributes.heterogeneity == "IMAGE\\WATER"


def test_a_dose_of_another_frame_of_reference_is_not_placed(parts: Path, rising: Path) -> None:
    add(parts, rising, 1.0)
    changed(parts, lambda d: setattr(d, "FrameOfReferenceUID", "1.2.3.4"), "dose-0.dcm")
    case = read_case(parts)
    assert case.dose is None
    assert "dose.frame_of_reference" in messages(case)
