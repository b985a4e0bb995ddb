"""``python -m tests.mutants``: make wrong changes in rooms, one at a time, and list those that no test notices."""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.mutants.equivalent import equivalents
from tests.mutants.known import known_mutants
from tests.mutants.operators import Mutant, mutants_of
from tests.mutants.results import NOTICED, Results, summary
from tests.mutants.rooms import ROOMS, ROOT, Room
from tests.mutants.runner import Runner
from tests.mutants.tracing import LineMap, state_of

WORK = ROOT / "build" / "mutants"


def main() -> int:
    """All rooms that were asked for; 1 where a room is below the goal or a known mutant is not noticed."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("rooms", nargs="*", metavar="ROOM", help=f"of {', '.join(ROOMS)}; none: all")
    parser.add_argument("--budget", type=float, default=240.0, help="seconds for each room (240)")
    parser.add_argument("--seed", type=int, default=0, help="of the order in which mutants are made (0)")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes at once (all cores)")
    parser.add_argument("--slowest", type=float, default=10.0, help="seconds that a test may take to be asked (10)")
    parser.add_argument("--goal", type=float, default=85.0, help="percent that must be noticed (85)")
    parser.add_argument(
        "--known", action="store_true", help="only the wrong changes of known/*.toml, all of which must be noticed"
    )
    parser.add_argument("--file", default="", help="only files whose name begins so")
    parser.add_argument(
        "--tests", nargs="+", default=[], help="only these tests are asked, as pytest is given them; instead of all of the room"
    )
    options = parser.parse_args()
    unknown = [name for name in options.rooms if name not in ROOMS]
    if unknown:
        parser.error(f"there is no room {unknown[0]}; there are {', '.join(ROOMS)}")
    names = options.rooms or list(ROOMS)
    if len(names) > 1:
        rest = [a for a in sys.argv[1:] if a not in ROOMS]
        codes = [subprocess.run([sys.executable, "-m", "tests.mutants", name, *rest], check=False).returncode for name in names]
        return max(codes)
    os.chdir(ROOT)
    WORK.mkdir(parents=True, exist_ok=True)
    return _known(ROOMS[names[0]], options) if options.known else _made(ROOMS[names[0]], options)


def _made(room: Room, options: argparse.Namespace) -> int:
    every = [
        m for f in room.files if f.name.startswith(options.file) for m in mutants_of(os.path.relpath(f, ROOT), f.read_text())
    ]
    results = Results(WORK / f"{room.name}.json", state_of(room, tuple(options.tests)))
    order = list(every)
    random.Random(options.seed).shuffle(order)
    runner = _run(room, options, results.todo(order))
    results.add(runner.outcomes)
    found = [(m, o) for m in every if (o := results.of(m)) is not None]
    line, survivors, rate = summary(room.name, found, len(every), equivalents())
    print("\n".join([*survivors, line]))
    return int(rate < options.goal)


def _known(room: Room, options: argparse.Namespace) -> int:
    runner = _run(room, options, (k.mutant() for k in known_mutants(room.name)))
    bad = [m for m, o in runner.outcomes if o.state not in NOTICED]
    for mutant, outcome in runner.outcomes:
        print(f"{outcome.state:9} {mutant.old}  [{outcome.by}]")
    print(f"{room.name}: {len(runner.outcomes) - len(bad)} of {len(runner.outcomes)} known wrong changes noticed")
    return int(bool(bad))


def _run(room: Room, options: argparse.Namespace, mutants: Iterable[Mutant]) -> Runner:
    def wanted(_: LineMap) -> Iterable[Mutant]:
        return mutants

    state = state_of(room, tuple(options.tests))
    runner = Runner(room, WORK, state, options.slowest, wanted, options.workers, options.budget)
    code = pytest.main(
        [*room.tests, "-q", "-p", "no:cacheprovider", "--ignore", str(Path("tests") / "mutants")], plugins=[runner]
    )
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        raise SystemExit(f"pytest could not collect the tests of {room.name}")
    if runner.lines.failed:
        print(f"These tests fail on the unchanged source, so that they notice nothing: {', '.join(runner.lines.failed)}")
    return runner


if __name__ == "__main__":
    raise SystemExit(main())
