"""One room's mutants, each in a forked process in which the room and its tests are imported already."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.mutants.apply import import_anew, put_into_function
from tests.mutants.operators import Mutant
from tests.mutants.rooms import ROOT, Room
from tests.mutants.tracing import LineMap, Tracer, clock

#: A mutant may take this many times the processor's time that its tests do, and so many seconds more; of the clock's, with many others at work, several times that.
_TIMES, _SECONDS_MORE, _BESIDE_OTHERS = 6.0, 5.0, 8.0
#: Memory that a mutant may ask for, in bytes: a step of nearly nothing makes arrays without end.
_MEMORY = 10 * 2**30
_NOTICED, _UNNOTICED = 3, 0


@dataclass(frozen=True)
class Outcome:
    """What became of a mutant.

    Attributes:
        state: ``killed``, ``survived``, ``timeout`` (also noticed), or ``unseen``: no test runs the line.
        by: the test that noticed it.
        seconds: until then.
    """

    state: str
    by: str = ""
    seconds: float = 0.0


@dataclass
class _Child:
    pid: int
    pipe: int
    until: float
    began: float
    folder: str
    mutant: Mutant


class Runner:
    """A plugin of pytest that, in place of running the collected tests, makes the wrong changes and runs those tests that could notice."""

    def __init__(
        self,
        room: Room,
        work: Path,
        state: str,
        slowest: float,
        wanted: Callable[[LineMap], Iterable[Mutant]],
        workers: int,
        budget: float,
    ) -> None:
        """See the class.

        Args:
            room: whose files and tests.
            work: folder for what is kept.
            state: of the room's files and tests: what was found in another is not believed.
            slowest: tests that take longer are left out, in seconds.
            wanted: given the map, the mutants in the order in which they are made.
            workers: processes at once.
            budget: seconds after which none is begun.
        """
        self._room, self._work, self._state, self._slowest = room, work, state, slowest
        self._wanted, self._workers, self._budget = wanted, workers, budget
        self.outcomes: list[tuple[Mutant, Outcome]] = []
        self.lines = LineMap({}, [], {})
        self._kills: dict[str, int] = {}

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """All of it."""
        items = {item.nodeid: item for item in session.items}
        self.lines = self._line_map(session)
        begin, running = clock(), list[_Child]()
        for mutant in self._wanted(self.lines):
            tests = self._tests_of(mutant)
            if not tests:
                self.outcomes.append((mutant, Outcome("unseen")))
                continue
            while len(running) >= self._workers:
                self._wait(running)
            if clock() - begin > self._budget:
                break
            running.append(self._begin(mutant, [items[t] for t in tests if t in items]))
        while running:
            self._wait(running)
        return True

    def _line_map(self, session: pytest.Session) -> LineMap:
        path = self._work / f"{self._room.name}-{self._state}.map.json"
        if not path.exists():
            pid = os.fork()
            if pid == 0:
                tracer = Tracer(self._room)
                session.config.pluginmanager.register(tracer)
                _quiet()
                _own_folder(session.config, tempfile.mkdtemp(prefix="mutants-"))
                tracer.run(session.items).write(path)
                os._exit(0)
            os.waitpid(pid, 0)
        return LineMap.read(path)

    def _tests_of(self, mutant: Mutant) -> list[str]:
        """Tests that run the line, those first that noticed much and are quick."""
        lines = self.lines
        found = lines.tests_of(mutant.file, mutant.lines)
        if not found and not _in_function(mutant):
            # It runs when the module is imported: whoever runs anything of the file has it.
            found = lines.tests_of(mutant.file, lines.lines.get(mutant.file, {})) or set(lines.seconds)
        seconds = lines.seconds
        kept = [t for t in found if seconds.get(t, 0.0) <= self._slowest and t not in lines.failed]
        return sorted(kept, key=lambda t: (seconds.get(t, 0.0) + 0.02) / (1 + self._kills.get(t, 0)))

    def _begin(self, mutant: Mutant, items: Sequence[pytest.Item]) -> _Child:
        expected = sum(self.lines.seconds.get(i.nodeid, 0.0) for i in items)
        folder = tempfile.mkdtemp(prefix="mutants-")
        read, write = os.pipe()
        began = clock()
        pid = os.fork()
        if pid == 0:
            os.close(read)
            _in_child(mutant, items, write, folder, _TIMES * expected + _SECONDS_MORE)
        os.close(write)
        return _Child(pid, read, began + _BESIDE_OTHERS * (_TIMES * expected + _SECONDS_MORE), began, folder, mutant)

    def _wait(self, running: list[_Child]) -> None:
        """Until one of them is done."""
        while True:
            for child in running:
                pid, status = os.waitpid(child.pid, os.WNOHANG)
                late = clock() > child.until
                if not pid and late:
                    os.killpg(child.pid, signal.SIGKILL)
                    os.waitpid(child.pid, 0)
                if pid or late:
                    running.remove(child)
                    self._done(child, status if pid else None)
                    return
            time.sleep(0.005)

    def _done(self, child: _Child, status: int | None) -> None:
        by = os.read(child.pipe, 4096).decode(errors="replace")
        os.close(child.pipe)
        shutil.rmtree(child.folder, ignore_errors=True)
        seconds = clock() - child.began
        if status is None or (os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGXCPU):
            state = "timeout"
        else:
            state = "survived" if os.WIFEXITED(status) and os.WEXITSTATUS(status) == _UNNOTICED else "killed"
        if by:
            self._kills[by] = self._kills.get(by, 0) + 1
        self.outcomes.append((child.mutant, Outcome(state, by, round(seconds, 2))))


class _Stop:
    """A plugin that ends the process at the first failure."""

    def __init__(self, pipe: int) -> None:
        self._pipe = pipe

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Of a test."""
        if report.failed:
            self.end(report.nodeid)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Of an import."""
        if report.failed:
            self.end(report.nodeid)

    def end(self, by: str) -> None:
        """It was noticed."""
        os.write(self._pipe, by.encode()[:4000])
        os._exit(_NOTICED)


def _in_child(mutant: Mutant, items: Sequence[pytest.Item], pipe: int, folder: str, seconds: float) -> None:
    os.setpgid(0, 0)
    _quiet()
    # What a forked process has used counts from nothing.
    resource.setrlimit(resource.RLIMIT_CPU, (int(seconds) + 1, int(seconds) + 5))
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    stop = _Stop(pipe)
    try:
        if mutant.within and put_into_function(mutant.file, mutant.within, mutant.source):
            config = items[0].config
            _own_folder(config, folder)
            config.pluginmanager.register(stop)
            for item, following in zip(items, [*items[1:], None], strict=True):
                config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            os._exit(_UNNOTICED)
        import_anew(mutant.file, mutant.source)
        arguments = [
            *(i.nodeid for i in items),
            "-p",
            "no:cacheprovider",
            "-q",
            "--rootdir",
            str(ROOT),
            "--basetemp",
            f"{folder}/own",
        ]
        code = pytest.main(arguments, plugins=[stop])
        os._exit(_UNNOTICED if code == pytest.ExitCode.OK else _NOTICED)
    except BaseException as error:
        stop.end(type(error).__name__)


def _in_function(mutant: Mutant) -> bool:
    """Whether it runs when something is called."""
    module = sys.modules.get(mutant.file.removesuffix(".py").replace("/", "."))
    found: object = module
    for name in mutant.within.split("."):
        found = vars(found).get(name) if found is not None and hasattr(found, "__dict__") else None
        if found is not None and not isinstance(found, type):
            return True
    return False


def _quiet() -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)


def _own_folder(config: pytest.Config, folder: str) -> None:
    factory = config._tmp_path_factory  # type: ignore[attr-defined]
    factory._given_basetemp, factory._basetemp = Path(folder) / "own", None
