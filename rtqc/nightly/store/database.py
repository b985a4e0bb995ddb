"""The database behind the store: opened, waited for, locked. Whoever reads or writes hands over what is to be done in one transaction."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, CursorResult, Engine, Select, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, NoSuchModuleError, OperationalError, SQLAlchemyError
from sqlalchemy.orm import Session

from rtqc.core.lock import whole_lock
from rtqc.core.secrets import masked, without
from rtqc.core.version import rtqc_version
from rtqc.nightly.store.migrate import ForeignDatabaseError, NewerStoreError, bring_up_to_date, is_foreign_file
from rtqc.nightly.store.postgresql import DRIVER, AddressError, prepared, without_deadline

#: A server that is away for so long, in s, ends the night; until then it is asked again.
PATIENCE_SECONDS = 600.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 15.0
#: Of a database that two processes open at once: how long one waits for the other's transaction, in ms.
_BUSY_MS = 60_000
#: Advisory lock of PostgreSQL: "rtqc" in ASCII.
_LOCK_NUMBER = 0x72747163

Answer = TypeVar("Answer")


class StoreError(Exception):
    """The store cannot be used; the message names it and says what to do."""


class StoreBusyError(StoreError):
    """Another run uses the store."""


def open_database(
    url: str | Path, *, create: bool = True, upgrade: bool = True, told: Callable[[str], None] | None = None
) -> Database:
    """Open a database, make it where it is absent, bring it up to date where it is old.

    Args:
        url: a file (SQLite), or a URL that SQLAlchemy knows: ``sqlite:///night.sqlite``, ``postgresql://user@host/rtqc``.
        create: whether an absent SQLite file may be made.
        upgrade: whether one of an older version is brought up to date; an absent one is made in any case.
        told: called with a sentence when something was done that somebody should know.

    Raises:
        StoreError: not reachable, not a store, of a newer version, or not writable.
    """
    parsed = _parsed(url)
    shown = masked(parsed.render_as_string(hide_password=True))
    is_file = parsed.get_backend_name() == "sqlite"
    if is_file:
        path = Path(parsed.database or "")
        if not parsed.database or parsed.database == ":memory:":
            raise StoreError("a store in memory is gone when the run ends: give a file")
        if not path.exists() and not create:
            raise StoreError(f"there is no store {path}: run rtqc nightly first, or give its file or URL with --store")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"{path.parent} cannot be made: {error.strerror or error}") from error
        if is_foreign_file(path):
            raise StoreError(_foreign(shown))
    connect_arguments: dict[str, Any] = {}
    if parsed.drivername == DRIVER:
        try:
            parsed, connect_arguments = prepared(parsed)
        except AddressError as error:
            raise StoreError(f"{shown}: {error}") from error
    try:
        engine = create_engine(parsed, pool_pre_ping=not is_file, connect_args=connect_arguments)
    except (ModuleNotFoundError, NoSuchModuleError) as error:
        raise StoreError(
            f"{shown} needs a database driver that is not installed ({error}): pip install 'rtqc[postgresql]'"
        ) from error
    event.listen(engine, "connect", _careful_sqlite if is_file else without_deadline)
    try:
        copy = bring_up_to_date(engine, change=upgrade)
    except NewerStoreError as error:
        engine.dispose()
        raise StoreError(
            f"{shown} was made by a newer rtqc (revision {error}); this is {rtqc_version()}: install the newer one, or give another --store"
        ) from error
    except ForeignDatabaseError as error:
        engine.dispose()
        raise StoreError(_foreign(shown)) from error
    except (SQLAlchemyError, OSError) as error:
        engine.dispose()
        raise StoreError(
            f"{shown} cannot be used: {_why(error, parsed)}. Check the address, that the server runs, and your permissions."
        ) from error
    if copy is not None and told is not None:
        told(f"{shown} was of an older rtqc and was brought up to date; a copy from before is {copy.name}")
    return Database(engine)


class Database:
    """An open database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.patience_seconds = PATIENCE_SECONDS

    def close(self) -> None:
        """Let go of all connections."""
        self._engine.dispose()

    @property
    def shown(self) -> str:
        """Its URL without a password."""
        return masked(self._engine.url.render_as_string(hide_password=True))

    def do(self, work: Callable[[Session], Answer]) -> Answer:
        """Do it in one transaction. A server that went away is asked again: everything we write may be written twice.

        Raises:
            StoreError: it did not come back.
        """

        def once() -> Answer:
            with Session(self._engine, expire_on_commit=False) as session, session.begin():
                return work(session)

        return self._patiently(once)

    def stream(self, query: Select[Any], at_once: int) -> Iterator[Any]:
        """Rows of a query that has an order, some at a time, each once, even where the server restarts in the middle.

        Raises:
            StoreError: it did not come back.
        """
        done = 0

        def begun() -> tuple[Connection, CursorResult[Any]]:
            connection = self._engine.connect().execution_options(stream_results=True, yield_per=at_once)
            try:
                return connection, connection.execute(query.offset(done))
            except BaseException:
                connection.close()
                raise

        while True:
            connection, rows = self._patiently(begun)
            try:
                with connection:
                    for row in rows:
                        done += 1
                        yield row
                return
            except DBAPIError as error:
                if not self._may_pass(error):
                    raise self._given_up(error) from error

    @contextmanager
    def locked(self, wait_seconds: float = 0.0, waiting: Callable[[], None] | None = None) -> Iterator[None]:
        """Be the only run on this store. The lock is gone when its process is, however that ended.

        Args:
            wait_seconds: how long to wait for another run.
            waiting: called once when there is one.

        Raises:
            StoreBusyError: another run has it still.
        """
        lock = self._file_lock if self._engine.dialect.name == "sqlite" else self._server_lock
        with lock(wait_seconds, waiting):
            yield

    @contextmanager
    def _file_lock(self, wait_seconds: float, waiting: Callable[[], None] | None) -> Iterator[None]:
        with whole_lock(Path(f"{self._engine.url.database}.lock"), wait_seconds, waiting) as is_ours:
            if not is_ours:
                raise StoreBusyError(self._busy())
            yield

    @contextmanager
    def _server_lock(self, wait_seconds: float, waiting: Callable[[], None] | None) -> Iterator[None]:
        give_up = time.monotonic() + wait_seconds
        take = text("SELECT pg_try_advisory_lock(:number)")
        connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        try:
            told = False
            while not connection.scalar(take, {"number": _LOCK_NUMBER}):
                if not told and waiting is not None:
                    waiting()
                told = True
                if time.monotonic() >= give_up:
                    raise StoreBusyError(self._busy())
                time.sleep(0.5)
            yield
        finally:
            # The session ends, and its lock with it; a connection that was cut has none any more.
            connection.invalidate()
            connection.close()

    def _busy(self) -> str:
        return f"another rtqc nightly uses {self.shown}: wait until it has ended, or let this one wait with --wait"

    def _patiently(self, attempt: Callable[[], Answer]) -> Answer:
        give_up = time.monotonic() + self.patience_seconds
        pause = _FIRST_PAUSE
        while True:
            try:
                return attempt()
            except DBAPIError as error:
                if not self._may_pass(error) or time.monotonic() + pause > give_up:
                    raise self._given_up(error) from error
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _given_up(self, error: DBAPIError) -> StoreError:
        return StoreError(
            f"{self.shown}: {_why(error, self._engine.url)}. What was stored before stays; start again when this is mended."
        )

    def _may_pass(self, error: DBAPIError) -> bool:
        """Whether it may work in a moment: a server that restarts, a file that another process writes."""
        if self._engine.dialect.name == "sqlite":
            return "locked" in str(error.orig)
        lost = error.connection_invalidated or isinstance(error, OperationalError | InterfaceError)
        # Classes of SQLSTATE: connection, resources, operator's intervention (a server that stops or starts), system.
        return lost or _server_said(error).get("C", "")[:2] in ("08", "53", "57", "58")


def _careful_sqlite(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={_BUSY_MS}")
    cursor.execute("PRAGMA journal_mode=WAL")
    # A result that is there is there after a power cut.
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _parsed(url: str | Path) -> URL:
    told = str(url)
    if isinstance(url, Path) or "://" not in told:
        return URL.create("sqlite", database=str(Path(told)))
    try:
        parsed = make_url(told)
    except (ArgumentError, ValueError):
        raise StoreError(f"'{masked(told)}' is not a database URL: give a file, or postgresql://user@host/database") from None
    if parsed.get_backend_name() not in ("sqlite", "postgresql"):
        raise StoreError(f"a store is SQLite or PostgreSQL, not {parsed.get_backend_name()}")
    return parsed.set(drivername=DRIVER) if parsed.drivername in ("postgresql", "postgres") else parsed


def _why(error: Exception, url: URL) -> str:
    reason = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    text = (_server_said(error).get("M") or str(reason)).strip()
    return without(text.splitlines()[0] if text else type(error).__name__, url.password)


def _server_said(error: Exception) -> dict[str, str]:
    """What a PostgreSQL server said, by the letters of its protocol: C the SQLSTATE, M the sentence."""
    reason = error.orig if isinstance(error, DBAPIError) else None
    told = reason.args[0] if reason is not None and reason.args else None
    return {str(k): str(v) for k, v in told.items()} if isinstance(told, dict) else {}


def _foreign(shown: str) -> str:
    return (
        f"{shown} is a database of another program and stays as it is: give a new file, or a database of its own, with --store"
    )
