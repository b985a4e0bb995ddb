"""The examples run as they stand."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pydicom
import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def _run(name: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(EXAMPLES / name), *(str(a) for a in arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_check_a_plan(clean_folder: Path) -> None:
    done = _run("check_a_plan.py", clean_folder)
    assert (done.returncode, done.stdout.strip()) == (0, "No rule asks for a second look."), done.stderr


def test_draft_and_compare(clean_folder: Path, tmp_path: Path) -> None:
    done = _run("draft_and_compare.py", clean_folder, tmp_path / "heart.dcm")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Dice 0.")
    assert (tmp_path / "heart.dcm").is_file()


def test_dose_of_a_shape() -> None:
    done = _run("dose_of_a_shape.py")
    assert done.returncode == 0, done.stderr
    # The polygon of Point.buffer has 0.16 % less area than the circle; 21 planes of 3 mm.
    assert done.stdout.startswith("79.0 ml, mean 10.00 Gy, D2% 11.")


def _program(tmp_path: Path) -> dict[str, str]:
    """The environment of an export script: ``RTQC`` is the real command line."""
    program = tmp_path / "rtqc"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m rtqc "$@"\n')
    program.chmod(0o755)
    return {**os.environ, "RTQC": str(program)}


def _flagged(folder: Path) -> Path:
    """The folder with a plan that is flagged."""
    dataset = pydicom.dcmread(folder / "RTSTRUCT.dcm")
    next(r for r in dataset.StructureSetROISequence if r.ROIName == "Heart").ROIName = "Liver"
    dataset.save_as(folder / "RTSTRUCT.dcm")
    return folder


def _shell(name: str, folder: Path, environment: dict[str, str], *before: str) -> subprocess.CompletedProcess[str]:
    command = [*before, str(EXAMPLES / name), *(["-Export"] if name.endswith(".ps1") else []), str(folder)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


@pytest.mark.parametrize("name", ["check_export.sh", "check_export.ps1", "check_after_export.py"])
def test_export_scripts_pass_stop_and_say_why(name: str, folder: Path, tmp_path: Path) -> None:
    before = {
        "check_export.sh": [],
        "check_export.ps1": ["pwsh", "-NoProfile", "-File"],
        "check_after_export.py": [sys.executable],
    }[name]
    if name.endswith(".ps1") and shutil.which("pwsh") is None:
        pytest.skip("pwsh is not installed; Debian has no package of it")
    environment = _program(tmp_path)
    passed = _shell(name, folder, environment, *before)
    assert passed.returncode == 0, passed.stderr
    assert "PASSED" in passed.stdout or "may go on" in passed.stdout
    assert (folder.parent / f"{folder.name}-rtqc" / "report.html").is_file()
    stopped = _shell(name, _flagged(folder), environment, *before)
    assert stopped.returncode == 1
    assert "somebody must look" in stopped.stdout
    (tmp_path / "empty").mkdir()
    unknown = _shell(name, tmp_path / "empty", environment, *before)
    assert unknown.returncode == 2
    assert "could not be assessed" in unknown.stdout + unknown.stderr
    assert "Traceback" not in unknown.stderr


def test_the_planning_systems_script_exports_the_plan_and_its_dose(folder: Path, tmp_path: Path) -> None:
    """With a stand-in for RayStation's module, which copies an export and says what it was asked for."""
    (tmp_path / "connect.py").write_text(f"""
import json, shutil
class Named:
    Name = "CT 1"
    def GetPlanningExamination(self): return self
    def BeamSetIdentifier(self): return "Plan:Beams"
    def ScriptableDicomExport(self, ExportFolderPath, **asked):
        shutil.copytree({str(folder)!r}, ExportFolderPath, dirs_exist_ok=True)
        open({str(tmp_path / "asked.json")!r}, "w").write(json.dumps(asked))
def get_current(kind): return Named()
""")
    environment = _program(tmp_path) | {"PYTHONPATH": str(tmp_path), "TMPDIR": str(tmp_path)}
    command = [sys.executable, str(EXAMPLES / "check_after_export.py")]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert "The plan may go on." in done.stdout
    asked = json.loads((tmp_path / "asked.json").read_text())
    assert asked["BeamSets"] == asked["PhysicalBeamSetDoseForBeamSets"] == ["Plan:Beams"]


def test_every_example_is_tested() -> None:
    text = Path(__file__).read_text(encoding="utf-8")
    assert all(f'"{example.name}"' in text for example in EXAMPLES.iterdir() if example.suffix in (".py", ".sh", ".ps1"))


def _nightly_lines() -> dict[str, str]:
    """The command that each way of starting a night starts."""
    service = (EXAMPLES / "nightly" / "rtqc-nightly.service").read_text()
    crontab = (EXAMPLES / "nightly" / "crontab").read_text()
    task = (EXAMPLES / "nightly" / "register-task.ps1").read_text()
    return {
        "systemd": next(x for x in service.splitlines() if x.startswith("ExecStart=")).partition("=")[2],
        "cron": crontab.splitlines()[-1].split("*", 3)[3].split(">>")[0],
        "windows": "rtqc "
        + task.split('-Argument "')[1].split('"\n')[0].replace('`"$archive`"', "/srv/plans").replace('`"$out`"', "/srv/rtqc"),
    }


@pytest.mark.parametrize("how", ["systemd", "cron", "windows"])
def test_what_starts_a_night_gives_it_options_that_it_has(how: str, clean_folder: Path, tmp_path: Path) -> None:
    words = _nightly_lines()[how].split()
    assert words[0].endswith("rtqc")
    paths = {"/srv/plans": clean_folder, "/srv/rtqc": tmp_path / "out"}
    command = [sys.executable, "-m", "rtqc", *(str(paths.get(w, w)) for w in words[1:]), "--dry-run"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "1 plans in" in done.stdout


def test_the_service_has_least_rights() -> None:
    analyse = shutil.which("systemd-analyze")
    if analyse is None:
        pytest.skip("systemd-analyze is not installed")
    unit = EXAMPLES / "service" / "rtqc-node.service"
    done = subprocess.run([analyse, "security", "--offline=true", str(unit)], capture_output=True, text=True, check=False)
    if "Unknown" in done.stderr or "unrecognized" in done.stderr:
        pytest.skip("this systemd-analyze cannot look at files")
    # From 0 (nothing is allowed) to 10 (everything is).
    exposure = float(done.stdout.split("Overall exposure level for rtqc-node.service:")[1].split()[0])
    assert exposure <= 2.0, done.stdout
