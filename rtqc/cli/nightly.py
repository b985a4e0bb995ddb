"""``rtqc nightly``: every plan of an archive, once."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rtqc.cli.console import PathArgument, console, json_option, model_options, plain, scope_option, stop
from rtqc.cli.network import calling_option, is_url, tls_options, token_of, token_option
from rtqc.cli.workers import crew_options

if TYPE_CHECKING:
    from rtqc.core.assessment import Scope
    from rtqc.dicom import Tls
    from rtqc.heart import Device
    from rtqc.nightly import Crew, Order, Outcome, Summary

#: The store where none is named, in the folder of all runs.
STORE_FILE = "rtqc.sqlite"
#: On what is no terminal, a line says how far it is after so long, in s.
_LINE_SECONDS = 60.0


class SinceDate(click.ParamType[datetime]):
    """A day (``2026-11-24``) or a number of days back (``7d``)."""

    name = "date"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """As a moment of local time."""
        if isinstance(value, datetime):
            return value
        try:
            if str(value).endswith("d"):
                return datetime.now() - timedelta(days=float(str(value)[:-1]))
            return datetime.fromisoformat(str(value))
        except (ValueError, OverflowError):
            self.fail(f"'{value}' is neither a day (2026-11-24) nor a number of days back (7d)", param, ctx)


@click.command("nightly")
@click.argument("archive", metavar="DIR|AE@HOST:PORT|URL")
@click.option("--out", type=PathArgument(exists=False), metavar="DIR", help="Where dashboard and reports go.")
@click.option("--store", metavar="URL|FILE", help=f"SQLite file or database URL. [default: DIR/{STORE_FILE}]")
@crew_options
@click.option("--protocol", metavar="NAME|FILE", help="Thresholds and constraints. [default: the one that each plan asks for]")
@scope_option
@click.option("--since", type=SinceDate(), metavar="DAY|Nd", help="Only plans whose file has changed since then.")
@click.option(
    "--only", multiple=True, metavar="PATTERN", help="Only these Patient IDs (4711, 47*); may be given several times."
)
@click.option("--rerun", type=click.Choice(["flagged", "errors", "all"]), help="Judge anew what was judged before.")
@click.option(
    "--time-limit", type=click.FloatRange(min=1), default=600, show_default=True, metavar="S", help="For one plan, in s."
)
@click.option("--all-reports", is_flag=True, help="A report for plans that pass, too.")
@click.option("--planner-names", is_flag=True, help="Keep names of planners and reviewers instead of pseudonyms.")
@click.option(
    "--keep-runs", type=click.IntRange(min=1), default=30, show_default=True, metavar="N", help="Folders of runs that stay."
)
@click.option(
    "--wait/--no-wait", default=True, show_default=True, help="Wait for another run on the same store, or end with 2."
)
@click.option("--dry-run", is_flag=True, help="Say what is there and what would be done; nothing is written.")
@click.option("--log-format", type=click.Choice(["text", "json"]), default="text", show_default=True, help="Lines on stderr.")
@calling_option
@token_option
@tls_options
@model_options
@json_option
def command(
    archive: str,
    out: Path | None,
    store: str | None,
    crew: Crew,
    protocol: str | None,
    scope: Scope,
    since: datetime | None,
    only: tuple[str, ...],
    rerun: str | None,
    time_limit: float,
    all_reports: bool,
    planner_names: bool,
    keep_runs: int,
    wait: bool,
    dry_run: bool,
    log_format: str,
    model: str,
    device: Device,
    threads: int,
    as_json: bool,
    calling: str,
    token_env: str,
    tls: Tls | None,
) -> None:
    """Check every plan of an archive that was not checked before, and write a page for the morning to latest/index.html in --out.

    The archive is a folder of exports in any layout, or a PACS (AE_TITLE@host:port, or the URL of a DICOMweb service): what is new there --since a day is
    fetched first. Stopped anywhere, it goes on when it is started again. The archive is never written to.

    Exit status: 0 all new plans pass, 1 something is flagged, 2 something could not be assessed.
    """
    from rtqc.heart import DeviceError, ModelError
    from rtqc.nightly import ClusterError, Night, PlaceError, Places, Selection, Settings, StoreError, open_store
    from rtqc.nightly.places import FETCHED
    from rtqc.qc import ProtocolError, load_protocol, rule_ids

    if out is None:
        stop("give the folder for dashboard and reports with --out DIR")
    out = Path(os.path.abspath(out))
    fetch = None
    if is_url(archive) or ("@" in archive and not Path(archive).exists()):
        fetch, folder = _fetching(archive, out, since, calling, token_env, tls), out / FETCHED
        since = None
    else:
        folder = Path(os.path.abspath(archive))
        if not folder.is_dir():
            stop(
                f"{folder} is not a folder{'' if folder.exists() else ' (it does not exist)'}: give the one that holds the exports"
            )
    verdicts = {None: (), "flagged": ("flag",), "errors": ("error",), "all": ("pass", "flag", "error")}[rerun]
    opened = None
    try:
        named = load_protocol(protocol, rule_ids()) if protocol else None
        settings = Settings.of(named, model, device, threads, time_limit, all_reports, scope)
        places = Places(out)
        places.check(folder)
        if dry_run and fetch is not None:
            stop("--dry-run looks at folders: use rtqc fetch to see what a PACS has")
        if dry_run:
            _dry_run(folder, out, store, Selection(since, only), as_json)
            return
        places.make()
        opened = open_store(store or out / STORE_FILE, told=_say)
        with night_listener(as_json, log_format) as listener:
            folder.mkdir(exist_ok=True)
            night = Night(
                folder, places, opened, settings, crew, Selection(since, only), verdicts, planner_names,
                keep_runs, 86_400.0 if wait else 0.0, fetch,
            )  # fmt: skip
            summary = night.run(listener)
    except (ProtocolError, ModelError, DeviceError, StoreError, PlaceError, ClusterError) as error:
        stop(str(error))
    except OSError as error:
        stop(f"{error.filename or out}: {error.strerror or error}. What was done is stored; start again when this is mended.")
    finally:
        if opened is not None:
            opened.close()
    _show(summary, places, as_json)
    sys.exit(2 if summary.errors or summary.run.fetch_failed else 1 if summary.flagged else 0)


def _fetching(
    source: str, out: Path, since: datetime | None, calling: str, token_env: str, tls: Tls | None
) -> Callable[[], object]:
    """What brings new plans from a PACS; a message and exit status 2 where it cannot."""
    from rtqc.dicom import DimseArchive, Peer, PeerError, WebPeer, fetch_plans
    from rtqc.nightly.places import FETCHED

    if since is None:
        stop("say from which day on plans are fetched: --since 2026-11-01, or --since 7d")
    try:
        archive = WebPeer(source, token_of(token_env)) if is_url(source) else DimseArchive(Peer.parse(source, calling, tls))
    except PeerError as error:
        stop(str(error))
    return lambda: fetch_plans(archive, out / FETCHED, study_date=f"{since:%Y%m%d}-", only_new=True)


def _say(sentence: str) -> None:
    click.echo(f"rtqc: {sentence}", err=True)


def _show(summary: Summary, places: Any, as_json: bool) -> None:
    from rtqc.nightly.places import DASHBOARD_FILE, LATEST

    if as_json:
        click.echo(summary.model_dump_json(indent=2))
        return
    run = summary.run
    new = summary.cases - summary.skipped
    rate = f", {run.seconds / new:.1f} s a plan" if new else ""
    out = console()
    out.print(
        f"{summary.cases} plans: [bold red]{summary.flagged} flagged[/], [bold magenta]{summary.errors} without verdict[/], "
        f"[bold green]{summary.passed} passed[/], {summary.skipped} done before ({run.seconds:.0f} s{rate})"
    )
    if run.unreadable_files:
        out.print(f"{run.unreadable_files} files or folders could not be read: the dashboard lists them")
    if run.left_out:
        out.print(f"{run.left_out} plans were not asked for")
    out.print(f"Dashboard: {plain(str(places.out / LATEST / DASHBOARD_FILE))}", soft_wrap=True)


def _dry_run(archive: Path, out: Path, store: str | None, selection: Any, as_json: bool) -> None:
    """Scan into a store that is thrown away; what a real one knows is asked for where there is one."""
    import tempfile

    from rtqc.nightly import StoreError, open_store
    from rtqc.nightly.scan import scan

    known: dict[str, tuple[str, ...]] = {}
    if "://" in (store or "") or (Path(store) if store else out / STORE_FILE).exists():
        try:
            real = open_store(store or out / STORE_FILE, create=False, upgrade=False)
            known = real.known_keys()
            real.close()
        except StoreError as error:
            stop(str(error))
    with tempfile.TemporaryDirectory() as folder:
        scratch = open_store(Path(folder) / "dry.sqlite")
        found = scan(archive, scratch, selection)
        scratch.close()
    fresh = [o for o in found.orders if not known.get(o.identity)]
    told = {
        "cases": len(found.orders), "new": len(fresh), "known": len(found.orders) - len(fresh), "files": found.files,
        "left_out": found.left_out, "not_plans": found.not_plans, "unreadable": [f.message for f in found.unreadable],
    }  # fmt: skip
    if as_json:
        click.echo(json.dumps(told, indent=2, ensure_ascii=False))
        return
    click.echo(f"{told['cases']} plans in {found.files} files: {len(fresh)} new, {told['known']} known. Nothing was written.")
    for order in fresh[:20]:
        label = order.parts.plan.label if order.parts.plan else "no plan"
        click.echo(f"  {plain(order.parts.patient_id or '?')}  {plain(label)}  {plain(order.folder)} ({order.files} files)")
    if len(fresh) > 20:
        click.echo(f"  and {len(fresh) - 20} more")
    for kind, count in found.not_plans.items():
        click.echo(f"  {count} {kind} without a plan or structure set")
    for finding in found.unreadable[:20]:
        click.echo(f"  {plain(finding.message)}")
    if len(found.unreadable) > 20:
        click.echo(f"  and {len(found.unreadable) - 20} more files that cannot be read")


@contextmanager
def night_listener(quiet: bool, form: str = "text") -> Iterator[Any]:
    """Who is told how a night goes: a bar on a terminal, else a log of this form."""
    if sys.stderr.isatty() and not quiet and form == "text":
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        columns = (
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"), TimeElapsedColumn(),
            TimeRemainingColumn(),
        )  # fmt: skip
        with Progress(*columns, console=console(stderr=True), transient=True) as bar:
            yield _Bar(bar)
    else:
        yield _Lines(form)


class _Bar:
    """A terminal."""

    def __init__(self, bar: Any) -> None:
        self._bar = bar
        self._task = bar.add_task("reading headers", total=None, rate="")
        self._began = time.monotonic()
        self._new = 0

    def scanning(self, files: int) -> None:
        """See :class:`rtqc.nightly.Listener`."""
        if files % 50 == 0:
            self._bar.update(self._task, description=f"reading headers ({files} files)")

    def begun(self, total: int, at_once: int, resumed: bool) -> None:
        """See :class:`rtqc.nightly.Listener`."""
        self._began = time.monotonic()
        self._bar.update(self._task, description="going on" if resumed else "checking", total=total)

    def one_done(self, order: Order, outcome: Outcome, skipped: bool) -> None:
        """See :class:`rtqc.nightly.Listener`."""
        self._new += not skipped
        rate = f"{(time.monotonic() - self._began) / self._new:.1f} s a plan" if self._new else ""
        self._bar.update(self._task, advance=1, rate=rate)

    def said(self, sentence: str) -> None:
        """See :class:`rtqc.nightly.Listener`."""
        self._bar.console.print(plain(sentence))


class _Lines:
    """A log: one line a plan, key=value or JSON, without names of patients."""

    def __init__(self, form: str = "text") -> None:
        self._told = time.monotonic()
        self._form = form

    def _line(self, event: str, **values: object) -> None:
        if self._form == "json":
            moment = datetime.now().astimezone().isoformat(timespec="milliseconds")
            click.echo(
                json.dumps({"time": moment, "level": "info", "logger": "rtqc.nightly", "event": event, **values}), err=True
            )
            return
        words = " ".join(f"{key}={_quoted(str(value))}" for key, value in values.items())
        click.echo(f"{time.strftime('%Y-%m-%dT%H:%M:%S%z')} {event} {words}".rstrip(), err=True)

    def scanning(self, files: int) -> None:
        """See :class:`rtqc.nightly.Listener`."""
        if time.monotonic() - self._told > _LINE_SECONDS:
            self._told = time.monotonic()
            self._line("scanning", files=files)

    def begun(self, total: int, at_once: int, resumed: bool) -> None:
        """See :class:`rtqc.nightly.Listener`."""
        self._line("begun", plans=total, at_once=at_once, resumed=str(resumed).lower())

    def one_done(self, order: Order, outcome: Outcome, skipped: bool) -> None:
        """See :class:`rtqc.nightly.Listener`."""
        from rtqc.nightly import rules_of

        if not skipped and outcome.assessment is not None:
            verdict, seconds = outcome.assessment.verdict, round(sum(outcome.seconds.values()), 2)
            self._line("plan", key=outcome.key[:12], verdict=verdict, seconds=seconds, rules=",".join(rules_of(outcome)))

    def said(self, sentence: str) -> None:
        """See :class:`rtqc.nightly.Listener`."""
        self._line("note", text=sentence)


def _quoted(text: str) -> str:
    text = "".join(c if c.isprintable() else "?" for c in text)
    return '"' + text.replace('"', "'") + '"' if " " in text or not text else text
