"""Log lines that nobody's data can forge, and that say who is meant without saying who it is.

What identifies a patient goes into a log as :class:`Identifying`. The formatters of here write a keyed hash in its place: the same patient has the
same one in all lines of an installation, and nobody who has the log but not the key learns more. Every other character that does not print is
written as its escape, so that one event stays one line.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import secrets
import traceback
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from rtqc.core.file_names import printable
from rtqc.core.whole_file import no_link, whole_file

_KEY_BYTES, _DIGEST_BYTES = 32, 6
#: Attribute of a log record that holds what a JSON line says beside time, level and message.
FIELDS = "rtqc_fields"
#: Attribute of a log record that holds what is left of an exception: its kind, its message, and where it was raised.
TOLD = "rtqc_told"


@dataclass(frozen=True)
class Identifying:
    """Text that identifies a patient: an ID, a plan's label, a name of a folder, a UID.

    Attributes:
        text: what it is.
        kind: ``patient``, ``plan``, ``folder``, ``object``.
    """

    text: str
    kind: str = "patient"

    def __str__(self) -> str:
        """As it is, in one line: what a program of somebody else's that uses this room's loggers gets."""
        return printable(self.text)


@dataclass(frozen=True)
class Told:
    """An exception, of which only the kind and the places in the program are never anybody's data."""

    kind: str
    message: str
    places: tuple[str, ...]

    @classmethod
    def of(cls, error: BaseException, trace: TracebackType | None) -> Told:
        """What is left of an exception."""
        frames = traceback.extract_tb(trace)
        return cls(type(error).__name__, str(error), tuple(f"{Path(f.filename).name}:{f.lineno} {f.name}" for f in frames))


@dataclass
class LineFormatter(logging.Formatter):
    """One line an event, as text or as JSON.

    Attributes:
        key: of this installation; None: identifiers are written as they are.
        as_json: whether lines are JSON objects.
    """

    key: bytes | None
    as_json: bool = False
    _hashes: dict[Identifying, str] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        """As the library wants it."""
        super().__init__()

    def __hash__(self) -> int:
        """By identity."""
        return id(self)

    def format(self, record: logging.LogRecord) -> str:
        """A line."""
        moment = datetime.fromtimestamp(record.created, UTC).astimezone().isoformat(timespec="milliseconds")
        message = self._message(record)
        told: Told | None = getattr(record, TOLD, None)
        if told is None and record.exc_info and record.exc_info[1] is not None:
            told = Told.of(record.exc_info[1], record.exc_info[2])
        if self.as_json:
            line: dict[str, Any] = {
                "time": moment,
                "level": record.levelname.lower(),
                "logger": record.name,
                "message": message,
            }
            line |= {name: self._plain(value) for name, value in getattr(record, FIELDS, {}).items()}
            if told is not None:
                line["error"] = {"kind": told.kind, "places": list(told.places)}
                if self.key is None:
                    line["error"]["message"] = told.message
            return json.dumps(line, ensure_ascii=True)
        if told is not None:
            words = f": {told.message}" if self.key is None else ""
            message += f" [{told.kind}{words} at {' < '.join(reversed(told.places))}]"
        return f"{moment} {record.levelname} {printable(message)}"

    def _message(self, record: logging.LogRecord) -> str:
        arguments = record.args
        if isinstance(arguments, tuple):
            arguments = tuple(self._plain(a) for a in arguments)
        try:
            return str(record.msg) % arguments if arguments else str(record.msg)
        except (TypeError, ValueError):
            return str(record.msg)

    def _plain(self, value: object) -> Any:
        """A value with what identifies replaced."""
        if isinstance(value, Identifying):
            if self.key is None:
                return value.text
            if value not in self._hashes:
                digest = hashlib.blake2b(value.text.encode("utf-8", "surrogateescape"), key=self.key, digest_size=_DIGEST_BYTES)
                self._hashes[value] = f"{value.kind}:{digest.hexdigest()}"
            return self._hashes[value]
        if isinstance(value, (list, tuple)):
            return [self._plain(v) for v in value]
        if value is None or isinstance(value, (bool, int, float)):
            return value
        return str(value)


def log_key(path: Path) -> bytes:
    """The key of an installation; made where there is none, for its owner to read only.

    Args:
        path: of its file.

    Raises:
        OSError: it can neither be read nor made, or is a link.
    """
    while True:
        try:
            with open(path, "rb", opener=no_link) as file:
                key: bytes = file.read()
            if len(key) >= _KEY_BYTES:
                return key[:_KEY_BYTES]
        except FileNotFoundError:
            pass
        with whole_file(path) as new:
            if hasattr(os, "fchmod"):
                os.fchmod(new.fileno(), 0o600)
            new.write(secrets.token_bytes(_KEY_BYTES))
