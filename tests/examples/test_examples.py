"""The examples run as they stand."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

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


def test_every_example_is_tested() -> None:
    text = Path(__file__).read_text(encoding="utf-8")
    assert all(f'"{example.name}"' in text for example in EXAMPLES.glob("*.py"))
