"""A lock that one process has, and that is gone when the process is, however it ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

_LOOK_SECONDS = 0.5


@contextmanager
def whole_lock(path: Path, wait_seconds: float = 0.0, waiting: Callable[[], None] | None = None) -> Iterator[bool]:
    """Lock a file.

    Args:
        path: of the lock; stays.
        wait_seconds: how long to wait for who has it.
        waiting: called once when somebody has it, and there is time to wait.

    Yields:
        Whether it is ours.

    Raises:
        OSError: it cannot be made.
    """
    lock = FileLock(path)
    try:
        try:
            lock.acquire(timeout=0)
        except Timeout:
            if wait_seconds > 0:
                if waiting is not None:
                    waiting()
                lock.acquire(timeout=wait_seconds, poll_interval=_LOOK_SECONDS)
    except Timeout:
        pass
    try:
        yield lock.is_locked
    finally:
        lock.release()
