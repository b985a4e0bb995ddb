"""The node: receives, has checked what is complete, and sends results until they are taken."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rtqc.core.lock import whole_lock
from rtqc.core.log import FIELDS, Identifying
from rtqc.dicom import Peer, Receiver, WebPeer, store
from rtqc.node.child import CHECKING_LOCK, CheckerDiedError, CheckerProcess
from rtqc.node.config import Destination, NodeConfig
from rtqc.node.inbox import Inbox
from rtqc.node.outbox import Outbox
from rtqc.qc import load_protocol, rule_ids

_LOG = logging.getLogger("rtqc.node")

#: Pauses between two looks at inbox and outbox, and between two clean-ups, in s.
_LOOK_SECONDS, _TIDY_SECONDS = 0.5, 3600.0
#: How long senders have to end, and what a node that was killed has left running, in s.
_END_SECONDS, _ORPHAN_SECONDS = 10.0, 60.0
#: A folder over which checks failed so often, not for want of disk, waits until something new comes.
_MOST_FAILURES = 3
_LOCK = ".node.lock"


class NodeBusyError(Exception):
    """Another node works in the state folder; the message says what to do."""


@dataclass
class Node:
    """A node with its settings.

    Attributes:
        config: where it listens and what it does.
        ended: set it to end :meth:`run`.
    """

    config: NodeConfig
    ended: threading.Event = field(default_factory=threading.Event)
    _failures: Counter[Path] = field(default_factory=Counter, repr=False)

    def __post_init__(self) -> None:
        """Make inbox, outbox and the rest.

        Raises:
            ProtocolError: the protocol cannot be used.
        """
        config = self.config
        if config.protocol:
            load_protocol(config.protocol, rule_ids())
        self.inbox = Inbox(config.state / "incoming", config.quiet_seconds)
        self.outbox = Outbox(config.state, config.destinations, self._send)
        self.receiver = Receiver(config.door(), self.inbox.folder, Inbox.folder_name, self.inbox.touched)
        self.checker = CheckerProcess(config, self.ended)

    def run(self) -> None:
        """Work until :attr:`ended` is set.

        Raises:
            NodeBusyError: another node works in the state folder.
            PeerError: the port is taken, or certificates cannot be used.
            OSError: the state folder cannot be used.
        """
        with self._alone():
            self.inbox.open()
            self.outbox.open()
            self.receiver.start()
            _LOG.info(
                "%s listens on %s:%d", self.config.ae_title, self.config.host, self.receiver.port,
                extra={FIELDS: {"event": "listening", "ae_title": self.config.ae_title, "host": self.config.host, "port": self.receiver.port}},
            )  # fmt: skip
            senders = [
                threading.Thread(target=self._send_for_ever, args=(d,), name=f"rtqc-sender-{d.name}", daemon=True)
                for d in self.config.destinations
            ]
            for sender in senders:
                sender.start()
            tidied = -_TIDY_SECONDS
            try:
                while not self.ended.wait(_LOOK_SECONDS):
                    self.check_due()
                    self.outbox.finish()
                    if time.monotonic() - tidied > _TIDY_SECONDS:
                        tidied = time.monotonic()
                        self._tidy()
            finally:
                self.ended.set()
                self.receiver.stop()
                self.checker.close()
                deadline = time.monotonic() + _END_SECONDS
                for sender in senders:
                    sender.join(timeout=max(deadline - time.monotonic(), 0.0))

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Be the only node in the state folder, and wait for what a killed one has left running."""
        state = self.config.state
        state.mkdir(parents=True, exist_ok=True)
        with whole_lock(state / _LOCK) as is_ours:
            if not is_ours:
                raise NodeBusyError(
                    f"another rtqc node works in {state}: stop it, or give this one a state folder of its own (state = ...)"
                )
            with whole_lock(state / CHECKING_LOCK, _ORPHAN_SECONDS) as nobody_checks:
                if not nobody_checks:
                    raise NodeBusyError(f"a process of an earlier rtqc node still checks in {state}: end it")
            yield

    def check_due(self) -> None:
        """Have checked what is complete, and what is quiet as it is."""
        for folder, quiet in self.inbox.due():
            if self.ended.is_set():
                return
            try:
                contents = self.inbox.contents(folder)
                failures = self.checker.check(folder, quiet)
                if failures is None:
                    return
                if failures.of_disk:
                    self._again(folder)
                elif failures.others:
                    self._again_a_few_times(folder)
                else:
                    self._failures.pop(folder, None)
                    if quiet:
                        self.inbox.checked(folder, contents)
            except CheckerDiedError as error:
                _LOG.error("the process that checked %s is gone: %s", Identifying(folder.name, "folder"), error)
                self._again_a_few_times(folder)
            except OSError as error:
                _LOG.error("%s could not be worked on: %s", Identifying(folder.name, "folder"), error.strerror or error)
                self._again(folder)

    def _again(self, folder: Path) -> None:
        """What failed for want of disk passes by itself."""
        pause = self.inbox.try_again(folder)
        _LOG.info("%s will be looked at again in %.0f s", Identifying(folder.name, "folder"), pause)

    def _again_a_few_times(self, folder: Path) -> None:
        self._failures[folder] += 1
        if self._failures[folder] < _MOST_FAILURES:
            self._again(folder)
            return
        _LOG.error(
            "%s could not be checked %d times: it waits until something new comes, or the node is started again",
            Identifying(folder.name, "folder"), self._failures.pop(folder),
        )  # fmt: skip

    def _send_for_ever(self, destination: Destination) -> None:
        while not self.ended.wait(_LOOK_SECONDS):
            try:
                self.outbox.send_to(destination)
            except OSError as error:  # a full disk must not end the sender: marks are written later
                _LOG.error("the outbox could not be worked on for %s: %s", destination.name, error.strerror or error)

    def _send(self, destination: Destination, files: list[Path]) -> dict[Path, str]:
        if destination.kind == "web":
            token = os.environ.get(destination.token_env, "") if destination.token_env else ""
            return WebPeer(destination.url, token).store(files)
        peer: Peer = self.config.peer(destination)
        return store(peer, files)

    def _tidy(self) -> None:
        try:
            self.inbox.forget(self.config.keep_days)
            self.outbox.give_up(self.config.give_up_days)
            self.outbox.forget(self.config.keep_days)
        except OSError as error:  # tidied up at another time
            _LOG.error("what is old could not be tidied up: %s", error.strerror or error)
