"""How fast a night is: full-size plans through the real command, against the network alone on the very inputs that it gets.

``python -m tests.bench.nightly [COUNT]`` writes its table into docs/benchmarks.md.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from rtqc.core.volumes import Image
from rtqc.phantom import Anatomy, Resolution, SyntheticPlan, plant, synthetic_plan, write_plan
from tests.archives import drawn_by_hand
from tests.bench.inference import network_alone
from tests.bench.page import Row, write_section

FULL = Resolution(512, 320 / 119.5)
#: Patients that are rendered; each is planned several times, with another noise and by another hand.
_PATIENTS = 6
_ERRORS = ("apex_cut", "contours_shifted", "slices_not_contoured")


def make_full(root: Path, count: int) -> None:
    """An archive of full-size plans, every tenth with an error; no two images are the same."""
    for patient in range(min(_PATIENTS, count)):
        base = synthetic_plan(Anatomy.random(100 + patient), FULL, key=f"full{patient}")
        for number in range(patient, count, _PATIENTS):
            write_plan(_variant(base, number), root / f"P{number:03d}")


def _variant(base: SyntheticPlan, number: int) -> SyntheticPlan:
    rng = np.random.default_rng(number)
    image = base.study.image
    noisy = image.hu + rng.normal(0, 6, image.hu.shape).astype(np.float32)
    plan = drawn_by_hand(base, rng).with_study(
        key=f"full-{number}", patient_id=f"P{number:03d}", image=Image(image.grid, noisy)
    )
    return plant(plan, _ERRORS[number // 10 % len(_ERRORS)]) if number % 10 == 9 else plan


def inference_alone(folder: Path) -> tuple[float, int]:
    """Seconds that ONNX Runtime alone takes for one plan's inputs with all cores, and how many inputs those are."""
    from rtqc.dicom import read_case
    from rtqc.heart import Engine, load_model

    image = read_case(folder).image
    assert image is not None
    bare, count = network_alone(image, Engine(load_model(), "cpu"))
    times = []
    for _ in range(4):
        began = time.perf_counter()
        bare()
        times.append(time.perf_counter() - began)
    return float(np.median(times[1:])), count


def night(archive: Path, out: Path, *options: str) -> tuple[dict[str, object], float]:
    """A run of the real command: its summary and wall seconds."""
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "rtqc", "nightly", str(archive), "--out", str(out), "--json", "--device", "cpu", *options],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False,
    )  # fmt: skip
    return json.loads(done.stdout), time.perf_counter() - began


def main() -> None:
    """Measure and write."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    scratch = Path(tempfile.mkdtemp(prefix="rtqc-bench-"))
    try:
        make_full(scratch / "archive", count)
        alone, inputs = inference_alone(scratch / "archive" / "P000")
        summary, wall = night(scratch / "archive", scratch / "out")
        _, again = night(scratch / "archive", scratch / "out")
        run = summary["run"]
        assert isinstance(run, dict)
        steps = ", ".join(f"{step} {seconds / count:.2f}" for step, seconds in run["seconds_by_step"].items())
        rows = [
            Row(
                f"`rtqc nightly`, {count} plans of 512 x 512 x 120 with dose, {summary['flagged']} reports",
                f"{wall / count:.2f} s a plan ({5500 * wall / count / 3600:.1f} h for 5,500)",
                f"{alone:.2f} s (ONNX Runtime alone, all cores, the same {inputs} inputs)",
                f"{wall / count / alone:.2f}",
                "≤ 5 s; 5,500 in 8 h",
            ),
            Row("of which, a plan in one worker", f"{steps} s", "–", "–", "–"),
            Row(f"the same archive again, {run['files']} files", f"{again:.1f} s", "–", "–", "seconds"),
        ]
        write_section("nightly", rows)
    finally:
        shutil.rmtree(scratch)


if __name__ == "__main__":
    main()
