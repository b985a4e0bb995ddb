"""Plans, structure sets and CTs of which there are two, and attributes that differ from beam to beam and from slice to slice."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from rtqc.core import Case
from rtqc.core.case import FractionGroup, Prescription
from rtqc.dicom import read_case
from rtqc.dicom.study import uid_of
from tests.boxes import write_box
from tests.dicom.boxes import PIXELS, heart, square, write_ct, write_structures
from tests.dicom.dose_files import changed, without_ct


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plan of two beams; not to be changed."""
    return write_box(tmp_path_factory.mktemp("plan"), isocentre_mm=(11.0, -22.0, 33.0), gantry_deg=(300.0, 120.0))


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    """Its structure set, plan and dose."""
    return without_ct(whole, tmp_path / "parts")


def plan_of(folder: Path, change: Callable[[Dataset], None]) -> Case:
    case = read_case(changed(folder, change))
    assert case.plan is not None
    return case


def reference(dose: float, kind: str, structure: str = "SITE", name: str = "x") -> Dataset:
    item = Dataset()
    item.DoseReferenceType, item.DoseReferenceStructureType = kind, structure
    item.DoseReferenceDescription, item.TargetPrescriptionDose = name, f"{dose:g}"
    return item


def test_a_dose_reference_of_an_organ_at_risk_is_no_prescription(folder: Path) -> None:
    def change(plan: Dataset) -> None:
        plan.DoseReferenceSequence = [
            reference(60, "ORGAN_AT_RISK", name="Cord"), reference(40, "TARGET", name="PTV"), reference(70, "organ_at_risk"),
            reference(45, "", name="Boost"), reference(48, "TARGET", "COORDINATES", "ref"),
        ]  # fmt: skip

    plan = plan_of(folder, change).plan
    assert plan is not None
    assert plan.prescriptions == (Prescription(45.0, "Boost"), Prescription(40.0, "PTV"), Prescription(48.0, "ref", "point"))
    assert plan.unusable_prescriptions == ()


@pytest.mark.parametrize("stated", ["0", "-2"])
def test_a_prescription_of_nothing_is_said_and_left_out(stated: str, folder: Path) -> None:
    def change(plan: Dataset) -> None:
        plan.DoseReferenceSequence = [reference(40, "TARGET", name="PTV"), reference(float(stated), "TARGET", name="Old")]

    case = plan_of(folder, change)
    assert case.plan is not None
    assert case.plan.prescriptions == (Prescription(40.0, "PTV"),)
    (finding,) = [f for f in case.findings if f.rule == "plan.prescription_unusable"]
    assert f"states a prescription of {stated} Gy to Old" in finding.message
    assert (finding.evidence.measured, finding.evidence.unit) == (stated, "Gy")


def _setup_field(plan: Dataset, number: int, meterset: str | None, kind: str = "SETUP") -> None:
    field = copy.deepcopy(plan.BeamSequence[0])
    field.BeamNumber, field.BeamName, field.TreatmentDeliveryType = number, f"Setup {number}", kind
    plan.BeamSequence.append(field)
    used = Dataset()
    used.ReferencedBeamNumber = number
    if meterset is not None:
        used.BeamMeterset = meterset
    plan.FractionGroupSequence[0].ReferencedBeamSequence.append(used)


def test_setup_fields_are_no_beams_and_a_beam_is_told_by_its_meterset(folder: Path) -> None:
    def change(plan: Dataset) -> None:
        _setup_field(plan, 3, None)
        _setup_field(plan, 4, "0", "TREATMENT")
        _setup_field(plan, 5, "")
        # A portal image that the patient gets dose from.
        _setup_field(plan, 6, "2.5", "OPEN_PORTFILM")

    plan = plan_of(folder, change).plan
    assert plan is not None
    assert [b.number for b in plan.treatment_beams] == [1, 2, 6]
    assert plan.beams == 3


def test_without_metersets_the_delivery_type_says_which_field_treats(folder: Path) -> None:
    def change(plan: Dataset) -> None:
        for used in plan.FractionGroupSequence[0].ReferencedBeamSequence:
            del used.BeamMeterset
        _setup_field(plan, 3, None)
        _setup_field(plan, 4, None, "CONTINUATION")

    plan = plan_of(folder, change).plan
    assert plan is not None
    assert [b.number for b in plan.treatment_beams] == [1, 2, 4]


def test_each_beam_has_its_own_place_angle_meterset_and_dose(folder: Path) -> None:
    def change(plan: Dataset) -> None:
        second = plan.BeamSequence[1]
        second.ControlPointSequence[0].IsocenterPosition = ["4", "5", "-6"]
        second.ControlPointSequence[0].GantryAngle, second.RadiationType, second.BeamName = "77", "ELECTRON", "Boost"
        for used, meterset, dose in zip(plan.FractionGroupSequence[0].ReferencedBeamSequence, ("120", "35"), ("1.4", "0.6"), strict=True):  # fmt: skip
            used.BeamMeterset, used.BeamDose = meterset, dose

    plan = plan_of(folder, change).plan
    assert plan is not None
    first, second = plan.treatment_beams
    assert (first.isocentre_mm, first.gantry_deg, first.meterset, first.dose_gy) == ((11.0, -22.0, 33.0), 300.0, 120.0, 1.4)
    assert (second.isocentre_mm, second.gantry_deg, second.meterset, second.dose_gy) == ((4.0, 5.0, -6.0), 77.0, 35.0, 0.6)
    assert (second.radiation_type, second.name, second.fraction_group) == ("ELECTRON", "Boost", 1)
    # Beam Dose is that of one fraction.
    assert plan.groups == (FractionGroup(1, 25, 2.0),)


def test_fractions_of_two_groups_are_added_and_beams_doses_by_their_own_groups(folder: Path) -> None:
    def change(plan: Dataset) -> None:
        del plan.DoseReferenceSequence
        first = plan.FractionGroupSequence[0]
        second = copy.deepcopy(first)
        first.NumberOfFractionsPlanned, second.NumberOfFractionsPlanned, second.FractionGroupNumber = 20, 5, 2
        first.ReferencedBeamSequence, second.ReferencedBeamSequence = [first.ReferencedBeamSequence[0]], [second.ReferencedBeamSequence[1]]  # fmt: skip
        first.ReferencedBeamSequence[0].BeamDose, second.ReferencedBeamSequence[0].BeamDose = "1.8", "3"
        plan.FractionGroupSequence = [first, second]

    plan = plan_of(folder, change).plan
    assert plan is not None
    assert (plan.fractions, plan.fraction_groups, plan.alike_fractions) == (25, 2, None)
    assert plan.groups == (FractionGroup(1, 20, 1.8), FractionGroup(2, 5, 3.0))
    assert plan.prescriptions == (Prescription(20 * 1.8 + 5 * 3.0, "", "beams"),)


def test_the_review_counts_as_an_approval_only_of_what_was_reviewed(folder: Path) -> None:
    def reviewed(status: str) -> Callable[[Dataset], None]:
        def change(plan: Dataset) -> None:
            plan.ApprovalStatus, plan.ReviewDate, plan.ReviewTime, plan.ReviewerName = status, "2026.01.09", "08:07", "R"

        return change

    for status, at in (("APPROVED", "20260109080700"), ("REJECTED", "20260109080700"), ("UNAPPROVED", "")):
        plan = plan_of(folder, reviewed(status)).plan
        assert plan is not None
        assert (plan.approval, plan.approved_at) == (status, at)


# --- Two structure sets ---


def _second_set(folder: Path, name: str, uid: str, created: str, side_mm: float) -> None:
    """Another structure set, whose heart is a box of another width."""
    dataset = pydicom.dcmread(folder / "RTSTRUCT.dcm")
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = uid  # type: ignore[assignment]
    dataset.InstanceCreationDate, dataset.InstanceCreationTime = created[:8], created[8:]
    for contour in dataset.ROIContourSequence[0].ContourSequence:
        points = np.array(contour.ContourData, float).reshape(-1, 3)
        points[:, 0] = np.where(points[:, 0] > 0, side_mm - 30, -30)
        contour.ContourData = [f"{v:g}" for v in points.ravel()]
    dataset.save_as(folder / name)


def _heart_ml(case: Case) -> float:
    return case.structures["Heart"].volume_ml


#: 60 mm from front to back on 21 slices of 3 mm, by its width.
def _ml(side_mm: float) -> float:
    return side_mm * 60 * 63 / 1000


@pytest.mark.parametrize("created", ["20250101080000", "20270101080000"])
@pytest.mark.parametrize("name", ["A.dcm", "Z.dcm"])
def test_the_structure_set_that_the_plan_names_is_judged_not_one_beside_it(created: str, name: str, folder: Path) -> None:
    _second_set(folder, name, uid_of("beside"), created, 40.0)
    case = read_case(folder)
    assert _heart_ml(case) == pytest.approx(_ml(60.0))
    assert case.provenance.structure_set_file == "RTSTRUCT.dcm"
    assert not [f for f in case.findings if f.rule.startswith("reference.")]


@pytest.mark.parametrize(("created", "side"), [("20250101080000", 60.0), ("20270101080000", 40.0)])
def test_of_sets_that_the_plan_does_not_name_the_latest_is_taken_and_said(created: str, side: float, folder: Path) -> None:
    _second_set(folder, "A.dcm", uid_of("beside"), created, 40.0)
    changed(folder, lambda p: setattr(p.ReferencedStructureSetSequence[0], "ReferencedSOPInstanceUID", "1.2.3"))
    case = read_case(folder)
    assert _heart_ml(case) == pytest.approx(_ml(side))
    taken = "A.dcm" if side == 40.0 else "RTSTRUCT.dcm"
    (finding,) = [f for f in case.findings if f.rule == "reference.plan_structure_set"]
    assert (finding.severity, finding.evidence.files) == ("fail", ("RTPLAN.dcm", taken))
    assert f"{taken} of the same patient was taken" in finding.message


# --- A CT whose slices differ, and contours that are not alike ---


def _uneven(k: int, dataset: Dataset) -> None:
    """Each slice with a CT number of its own and other pixels along rows than along columns, and one bright voxel off both diagonals."""
    dataset.RescaleSlope, dataset.RescaleIntercept = 2, -1000
    dataset.PixelSpacing = [5.0, 6.0]
    values = np.full((PIXELS, PIXELS), 500 + k, np.int16)
    values[3, 20] = 900
    dataset.PixelData = values.tobytes()
    # Instance numbers run against the places.
    dataset.InstanceNumber = 100 - k


def test_a_voxel_lies_where_rows_columns_and_slice_say_and_has_slope_times_value_plus_intercept(tmp_path: Path) -> None:
    heights = (-6.0, 0.0, 3.0, 6.0, 9.0, 15.0)
    uids = write_ct(tmp_path, heights, edit=_uneven)
    write_structures(tmp_path, [(1, "Heart", heart([0.0, 3.0, 6.0]))], uids)
    image = read_case(tmp_path).image
    assert image is not None
    np.testing.assert_allclose(image.grid.positions_mm, heights)
    np.testing.assert_allclose(image.hu[:, 0, 0], [2 * (500 + k) - 1000 for k in range(6)])
    index = np.argwhere(image.hu == 2 * 900 - 1000)
    assert index.tolist() == [[k, 3, 20] for k in range(6)]
    # Row 3 is 15 mm behind the corner, column 20 is 120 mm to its left.
    np.testing.assert_allclose(image.grid.patient_mm(index[:1]), [[-93 + 120, -93 + 15, -6.0]])


def test_contours_keep_their_places_holes_and_pieces(tmp_path: Path) -> None:
    def corners(x0: float, x1: float, y0: float, y1: float, z: float) -> tuple[str, list[tuple[float, float, float]]]:
        return ("CLOSED_PLANAR", [(x0, y0, z), (x1, y0, z), (x1, y1, z), (x0, y1, z)])

    drawn = [corners(-10, 50, -30, 0, z) for z in (0.0, 3.0, 6.0)]
    drawn += [corners(0, 10, -20, -15, 3.0), corners(60, 70, 10, 30, 6.0)]
    uids = write_ct(tmp_path)
    write_structures(tmp_path, [(1, "Heart", drawn), (2, "Liver", [square(-40, -30, 0.0)])], uids)
    heart_ = read_case(tmp_path).structures["Heart"]
    assert heart_.areas_mm2.tolist() == pytest.approx([1800.0, 1800.0 - 50.0, 1800.0 + 200.0])
    assert heart_.volume_ml == pytest.approx((1800 + 1750 + 2000) * 3 / 1000)
    middle = np.array([1800 * 20 + (1800 * 20 - 50 * 5) + (1800 * 20 + 200 * 65), 1800 * -15 + (1800 * -15 + 50 * 17.5) + (1800 * -15 + 200 * 20), 1750 * 3 + 2000 * 6]) / 5550  # fmt: skip
    np.testing.assert_allclose(heart_.centroid_mm, middle, atol=1e-6)
