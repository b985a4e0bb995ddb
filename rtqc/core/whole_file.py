"""Files that are written whole or not at all: a full disk or a cut run leaves nothing half-written behind.

Nor does anything that somebody else has laid into the folder change where it goes. What is written has a name nobody can guess, is made by us and
nobody else (``O_EXCL``), and takes the place of what stands at its name: a link there is replaced, never followed. Who may read it says the umask.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

#: To make a file that was not there, and to open none through a link; the latter is the system's where it has it.
_NEW = (
    os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
)
#: What a name may have of characters that are not ours to choose, beside the random ones: names end at 255 bytes.
_MOST_NAME = 180


@contextmanager
def whole_file(target: Path, durable: bool = True) -> Iterator[BinaryIO]:
    """A file to write to, under another name in the same folder, renamed when the block ends without an error.

    Args:
        target: the file; its folder is made where absent, an existing file or link is replaced.
        durable: whether to wait until the disk has it.

    Raises:
        OSError: it cannot be written; what was written is removed, an existing file stays as it was.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.parent / _part_name(target)
    # Permissions as of any new file: the system takes away what the umask says.
    handle = os.open(part, _NEW, 0o666)
    try:
        with os.fdopen(handle, "w+b") as file:
            yield file
            file.flush()
            if durable:
                os.fsync(file.fileno())
        part.replace(target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


@contextmanager
def whole_path(target: Path, ending: str = "") -> Iterator[Path]:
    """As :func:`whole_file`, for libraries that open the file themselves and tell its format from its name.

    The path lies in a folder that only we may enter, so that nobody can lay a link there in between.

    Args:
        target: the file; its folder is made where absent, an existing file or link is replaced.
        ending: what the other name must end with (``.nii.gz``).

    Raises:
        OSError: it cannot be written; what was written is removed, an existing file stays as it was.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    folder = target.parent / _part_name(target)
    folder.mkdir(mode=0o700)
    try:
        part = folder / f"part{ending}"
        yield part
        part.replace(target)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """A folder to fill, under another name beside it, renamed when the block ends without an error.

    Args:
        target: the folder, which is not there yet; the one above it is made where absent.

    Raises:
        OSError: it cannot be made, or something has its name; what was written is removed.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.parent / _part_name(target)
    part.mkdir()
    try:
        yield part
        part.rename(target)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


def own_folder(folder: Path) -> None:
    """Make a folder where it is absent, and refuse a link in its place.

    Raises:
        OSError: it cannot be made, or is a link.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if folder.is_symlink():
        raise OSError(errno.ELOOP, "this is a link to another place, which is not written to: remove it", os.fspath(folder))


def no_link(path: Path | str, flags: int) -> int:
    """Open a file that stays and is added to; for ``open(..., opener=no_link)``.

    Raises:
        OSError: it is a link (ELOOP).
    """
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o666)


def _part_name(target: Path) -> str:
    name = target.name
    while len(name.encode("utf-8", "surrogateescape")) > _MOST_NAME:
        name = name[:-1]
    return f".{name}.{secrets.token_hex(8)}.part"
