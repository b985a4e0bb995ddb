"""What the tests share: synthetic plans, the real patients, and programs that we did not write."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import settings

from rtqc.core import Case
from rtqc.dicom import read_case
from rtqc.heart import Draft, draft_heart
from rtqc.phantom import Anatomy, Resolution, SyntheticPlan, synthetic_plan, write_plan

#: The same examples in every run: a test that fails is one that was broken.
settings.register_profile("rtqc", derandomize=True)
settings.load_profile("rtqc")

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
#: With RTQC_REQUIRE_TOOLS=1 a test that would skip fails instead: CI must not pass by leaving things out.
REQUIRED = os.environ.get("RTQC_REQUIRE_TOOLS") == "1"
HEARTS = ("0187", "0506", "0909")
#: Coarse enough to be quick, fine enough for every rule.
SMALL = Resolution(pixels=128, slice_mm=3.0)


#: Folders of tests that take minutes: services, processes, networks that learn. ``-m "not slow"`` leaves them out.
SLOW = frozenset({"examples", "nightly", "node", "packaging", "training"})


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is slow by its folder, and begin with it: a whole night that begins last keeps one core waiting for the other."""
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here) and item.path.relative_to(here).parts[0] in SLOW:
            item.add_marker(pytest.mark.slow)
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


def absent(what: str) -> None:
    """Skip with a reason, or fail where everything must be there."""
    if REQUIRED:
        pytest.fail(f"{what} is absent, and RTQC_REQUIRE_TOOLS=1 says that it must be there")
    pytest.skip(f"{what} is absent")


def real(*parts: str) -> Path:
    """A path below ../shared/data."""
    path = SHARED.joinpath(*parts)
    if not path.exists():
        absent(f"../shared/data/{'/'.join(parts)}")
    return path


def tool(name: str) -> str:
    """Path of a program."""
    found = shutil.which(name)
    if found is None:
        absent(f"the program {name}")
    assert found is not None
    return found


def dciodvfy(path: Path) -> tuple[list[str], list[str]]:
    """Errors and warnings that dicom3tools' validator finds in a file."""
    done = subprocess.run([tool("dciodvfy"), str(path)], capture_output=True, text=True, errors="replace", check=False)
    lines = (done.stdout + done.stderr).splitlines()
    return [x for x in lines if x.startswith("Error")], [x for x in lines if x.startswith("Warning")]


@pytest.fixture(scope="session")
def clean_plan() -> SyntheticPlan:
    """A plan with nothing wrong with it."""
    return synthetic_plan(Anatomy(), SMALL, key="test")


@pytest.fixture(scope="session")
def clean_folder(clean_plan: SyntheticPlan, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its DICOM files; not to be changed."""
    return write_plan(clean_plan, tmp_path_factory.mktemp("clean"))


@pytest.fixture(scope="session")
def clean_case(clean_folder: Path) -> Case:
    """It, as read."""
    return read_case(clean_folder)


@pytest.fixture(scope="session")
def clean_draft(clean_case: Case) -> Draft:
    """The shipped model's draft on it."""
    assert clean_case.image is not None
    return draft_heart(clean_case.image, device="cpu")


@pytest.fixture
def folder(clean_folder: Path, tmp_path: Path) -> Path:
    """A copy of the clean plan's files, to break."""
    target = tmp_path / "export"
    shutil.copytree(clean_folder, target)
    return target


@pytest.fixture(scope="session")
def tiny_plan(clean_plan: SyntheticPlan) -> SyntheticPlan:
    """The same plan under another patient's name."""
    return replace(clean_plan, study=replace(clean_plan.study, key="other", patient_id="RTQC-OTHER"))
