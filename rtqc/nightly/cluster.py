"""Workers of our own that only we can speak to, and the way to workers of somebody else.

Whoever may speak to a dask scheduler or worker runs code as its user. So each night's cluster has a key and a certificate of its own, made when it
starts and kept in memory: scheduler, workers and client show it to each other (TLS 1.2 or later), and a stranger, on this machine too, is
turned away before anything of his is read. The HTTP servers that dask starts beside them, dashboard or not, are not started.
"""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distributed import Nanny, Scheduler, SpecCluster, Worker
from distributed.security import Security

if TYPE_CHECKING:
    from rtqc.nightly.engine import ClusterTls

#: Where our own workers listen.
_LOOPBACK, _PROTOCOL = "127.0.0.1", "tls://"
#: So often workers of our own are started before a night gives up.
_STARTS = 3
#: A worker that is missing for longer, in s, will not come back.
_REPLACED_SECONDS = 60.0


class PrivateScheduler(Scheduler):  # type: ignore[misc, unused-ignore]
    """A scheduler without an HTTP server."""

    def start_http_server(self, *_: object, **__: object) -> None:
        """Do not start one."""


class PrivateWorker(Worker):  # type: ignore[misc, unused-ignore]
    """A worker without an HTTP server."""

    def start_http_server(self, *_: object, **__: object) -> None:
        """Do not start one."""


def private_cluster(workers: int, bytes_each: int, scratch: Path) -> SpecCluster:
    """Processes on this machine, each with one thread, that only this process can speak to.

    Args:
        workers: how many.
        bytes_each: memory of each.
        scratch: a folder that is ours alone; dask's own is one that everybody on the machine may have made before us.

    Raises:
        RuntimeError: a worker died before it had begun, and so did others that were started instead of it.
    """
    for _ in range(_STARTS - 1):
        try:
            return _started(workers, bytes_each, scratch)
        except RuntimeError:  # a nanny whose process was ended while it started
            continue
    return _started(workers, bytes_each, scratch)


def _started(workers: int, bytes_each: int, scratch: Path) -> SpecCluster:
    security = Security.temporary()  # type: ignore[no-untyped-call, unused-ignore]
    common: dict[str, Any] = {"host": _LOOPBACK, "protocol": _PROTOCOL, "security": security}
    worker = {
        "cls": Nanny,
        "options": {
            **common, "nthreads": 1, "memory_limit": bytes_each, "worker_class": PrivateWorker, "local_directory": str(scratch),
            "silence_logs": logging.CRITICAL,
        },
    }  # fmt: skip
    scheduler = {"cls": PrivateScheduler, "options": {**common, "port": 0, "dashboard": False}}
    return SpecCluster(  # type: ignore[no-untyped-call, unused-ignore]
        scheduler=scheduler, worker=worker, workers=dict.fromkeys(range(workers), worker), security=security, silence_logs=logging.CRITICAL,
    )  # fmt: skip


class Replacements:
    """Starts workers instead of those that died while they started: dask restarts a worker that dies at work, and gives up one that dies then."""

    def __init__(self, cluster: SpecCluster, count: int) -> None:
        self._cluster, self._count = cluster, count
        self._missing_since: float | None = None
        self._rounds = 0

    def __call__(self) -> None:
        """Look whether all are there; to be called every few seconds.

        Raises:
            RuntimeError: none is there, and replacements died as well.
        """
        # The scheduler lives in a thread of this process.
        scheduler: Any = self._cluster.scheduler
        present = {worker.name for worker in list(scheduler.workers.values())}
        missing = [name for name in self._cluster.worker_spec if name not in present]
        if present:
            self._rounds = 0
        if not missing:
            self._missing_since = None
            return
        now = time.monotonic()
        if self._missing_since is None:
            self._missing_since = now
        elif now - self._missing_since > _REPLACED_SECONDS:
            if self._rounds == _STARTS:
                raise RuntimeError("no worker could be started")
            self._rounds += 1
            self._missing_since = None
            for name in missing:
                del self._cluster.worker_spec[name]
            self._cluster.scale(self._count)  # type: ignore[no-untyped-call, unused-ignore]


def security_of(tls: ClusterTls | None) -> Security | None:
    """What a client shows a scheduler of somebody else; None where it has no certificates."""
    if tls is None:
        return None
    for path in (tls.certificate, tls.key, tls.authority):
        _readable(path)
    return Security(
        require_encryption=True,
        tls_ca_file=str(tls.authority),
        tls_client_cert=str(tls.certificate),
        tls_client_key=str(tls.key),
    )  # type: ignore[no-untyped-call, unused-ignore]


def _readable(path: Path) -> None:
    with path.open("rb"):
        pass
