"""The store: opened, locked, written in whole transactions, read as plain rows."""

from __future__ import annotations

import getpass
import hashlib
import hmac
import json
import platform
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import URL, Engine, Select, create_engine, delete, event, func, insert, make_url, select, text, update
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, OperationalError, SQLAlchemyError
from sqlalchemy.orm import Session

from rtqc.core.assessment import Assessment
from rtqc.core.version import rtqc_version
from rtqc.nightly.lock import whole_lock
from rtqc.nightly.store.files import FileMemory
from rtqc.nightly.store.migrate import NewerStoreError, bring_up_to_date
from rtqc.nightly.store.results import ROW_COLUMNS, Acknowledgement, NewResult, Row
from rtqc.nightly.store.tables import AcknowledgementRow, FileRow, FindingRow, ResultRow, RunRow, SettingRow
from rtqc.qc import numbers_of_assessment

#: A server that is away for so long, in s, ends the night; until then it is asked again.
PATIENCE_SECONDS = 600.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 15.0
#: Lengths of text columns; what a file says may be longer.
_LENGTHS: dict[str, int] = {
    c.name: length for c in ResultRow.__table__.columns if (length := getattr(c.type, "length", None)) is not None
}
#: Of a database that two processes open at once: how long one waits for the other's transaction, in ms.
_BUSY_MS = 60_000
#: Advisory lock of PostgreSQL: "rtqc" in ASCII.
_LOCK_NUMBER = 0x72747163

Answer = TypeVar("Answer")


class StoreError(Exception):
    """The store cannot be used; the message names it and says what to do."""


class StoreBusyError(StoreError):
    """Another run uses the store."""


@dataclass(frozen=True)
class RunRecord:
    """A run as the store knows it."""

    id: int
    name: str
    archive: str
    started: datetime
    ended: datetime | None
    counts: dict[str, Any]


def open_store(url: str | Path, *, create: bool = True, told: Callable[[str], None] | None = None) -> Store:
    """Open a store, make it where it is absent, bring it up to date where it is old.

    Args:
        url: a file (SQLite), or a URL that SQLAlchemy knows: ``sqlite:///night.sqlite``, ``postgresql://user@host/rtqc``.
        create: whether an absent SQLite file may be made.
        told: called with a sentence when something was done that somebody should know.

    Raises:
        StoreError: not reachable, not a store, of a newer version, or not writable.
    """
    parsed = _parsed(url)
    shown = parsed.render_as_string(hide_password=True)
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
    try:
        engine = create_engine(parsed, pool_pre_ping=not is_file, connect_args={} if is_file else {"connect_timeout": 10})
    except (ModuleNotFoundError, NoSuchModuleError) as error:
        raise StoreError(
            f"{shown} needs a database driver that is not installed ({error}): pip install 'rtqc[postgresql]'"
        ) from error
    if is_file:
        event.listen(engine, "connect", _careful_sqlite)
    try:
        copy = bring_up_to_date(engine)
    except NewerStoreError as error:
        engine.dispose()
        raise StoreError(
            f"{shown} was made by a newer rtqc (revision {error}); this is {rtqc_version()}: install the newer one, or give another --store"
        ) from error
    except SQLAlchemyError as error:
        engine.dispose()
        raise StoreError(
            f"{shown} cannot be used: {_why(error)}. Check the address, that the server runs, and your permissions."
        ) from error
    if copy is not None and told is not None:
        told(f"{shown} was of an older rtqc and was brought up to date; a copy from before is {copy.name}")
    return Store(engine)


class Store:
    """An open store. One process writes at a time (:meth:`locked`); any number may read."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.patience_seconds = PATIENCE_SECONDS
        self._secret = ""

    def close(self) -> None:
        """Let go of all connections."""
        self._engine.dispose()

    @property
    def shown(self) -> str:
        """Its URL without a password."""
        return self._engine.url.render_as_string(hide_password=True)

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

    def memory(self, archive: str) -> FileMemory:
        """What is known of an archive's files."""
        return FileMemory(self._engine, archive)

    def begin_run(self, archive: str, settings: dict[str, object]) -> tuple[RunRecord, bool]:
        """Begin a run, or go on with the one of this archive that was killed.

        Returns:
            The run, and whether it goes on with one.
        """

        def work(session: Session) -> tuple[RunRecord, bool]:
            last = session.scalars(select(RunRow).where(RunRow.archive == archive).order_by(RunRow.id.desc()).limit(1)).first()
            if last is not None and last.ended is None:
                return _record(last), True
            now = _now()
            base = now.strftime("%Y%m%dT%H%M%SZ")
            taken = set(session.scalars(select(RunRow.name).where(RunRow.name.startswith(base))))
            name = next(n for n in (base, *(f"{base}-{k}" for k in range(2, 10_000))) if n not in taken)
            row = RunRow(
                name=name, archive=archive, started=now, host=platform.node(), user=_user(), version=rtqc_version(), settings=settings,
                counts={},
            )  # fmt: skip
            session.add(row)
            session.flush()
            return _record(row), False

        return self._write(work)

    def end_run(self, run: RunRecord, counts: dict[str, object]) -> None:
        """The run is complete."""
        self._write(lambda s: s.execute(update(RunRow).where(RunRow.id == run.id).values(ended=_now(), counts=counts)))

    def runs(self) -> list[RunRecord]:
        """All runs, newest first."""
        return self._read(lambda s: [_record(r) for r in s.scalars(select(RunRow).order_by(RunRow.id.desc()))])

    def known_keys(self) -> dict[str, tuple[str, ...]]:
        """Keys of all results, by identity."""

        def work(session: Session) -> dict[str, tuple[str, ...]]:
            found: dict[str, tuple[str, ...]] = {}
            for identity, key in session.execute(select(ResultRow.identity, ResultRow.key)):
                found[identity] = (*found.get(identity, ()), key)
            return found

        return self._read(work)

    def keys_with(self, verdicts: Iterable[str]) -> set[str]:
        """Keys of the results with one of these verdicts."""
        wanted = tuple(verdicts)
        return self._read(lambda s: set(s.scalars(select(ResultRow.key).where(ResultRow.verdict.in_(wanted)))))

    def make_current(self, keys: Iterable[str]) -> None:
        """These results speak for their plans again: a file that was restored, a protocol that is back in use."""
        wanted = list(keys)

        def work(session: Session) -> None:
            for start in range(0, len(wanted), 500):
                part = wanted[start : start + 500]
                stale = select(ResultRow).where(ResultRow.key.in_(part), ResultRow.current.is_(False))
                for row in session.scalars(stale).all():
                    session.execute(update(ResultRow).where(ResultRow.subject == row.subject).values(current=False))
                    row.current = True

        self._write(work)

    def save(self, run: RunRecord, result: NewResult, *, keep_names: bool = False) -> bool:
        """Keep a result, once: one of the same key takes the place of the other.

        Returns:
            Whether it was new.
        """
        columns = _columns_of(result)
        for who in ("planner", "reviewer"):
            columns[who] = columns[who] if keep_names else self.pseudonym(columns[who])

        def work(session: Session) -> bool:
            row = session.scalars(select(ResultRow).where(ResultRow.key == result.key)).first()
            is_new = row is None
            if row is None:
                row = ResultRow(key=result.key)
                session.add(row)
            for name, value in columns.items():
                setattr(row, name, value)
            row.run_id, row.archive, row.created, row.current = run.id, run.archive, _now(), True
            row.repeats = _repeats(session, row)
            session.flush()
            others = ResultRow.subject == result.subject, ResultRow.key != result.key
            session.execute(update(ResultRow).where(*others, ResultRow.current).values(current=False))
            session.execute(delete(FindingRow).where(FindingRow.result_id == row.id))
            found = [
                {"result_id": row.id, "number": n, "rule": f.rule, "severity": f.severity, "certainty": f.certainty}
                for n, f in enumerate(result.assessment.findings)
            ]
            if found:
                session.execute(insert(FindingRow), found)
            self._digests(session, run.archive, result.digests)
            return is_new

        return self._write(work)

    def save_digests(self, archive: str, digests: dict[str, str]) -> None:
        """Keep what was learnt of files whose plan needed no new result."""
        if digests:
            self._write(lambda s: self._digests(s, archive, digests))

    @staticmethod
    def _digests(session: Session, archive: str, digests: dict[str, str]) -> None:
        if digests:
            changes = [{"archive": archive, "name": name, "digest": digest} for name, digest in digests.items()]
            session.execute(update(FileRow), changes)

    def rows(self, *, current: bool = True, run_id: int | None = None) -> Iterator[Row]:
        """Results by plan date and age, a few hundred at a time."""
        query: Select[Any] = select(*(getattr(ResultRow, name) for name in ROW_COLUMNS)).order_by(
            ResultRow.plan_date, ResultRow.id
        )
        if current:
            query = query.where(ResultRow.current)
        if run_id is not None:
            query = query.where(ResultRow.run_id == run_id)
        with self._engine.connect().execution_options(stream_results=True, yield_per=500) as connection:
            for row in connection.execute(query):
                yield Row(*row)

    def findings(self, severities: Iterable[str] = ("fail", "warning")) -> dict[int, list[str]]:
        """Rules that fired, worst first, by result, of the current results."""
        query = (
            select(FindingRow.result_id, FindingRow.rule)
            .join(ResultRow, ResultRow.id == FindingRow.result_id)
            .where(ResultRow.current, FindingRow.severity.in_(tuple(severities)))
            .order_by(FindingRow.result_id, FindingRow.number)
        )

        def work(session: Session) -> dict[int, list[str]]:
            found: dict[int, list[str]] = {}
            for result_id, rule in session.execute(query):
                found.setdefault(result_id, []).append(rule)
            return found

        return self._read(work)

    def assessments(self, *, current: bool = True) -> Iterator[tuple[Row, Assessment]]:
        """Results with their assessments, one at a time."""
        query = select(*(getattr(ResultRow, name) for name in ROW_COLUMNS), ResultRow.assessment).order_by(ResultRow.id)
        if current:
            query = query.where(ResultRow.current)
        with self._engine.connect().execution_options(stream_results=True, yield_per=50) as connection:
            for *columns, assessment in connection.execute(query):
                yield Row(*columns), Assessment.model_validate_json(assessment)

    def accepted_hearts(self, before_run: int) -> dict[str, list[dict[str, float]]]:
        """Numbers of hearts that a clinic has accepted, by protocol: of plans that passed, or that somebody has looked at and found right.

        Args:
            before_run: results of runs before this one only, so that a run is the same however often it was stopped.
        """
        accepted = select(AcknowledgementRow.result_key).where(AcknowledgementRow.outcome.in_(("model", "accepted")))
        query = (
            select(ResultRow.protocol, ResultRow.numbers)
            .where(ResultRow.current, ResultRow.run_id < before_run, ResultRow.repeats.is_(False))
            .where((ResultRow.verdict == "pass") | ResultRow.key.in_(accepted))
            .order_by(ResultRow.id)
        )

        def work(session: Session) -> dict[str, list[dict[str, float]]]:
            found: dict[str, list[dict[str, float]]] = {}
            for protocol, numbers in session.execute(query):
                if numbers:
                    found.setdefault(protocol, []).append(numbers)
            return found

        return self._read(work)

    def counts(self) -> dict[str, int]:
        """Current results by verdict."""
        query = select(ResultRow.verdict, func.count()).where(ResultRow.current).group_by(ResultRow.verdict)
        return self._read(lambda s: {row[0]: row[1] for row in s.execute(query)})

    def acknowledge(self, key: str, by: str, outcome: str = "", note: str = "") -> Acknowledgement:
        """Somebody has looked at a result.

        Args:
            key: of the result, or its beginning where that is unambiguous.

        Raises:
            StoreError: there is no such result, or there are several.
        """

        def work(session: Session) -> Acknowledgement:
            keys = session.scalars(select(ResultRow.key).where(ResultRow.key.startswith(key, autoescape=True)).limit(2)).all()
            if len(keys) != 1 or not key:
                raise StoreError(
                    f"{'several results begin' if keys and key else 'no result begins'} with '{key}' in {self.shown}: give the number of the report"
                )
            row = AcknowledgementRow(
                result_key=keys[0], made=_now(), by=by[:255], outcome=outcome, note=note, version=rtqc_version()
            )
            session.add(row)
            return Acknowledgement(row.result_key, row.made, row.by, row.outcome, row.note)

        return self._write(work)

    def acknowledgements(self) -> dict[str, list[Acknowledgement]]:
        """All of them by result, oldest first."""

        def work(session: Session) -> dict[str, list[Acknowledgement]]:
            found: dict[str, list[Acknowledgement]] = {}
            for r in session.scalars(select(AcknowledgementRow).order_by(AcknowledgementRow.id)):
                found.setdefault(r.result_key, []).append(Acknowledgement(r.result_key, r.made, r.by, r.outcome, r.note))
            return found

        return self._read(work)

    def forget(self, older_than_days: float, *, only_superseded: bool = False) -> list[str]:
        """Delete results that are older, with their findings and acknowledgements; returns their keys."""
        limit = datetime.fromtimestamp(_now().timestamp() - older_than_days * 86400)

        def work(session: Session) -> list[str]:
            query = select(ResultRow.id, ResultRow.key).where(ResultRow.created < limit)
            if only_superseded:
                query = query.where(ResultRow.current.is_(False))
            old = session.execute(query).all()
            for start in range(0, len(old), 500):
                part = old[start : start + 500]
                session.execute(delete(FindingRow).where(FindingRow.result_id.in_([i for i, _ in part])))
                session.execute(delete(AcknowledgementRow).where(AcknowledgementRow.result_key.in_([k for _, k in part])))
                session.execute(delete(ResultRow).where(ResultRow.id.in_([i for i, _ in part])))
            return [key for _, key in old]

        return self._write(work)

    def pseudonym(self, name: str) -> str:
        """A name that stands for another one, always the same in this store and not to be guessed without it."""
        if not name:
            return ""
        self._secret = self._secret or self._write(_secret_of)
        return "P-" + hmac.new(self._secret.encode(), name.strip().casefold().encode(), hashlib.sha256).hexdigest()[:8]

    def _read(self, work: Callable[[Session], Answer]) -> Answer:
        return self._patiently(lambda: self._once(work))

    def _write(self, work: Callable[[Session], Answer]) -> Answer:
        """Do it in one transaction. A server that went away is asked again: everything we write may be written twice."""
        return self._patiently(lambda: self._once(work))

    def _once(self, work: Callable[[Session], Answer]) -> Answer:
        with Session(self._engine, expire_on_commit=False) as session, session.begin():
            return work(session)

    def _patiently(self, attempt: Callable[[], Answer]) -> Answer:
        give_up = time.monotonic() + self.patience_seconds
        pause = _FIRST_PAUSE
        while True:
            try:
                return attempt()
            except DBAPIError as error:
                if not self._may_pass(error) or time.monotonic() + pause > give_up:
                    raise StoreError(
                        f"{self.shown}: {_why(error)}. What was stored before stays; start again when this is mended."
                    ) from error
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _may_pass(self, error: DBAPIError) -> bool:
        """Whether it may work in a moment: a server that restarts, a file that another process writes."""
        if self._engine.dialect.name == "sqlite":
            return "locked" in str(error.orig)
        return error.connection_invalidated or isinstance(error, OperationalError)


def _careful_sqlite(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    # A result that is there is there after a power cut.
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute(f"PRAGMA busy_timeout={_BUSY_MS}")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _parsed(url: str | Path) -> URL:
    told = str(url)
    if isinstance(url, Path) or "://" not in told:
        return URL.create("sqlite", database=str(Path(told)))
    try:
        parsed = make_url(told)
    except ArgumentError as error:
        raise StoreError(f"'{told}' is not a database URL: give a file, or postgresql://user@host/database") from error
    if parsed.get_backend_name() not in ("sqlite", "postgresql"):
        raise StoreError(f"a store is SQLite or PostgreSQL, not {parsed.get_backend_name()}")
    return parsed.set(drivername="postgresql+psycopg") if parsed.drivername in ("postgresql", "postgres") else parsed


def _why(error: SQLAlchemyError) -> str:
    reason = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    return str(reason).strip().splitlines()[0] if str(reason).strip() else type(reason).__name__


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None, microsecond=0)


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return ""


def _record(row: RunRow) -> RunRecord:
    return RunRecord(row.id, row.name, row.archive, row.started, row.ended, dict(row.counts or {}))


def _secret_of(session: Session) -> str:
    row = session.get(SettingRow, "pseudonym_secret")
    if row is None:
        row = SettingRow(name="pseudonym_secret", value=secrets.token_hex(32))
        session.add(row)
    return row.value


def _columns_of(result: NewResult) -> dict[str, Any]:
    a = result.assessment
    contoured, draft, agreement, dose = a.heart.contoured, a.heart.draft, a.agreement, a.dose
    volume = contoured.volume_ml if contoured else None
    columns: dict[str, Any] = {
        "identity": result.identity,
        "subject": result.subject,
        "folder": result.folder,
        "verdict": a.verdict,
        "headline": a.headline,
        "reason": result.reason,
        "patient_id": a.case.patient_id,
        "patient_name": a.case.patient_name,
        "plan_label": a.case.plan_label,
        "plan_date": result.plan_date,
        "protocol": a.protocol,
        "planner": result.planner,
        "reviewer": result.reviewer,
        "planning_system": result.planning_system,
        "scanner": result.scanner,
        "model": f"{draft.model} {draft.model_hash[:12]}".strip() if draft else "",
        "version": a.run.versions.get("rtqc", rtqc_version()),
        "dice": agreement.dice if agreement else None,
        "hausdorff95_mm": agreement.hausdorff95_mm if agreement else None,
        "mean_surface_distance_mm": agreement.mean_surface_distance_mm if agreement else None,
        "volume_ml": volume,
        "size_difference_percent": 100 * agreement.volume_difference_ml / volume if agreement and volume else None,
        "mean_dose_gy": dose.contoured.mean_gy if dose and dose.contoured else None,
        "mean_dose_difference_gy": dose.difference.mean_gy if dose and dose.difference else None,
        "flips": sum(c.outcome_flips for c in a.constraints),
        "trusted": draft.trusted if draft else None,
        "confidence": draft.confidence if draft else None,
        "predicted_dice": draft.predicted_dice if draft else None,
        "slice_spacing_mm": a.case.voxel_spacing_mm[0] if a.case.voxel_spacing_mm else None,
        "noise_hu": a.image.noise_hu if a.image else None,
        "heart_hu": a.image.heart_hu if a.image else None,
        "has_table": a.image.table if a.image else None,
        "seconds": result.seconds,
        "has_report": result.has_report,
        "has_thumbnail": result.has_thumbnail,
        "numbers": numbers_of_assessment(a) or None,
        "assessment": json.dumps(a.model_dump(mode="json"), ensure_ascii=True, separators=(",", ":")),
    }
    return {k: _storable(v, _LENGTHS.get(k)) if isinstance(v, str) else v for k, v in columns.items()}


def _storable(value: str, length: int | None) -> str:
    """Text that both databases take: NUL is text to DICOM and an error to PostgreSQL, half a surrogate comes of file names that are not UTF-8."""
    return value.replace("\x00", "").encode("utf-8", "replace").decode("utf-8")[:length]


def _repeats(session: Session, row: ResultRow) -> bool:
    """Whether an older plan of the patient has the very same heart and dose under other UIDs."""
    if row.volume_ml is None or not row.patient_id:
        return False
    same = (
        ResultRow.patient_id == row.patient_id,
        ResultRow.volume_ml == row.volume_ml,
        ResultRow.mean_dose_gy == row.mean_dose_gy if row.mean_dose_gy is not None else ResultRow.mean_dose_gy.is_(None),
        ResultRow.subject != row.subject,
        ResultRow.current,
    )
    query = select(ResultRow.id).where(*same)
    if row.id is not None:
        query = query.where(ResultRow.id < row.id)
    return session.scalars(query.limit(1)).first() is not None
