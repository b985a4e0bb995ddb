"""Which connections a listening node keeps: whoever says nothing, or says it slowly, takes no place of those who send.

A place is taken by an association that was asked for properly, not by a connection. Until then a connection has one deadline from when it was
opened, TLS handshake included, that no single byte prolongs; it is let go as soon as the other side closes it; and there are only so many of them,
of which the oldest, of whoever holds most, is closed for a new one. When every place is taken, the association that has been silent
longest makes way for a new one, if it was silent for long.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

_LOG = logging.getLogger("rtqc.node")

#: From a connection's opening to the whole of its association request, in s. One needs a few round trips and some kB.
REQUEST_SECONDS = 10.0
#: Connections that have not asked for an association yet; each costs two threads.
MOST_WAITING = 64
#: An association that has been silent for so long gives way where every place is taken, in s.
IDLE_SECONDS = 30.0
#: How often pynetdicom looks whether something came, in s: usually, and on a connection that has said nothing for a moment. Looking costs the same
#: whether something came or not, so sixty silent ones would cost a whole core.
_USUAL_LOOK, _RARE_LOOK, _MOMENT_SECONDS = 0.001, 0.05, 0.5
#: How often it is said who was closed, in s: one line for many.
_TOLD_SECONDS = 10.0


@dataclass
class _Connection:
    address: str
    opened_at: float
    heard_at: float
    is_accepted: bool = False
    is_busy: bool = False


@dataclass
class Connections:
    """The open connections of a server.

    Attributes:
        most_accepted: associations at one time.
        most_waiting: connections at one time that are no associations yet.
        request_seconds: that these have.
        clock: seconds that only ever go forward.
    """

    most_accepted: int
    most_waiting: int = MOST_WAITING
    request_seconds: float = REQUEST_SECONDS
    clock: Callable[[], float] = time.monotonic
    _open: dict[Any, _Connection] = field(default_factory=dict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _closed_for: Counter[tuple[str, str]] = field(default_factory=Counter, repr=False)
    _told_at: float = field(default=-_TOLD_SECONDS, repr=False)

    def opened(self, assoc: Any, address: str) -> None:
        """A connection was opened; an older one makes way where there are too many.

        Args:
            assoc: pynetdicom's association.
            address: of the other side.
        """
        now = self.clock()
        with self._lock:
            waiting = [(a, c) for a, c in self._open.items() if not c.is_accepted]
            self._open[assoc] = _Connection(address, now, now)
            too_many = None
            if len(waiting) >= self.most_waiting:
                held = Counter(c.address for _, c in waiting)
                too_many, of = min(waiting, key=lambda pair: (-held[pair[1].address], pair[1].opened_at))
                self._open.pop(too_many)
                self._closed_for[of.address, "there were too many"] += 1
        if too_many is not None:
            cut(too_many)

    def accepted(self, assoc: Any) -> bool:
        """Give an association that was asked for a place; False where all are taken."""
        now = self.clock()
        with self._lock:
            connection = self._open.setdefault(assoc, _Connection("?", now, now))
            connection.heard_at = now
            taken = [(a, c) for a, c in self._open.items() if c.is_accepted]
            idle = None
            if len(taken) >= self.most_accepted:
                silent = [(a, c) for a, c in taken if not c.is_busy and now - c.heard_at >= IDLE_SECONDS]
                if not silent:
                    return False
                idle, of = min(silent, key=lambda pair: pair[1].heard_at)
                self._open.pop(idle)
                self._closed_for[of.address, f"nothing was sent for {IDLE_SECONDS:g} s, and others waited"] += 1
            connection.is_accepted = True
            assoc.dul._run_loop_delay = _USUAL_LOOK
        if idle is not None:
            cut(idle)
        return True

    def heard(self, assoc: Any) -> None:
        """Something came on a connection."""
        with self._lock:
            if assoc in self._open:
                self._open[assoc].heard_at = self.clock()

    @contextlib.contextmanager
    def at_work(self, assoc: Any) -> Any:
        """While an association waits for us, it is not silent."""
        self._busy(assoc, True)
        try:
            yield
        finally:
            self._busy(assoc, False)

    def _busy(self, assoc: Any, is_busy: bool) -> None:
        with self._lock:
            if assoc in self._open:
                self._open[assoc].is_busy, self._open[assoc].heard_at = is_busy, self.clock()

    def closed(self, assoc: Any) -> None:
        """A connection is gone; whoever waits for its request need not wait longer."""
        with self._lock:
            connection = self._open.pop(assoc, None)
        if connection is not None and not connection.is_accepted:
            # As if the time for it had run out: pynetdicom's thread ends.
            assoc.dul.to_user_queue.put(None)

    def sweep(self) -> None:
        """Close what is overdue; called every now and then."""
        now = self.clock()
        with self._lock:
            for assoc, connection in self._open.items():
                if not connection.is_accepted and now - connection.opened_at >= _MOMENT_SECONDS:
                    assoc.dul._run_loop_delay = _RARE_LOOK
            late = [a for a, c in self._open.items() if not c.is_accepted and now - c.opened_at >= self.request_seconds]
            for assoc in late:
                address = self._open[assoc].address
                self._closed_for[address, f"no association was asked for within {self.request_seconds:g} s"] += 1
            ended = [a for a in self._open if a.ident is not None and not a.is_alive()]
            for assoc in (*late, *ended):
                self._open.pop(assoc, None)
            told: list[tuple[tuple[str, str], int]] = []
            if self._closed_for and now - self._told_at >= _TOLD_SECONDS:
                self._told_at = now
                told = self._closed_for.most_common()
                self._closed_for.clear()
        for assoc in late:
            cut(assoc)
        for (address, why), count in told:
            _LOG.warning("%d connections from %s were closed: %s", count, address, why)

    def end(self) -> None:
        """Close those that are no associations yet."""
        with self._lock:
            waiting = [a for a, c in self._open.items() if not c.is_accepted]
        for assoc in waiting:
            cut(assoc)

    def counts(self) -> tuple[int, int]:
        """Associations, and connections that are none yet."""
        with self._lock:
            accepted = sum(c.is_accepted for c in self._open.values())
            return accepted, len(self._open) - accepted


def cut(assoc: Any) -> None:
    """End a connection at once, from another thread: whoever reads from it reads its end."""
    connection = getattr(assoc.dul.socket, "socket", None)
    if connection is not None:
        with contextlib.suppress(OSError):
            # Of the socket below TLS: a handshake that goes on must not be disturbed by its own object's end.
            socket.socket.shutdown(connection, socket.SHUT_RDWR)
    assoc.dul.to_user_queue.put(None)
