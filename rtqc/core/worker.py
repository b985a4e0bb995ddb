"""Functions called in a child process: what they return or raise comes back, and where the child dies, that is an error as well.

On Linux a process with one thread is forked, which costs nothing; elsewhere, and in a service with threads, a new Python is started. The
child stays for the next call, with what it has loaded, and is replaced where it died.
"""

from __future__ import annotations

import faulthandler
import os
import pickle
import queue
import signal
import sys
import threading
import warnings
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from types import TracebackType
from typing import Any, BinaryIO, NoReturn, TypeVar

from rtqc.core.child_process import ANSWER, TOLD, Child, read_frame, write_frame

Result = TypeVar("Result")

#: With ``-P``: the folder that somebody stands in, and that a stranger's files may lie in, is no place to import from.
_START = "from rtqc.core.worker import serve_on_pipes; serve_on_pipes()"


class Worker:
    """A child that calls functions for us; a context manager that ends it.

    Attributes:
        seconds: a call may take.
        memory: bytes that it may have resident.
        preload: modules that a child which is not forked imports at once.
    """

    def __init__(self, seconds: float, memory: int, preload: tuple[str, ...] = ()) -> None:
        self.seconds, self.memory, self.preload = seconds, memory, preload
        self._child: Child | None = None
        self._owner = 0

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def start(self) -> None:
        """Start the child now, so that it is ready when it is needed.

        Raises:
            OSError: no process can be started.
        """
        if self._child is None or self._owner != os.getpid():
            self._child = _forked() if _may_fork() else Child.of_command(["-P", "-c", _START, *self.preload])
            self._owner = os.getpid()

    def call(
        self,
        function: Callable[..., Result],
        *arguments: Any,
        told: Callable[[Any], None] | None = None,
        renewed: bool = False,
    ) -> Result:
        """Call a function of a module in the child.

        Args:
            function: known by its module and name; called with the arguments, and with ``tell=`` where ``told`` is given.
            arguments: that can be pickled.
            told: called here with what the function tells there.
            renewed: whether it has as much time again whenever it tells something.

        Raises:
            ChildDiedError: the child died, or took too much time or memory.
            Exception: what the function raised.
        """
        self.start()
        assert self._child is not None
        request = pickle.dumps((function.__module__, function.__qualname__, arguments, told is not None))
        heard = None if told is None else lambda content: told(pickle.loads(content))
        try:
            answer = self._child.ask(request, seconds=self.seconds, memory=self.memory, told=heard, renewed=renewed)
        except BaseException:
            self._child = None  # it is gone
            raise
        result, error = pickle.loads(answer)
        if error is not None:
            raise error
        return result  # type: ignore[no-any-return]

    def close(self) -> None:
        """End the child."""
        if self._child is not None and self._owner == os.getpid():
            self._child.end()
        self._child = None


def _may_fork() -> bool:
    """Whether a fork is safe: Linux, and no other thread that might hold a lock."""
    return sys.platform == "linux" and threading.active_count() == 1 and threading.current_thread() is threading.main_thread()


def _forked() -> Child:
    requests_out, requests_in = os.pipe()
    answers_out, answers_in = os.pipe()
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # native libraries' threads, which are idle here
        pid = os.fork()
    if pid == 0:
        os.close(requests_in)
        os.close(answers_out)
        _serve_forked(requests_out, answers_in)
    os.close(requests_out)
    os.close(answers_in)
    return Child(pid, os.fdopen(requests_in, "wb"), os.fdopen(answers_out, "rb"))


def _serve_forked(requests: int, answers: int) -> NoReturn:
    """In the child: answer, and end without anything that the parent has to do at its own end."""
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        _serve(os.fdopen(requests, "rb"), os.fdopen(answers, "wb"))
    finally:
        os._exit(0)


def serve_on_pipes() -> None:
    """In a child that was started: answer on stdin and stdout."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    for name in sys.argv[1:]:
        import_module(name)
    _serve(requests, answers)


def _serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Call what is asked for until the other side is gone, and then end at once, in the middle of a call too."""
    # Ctrl-C goes to both; the parent ends us.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    faulthandler.disable()
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1):
        os.dup2(nowhere, number)
    came: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    def listen() -> None:
        try:
            while True:
                came.put(read_frame(requests)[1])
        except (EOFError, OSError):
            os._exit(0)

    threading.Thread(target=listen, name="rtqc-parent", daemon=True).start()
    while True:
        answer = _called(came.get(), answers)
        try:
            write_frame(answers, ANSWER, answer)
        except OSError:
            os._exit(0)


def _called(request: bytes, answers: BinaryIO) -> bytes:
    def tell(what: Any) -> None:
        write_frame(answers, TOLD, pickle.dumps(what))

    try:
        module, name, arguments, tells = pickle.loads(request)
        function = import_module(module)
        for part in name.split("."):
            function = getattr(function, part)
        return pickle.dumps((function(*arguments, tell=tell) if tells else function(*arguments), None))  # type: ignore[operator]
    except Exception as error:
        return _pickled(error)


def _pickled(error: Exception) -> bytes:
    """An exception as it is, or as words where it cannot travel."""
    try:
        pickled = pickle.dumps((None, error))
        pickle.loads(pickled)
        return pickled
    except Exception:
        return pickle.dumps((None, RuntimeError(f"{type(error).__name__}: {error}")))
