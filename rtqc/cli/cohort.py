"""``rtqc cohort``: what a whole cohort says."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rtqc.cli.cohort_measures import measure, report
from rtqc.cli.console import PathArgument, console, json_option, plain, progress, stop
from rtqc.cli.store import opened

if TYPE_CHECKING:
    from rtqc.nightly.cohort import CohortStudy, Detection


@click.group("cohort", invoke_without_command=True)
@click.option("--store", "store_url", envvar="RTQC_STORE", metavar="URL|FILE", help="Of rtqc nightly. [also: RTQC_STORE]")
@click.option("--detection", is_flag=True, help="How small an error is still found, on synthetic and real hearts.")
@click.option(
    "--patients", type=click.IntRange(min=1), default=60, show_default=True, help="Synthetic patients of --detection."
)
@click.option("--graded", type=click.IntRange(min=0), default=20, show_default=True, help="So many of them get errors.")
@click.option(
    "--real", multiple=True, type=PathArgument(), metavar="DIR", help="A patient with a good contour, for --detection."
)
@click.option("--workers", type=click.IntRange(min=1), metavar="N", help="Processes of --detection. [default: all cores]")
@click.option(
    "--out", type=PathArgument(exists=False), metavar="DIR", help="Write cohort.html and cohort.json (detection.md) there."
)
@click.option("--force", is_flag=True, help="Replace files that are there.")
@json_option
@click.pass_context
def command(
    context: click.Context,
    store_url: str | None,
    detection: bool,
    patients: int,
    graded: int,
    real: tuple[Path, ...],
    workers: int | None,
    out: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    """The study behind rtqc on your own store: median Dice, failures, volume and mean heart dose of contour and draft.

    With --detection: errors of graded size are planted, and what is found is counted. measure: volume, fat and calcium of thousands of scans. report:
    what they say about what became of the people.
    """
    if context.invoked_subcommand is not None:
        return
    names = ("detection.md", "detection.json") if detection else ("cohort.html", "cohort.json")
    there = [out / name for name in names if out is not None and (out / name).exists()]
    if there and not force:
        stop(f"{there[0]} exists already: give another --out, or --force to replace it")
    if detection:
        _detection(patients, graded, real, workers or os.cpu_count() or 1, out, as_json)
        return
    if not store_url:
        stop("give the store of rtqc nightly with --store, or --detection")
    _study(store_url, out, as_json)


def _study(store_url: str, out: Path | None, as_json: bool) -> None:
    from rtqc.core.whole_file import whole_file
    from rtqc.nightly.cohort import study_of
    from rtqc.nightly.cohort.page import study_page

    with opened(store_url) as store:
        study = study_of(store.rows(), store.acknowledgements())
    told = {k: v for k, v in asdict(study).items() if k != "values"}
    if out is not None:
        for name, text in (("cohort.html", study_page(study)), ("cohort.json", json.dumps(told, indent=2) + "\n")):
            with whole_file(out / name) as file:
                file.write(text.encode("utf-8"))
    if as_json:
        click.echo(json.dumps(told, indent=2))
    else:
        _show(study, out)


def _show(study: CohortStudy, out: Path | None) -> None:
    con = console()
    con.print(f"{study.plans} plans, {study.compared} with contour and draft")
    if study.dice is not None:
        low, high = study.failure_interval
        con.print(f"Dice {study.dice[1]:.3f} (quartiles {study.dice[0]:.3f} to {study.dice[2]:.3f})")
        con.print(
            f"Dice under 0.85: {study.failures} of {study.compared}, {100 * study.failures / study.compared:.1f} % "
            f"(95 % interval {100 * low:.1f} to {100 * high:.1f} %)"
        )
    for name, agreement, unit, digits in (("Volume", study.volume, "ml", 1), ("Mean heart dose", study.mean_dose, "Gy", 3)):
        if agreement is not None:
            con.print(
                f"{name}, draft - contour: {agreement.bias:+.{digits}f} {unit} "
                f"(95 % of plans {agreement.lower:+.{digits}f} to {agreement.upper:+.{digits}f} {unit})"
            )
    if study.reviewed:
        con.print("Failures: " + ", ".join(f"{count} {plain(what)}" for what, count in study.reviewed.items()))
    for why, count in list(study.not_compared.items())[:10]:
        con.print(f"Not compared, {count}: {plain(why)}")
    if len(study.not_compared) > 10:
        con.print(f"Not compared, and {len(study.not_compared) - 10} more reasons: --json lists them")
    if out is not None:
        con.print(f"Page: {plain(str(out / 'cohort.html'))}", soft_wrap=True)


def _detection(patients: int, graded: int, real: tuple[Path, ...], workers: int, out: Path | None, as_json: bool) -> None:
    from rtqc.core.whole_file import whole_file
    from rtqc.nightly.cohort import run_detection

    with progress(as_json) as bar:
        task = bar.add_task("patients", total=None)
        found: Detection = run_detection(
            range(7000, 7000 + patients),
            real,
            graded,
            workers,
            lambda done, total: bar.update(task, completed=done, total=total),
        )
    lines = found.markdown()
    told = {"trials": [asdict(t) for t in found.trials]}
    if out is not None:
        for name, text in (("detection.md", "\n".join(lines) + "\n"), ("detection.json", json.dumps(told))):
            with whole_file(out / name) as file:
                file.write(text.encode("utf-8"))
    click.echo(json.dumps(told) if as_json else "\n".join(lines))


command.add_command(measure)
command.add_command(report)
