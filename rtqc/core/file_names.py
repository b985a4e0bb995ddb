"""Names of files and folders that are made from what stands in somebody's files or answers: the only place that makes them.

A Patient ID, a label or a SOP Instance UID is whatever its sender liked: ``../../etc/passwd``, ``CON`` or nothing. What becomes a name goes
through here, so that no name leaves its folder, hides, or means a device.
"""

from __future__ import annotations

import hashlib
import re

#: Of a UID (PS3.5 9.1): characters.
_MOST_UID = 64
#: What Windows keeps for devices, whatever stands behind a dot.
_DEVICES = frozenset(("con", "prn", "aux", "nul", *(f"{kind}{k}" for kind in ("com", "lpt") for k in range(10))))
#: Digits that keep two names apart whose readable parts are one.
_DIGITS = 10


class UidError(ValueError):
    """What stands for a UID is none; the message shows it without what a terminal would obey."""


def uid_name(uid: object) -> str:
    """A UID as the name of a file: digits and dots, beginning and ending with a digit.

    Components with leading zeros, which PS3.5 9.1 forbids, are taken: planning systems write them.

    >>> uid_name("1.2.840.10008.1.2")
    '1.2.840.10008.1.2'
    >>> uid_name("../../evil")
    Traceback (most recent call last):
    rtqc.core.file_names.UidError: '../../evil' is no UID

    Raises:
        UidError: it is none.
    """
    text = str(uid).rstrip("\0 ")
    if len(text) > _MOST_UID or not re.fullmatch(r"[0-9]+(\.[0-9]+)*", text):
        raise UidError(f"{shown(text)} is no UID")
    return text


def text_name(text: str, fallback: str, most: int = 64) -> str:
    """Text as a part of a name that can be read: letters, digits, dots, underscores and hyphens; others become underscores.

    Two texts may have one name; see :func:`distinct_name`.

    >>> text_name("../Meier/Heinz", "case")
    'Meier_Heinz'
    >>> text_name("..", "case"), text_name("con.x", "case")
    ('case', '_con.x')
    """
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", text).strip("._-")[:most].rstrip("._-") or fallback
    return f"_{name}" if name.partition(".")[0].casefold() in _DEVICES else name


def distinct_name(text: str, fallback: str, most: int = 24) -> str:
    """As :func:`text_name`, and never the same for two texts.

    >>> distinct_name("4711/x", "patient") != distinct_name("4711_x", "patient")
    True
    """
    digest = hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
    return f"{text_name(text, fallback, most)}-{digest[:_DIGITS]}"


def shown(text: str, most: int = 80) -> str:
    r"""Text of somebody else's in quotation marks, for a message or a log line: in one line, without what a terminal would obey, and not too long.

    >>> shown("P1\x1b[2J\nroot logged in")
    "'P1\\x1b[2J\\nroot logged in'"
    """
    cut = text if len(text) <= most else text[: most - 1] + "…"
    return f"'{printable(cut)}'"


def printable(text: str) -> str:
    r"""Text with every character that does not print written as its escape.

    >>> printable("a\tb\u202eü")
    'a\\tb\\u202eü'
    """
    return "".join(c if c.isprintable() else _escape(c) for c in text)


def _escape(character: str) -> str:
    return character.encode("unicode_escape", "backslashreplace").decode("ascii")
