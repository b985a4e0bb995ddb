"""Where a run's files lie.

Below one folder that holds nothing else::

latest             the last complete run (a link; a copy where links are not allowed)
run-20261125T.../  a run: dashboard, table, summary
reports/3f/3f.../  a plan's report, its JSON and its picture, shared by all runs
status.json        how the run goes, without a word about patients
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rtqc.core.lock import whole_lock
from rtqc.core.whole_file import no_link, own_folder, whole_file
from rtqc.nightly.orders import Outcome
from rtqc.report import JSON_FILE, REPORT_FILE

REPORTS, LATEST, FETCHED, STATUS_FILE = "reports", "latest", "fetched", "status.json"
RUN_PREFIX = "run-"
DASHBOARD_FILE, TABLE_FILE, SUMMARY_FILE, THUMBNAIL_FILE = "index.html", "plans.csv", "summary.json", "thumbnail.svg"
#: A folder of ours says so, so that nobody's export is taken for one.
_MARK, _LOCK = ".rtqc-nightly", ".rtqc-nightly.lock"


class PlaceError(Exception):
    """The folder cannot be used; the message says why and what to do."""


@dataclass(frozen=True)
class Places:
    """The folder of all runs."""

    out: Path

    def check(self, archive: Path) -> None:
        """Whether the folder may be used; nothing is written.

        Raises:
            PlaceError: it holds something else, or lies in the archive, which nobody writes to.
        """
        if self.out.resolve().is_relative_to(archive.resolve()):
            raise PlaceError(f"{self.out} lies inside the archive {archive}, which is never written to: give another --out")
        if self.out.exists() and not self.out.is_dir():
            raise PlaceError(f"{self.out} is a file: give a folder with --out")
        if self.out.exists() and not (self.out / _MARK).exists() and any(self.out.iterdir()):
            raise PlaceError(
                f"{self.out} holds other files: give an empty folder, or one of an earlier rtqc nightly, with --out"
            )

    def make(self) -> None:
        """Make the folder and mark it as ours.

        Raises:
            OSError: it cannot be made.
        """
        self.out.mkdir(parents=True, exist_ok=True)
        os.close(no_link(self.out / _MARK, os.O_WRONLY | os.O_CREAT))

    @contextmanager
    def locked(self, wait_seconds: float, waiting: Callable[[], None]) -> Iterator[None]:
        """Be the only run in this folder.

        Raises:
            PlaceError: another run is here still.
        """
        with whole_lock(self.out / _LOCK, wait_seconds, waiting) as is_ours:
            if not is_ours:
                raise PlaceError(
                    f"another rtqc nightly writes to {self.out}: wait until it has ended, or let this one wait with --wait"
                )
            yield

    def clean(self) -> None:
        """Throw away what a killed run had half made."""
        for part in self.out.glob(f".{RUN_PREFIX}*.part"):
            shutil.rmtree(part, ignore_errors=True)
        for half in (self.out / REPORTS).glob("*/*/.*.part"):
            half.unlink(missing_ok=True)

    def report_folder(self, key: str) -> Path:
        """Of a result."""
        return self.out / report_path(key)

    def write_outcome(self, outcome: Outcome) -> None:
        """Report, JSON and picture of a plan that has a report.

        Raises:
            OSError: they cannot be written; nothing half-written stays.
        """
        if outcome.assessment is None or outcome.report is None:
            return
        folder = self.report_folder(outcome.key)
        own_folder(folder)
        contents = {
            REPORT_FILE: outcome.report,
            JSON_FILE: (outcome.assessment.model_dump_json(indent=2) + "\n").encode("utf-8"),
            THUMBNAIL_FILE: outcome.thumbnail,
        }
        for name, content in contents.items():
            if content is not None:
                with whole_file(folder / name) as file:
                    file.write(content)

    @contextmanager
    def run_folder(self, name: str) -> Iterator[Path]:
        """A run's folder, which is there, and ``latest``, when the block ends without an error."""
        part = self.out / f".{RUN_PREFIX}{name}.part"
        target = self.out / f"{RUN_PREFIX}{name}"
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir()
        yield part
        shutil.rmtree(target, ignore_errors=True)
        part.rename(target)
        self._point_to(target)

    def _point_to(self, target: Path) -> None:
        latest = self.out / LATEST
        link = self.out / f".{LATEST}.part"
        link.unlink(missing_ok=True)
        try:
            link.symlink_to(target.name, target_is_directory=True)
            if latest.exists() and not latest.is_symlink():
                shutil.rmtree(latest)
            link.replace(latest)
        except OSError:  # Windows allows links to administrators only, some shares to nobody
            copy = self.out / f".{LATEST}.copy.part"
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(target, copy)
            if latest.is_symlink():
                latest.unlink()
            shutil.rmtree(latest, ignore_errors=True)
            copy.rename(latest)

    def runs(self) -> list[Path]:
        """Folders of complete runs, newest first."""
        return sorted((p for p in self.out.glob(f"{RUN_PREFIX}*") if p.is_dir()), key=lambda p: p.name, reverse=True)

    def prune_runs(self, keep: int) -> list[Path]:
        """Delete the folders of all but the newest runs, and never the one that ``latest`` points to."""
        latest = self.out / LATEST
        kept = latest.resolve() if latest.exists() else None
        old = [p for p in self.runs()[keep:] if p.resolve() != kept]
        for folder in old:
            shutil.rmtree(folder, ignore_errors=True)
        return old

    def prune_reports(self, keys: list[str]) -> None:
        """Delete the reports of results that the store has forgotten."""
        for key in keys:
            shutil.rmtree(self.report_folder(key), ignore_errors=True)

    def write_status(self, status: dict[str, object]) -> None:
        """For monitoring. That it cannot be written must not end a night."""
        try:
            with whole_file(self.out / STATUS_FILE, durable=False) as file:
                file.write((json.dumps(status, indent=2) + "\n").encode("utf-8"))
        except OSError:
            return


def report_path(key: str) -> str:
    """A result's folder, from the folder of all runs."""
    return f"{REPORTS}/{key[:2]}/{key}"


def nearest_there(path: Path) -> Path:
    """The path, or of the folders above it the first that exists."""
    return next(p for p in (path, *path.resolve().parents) if p.exists())


def size_free(folder: Path) -> int:
    """Bytes free where a folder is, or would be."""
    return shutil.disk_usage(os.fspath(nearest_there(folder))).free
