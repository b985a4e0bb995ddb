"""``rtqc compare``: two contours of one organ, whoever drew them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rtqc.cli.console import PathArgument, console, json_option, pick_structure, plain, stop

if TYPE_CHECKING:
    from rtqc.core import Agreement, Orientation, Structure


@click.command("compare")
@click.argument("rtstruct_a", type=PathArgument())
@click.argument("rtstruct_b", type=PathArgument())
@click.option("--roi", metavar="NAME", help="Structure in A (and in B). [default: the heart]")
@click.option("--roi-b", metavar="NAME", help="Structure in B, where it has another name there.")
@click.option(
    "--ct", type=PathArgument(), metavar="DIR", help="The CT that they were drawn on: its orientation and slice spacing."
)
@json_option
def command(rtstruct_a: Path, rtstruct_b: Path, roi: str | None, roi_b: str | None, ct: Path | None, as_json: bool) -> None:
    """Compare one structure of two structure sets: Dice, distances between the surfaces, slice by slice.

    Differences are B minus A.
    """
    from rtqc.comparison import compare

    orientation, spacing = _geometry(ct)
    a = _structure(rtstruct_a, roi, orientation, spacing)
    b = _structure(rtstruct_b, roi_b or roi, orientation, spacing)
    if not (a.is_empty or b.is_empty or a.orientation.is_parallel(b.orientation)):
        stop(f"{a.name} and {b.name} are drawn on planes that are not parallel: they cannot be compared slice by slice")
    agreement = compare(a, b)
    if as_json:
        sides = {key: {"name": s.name, "volume_ml": round(s.volume_ml, 3)} for key, s in (("a", a), ("b", b))}
        click.echo(json.dumps(agreement.model_dump(mode="json") | sides, indent=2, ensure_ascii=False))
    else:
        console().print(_table(a, b, agreement))


def _geometry(ct: Path | None) -> tuple[Orientation, float | None]:
    from rtqc.core import AXIAL
    from rtqc.dicom import read_cases

    if ct is None:
        return AXIAL, None
    images = [case.image for case in read_cases(ct) if case.image is not None]
    if not images:
        stop(f"there is no usable CT in {ct}: give the folder of the CT that the structures were drawn on")
    grid = images[0].grid
    return grid.orientation, grid.slice_spacing_mm


def _structure(path: Path, name: str | None, orientation: Orientation, spacing: float | None) -> Structure:
    from rtqc.dicom import DEFAULT_SLICE_MM, StructureSetError, structures_of_file

    try:
        structures = structures_of_file(path, orientation, spacing or DEFAULT_SLICE_MM)
    except StructureSetError as error:
        stop(str(error))
    return pick_structure(structures, name, path.name)


def _table(a: Structure, b: Structure, agreement: Agreement) -> object:
    from rich import box
    from rich.table import Table

    table = Table(
        box=box.SIMPLE_HEAD,
        title=f"A {plain(a.name)} {a.volume_ml:.1f} ml, B {plain(b.name)} {b.volume_ml:.1f} ml",
        title_justify="left",
    )
    table.add_column("metric")
    table.add_column("value", justify="right")
    rows: list[tuple[str, float | None, str]] = [
        ("Dice", agreement.dice, ".4f"),
        ("Jaccard", agreement.jaccard, ".4f"),
        ("surface Dice at 3 mm", agreement.surface_dice_3mm, ".4f"),
        ("Hausdorff distance (mm)", agreement.hausdorff_mm, ".2f"),
        ("Hausdorff distance, 95 % (mm)", agreement.hausdorff95_mm, ".2f"),
        ("mean surface distance (mm)", agreement.mean_surface_distance_mm, ".3f"),
        ("volume B - A (ml)", agreement.volume_difference_ml, "+.1f"),
        ("added path length (mm)", agreement.added_path_length_mm, ".0f"),
    ]
    for name, value, form in rows:
        table.add_row(name, "-" if value is None else format(value, form))
    missing = [s.position_mm for s in agreement.slices if s.missing]
    if missing:
        table.add_row("slices on which one is missing", str(len(missing)))
    return table
