"""A night: scan, hand out, keep, and write the page for the morning. Stopped anywhere, it goes on from there."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterable
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pydantic import BaseModel, ConfigDict

from rtqc.core.version import rtqc_version
from rtqc.core.walk import shown_name
from rtqc.core.whole_file import whole_file
from rtqc.dicom import PeerError
from rtqc.nightly.dashboard import write_dashboard
from rtqc.nightly.engine import CHECKING, Crew, carry_out, hired
from rtqc.nightly.orders import Order, Outcome, Settings
from rtqc.nightly.places import SUMMARY_FILE, Places
from rtqc.nightly.scan import Archive, Selection, scan, with_digests
from rtqc.nightly.store import NewResult, RunRecord, Store
from rtqc.qc import Population, population_of
from rtqc.report import REPORT_FILE

if TYPE_CHECKING:
    from collections.abc import Iterator

#: The status file is written anew after so long, in s.
_STATUS_SECONDS = 5.0
#: Rules that a log line names.
_MOST_RULES = 5


class NightRun(BaseModel):
    """How a night ran. ``resumed``: it went on with a run that was stopped. Seconds by step are sums over all workers."""

    model_config = ConfigDict(extra="forbid")

    name: str
    archive: str
    store: str
    started: str
    ended: str
    seconds: float
    resumed: bool
    files: int
    files_opened: int
    workers: int
    seconds_by_step: dict[str, float]
    left_out: int
    not_plans: dict[str, int]
    unreadable_files: int
    fetch_failed: str = ""
    host: str
    version: str


class Summary(BaseModel):
    """The JSON of ``rtqc nightly``: plans in the archive, of which some were judged in this run and the others before (``skipped``)."""

    model_config = ConfigDict(extra="forbid")

    schema_version: str = "1.0"
    cases: int
    passed: int
    flagged: int
    errors: int
    skipped: int
    run: NightRun


class Listener(Protocol):
    """Who is told how the night goes."""

    def scanning(self, files: int) -> None:
        """So many files were looked at."""

    def begun(self, total: int, at_once: int, resumed: bool) -> None:
        """So many plans are to be looked at."""

    def one_done(self, order: Order, outcome: Outcome, skipped: bool) -> None:
        """A plan is done, or was done before."""

    def said(self, sentence: str) -> None:
        """Something that somebody should know."""


@dataclass
class Night:
    """What a night is to do.

    Attributes:
        archive: folder of exports; never written to.
        places: where results go.
        store: where they are kept.
        settings: how plans are checked.
        crew: who works.
        selection: which plans.
        rerun: redo results of these verdicts.
        keep_names: whether planners' names are kept as they are.
        keep_runs: folders of so many runs stay.
        wait_seconds: for another run on the same store or folder.
        fetch: brings new plans into the archive's folder first; None where they come by themselves. Raises ``PeerError``.
    """

    archive: Path
    places: Places
    store: Store
    settings: Settings
    crew: Crew = field(default_factory=Crew)
    selection: Selection = field(default_factory=Selection)
    rerun: tuple[str, ...] = ()
    keep_names: bool = False
    keep_runs: int = 30
    wait_seconds: float = 0.0
    fetch: Callable[[], object] | None = None
    fetch_failed: str = field(default="", init=False)

    def run(self, listener: Listener) -> Summary:
        """Do it.

        Raises:
            StoreError, PlaceError, ClusterError, OSError: what could not go on; everything done until then is kept.
        """
        with self._alone(listener):
            self.places.clean()
            if self.fetch is not None:
                try:
                    self.fetch()
                except PeerError as error:
                    listener.said(f"not all plans could be fetched, those that are here are checked: {error}")
                    self.fetch_failed = str(error)
            return _Running(self, listener).run()

    @contextmanager
    def _alone(self, listener: Listener) -> Iterator[None]:
        """One run at a time on a store, and one in a folder."""

        def waiting() -> None:
            listener.said("another rtqc nightly is running: waiting until it has ended")

        with self.store.locked(self.wait_seconds, waiting), self.places.locked(self.wait_seconds, waiting):
            yield


class _Running:
    def __init__(self, night: Night, listener: Listener) -> None:
        self.night = night
        self.listener = listener
        self.began = time.monotonic()
        self.started = _now_text()
        self.counts = {"pass": 0, "flag": 0, "error": 0, "skipped": 0}
        self.total = 0
        self.steps: dict[str, float] = {}
        # Verdicts of what this run had done before it was stopped, by key.
        self._this_run: dict[str, str] = {}
        self._status_at = 0.0

    def run(self) -> Summary:
        night = self.night
        self._status("scanning", now=True)
        try:
            archive = scan(night.archive, night.store, night.selection, self.listener.scanning)
            run, resumed = night.store.begin_run(shown_name(str(night.archive)), _told_settings(night))
            self.total = len(archive.orders)
            to_do = self._to_do(archive, run, resumed)
            workers = self._carry_out(archive, run, resumed, to_do)
            summary = self._summary(archive, run, resumed, workers)
            self._finish(archive, run, summary)
        except BaseException:
            self._status("failed", now=True)
            raise
        self._status("complete", now=True)
        return summary

    def _to_do(self, archive: Archive, run: RunRecord, resumed: bool) -> list[Order]:
        """Orders that are not known to be done; those that are, are counted."""
        night, again = self.night, self._again()
        if resumed:
            self._this_run = {row.key: row.verdict for row in night.store.rows(current=False, run_id=run.id)}
        to_do, done = [], []
        for found in with_digests(archive.orders, night.store, night.archive):
            known = tuple(k for k in found.known if k not in again or k in self._this_run)
            order = Order(found.parts, found.index, known, found.digests)
            key = order.key(night.settings, order.digests) if order.known and len(order.digests) == len(order.headers) else ""
            if key and key in order.known:
                self._was_done(order, key)
                done.append(key)
            else:
                to_do.append(order)
        night.store.make_current(done)
        return to_do

    def _again(self) -> set[str]:
        """Results that are to be made anew: those that were asked for, and those whose report is not there any more."""
        night = self.night
        asked = night.store.keys_with(night.rerun) if night.rerun else set()
        reports = (row.key for row in night.store.rows() if row.has_report)
        return asked | {key for key in reports if not (night.places.report_folder(key) / REPORT_FILE).exists()}

    def _was_done(self, order: Order, key: str) -> None:
        """In this run, before it was stopped, or in an earlier one."""
        self.counts[self._this_run.get(key, "skipped")] += 1
        self.listener.one_done(order, Outcome(key, None), True)

    def _carry_out(self, archive: Archive, run: RunRecord, resumed: bool, to_do: list[Order]) -> int:
        night = self.night
        if not to_do:
            self.listener.begun(self.total, 0, resumed)
            return 0
        with hired(night.crew) as team:
            self.listener.begun(self.total, team.at_once(), resumed)
            self._status("running", now=True)
            settings = replace(night.settings, populations=_populations(night.store, run))
            for order, outcome in carry_out(to_do, settings, team, CHECKING):
                self._keep(order, outcome, run)
                self._status("running")
            return team.at_once()

    def _keep(self, order: Order, outcome: Outcome, run: RunRecord) -> None:
        """Files first: a result that the store has, has its report."""
        night = self.night
        for step, seconds in outcome.seconds.items():
            self.steps[step] = self.steps.get(step, 0.0) + seconds
        if outcome.assessment is None:
            night.store.save_digests(run.archive, outcome.digests)
            night.store.make_current([outcome.key])
            self._was_done(order, outcome.key)
            return
        began = time.perf_counter()
        night.places.write_outcome(outcome)
        night.store.save(run, _new_result(order, outcome), keep_names=night.keep_names)
        self.steps["store"] = self.steps.get("store", 0.0) + time.perf_counter() - began
        self.counts[outcome.assessment.verdict] += 1
        self.listener.one_done(order, outcome, False)

    def _summary(self, archive: Archive, run: RunRecord, resumed: bool, workers: int) -> Summary:
        counts = self.counts
        return Summary(
            cases=self.total,
            passed=counts["pass"],
            flagged=counts["flag"],
            errors=counts["error"],
            skipped=counts["skipped"],
            run=NightRun(
                name=run.name,
                archive=shown_name(str(self.night.archive)),
                store=self.night.store.shown,
                started=self.started,
                ended=_now_text(),
                seconds=round(time.monotonic() - self.began, 1),
                resumed=resumed,
                files=archive.files,
                files_opened=archive.opened,
                workers=workers,
                seconds_by_step={step: round(s, 2) for step, s in self.steps.items()},
                left_out=archive.left_out,
                not_plans=archive.not_plans,
                unreadable_files=len(archive.unreadable),
                fetch_failed=self.night.fetch_failed,
                host=platform.node(),
                version=rtqc_version(),
            ),
        )

    def _finish(self, archive: Archive, run: RunRecord, summary: Summary) -> None:
        night = self.night
        with night.places.run_folder(run.name) as folder:
            write_dashboard(night.store, run, summary, archive, folder)
            with whole_file(folder / SUMMARY_FILE) as file:
                file.write((summary.model_dump_json(indent=2) + "\n").encode("utf-8"))
        night.store.end_run(run, summary.model_dump(mode="json", exclude={"run"}))
        night.places.prune_runs(night.keep_runs)

    def _status(self, state: str, now: bool = False) -> None:
        if not now and time.monotonic() - self._status_at < _STATUS_SECONDS:
            return
        self._status_at = time.monotonic()
        counts = self.counts
        self.night.places.write_status(
            {
                "state": state,
                "started": self.started,
                "updated": _now_text(),
                "cases": self.total,
                "done": sum(counts.values()),
                "passed": counts["pass"],
                "flagged": counts["flag"],
                "errors": counts["error"],
                "skipped": counts["skipped"],
                "pid": os.getpid(),
                "host": platform.node(),
                "version": rtqc_version(),
            }
        )


def rules_of(outcome: Outcome) -> Iterable[str]:
    """Rules that asked for a look, worst first."""
    findings = outcome.assessment.findings if outcome.assessment is not None else ()
    return list(dict.fromkeys(f.rule for f in findings if f.severity != "info"))[:_MOST_RULES]


def _new_result(order: Order, outcome: Outcome) -> NewResult:
    assert outcome.assessment is not None
    return NewResult(
        key=outcome.key,
        identity=order.identity,
        subject=order.subject,
        folder=order.folder,
        assessment=outcome.assessment,
        reason=outcome.why,
        plan_date=outcome.plan_date,
        planner=outcome.planner,
        reviewer=outcome.reviewer,
        planning_system=outcome.planning_system,
        scanner=outcome.scanner,
        seconds=round(sum(outcome.seconds.values()), 3),
        digests=outcome.digests,
        has_report=outcome.report is not None,
        has_thumbnail=outcome.thumbnail is not None,
    )


def _populations(store: Store, run: RunRecord) -> dict[str, Population]:
    """What is usual in this clinic, of protocols with enough accepted hearts."""
    found = {}
    for protocol, hearts in store.accepted_hearts(run.id).items():
        population = population_of(hearts, f"this clinic ({protocol})", f"accepted hearts in {store.shown}")
        if population is not None:
            found[protocol] = population
    return found


def _told_settings(night: Night) -> dict[str, object]:
    protocol = night.settings.protocol
    return {
        "protocol": protocol.name if protocol is not None else "by plan",
        "model": night.settings.model,
        "model_hash": night.settings.model_hash,
        "cluster": night.crew.cluster,
        "only": list(night.selection.only),
        "since": night.selection.since.isoformat() if night.selection.since else "",
        "rerun": list(night.rerun),
    }


def _now_text() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
