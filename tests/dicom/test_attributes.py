"""What plans, doses and structure sets say of themselves: approval, times, beams, dose type; from files to the case's values."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pydicom
import pytest
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from rtqc.core import Case, DoseAttributes, StructureSetAttributes
from rtqc.dicom import read_case
from rtqc.dicom.elements import text
from rtqc.dicom.read_plan import date_time
from rtqc.dicom.study import uid_of
from rtqc.phantom import SyntheticPlan, write_plan
from tests.conftest import dciodvfy


@pytest.fixture(scope="module")
def stated(clean_plan: SyntheticPlan, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plan that says all that it can of itself."""
    study = replace(
        clean_plan.study,
        isocentre_mm=(61.5, -72.25, -8.0),
        metersets=(180.5, None),
        beam_names=("RAO", "Setup"),
        drawn="20260103090000",
        structure_set_approved="20260103101500",
        plan_created="20260104112233",
        plan_approved="20260105120000",
        dose_created="20260104113000",
        dose_type="EFFECTIVE",
        heterogeneity="WATER",
        replaces="earlier",
        plan_intent="CURATIVE",
    )
    return write_plan(replace(clean_plan, study=study), tmp_path_factory.mktemp("stated"))


@pytest.fixture(scope="module")
def case(stated: Path) -> Case:
    """It, as read."""
    return read_case(stated)


def test_a_plan_says_when_it_was_made_and_approved_and_what_it_replaces(case: Case) -> None:
    plan = case.plan
    assert plan is not None
    assert (plan.date, plan.time, plan.approval, plan.approved_at) == ("20260104", "112233", "APPROVED", "20260105120000")
    assert (plan.kind, plan.intent, plan.geometry) == ("photon", "CURATIVE", "PATIENT")
    assert plan.relations == ((uid_of("rtqc-phantom", "earlier", "plan"), "PREDECESSOR"),)


def test_only_a_beam_with_meterset_treats_and_says_where_and_how_long(case: Case) -> None:
    plan = case.plan
    assert plan is not None
    assert plan.beams == 1
    (beam,) = plan.treatment_beams
    assert (beam.number, beam.name, beam.radiation_type, beam.fraction_group) == (1, "RAO", "PHOTON", 1)
    assert (beam.isocentre_mm, beam.meterset, beam.dose_gy) == ((61.5, -72.25, -8.0), 180.5, None)


def test_a_dose_says_what_it_is_and_when_it_was_calculated(case: Case) -> None:
    assert case.dose_attributes == DoseAttributes("EFFECTIVE", "PLAN", "WATER", "20260104113000")


def test_a_structure_set_says_when_it_was_drawn_and_approved(case: Case) -> None:
    expected = StructureSetAttributes("APPROVED", "20260103101500", "20260103090000", "20260103090000")
    assert case.structure_set_attributes == expected


def test_the_clean_plan_is_physical_unapproved_and_treats_the_beams_centre(clean_case: Case, clean_plan: SyntheticPlan) -> None:
    plan = clean_case.plan
    assert plan is not None
    assert clean_case.dose_attributes == DoseAttributes("PHYSICAL", "PLAN", "IMAGE", "20260102080000")
    assert clean_case.structure_set_attributes == StructureSetAttributes("UNAPPROVED", "", "20260102080000", "20260102080000")
    assert (plan.approval, plan.approved_at, plan.relations) == ("UNAPPROVED", "", ())
    for beam in plan.treatment_beams:
        assert beam.isocentre_mm == pytest.approx(clean_plan.beams.centre_mm, abs=1e-3)
    assert clean_plan.beams.centre_mm[0] > 30  # the patient's left is +x: the left breast lies there


def test_what_is_written_obeys_the_standard(stated: Path) -> None:
    for name in ("RTPLAN.dcm", "RTDOSE.dcm", "RTSTRUCT.dcm"):
        assert dciodvfy(stated / name)[0] == [], name


@pytest.mark.parametrize(
    ("date", "time", "expected"),
    [
        ("20260102", "101112.5", "20260102101112"),
        ("20260102", "1011", "20260102101100"),
        ("20260102", "", "20260102"),
        ("", "101112", ""),
        ("20260102", "10:11:12", "20260102101112"),
        ("2026.01.02", "10", "20260102100000"),
        ("yesterday", "101112", ""),
    ],
)
def test_dates_and_times_are_one_text_that_sorts(date: str, time: str, expected: str) -> None:
    dataset = Dataset()
    with pydicom.config.disable_value_validation():
        dataset.ReviewDate, dataset.ReviewTime = date, time
    assert date_time(dataset, "ReviewDate", "ReviewTime") == expected


@pytest.mark.parametrize("declared", [["", "ISO 2022 IR 58"], "ISO_IR 100", None])
@pytest.mark.parametrize(
    ("content", "meant"),
    [
        (b"\x1b$)A" + "心脏".encode("gb2312"), "心脏"),
        (b"Heart \x1b$)A" + "左".encode("gb2312"), "Heart 左"),
        (b"\x1b$)AHeart", "Heart"),
    ],
)
def test_designators_of_character_sets_are_no_part_of_a_name(declared: object, content: bytes, meant: str) -> None:
    """GB2312 by ISO 2022 (PS3.5 6.1.2.5), declared or not."""
    item = Dataset()
    if declared is not None:
        item.SpecificCharacterSet = declared
    tag = Tag("ROIName")
    item[tag] = RawDataElement(tag, "LO", len(content), content, 0, False, True)
    assert text(item, "ROIName") == meant
