"""What is known of an archive's files, a folder at a time: an unchanged file is not opened again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path
from typing import Any

from sqlalchemy import bindparam, delete, insert, select
from sqlalchemy.orm import Session

from rtqc.dicom import Header, Scanned
from rtqc.nightly.store.database import Database
from rtqc.nightly.store.tables import FileRow

#: Of a header, without its path: that is the archive's and the name.
_FIELDS = tuple(f.name for f in fields(Header) if f.name not in ("path", "name"))
#: So many new files are kept in one transaction.
_BATCH = 2000
#: A file of a longer name is read each time: PostgreSQL's keys end at 2,700 bytes.
_LONGEST_NAME = 600


def _is_text(name: str) -> bool:
    """Whether a name is UTF-8; others exist, and no database takes them."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


class FileMemory:
    """As :class:`rtqc.dicom.Memory`; :meth:`finish` ends a scan."""

    def __init__(self, database: Database, archive: str) -> None:
        self._database = database
        self._archive = archive
        self._folder: str | None = None
        self._known: dict[str, tuple[int, int, Any]] = {}
        self._seen: set[str] = set()
        self._new: list[dict[str, Any]] = []
        self._strings: dict[str, str] = {}
        self.opened = 0

    def recall(self, path: Path, name: str, size: int, changed_ns: int) -> tuple[Scanned] | None:
        """What the file was; None where it is not known or has changed."""
        folder = name.rpartition("/")[0]
        if folder != self._folder:
            self._enter(folder)
        known = self._known.get(name)
        if known is None or known[:2] != (size, changed_ns):
            return None
        return (self._header(path, name, known[2]),)

    def _enter(self, folder: str) -> None:
        self._folder = folder
        if folder in self._seen:
            self._flush()
        self._seen.add(folder)
        query = select(FileRow.name, FileRow.size, FileRow.changed_ns, FileRow.header).where(
            FileRow.archive == self._archive, FileRow.folder == folder
        )
        self._known = self._database.do(lambda s: {row[0]: (row[1], row[2], row[3]) for row in s.execute(query)})

    def _header(self, path: Path, name: str, kept: list[Any] | None) -> Header | None:
        if kept is None:
            return None
        # A patient's name stands in each of his slices: once is enough.
        values = [self._strings.setdefault(v, v) if isinstance(v, str) else tuple(v) for v in kept]
        told: dict[str, Any] = dict(zip(_FIELDS, values, strict=True))
        return Header(path=path, name=name, **told)

    def remember(self, name: str, size: int, changed_ns: int, scanned: Scanned) -> None:
        """Keep what the file was; a changed file's digest is forgotten."""
        self.opened += 1
        if len(name) > _LONGEST_NAME or not _is_text(name):
            return
        kept = None
        if isinstance(scanned, Header):
            kept = [list(v) if isinstance(v, tuple) else v for v in (getattr(scanned, f) for f in _FIELDS)]
        self._new.append(
            {
                "archive": self._archive, "name": name, "folder": name.rpartition("/")[0], "size": size, "changed_ns": changed_ns,
                "header": kept, "digest": "",
            }
        )  # fmt: skip
        if len(self._new) >= _BATCH:
            self._flush()

    def _flush(self) -> None:
        if not self._new:
            return
        # One row a name: of a name that comes twice the last one counts.
        new = list({row["name"]: row for row in self._new}.values())
        gone = delete(FileRow).where(FileRow.archive == self._archive, FileRow.name == bindparam("gone"))

        def work(session: Session) -> None:
            connection = session.connection()
            connection.execute(gone, [{"gone": row["name"]} for row in new])
            connection.execute(insert(FileRow), new)

        self._database.do(work)
        self._new = []

    def finish(self) -> None:
        """Keep the rest, and forget the files of folders that are not there any more."""
        self._flush()

        def work(session: Session) -> None:
            folders = set(session.scalars(select(FileRow.folder).where(FileRow.archive == self._archive).distinct()))
            for folder in folders - self._seen:
                session.execute(delete(FileRow).where(FileRow.archive == self._archive, FileRow.folder == folder))

        self._database.do(work)

    def digests(self, names: Iterable[str]) -> dict[str, str]:
        """Digests that are known, by name."""
        wanted = list(names)

        def work(session: Session) -> dict[str, str]:
            found: dict[str, str] = {}
            for start in range(0, len(wanted), 500):
                query = select(FileRow.name, FileRow.digest).where(
                    FileRow.archive == self._archive, FileRow.name.in_(wanted[start : start + 500]), FileRow.digest != ""
                )
                found.update({row[0]: row[1] for row in session.execute(query)})
            return found

        return self._database.do(work)
