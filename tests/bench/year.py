"""A simulated year: small plans with planted errors and a drift that begins on a known day, through the real command.

``python -m tests.bench.year [COUNT]`` (5,500 take about two and a half hours on two cores) writes its table into docs/benchmarks.md.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from rtqc.nightly import Store, open_store
from rtqc.nightly.store import Row
from rtqc.nightly.trends import trends_of
from tests.archives import Planned, Recipe, make, passing_seeds
from tests.bench.page import Row as Line
from tests.bench.page import write_section

#: Everybody begins to draw less on this day of the year.
DRIFT_DAY = 250
#: Memory is compared with what it was after so many plans.
_WARM = 500
_DRIFT_WITHIN = 60


def run(archive: Path, out: Path) -> tuple[int, float, list[tuple[int, float]]]:
    """Run the real command: exit status, wall seconds, and memory of its main process (MiB) by number of plans done."""
    command = [sys.executable, "-m", "rtqc", "nightly", str(archive), "--out", str(out), "--json", "--device", "cpu"]
    began = time.perf_counter()
    memory: list[tuple[int, float]] = []
    with (out.parent / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        main = psutil.Process(process.pid)
        while process.poll() is None:
            time.sleep(2)
            try:
                done = json.loads((out / "status.json").read_text())["done"]
                memory.append((int(done), main.memory_info().rss / 2**20))
            except (OSError, ValueError, psutil.Error):
                continue
    return process.returncode, time.perf_counter() - began, memory


def growth(memory: list[tuple[int, float]], total: int) -> float:
    """Percent by which memory grew from the first plans to the last, before the page is written."""
    warm = [m for done, m in memory if _WARM <= done < _WARM + 100] or [m for done, m in memory if done >= total // 10][:5]
    last = [m for done, m in memory if total - 100 <= done < total][-10:] or [memory[-1][1]]
    return 100 * (sum(last) / len(last) / (sum(warm) / len(warm)) - 1)


def judged(store: Store, planned: list[Planned]) -> tuple[list[Planned], list[Planned], list[Planned]]:
    """Errors that their own rule did not find; clean plans that failed; clean plans that were flagged."""
    rows = {r.patient_id: r for r in store.rows()}
    rules = store.findings(("fail", "warning", "info"))
    fails = store.findings(("fail",))
    missed = [p for p in planned if p.error and p.rule not in rules.get(rows[p.patient_id].id, ())]
    failed = [p for p in planned if not p.error and fails.get(rows[p.patient_id].id)]
    flagged = [p for p in planned if not p.error and rows[p.patient_id].verdict != "pass"]
    return missed, failed, flagged


def drift_seen(rows: list[Row], planned: list[Planned]) -> tuple[int | None, str, str]:
    """After how many plans the drift is on the page, the day that the page names in the end, and the true day."""
    first = next(p.number for p in planned if p.drifted)
    for k in range(first, len(rows), 2):
        (trend,) = (t for t in trends_of(rows[: k + 1], ["clinic"]) if t.metric.name == "size_difference_percent")
        if trend.drift is not None:
            (whole,) = (t for t in trends_of(rows, ["clinic"]) if t.metric.name == "size_difference_percent")
            return k - first + 1, whole.drift.since_date if whole.drift else "", planned[first].day
    return None, "", planned[first].day


def main() -> None:
    """Measure and write."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 5500
    scratch = Path(tempfile.mkdtemp(prefix="rtqc-year-"))
    try:
        recipe = Recipe(count, drift_from=DRIFT_DAY)
        planned = make(recipe, scratch / "archive", passing_seeds(recipe.bases))
        (scratch / "night").mkdir()
        status, wall, memory = run(scratch / "archive", scratch / "night" / "out")
        store = open_store(scratch / "night" / "out" / "rtqc.sqlite", create=False)
        rows = list(store.rows())
        missed, failed, flagged = judged(store, planned)
        after, named, true = drift_seen(rows, planned)
        store.close()
        errors, clean = sum(bool(p.error) for p in planned), sum(not p.error for p in planned)
        lines = [
            Line(
                f"a year of {count} small plans, exit status {status}",
                f"{wall / 60:.0f} min, {wall / count:.2f} s a plan",
                "–",
                "–",
                "–",
            ),
            Line(
                "planted errors found by their own rule",
                f"{errors - len(missed)} of {errors}",
                "the archive's recipe",
                "–",
                "all",
            ),
            Line(
                "clean plans that failed; that were flagged",
                f"{len(failed)}; {len(flagged)} of {clean}",
                "the archive's recipe",
                "–",
                "0 failed",
            ),
            Line(
                "drift of 1 mm, seen after", f"{after} plans, dated {named}", f"begins {true}", "–", f"≤ {_DRIFT_WITHIN} plans"
            ),
            Line(
                f"memory of the main process, growth after {_WARM} plans", f"{growth(memory, count):+.1f} %", "–", "–", "< 10 %"
            ),
        ]
        more = ", ".join(f"{p.patient_id} {p.error}" for p in missed[:20])
        write_section("year", lines, f"Missed: {more}." if more else "")
    finally:
        shutil.rmtree(scratch)


if __name__ == "__main__":
    main()
