"""A process of our own that may die: asked over pipes, with a deadline and a limit of memory, and ended where it passes either.

What reads strangers' files in native code cannot be trusted to come back: it may abort, hang, or take all memory. In a child it
takes nobody with it. Messages are frames: a kind (one byte), a length (eight bytes, little-endian), and content.
"""

from __future__ import annotations

import os
import queue
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import IO, Literal

#: Why a child ended: by itself (a crash, or the system's out-of-memory killer), or because we ended it.
Cause = Literal["died", "time", "memory"]
#: Kinds of frames: the last of an answer, and what is told on the way there.
ANSWER, TOLD = b"A", b"T"
_HEAD = struct.Struct("<cQ")
#: How often time and memory are looked at, in s.
_LOOK_SECONDS = 0.1
#: A child that was killed is gone after so long, in s.
_END_SECONDS = 10.0


class ChildDiedError(Exception):
    """The child is gone without an answer.

    Attributes:
        cause: why.
        how: the same in words: ``ended by signal 6 (SIGABRT)``.
    """

    def __init__(self, cause: Cause, how: str) -> None:
        super().__init__(how)
        self.cause, self.how = cause, how

    def __reduce__(self) -> tuple[type, tuple[Cause, str]]:
        return (ChildDiedError, (self.cause, self.how))


def write_frame(stream: IO[bytes], kind: bytes, *content: bytes | memoryview) -> None:
    """Write one message, whose content may come in parts."""
    stream.write(_HEAD.pack(kind, sum(len(c) for c in content)))
    for part in content:
        stream.write(part)
    stream.flush()


def read_frame(stream: IO[bytes], most: int | None = None) -> tuple[bytes, bytes]:
    """The next message: its kind and content.

    Args:
        stream: a pipe.
        most: bytes of content that may come; None: any number.

    Raises:
        EOFError: the other side is gone.
        ValueError: it says that more comes.
    """
    head = stream.read(_HEAD.size)
    if len(head) < _HEAD.size:
        raise EOFError("the other side is gone")
    kind, length = _HEAD.unpack(head)
    if most is not None and length > most:
        raise ValueError(f"an answer of {length} bytes, more than {most}")
    content = stream.read(length)
    if len(content) < length:
        raise EOFError("the other side is gone")
    return kind, content


class Child:
    """A child process that answers requests one after the other.

    Attributes:
        pid: of the process.
    """

    def __init__(self, pid: int, to: IO[bytes], back: IO[bytes], process: subprocess.Popen[bytes] | None = None) -> None:
        """Of a process that runs; see :meth:`of_command`."""
        self.pid, self._to, self._back, self._process = pid, to, back, process

    @classmethod
    def of_command(cls, arguments: Sequence[str]) -> Child:
        """A Python process of this installation, on this process's search path.

        Args:
            arguments: of the interpreter.

        Raises:
            OSError: no process can be started.
        """
        known = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
        process = subprocess.Popen(
            [sys.executable, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=known,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        return cls(process.pid, process.stdin, process.stdout, process)

    def ask(
        self,
        *content: bytes | memoryview,
        seconds: float,
        memory: int | None = None,
        most: int | None = None,
        told: Callable[[bytes], None] | None = None,
        renewed: bool = False,
    ) -> bytes:
        """Send a request and wait for its answer.

        Args:
            content: of the request, in parts.
            seconds: it may take.
            memory: bytes that the child may have resident; None: any number.
            most: bytes that the answer may have.
            told: called with what the child tells on the way.
            renewed: whether it has as much time again whenever it tells something.

        Raises:
            ChildDiedError: the child is gone, because it crashed or because it took too much time or memory; it is of no more use.
        """
        came: queue.SimpleQueue[tuple[bytes, bytes] | Exception] = queue.SimpleQueue()
        exchange = threading.Thread(target=self._exchange, args=(content, most, came), name="rtqc-child", daemon=True)
        exchange.start()
        deadline = time.monotonic() + seconds
        try:
            while True:
                answer = self._next(came, deadline, memory, seconds)
                if answer[0] == ANSWER:
                    exchange.join(_END_SECONDS)
                    return answer[1]
                if renewed:
                    deadline = time.monotonic() + seconds
                if told is not None:
                    told(answer[1])
        except (
            BaseException
        ):  # an interrupt too: who asked no longer waits, and the next request must not get this one's answer
            self.end()
            exchange.join(_END_SECONDS)
            raise

    def _exchange(
        self,
        content: tuple[bytes | memoryview, ...],
        most: int | None,
        came: queue.SimpleQueue[tuple[bytes, bytes] | Exception],
    ) -> None:
        try:
            write_frame(self._to, ANSWER, *content)
            while True:
                kind, answer = read_frame(self._back, most)
                came.put((kind, answer))
                if kind == ANSWER:
                    return
        except Exception as error:  # a pipe that broke, or an answer that is none
            came.put(error)

    def _next(
        self, came: queue.SimpleQueue[tuple[bytes, bytes] | Exception], deadline: float, memory: int | None, seconds: float
    ) -> tuple[bytes, bytes]:
        while True:
            try:
                answer = came.get(timeout=max(min(_LOOK_SECONDS, deadline - time.monotonic()), 0.001))
            except queue.Empty:
                if time.monotonic() >= deadline:
                    raise ChildDiedError("time", f"took longer than {seconds:.3g} s") from None
                if memory is not None and _resident(self.pid) > memory:
                    raise ChildDiedError("memory", f"took more than {memory / (1 << 30):.1f} GiB of memory") from None
                continue
            if isinstance(answer, Exception):
                raise ChildDiedError("died", self._how_it_ended()) from answer
            return answer

    def _how_it_ended(self) -> str:
        status = self._wait()
        if status is None:
            return "gave no answer that can be read"
        if status < 0:
            with suppress(ValueError):
                return f"was ended by signal {-status} ({signal.Signals(-status).name})"
            return f"was ended by signal {-status}"
        return f"ended with status {status}"

    def _wait(self) -> int | None:
        """Exit status of a process that is about to end (negative: its signal); None where it does not."""
        if self._process is not None:
            with suppress(subprocess.TimeoutExpired):
                return self._process.wait(1.0)
            return None
        until = time.monotonic() + 1.0
        while time.monotonic() < until:
            try:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:
                return None
            if pid:
                self.pid = 0
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.005)
        return None

    def end(self) -> None:
        """End the process at once."""
        if self._process is not None:
            self._process.kill()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_END_SECONDS)
        elif self.pid:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            with suppress(ChildProcessError):
                os.waitpid(self.pid, 0)
            self.pid = 0
        for stream in (self._to, self._back):
            with suppress(OSError):
                stream.close()


def _resident(pid: int) -> int:
    """Bytes of memory that a process has resident; 0 where it is gone."""
    import psutil

    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0


def free_memory_share(share: float) -> int:
    """A share of what this machine, or the container that this runs in, has of memory, in bytes."""
    import psutil

    total = int(psutil.virtual_memory().total)
    for name in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        with suppress(OSError, ValueError), open(name, encoding="ascii") as file:
            total = min(total, int(file.read()))
    return int(total * share)
