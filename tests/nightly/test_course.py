"""Plans of one course in an archive: a result follows from the doses of the other plans too."""

from __future__ import annotations

from pathlib import Path

import pytest

from rtqc.dicom import fingerprint, index_folder, is_complete, plan_cases
from rtqc.dicom.index import Index
from rtqc.nightly.orders import Order, Settings
from rtqc.nightly.work import digests_of, work
from rtqc.phantom import SyntheticPlan, course_errors, plant, write_plan

SETTINGS = Settings(device="cpu", threads=1)


@pytest.fixture
def folder(clean_plan: SyntheticPlan, tmp_path: Path) -> Path:
    return write_plan(plant(clean_plan, "boost_not_counted"), tmp_path / "P1")


def orders(folder: Path) -> dict[str, Order]:
    index = index_folder(folder)
    return {parts.plan.label: Order(parts, Index(folder)) for parts in plan_cases(index) if parts.plan is not None}


def key(order: Order) -> str:
    return order.key(SETTINGS, digests_of(order))


def test_another_dose_of_the_boost_is_another_result_of_the_whole_breast(folder: Path, clean_plan: SyntheticPlan) -> None:
    before = orders(folder)
    keys = {label: key(order) for label, order in before.items()}
    whole = course_errors.conventional(clean_plan)
    write_plan(whole.with_study(beside=(course_errors.boost_beside(whole, 10.0),)), folder)
    after = orders(folder)
    assert {label: key(order) != keys[label] for label, order in after.items()} == {"Breast_L": True, "Boost_L": True}


def test_a_boost_that_comes_later_makes_the_whole_breast_another_case(folder: Path) -> None:
    with_boost = orders(folder)["Breast_L"].identity
    for file in folder.glob("*.boost.dcm"):
        file.unlink()
    assert orders(folder)["Breast_L"].identity != with_boost


def test_a_plan_waits_for_the_dose_of_the_patients_other_plan(folder: Path) -> None:
    assert all(is_complete(parts) for parts in plan_cases(index_folder(folder)))
    prints = {fingerprint(parts) for parts in plan_cases(index_folder(folder))}
    assert len(prints) == 2
    (folder / "RTDOSE.boost.dcm").unlink()
    assert not any(is_complete(parts) for parts in plan_cases(index_folder(folder)))


def test_a_worker_judges_the_course_of_one_order(folder: Path) -> None:
    outcome = work(orders(folder)["Breast_L"], SETTINGS)
    assert outcome.assessment is not None
    assert outcome.assessment.course is not None
    assert [p.label for p in outcome.assessment.course.plans] == ["Breast_L", "Boost_L"]
    assert "course.constraint_exceeded" in {f.rule for f in outcome.assessment.findings}
    assert outcome.report is not None
    assert "Plans whose doses were added" in outcome.report.decode()
