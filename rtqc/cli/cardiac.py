"""``rtqc cardiac``: what a chest CT tells about the heart."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rtqc.cli.console import (
    PathArgument,
    case_folders,
    console,
    findings_table,
    json_option,
    model_options,
    plain,
    progress,
    say_unread,
    stop,
)

if TYPE_CHECKING:
    from rtqc.core.cardiac_report import CardiacReport
    from rtqc.heart import Device, Engine
    from rtqc.scan import FoundScan, MeasuredScan

_NAMES = ("cardiac.html", "cardiac.json")


@click.command("cardiac")
@click.argument("paths", type=PathArgument(), nargs=-1, required=True, metavar="PATH...")
@click.option(
    "--exclude", multiple=True, type=click.IntRange(min=1), metavar="N", help="Take calcification N out of the score."
)
@click.option("--include", multiple=True, type=click.IntRange(min=1), metavar="N", help="Put calcification N into the score.")
@click.option("--out", type=PathArgument(exists=False), metavar="DIR", help="Write cardiac.html and cardiac.json there.")
@click.option("--force", is_flag=True, help="Replace files that are there already.")
@model_options
@json_option
def command(
    paths: tuple[Path, ...],
    exclude: tuple[int, ...],
    include: tuple[int, ...],
    out: Path | None,
    force: bool,
    model: str,
    device: Device,
    threads: int,
    as_json: bool,
) -> None:
    """Heart volume, epicardial fat and coronary calcium of every chest CT below PATH: gated or not, folders of DICOM, NRRD or NIfTI.

    Of several reconstructions of one study the one that suits calcium best is taken, and named.

    Exit status: 0 all measured, 1 something was refused or is not trusted, 2 a scan could not be measured at all.
    """
    from rtqc.heart import DeviceError, Engine, ModelError, load_model

    if set(exclude) & set(include):
        stop(f"calcification {min(set(exclude) & set(include))} cannot be both excluded and included")
    try:
        engine = Engine(load_model(model), device, threads)
        reports = _measure_all(paths, engine, exclude, include, out, force, as_json)
    except (ModelError, DeviceError) as error:
        stop(str(error))
    except OSError as error:
        stop(f"{error.filename or out or paths[0]}: {error.strerror or error}. Nothing half-written was left there.")
    if as_json:
        click.echo(json_document(reports))
    sys.exit(max(r.status for r in reports))


def json_document(reports: list[CardiacReport]) -> str:
    """One scan: its report. Several: all of them."""
    if len(reports) == 1:
        return reports[0].model_dump_json(indent=2)
    told = {"schema_version": reports[0].schema_version, "cases": [r.model_dump(mode="json") for r in reports]}
    return json.dumps(told, indent=2, ensure_ascii=False)


def _measure_all(
    paths: tuple[Path, ...],
    engine: Engine,
    exclude: tuple[int, ...],
    include: tuple[int, ...],
    out: Path | None,
    force: bool,
    quiet: bool,
) -> list[CardiacReport]:
    from rtqc.report import write_cardiac

    reports = []
    with progress(quiet) as bar:
        task = bar.add_task("reading headers", total=None)
        found = [scan for path in paths for scan in _found(path)]
        if (exclude or include) and len(found) > 1:
            stop(f"--exclude and --include are for one scan, and there are {len(found)}: name one scan's folder")
        folders = case_folders(out, [s.patient_id for s in found], _NAMES, force)
        for number, (scan, folder) in enumerate(zip(found, folders, strict=True)):
            bar.update(task, description=f"{plain(scan.patient_id or 'scan')}: measuring", total=len(found), completed=number)
            measured = scan.measure(engine, exclude, include)
            _check_numbers(measured, (*exclude, *include))
            if folder is not None:
                write_cardiac(measured.report, measured.image, measured.draft, measured.measured, folder)
            if not quiet:
                bar.stop()
                _show(measured.report, folder)
                bar.start()
            reports.append(measured.report)
    return reports


def _found(path: Path) -> list[FoundScan]:
    """The scans at a path; files that nobody's scan speaks of are said on stderr."""
    from rtqc.dicom import index_folder, is_volume_file
    from rtqc.scan import found_scans

    if path.is_file() and is_volume_file(path):
        return found_scans(path)
    index = index_folder(path)
    say_unread(index)
    return found_scans(path, index)


def _check_numbers(measured: MeasuredScan, numbers: tuple[int, ...]) -> None:
    calcium = measured.report.calcium
    known = {x.number for x in (*calcium.lesions, *calcium.others)} if calcium is not None else set()
    for number in numbers:
        if number not in known:
            stop(f"there is no calcification {number} in this scan: it has {', '.join(map(str, sorted(known))) or 'none'}")


def _show(report: CardiacReport, folder: Path | None) -> None:
    out = console()
    name = " · ".join(plain(v) for v in (report.case.patient_id, report.case.patient_name) if v) or "unknown patient"
    out.print(f"[bold]{name}[/]")
    if report.heart is not None:
        h = report.heart
        interval = f" ({h.low_ml:.0f} to {h.high_ml:.0f})" if h.low_ml is not None and h.high_ml is not None else ""
        index = f", {h.indexed_ml_per_m2:.0f} ml/m²" if h.indexed_ml_per_m2 is not None else ""
        out.print(f"Heart {h.volume_ml:.0f} ml{interval}{index}")
    if report.epicardial_fat is not None:
        f = report.epicardial_fat
        mean = f", mean {f.mean_hu:.0f} HU" if f.mean_hu is not None else ""
        out.print(f"Epicardial fat {f.volume_ml:.0f} ml ({f.share_percent:.0f} % of the heart{mean})")
    calcium = report.calcium
    if calcium is not None:
        vessels = ", ".join(f"{v} {s:.0f}" for v, s in calcium.by_vessel.items())
        out.print(
            f"Calcium: Agatston [bold]{calcium.agatston:.0f}[/], class {calcium.calcium_class}, CAC-DRS {calcium.cac_drs}"
            f"{f' ({vessels})' if vessels else ''}, {calcium.volume_mm3:.0f} mm³"
        )
        if calcium.lesions or calcium.others:
            out.print(_table(report))
    if report.findings:
        out.print(findings_table(report.findings))
    if folder is not None:
        out.print(f"Report: {plain(str(folder / 'cardiac.html'))}", soft_wrap=True)


def _table(report: CardiacReport) -> object:
    from rich import box
    from rich.table import Table

    assert report.calcium is not None
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("N", "counts", "taken for", "vessel", "Agatston", "mm³", "HU", "slices (mm)"):
        table.add_column(column, no_wrap=True)
    for x in sorted((*report.calcium.lesions, *report.calcium.others), key=lambda x: x.number):
        counts = ("yes" if x.counted else "no") + (f" ({x.reader})" if x.reader else "")
        vessel = f"{x.vessel} {100 * x.vessel_probability:.0f} %" if x.vessel and x.vessel_probability else x.vessel or ""
        slices = f"{x.slices_mm[0]:.1f}" + (f" to {x.slices_mm[-1]:.1f}" if len(x.slices_mm) > 1 else "")
        kind = f"{x.kind} ({100 * x.probability:.0f} % coronary)"
        table.add_row(
            str(x.number), counts, kind, vessel, f"{x.agatston:.1f}", f"{x.volume_mm3:.0f}", f"{x.max_hu:.0f}", slices
        )
    return table
