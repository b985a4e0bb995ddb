"""A folder that a planning system exports to: each export is checked once and moved away."""

from __future__ import annotations

import logging
import os
import platform
import shutil
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from rtqc.core.log import FIELDS, Identifying
from rtqc.core.walk import files_below, shown_name
from rtqc.dicom import Index, Parts, fingerprint
from rtqc.guard import CaseLimits, Guard, Written
from rtqc.node.attempts import MOST_ATTEMPTS, Attempts
from rtqc.pipeline import Options
from rtqc.report import FILES

_LOG = logging.getLogger("rtqc.node")

#: Folders of our own inside the watched one.
DONE, FAILED, WORKING, RESULTS = "done", "failed", "working", "results"
#: An export is taken when none of its files changed for so long, in s; one that is complete, or one that is not.
_LOOK_SECONDS = 1.0


@dataclass
class Watcher:
    """A watched folder.

    An export is a folder in it, or loose files that lie in it together. It is claimed by moving it to ``working/HOST``, which one
    watcher can do and a second cannot; after the check it is moved to ``done`` or, where no verdict was possible, to ``failed``.
    A watcher that was killed goes on with what it had claimed.

    Attributes:
        folder: the watched one.
        out: where results go; None: ``folder/results``.
        options: how to check.
        quiet_seconds: an export that is not complete is taken when nothing changed for so long.
        settle_seconds: the same for one that is complete.
        dicom: whether results are written as DICOM objects too.
        ended: set it to end :meth:`run`.
        limits: what one plan may take.
    """

    folder: Path
    out: Path | None = None
    options: Options = field(default_factory=Options)
    quiet_seconds: float = 120.0
    settle_seconds: float = 5.0
    dicom: bool = True
    ended: threading.Event = field(default_factory=threading.Event)
    limits: CaseLimits = CaseLimits()
    _seen: dict[Path, tuple[tuple[int, int, int], float]] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        """Where what is being checked lies: a place for each machine, so that one does not go on with another's work."""
        host = platform.node() or "host"
        self._working = self.folder / WORKING / host
        self.attempts = Attempts(self.folder / WORKING / f".attempts-{host}")
        self.guard = Guard(self.limits)

    def run(self) -> None:
        """Watch until :attr:`ended` is set.

        Raises:
            OSError: the folder cannot be read or written.
        """
        for name in (DONE, FAILED):
            (self.folder / name).mkdir(exist_ok=True)
        self._working.mkdir(parents=True, exist_ok=True)
        _LOG.info("watching %s", shown_name(str(self.folder)))
        with self.guard:
            self.guard.start()
            for claimed in sorted(self._working.iterdir()):
                self._work_on(claimed)
            while not self.ended.wait(_LOOK_SECONDS):
                self.look()

    def look(self, now: float | None = None) -> list[Path]:
        """Claim and check what is ready, by a clock that only goes forward; returns where each export went."""
        now = time.monotonic() if now is None else now
        went = []
        for export in self._exports():
            if self._is_ready(export, now):
                claimed = self._claim(export)
                if claimed is not None:
                    went.append(self._work_on(claimed))
        return went

    def _exports(self) -> list[Path]:
        """Folders, and the watched folder itself where loose files lie in it."""
        own = {DONE, FAILED, WORKING, RESULTS}
        entries = [e for e in self.folder.iterdir() if not e.name.startswith(".") and not (e.is_dir() and e.name in own)]
        if self.out is not None:
            entries = [e for e in entries if e.resolve() != self.out.resolve()]
        loose = [self.folder] if any(e.is_file() for e in entries) else []
        return sorted(e for e in entries if e.is_dir()) + loose

    def _files(self, export: Path) -> list[Path]:
        entries = (e for e in export.iterdir() if e.is_file()) if export == self.folder else files_below(export)
        return sorted(f for f in entries if not f.name.startswith("."))

    def _is_ready(self, export: Path, now: float) -> bool:
        """Whether nothing changed since it was looked at first, for long enough."""
        stats = [f.stat() for f in self._files(export)]
        state = (len(stats), sum(s.st_size for s in stats), max((s.st_mtime_ns for s in stats), default=0))
        known = self._seen.get(export)
        if known is None or known[0] != state:
            self._seen[export] = (state, now)
            return False
        still = now - known[1]
        if not stats or still < min(self.settle_seconds, self.quiet_seconds):
            return False
        return still >= self.quiet_seconds or self._is_complete(export)

    def _is_complete(self, export: Path) -> bool:
        if export == self.folder:
            return False  # what else will be laid beside loose files nobody knows
        try:
            _, cases = self.guard.survey(export, complete=True)
        except FileNotFoundError:  # taken away by somebody
            return False
        return all(found.complete for found in cases)

    def _claim(self, export: Path) -> Path | None:
        """Move it to where we work; None where somebody else was faster."""
        self._seen.pop(export, None)
        self._working.mkdir(parents=True, exist_ok=True)
        name = f"loose-{time.strftime('%Y%m%d-%H%M%S')}" if export == self.folder else export.name
        target = _free(self._working / name)
        try:
            if export != self.folder:
                return export.rename(target)
            target.mkdir()
            for file in self._files(export):
                file.rename(target / file.name)
        except FileNotFoundError:
            return None
        return target

    def _work_on(self, claimed: Path) -> Path:
        """Check every case of an export, and move it away."""
        # An export of a name that was there before keeps the earlier export and its results; one that was being checked when we were killed
        # has not been moved yet and gets its name again.
        name = _free_in(claimed.name, self.folder / DONE, self.folder / FAILED)
        results = (self.out or self.folder / RESULTS) / name
        failed, export = False, Identifying(shown_name(claimed.name), "folder")
        index, cases = self.guard.survey(claimed)
        for number, found in enumerate(cases, 1):
            folder = results if len(cases) == 1 else results / f"plan-{number}"
            try:
                written = self._written(found.parts, index, claimed.name, folder)
                for kind, why in written.left_out.items():
                    _LOG.warning("%s: no %s: %s", export, kind.upper(), why)
                assessment = written.assessment
                failed |= assessment.verdict == "error"
                told = {"event": "checked", "export": export, "verdict": assessment.verdict}
                _LOG.info("%s: %s. %s", export, assessment.verdict, assessment.headline, extra={FIELDS: told})
            except Exception:  # one export that nobody foresaw must not end the watch
                failed = True
                _LOG.exception("%s could not be checked", export)
        target = self.folder / (FAILED if failed else DONE) / name
        target.parent.mkdir(exist_ok=True)
        shutil.move(os.fspath(claimed), os.fspath(target))
        return target

    def _written(self, parts: Parts, index: Index, export: str, folder: Path) -> Written:
        """A case's results in a folder; of one that killed the watch or its machine before, why there are none."""
        case = f"{export}/{fingerprint(parts)}"
        if not self.attempts.begin(case):
            self.attempts.end(case)  # the export is moved away with what is said now
            return self.guard.set_aside(parts, f"The watch was ended {MOST_ATTEMPTS} times while it checked this plan: look at it by hand.", folder)  # fmt: skip
        try:
            return self.guard.assess(parts, index, self.options, folder=folder, kinds=FILES if self.dicom else ())
        finally:
            self.attempts.end(case)


def _free_in(name: str, *folders: Path) -> str:
    """The name, or one with a number behind where one of the folders holds it already."""
    names = (name, *(f"{name}-{k}" for k in range(2, 10_000)))
    return next(n for n in names if not any((f / n).exists() for f in folders))


def _free(path: Path) -> Path:
    """The path, or one with a number behind where something is there already."""
    names = (path, *(path.with_name(f"{path.name}-{k}") for k in range(2, 10_000)))
    return next(p for p in names if not p.exists())
