"""``rtqc dvh``: dose to a structure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rtqc.cli.console import PathArgument, console, json_option, only_case, pick_structure, plain, stop

if TYPE_CHECKING:
    from rtqc.core import Case, Structure


@click.command("dvh")
@click.argument("path", type=PathArgument())
@click.option("--roi", metavar="NAME", help="Structure. [default: the heart]")
@json_option
def command(path: Path, roi: str | None, as_json: bool) -> None:
    """Dose metrics and cumulative DVH of a structure of the plan below PATH."""
    from rtqc.dosimetry import dvh, metrics_of

    case = only_case(path)
    structure = _structure(case, roi)
    if case.dose is None:
        reasons = [f.message for f in case.findings if f.rule.startswith(("dose.", "reference.dose", "reference.patient"))]
        stop(" ".join(reasons) or f"there is no RTDOSE below {path}: export the dose of the plan too")
    histogram = dvh(structure, case.dose)
    if histogram.is_empty:
        stop(f"{structure.name} is empty or lies wholly outside the dose grid: there is no dose to tell")
    metrics = metrics_of(histogram)
    if as_json:
        document = metrics.model_dump(mode="json") | {
            "structure": structure.name,
            "volume_ml": round(histogram.volume_ml, 3),
            "curve": histogram.curve().model_dump(mode="json"),
        }
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
        return
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, title=f"{plain(structure.name)}, {histogram.volume_ml:.1f} ml", title_justify="left")
    table.add_column("metric")
    table.add_column("value", justify="right")
    for key, value in metrics.model_dump().items():
        table.add_row(key, "-" if value is None else f"{value:.3f}")
    console().print(table)


def _structure(case: Case, name: str | None) -> Structure:
    if not case.has_structure_set:
        reasons = [f.message for f in case.findings if f.severity == "fail"]
        stop(" ".join(reasons) or "there is no structure set: export the RTSTRUCT too")
    return pick_structure(case.structures, name, "the structure set")
