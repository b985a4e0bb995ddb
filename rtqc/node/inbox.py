"""What was received, by patient, and when it is time to check it."""

from __future__ import annotations

import shutil
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from rtqc.core.file_names import distinct_name

#: A plan that is complete is checked when nothing came for so long, in s.
SETTLE_SECONDS = 2.0


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
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def open(self) -> None:
        """Make the folder, throw away what a killed node had half written, and look at everything once."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for part in self.folder.rglob("*.part"):
            part.unlink(missing_ok=True)
        for folder in self.folder.iterdir():
            if folder.is_dir():
                newest = max((f.stat().st_mtime for f in folder.iterdir()), default=folder.stat().st_mtime)
                self._changed[folder] = newest

    @staticmethod
    def folder_name(patient_id: str) -> str:
        """A folder's name for a Patient ID: readable, and never the same for two IDs."""
        return distinct_name(patient_id, "patient")

    def touched(self, folder: Path) -> None:
        """Something was written there."""
        with self._lock:
            self._changed[folder] = time.time()

    def due(self, now: float | None = None) -> list[tuple[Path, bool]]:
        """Folders to look at now, and whether they are quiet.

        Each is due once when nothing came for a moment, because the last of several doses makes a plan as complete as the first,
        and once more when it is quiet.
        """
        now = time.time() if now is None else now
        found = []
        with self._lock:
            for folder, changed in self._changed.items():
                last = self._looked_at.get(folder, -1.0)
                quiet_at = changed + self.quiet_seconds
                settled_at = min(changed + SETTLE_SECONDS, quiet_at)
                if last < quiet_at <= now or last < settled_at <= now:
                    found.append((folder, quiet_at <= now))
                    self._looked_at[folder] = now
        return found

    def forget(self, older_than_days: float) -> None:
        """Delete patients of whom nothing came for so long."""
        limit = time.time() - older_than_days * 86400
        with self._lock:
            old = [folder for folder, changed in self._changed.items() if changed < limit]
            for folder in old:
                shutil.rmtree(folder, ignore_errors=True)
                self._changed.pop(folder)
                self._looked_at.pop(folder, None)
