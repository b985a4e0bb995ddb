"""The store: written in whole transactions, read as plain rows."""

from __future__ import annotations

import getpass
import hashlib
import hmac
import platform
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Select, bindparam, delete, func, insert, select, update
from sqlalchemy.orm import Session

from rtqc.core.assessment import Assessment
from rtqc.core.version import rtqc_version
from rtqc.nightly.store.database import Database, StoreError, open_database
from rtqc.nightly.store.files import FileMemory
from rtqc.nightly.store.results import ROW_COLUMNS, Acknowledgement, NewResult, Row, columns_of
from rtqc.nightly.store.tables import AcknowledgementRow, FileRow, FindingRow, ResultRow, RunRow, SettingRow


@dataclass(frozen=True)
class RunRecord:
    """A run as the store knows it."""

    id: int
    name: str
    archive: str
    started: datetime
    ended: datetime | None
    counts: dict[str, Any]


def open_store(
    url: str | Path, *, create: bool = True, upgrade: bool = True, told: Callable[[str], None] | None = None
) -> Store:
    """Open a store, make it where it is absent, bring it up to date where it is old.

    Args:
        url, create, upgrade, told: see :func:`~rtqc.nightly.store.database.open_database`.

    Raises:
        StoreError: not reachable, not a store, of a newer version, or not writable.
    """
    return Store(open_database(url, create=create, upgrade=upgrade, told=told))


class Store:
    """An open store. One process writes at a time (:meth:`locked`); any number may read."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._secret = ""

    def close(self) -> None:
        """Let go of the database."""
        self._database.close()

    @property
    def shown(self) -> str:
        """Its URL without a password."""
        return self._database.shown

    def locked(self, wait_seconds: float = 0.0, waiting: Callable[[], None] | None = None) -> AbstractContextManager[None]:
        """Be the only run on this store; see :meth:`~rtqc.nightly.store.database.Database.locked`."""
        return self._database.locked(wait_seconds, waiting)

    def memory(self, archive: str) -> FileMemory:
        """What is known of an archive's files."""
        return FileMemory(self._database, archive)

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

        return self._database.do(work)

    def end_run(self, run: RunRecord, counts: dict[str, object]) -> None:
        """The run is complete."""
        self._database.do(lambda s: s.execute(update(RunRow).where(RunRow.id == run.id).values(ended=_now(), counts=counts)))

    def runs(self) -> list[RunRecord]:
        """All runs, newest first."""
        return self._database.do(lambda s: [_record(r) for r in s.scalars(select(RunRow).order_by(RunRow.id.desc()))])

    def known_keys(self) -> dict[str, tuple[str, ...]]:
        """Keys of all results, by identity."""

        def work(session: Session) -> dict[str, tuple[str, ...]]:
            found: dict[str, tuple[str, ...]] = {}
            for identity, key in session.execute(select(ResultRow.identity, ResultRow.key)):
                found[identity] = (*found.get(identity, ()), key)
            return found

        return self._database.do(work)

    def keys_with(self, verdicts: Iterable[str]) -> set[str]:
        """Keys of the results with one of these verdicts."""
        wanted = tuple(verdicts)
        return self._database.do(lambda s: set(s.scalars(select(ResultRow.key).where(ResultRow.verdict.in_(wanted)))))

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

        self._database.do(work)

    def save(self, run: RunRecord, result: NewResult, *, keep_names: bool = False) -> bool:
        """Keep a result, once: one of the same key takes the place of the other.

        Returns:
            Whether it was new.
        """
        columns = columns_of(result)
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

        return self._database.do(work)

    def save_digests(self, archive: str, digests: dict[str, str]) -> None:
        """Keep what was learnt of files whose plan needed no new result."""
        if digests:
            self._database.do(lambda s: self._digests(s, archive, digests))

    @staticmethod
    def _digests(session: Session, archive: str, digests: dict[str, str]) -> None:
        if digests:
            # Of files that are remembered: those of very long names are not.
            table = FileRow.__table__
            kept = (
                update(FileRow)
                .where(table.c.archive == bindparam("of_archive"), table.c.name == bindparam("of_name"))
                .values(digest=bindparam("to"))
            )
            changes = [{"of_archive": archive, "of_name": name, "to": digest} for name, digest in digests.items()]
            session.connection().execute(kept, changes)

    def rows(self, *, current: bool = True, run_id: int | None = None) -> Iterator[Row]:
        """Results by plan date and age, a few hundred at a time."""
        query: Select[Any] = select(*(getattr(ResultRow, name) for name in ROW_COLUMNS)).order_by(
            ResultRow.plan_date, ResultRow.id
        )
        if current:
            query = query.where(ResultRow.current)
        if run_id is not None:
            query = query.where(ResultRow.run_id == run_id)
        for row in self._database.stream(query, 500):
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

        return self._database.do(work)

    def assessments(self, *, current: bool = True) -> Iterator[tuple[Row, Assessment]]:
        """Results with their assessments, one at a time."""
        query = select(*(getattr(ResultRow, name) for name in ROW_COLUMNS), ResultRow.assessment).order_by(ResultRow.id)
        if current:
            query = query.where(ResultRow.current)
        for *columns, assessment in self._database.stream(query, 50):
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

        return self._database.do(work)

    def counts(self) -> dict[str, int]:
        """Current results by verdict."""
        query = select(ResultRow.verdict, func.count()).where(ResultRow.current).group_by(ResultRow.verdict)
        return self._database.do(lambda s: {row[0]: row[1] for row in s.execute(query)})

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

        return self._database.do(work)

    def acknowledgements(self) -> dict[str, list[Acknowledgement]]:
        """All of them by result, oldest first."""

        def work(session: Session) -> dict[str, list[Acknowledgement]]:
            found: dict[str, list[Acknowledgement]] = {}
            for r in session.scalars(select(AcknowledgementRow).order_by(AcknowledgementRow.id)):
                found.setdefault(r.result_key, []).append(Acknowledgement(r.result_key, r.made, r.by, r.outcome, r.note))
            return found

        return self._database.do(work)

    def forget(self, older_than_days: float, *, only_superseded: bool = False) -> list[str]:
        """Delete results that are older, with their findings and acknowledgements; returns their keys."""
        limit = days_before(_now(), older_than_days)

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

        return self._database.do(work)

    def pseudonym(self, name: str) -> str:
        """A name that stands for another one, always the same in this store and not to be guessed without it."""
        if not name:
            return ""
        self._secret = self._secret or self._database.do(_secret_of)
        return "P-" + hmac.new(self._secret.encode(), name.strip().casefold().encode(), hashlib.sha256).hexdigest()[:8]


def days_before(moment: datetime, days: float) -> datetime:
    """So many times 24 hours before a moment of Coordinated Universal Time, which has no summer time.

    >>> days_before(datetime(2026, 4, 1, 12), 7).isoformat()
    '2026-03-25T12:00:00'
    """
    return moment - timedelta(days=days)


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
