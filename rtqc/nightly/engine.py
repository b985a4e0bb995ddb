"""Many orders on many processes: the only place that knows dask.

A worker has one order at a time, and the next is handed out when one is done: who dies takes nobody else's work with him.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from rtqc.nightly.orders import Order, Outcome, Settings
from rtqc.nightly.work import digests_of, given_up, work

if TYPE_CHECKING:
    from distributed import Client

#: Memory of a worker for a CT of 512 x 512 x 120 with dose (docs/benchmarks.md: peak 1.5 GiB) and as much again, in bytes.
WORKER_BYTES = 3 << 30
#: A worker that died is given its order once more; after that the order is given up.
TRIES = 2
#: Workers of an own cluster are there after so long, in s, or never.
_START_SECONDS = 60.0


class ClusterError(Exception):
    """The workers cannot be had; the message says what to do."""


@dataclass(frozen=True)
class Crew:
    """Who works.

    Attributes:
        workers: processes on this machine; 0: as many as cores and memory allow.
        cluster: address of a dask scheduler; empty: this machine.
    """

    workers: int = 0
    cluster: str = ""

    def sized(self) -> tuple[int, int, int]:
        """Processes, threads of the model in each, and bytes of memory for each, on this machine."""
        cores = _cores()
        memory = _memory()
        count = self.workers or max(min(cores, memory // WORKER_BYTES), 1)
        return int(count), max(cores // int(count), 1), int(memory // int(count))


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _memory() -> int:
    """Bytes that this process may use, a container's limit included."""
    from distributed.system import memory_limit

    return int(memory_limit())


@contextmanager
def hired(crew: Crew) -> Iterator[tuple[Client, int]]:
    """A client of a running cluster and the number of orders that it works on at once.

    Raises:
        ClusterError: the scheduler does not answer, or there are no workers.
    """
    import dask
    from distributed import Client, LocalCluster

    _quiet()
    if crew.cluster:
        try:
            client = Client(crew.cluster, timeout="10s", set_as_default=False)
        except (OSError, ValueError, TimeoutError) as error:
            raise ClusterError(
                f"no dask scheduler answers at {crew.cluster} ({error or type(error).__name__}): check the address, or leave --cluster out"
            ) from error
        try:
            client.wait_for_workers(1, timeout=_START_SECONDS)
            yield client, sum(client.nthreads().values())
        except TimeoutError as error:
            raise ClusterError(
                f"the dask scheduler at {crew.cluster} has no workers: start some (dask worker {crew.cluster})"
            ) from error
        finally:
            client.close()
        return
    count, _, memory = crew.sized()
    with dask.config.set(_CONFIG):
        cluster = LocalCluster(
            n_workers=count, threads_per_worker=1, processes=True, memory_limit=memory, dashboard_address=None, silence_logs=logging.CRITICAL,
        )  # fmt: skip
        client = Client(cluster, set_as_default=False)
        try:
            client.wait_for_workers(count, timeout=_START_SECONDS)
            yield client, count
        finally:
            _quiet()
            client.close()
            cluster.close(timeout=10)


#: Of our own cluster: who dies twice over one order is not asked a third time, and the scheduler keeps no long memory of what was.
_CONFIG: dict[str, Any] = {
    "distributed.scheduler.allowed-failures": TRIES - 1,
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


def carry_out(
    orders: Iterable[Order], settings: Settings, client: Client, at_once: int, threads: int
) -> Iterator[tuple[Order, Outcome]]:
    """Work on orders; each comes back once, as it is done.

    Args:
        orders: taken as workers become free.
        settings: how plans are checked.
        client, at_once: of :func:`hired`.
        threads: of the model in a worker, where the settings do not say.

    Raises:
        ClusterError: the scheduler has gone.
    """
    from distributed import as_completed

    settings = settings if settings.threads else replace(settings, threads=threads)
    waiting = iter(orders)
    at_work: dict[Any, tuple[Order, float]] = {}
    done = as_completed(loop=client.loop, raise_errors=False)

    def hand_out() -> bool:
        order = next(waiting, None)
        if order is None:
            return False
        future = client.submit(work, order, settings, pure=False, key=f"plan-{time.monotonic_ns()}-{order.identity}")
        at_work[future] = (order, time.monotonic())
        done.add(future)
        return True

    while len(at_work) < at_once and hand_out():
        pass
    for future in done:
        order, since = at_work.pop(future)
        outcome = _outcome_of(future, order, settings, time.monotonic() - since)
        future.release()
        hand_out()
        yield order, outcome


def _outcome_of(future: Any, order: Order, settings: Settings, elapsed: float) -> Outcome:
    from distributed.scheduler import KilledWorker

    try:
        outcome: Outcome = future.result()
        return outcome
    except KilledWorker:
        too_long = elapsed >= TRIES * settings.seconds
        rule = "run.time_limit" if too_long else "run.killed"
        message = (
            f"The check took longer than {settings.seconds:g} s, twice: look at the plan by hand, or give it more with --time-limit."
            if too_long
            else "The process that checked it died twice, of too little memory or a crash while decoding: look at the plan by hand."
        )
    except (CancelledError, OSError) as error:
        raise ClusterError(
            f"the workers have gone ({error or type(error).__name__}): what was done is stored, start again to go on"
        ) from error
    except Exception as error:  # what came back cannot be unpacked here: another rtqc on the workers
        rule = "run.failed"
        message = f"The check could not go on ({type(error).__name__}: {error})."
    digests = digests_of(order)
    return given_up(order, order.key(settings, {**order.digests, **digests}), digests, rule, message)
