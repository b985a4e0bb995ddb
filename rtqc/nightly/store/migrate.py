"""A store of an older rtqc is brought up to date, after a copy was made; one of a newer rtqc is refused."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, inspect

_FOLDER = Path(__file__).parent / "migrations"


class NewerStoreError(Exception):
    """The store was made by a newer rtqc."""


def bring_up_to_date(engine: Engine, to: str = "head") -> Path | None:
    """Make the tables, or change those of an older version.

    Args:
        engine: of the store.
        to: revision; tests ask for older ones.

    Returns:
        The copy that was made of an older SQLite store before it was changed; None where nothing was changed or it is a server's
        (which changes all or nothing, in one transaction).

    Raises:
        NewerStoreError: the store is of a revision that this version does not know.
    """
    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    script = ScriptDirectory.from_config(config)
    known = {r.revision for r in script.walk_revisions()}
    with engine.connect() as connection:
        current = MigrationContext.configure(connection).get_current_revision()
        is_new = not inspect(connection).get_table_names()
    if current is not None and current not in known:
        raise NewerStoreError(current)
    target = script.get_current_head() if to == "head" else to
    if current == target:
        return None
    copy = None if is_new else _copied(engine, str(current))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, to)
    return copy


def _copied(engine: Engine, revision: str) -> Path | None:
    """A consistent copy of a SQLite store beside it."""
    if engine.dialect.name != "sqlite" or not engine.url.database:
        return None
    source = Path(engine.url.database)
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    target = source.with_name(f"{source.name}.before-{revision}-{stamp}")
    with sqlite3.connect(source) as old, sqlite3.connect(target) as new:
        old.backup(new)
    new.close()
    old.close()
    return target
