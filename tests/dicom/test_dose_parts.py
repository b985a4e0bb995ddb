"""Doses of beams, fraction groups and several plans: added where together they are the plan's dose, else refused by name.

PS3.3 C.8.8.3: PLAN is the entire delivery of all fraction groups, FRACTION that of one fraction group, BEAM that of beams; so the sum of
the parts is the plan's dose without any weights, if each part of the plan is there once.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from rtqc.core import Beam, Case, Dose, DoseAttributes, Grid, Plan
from rtqc.core.case import ApplicationSetup
from rtqc.dicom import Header, read_case
from rtqc.dicom.dose_object import DoseObject, ReferencedPlan
from rtqc.dicom.dose_parts import ReadDose, SummationError, whole_of_parts
from rtqc.dosimetry import eqd2_fractions, why_no_eqd2
from rtqc.heart import Draft
from rtqc.pipeline import Options, assess
from tests.dicom.dose_files import add_dose, changed, gy_of, messages, part, several_groups, without_ct


@pytest.fixture
def plan(clean_folder: Path, tmp_path: Path) -> Path:
    """A plan of two beams without any dose."""
    return without_ct(clean_folder, tmp_path / "plan", dose=False)


@pytest.fixture
def source(clean_folder: Path) -> Path:
    """The whole plan's dose."""
    return clean_folder / "RTDOSE.dcm"


def is_whole(case: Case, clean_case: Case) -> bool:
    """Whether a case's dose is the clean plan's."""
    assert clean_case.dose is not None
    return np.allclose(gy_of(case), clean_case.dose.gy, rtol=1e-5, atol=1e-5)


# --- Beams ---


@pytest.mark.parametrize("shares", [(0.75, 0.25), (0.31, 0.69)])
def test_beam_doses_are_the_plans_dose_whatever_their_order(
    plan: Path, source: Path, clean_case: Case, shares: tuple[float, float]
) -> None:
    for beam in (2, 1):
        add_dose(source, plan, shares[beam - 1], "BEAM", [part(1, [beam])])
    case = read_case(plan)
    assert is_whole(case, clean_case)
    assert messages(case) == {}
    assert case.dose_attributes.summation_type == "BEAM"
    assert len(case.provenance.rtdose_uids) == 2


def test_the_same_beam_twice_is_refused_with_the_beam_that_is_missing(plan: Path, source: Path) -> None:
    for _ in range(2):
        add_dose(source, plan, 0.75, "BEAM", [part(1, [1])])
    case = read_case(plan)
    assert case.dose is None
    said = messages(case)["dose.summation"]
    assert "beam 1 has a dose more than once" in said
    assert "beam 2 has no dose" in said
    assert "dose-0.dcm" in said


def test_a_beam_that_is_there_twice_beside_all_others_is_refused(plan: Path, source: Path) -> None:
    for beam in (1, 2, 2):
        add_dose(source, plan, 0.5, "BEAM", [part(1, [beam])])
    case = read_case(plan)
    assert case.dose is None
    assert "beam 2 has a dose more than once" in messages(case)["dose.summation"]
    assert "no dose" not in messages(case)["dose.summation"]


def test_a_missing_beam_is_refused_by_name(plan: Path, source: Path) -> None:
    add_dose(source, plan, 0.75, "BEAM", [part(1, [2])])
    case = read_case(plan)
    assert case.dose is None
    assert "beam 1 has no dose" in messages(case)["dose.summation"]


def test_a_dose_of_both_beams_is_the_plans(plan: Path, source: Path, clean_case: Case) -> None:
    add_dose(source, plan, 1.0, "BEAM", [part(1, [1, 2])])
    assert is_whole(read_case(plan), clean_case)


def test_beam_doses_that_name_no_beam_are_refused(plan: Path, source: Path) -> None:
    for _ in range(2):
        add_dose(source, plan, 0.5, "BEAM")
    case = read_case(plan)
    assert case.dose is None
    assert "names no beam" in messages(case)["dose.summation"]


def test_the_plans_own_dose_is_taken_before_its_beams(plan: Path, source: Path, clean_case: Case) -> None:
    add_dose(source, plan, 0.75, "BEAM", [part(1, [1])])
    add_dose(source, plan, 1.0)
    case = read_case(plan)
    assert is_whole(case, clean_case)
    assert messages(case) == {}


def test_beams_without_the_plan_that_counts_them_are_refused(plan: Path, source: Path) -> None:
    (plan / "RTPLAN.dcm").unlink()

    def of_no_plan(dose: Dataset) -> None:
        del dose.ReferencedRTPlanSequence

    add_dose(source, plan, 1.0, "BEAM", change=of_no_plan)
    case = read_case(plan)
    assert case.dose is None
    assert "export the RTPLAN too" in messages(case)["dose.summation"]


# --- Fields without meterset ---


def with_setup_fields(dataset: Dataset) -> None:
    """Three fields more, of type TREATMENT and without meterset, or with none of it."""
    for number, meterset in ((3, None), (4, 0), (5, None)):
        beam, reference = Dataset(), Dataset()
        beam.update(dataset.BeamSequence[0])
        beam.BeamNumber, beam.BeamName = number, f"setup {number}"
        reference.ReferencedBeamNumber = number
        if meterset is not None:
            reference.BeamMeterset = meterset
        dataset.BeamSequence.append(beam)
        dataset.FractionGroupSequence[0].ReferencedBeamSequence.append(reference)


def test_setup_fields_have_no_dose_whatever_their_delivery_type_says(plan: Path, source: Path, clean_case: Case) -> None:
    changed(plan, with_setup_fields)
    for beam, share in ((1, 0.75), (2, 0.25)):
        add_dose(source, plan, share, "BEAM", [part(1, [beam])])
    case = read_case(plan)
    assert case.plan is not None
    assert (case.plan.beams, [b.number for b in case.plan.treatment_beams]) == (2, [1, 2])
    assert is_whole(case, clean_case)
    assert messages(case) == {}


def test_zero_doses_of_setup_fields_are_no_error_but_a_dose_of_one_contradicts_the_plan(
    plan: Path, source: Path, clean_case: Case
) -> None:
    changed(plan, with_setup_fields)
    for beam, share in ((1, 0.75), (2, 0.25), (3, 0.0)):
        add_dose(source, plan, share, "BEAM", [part(1, [beam])])
    assert is_whole(read_case(plan), clean_case)
    add_dose(source, plan, 0.1, "BEAM", [part(1, [4])])
    case = read_case(plan)
    assert case.dose is None
    assert "beam 4, which the plan has not or gives no meterset" in messages(case)["dose.summation"]


def test_a_plan_without_any_meterset_has_the_beams_of_treatment_type(plan: Path) -> None:
    def change(dataset: Dataset) -> None:
        for reference in dataset.FractionGroupSequence[0].ReferencedBeamSequence:
            del reference.BeamMeterset
        dataset.BeamSequence[1].TreatmentDeliveryType = "SETUP"

    case = read_case(changed(plan, change))
    assert case.plan is not None
    assert [b.number for b in case.plan.treatment_beams] == [1]


def test_a_beam_whose_dose_is_zero_everywhere_is_added_and_said(plan: Path, source: Path, clean_case: Case) -> None:
    add_dose(source, plan, 1.0, "BEAM", [part(1, [1])])
    add_dose(source, plan, 0.0, "BEAM", [part(1, [2])])
    case = read_case(plan)
    assert is_whole(case, clean_case)
    assert "beam 2 (dose-1.dcm) is zero everywhere" in messages(case)["dose.zero_part"]


def test_a_plan_dose_that_is_zero_everywhere_is_read_and_fails(plan: Path, source: Path) -> None:
    add_dose(source, plan, 0.0)
    case = read_case(plan)
    assert gy_of(case).max() == 0
    assert [(f.rule, f.severity) for f in case.findings if f.rule.startswith("dose.")] == [("dose.zero", "fail")]


# --- Fraction groups ---


def test_the_dose_of_the_only_fraction_group_is_the_plans(plan: Path, source: Path, clean_case: Case) -> None:
    add_dose(source, plan, 1.0, "FRACTION", [part(1)])
    case = read_case(plan)
    assert is_whole(case, clean_case)
    assert messages(case) == {}


@pytest.mark.parametrize("groups", [2, 3])
def test_the_dose_of_one_of_several_fraction_groups_is_refused(plan: Path, source: Path, groups: int) -> None:
    changed(plan, several_groups([25, 8, 4][:groups], [(1, 2)] * groups))
    add_dose(source, plan, 1.0, "FRACTION", [part(1)])
    case = read_case(plan)
    assert case.dose is None
    said = messages(case)["dose.summation"]
    assert "fraction group 2" in said
    assert "no dose" in said


def test_the_doses_of_three_fraction_groups_are_the_plans(plan: Path, source: Path, clean_case: Case) -> None:
    changed(plan, several_groups([25, 8, 4], [(1, 2), (1,), (2,)]))
    for group, share in ((2, 0.3), (1, 0.6), (3, 0.1)):
        add_dose(source, plan, share, "FRACTION", [part(group)])
    case = read_case(plan)
    assert case.plan is not None
    assert (case.plan.fractions, case.plan.fraction_groups, case.plan.beams) == (37, 3, 2)
    assert is_whole(case, clean_case)
    assert "3 fraction groups" in why_no_eqd2(case)


def test_one_fraction_group_twice_is_refused(plan: Path, source: Path) -> None:
    changed(plan, several_groups([25, 8], [(1,), (2,)]))
    for group in (1, 1, 2):
        add_dose(source, plan, 0.5, "FRACTION", [part(group)])
    case = read_case(plan)
    assert case.dose is None
    assert "fraction group 1 has a dose more than once" in messages(case)["dose.summation"]


def test_a_beam_that_two_fraction_groups_use_needs_the_dose_of_both(plan: Path, source: Path, clean_case: Case) -> None:
    changed(plan, several_groups([25, 8], [(1, 2), (1,)]))
    add_dose(source, plan, 0.5, "BEAM", [part(1, [1])])
    add_dose(source, plan, 0.3, "BEAM", [part(1, [2])])
    case = read_case(plan)
    assert case.dose is None
    assert "beam 1 has no dose" in messages(case)["dose.summation"]
    add_dose(source, plan, 0.2, "BEAM", [part(2, [1])])
    assert is_whole(read_case(plan), clean_case)


def test_a_group_and_the_beams_of_another_are_the_plans_together(plan: Path, source: Path, clean_case: Case) -> None:
    changed(plan, several_groups([25, 8], [(1,), (2,)]))
    add_dose(source, plan, 0.7, "FRACTION", [part(1)])
    add_dose(source, plan, 0.3, "BEAM", [part(2, [2])])
    assert is_whole(read_case(plan), clean_case)


# --- What else calls itself a dose ---


@pytest.mark.parametrize("kind", ["CONTROL_POINT", "RECORD", "FRACTION_SESSION", "BEAM_SESSION", "SOMETHING"])
def test_other_summation_types_are_refused_by_name(plan: Path, source: Path, kind: str) -> None:
    add_dose(source, plan, 1.0, kind)
    case = read_case(plan)
    assert case.dose is None
    assert f"DoseSummationType {kind} is not the dose of a plan" in messages(case)["dose.summation"]


def test_a_dose_of_several_plans_is_read_as_what_it_is(plan: Path, source: Path, clean_case: Case) -> None:
    def of_two(dose: Dataset) -> None:
        other = Dataset()
        other.ReferencedSOPClassUID = dose.ReferencedRTPlanSequence[0].ReferencedSOPClassUID
        other.ReferencedSOPInstanceUID = "2.25.1"
        dose.ReferencedRTPlanSequence.append(other)

    add_dose(source, plan, 1.0, "MULTI_PLAN", change=of_two)
    case = read_case(plan)
    assert is_whole(case, clean_case)
    assert case.dose_attributes.summation_type == "MULTI_PLAN"
    assert "the sum of 2 plans" in messages(case)["dose.of_several_plans"]
    assert eqd2_fractions(case) is None
    # The plan's own dose goes before it.
    add_dose(source, plan, 0.5)
    own = read_case(plan)
    assert own.dose_attributes.summation_type == "PLAN"
    assert gy_of(own).max() == pytest.approx(gy_of(case).max() / 2, rel=1e-5)
    assert messages(own) == {}


def test_a_plan_dose_that_refers_to_two_plans_is_refused(plan: Path, source: Path) -> None:
    def of_two(dose: Dataset) -> None:
        other = Dataset()
        other.ReferencedSOPInstanceUID = "2.25.1"
        dose.ReferencedRTPlanSequence.append(other)

    add_dose(source, plan, 1.0, "PLAN", change=of_two)
    case = read_case(plan)
    assert case.dose is None
    assert "refers to 2 plans" in messages(case)["dose.summation"]


def test_a_plan_dose_that_names_one_beam_of_two_is_refused(plan: Path, source: Path) -> None:
    add_dose(source, plan, 1.0, "PLAN", [part(1, [1])])
    case = read_case(plan)
    assert case.dose is None
    assert "without beam 2" in messages(case)["dose.summation"]


@pytest.mark.parametrize(("included", "taken"), [(15, True), (10, False)])
def test_an_overview_dose_is_the_plans_if_it_has_all_fractions(plan: Path, source: Path, included: int, taken: bool) -> None:
    def overview(dose: Dataset) -> None:
        item = Dataset()
        item.PlanOverviewIndex, item.RTPlanLabel, item.NumberOfFractionsIncluded = 1, "Breast", included
        dose.PlanOverviewSequence = [item]

    add_dose(source, plan, 1.0, "PLAN_OVERVIEW", change=overview)
    case = read_case(plan)
    assert (case.dose is not None) == taken
    assert taken or "10 of the plan's 15 fractions" in messages(case)["dose.summation"]


def test_beam_doses_of_different_types_are_not_added(plan: Path, source: Path) -> None:
    add_dose(source, plan, 0.5, "BEAM", [part(1, [1])])
    add_dose(source, plan, 0.5, "BEAM", [part(1, [2])], lambda dose: setattr(dose, "DoseType", "EFFECTIVE"))
    case = read_case(plan)
    assert case.dose is None
    assert "EFFECTIVE, PHYSICAL" in messages(case)["dose.summation"]


def test_beam_doses_on_different_grids_are_not_added_but_rounding_is_no_difference(
    plan: Path, source: Path, clean_case: Case
) -> None:
    def shifted(mm: float) -> None:
        def shift(dose: Dataset) -> None:
            x, y, z = (float(v) for v in dose.ImagePositionPatient)
            dose.ImagePositionPatient = [x + mm, y, z]
            dose.ImageOrientationPatient = [1, 1e-7, 0, -1e-7, 1, 0]

        for beam in (1, 2):
            add_dose(source, plan, 0.5, "BEAM", [part(1, [beam])], shift if beam == 2 else lambda _: None)

    shifted(0.004)
    assert is_whole(read_case(plan), clean_case)
    for file in plan.glob("dose-*.dcm"):
        file.unlink()
    shifted(1.25)
    case = read_case(plan)
    assert case.dose is None
    assert "different grids" in messages(case)["dose.summation"]


# --- Any plan, any division ---


@st.composite
def divided_plans(draw: st.DrawFn) -> tuple[Plan, list[list[tuple[int, str, int]]]]:
    """A plan of up to three fraction groups, beams and application setups, and its parts divided into dose objects at random."""
    groups = draw(st.integers(1, 3))
    beams = [
        Beam(number, meterset=draw(st.floats(1, 400)), fraction_group=group)
        for number in range(1, draw(st.integers(1, 4)) + 1)
        for group in draw(st.sets(st.integers(1, groups), min_size=1))
    ]
    setups = [ApplicationSetup(number, draw(st.integers(1, groups))) for number in range(1, draw(st.integers(0, 2)) + 1)]
    parts = [(b.fraction_group or 0, "beam", b.number) for b in beams] + [(s.fraction_group, "setup", s.number) for s in setups]
    keys = [draw(st.integers(0, len(parts))) for _ in parts]
    objects = [[p for p, k in zip(parts, keys, strict=True) if k == key] for key in sorted(set(keys))]
    plan = Plan(treatment_beams=tuple(beams), application_setups=tuple(setups), fraction_groups=groups)
    return plan, draw(st.permutations(objects))


_GRID = Grid.regular((2, 2, 2), (3.0, 3.0, 3.0))


def _objects(divided: list[list[tuple[int, str, int]]]) -> list[ReadDose]:
    """Dose objects of parts; the k-th gives 2 to the power of k Gy, so that a sum says which are in it."""
    header = Header(Path("d"), "d.dcm", "", "", "RTDOSE", "", "", "", "", "", "", (), "", "")
    return [
        ReadDose(
            replace(header, name=f"d{k}.dcm"),
            DoseObject(
                Dose(_GRID, np.full(_GRID.shape, 2.0**k, np.float32)),
                DoseAttributes("PHYSICAL", "BEAM"),
                (ReferencedPlan("1", tuple(parts)),),
            ),
        )
        for k, parts in enumerate(divided)
    ]


@settings(max_examples=200, deadline=None)
@given(divided_plans(), st.data())
def test_parts_make_the_plans_dose_exactly_if_each_is_there_once(
    divided_plan: tuple[Plan, list[list[tuple[int, str, int]]]], data: st.DataObject
) -> None:
    plan, divided = divided_plan
    objects = _objects(divided)
    assert whole_of_parts(objects, plan, unread=False) == objects
    changed_one = data.draw(st.integers(0, len(objects) - 1))
    with pytest.raises(SummationError, match="more than once"):
        whole_of_parts([*objects, objects[changed_one]], plan, unread=False)
    if len(objects) > 1:
        with pytest.raises(SummationError, match="no dose"):
            whole_of_parts([o for k, o in enumerate(objects) if k != changed_one], plan, unread=False)


# --- Plans that number badly ---


def test_two_fraction_groups_of_one_number_are_not_taken_for_each_other(plan: Path, source: Path) -> None:
    changed(plan, several_groups([25, 8], [(1, 2), (1, 2)]))
    changed(plan, lambda dataset: setattr(dataset.FractionGroupSequence[1], "FractionGroupNumber", 1))
    add_dose(source, plan, 1.0, "FRACTION", [part(1)])
    case = read_case(plan)
    assert case.dose is None
    assert "fraction group 2 has no dose" in messages(case)["dose.summation"]


def test_setup_fields_of_a_plan_without_fractions_still_have_no_dose(plan: Path) -> None:
    changed(plan, with_setup_fields)
    changed(plan, lambda dataset: setattr(dataset.FractionGroupSequence[0], "NumberOfFractionsPlanned", None))
    case = read_case(plan)
    assert case.plan is not None
    assert (case.plan.fractions, case.plan.beams) == (None, 2)


def test_an_object_of_dvhs_only_is_no_dose_and_beside_a_dose_nothing_amiss(plan: Path, source: Path, clean_case: Case) -> None:
    add_dose(source, plan, 1.0, change=lambda dose: delattr(dose, "PixelData"))
    case = read_case(plan)
    assert case.dose is None
    assert "holds no dose grid" in messages(case)["dose.unusable"]
    add_dose(source, plan, 1.0)
    case = read_case(plan)
    assert is_whole(case, clean_case)
    assert messages(case) == {}


def test_a_dose_of_one_plane_is_said_once_and_nothing_is_computed_from_it(folder: Path, clean_draft: Draft) -> None:
    def first_plane(dose: Dataset) -> None:
        dose.PixelData = dose.PixelData[: 4 * dose.Rows * dose.Columns]
        dose.NumberOfFrames, dose.GridFrameOffsetVector = 1, ["0"]

    changed(folder, first_plane, "RTDOSE.dcm")
    assessment = assess(read_case(folder), Options(device="cpu"), clean_draft)
    assert assessment.dose is None
    assert assessment.constraints == ()
    assert [f.rule for f in assessment.findings if f.rule.startswith(("dose.", "constraint."))] == ["dose.unusable"]


# --- What an object says of itself ---


def test_a_dose_that_does_not_say_what_it_is_of_is_taken_with_a_word(plan: Path, source: Path, clean_case: Case) -> None:
    add_dose(source, plan, 1.0, "")
    case = read_case(plan)
    assert is_whole(case, clean_case)
    assert set(messages(case)) == {"dose.summation_absent"}
    assert "DoseSummationType is absent" in messages(case)["dose.summation_absent"]


def test_a_sum_of_several_plans_that_names_one_only_is_said_to_contradict_itself(plan: Path, source: Path) -> None:
    add_dose(source, plan, 1.0, "MULTI_PLAN")
    message = messages(read_case(plan))["dose.of_several_plans"]
    assert "refers to one plan only" in message
    assert "1 plans" not in message


@pytest.mark.parametrize("order", [("PHYSICAL", "EFFECTIVE"), ("EFFECTIVE", "PHYSICAL")])
def test_of_a_physical_and_an_effective_dose_the_one_that_limits_are_for_is_used(
    plan: Path, source: Path, clean_case: Case, order: tuple[str, str]
) -> None:
    """The effective one is half as much again; whichever was made last."""
    for kind in order:
        share = 1.0 if kind == "PHYSICAL" else 1.5
        add_dose(source, plan, share, "PLAN", change=lambda d, kind=kind: setattr(d, "DoseType", kind))  # type: ignore[misc]
    case = read_case(plan)
    assert is_whole(case, clean_case)
    assert case.dose_attributes.dose_type == "PHYSICAL"
    assert "because it is PHYSICAL" in messages(case)["dose.summation"]
