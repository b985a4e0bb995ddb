"""``rtqc commission``: what a clinic does before it uses rtqc, and again after every update."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rtqc.cli.console import PathArgument, console, device_options, json_option, plain, progress, stop
from rtqc.cli.nightly import night_listener

if TYPE_CHECKING:
    from rtqc.heart import Device
    from rtqc.nightly.commissioning import CommissioningReport, ConstancyReport


@click.command("commission")
@click.argument("archive", metavar="[ARCHIVE]", type=PathArgument(), required=False)
@click.option("--out", type=PathArgument(exists=False), required=True, metavar="DIR", help="Where report and protocol go.")
@click.option(
    "--protocol", metavar="NAME|FILE", help="Protocol that the new one extends. [default: the one that most plans ask for]"
)
@click.option(
    "--model", metavar="NAME|DIR", help="Heart model. [default: heart-v1; with --constancy: the one that was commissioned]"
)
@click.option("--workers", type=click.IntRange(min=1), metavar="N", help="Processes here. [default: by cores and memory]")
@click.option(
    "--only", multiple=True, metavar="PATTERN", help="Only these Patient IDs (4711, 47*); may be given several times."
)
@click.option(
    "--without", multiple=True, metavar="PATTERN", help="Leave these Patient IDs out: their contours turned out to be wrong."
)
@click.option("--compare", "earlier", type=PathArgument(), metavar="DIR", help="An earlier commissioning, contour by contour.")
@click.option("--constancy", is_flag=True, help="Draw the ten stored cases of DIR again; 0: as commissioned, 1: not.")
@click.option(
    "--time-limit", type=click.FloatRange(min=1), default=600, show_default=True, metavar="S", help="For one plan, in s."
)
@click.option("--pdf/--no-pdf", default=True, show_default=True, help="Print the report, too (needs Chromium).")
@click.option("--force", is_flag=True, help="Replace the commissioning that is in DIR.")
@device_options
@json_option
def command(
    archive: Path | None,
    out: Path,
    protocol: str | None,
    model: str | None,
    workers: int | None,
    only: tuple[str, ...],
    without: tuple[str, ...],
    earlier: Path | None,
    constancy: bool,
    time_limit: float,
    pdf: bool,
    force: bool,
    device: Device,
    threads: int,
    as_json: bool,
) -> None:
    """Hold a clinic's accepted contours against rtqc's drafts, and learn how this clinic draws hearts.

    ARCHIVE is a folder with accepted plans, in any layout; ten with a trusted draft are the least, thirty are better. DIR gets commissioning.html, .pdf and
    .json to decide on, and protocol.toml for rtqc check --protocol. Stopped anywhere, it goes on when it is started again.

    Exit status: 0 all criteria of acceptance are met, 1 not all, 2 it could not be done. With --constancy: 0 as commissioned, 1 not, 2 not known.
    """
    from rtqc.heart import DEFAULT_MODEL, DeviceError, ModelError
    from rtqc.nightly import ClusterError, PlaceError, StoreError
    from rtqc.qc import ProtocolError

    out = Path(os.path.abspath(out))
    if constancy == (archive is not None):
        stop("give the folder with accepted plans, or --constancy with the folder of a commissioning in --out")
    try:
        if constancy:
            _constancy(out, model, device, threads, as_json)
        else:
            assert archive is not None
            _commission(
                Path(os.path.abspath(archive)), out, protocol or "", model or DEFAULT_MODEL, workers or 0, only, without, earlier, time_limit, pdf, force,
                device, threads, as_json,
            )  # fmt: skip
    except (ProtocolError, ModelError, DeviceError, StoreError, PlaceError, ClusterError) as error:
        stop(str(error))
    except OSError as error:
        stop(f"{error.filename or out}: {error.strerror or error}. What was done is stored; start again when this is mended.")


def _commission(
    archive: Path,
    out: Path,
    protocol: str,
    model: str,
    workers: int,
    only: tuple[str, ...],
    without: tuple[str, ...],
    earlier: Path | None,
    seconds: float,
    pdf: bool,
    force: bool,
    device: Device,
    threads: int,
    as_json: bool,
) -> None:
    from rtqc.nightly import Crew, Selection, Settings
    from rtqc.nightly.commissioning import Commissioning
    from rtqc.qc import load_protocol, rule_ids

    if not archive.is_dir():
        stop(f"{archive} is not a folder: give the one that holds the accepted plans")
    named = load_protocol(protocol, rule_ids()) if protocol else None
    settings = Settings.of(named, model, device, threads, seconds, True)
    task = Commissioning(archive, out, settings, protocol, Crew(workers), Selection(None, only), without, earlier, force, pdf)
    with night_listener(as_json) as listener:
        report = task.run(listener, lambda sentence: click.echo(f"rtqc: {sentence}", err=True))
    _show(report, out, as_json)
    sys.exit(0 if report.accepted else 1)


def _show(report: CommissioningReport, out: Path, as_json: bool) -> None:
    from rtqc.nightly.commissioning import HTML_FILE

    if as_json:
        click.echo(report.model_dump_json(indent=2))
        return
    con = console()
    con.print(f"[bold]{plain(report.headline)}[/]")
    con.print(f"{report.plans} plans, {len(report.cases)} contours with a trusted draft, {len(report.left_out)} left out")
    for name, habit, unit in (
        ("Upper end", report.upper_end_habit, "mm"), ("Lower end", report.lower_end_habit, "mm"), ("Volume", report.volume_habit, "%"),
    ):  # fmt: skip
        if habit is not None:
            con.print(
                f"{name}, contour - draft: {habit.median:+.1f} {unit} ({habit.low:+.1f} to {habit.high:+.1f}), spread {habit.deviation:.1f} {unit}, "
                f"flagged beyond {habit.limit:.1f} {unit} from it"
            )
    for note in report.notes:
        con.print(plain(note))
    marks = {True: "[green]met[/]", False: "[red]not met[/]", None: "[yellow]not known[/]"}
    for c in report.criteria:
        con.print(f"{c.about}: {plain(c.measured)} (wanted: {plain(c.wanted)}), {marks[c.met]}")
    con.print(f"Report: {plain(str(out / HTML_FILE))}", soft_wrap=True)
    con.print(
        f"Then: rtqc check EXPORT/ --protocol {plain(str(out / 'protocol.toml'))} --model {plain(report.model)}", soft_wrap=True
    )


def _constancy(out: Path, model: str | None, device: Device, threads: int, as_json: bool) -> None:
    from rtqc.heart import Engine, load_model
    from rtqc.nightly.commissioning import checked, read_facts

    facts = read_facts(out)
    engine = Engine(load_model(model or facts.model_folder or facts.model), device, threads)
    with progress(as_json) as bar:
        task = bar.add_task("drawing stored cases", total=len(facts.cases))
        report = checked(out, facts, engine, lambda done, total: bar.update(task, completed=done, total=total))
    _show_constancy(report, as_json)
    sys.exit(0 if report.constant else 1)


def _show_constancy(report: ConstancyReport, as_json: bool) -> None:
    if as_json:
        click.echo(report.model_dump_json(indent=2))
        return
    con = console()
    off = [c for c in report.cases if not c.same]
    if report.constant:
        con.print(
            f"As commissioned: {len(report.cases)} stored cases are drawn as they were ({report.seconds:.1f} s, {report.device})."
        )
        return
    if report.model_hash_now != report.model_hash_then:
        con.print(
            f"Another model than the one that was commissioned ({report.model_hash_now[:16]} instead of {report.model_hash_then[:16]})."
        )
    for c in off:
        con.print(
            f"{c.file}: Dice {c.dice:.4f} with the stored draft, volume {c.volume_percent:+.1f} %, predicted Dice {c.predicted_dice:+.3f}"
            + ("" if c.trusted_now == c.trusted_then else ", trusted now" if c.trusted_now else ", not trusted now")
        )
    con.print(
        f"[bold]Not as commissioned:[/] {len(off)} of {len(report.cases)} stored cases are drawn otherwise. Commission again with --compare."
    )
