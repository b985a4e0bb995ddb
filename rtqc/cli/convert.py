"""``rtqc convert``: images, doses and structures for programs that do not read DICOM, and masks back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from rtqc.cli.console import PathArgument, console, only_case, pick_structure, plain, stop

if TYPE_CHECKING:
    from rtqc.core import Case, Grid, Structure


@click.command("convert")
@click.argument("source", type=PathArgument())
@click.argument("target", type=PathArgument(exists=False))
@click.option("--roi", metavar="NAME", help="Write this structure as a mask on the CT (or the dose) instead of the CT.")
@click.option("--dose", is_flag=True, help="Write the dose, or the mask on its grid.")
@click.option("--ct", type=PathArgument(), metavar="DIR", help="From a mask: the CT that it was drawn on.")
@click.option("--name", metavar="NAME", help="From a mask: name of the structure. [default: the file's name]")
@click.option("--label", type=click.IntRange(min=1), metavar="N", help="From a mask: which label. [default: the only one]")
@click.option("--force", is_flag=True, help="Replace the file if it is there already.")
def command(
    source: Path, target: Path, roi: str | None, dose: bool, ct: Path | None, name: str | None, label: int | None, force: bool
) -> None:
    """Convert SOURCE to TARGET.

    From a DICOM folder to .nrrd, .nii or .nii.gz: the CT in HU, with --dose the dose in Gy, with --roi a mask. From a mask in one of these
    formats to .dcm: an RTSTRUCT on the CT of --ct. Places in the patient stay what they are.
    """
    from rtqc.dicom import VolumeFileError, is_volume_file

    try:
        if is_volume_file(source) and source.is_file():
            _to_rtstruct(source, target, ct, name, label, force)
        else:
            _to_volume(only_case(source), target, roi, dose, force)
    except (VolumeFileError, FileExistsError, ValueError) as error:
        stop(str(error))
    except OSError as error:
        stop(f"{error.filename or target}: {error.strerror or error}. Nothing half-written was left there.")
    console().print(f"Written: {plain(str(target))}", soft_wrap=True)


def _to_volume(case: Case, target: Path, roi: str | None, dose: bool, force: bool) -> None:
    import numpy as np

    from rtqc.dicom import write_volume
    from rtqc.geometry import rasterize

    values = case.dose if dose else case.image
    if values is None:
        what = "dose" if dose else "CT"
        stop(" ".join(f.message for f in case.findings if f.severity == "fail") or f"there is no {what} to convert")
    if roi is not None:
        structure = pick_structure(case.structures, roi, "the structure set")
        write_volume(target, values.grid, rasterize(structure, values.grid).array, force)
    elif dose and case.dose is not None:
        write_volume(target, case.dose.grid, case.dose.gy, force)
    elif case.image is not None:
        hu = case.image.hu
        whole = bool((hu == np.rint(hu)).all()) and float(hu.min()) >= -32768 and float(hu.max()) <= 32767
        write_volume(target, case.image.grid, hu.astype(np.int16) if whole else hu, force)


def _to_rtstruct(source: Path, target: Path, ct: Path | None, name: str | None, label: int | None, force: bool) -> None:
    import numpy as np

    from rtqc.core.version import rtqc_version
    from rtqc.dicom import DrawnBy, Writing, read_volume, write_rtstruct

    if ct is None:
        stop("a mask becomes an RTSTRUCT on a CT: give the folder of the CT with --ct")
    case = only_case(ct)
    if case.image is None:
        stop(" ".join(f.message for f in case.findings if f.severity == "fail") or f"there is no CT below {ct}")
    grid, values = read_volume(source)
    labels = np.unique(values[values > 0])
    if label is None and labels.size > 1:
        listed = ", ".join(f"{v:g}" for v in labels[:12])
        stop(f"{source.name} holds several labels ({listed}): choose one with --label")
    chosen = values == label if label is not None else values > 0
    if not chosen.any():
        stop(f"{source.name} holds no voxel {'of label ' + str(label) if label else 'above 0'}")
    structure = _on_slices(grid, chosen, case.image.grid, name or source.name.split(".")[0])
    drawn_by = DrawnBy("rtqc", rtqc_version(), "", f"rtqc {rtqc_version()}", converted_from=source.name)
    write_rtstruct(structure, case, target, drawn_by, Writing(replace=force))


def _on_slices(grid: Grid, chosen: object, image: Grid, name: str) -> Structure:
    """The mask's outlines, on the CT's slices."""
    from rtqc.core import Mask
    from rtqc.geometry import on_slices, trace

    return on_slices(trace(Mask(grid, chosen), name), image)  # type: ignore[arg-type]
