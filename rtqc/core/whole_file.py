"""Files that are written whole or not at all: a full disk or a cut run leaves nothing half-written behind."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def whole_file(target: Path, durable: bool = True) -> Iterator[BinaryIO]:
    """A file to write to, under another name in the same folder, renamed when the block ends without an error.

    Args:
        target: the file; its folder is made where absent, an existing file is replaced.
        durable: whether to wait until the disk has it.

    Raises:
        OSError: it cannot be written; what was written is removed, an existing file stays as it was.
    """
    with whole_path(target) as part, part.open("wb") as file:
        yield file
        file.flush()
        if durable:
            os.fsync(file.fileno())


@contextmanager
def whole_path(target: Path, ending: str = "") -> Iterator[Path]:
    """As :func:`whole_file`, for libraries that open the file themselves and tell its format from its name.

    Args:
        target: the file; its folder is made where absent, an existing file is replaced.
        ending: what the other name must end with (``.nii.gz``).

    Raises:
        OSError: it cannot be written; what was written is removed, an existing file stays as it was.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=f".part{ending}", dir=target.parent)
    os.close(handle)
    part = Path(name)
    try:
        yield part
        # mkstemp makes files that only their owner may read; what is written here is for others too.
        part.chmod(0o644)
        part.replace(target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
