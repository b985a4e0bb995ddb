"""How often a case was begun and never ended, on disk: what killed this process, or the machine, before is not begun for ever."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from rtqc.core.whole_file import whole_file

#: A case that was begun so often, and after which we were never heard of again, is set aside. A case dies in a child of ours, so that one which ends
#: us takes the machine's memory or worse, and is rare; somebody who ends us again and again for his own reasons must not cost plans their checks.
MOST_ATTEMPTS = 8


@dataclass(frozen=True)
class Attempts:
    """Cases that are being checked.

    Attributes:
        folder: holds a file for each, with the number of times that it was begun.
    """

    folder: Path

    def begin(self, case: str) -> bool:
        """Note that a case is begun; False where it was begun too often without an end, and is not to be begun again.

        Args:
            case: anything that tells it from others.

        Raises:
            OSError: it cannot be noted, and must not be begun.
        """
        before = self.count(case)
        if before >= MOST_ATTEMPTS:
            return False
        with whole_file(self._file(case)) as file:
            file.write(str(before + 1).encode())
        return True

    def end(self, case: str) -> None:
        """A case came to an end, whatever it was: who can say so is alive."""
        self._file(case).unlink(missing_ok=True)

    def count(self, case: str) -> int:
        """How often a case was begun without an end."""
        try:
            return int(self._file(case).read_bytes())
        except FileNotFoundError:
            return 0
        except (OSError, ValueError):  # half a file is one of a process that was killed
            return 1

    def _file(self, case: str) -> Path:
        return self.folder / hashlib.sha256(case.encode("utf-8", "surrogateescape")).hexdigest()[:32]
