"""Counts in sentences for people."""

from __future__ import annotations


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
