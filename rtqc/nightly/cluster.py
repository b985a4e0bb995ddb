"""Workers of our own that only we can speak to, and the way to workers of somebody else.

Whoever may speak to a dask scheduler or worker runs code as its user. So each night's cluster has a key and a certificate of its own, made when it
starts and kept in memory: scheduler, workers and client show it to each other (TLS 1.2 or later), and a stranger, on this machine too, is
turned away before anything of his is read. The HTTP servers that dask starts beside them, dashboard or not, are not started.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distributed import Nanny, Scheduler, SpecCluster, Worker
from distributed.security import Security

if TYPE_CHECKING:
    from rtqc.nightly.engine import ClusterTls

#: Where our own workers listen.
_LOOPBACK, _PROTOCOL = "127.0.0.1", "tls://"


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
    """
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
