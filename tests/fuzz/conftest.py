"""A plan that is small enough to be read dozens of times."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from rtqc.phantom import Anatomy, Resolution, synthetic_plan, write_plan


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small plan's files; not to be changed."""
    plan = synthetic_plan(Anatomy(), Resolution(pixels=64, slice_mm=6.0), key="fuzz")
    return write_plan(plan, tmp_path_factory.mktemp("base"))


@pytest.fixture
def folder(base: Path, tmp_path: Path) -> Path:
    """A copy of them, to break."""
    return Path(shutil.copytree(base, tmp_path / "export"))
