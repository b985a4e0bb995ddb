"""``rtqc cohort measure`` and ``rtqc cohort report``: measures of thousands, and what became of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from rtqc.cli.console import PathArgument, console, model_options, plain, progress, stop
from rtqc.cli.store import opened
from rtqc.cli.workers import crew_options

if TYPE_CHECKING:
    from rtqc.heart import Device
    from rtqc.nightly import Crew
    from rtqc.nightly.cohort.measures import MeasuresRow


@click.command("measure")
@click.argument("sources", type=PathArgument(), nargs=-1, metavar="[PATH...]")
@click.option("--store", "store_url", metavar="URL|FILE", help="Take what rtqc nightly has measured, instead of scans.")
@click.option("--out", type=PathArgument(exists=False), required=True, metavar="DIR", help="Where the tables go.")
@crew_options
@click.option(
    "--time-limit", type=click.FloatRange(min=1), default=600, show_default=True, metavar="S", help="For one scan, in s."
)
@model_options
def measure(
    sources: tuple[Path, ...],
    store_url: str | None,
    out: Path,
    crew: Crew,
    time_limit: float,
    model: str,
    device: Device,
    threads: int,
) -> None:
    """One row a scan: heart volume, epicardial fat, calcium, quality and versions, as CSV and Parquet.

    PATH is a folder of DICOM, NRRD or NIfTI in any layout, one such file, or a list (.txt, a path a line). Stopped anywhere, it goes on when it is started
    again: what was measured from the same files by the same model and version is not measured again.

    Exit status: 0 all measured, 2 some scans could not be measured.
    """
    from rtqc.heart import DeviceError, ModelError
    from rtqc.nightly import ClusterError, Settings
    from rtqc.nightly.cohort.measures import CSV_FILE, MeasuresFolder, measure_cohort, rows_of_store

    if bool(sources) == bool(store_url):
        stop("give scans (PATH...) or the store of rtqc nightly (--store), one of the two")
    folder = MeasuresFolder(out)
    try:
        if store_url:
            with opened(store_url) as store:
                rows = sorted(rows_of_store(store), key=lambda r: (r.patient_id, r.study_uid))
            failures: dict[str, int] = {}
            before = 0
        else:
            settings = Settings.of(None, model, device, threads, time_limit, False)
            with progress() as bar:
                task = bar.add_task("measuring", total=None)

                def tell(done: int, total: int, row: MeasuresRow | None) -> None:
                    bar.update(task, completed=done, total=total, description=f"measuring ({done} of {total})")

                measured = measure_cohort(sources, folder, settings, crew, tell)
            rows, failures, before = list(measured.rows), measured.failures, measured.before
        written = folder.write_tables(rows)
    except (ModelError, DeviceError, ClusterError) as error:
        stop(str(error))
    except OSError as error:
        stop(f"{error.filename or out}: {error.strerror or error}. What was measured is kept; start again when this is mended.")
    _show(rows, failures, before, written[0] if written else out / CSV_FILE)
    raise SystemExit(2 if any(r.status == "not measured" for r in rows) else 0)


def _show(rows: list[MeasuresRow], failures: dict[str, int], before: int, path: Path) -> None:
    from collections import Counter

    out = console()
    counts = Counter(r.status for r in rows)
    told = ", ".join(f"{counts[s]} {s}" for s in ("measured", "in part", "not measured") if counts[s])
    out.print(f"{len(rows)} scans: {told or 'none'}{f' ({before} of them before)' if before else ''}")
    for why, count in list(failures.items())[:20]:
        out.print(f"  not measured, {count}: {plain(why)}")
    if len(failures) > 20:
        out.print(f"  and {len(failures) - 20} more reasons: the table has all")
    partly = Counter(r.reason for r in rows if r.status == "in part")
    for why, count in partly.most_common(10):
        out.print(f"  in part, {count}: {plain(why)}")
    if len(partly) > 10:
        out.print(f"  and {len(partly) - 10} more reasons: the table has all")
    classes = Counter(r.calcium_class for r in rows if r.calcium_class)
    if classes:
        out.print(
            "Calcium: "
            + ", ".join(f"{count} of class {name}" for name, count in sorted(classes.items(), key=lambda c: len(c[0])))
        )
    out.print(f"Table: {plain(str(path))}", soft_wrap=True)


@click.command("report")
@click.argument("measures", type=PathArgument(), metavar="MEASURES.csv")
@click.option(
    "--outcomes", type=PathArgument(), required=True, metavar="EVENTS.csv", help="A row a patient: identifier, time, event."
)
@click.option("--id", "id_column", default="patient_id", show_default=True, metavar="COLUMN", help="Identifier in EVENTS.csv.")
@click.option("--time", required=True, metavar="COLUMN", help="Time to the event, or to the end of follow-up.")
@click.option("--event", required=True, metavar="COLUMN", help="1 where there was an event, 0 where there was none.")
@click.option("--adjust", default="", metavar="COLUMN,...", help="Covariates of the adjusted models.")
@click.option("--reader", default="", metavar="COLUMN", help="A reader's Agatston scores, to be compared.")
@click.option("--out", type=PathArgument(exists=False), required=True, metavar="DIR", help="Where page, tables and figures go.")
@click.option("--force", is_flag=True, help="Replace files that are there already.")
def report(
    measures: Path, outcomes: Path, id_column: str, time: str, event: str, adjust: str, reader: str, out: Path, force: bool
) -> None:
    """Survival by calcium class (Kaplan-Meier, log-rank), Cox models, and agreement with a reader: page, tables and figures for a paper."""
    try:
        import lifelines  # noqa: F401
        import statsmodels  # noqa: F401

        from rtqc.nightly.cohort.outcomes import OutcomesError, outcomes_of, read_table
        from rtqc.nightly.cohort.outcomes_page import FILES, PAGE_FILE, p_text, write_outcomes
    except ImportError as error:
        stop(f"a library for survival is missing ({error}): pip install 'rtqc[outcomes]'")
    there = [out / name for name in FILES if (out / name).exists()]
    if there and not force:
        stop(f"{there[0]} exists already: give another --out, or --force to replace it")
    columns = [c.strip() for c in adjust.split(",") if c.strip()]
    try:
        found = outcomes_of(
            read_table(measures),
            read_table(outcomes, id_column),
            id_column=id_column,
            time=time,
            event=event,
            adjust=columns,
            reader=reader,
        )
        write_outcomes(found, out, time)
    except OutcomesError as error:
        stop(str(error))
    except OSError as error:
        stop(f"{error.filename or out}: {error.strerror or error}")
    con = console()
    con.print(f"{found.people} people, {found.events} events, median follow-up {found.follow_up:.3g} ({plain(time)})")
    if found.logrank_p is not None:
        con.print(f"Survival by calcium class: log-rank {p_text(found.logrank_p)}")
    for m in found.models:
        for t in m.terms:
            con.print(f"{plain(m.name)}: {plain(t.term)} {t.ratio:.2f} ({t.low:.2f} to {t.high:.2f}), C {m.c_index or 0:.3f}")
    if found.readers is not None:
        r = found.readers
        con.print(f"Reader: {r.right} of {r.people} in the same class, weighted kappa {r.kappa:.3f}, ICC {r.icc:.3f}")
    for why, count in found.left_out.items():
        con.print(f"left out, {count}: {plain(why)}")
    con.print(f"Page: {plain(str(out / PAGE_FILE))}", soft_wrap=True)
