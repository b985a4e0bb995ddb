"""The service files say what systemd and container tools understand, and no more rights than are needed."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from rtqc.cli.serve import command
from tests.conftest import absent

SERVICE = Path(__file__).resolve().parents[2] / "examples" / "service"
UNIT = SERVICE / "rtqc-serve.service"


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit with a program that is there."""
    if shutil.which("systemd-analyze") is None:
        absent("systemd-analyze")
    copy = tmp_path / UNIT.name
    copy.write_text(UNIT.read_text("utf-8").replace("/opt/rtqc/bin/rtqc", "/bin/true").replace("=rtqc\n", "=daemon\n"), "utf-8")
    return copy


def test_systemd_understands_every_line(unit: Path) -> None:
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True, check=False)
    assert unit.name not in done.stderr, done.stderr


def test_the_service_has_few_rights(unit: Path) -> None:
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", str(unit)], capture_output=True, text=True, check=False
    )  # fmt: skip
    if "offline" in done.stderr:
        pytest.skip("this systemd-analyze cannot judge files")
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
    assert found, done.stdout + done.stderr
    # 0 none, 10 all; systemd calls up to 2 "OK".
    assert float(found[1]) <= 2.0, done.stdout


def test_what_the_files_start_is_what_rtqc_knows() -> None:
    known = {option for parameter in command.params for option in parameter.opts}
    for name in ("rtqc-serve.service", "Containerfile"):
        for line in (SERVICE / name).read_text("utf-8").splitlines():
            if " serve " in line and ("rtqc serve" in line):
                assert set(re.findall(r"--[a-z-]+", line.partition(" serve ")[2])) <= known, line


def test_the_container_is_nobody_and_changes_nothing() -> None:
    text = (SERVICE / "Containerfile").read_text("utf-8")
    instructions = re.findall(r"^([A-Z]+) ", text, re.MULTILINE)
    assert set(instructions) <= {"FROM", "COPY", "RUN", "USER", "ENV", "WORKDIR", "ENTRYPOINT", "CMD"}
    last = text.rpartition("FROM ")[2]
    assert re.search(r"^USER 10001:10001$", last, re.MULTILINE)
    for run in re.findall(r"#   podman run (.*?)\n(?=#   podman|# Inside)", text, re.DOTALL):
        assert {"--read-only", "--cap-drop", "no-new-privileges"} <= set(run.split()), run
