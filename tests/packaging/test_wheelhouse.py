"""A machine without any index: installed from a folder of wheels, it runs a night."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from rtqc.phantom import SyntheticPlan
from tests.nightly.test_night import light

ROOT = Path(__file__).resolve().parents[2]


def test_a_machine_without_network_is_installed_from_the_wheelhouse(tmp_path: Path, clean_plan: SyntheticPlan) -> None:
    wheels, environment = tmp_path / "wheelhouse", tmp_path / "env"
    made = subprocess.run(["make", "wheelhouse", f"WHEELHOUSE={wheels}"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
    # No index, no settings of this machine that name one, and no way to it.
    alone = {
        "PATH": os.environ["PATH"],
        "PIP_CONFIG_FILE": os.devnull,
        "http_proxy": "http://127.0.0.1:9",
        "https_proxy": "http://127.0.0.1:9",
    }
    install = [
        str(environment / "bin" / "pip"),
        "install",
        "--quiet",
        "--no-index",
        "--find-links",
        str(wheels),
        "rtqc[postgresql,parquet]",
    ]
    done = subprocess.run(install, env=alone, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rtqc = str(environment / "bin" / "rtqc")
    light(clean_plan, tmp_path / "archive", 2)
    doctor = subprocess.run(
        [rtqc, "doctor", "--archive", str(tmp_path / "archive"), "--json"],
        env=alone,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    states = {c["name"]: c["state"] for c in json.loads(doctor.stdout)["checks"]}
    assert states["model"] == states["device"] == states["archive"] == "ok", doctor.stdout
    night = subprocess.run(
        [rtqc, "nightly", str(tmp_path / "archive"), "--out", str(tmp_path / "out"), "--json"], env=alone, capture_output=True, text=True,
        cwd=tmp_path, check=False,
    )  # fmt: skip
    assert json.loads(night.stdout)["errors"] == 2, night.stderr
    assert (tmp_path / "out" / "latest" / "index.html").is_file()
