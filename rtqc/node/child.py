"""The process that checks, beside the one that receives.

A check computes for seconds without letting go of Python's lock, and reads what strangers have sent with decoders that may crash. In the process
that receives, it would keep senders waiting until they give up, and take the node with it. So it has a process of its own, which is started when
there is something to check, started again when it has died, and ends with the node, however that ends.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing import connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rtqc.core.lock import whole_lock
from rtqc.core.log import TOLD, Told
from rtqc.node.config import NodeConfig
from rtqc.node.outbox import Outbox

if TYPE_CHECKING:
    from rtqc.node.checker import Failures

_LOG = logging.getLogger("rtqc.node")

#: A process of a node that was killed ends within moments; its files may be touched then, in s.
_ORPHAN_SECONDS = 120.0
#: Held by whoever checks on a state folder.
CHECKING_LOCK = ".checking.lock"
_LOOK_SECONDS = 0.2
_END_SECONDS = 5.0


class CheckerDiedError(Exception):
    """The process is gone without an answer; the message says how it ended."""


@dataclass
class CheckerProcess:
    """A checker in a process of its own.

    Attributes:
        config: of the node.
        ended: when it is set, nobody waits for an answer any more.
    """

    config: NodeConfig
    ended: threading.Event
    _process: Any = field(default=None, repr=False)
    _pipe: Any = field(default=None, repr=False)

    def check(self, folder: Path, quiet: bool) -> Failures | None:
        """As :meth:`rtqc.node.checker.Checker.check`; None where the node ended meanwhile.

        Raises:
            CheckerDiedError: the process has died over it.
        """
        try:
            self._start()
            self._pipe.send((folder, quiet))
            while not self.ended.is_set():
                if not self._pipe.poll(_LOOK_SECONDS):
                    continue
                kind, content = self._pipe.recv()
                if kind == "log":
                    logging.getLogger(content.name).handle(content)
                elif kind == "failed":
                    raise CheckerDiedError(str(content))
                else:
                    answer: Failures = content
                    return answer
        except (EOFError, OSError) as error:
            code = self._end()
            raise CheckerDiedError(_how(code)) from error
        return None

    def _start(self) -> None:
        if self._process is not None and self._process.is_alive():
            return
        self._end()
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, self.config), name="rtqc-checker", daemon=True)
        self._process.start()
        # Ours to close, so that the pipe ends when the process does.
        theirs.close()

    def _end(self) -> int | None:
        """End the process, if there is one; how it ended."""
        process, self._process = self._process, None
        if self._pipe is not None:
            self._pipe.close()
            self._pipe = None
        if process is None:
            return None
        process.join(_LOOK_SECONDS)
        code: int | None = process.exitcode
        if code is None:
            process.kill()
            process.join(_END_SECONDS)
        return code

    def close(self) -> None:
        """End the process; what it was checking is checked again."""
        self._end()


def _how(code: int | None) -> str:
    if code is None or code == 0:
        return "it ended"
    if code > 0:
        return f"it ended with status {code}"
    try:
        return f"it was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"it was ended by signal {-code}"


def _serve(pipe: connection.Connection, config: NodeConfig) -> None:
    """What the process does: one folder after the other, until the node is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _end_with_parent()
    sending = threading.Lock()

    def send(kind: str, content: object) -> None:
        with sending:
            pipe.send((kind, content))

    _log_through(send)
    try:
        with whole_lock(config.state / CHECKING_LOCK, _ORPHAN_SECONDS) as is_ours:
            if not is_ours:
                send("failed", "another process still checks what lies in the state folder")
                return
            from rtqc.node.checker import Checker

            checker = Checker(config, Outbox(config.state, (), lambda *_: {}))
            while True:
                folder, quiet = pipe.recv()
                send("done", checker.check(folder, quiet))
    except (EOFError, OSError):
        return


def _end_with_parent() -> None:
    """A node that was killed takes this process with it, whatever it is doing."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def wait() -> None:
        connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=wait, daemon=True, name="rtqc-parent").start()


class _Through(logging.Handler):
    """Log records go to the node, which knows how they are written."""

    def __init__(self, send: Callable[[str, object], None]) -> None:
        super().__init__()
        self._send = send

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info and record.exc_info[1] is not None:
            setattr(record, TOLD, Told.of(record.exc_info[1], record.exc_info[2]))
        record.exc_info = record.exc_text = record.stack_info = None
        try:
            self._send("log", record)
        except (OSError, ValueError):  # the node is gone
            return
        except Exception:  # an argument that cannot be sent
            record.msg, record.args = record.getMessage(), None
            self._send("log", record)


def _log_through(send: Callable[[str, object], None]) -> None:
    root = logging.getLogger()
    root.handlers[:] = [_Through(send)]
    root.setLevel(logging.WARNING)
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)
    logging.getLogger("pydicom").setLevel(logging.ERROR)
    logging.getLogger("rtqc").setLevel(logging.INFO)
