"""The audit trail: who saw which case and who decided what, when; only ever added to.

A JSON object a line. Each line holds the SHA-256 of the line before it, so that a line which somebody changed, removed or moved is found by :func:`broken_line`.
Cases are named by their key (the number of the report), never by a patient's name or ID.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from contextlib import AbstractContextManager, ExitStack
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

from rtqc.core.lock import whole_lock

AUDIT_FILE = "audit.jsonl"
_FIRST = "0" * 64


class AuditError(Exception):
    """Nothing can be recorded, or what was recorded was changed; the message says what to do."""


class AuditTrail(AbstractContextManager["AuditTrail"]):
    """An open trail; one process at a time adds to a file."""

    def __init__(self, path: Path) -> None:
        """Open it, or make it.

        Raises:
            AuditError: it cannot be written, is a link, was damaged, or another process adds to it.
        """
        self.path = path
        self._lock = threading.Lock()
        self._held = ExitStack()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if not self._held.enter_context(whole_lock(path.with_name(f".{path.name}.lock"))):
                raise AuditError(f"another rtqc serve records in {path}: end it, or give another file with --audit")
            # No link is followed: whoever may write in this folder must not choose what we add to.
            flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
            self._file = os.open(path, flags, 0o600)
            self._held.callback(os.close, self._file)
            self._last = self._last_hash()
        except OSError as error:
            self._held.close()
            raise AuditError(f"{path} cannot be written: {error.strerror or error}. Give another file with --audit.") from error
        except AuditError:
            self._held.close()
            raise

    def record(self, event: str, who: str, address: str, **more: str) -> None:
        """Add a line, which is on the disk when this returns.

        Args:
            event: ``signed in``, ``refused``, ``signed out``, ``saw``, ``listed``, ``decided``, ``denied``, ``started``, ``stopped``.
            who: name of the account; empty where nobody has signed in.
            address: of the caller.
            more: ``case`` (key of a result), ``file``, ``outcome``, ``why``.

        Raises:
            AuditError: the line cannot be written; what was asked for must not happen then.
        """
        with self._lock:
            now = datetime.now(UTC).isoformat(timespec="milliseconds")
            told = {"time": now, "event": event, "who": who, "address": address, **more, "previous": self._last}
            line = json.dumps(told, ensure_ascii=True).encode("ascii") + b"\n"
            end = os.lseek(self._file, 0, os.SEEK_END)
            try:
                written = os.write(self._file, line)
                if written != len(line):
                    raise OSError(28, "No space left on device")
                os.fsync(self._file)
            except OSError as error:
                # Half a line would break the chain of all that follows.
                os.ftruncate(self._file, end)
                raise AuditError(f"{self.path} cannot be written: {error.strerror or error}") from error
            self._last = _hash(line)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close it."""
        self._held.close()

    def _last_hash(self) -> str:
        """The hash of the last line; half a line of a cut run is taken away."""
        size = os.lseek(self._file, 0, os.SEEK_END)
        start = max(0, size - (1 << 16))
        os.lseek(self._file, start, os.SEEK_SET)
        tail = b""
        while part := os.read(self._file, 1 << 16):
            tail += part
        if not tail:
            return _FIRST
        whole, newline, half = tail.rpartition(b"\n")
        if not newline:
            raise AuditError(f"{self.path} is no audit trail: give another file with --audit")
        if half:
            os.ftruncate(self._file, size - len(half))
        return _hash(whole.rpartition(b"\n")[2] + b"\n")


def broken_line(path: Path) -> int | None:
    """Number (from 1) of the first line of a trail that was changed, or follows one that was changed or removed; None: whole.

    Lines that were cut off at the end cannot be seen from the file itself: keep a copy of its last line elsewhere for that.

    Raises:
        OSError: it cannot be read.
    """
    expected = _FIRST
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                told = json.loads(line)
                if told["previous"] != expected:
                    return number
            except (ValueError, KeyError, TypeError, RecursionError):
                return number
            expected = _hash(line)
    return None


def _hash(line: bytes) -> str:
    return hashlib.sha256(line).hexdigest()
