"""Killed twenty times: a night over many plans, its main process killed (SIGKILL) at random moments, against one that nobody disturbed.

``python -m tests.bench.kills [COUNT] [KILLS]`` (300 and 20 take half an hour on two cores) writes its table into docs/benchmarks.md.
"""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from rtqc.nightly import open_store
from tests.archives import Recipe, make, passing_seeds
from tests.bench.page import Row, write_section


def content(store: Path) -> dict[str, Any]:
    """What a store says, without when it was said."""
    found = open_store(store, create=False)
    told = {r.key: (r.verdict, a.model_dump(mode="json", exclude={"run"})) for r, a in found.assessments(current=False)}
    found.close()
    return told


def start(archive: Path, out: Path) -> subprocess.Popen[bytes]:
    """The real command."""
    command = [sys.executable, "-m", "rtqc", "nightly", str(archive), "--out", str(out), "--device", "cpu"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def main() -> None:
    """Measure and write."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    kills = int(sys.argv[2]) if len(sys.argv) > 2 else 20
    scratch = Path(tempfile.mkdtemp(prefix="rtqc-kills-"))
    try:
        recipe = Recipe(count, bases=4)
        make(recipe, scratch / "archive", passing_seeds(recipe.bases))
        began = time.perf_counter()
        start(scratch / "archive", scratch / "whole").wait()
        wall = time.perf_counter() - began
        chance = random.Random(1)
        done = 0
        for _ in range(kills):
            process = start(scratch / "archive", scratch / "killed")
            time.sleep(chance.uniform(0.5, 1.8 * wall / kills))
            done += process.poll() is None
            process.kill()
            process.wait()
        start(scratch / "archive", scratch / "killed").wait()
        a, b = content(scratch / "whole" / "rtqc.sqlite"), content(scratch / "killed" / "rtqc.sqlite")
        same = sum(a.get(key) == value for key, value in b.items())
        halves = len(list((scratch / "killed").rglob("*.part")))
        rows = [
            Row(
                f"{count} plans, killed {done} times",
                f"{same} of {len(b)} results equal, {halves} half-written files",
                f"{len(a)} results of an undisturbed run",
                "–",
                "all equal, none",
            ),
        ]
        write_section("kills", rows)
    finally:
        shutil.rmtree(scratch)


if __name__ == "__main__":
    main()
