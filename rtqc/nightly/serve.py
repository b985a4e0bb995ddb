"""The dashboard from a local server, where flags can be marked as reviewed on the page."""

from __future__ import annotations

import getpass
import json
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from rtqc.nightly.places import LATEST
from rtqc.nightly.store import Acknowledgement, Store, StoreError

#: What a review may hold, in bytes.
_MOST_BYTES = 10_000
_OUTCOMES = ("", "contour", "model", "accepted")
#: What may be served: no store, no lock, no status.
_SERVED = (f"/{LATEST}/", "/reports/", "/run-")
_ENDINGS = (".html", ".json", ".csv", ".svg")
#: A page of another site can send a form here, but not this.
_HEADER = "X-Rtqc"


def server(out: Path, store: Store, host: str = "127.0.0.1", port: int = 0) -> ThreadingHTTPServer:
    """A server of a folder of ``rtqc nightly``; call its ``serve_forever``.

    Args:
        out: the folder of all runs.
        store: reviews are kept there.
        host: who may ask: 127.0.0.1 only this machine.
        port: 0: any that is free.

    Raises:
        OSError: the port is taken.
    """
    return ThreadingHTTPServer((host, port), partial(_Handler, store, directory=str(out)))


class _Handler(SimpleHTTPRequestHandler):
    """Files below the folder, and reviews."""

    server_version = "rtqc"

    def __init__(self, store: Store, *arguments: Any, **more: Any) -> None:
        self._store = store
        super().__init__(*arguments, **more)

    def do_GET(self) -> None:
        """A file, or all reviews."""
        if not self._is_ours():
            return
        path = unquote(urlsplit(self.path).path)
        if path == "/":
            self.send_response(HTTPStatus.FOUND)
            self.send_header("Location", f"/{LATEST}/index.html")
            self.end_headers()
        elif path == "/reviews":
            told = {key: _told(reviews[-1]) for key, reviews in self._store.acknowledgements().items()}
            self._answer(HTTPStatus.OK, told)
        elif path.startswith(_SERVED) and path.endswith(_ENDINGS) and ".." not in path.split("/"):
            super().do_GET()
        else:
            self.send_error(HTTPStatus.NOT_FOUND)

    def do_HEAD(self) -> None:
        """Nothing needs it."""
        self.send_error(HTTPStatus.METHOD_NOT_ALLOWED)

    def do_POST(self) -> None:
        """Keep a review."""
        if not self._is_ours():
            return
        if self.path != "/reviews" or self.headers.get(_HEADER) != "review":
            self.send_error(HTTPStatus.FORBIDDEN)
            return
        length = int(self.headers.get("Content-Length") or 0)
        if not 0 < length <= _MOST_BYTES:
            self.send_error(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            return
        try:
            asked = json.loads(self.rfile.read(length))
            key, outcome = str(asked["key"]), str(asked.get("outcome", ""))
            if outcome not in _OUTCOMES:
                raise ValueError(outcome)
            done = self._store.acknowledge(key, str(asked.get("by") or getpass.getuser()), outcome, str(asked.get("note", "")))
        except (ValueError, KeyError, TypeError, StoreError) as error:
            self._answer(HTTPStatus.BAD_REQUEST, {"error": str(error)})
            return
        self._answer(HTTPStatus.OK, _told(done))

    def _is_ours(self) -> bool:
        """Whether the browser asked for this server by its address: a name that points here is another site's (DNS rebinding)."""
        host = urlsplit(f"//{self.headers.get('Host', '')}").hostname or ""
        bound: Any = self.server.server_address
        address = str(bound[0])
        if host in ("localhost", "127.0.0.1", "::1", address) or address in ("0.0.0.0", "::"):
            return True
        self.send_error(HTTPStatus.FORBIDDEN)
        return False

    def _answer(self, status: HTTPStatus, told: object) -> None:
        content = json.dumps(told).encode("utf-8")
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing: what is looked at is nobody's affair."""


def _told(done: Acknowledgement) -> dict[str, str]:
    return {"key": done.result_key, "by": done.by, "made": f"{done.made:%Y-%m-%d}", "outcome": done.outcome, "note": done.note}
