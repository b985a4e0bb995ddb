"""Counts and lists in sentences for people."""

from __future__ import annotations

from collections.abc import Iterable


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
