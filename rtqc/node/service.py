"""The node: receives, checks what is complete, and sends results until they are taken."""

from __future__ import annotations

import logging
import os
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from rtqc.core.wording import listed
from rtqc.dicom import Index, Parts, Peer, Receiver, WebPeer, fingerprint, store
from rtqc.guard import CaseLimits, Guard, Written
from rtqc.node.attempts import MOST_ATTEMPTS, Attempts
from rtqc.node.config import Destination, NodeConfig
from rtqc.node.inbox import Inbox
from rtqc.node.outbox import Outbox, case_name, note_case, short_name
from rtqc.pipeline import Options
from rtqc.qc import load_protocol, rule_ids
from rtqc.report import JSON_FILE, REPORT_FILE

_LOG = logging.getLogger("rtqc.node")

#: Pauses between two looks at inbox and outbox, and between two clean-ups, in s.
_LOOK_SECONDS, _TIDY_SECONDS = 0.5, 3600.0


@dataclass
class Node:
    """A node with its settings.

    Attributes:
        config: where it listens and what it does.
        ended: set it to end :meth:`run`.
    """

    config: NodeConfig
    ended: threading.Event = field(default_factory=threading.Event)

    _digests: dict[tuple[Path, int, int], str] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        """Open inbox and outbox."""
        config = self.config
        self.inbox = Inbox(config.state / "incoming", config.quiet_seconds)
        self.outbox = Outbox(config.state, config.destinations, self._send)
        self.attempts = Attempts(config.state / "attempts")
        self.guard = Guard(CaseLimits(config.case_seconds, config.case_memory_mib << 20))
        self.receiver = Receiver(config.door(), self.inbox.folder, Inbox.folder_name, self.inbox.touched)
        self.options = Options(
            load_protocol(config.protocol, rule_ids()) if config.protocol else None,
            config.model,
            config.device,
            config.threads,
            scope=config.scope,
        )

    def run(self) -> None:
        """Work until :attr:`ended` is set.

        Raises:
            PeerError: the port is taken, or certificates cannot be used.
        """
        self.inbox.open()
        self.outbox.open()
        # Before there are threads and open doors.
        self.guard.start()
        self.receiver.start()
        _LOG.info("%s listens on %s:%d", self.config.ae_title, self.config.host, self.receiver.port)
        sender = threading.Thread(target=self._send_for_ever, name="rtqc-sender", daemon=True)
        sender.start()
        tidied = 0.0
        try:
            while not self.ended.wait(_LOOK_SECONDS):
                self.check_due()
                if time.time() - tidied > _TIDY_SECONDS:
                    tidied = time.time()
                    self._tidy()
        finally:
            self.ended.set()
            self.receiver.stop()
            sender.join(timeout=30)
            self.guard.close()

    def check_due(self) -> None:
        """Check what is complete, and what is quiet as it is; last of all what the node was ended over before."""
        suspects: list[Callable[[], None]] = []
        for folder, quiet in self.inbox.due():
            try:
                index, cases = self.guard.survey(folder, complete=not quiet)
            except FileNotFoundError:  # tidied away
                continue
            for found in cases:
                if found.parts.headers and (quiet or found.complete):
                    self._check_new(found.parts, index, folder, suspects)
        for suspect in suspects:
            suspect()

    def _check_new(self, parts: Parts, index: Index, folder: Path, suspects: list[Callable[[], None]] | None) -> None:
        """Check a case unless it was checked before.

        Args:
            parts: its files.
            index: that they are of.
            folder: where they lie.
            suspects: takes what was begun before and never ended, to be done later; None: it is done now.
        """
        if not (parts.plan or parts.structure_set or parts.series):
            return
        try:
            content = self._content(parts)
            name = case_name(fingerprint(parts), content)
            if self.outbox.knows(name):
                return
            if suspects is not None and self.attempts.count(name):
                suspects.append(lambda: self._check_new(parts, index, folder, None))
                return
            self._say_if_changed(parts, name, content)
            self._check(parts, index, name, content)
        except Exception:  # one case that nobody foresaw must not end the node; it is tried again when something new comes
            _LOG.exception("a case of %s could not be checked", folder.name)

    def _content(self, parts: Parts) -> dict[str, str]:
        """A hash of what each object that a result follows from holds, by SOP Instance UID: one may come again with other content under its old UID."""
        content = {}
        for header in (*parts.headers, *parts.sibling_headers):
            stat = header.path.stat()
            key = (header.path, stat.st_size, stat.st_mtime_ns)
            if key not in self._digests:
                self._digests[key] = self.guard.digest(header.path)
            content[header.uid] = self._digests[key]
        return content

    def _say_if_changed(self, parts: Parts, name: str, content: dict[str, str]) -> None:
        """Log which objects differ from those of the last result of the same UIDs."""
        before = self.outbox.last_content(name)
        if before is None:
            return
        changed = [
            f"{h.modality} {h.uid}" for h in (*parts.headers, *parts.sibling_headers) if before.get(h.uid) != content[h.uid]
        ]
        _LOG.warning(
            "%s came again with other content under the same SOP Instance UID: checked again; the earlier result is kept",
            listed(changed, most=12),
        )

    def _check(self, parts: Parts, index: Index, name: str, content: dict[str, str]) -> None:
        began = time.perf_counter()
        with self.outbox.prepared(name) as folder:
            written = self._written(parts, index, name, folder)
            assessment, left_out = written.assessment, written.left_out
            note_case(
                folder,
                (
                    ("patient_id", assessment.case.patient_id), ("plan", assessment.case.plan_label),
                    ("verdict", assessment.verdict), ("headline", assessment.headline), ("content", content),
                ),
            )  # fmt: skip
            if self.config.reports is not None:
                self._publish(folder, f"{Inbox.folder_name(assessment.case.patient_id)}-{short_name(name)}")
        for kind, why in left_out.items():
            _LOG.warning("%s: no %s: %s", name, kind.upper(), why)
        _LOG.info(
            "%s (%s): %s in %.1f s. %s",
            assessment.case.patient_id, assessment.case.plan_label or "no plan", assessment.verdict,
            time.perf_counter() - began, assessment.headline,
        )  # fmt: skip

    def _written(self, parts: Parts, index: Index, name: str, folder: Path) -> Written:
        """A case's results in a folder; of one that killed the node or its machine before, why there are none."""
        if not self.attempts.begin(name):
            return self.guard.set_aside(parts, f"The node was ended {MOST_ATTEMPTS} times while it checked this plan: look at it by hand.", folder)  # fmt: skip
        try:
            return self.guard.assess(parts, index, self.options, folder=folder, kinds=self.config.results)
        finally:
            self.attempts.end(name)

    def _publish(self, folder: Path, name: str) -> None:
        assert self.config.reports is not None
        target = self.config.reports / name
        target.mkdir(parents=True, exist_ok=True)
        for file in (REPORT_FILE, JSON_FILE):
            part = target / f".{file}.part"
            shutil.copyfile(folder / file, part)
            part.replace(target / file)

    def _send_for_ever(self) -> None:
        while not self.ended.wait(_LOOK_SECONDS):
            try:
                self.outbox.send_due()
            except OSError as error:  # a full disk must not end the sender: marks are written later
                _LOG.error("the outbox could not be worked on: %s", error)

    def _send(self, destination: Destination, files: list[Path]) -> dict[Path, str]:
        if destination.kind == "web":
            token = os.environ.get(destination.token_env, "") if destination.token_env else ""
            return WebPeer(destination.url, token).store(files)
        peer: Peer = self.config.peer(destination)
        return store(peer, files)

    def _tidy(self) -> None:
        self._digests = {key: digest for key, digest in self._digests.items() if key[0].exists()}
        self.inbox.forget(self.config.keep_days)
        self.outbox.give_up(self.config.give_up_days)
        self.outbox.forget(self.config.keep_days)
