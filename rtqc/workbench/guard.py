"""What holds for every request before any page is asked: whose address the browser called, how much it sends, and which headers each response carries."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rtqc.workbench.connections import Limits

#: Of every response; a page brings a policy of its own.
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    # Not no-referrer: with that, browsers hide the origin of our own form.
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_LONGEST_PATH = 2_000
_log = logging.getLogger("rtqc.workbench")


class TooLargeError(Exception):
    """A body is larger than it may be."""


class Guard:
    """The outermost layer."""

    def __init__(self, app: ASGIApp, hosts: Iterable[str] | None, limits: Limits, has_tls: bool) -> None:
        """Take the application.

        Args:
            app: what answers.
            hosts: names that a browser may call this server by; None: any.
            limits: of headers and bodies.
            has_tls: whether browsers are told to come back over TLS only.
        """
        self._app = app
        self._hosts = None if hosts is None else {h.lower() for h in hosts}
        self._limits = limits
        self._more = {"Strict-Transport-Security": "max-age=31536000"} if has_tls else {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or let it be answered; nothing that a request does ends in a traceback."""
        if scope["type"] != "http":
            return
        begun = False

        async def guarded_send(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                headers = MutableHeaders(scope=message)
                for name, value in {**_HEADERS, **self._more}.items():
                    headers.setdefault(name, value)
                if message["status"] >= 400:
                    # What is left of a refused body is not waited for.
                    headers["Connection"] = "close"
            await send(message)

        refusal = self._refusal(scope)
        # Parts of files are not served: a thousand ranges in one header are work for nobody.
        scope["headers"] = [(n, v) for n, v in scope["headers"] if n not in (b"range", b"if-range")]
        try:
            await (refusal or self._app)(scope, self._bounded(receive), guarded_send)
        except ClientDisconnect:
            return
        except Exception as error:
            if os.environ.get("RTQC_DEBUG"):
                raise
            _log.error("a request could not be answered (%s)", type(error).__name__)
            if not begun:
                await PlainTextResponse("could not be answered", 500)(scope, receive, guarded_send)

    def _refusal(self, scope: Scope) -> PlainTextResponse | None:
        headers = Headers(scope=scope)
        if self._hosts is not None and _host(headers.get("host", "")) not in self._hosts:
            # A name of somebody else's that points here (DNS rebinding).
            return PlainTextResponse("this server has another name: give it with --name", 403)
        if len(scope["raw_path"]) + len(scope["query_string"]) > _LONGEST_PATH:
            return PlainTextResponse("too long", 414)
        # h11 bounds what it has to keep while it waits for more, not what comes at once.
        if sum(len(n) + len(v) for n, v in scope["headers"]) > self._limits.header_bytes:
            return PlainTextResponse("too many headers", 431)
        length = headers.get("content-length", "0")
        if not (length.isascii() and length.isdigit()):
            return PlainTextResponse("Content-Length is no number", 400)
        if len(length) > 12 or int(length) > self._limits.body_bytes:
            return PlainTextResponse("too large", 413)
        return None

    def _bounded(self, receive: Receive) -> Receive:
        got = 0

        async def bounded() -> Message:
            nonlocal got
            message = await receive()
            got += len(message.get("body", b""))
            if got > self._limits.body_bytes:
                raise TooLargeError
            return message

        return bounded


def _host(told: str) -> str:
    try:
        return (urlsplit(f"//{told}").hostname or "").lower()
    except ValueError:
        return ""
