"""Connections with absolute deadlines: nobody holds one by saying nothing, or by saying it slowly.

uvicorn waits for ever for the first byte of a connection and for a body that drips, and counts silent connections as busy ones. Here each connection has one timer
that bytes do not push back: until the headers of a request are whole, and from there until its response was taken. Where there are too many connections, the oldest
that waits goes; who is being answered stays.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, cast

from uvicorn.protocols.http.h11_impl import H11Protocol


@dataclass(frozen=True)
class Limits:
    """Bounds of what connections may take.

    Attributes:
        header_seconds: from the connection (or the last response) to the end of a request's headers; also of a TLS handshake.
        request_seconds: from there until the response was taken.
        connections: at once.
        header_bytes: of request line and headers.
        body_bytes: of a request's body.
    """

    header_seconds: float = 10.0
    request_seconds: float = 60.0
    connections: int = 200
    header_bytes: int = 16 << 10
    body_bytes: int = 10_000


class BoundedConnection(H11Protocol):
    """A connection of uvicorn's with deadlines. ``limits`` is set by :func:`bounded`."""

    limits = Limits()
    _timer: asyncio.TimerHandle | None = None
    _answering = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to count, and make room where there is none."""
        super().connection_made(transport)
        self._arm(self.limits.header_seconds)
        if len(self.connections) > self.limits.connections:
            self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop counting."""
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    def handle_events(self) -> None:
        """What has come; a request whose headers are whole has its own deadline."""
        before = self.cycle
        super().handle_events()
        if self.cycle is not before and not self.transport.is_closing():
            self._answering = True
            self._arm(self.limits.request_seconds)

    def on_response_complete(self) -> None:
        """A response was sent: the next request has to come in time, or what is left of the last one."""
        self._answering = False
        self._arm(self.limits.header_seconds)
        super().on_response_complete()

    def _arm(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        # abort, not close: close waits until the peer has taken what was sent.
        self._timer = self.loop.call_later(seconds, self.transport.abort)

    def _make_room(self) -> None:
        all_of_them = cast("set[Any]", self.connections)
        waiting = [c for c in all_of_them if c is not self and isinstance(c, BoundedConnection) and not c._answering]
        oldest = min(waiting, key=lambda c: c._timer.when() if c._timer else 0.0, default=self)
        self.connections.discard(oldest)
        oldest.transport.abort()


def bounded(limits: Limits) -> type[BoundedConnection]:
    """The connections of a server with these limits."""
    return type("Connection", (BoundedConnection,), {"limits": limits})


class BoundedLoop(asyncio.SelectorEventLoop):
    """An event loop whose TLS handshakes have the same deadline as headers: before them there is no connection that could count."""

    handshake_seconds = Limits.header_seconds

    async def create_server(self, *arguments: Any, **more: Any) -> asyncio.Server:
        """As asyncio's, with a deadline for handshakes."""
        if more.get("ssl") is not None:
            more["ssl_handshake_timeout"] = self.handshake_seconds
            more["ssl_shutdown_timeout"] = self.handshake_seconds
        return await super().create_server(*arguments, **more)
