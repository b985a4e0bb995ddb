"""Streams that survive any code page and any reader: what a console cannot print is written in another way, never an error."""

from __future__ import annotations

import codecs
import os
import sys
from typing import TextIO

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


def prepare_streams() -> None:
    """Let stdout and stderr print what they can: a character that their code page lacks is no error."""
    for stream in (sys.stdout, sys.stderr):
        _reconfigure(stream, errors="rtqc.plain")


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


def flush_streams() -> bool:
    """Hand out what was printed; False where the reader has gone, and then nothing is printed any more."""
    whole = True
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None and not stream.closed:
                stream.flush()
        except OSError:
            _silence(stream)
            whole = False
    return whole


def _silence(stream: TextIO) -> None:
    """Point a stream whose reader has gone at nothing, so that the interpreter's last flush does not fail too."""
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError):
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)
