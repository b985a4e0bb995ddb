"""Results on their way: one folder a case, and a mark for each object that a destination has taken.

``preparing/NAME`` becomes ``outbox/NAME`` in one step when everything was written, and ``sent/NAME`` when every destination has
everything. A case whose name is in either is not checked again. An object may be sent twice if the node is killed between the
answer and the mark: as the same SOP Instance, which a destination keeps once.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import secrets
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from rtqc.core.whole_file import whole_file
from rtqc.node.config import Destination
from rtqc.report import FILES

if TYPE_CHECKING:
    from collections.abc import Iterator

_LOG = logging.getLogger("rtqc.node")

#: First and longest pause after a destination failed, in s; each is twice the one before.
_FIRST_PAUSE, _LONGEST_PAUSE = 2.0, 600.0
#: Results are laid aside only by a node that has tried for so long, in s.
_TRIED_SECONDS = 3600.0
_DAY = 86_400.0
#: What a destination said of an object that it will not take, beside its mark.
_REFUSED = ".refused"
#: Between what a case consists of and what that holds; and digits of the latter.
_SEPARATOR, _DIGITS = "-", 24
_NOTE = "case.json"


@dataclass
class Outbox:
    """Results that are to be sent.

    Attributes:
        state: the node's folder.
        destinations: where to.
        send: sends files to a destination; returns why each that was refused was, raises where the destination cannot be reached.
    """

    state: Path
    destinations: tuple[Destination, ...]
    send: Callable[[Destination, list[Path]], dict[Path, str]]
    _pause: dict[str, float] = field(default_factory=dict, repr=False)
    _not_before: dict[str, float] = field(default_factory=dict, repr=False)
    _failures: Counter[tuple[str, str]] = field(default_factory=Counter, repr=False)
    _opened_at: float = field(default=0.0, repr=False)
    _wall: float = field(default=0.0, repr=False)

    def open(self) -> None:
        """Make the folders; what a killed node was preparing is thrown away and prepared again."""
        self._opened_at, self._wall = time.monotonic(), time.time()
        shutil.rmtree(self._folder("preparing"), ignore_errors=True)
        for name in ("preparing", "outbox", "sent", "failed"):
            self._folder(name).mkdir(parents=True, exist_ok=True)

    def _age(self, folder: Path) -> float:
        """Seconds since a folder was changed; a clock that is set while we run makes nothing older."""
        return self._wall + time.monotonic() - self._opened_at - folder.stat().st_mtime

    def _folder(self, name: str) -> Path:
        return self.state / name

    def knows(self, name: str) -> bool:
        """Whether a case was checked already."""
        return any((self._folder(f) / name).is_dir() for f in ("outbox", "sent", "failed"))

    def last_content(self, name: str) -> dict[str, str] | None:
        """Of the latest result of the same objects: what each of them held, by SOP Instance UID; None where there is none."""
        objects = name.partition(_SEPARATOR)[0]
        known = [f for place in ("outbox", "sent", "failed") for f in self._folder(place).glob(f"{objects}{_SEPARATOR}*")]
        for folder in sorted(known, key=lambda f: f.stat().st_mtime, reverse=True):
            try:
                return dict(json.loads((folder / _NOTE).read_text(encoding="utf-8"))["content"])
            except (OSError, ValueError, KeyError, TypeError):
                continue
        return None

    @contextmanager
    def prepared(self, name: str) -> Iterator[Path]:
        """A folder for a case's results, which is in the outbox when the block ends without an error."""
        # A name of its own: a process of a node that was killed, which has not noticed yet, writes nothing into it.
        folder = self._folder("preparing") / f"{name}.{secrets.token_hex(4)}"
        folder.mkdir(parents=True)
        try:
            yield folder
            folder.rename(self._folder("outbox") / name)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def waiting(self) -> list[Path]:
        """Cases that are not wholly sent, oldest first."""
        found = []
        for folder in self._folder("outbox").iterdir():
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):  # moved on by another destination's thread
                found.append((folder.stat().st_mtime, folder.name, folder))
        return [folder for _, _, folder in sorted(found) if folder.is_dir()]

    def send_due(self, now: float | None = None) -> int:
        """Send what can be sent now; returns how many objects were taken."""
        taken = sum(self.send_to(destination, now) for destination in self.destinations)
        self.finish()
        return taken

    def send_to(self, destination: Destination, now: float | None = None) -> int:
        """Send one destination what it can be sent now; returns how many objects were taken. One thread a destination may do so at one time.

        Args:
            destination: where to.
            now: of ``time.monotonic()``.
        """
        at = time.monotonic() if now is None else now
        taken = 0
        # What failed before comes last: one case that a destination cannot bear keeps no other from it.
        for folder in sorted(self.waiting(), key=lambda f: self._failures[destination.name, f.name]):
            if self._not_before.get(destination.name, -float("inf")) > at:
                break
            try:
                taken += self._send(folder, destination, now)
                self._finish(folder)
            except FileNotFoundError:  # another destination was the last to take it, and it was moved on
                continue
        return taken

    def finish(self) -> None:
        """Move on what no destination waits for."""
        for folder in self.waiting():
            self._finish(folder)

    def _finish(self, folder: Path) -> None:
        if not any(self._missing(folder, d) for d in self.destinations):
            with contextlib.suppress(FileNotFoundError):
                folder.rename(self._folder("sent") / folder.name)

    def _missing(self, folder: Path, destination: Destination) -> list[Path]:
        files = [folder / FILES[kind] for kind in destination.results]
        return [
            f
            for f in files
            if f.is_file()
            and not self._mark(folder, destination, f).exists()
            and not self._refusal(folder, destination, f).exists()
        ]

    def _mark(self, folder: Path, destination: Destination, file: Path) -> Path:
        return folder / "taken" / destination.name / file.name

    def _refusal(self, folder: Path, destination: Destination, file: Path) -> Path:
        return self._mark(folder, destination, file).with_name(file.name + _REFUSED)

    def _send(self, folder: Path, destination: Destination, now: float | None) -> int:
        missing = self._missing(folder, destination)
        if not missing:
            return 0
        try:
            refused = self.send(destination, missing)
        except Exception as error:  # whatever a peer or a web server does, it is tried again
            pause = min(self._pause.get(destination.name, _FIRST_PAUSE / 2) * 2, _LONGEST_PAUSE)
            self._failures[destination.name, folder.name] += 1
            self._pause[destination.name] = pause
            # From when it failed, which may be long after it began.
            self._not_before[destination.name] = (time.monotonic() if now is None else now) + pause
            _LOG.warning("%s: %s; again in %.0f s", destination.name, error, pause)
            return 0
        self._pause.pop(destination.name, None)
        self._failures.pop((destination.name, folder.name), None)
        for file in missing:
            if file in refused:
                _LOG.error("%s does not take %s: %s", destination.name, file.name, refused[file])
                _write(self._refusal(folder, destination, file), refused[file])
            else:
                _write(self._mark(folder, destination, file), "")
        _LOG.info(
            "%s: %d of %d objects of %s were taken", destination.name, len(missing) - len(refused), len(missing), folder.name
        )
        return len(missing) - len(refused)

    def give_up(self, older_than_days: float) -> None:
        """Lay results aside that nobody took for so long, if we have tried for a while: a clock that was wrong when we began is no reason."""
        if time.monotonic() - self._opened_at < _TRIED_SECONDS:
            return
        for folder in self.waiting():
            if self._age(folder) > older_than_days * _DAY:
                _LOG.error("%s was not taken for %g days: laid aside in 'failed'", folder.name, older_than_days)
                folder.rename(self._folder("failed") / folder.name)

    def forget(self, older_than_days: float) -> None:
        """Delete what was sent so long ago."""
        for folder in self._folder("sent").iterdir():
            if self._age(folder) > older_than_days * _DAY:
                shutil.rmtree(folder, ignore_errors=True)


def case_name(objects: str, content: Mapping[str, str]) -> str:
    """A name for a case: what it consists of, and what that holds.

    Args:
        objects: :func:`rtqc.dicom.fingerprint` of its SOP Instance UIDs.
        content: hash of what each of them holds, by UID.
    """
    digest = hashlib.sha256("\n".join(f"{uid} {content[uid]}" for uid in sorted(content)).encode()).hexdigest()
    return f"{objects}{_SEPARATOR}{digest[:_DIGITS]}"


def short_name(name: str) -> str:
    """A case's name for a folder that people look into: eight digits of its objects, and eight of their content."""
    objects, _, content = name.partition(_SEPARATOR)
    return f"{objects[:8]}{_SEPARATOR}{content[:8]}"


def note_case(folder: Path, about: Iterable[tuple[str, object]]) -> None:
    """What a case is, for whoever looks into the folder."""
    _write(folder / _NOTE, json.dumps(dict(about), ensure_ascii=False, indent=2) + "\n")


def _write(path: Path, text: str) -> None:
    with whole_file(path) as file:
        file.write(text.encode("utf-8"))
