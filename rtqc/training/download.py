"""A large file over HTTPS: resumed where it stopped, checked against a hash, and never there before it is whole."""

from __future__ import annotations

import hashlib
import http.client
import ipaddress
import json
import os
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from rtqc.core.version import rtqc_version
from rtqc.core.whole_file import whole_file

#: More than any published heart model; a server that sends more is stopped.
MOST_BYTES = 8 << 30
_BLOCK = 1 << 20
#: A server that says nothing for so long, in s, has gone.
_SILENCE_SECONDS = 60.0
#: Tries after a broken connection, and the pause before each, in s.
_PAUSES = (1.0, 3.0, 10.0)


class DownloadError(Exception):
    """A file that could not be had, or is not the one that was wanted; the message says what to do."""


Progress = Callable[[int, int | None], None]


def download(
    url: str, target: Path, *, sha256: str = "", size: int | None = None, progress: Progress = lambda done, total: None,
    pause: Callable[[float], None] = time.sleep,
) -> str:  # fmt: skip
    """Fetch a file, or go on with it; proxies are those of the environment (``https_proxy``, ``no_proxy``).

    Args:
        url: HTTPS; HTTP only to this machine, or with a hash.
        target: the file; ``.part`` beside it while it grows.
        sha256: that it must have; empty: not checked.
        size: that it must have, in bytes; None: whatever the server says.
        progress: told bytes so far, and of all where that is known.
        pause: waits before another try.

    Returns:
        Its SHA-256.

    Raises:
        DownloadError: it cannot be had, or is another file; a part that may be gone on with stays, any other is removed.
        OSError: it cannot be written.
    """
    check_url(url, sha256)
    part = target.with_name(target.name + ".part")
    target.parent.mkdir(parents=True, exist_ok=True)
    for wait in (*_PAUSES, None):
        try:
            _go_on(url, part, size, progress)
            break
        except (http.client.HTTPException, TimeoutError, ConnectionError, urllib.error.URLError) as error:
            if isinstance(error, urllib.error.HTTPError) and error.code == 416 and part.exists():
                _forget(part)  # what is there is no part of what the server has now
                continue
            if isinstance(error, urllib.error.HTTPError) and error.code < 500:
                raise DownloadError(f"{url} cannot be had: the server says {error.code} {error.reason}") from error
            if wait is None:
                reason = getattr(error, "reason", None) or error or type(error).__name__
                raise DownloadError(
                    f"{url} cannot be had ({reason}): check network and proxy (https_proxy), and start again; it goes on where it stopped"
                ) from error
            pause(wait)
    else:
        raise DownloadError(f"{url} cannot be had: start again")
    found = _hash(part)
    wrong = f"it has the SHA-256 {found}, not {sha256}" if sha256 and found != sha256.lower() else ""
    if size is not None and part.stat().st_size != size:
        wrong = f"it has {part.stat().st_size} bytes, not {size}"
    if wrong:
        _forget(part)
        raise DownloadError(f"{url} is not the file that was wanted: {wrong}. Nothing was kept.")
    os.replace(part, target)
    _forget(part)
    return found


def check_url(url: str, sha256: str = "") -> None:
    """Whether a file may be fetched from there.

    Raises:
        DownloadError: no URL, or one that anybody on the way could change.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise DownloadError(f"{url} is no address of a file: give one that begins with https://")
    if sha256 and not re.fullmatch(r"[0-9a-fA-F]{64}", sha256):
        raise DownloadError(f"'{sha256}' is no SHA-256: give 64 hexadecimal digits")
    if parts.scheme == "http" and not sha256 and not _is_this_machine(parts.hostname):
        raise DownloadError(
            f"{url} is not encrypted, so that anybody on the way could change it: give https://, or its hash with --sha256"
        )


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Never from an encrypted address to one that is not, nor to a file of this machine."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: http.client.HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        if urlsplit(req.full_url).scheme == "https" and urlsplit(newurl).scheme != "https":
            raise DownloadError(f"{req.full_url} leads to {newurl}, which is not encrypted: nothing was fetched")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _go_on(url: str, part: Path, size: int | None, progress: Progress) -> None:
    """Fetch what is missing; from the beginning where the server has another file now, or cannot begin in the middle."""
    done = part.stat().st_size if part.exists() else 0
    if size is not None and done == size:
        return
    headers = {"User-Agent": f"rtqc/{rtqc_version()}", "Accept-Encoding": "identity"}
    tag = _told_tag(part)
    if done and tag:
        headers |= {"Range": f"bytes={done}-", "If-Range": tag}
    else:
        done = 0
    opener = urllib.request.build_opener(_Redirects)
    with _answer(opener, urllib.request.Request(url, headers=headers)) as answer:
        if answer.status == 206 and not re.match(rf"bytes {done}-", answer.headers.get("Content-Range", "")):
            raise DownloadError(f"{url} cannot be had: the server sent another part than it was asked for")
        done = done if answer.status == 206 else 0
        length = answer.headers.get("Content-Length")
        total = done + int(length) if length and length.isdigit() else size
        if (total or 0) > MOST_BYTES or (size is not None and total is not None and total != size):
            raise DownloadError(f"{url} is not the file that was wanted: the server says that it has {total} bytes")
        _remember_tag(part, answer.headers)
        with part.open("ab" if done else "wb") as file:
            progress(done, total)
            while block := answer.read(_BLOCK):
                done += len(block)
                if done > (total or MOST_BYTES):
                    _forget(part)
                    raise DownloadError(f"{url} sends more than it said: nothing was kept")
                file.write(block)
                progress(done, total)
            file.flush()
            os.fsync(file.fileno())
    if total is not None and done < total:
        raise ConnectionError(f"the connection ended after {done} of {total} bytes")


@contextmanager
def _answer(opener: urllib.request.OpenerDirector, request: urllib.request.Request) -> Iterator[http.client.HTTPResponse]:
    with opener.open(request, timeout=_SILENCE_SECONDS) as answer:
        yield answer


def _tag_file(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _remember_tag(part: Path, headers: http.client.HTTPMessage) -> None:
    """What tells this file from a later one under the same address; a weak ETag does not."""
    tag = headers.get("ETag", "")
    tag = headers.get("Last-Modified", "") if not tag or tag.startswith("W/") else tag
    with whole_file(_tag_file(part), durable=False) as file:
        file.write(json.dumps({"tag": tag}).encode())


def _told_tag(part: Path) -> str:
    try:
        return str(json.loads(_tag_file(part).read_bytes())["tag"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _forget(part: Path) -> None:
    part.unlink(missing_ok=True)
    _tag_file(part).unlink(missing_ok=True)


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
