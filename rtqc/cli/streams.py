"""Streams that survive any code page and any reader: what a console cannot print is written in another way, never an error."""

from __future__ import annotations

import codecs
import os
import sys
from pathlib import Path
from typing import Any, TextIO, cast

#: Characters of our sentences and tables that Windows' code pages lack, and what stands for them there.
_PLAIN = {
    "✕": "x",
    "≥": ">=",
    "≤": "<=",
    "−": "-",
    "–": "-",
    "·": "-",
    "…": "...",
    "→": "->",
    "±": "+/-",
    "²": "2",
    "µ": "u",
    "⚑": "!",
    "✓": "ok",
}


def _plain_characters(error: UnicodeError) -> tuple[str, int]:
    """What stands for characters that the stream's encoding lacks."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(_PLAIN.get(c, "?") for c in error.object[error.start : error.end]), error.end


codecs.register_error("rtqc.plain", _plain_characters)


class OutputLostError(BaseException):
    """What was printed reached nobody: the reader (``| head``) has gone, stdout is closed, or the disk that it goes to is full.

    No error of the command's own, so that no handler of those takes it for one.
    """


class _Output:
    """stdout as commands see it: what cannot be written ends the command as lost output, and as nothing else."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """As the stream does."""
        if self._stream is None:
            raise OutputLostError("stdout is closed")
        try:
            return self._stream.write(text)
        except OSError as error:
            raise OutputLostError(error.strerror or str(error)) from error

    def flush(self) -> None:
        """As the stream does."""
        try:
            if self._stream is not None and not self._stream.closed:
                self._stream.flush()
        except OSError as error:
            if self._stream is not None:
                _silence(self._stream)
            raise OutputLostError(error.strerror or str(error)) from error

    def isatty(self) -> bool:
        """As the stream does; a closed one is none."""
        return self._stream is not None and self._stream.isatty()

    @property
    def encoding(self) -> str:
        """As the stream has it."""
        return self._stream.encoding if self._stream is not None else "utf-8"

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def prepare_streams() -> None:
    """Let stdout and stderr print what they can: a character that their code page lacks is no error, and lost output has its own."""
    for stream in (sys.stdout, sys.stderr):
        _reconfigure(stream, errors="rtqc.plain")
    sys.stdout = cast("TextIO", _Output(sys.stdout))
    if sys.stderr is None:  # closed by whoever started us
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115  (for as long as the process lives)


def json_on_stdout(asked_for: bool) -> bool:
    """Write stdout in UTF-8 where a JSON document is asked for, as RFC 8259 (8.1) wants it, whatever the console's code page.

    Args:
        asked_for: whether ``--json`` was given; returned as it is.
    """
    if asked_for:
        _reconfigure(sys.stdout, encoding="utf-8", errors="backslashreplace")
    return asked_for


def _reconfigure(stream: TextIO | None, **how: str) -> None:
    reconfigure = getattr(stream, "reconfigure", None)  # a stream that a test or a service put there may lack it
    if reconfigure is not None:
        reconfigure(**how)


def _silence(stream: TextIO) -> None:
    """Point a stream whose reader has gone at nothing, so that the interpreter's last flush does not fail too."""
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError):
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)
