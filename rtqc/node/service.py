"""The node: receives, checks what is complete, and sends results until they are taken."""

from __future__ import annotations

import logging
import os
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from rtqc.core.whole_file import own_folder, whole_file
from rtqc.dicom import (
    Index,
    Parts,
    Peer,
    Receiver,
    WebPeer,
    content_digest,
    fingerprint,
    index_folder,
    is_complete,
    load_case,
    named,
    plan_cases,
    store,
)
from rtqc.node.config import Destination, NodeConfig
from rtqc.node.inbox import Inbox
from rtqc.node.outbox import Outbox, case_name, note_case, short_name
from rtqc.pipeline import Options, assess_fully
from rtqc.qc import load_protocol, rule_ids
from rtqc.report import JSON_FILE, REPORT_FILE, write_objects, write_results

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

    def check_due(self) -> None:
        """Check what is complete, and what is quiet as it is."""
        for folder, quiet in self.inbox.due():
            index = index_folder(folder)
            for parts in plan_cases(index):
                if not (parts.plan or parts.structure_set or parts.series) or not (quiet or is_complete(parts)):
                    continue
                try:
                    content = self._content(parts)
                    name = case_name(fingerprint(parts), content)
                    if self.outbox.knows(name):
                        continue
                    self._say_if_changed(parts, name, content)
                    self._check(parts, index, name, content)
                except (
                    Exception
                ):  # one case that nobody foresaw must not end the node; it is tried again when something new comes
                    _LOG.exception("a case of %s could not be checked", folder.name)

    def _content(self, parts: Parts) -> dict[str, str]:
        """A hash of what each object that a result follows from holds, by SOP Instance UID: one may come again with other content under its old UID."""
        content = {}
        for header in (*parts.headers, *parts.sibling_headers):
            stat = header.path.stat()
            key = (header.path, stat.st_size, stat.st_mtime_ns)
            if key not in self._digests:
                self._digests[key] = content_digest(header.path)
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
            named(changed, most=12),
        )

    def _check(self, parts: Parts, index: Index, name: str, content: dict[str, str]) -> None:
        began = time.perf_counter()
        assessed = assess_fully(load_case(parts, index), self.options)
        assessment = assessed.assessment
        with self.outbox.prepared(name) as folder:
            write_results(assessed, folder)
            _, left_out = write_objects(assessed, folder, self.config.results)
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

    def _publish(self, folder: Path, name: str) -> None:
        assert self.config.reports is not None
        target = self.config.reports / name
        own_folder(target)
        for file in (REPORT_FILE, JSON_FILE):
            with whole_file(target / file) as copy:
                copy.write((folder / file).read_bytes())

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
