"""One plan has one answer, however many threads the machine has."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

from threadpoolctl import threadpool_info

from rtqc.core.repeatable import repeatable
from rtqc.phantom import SyntheticPlan, write_plan

_CHECKED = """
import hashlib, os, sys
if sys.argv[2] == "one" and hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
from rtqc.dicom import read_case
from rtqc.pipeline import Options, assess
print(assess(read_case(sys.argv[1]), Options(device="cpu", second_check=False)).model_dump_json(exclude={"run"}))
"""


def _checked(plan: Path, threads: str) -> str:
    count = {"one": "1", "several": "3"}[threads]
    variables = {f"{library}_NUM_THREADS": count for library in ("OMP", "OPENBLAS", "MKL")}
    done = subprocess.run(
        [sys.executable, "-c", _CHECKED, str(plan), threads],
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_a_plan_has_the_same_json_byte_for_byte_with_one_thread_and_with_several(
    clean_plan: SyntheticPlan, tmp_path: Path
) -> None:
    write_plan(clean_plan, tmp_path / "plan")
    one, several = (_checked(tmp_path / "plan", threads) for threads in ("one", "several"))
    assert '"draft_curve"' in one
    assert hashlib.sha256(one.encode()).hexdigest() == hashlib.sha256(several.encode()).hexdigest()


def test_linear_algebra_has_one_thread_inside_and_what_it_had_outside() -> None:
    def threads() -> list[int]:
        return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]

    before = threads()

    @repeatable
    def inner() -> list[int]:
        return threads()

    @repeatable
    def outer() -> tuple[list[int], list[int]]:
        return inner(), threads()

    assert outer() == ([1] * len(before), [1] * len(before))
    assert threads() == before
