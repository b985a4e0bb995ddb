"""Many orders on many processes: the only place that knows dask.

A worker has one order at a time, and the next is handed out when one is done: who dies takes nobody else's work with him.
"""

from __future__ import annotations

import logging
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from rtqc.nightly.orders import Order, Outcome, Settings
from rtqc.nightly.work import digests_of, given_up, work

if TYPE_CHECKING:
    from distributed import Client

#: Memory of a worker for a CT of 512 x 512 x 120 with dose (docs/benchmarks.md: peak 1.5 GiB) and as much again, in bytes.
WORKER_BYTES = 3 << 30
#: Workers of an own cluster are there after so long, in s, or never.
_START_SECONDS = 300.0
_NOT_STARTED = "the workers die or hang as they start: see whether this machine has memory enough, or take fewer (--workers 1)"
_GONE = "the workers have gone ({}): what was done is stored, start again to go on"
#: Whether there are workers is looked at so often while one waits for them, in s.
_LOOK_SECONDS = 5.0
#: How many workers a foreign cluster has is asked after so long, in s.
_ASK_SECONDS = 2.0


class ClusterError(Exception):
    """The workers cannot be had; the message says what to do."""


@dataclass(frozen=True)
class ClusterTls:
    """PEM files for a cluster that is not ours: our certificate and key, and who signed the scheduler's and the workers'."""

    certificate: Path
    key: Path
    authority: Path


@dataclass(frozen=True)
class Crew:
    """Who works.

    Attributes:
        workers: processes on this machine; 0: as many as cores and memory allow.
        cluster: address of a dask scheduler (``tls://host:8786``); empty: this machine.
        tls: certificates for it; None: what dask's own configuration says.
    """

    workers: int = 0
    cluster: str = ""
    tls: ClusterTls | None = None

    @property
    def is_open(self) -> bool:
        """Whether the cluster is one that anybody who reaches it may give code to."""
        return bool(self.cluster) and not self.cluster.startswith("tls://")

    def sized(self) -> tuple[int, int]:
        """Processes, and bytes of memory for each, on this machine."""
        cores = _cores()
        memory = _memory()
        count = self.workers or max(min(cores, memory // WORKER_BYTES), 1)
        return int(count), int(memory // int(count))


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _memory() -> int:
    """Bytes that this process may use, a container's limit included."""
    from distributed.system import memory_limit

    return int(memory_limit())


@dataclass(frozen=True)
class Team:
    """Who is there.

    Attributes:
        client: of the cluster.
        at_once: how many orders may be in work now; a foreign cluster grows and shrinks.
        second_try: whether an order over which a worker died is given out again; a foreign scheduler has done that by itself.
        look_after: sees to it that there are workers; called every few seconds.
    """

    client: Client
    at_once: Callable[[], int]
    second_try: bool
    look_after: Callable[[], None]


@contextmanager
def hired(crew: Crew) -> Iterator[Team]:
    """A running cluster.

    Raises:
        ClusterError: the scheduler does not answer, or there are no workers.
    """
    _quiet()
    with _foreign(crew) if crew.cluster else _own(crew) as team:
        yield team


@contextmanager
def _foreign(crew: Crew) -> Iterator[Team]:
    from distributed import Client

    from rtqc.nightly.cluster import security_of

    address = crew.cluster
    if crew.tls is not None and crew.is_open:
        raise ClusterError(
            f"{address} is not encrypted, so certificates are of no use: write tls:// for a scheduler that has some"
        )
    try:
        client = Client(address, timeout="10s", set_as_default=False, security=security_of(crew.tls))
    except TypeError as error:  # dask's way to say that it has no certificates
        raise ClusterError(
            f"{address} wants certificates: give --cluster-certificate, --cluster-key and --cluster-authority"
        ) from error
    except (OSError, ValueError, TimeoutError) as error:
        told = error or type(error).__name__
        raise ClusterError(
            f"no dask scheduler answers at {address} ({told}): check the address and the certificates, or leave --cluster out"
        ) from error
    try:
        client.wait_for_workers(1, timeout=_START_SECONDS)
        threads = _Threads(client)
        yield Team(client, threads, False, threads.look_after)
    except TimeoutError as error:
        raise ClusterError(f"the dask scheduler at {address} has no workers: start some (dask worker {address})") from error
    finally:
        client.close()


class _Threads:
    """Threads of a cluster's workers, asked for now and then."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._count = 0
        self._asked = -_ASK_SECONDS
        self._idle_since = 0.0

    def __call__(self) -> int:
        now = time.monotonic()
        if now - self._asked >= _ASK_SECONDS:
            self._asked = now
            # With no worker at the moment, one order waits for the next.
            threads = sum(self._client.nthreads().values())
            self._count = max(threads, 1)
            self._idle_since = (self._idle_since or now) if threads == 0 else 0.0
        return self._count

    def look_after(self) -> None:
        """Wait for workers of somebody else, but not for ever.

        Raises:
            RuntimeError: there have been none for minutes.
        """
        self()
        if self._idle_since and time.monotonic() - self._idle_since > _START_SECONDS:
            raise RuntimeError(f"none for {_START_SECONDS:g} s")


@contextmanager
def _own(crew: Crew) -> Iterator[Team]:
    import dask
    from distributed import Client

    from rtqc.nightly.cluster import Replacements, private_cluster

    count, memory = crew.sized()
    with (
        tempfile.TemporaryDirectory(prefix="rtqc-workers-", ignore_cleanup_errors=True) as scratch,
        dask.config.set({**_CONFIG, "temporary-directory": scratch}),
    ):
        try:
            cluster = private_cluster(count, memory, Path(scratch))
        except RuntimeError as error:
            raise ClusterError(_NOT_STARTED) from error
        client = Client(cluster, set_as_default=False)
        try:
            try:
                client.wait_for_workers(count, timeout=_START_SECONDS)
            except TimeoutError as error:
                raise ClusterError(_NOT_STARTED) from error
            yield Team(client, lambda: count, True, Replacements(cluster, count))
        finally:
            _quiet()
            client.close()
            cluster.close(timeout=10)


#: Of our own cluster: an order over which a worker died comes back to us, and the scheduler keeps no long memory of what was.
_CONFIG: dict[str, Any] = {
    "distributed.scheduler.allowed-failures": 0,
    "distributed.scheduler.worker-saturation": 1.0,
    "distributed.scheduler.work-stealing": False,
    "distributed.admin.low-level-log-length": 100,
    "distributed.logging": {"distributed": "critical", "distributed.nanny": "critical", "distributed.worker": "critical"},
    "distributed.comm.timeouts.connect": "30s",
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": 0.95,
}


def _quiet() -> None:
    """Workers that die are our affair: the log says which plan they died over."""
    for name in (
        "distributed",
        "distributed.nanny",
        "distributed.scheduler",
        "distributed.worker",
        "distributed.core",
        "tornado",
    ):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)


class Task(Protocol):
    """Something to be done."""

    @property
    def identity(self) -> str:
        """What tells it from the others."""


class Terms(Protocol):
    """How it is to be done; a dataclass."""

    @property
    def seconds(self) -> float:
        """What takes longer is given up."""


ATask = TypeVar("ATask", bound=Task)
SomeTerms = TypeVar("SomeTerms", bound=Terms)
Result = TypeVar("Result")


@dataclass(frozen=True)
class Trade(Generic[ATask, SomeTerms, Result]):
    """What workers know to do.

    Attributes:
        work: does one task, in a worker.
        give_up: makes the result of a task that could not be done, from the rule that says so and a sentence.
    """

    work: Callable[[ATask, SomeTerms], Result]
    give_up: Callable[[ATask, SomeTerms, str, str], Result]


def _gave_up(order: Order, settings: Settings, rule: str, message: str) -> Outcome:
    digests = digests_of(order)
    return given_up(order, order.key(settings, {**order.digests, **digests}), digests, rule, message)


#: Checking plans.
CHECKING: Trade[Order, Settings, Outcome] = Trade(work, _gave_up)


def carry_out(
    tasks: Iterable[ATask], terms: SomeTerms, team: Team, trade: Trade[ATask, SomeTerms, Result]
) -> Iterator[tuple[ATask, Result]]:
    """Work on tasks; each comes back once, as it is done.

    A task over which a worker died is tried again at the end, alone, so that nobody is blamed for his neighbour.

    Args:
        tasks: taken as workers become free.
        terms: how they are done.
        team: of :func:`hired`.
        trade: what is done.

    Raises:
        ClusterError: the scheduler has gone.
    """
    again: list[ATask] = []
    for task, result in _one_round(tasks, terms, team, team.at_once, trade):
        if result is not None:
            yield task, result
        elif team.second_try:
            again.append(task)
        else:
            yield task, _died(task, terms, 0.0, trade)
    for task in again:
        began = time.monotonic()
        for _, result in _one_round([task], terms, team, lambda: 1, trade):
            yield task, _died(task, terms, time.monotonic() - began, trade) if result is None else result


def _one_round(
    tasks: Iterable[ATask],
    terms: SomeTerms,
    team: Team,
    at_once: Callable[[], int],
    trade: Trade[ATask, SomeTerms, Result],
) -> Iterator[tuple[ATask, Result | None]]:
    """Each task once; None where its worker died."""
    waiting = iter(tasks)
    at_work: dict[Any, ATask] = {}

    def hand_out() -> bool:
        task = next(waiting, None)
        if task is None:
            return False
        future = team.client.submit(trade.work, task, terms, pure=False, key=f"task-{time.monotonic_ns()}-{task.identity}")
        at_work[future] = task
        return True

    def fill() -> None:
        while len(at_work) < at_once() and hand_out():
            pass

    fill()
    while at_work:
        for future in _done(list(at_work), team):
            task = at_work.pop(future)
            result = _result_of(future, task, terms, trade)
            future.release()
            fill()
            yield task, result


def _done(futures: list[Any], team: Team) -> list[Any]:
    """Those that are done or failed, once there are some."""
    from distributed import wait

    while True:
        with suppress(TimeoutError, CancelledError), team.client.as_current():
            wait(futures, timeout=_LOOK_SECONDS, return_when="FIRST_COMPLETED")  # type: ignore[no-untyped-call, unused-ignore]
        if ready := [future for future in futures if future.done()]:
            return ready
        try:
            team.look_after()
        except (OSError, RuntimeError) as error:
            raise ClusterError(_GONE.format(error)) from error


def _result_of(future: Any, task: ATask, terms: SomeTerms, trade: Trade[ATask, SomeTerms, Result]) -> Result | None:
    from distributed.scheduler import KilledWorker

    try:
        result: Result = future.result()
        return result
    except KilledWorker:
        return None
    except (CancelledError, OSError) as error:
        raise ClusterError(_GONE.format(error or type(error).__name__)) from error
    except Exception as error:  # what came back cannot be unpacked here: another rtqc on the workers
        return trade.give_up(task, terms, "run.failed", f"The check could not go on ({type(error).__name__}: {error}).")


def _died(task: ATask, terms: SomeTerms, elapsed: float, trade: Trade[ATask, SomeTerms, Result]) -> Result:
    """Of a task over which its worker died each time."""
    if elapsed >= terms.seconds:
        message = f"The check took longer than {terms.seconds:g} s, twice: look at the plan by hand, or give it more with --time-limit."
        return trade.give_up(task, terms, "run.time_limit", message)
    message = (
        "The process that checked it died twice, of too little memory or a crash while decoding: look at the plan by hand."
    )
    return trade.give_up(task, terms, "run.killed", message)
