"""Children may crash, hang and eat memory: whoever asked gets a sentence, and the next call works."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from rtqc.core.child_process import ChildDiedError
from rtqc.core.worker import Worker


def double(number: int) -> int:
    return 2 * number


def crash(number: int) -> None:
    os.kill(os.getpid(), number)


def hang() -> None:
    while True:
        time.sleep(1)


def eat() -> int:
    eaten = [bytearray(b"x" * (32 << 20)) for _ in range(200)]
    return len(eaten)


def fail() -> None:
    raise ValueError("as asked")


def count(most: int, tell: object) -> int:
    for number in range(most):
        tell(number)  # type: ignore[operator]
    return most


@pytest.fixture(params=["forked", "started"])
def worker(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Worker]:
    """Of both kinds: forked where there is one thread, and a new Python where there are several."""
    monkeypatch.setattr("rtqc.core.worker._may_fork", lambda: request.param == "forked" and threading.active_count() == 1)
    with Worker(60.0, 4 << 30) as made:
        yield made


def test_what_a_function_returns_or_raises_comes_back(worker: Worker) -> None:
    assert worker.call(double, 21) == 42
    with pytest.raises(ValueError, match="as asked"):
        worker.call(fail)
    assert worker.call(double, 3) == 6


def test_what_it_tells_on_the_way_is_heard_in_order(worker: Worker) -> None:
    heard: list[int] = []
    assert worker.call(count, 5, told=heard.append) == 5
    assert heard == [0, 1, 2, 3, 4]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no signals that end a process")
@pytest.mark.parametrize("number", [6, 9, 11])
def test_a_crash_is_an_error_that_names_the_signal_and_the_next_call_works(worker: Worker, number: int) -> None:
    with pytest.raises(ChildDiedError, match=signal.Signals(number).name) as died:
        worker.call(crash, number)
    assert died.value.cause == "died"
    assert worker.call(double, 1) == 2


def test_what_never_ends_is_ended(worker: Worker) -> None:
    worker.seconds = 1.0
    with pytest.raises(ChildDiedError) as died:
        worker.call(hang)
    assert died.value.cause == "time"


def test_what_eats_memory_is_ended(worker: Worker) -> None:
    worker.memory = 1 << 30
    with pytest.raises(ChildDiedError) as died:
        worker.call(eat)
    assert died.value.cause == "memory"


_PARENT = "import time; from rtqc.core.worker import Worker; w = Worker(600, 1 << 40); w.start(); print(w._child.pid, flush=True); w.call(time.sleep, 600)"


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no such signal here")
def test_a_child_ends_with_its_parent_in_the_middle_of_a_call() -> None:
    with subprocess.Popen([sys.executable, "-c", _PARENT], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.kill()
    until = time.monotonic() + 30
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < until
        time.sleep(0.05)


def test_a_started_child_imports_nothing_from_where_somebody_stands(tmp_path: Path) -> None:
    (tmp_path / "queue.py").write_text("raise SystemExit(3)")
    script = (
        "import sys; sys.path[:] = [p for p in sys.path if p]; import rtqc.core.worker as w; w._may_fork = lambda: False\n"
        "with w.Worker(60, 1 << 40) as worker: print(worker.call(abs, -7))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    done = subprocess.run(
        [sys.executable, "-P", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "7", done.stderr
