"""Folders without end and names that are no text: walked without recursion, and named so that anything can print them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path


def walk(root: Path, refused: Callable[[OSError], None] = lambda error: None) -> Iterator[tuple[Path, list[str], list[str]]]:
    """As ``os.walk`` from the top, links to folders not followed, however deep: Python's own recurses and ends at a thousand.

    Args:
        root: a folder.
        refused: called with the error of a folder that cannot be listed.

    Yields:
        A folder, the names of its folders (which may be changed: those that are left are walked, in their order), and those of its files.
    """
    left = [root]
    while left:
        folder = left.pop()
        folders: list[str] = []
        files: list[str] = []
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    try:
                        is_folder = entry.is_dir()
                    except OSError:
                        is_folder = False
                    (folders if is_folder else files).append(entry.name)
        except OSError as error:
            error.filename = error.filename or str(folder)
            refused(error)
            continue
        yield folder, folders, files
        left += [below for name in reversed(folders) if not (below := folder / name).is_symlink()]


def files_below(root: Path) -> list[Path]:
    """Every regular file below a folder, in the order of their paths."""
    found = (folder / name for folder, _, names in walk(root) for name in names)
    return sorted(path for path in found if path.is_file())


def shown_name(name: str) -> str:
    r"""A name as it can be printed and stored: bytes that are no UTF-8 as ``\xe9``.

    File names are bytes; Python keeps those that are no text as lone surrogates, which no encoding takes.

    >>> shown_name("Müller"), shown_name("M\udcfcller")
    ('Müller', 'M\\xfcller')
    """
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return (
            name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
            if _escaped_only(name)
            else ascii(name)[1:-1]
        )
    return name


def _escaped_only(name: str) -> bool:
    """Whether all surrogates of a name stand for bytes."""
    return all(not 0xD800 <= ord(c) <= 0xDFFF or 0xDC80 <= ord(c) <= 0xDCFF for c in name)
