"""What was received, by patient, and when it is time to check it.

When something came is counted on a clock that only goes forward, so that nobody who sets the machine's clock brings a plan to be checked early,
late or never. That all of a patient's objects were checked is written down (``checked/``, beside the folders); without that nothing is deleted.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from rtqc.core.file_names import distinct_name
from rtqc.core.log import Identifying
from rtqc.core.whole_file import whole_file

_LOG = logging.getLogger("rtqc.node")

#: A plan that is complete is checked when nothing came for so long, in s.
SETTLE_SECONDS = 2.0
#: What could not be checked is tried again after so long, each time twice as long, in s.
_FIRST_PAUSE, _LONGEST_PAUSE = 15.0, 600.0
_CHECKED, _FORGOTTEN = "checked", "forgotten"
_DAY = 86_400.0


@dataclass
class _Again:
    at: float
    pause: float


@dataclass
class Inbox:
    """Patients' folders of received objects.

    Attributes:
        folder: they lie in it.
        quiet_seconds: after which what is there is all there will be.
    """

    folder: Path
    quiet_seconds: float
    _changed: dict[Path, float] = field(default_factory=dict, repr=False)
    _looked_at: dict[Path, float] = field(default_factory=dict, repr=False)
    _again: dict[Path, _Again] = field(default_factory=dict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def open(self) -> None:
        """Make the folder, throw away what a killed node had half written, and look once at everything that was not checked."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for part in self.folder.rglob("*.part"):
            part.unlink(missing_ok=True)
        # Killed while it was being deleted: it may hold what came in that moment.
        for aside in self._aside().iterdir() if self._aside().is_dir() else ():
            self._put_back(aside)
        now, wall = time.monotonic(), time.time()
        for folder in self.folder.iterdir():
            if folder.is_dir():
                newest = max((f.stat().st_mtime for f in folder.iterdir()), default=folder.stat().st_mtime)
                # A time in the future is a clock that was wrong.
                self._changed[folder] = now - max(wall - newest, 0.0)
                if self.is_checked(folder):
                    self._looked_at[folder] = now

    @staticmethod
    def folder_name(patient_id: str) -> str:
        """A folder's name for a Patient ID: readable, and never the same for two IDs."""
        return distinct_name(patient_id, "patient")

    def touched(self, folder: Path) -> None:
        """Something was written there."""
        with self._lock:
            self._changed[folder] = time.monotonic()

    def due(self, now: float | None = None) -> list[tuple[Path, bool]]:
        """Folders to look at now, and whether they are quiet; whoever cannot check one says so (:meth:`try_again`).

        Each is due once when nothing came for a moment, because the last of several doses makes a plan as complete as the first,
        and once more when it is quiet.

        Args:
            now: of ``time.monotonic()``.
        """
        now = time.monotonic() if now is None else now
        found = []
        with self._lock:
            for folder, changed in self._changed.items():
                last = self._looked_at.get(folder, -float("inf"))
                quiet_at = changed + self.quiet_seconds
                settled_at = min(changed + SETTLE_SECONDS, quiet_at)
                again = self._again.get(folder)
                if last < quiet_at <= now or last < settled_at <= now or (again is not None and again.at <= now):
                    found.append((folder, quiet_at <= now))
                    self._looked_at[folder] = now
                    if again is not None:
                        again.at = float("inf")
        return found

    def try_again(self, folder: Path, now: float | None = None) -> float:
        """What could not be checked is due again; returns after how long, in s."""
        now = time.monotonic() if now is None else now
        with self._lock:
            again = self._again.get(folder)
            pause = min(again.pause * 2, _LONGEST_PAUSE) if again is not None else _FIRST_PAUSE
            self._again[folder] = _Again(now + pause, pause)
        return pause

    def contents(self, folder: Path) -> str:
        """A word for what a folder holds now."""
        stats = sorted((f.name, s.st_size, s.st_mtime_ns) for f in folder.glob("*.dcm") for s in (f.stat(),))
        return hashlib.sha256(repr(stats).encode("utf-8", "surrogateescape")).hexdigest()

    def checked(self, folder: Path, contents: str) -> None:
        """All of it was checked, as it was when it had these contents; said on disk.

        Raises:
            OSError: that cannot be written.
        """
        with whole_file(self._mark(folder)) as file:
            file.write(contents.encode("ascii"))
        with self._lock:
            self._again.pop(folder, None)

    def is_checked(self, folder: Path) -> bool:
        """Whether all that a folder holds was checked."""
        try:
            return self._mark(folder).read_text(encoding="ascii") == self.contents(folder)
        except (OSError, ValueError):
            return False

    def _delete(self, folder: Path) -> bool:
        """Delete what was checked; False where something came in this very moment, which stays."""
        aside = self._aside(folder.name)
        aside.parent.mkdir(exist_ok=True)
        try:
            folder.rename(aside)
        except OSError:
            return False
        if self._mark(folder).read_text(encoding="ascii") != self.contents(aside):
            self._put_back(aside)
            return False
        shutil.rmtree(aside, ignore_errors=True)
        self._mark(folder).unlink(missing_ok=True)
        return True

    def _aside(self, name: str = "") -> Path:
        return self.folder.with_name(_FORGOTTEN) / name

    def _put_back(self, aside: Path) -> None:
        folder = self.folder / aside.name
        folder.mkdir(exist_ok=True)
        for file in aside.iterdir():
            # What came under its name since is newer.
            if not (folder / file.name).exists():
                file.rename(folder / file.name)
        shutil.rmtree(aside, ignore_errors=True)

    def _mark(self, folder: Path) -> Path:
        return self.folder.with_name(_CHECKED) / folder.name

    def forget(self, older_than_days: float, now: float | None = None) -> None:
        """Delete patients of whom nothing came for so long, and all of whose objects were checked."""
        now = time.monotonic() if now is None else now
        with self._lock:
            old = [folder for folder, changed in self._changed.items() if changed < now - older_than_days * _DAY]
        for folder in old:
            if not self.is_checked(folder):
                _LOG.error("what came into %s was never checked: it is kept", Identifying(folder.name, "folder"))
                continue
            if not self._delete(folder):
                self.touched(folder)
                continue
            with self._lock:
                for known in (self._changed, self._looked_at, self._again):
                    known.pop(folder, None)
