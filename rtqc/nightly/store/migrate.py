"""A store of an older rtqc is brought up to date, after a copy was made; one of a newer rtqc is refused."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, inspect, text

from rtqc.core.whole_file import whole_path

#: Advisory lock of PostgreSQL while tables are made: "rtqm" in ASCII.
_LOCK_NUMBER = 0x7274716D
_FOLDER = Path(__file__).parent / "migrations"


#: "rtqc" in ASCII: what a SQLite store says of itself, at byte 68 of the file (https://www.sqlite.org/fileformat.html, 1.3.17).
_APPLICATION_ID = 0x72747163
#: Tables that every store has had since the first revision.
_OURS = {"alembic_version", "run", "result"}


class NewerStoreError(Exception):
    """The store was made by a newer rtqc."""


class ForeignDatabaseError(Exception):
    """The database holds what another program keeps; nothing was changed."""


def is_foreign_file(path: Path) -> bool:
    """Whether a SQLite file is another program's; the file is only read, and nothing appears beside it.

    A file that is damaged, empty or no database at all is nobody's: what opens it says so.
    """
    try:
        with path.open("rb") as file:
            header = file.read(100)
    except OSError:
        return False
    if len(header) < 100 or not header.startswith(b"SQLite format 3\x00"):
        return False
    stamp = int.from_bytes(header[68:72], "big")
    if stamp not in (0, _APPLICATION_ID):
        return True
    log = path.with_name(f"{path.name}-wal")
    if log.exists() and log.stat().st_size:
        # Somebody writes, or was cut off: the file alone is not the whole. It has a log already, so that opening it changes nothing; bring_up_to_date looks then.
        return False
    try:
        # immutable: no lock, no journal.
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro&immutable=1", uri=True)) as connection:
            names = {
                n
                for (n,) in connection.execute(
                    "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
                )
            }
    except sqlite3.Error:
        return False
    return bool(names) and not names >= _OURS


def bring_up_to_date(engine: Engine, to: str = "head", *, change: bool = True) -> Path | None:
    """Make the tables, or change those of an older version.

    Args:
        engine: of the store.
        to: revision; tests ask for older ones.
        change: whether a store that is there may be changed.

    Returns:
        The copy that was made of an older SQLite store before it was changed; None where nothing was changed or it is a server's
        (which changes all or nothing, in one transaction).

    Raises:
        NewerStoreError: the store is of a revision that this version does not know.
        ForeignDatabaseError: there are tables, and none says that they are ours.
    """
    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    script = ScriptDirectory.from_config(config)
    known = {r.revision for r in script.walk_revisions()}
    target = script.get_current_head() if to == "head" else to

    def revision(connection: Connection) -> str | None:
        current = MigrationContext.configure(connection).get_current_revision()
        if current is not None and current not in known:
            # Others use Alembic, too.
            raise NewerStoreError(current) if set(inspect(connection).get_table_names()) >= _OURS else ForeignDatabaseError
        return current

    with engine.connect() as connection:
        current = revision(connection)
        is_new = not inspect(connection).get_table_names()
    if current == target or not (change or is_new or current is None):
        return None
    with _alone(engine) as connection:
        # Another process may have done it while we waited for ours.
        current = revision(connection)
        if current == target:
            return None
        if current is None:
            if inspect(connection).get_table_names():
                raise ForeignDatabaseError
            if engine.dialect.name == "sqlite":
                connection.exec_driver_sql(f"PRAGMA application_id = {_APPLICATION_ID}")
        copy = None if current is None else _copied(engine, current)
        config.attributes["connection"] = connection
        command.upgrade(config, to)
    return copy


@contextmanager
def _alone(engine: Engine) -> Iterator[Connection]:
    """A transaction in which nobody else changes the tables; all of it or nothing happens."""
    with engine.begin() as connection:
        if engine.dialect.name == "sqlite":
            # pysqlite begins a transaction by itself for rows only, not for tables.
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        else:
            connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": _LOCK_NUMBER})
        yield connection


def _copied(engine: Engine, revision: str) -> Path | None:
    """A consistent copy of a SQLite store beside it."""
    if engine.dialect.name != "sqlite" or not engine.url.database:
        return None
    source = Path(engine.url.database)
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    target = source.with_name(f"{source.name}.before-{revision}-{stamp}")
    with whole_path(target) as part:
        with sqlite3.connect(source) as old, sqlite3.connect(part) as new:
            old.backup(new)
        new.close()
        old.close()
    return target
