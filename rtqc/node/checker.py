"""Checking what one patient's folder holds: what is complete, and what is quiet as it is."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from pathlib import Path

from rtqc.core.log import FIELDS, Identifying
from rtqc.core.whole_file import own_folder, whole_file
from rtqc.dicom import Index, Parts, fingerprint
from rtqc.guard import CaseLimits, Guard, Written
from rtqc.node.attempts import MOST_ATTEMPTS, Attempts
from rtqc.node.config import NodeConfig
from rtqc.node.inbox import Inbox
from rtqc.node.outbox import Outbox, case_name, note_case, short_name
from rtqc.pipeline import Options
from rtqc.qc import load_protocol, rule_ids
from rtqc.report import JSON_FILE, REPORT_FILE

_LOG = logging.getLogger("rtqc.node")

#: Hashes that are kept in memory: some hundred patients'.
_MOST_DIGESTS = 50_000
#: Objects that are named in a log line.
_MOST_NAMED = 12


@dataclass(frozen=True)
class Failures:
    """Cases of a folder that could not be checked.

    Attributes:
        of_disk: for want of space, or because a file could not be read or written: that passes.
        others: for a reason that nobody foresaw.
    """

    of_disk: int = 0
    others: int = 0


@dataclass
class Checker:
    """Checks cases, each in a child with a limit of time and memory (:mod:`rtqc.guard`), and leaves their results in the outbox.

    Attributes:
        config: of the node.
        outbox: where results go.
    """

    config: NodeConfig
    outbox: Outbox
    _digests: dict[tuple[Path, int, int], str] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        """What is checked with."""
        config = self.config
        protocol = load_protocol(config.protocol, rule_ids()) if config.protocol else None
        self._options = Options(protocol, config.model, config.device, config.threads, scope=config.scope)
        self._attempts = Attempts(config.state / "attempts")
        self._guard = Guard(CaseLimits(config.case_seconds, config.case_memory_mib << 20))

    def check(self, folder: Path, quiet: bool) -> Failures:
        """Check every case of a folder that is complete, or every one where nothing more will come.

        Args:
            folder: a patient's.
            quiet: whether nothing more will come.
        """
        of_disk = others = 0
        if len(self._digests) > _MOST_DIGESTS:
            self._digests.clear()
        try:
            index, cases = self._guard.survey(folder, complete=not quiet)
        except FileNotFoundError:  # tidied away meanwhile
            return Failures()
        except OSError as error:
            _LOG.error("%s could not be read: %s", Identifying(folder.name, "folder"), error.strerror or error)
            return Failures(of_disk=1)
        ready = [c.parts for c in cases if quiet or c.complete]
        # What was begun before and never ended comes last: it must not cost the others their checks.
        for parts in sorted(ready, key=self._tries):
            if not (parts.plan or parts.structure_set or parts.series):
                continue
            try:
                self._check_new(parts, index)
            except OSError as error:
                of_disk += 1
                _LOG.error(
                    "a case of %s could not be checked: %s; it will be tried again", Identifying(folder.name, "folder"), error.strerror or error,
                )  # fmt: skip
            except Exception:  # one case that nobody foresaw must not end the node
                others += 1
                _LOG.exception("a case of %s could not be checked", Identifying(folder.name, "folder"))
        return Failures(of_disk, others)

    def _tries(self, parts: Parts) -> int:
        return self._attempts.count(fingerprint(parts))

    def _check_new(self, parts: Parts, index: Index) -> None:
        content = self._content(parts)
        name = case_name(fingerprint(parts), content)
        if not self.outbox.knows(name):
            self._say_if_changed(parts, name, content)
            self._check(parts, index, name, content)

    def _content(self, parts: Parts) -> dict[str, str]:
        """A hash of what each object that a result follows from holds, by SOP Instance UID: one may come again with other content under its old UID."""
        content = {}
        for header in (*parts.headers, *parts.sibling_headers):
            stat = header.path.stat()
            key = (header.path, stat.st_size, stat.st_mtime_ns)
            if key not in self._digests:
                self._digests[key] = self._guard.digest(header.path)
            content[header.uid] = self._digests[key]
        return content

    def _say_if_changed(self, parts: Parts, name: str, content: dict[str, str]) -> None:
        """Log which objects differ from those of the last result of the same UIDs."""
        before = self.outbox.last_content(name)
        if before is None:
            return
        changed = [h for h in (*parts.headers, *parts.sibling_headers) if before.get(h.uid) != content[h.uid]]
        for header in changed[:_MOST_NAMED]:
            _LOG.warning(
                "%s %s came again with other content under the same SOP Instance UID", header.modality, Identifying(header.uid, "object")
            )  # fmt: skip
        _LOG.warning("%d objects have other content than before: checked again; the earlier result is kept", len(changed))

    def _check(self, parts: Parts, index: Index, name: str, content: dict[str, str]) -> None:
        began = time.perf_counter()
        with self.outbox.prepared(name) as folder:
            written = self._written(parts, index, folder)
            assessment, left_out = written.assessment, written.left_out
            note_case(
                folder,
                (
                    ("patient_id", assessment.case.patient_id), ("plan", assessment.case.plan_label),
                    ("verdict", assessment.verdict), ("headline", assessment.headline), ("content", content),
                ),
            )  # fmt: skip
            if self.config.reports is not None:
                publish(folder, self.config.reports / f"{Inbox.folder_name(assessment.case.patient_id)}-{short_name(name)}")
        for kind, why in left_out.items():
            _LOG.warning("%s: no %s: %s", short_name(name), kind.upper(), why)
        seconds = time.perf_counter() - began
        patient = Identifying(assessment.case.patient_id)
        plan = Identifying(assessment.case.plan_label, "plan") if assessment.case.plan_label else "no plan"
        told = {
            "event": "checked", "patient": patient, "plan": plan, "case": short_name(name), "verdict": assessment.verdict,
            "seconds": round(seconds, 1), "rules": list(dict.fromkeys(f.rule for f in assessment.findings if f.severity != "info")),
        }  # fmt: skip
        _LOG.info(
            "%s (%s): %s in %.1f s. %s", patient, plan, assessment.verdict, seconds, assessment.headline, extra={FIELDS: told}
        )

    def _written(self, parts: Parts, index: Index, folder: Path) -> Written:
        """A case's results in a folder; of one that killed the node or its machine before, why there are none."""
        case = fingerprint(parts)
        if not self._attempts.begin(case):
            why = f"The node was ended {MOST_ATTEMPTS} times while it checked this plan: look at it by hand."
            return self._guard.set_aside(parts, why, folder)
        try:
            return self._guard.assess(parts, index, self._options, folder=folder, kinds=self.config.results)
        finally:
            self._attempts.end(case)


def publish(folder: Path, target: Path) -> None:
    """Copy report and JSON to where people look.

    Raises:
        OSError: they cannot be written, or the folder is a link.
    """
    own_folder(target)
    for file in (REPORT_FILE, JSON_FILE):
        with whole_file(target / file) as copy:
            copy.write((folder / file).read_bytes())
