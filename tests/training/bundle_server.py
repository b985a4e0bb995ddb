"""A web server on this machine that serves one file as a release page does: with ranges, and with whatever goes wrong on the way."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Served:
    """What the server has, and what it does.

    Attributes:
        content, tag: the file, and its ETag.
        drop_after: bytes after which a connection is dropped, once for each number.
        ranges: whether it can begin in the middle.
        lie_bytes: sent beyond what was said.
        redirect: another address that the file is at.
        asked: Range headers of the requests, None where there was none.
    """

    content: bytes
    tag: str = '"one"'
    drop_after: list[int] = field(default_factory=list)
    ranges: bool = True
    redirect: str = ""
    asked: list[str | None] = field(default_factory=list)
    url: str = ""


@contextmanager
def serving(content: bytes, name: str = "bundle.zip") -> Iterator[Served]:
    """A running server; its address in ``url``."""
    served = Served(content)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            served.asked.append(self.headers.get("Range"))
            if served.redirect:
                self.send_response(302)
                self.send_header("Location", served.redirect)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            if not self.path.endswith(name):
                self.send_error(404)
                return
            first = 0
            told = self.headers.get("Range")
            if told and served.ranges and self.headers.get("If-Range") == served.tag:
                first = int(told.removeprefix("bytes=").removesuffix("-"))
            part = served.content[first:]
            self.send_response(206 if first else 200)
            if first:
                self.send_header("Content-Range", f"bytes {first}-{len(served.content) - 1}/{len(served.content)}")
            self.send_header("Content-Length", str(len(part)))
            self.send_header("ETag", served.tag)
            self.end_headers()
            if served.drop_after:
                self.wfile.write(part[: served.drop_after.pop(0)])
                self.close_connection = True
                return
            self.wfile.write(part)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served.url = f"http://127.0.0.1:{server.server_address[1]}/releases/{name}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
