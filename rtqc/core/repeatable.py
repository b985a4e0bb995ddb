"""Sums that come out the same on every machine: linear algebra on one thread.

OpenBLAS and MKL cut a product into as many parts as they have threads, and a sum in other parts is rounded otherwise. A worker of the nightly
has one thread, a command as many as there are cores: with these, one plan had two answers in the last digit.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from threading import Lock
from typing import Any, ParamSpec, TypeVar

from threadpoolctl import threadpool_limits

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


class _OneThread:
    """Linear algebra on one thread as long as anybody is inside; the limit is the process's, so the first one sets it and the last one lifts it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._inside = 0
        self._limits: Any = None

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._limits = threadpool_limits(1, user_api="blas")
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._limits.restore_original_limits()


_one_thread = _OneThread()


def repeatable(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """A function whose result does not depend on how many threads the machine's linear algebra has."""

    @wraps(function)
    def on_one_thread(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        with _one_thread:
            return function(*args, **kwargs)

    return on_one_thread
