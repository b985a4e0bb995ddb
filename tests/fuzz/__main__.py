"""``make fuzz``: mutations of our own files through the command line's own way of reading, for as long as is asked for.

Each plan is a small synthetic one with one to three damaged files. It is read and assessed in the guarded child, as ``rtqc check`` does it. A
plan that raises, takes the process down, or takes more than :data:`SECONDS` or :data:`MEMORY` is printed with its seed: put it into ``seeds.txt`` and mend.
"""

from __future__ import annotations

import argparse
import collections
import random
import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path

from rtqc.core.finding import Finding
from rtqc.dicom import index_folder, load_case, plan_cases
from rtqc.guard import CaseLimits, Guard
from rtqc.phantom import Anatomy, Resolution, synthetic_plan, write_plan
from rtqc.pipeline import Options
from tests.fuzz.files import CODECS, compress
from tests.fuzz.mutate import KINDS, Mutation

#: What one small plan may take.
SECONDS, MEMORY = 120.0, 2 << 30
#: Every so many plans one is assessed to the end; the others are read.
_ASSESSED = 10
#: How often it is said how far it is, in s.
_SAY_SECONDS = 60.0


def base_plans(folder: Path) -> list[Path]:
    """One plan, plain and with every slice compressed in each way."""
    plain = write_plan(synthetic_plan(Anatomy(), Resolution(pixels=64, slice_mm=6.0), key="fuzz"), folder / "plain")
    plans = [plain]
    for codec in CODECS:
        plans.append(Path(shutil.copytree(plain, folder / codec)))
        for path in plans[-1].glob("CT*"):
            compress(path, codec)
    return plans


def damaged(plan: Path, target: Path, seed: int) -> list[str]:
    """A damaged copy of a plan; what was done to it."""
    rng = random.Random(seed)
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(plan, target)
    done = []
    for _ in range(rng.choice((1, 1, 2, 3))):
        files = sorted(target.glob(rng.choice(("CT*", "CT*", "RTSTRUCT*", "RTDOSE*", "RTPLAN*"))))
        mutation, path = Mutation(rng.choice(KINDS), rng.randrange(1 << 30)), rng.choice(files)
        try:
            applied = mutation.apply(path)
        except Exception:  # a file that is damaged already
            applied = False
        if applied:
            done.append(f"{mutation.kind} {path.name}")
    return done


def read(path: Path) -> list[Finding]:
    """Findings of all cases of a folder, read and not assessed."""
    index = index_folder(path)
    return [f for parts in plan_cases(index) for f in load_case(parts, index).findings]


def main() -> int:
    """Fuzz; exit status 1 where something was found."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--minutes", type=float, default=10.0)
    asked = parser.parse_args()
    until, seed, bad = time.monotonic() + 60 * asked.minutes, asked.seed, 0
    count: collections.Counter[str] = collections.Counter()
    slowest, said = 0.0, time.monotonic()

    def told() -> str:
        children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10
        return f"seeds {asked.seed + 1} to {seed}: {dict(count)}, {bad} bad; slowest {slowest:.1f} s; memory of children that ended up to {children} MiB"

    with tempfile.TemporaryDirectory(prefix="rtqc-fuzz-") as scratch, Guard(CaseLimits(SECONDS, MEMORY)) as guard:
        plans = base_plans(Path(scratch) / "base")
        while time.monotonic() < until:
            seed += 1
            target = Path(scratch) / "plan"
            done = damaged(plans[seed % len(plans)], target, seed)
            began = time.monotonic()
            try:
                if seed % _ASSESSED:
                    guard._worker.call(read, target)
                    count["read"] += 1
                else:
                    index, cases = guard.survey(target)
                    for found in cases:
                        assessment = guard.assess(found.parts, index, Options(device="cpu", threads=1)).assessment
                        count[f"assessed: {assessment.verdict}"] += 1
                        wrong = [f.message for f in assessment.findings if f.rule.startswith("run.")]
                        if wrong:
                            raise RuntimeError(wrong[0])
            except Exception as error:
                bad += 1
                print(f"seed {seed} ({', '.join(done)}): {type(error).__name__}: {error}", flush=True)
            slowest = max(slowest, time.monotonic() - began)
            if time.monotonic() - said > _SAY_SECONDS:
                said = time.monotonic()
                print(told(), flush=True)
    print(told())
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
