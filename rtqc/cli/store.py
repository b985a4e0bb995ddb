"""``rtqc store``: what the nights have found, and what was said about it."""

from __future__ import annotations

import getpass
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rtqc.cli.console import PathArgument, console, plain, stop
from rtqc.core.secrets import masked

if TYPE_CHECKING:
    from rtqc.nightly import Store

store_option = click.option(
    "--store", "store_url", envvar="RTQC_STORE", required=True, metavar="URL|FILE", help="Of rtqc nightly. [also: RTQC_STORE]"
)
_OUTCOMES = ("contour", "model", "accepted")


@contextmanager
def opened(url: str) -> Iterator[Store]:
    """The store; a message and exit status 2 where it cannot be used."""
    from rtqc.nightly import StoreError, open_store

    try:
        store = open_store(url, create=False, told=lambda sentence: click.echo(f"rtqc: {sentence}", err=True))
        try:
            yield store
        finally:
            store.close()
    except StoreError as error:
        stop(str(error))
    except OSError as error:
        stop(f"{error.filename or masked(url)}: {error.strerror or error}")


@click.group("store")
def command() -> None:
    """What the nights have found: review, export, forget."""


@command.command("show")
@store_option
def show(store_url: str) -> None:
    """How many plans there are, and the last runs."""
    with opened(store_url) as store:
        counts = store.counts()
        out = console()
        out.print(
            f"{sum(counts.values())} plans: {counts.get('flag', 0)} flagged, {counts.get('error', 0)} without verdict, {counts.get('pass', 0)} passed"
        )
        runs = store.runs()
        for run in runs[:20]:
            state = f"until {run.ended:%H:%M}" if run.ended else "not ended"
            told = ", ".join(f"{k} {v}" for k, v in run.counts.items() if isinstance(v, int))
            out.print(f"{run.started:%Y-%m-%d %H:%M} {state}  {plain(run.archive)}  {told}", soft_wrap=True)
        if len(runs) > 20:
            out.print(f"and {len(runs) - 20} earlier runs")


@command.command("review")
@click.argument("number")
@store_option
@click.option("--by", default=None, metavar="NAME", help="Who has looked. [default: the name of the account]")
@click.option(
    "--outcome", type=click.Choice(_OUTCOMES), default=None, help="What was wrong: the contour, the model's draft, or nothing."
)
@click.option("--note", default="", help="In your words.")
def review(number: str, store_url: str, by: str | None, outcome: str | None, note: str) -> None:
    """Mark a flag as reviewed. NUMBER stands beside the plan on the dashboard; its beginning will do."""
    with opened(store_url) as store:
        done = store.acknowledge(number, by or getpass.getuser(), outcome or "", note)
        click.echo(f"{done.result_key[:12]} was reviewed by {plain(done.by)} at {done.made:%Y-%m-%d %H:%M} UTC")


@command.command("export")
@click.argument("file", type=PathArgument(exists=False))
@store_option
@click.option("--superseded", is_flag=True, help="Results that a later one has replaced, too.")
@click.option("--force", is_flag=True, help="Replace a file that is there.")
def export(file: Path, store_url: str, superseded: bool, force: bool) -> None:
    """All results as a table: FILE ends with .csv, .parquet, or .jsonl (which holds whole assessments)."""
    from rtqc.nightly.export import FORMATS, ExportError, export_results

    if file.suffix.lower() not in FORMATS:
        stop(f"{file}: give a name that ends with {', '.join(FORMATS)}")
    if file.exists() and not force:
        stop(f"{file} exists already: give another name, or --force to replace it")
    with opened(store_url) as store:
        try:
            count = export_results(store, file, superseded)
        except ExportError as error:
            stop(str(error))
        click.echo(f"{count} results in {file}")


@command.command("forget")
@store_option
@click.option(
    "--older-than", type=click.FloatRange(min=0), required=True, metavar="DAYS", help="Results that were made before."
)
@click.option("--superseded", is_flag=True, help="Only those that a later result has replaced.")
@click.option("--out", type=PathArgument(), metavar="DIR", help="Delete their reports in this folder of rtqc nightly, too.")
@click.option("--yes", is_flag=True, help="Do it without asking.")
def forget(store_url: str, older_than: float, superseded: bool, out: Path | None, yes: bool) -> None:
    """Delete old results for good."""
    from rtqc.nightly import Places

    if not yes and not click.confirm(f"Delete results older than {older_than:g} days from {masked(store_url)}?", err=True):
        stop("nothing was deleted")
    with opened(store_url) as store, store.locked():
        keys = store.forget(older_than, only_superseded=superseded)
        if out is not None:
            Places(out).prune_reports(keys)
        click.echo(f"{len(keys)} results were deleted")
