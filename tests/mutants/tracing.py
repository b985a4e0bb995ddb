"""Which tests run which lines, found once by running each test of a room with coverage."""

from __future__ import annotations

import json
import os
import time
from collections import defaultdict
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import coverage
import pytest

from tests.mutants.rooms import ROOT, Room


@dataclass(frozen=True)
class LineMap:
    """What each test runs.

    Attributes:
        seconds: of the processor, by test.
        failed: tests that fail on the unchanged source; they notice nothing.
        lines: by file (from the root) and line, the tests that run it.
    """

    seconds: dict[str, float]
    failed: list[str]
    lines: dict[str, dict[int, list[str]]]

    def tests_of(self, file: str, lines: Iterable[int]) -> set[str]:
        """Tests that run any of some lines."""
        of_file = self.lines.get(file, {})
        return {test for line in lines for test in of_file.get(line, ())}

    def write(self, path: Path) -> None:
        """As JSON."""
        path.write_text(json.dumps(vars(self)))

    @classmethod
    def read(cls, path: Path) -> LineMap:
        """What :meth:`write` wrote."""
        found = json.loads(path.read_text())
        lines = {file: {int(line): tests for line, tests in of_file.items()} for file, of_file in found["lines"].items()}
        return cls(found["seconds"], found["failed"], lines)


def state_of(room: Room, asked: tuple[str, ...] = ()) -> str:
    """Changes where a source file of the room or any test of it does, and with the tests that are asked (none: all)."""
    digest = sha256(" ".join(asked).encode())
    tests = [*(ROOT / "tests" / room.name).rglob("*.py"), *(ROOT / "tests").glob("*.py")]
    for file in sorted({*room.files, *tests}):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


class Tracer:
    """A plugin of pytest: runs all tests once, and notes who runs what.

    What a fixture that several tests share runs counts for each of them.
    """

    def __init__(self, room: Room) -> None:
        """See the class."""
        self._files = [str(f) for f in room.files]
        self._coverage = coverage.Coverage(data_file=None, config_file=False, include=self._files)
        self._fixtures: dict[str, list[str]] = {}
        self._seconds: dict[str, float] = defaultdict(float)
        self._failed: set[str] = set()
        self._now = ""

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[object]) -> Generator[None, object, object]:
        """A shared fixture's lines are its own."""
        before = self._now
        if fixturedef.scope != "function":
            self._switch(f"fixture {fixturedef.argname}")
        try:
            return (yield)
        finally:
            self._switch(before)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Whether a test passes."""
        if report.failed:
            self._failed.add(report.nodeid)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, None, None]:
        """How long a test takes: of the processor, so that it does not matter who else is at work."""
        began = time.process_time()
        try:
            yield
        finally:
            self._seconds[item.nodeid] += time.process_time() - began

    def run(self, items: list[pytest.Item]) -> LineMap:
        """All tests, one after the other."""
        self._coverage.start()
        for item, following in zip(items, [*items[1:], None], strict=True):
            self._fixtures[item.nodeid] = list(getattr(item, "fixturenames", []))
            self._switch(item.nodeid)
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        self._coverage.stop()
        return LineMap(dict(self._seconds), sorted(self._failed), self._lines())

    def _switch(self, context: str) -> None:
        self._now = context
        self._coverage.switch_context(context)

    def _lines(self) -> dict[str, dict[int, list[str]]]:
        data = self._coverage.get_data()
        users: dict[str, list[str]] = defaultdict(list)
        for test, names in self._fixtures.items():
            for name in names:
                users[f"fixture {name}"].append(test)
        found: dict[str, dict[int, list[str]]] = {}
        for file in self._files:
            of_file: dict[int, list[str]] = {}
            for line, contexts in data.contexts_by_lineno(file).items():
                tests = {t for c in contexts for t in (users[c] if c.startswith("fixture ") else [c]) if t}
                if tests:
                    of_file[line] = sorted(tests)
            found[os.path.relpath(file, ROOT)] = of_file
        return found


def clock() -> float:
    """Seconds, for budgets and limits."""
    return time.monotonic()
