"""``rtqc compare``: two contours of one organ, whoever drew them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rtqc.cli.console import PathArgument, console, json_option, pick_structure, plain, print_findings, printable, stop

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rtqc.core import Agreement, Finding, Image, Structure

#: Slice spacings that differ by less are written by two programs.
_SAME_SPACING_MM = 0.01


@click.command("compare")
@click.argument("rtstruct_a", type=PathArgument())
@click.argument("rtstruct_b", type=PathArgument())
@click.option("--roi", metavar="NAME", help="Structure in A (and in B). [default: the heart]")
@click.option("--roi-b", metavar="NAME", help="Structure in B, where it has another name there.")
@click.option(
    "--ct", type=PathArgument(), metavar="DIR", help="The CT that they were drawn on: its orientation and slice spacing."
)
@click.option(
    "--tolerance",
    "tolerances",
    multiple=True,
    type=click.FloatRange(min=0),
    metavar="MM",
    help="Tolerance of the surface Dice; may be given several times. [default: 1, 2, 3, 5]",
)
@json_option
def command(
    rtstruct_a: Path,
    rtstruct_b: Path,
    roi: str | None,
    roi_b: str | None,
    ct: Path | None,
    tolerances: tuple[float, ...],
    as_json: bool,
) -> None:
    """Compare one structure of two structure sets: Dice, distances between the surfaces, slice by slice.

    The two may be drawn on other slices, other spacings and other planes. Differences are B minus A; signed distances say how
    far A lies outside B (positive) or inside.
    """
    from rtqc.comparison import TOLERANCES_MM, compare
    from rtqc.core.finding import worst_first

    images = _images(ct)
    a, about_a = _structure(rtstruct_a, roi, images, "A")
    b, about_b = _structure(rtstruct_b, roi_b or roi, images, "B")
    findings = worst_first([*about_a, *about_b])
    agreement = compare(a, b, tolerances or TOLERANCES_MM)
    if as_json:
        sides: dict[str, Any] = {key: {"name": s.name, "volume_ml": round(s.volume_ml, 3)} for key, s in (("a", a), ("b", b))}
        sides["findings"] = [f.model_dump(mode="json") for f in findings]
        click.echo(json.dumps(agreement.model_dump(mode="json") | sides, indent=2, ensure_ascii=False))
    else:
        console().print(_table(a, b, agreement))
        print_findings(findings, stderr=False)


def _images(ct: Path | None) -> tuple[Image, ...]:
    """CT series of one orientation and slice spacing; none without a folder, or where its CT cannot be used, which is said."""
    from rtqc.dicom import read_cases

    if ct is None:
        return ()
    cases = read_cases(ct)
    images = [case.image for case in cases if case.image is not None]
    if not images:
        why = [f.message for case in cases for f in case.findings if f.rule in ("ct.unusable", "ct.frames_unusable")]
        if not why:
            stop(f"there is no usable CT in {ct}: give the folder of the CT that the structures were drawn on")
        click.echo(f"rtqc: {printable(why[0])} The structures are compared without it.", err=True)
        return ()
    grid = images[0].grid
    if any(
        i.grid.orientation != grid.orientation or abs(i.grid.slice_spacing_mm - grid.slice_spacing_mm) > _SAME_SPACING_MM
        for i in images
    ):
        stop(
            f"{ct} holds {len(images)} CT series of different slices: give the folder of the one that the structures were drawn on"
        )
    return tuple(images)


def _structure(path: Path, name: str | None, images: Sequence[Image], side: str) -> tuple[Structure, list[Finding]]:
    """A structure of a file, and what must be known of its contours before anybody relies on the comparison."""
    from rtqc.core import Case
    from rtqc.core.slabs import uncertain_thickness
    from rtqc.dicom import DEFAULT_SLICE_MM, StructureSetError, structure_set_of_file, structures_by_name
    from rtqc.qc import structure_findings

    grid = images[0].grid if images else None
    try:
        if grid is None:
            structure_set = structure_set_of_file(path, None, DEFAULT_SLICE_MM)
        else:
            slices = grid.canonical_positions_mm
            structure_set = structure_set_of_file(path, grid.orientation, grid.slice_spacing_mm, slices)
    except StructureSetError as error:
        stop(str(error))
    structure = pick_structure(structures_by_name(structure_set.rois), name, path.name)
    # The image tells which of its slices the contours skip, and whether they lie on it at all.
    image = max(images, key=lambda i: _planes_on(structure, i), default=None)
    case = Case(image=image, rois=structure_set.rois, findings=structure_set.findings, has_structure_set=True)
    found = structure_findings(case, structure)
    if structure.is_empty:
        why = " ".join(f.message for f in found if f.rule.startswith(("contour.", "structure_set.")))
        stop(f"{side}, {path.name}: {printable(why or structure.name + ' has no contours.')} Nothing can be compared.")
    uncertain = uncertain_thickness(structure.positions_mm) if grid is None else None
    if uncertain is not None:
        found.append(_of_thickness(structure, uncertain))
    return structure, [f.model_copy(update={"message": f"{side}, {path.name}: {f.message}"}) for f in found]


def _planes_on(structure: Structure, image: Image) -> int:
    """Number of planes of a structure within a CT of its orientation."""
    positions = image.grid.canonical_positions_mm
    reach = image.grid.slice_spacing_mm / 2
    planes = structure.positions_mm
    return int(((planes >= positions.min() - reach) & (planes <= positions.max() + reach)).sum())


def _of_thickness(structure: Structure, varies_mm: float) -> Finding:
    """That a structure's volume hangs on a thickness that nobody said."""
    from rtqc.dicom import note

    if varies_mm > 0:
        message = f"The contours' heights vary by {varies_mm:.1f} mm about even slices, so the volume is uncertain: give their CT with --ct."
    else:
        message = f"The contours stand alone, so each was taken as {structure.slice_spacing_mm:g} mm thick, which is assumed: give their CT with --ct."
    return note(
        "structure_set.thickness_uncertain",
        f"{structure.name}: {message}",
        structures=(structure.name,),
        measured=varies_mm or None,
    )


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
        *((f"surface Dice at {s.tolerance_mm:g} mm", s.value, ".4f") for s in agreement.surface_dice),
        ("Hausdorff distance (mm)", agreement.hausdorff_mm, ".2f"),
        ("Hausdorff distance, 95 % (mm)", agreement.hausdorff95_mm, ".2f"),
        ("mean surface distance (mm)", agreement.mean_surface_distance_mm, ".3f"),
        ("A outside B on average (mm)", agreement.signed_surface_distance_mm, "+.2f"),
        *((f"  {r.name}", r.signed_distance_mm, "+.2f") for r in agreement.regions if " " not in r.name),
        ("volume B - A (ml)", agreement.volume_difference_ml, "+.1f"),
        ("added path length (mm)", agreement.added_path_length_mm, ".0f"),
        ("editing, estimated (min)", agreement.editing_minutes, ".1f"),
    ]
    for name, value, form in rows:
        table.add_row(name, "-" if value is None else format(value, form))
    if agreement.centroid_shift is not None:
        table.add_row("centroid shift, B from A", agreement.centroid_shift)
    missing = [s.position_mm for s in agreement.slices if s.missing]
    if missing:
        table.add_row("slices on which one is missing", str(len(missing)))
    return table
