"""``rtqc draft``: a heart to edit instead of one to draw."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from rtqc.cli.console import PathArgument, console, model_options, only_case, plain, print_findings, progress, stop
from rtqc.core.file_names import text_name

if TYPE_CHECKING:
    from rtqc.heart import Device

#: Findings of reading that matter to who draws on the CT and takes nothing from plan, dose and contours.
_ABOUT_THE_CT = ("ct.", "file.", "reference.same_uid", "reference.structure_set_ct", "reference.patient", "reference.series")


@click.command("draft")
@click.argument("path", type=PathArgument())
@click.option(
    "--out", type=PathArgument(exists=False), metavar="FILE", help="Where to write. [default: Heart_rtqc_<patient>.dcm]"
)
@click.option(
    "--append-to", type=PathArgument(), metavar="RTSTRUCT", help="Write a copy of this structure set with the draft added."
)
@click.option("--seg", type=PathArgument(exists=False), metavar="FILE", help="Write it as a DICOM Segmentation too.")
@click.option(
    "--seg-kind",
    type=click.Choice(("binary", "fractional")),
    default="binary",
    show_default=True,
    help="Voxels in or out, or the share of each that lies inside.",
)
@click.option(
    "--holes",
    type=click.Choice(("keyhole", "xor")),
    default="keyhole",
    show_default=True,
    help="How a hole is written: as a walk to it and back, or as a contour of its own (CLOSEDPLANAR_XOR).",
)
@click.option("--force", is_flag=True, help="Replace the file if it is there already.")
@model_options
def command(
    path: Path,
    out: Path | None,
    append_to: Path | None,
    seg: Path | None,
    seg_kind: Literal["binary", "fractional"],
    holes: Literal["keyhole", "xor"],
    force: bool,
    model: str,
    device: Device,
    threads: int,
) -> None:
    """Draw the heart on the CT below PATH and write it as an RTSTRUCT that planning systems import.

    The ROI is called Heart_rtqc, is marked AUTOMATIC, and names the model that drew it.
    """
    from rtqc.dicom import write_seg
    from rtqc.heart import DeviceError, ModelError, draft_heart
    from rtqc.pipeline import drawn_by_of, write_rtstruct

    case = only_case(path)
    print_findings(f for f in case.findings if f.rule.startswith(_ABOUT_THE_CT))
    if case.image is None:
        reasons = [f.message for f in case.findings if f.severity == "fail"] or ["there is no CT to draw on"]
        stop(" ".join(reasons))
    target = out or Path(f"Heart_rtqc_{text_name(case.provenance.patient_id, 'case')}.dcm")
    for file in (target, seg):
        if file is not None and file.exists() and not force:
            stop(f"{file} exists already: give another name, or --force to replace it")
    try:
        with progress() as bar:
            bar.add_task("drawing the heart", total=None)
            draft = draft_heart(case.image, model, device, threads)
        if draft.structure.is_empty:
            stop(f"nothing was written: {draft.doubts[0]}")
        write_rtstruct(draft, case, target, append_to=append_to, holes=holes, replace=force)
        if seg is not None:
            write_seg(draft.structure, case, seg, drawn_by_of(draft), seg_kind, replace=force)
    except (ModelError, DeviceError, ValueError, FileExistsError) as error:
        stop(str(error))
    except OSError as error:
        stop(f"{error.filename or target}: {error.strerror or error}. Nothing half-written was left there.")
    out_ = console()
    out_.print(
        f"{draft.structure.name}: {draft.structure.volume_ml:.0f} ml on {len(draft.structure.planes)} slices, drawn by {plain(draft.model)} {plain(draft.model_version)} on {draft.device}; expected Dice {draft.predicted_dice:.2f}"
    )
    if draft.cut_off:
        out_.print(f"[yellow]! The heart leaves the image ({', '.join(draft.cut_off)}):[/] only the visible part was drawn")
    for doubt in draft.doubts:
        out_.print(f"[yellow]! Not to be trusted:[/] {plain(doubt)}")
    for file in (target, seg):
        if file is not None:
            out_.print(f"Written: {plain(str(file))}", soft_wrap=True)
