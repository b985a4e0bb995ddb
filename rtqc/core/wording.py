"""Counts and lists in sentences for people."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

#: What rounds to nothing has no sign, as a decimal or before a unit; a name such as ``A-0`` has none of both.
_NEGATIVE_ZERO = re.compile(r"(?<![\w.,)\]])[-\u2212](0[.]0+(?!\d)|0(?= (?:mm|cm|ml|Gy|HU|%|°)))")
_SPACES = re.compile(r"\s*[\r\n\v\f\x1c-\x1e\x85\u2028\u2029]\s*")


def counted(count: float, noun: str, plural: str = "") -> str:
    """A count with its noun.

    Args:
        count: how many.
        noun: one of them.
        plural: several of them, where an ``s`` behind ``noun`` does not make it.

    >>> counted(1, "fraction"), counted(25, "fraction"), counted(2, "series", "series")
    ('1 fraction', '25 fractions', '2 series')
    """
    return f"{count:g} {noun}" if count == 1 else f"{count:g} {plural or noun + 's'}"


def listed(things: Iterable[str], most: int | None = 3, total: int | None = None, last: str = ", ", between: str = ", ") -> str:
    """A list that says how many are left out where it is cut.

    Args:
        things: names, in order; none gives an empty text.
        most: how many are told; None: all.
        total: how many there are, where that is more than are given.
        last: what stands before the last of a list that is whole.
        between: what stands between the others.

    >>> listed("abcde"), listed("abc"), listed("abc", total=9), listed("abc", last=" and "), listed("abcd", 2, last=" and ")
    ('a, b, c and 2 more', 'a, b, c', 'a, b, c and 6 more', 'a, b and c', 'a, b and 2 more')
    """
    every = list(things)
    shown = every[:most]
    left = (len(every) if total is None else total) - len(shown)
    if left > 0:
        return f"{between.join(shown)} and {left} more"
    return last.join([between.join(shown[:-1]), shown[-1]]) if len(shown) > 1 else between.join(shown)


def sentence(text: str) -> str:
    r"""A sentence as it may stand in a table, a terminal or a log: on one line, without control characters out of files' names, and no -0.0.

    >>> sentence("Heart\nPASSED\x1b[2J at -0.0 mm, -0.04 mm off, A-0.0")
    'Heart PASSED[2J at 0.0 mm, -0.04 mm off, A-0.0'
    """
    if not text.isprintable():
        text = "".join(c for c in _SPACES.sub(" ", text).replace("\t", " ") if unicodedata.category(c) not in ("Cc", "Cs"))
    return _NEGATIVE_ZERO.sub(r"\1", text)
