"""``rtqc convert``: images, doses and structures for programs that do not read DICOM, and masks back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rtqc.cli.console import (
    PathArgument,
    console,
    only_case,
    pick_structure,
    plain,
    print_findings,
    stop,
    with_images_and_more,
)
from rtqc.core.file_names import text_name

if TYPE_CHECKING:
    from rtqc.core import Case, Grid, Structure
    from rtqc.dicom import Parts

#: Ending of the files in a folder where none was asked for.
_FORMATS = ("nrrd", "nii", "nii.gz")
#: Rules that say why a structure has no contours.
_OF_CONTOURS = ("contour.", "structure_set.")


@dataclass(frozen=True)
class _Wanted:
    """What is to be written from a plan.

    Attributes:
        rois: names of structures; ``every``: all of them.
        dose: the dose, or the masks on its grid where one file is written.
        grid: of the masks.
        ending: of files in a folder.
    """

    rois: tuple[str, ...]
    every: bool
    dose: bool
    grid: str | None
    ending: str

    @property
    def masks(self) -> bool:
        """Whether structures are wanted."""
        return self.every or bool(self.rois)


@click.command("convert")
@click.argument("source", type=PathArgument())
@click.argument("target", type=PathArgument(exists=False))
@click.option(
    "--roi",
    "rois",
    multiple=True,
    metavar="NAME",
    help="Write this structure as a mask instead of the CT; may be given several times.",
)
@click.option("--all", "every", is_flag=True, help="Write every structure as a mask.")
@click.option("--dose", is_flag=True, help="Write the dose; with one --roi and one file, that mask on the dose's grid.")
@click.option("--grid", type=click.Choice(("ct", "dose")), default=None, help="Whose voxels masks have. [default: the CT's]")
@click.option(
    "--format", "ending", type=click.Choice(_FORMATS), default="nrrd", show_default=True, help="Of files in a folder TARGET."
)
@click.option("--ct", type=PathArgument(), metavar="DIR", help="From a mask: the CT that it was drawn on.")
@click.option(
    "--name",
    "names",
    multiple=True,
    metavar="NAME",
    help="From a mask: name of the structure, one a label. [default: the file's name]",
)
@click.option(
    "--label",
    "labels",
    multiple=True,
    type=click.IntRange(min=1),
    metavar="N",
    help="From a mask: which label; may be given several times. [default: the only one]",
)
@click.option("--clip", is_flag=True, help="From a mask: leave out what lies outside the CT, instead of refusing it.")
@click.option("--force", is_flag=True, help="Replace files that are there already.")
def command(
    source: Path,
    target: Path,
    rois: tuple[str, ...],
    every: bool,
    dose: bool,
    grid: str | None,
    ending: str,
    ct: Path | None,
    names: tuple[str, ...],
    labels: tuple[int, ...],
    clip: bool,
    force: bool,
) -> None:
    """Convert SOURCE to TARGET.

    From a DICOM folder to .nrrd, .nii or .nii.gz: the CT in HU, with --dose the dose in Gy, with --roi a mask. Several things become several files:
    TARGET is then a folder, or a name that each structure's is added to. From a mask in one of these formats to .dcm: an RTSTRUCT on the CT of
    --ct. Places in the patient stay what they are.
    """
    from rtqc.dicom import VolumeFileError, is_volume_file

    try:
        if is_volume_file(source) and source.is_file():
            written = [_to_rtstruct(source, target, ct, names, labels, clip, force)]
        else:
            wanted = _Wanted(rois, every, dose, grid, ending)
            written = _to_volumes(only_case(source, _suits(wanted)), target, wanted, force)
    except (VolumeFileError, FileExistsError, ValueError) as error:
        stop(str(error))
    except OSError as error:
        stop(f"{error.filename or target}: {error.strerror or error}. Nothing half-written was left there.")
    for path in written:
        console().print(f"Written: {plain(str(path))}", soft_wrap=True)


def _suits(wanted: _Wanted) -> Callable[[Parts], bool]:
    """What a case must have, where single files of others lie beside it."""
    if wanted.masks:
        return lambda parts: parts.structure_set is not None
    if wanted.dose:
        return lambda parts: bool(parts.doses)
    return with_images_and_more


def _to_volumes(case: Case, target: Path, wanted: _Wanted, force: bool) -> list[Path]:
    """Write what is wanted of a plan, all or nothing where a name is taken."""
    from rtqc.core.wording import listed
    from rtqc.dicom import is_volume_file, write_volume
    from rtqc.qc import choose_protocol, structure_findings

    structures = _structures(case, wanted)
    folder = not is_volume_file(target) and (target.is_dir() or not target.suffix)
    # As ever: one mask into one file, and --dose says on which grid.
    on_dose = wanted.grid == "dose" or (wanted.grid is None and wanted.dose and len(structures) == 1 and not folder)
    things: dict[str, Callable[[], tuple[Grid, Any]]] = {}
    if structures:
        grid = _grid(case, on_dose)
        things |= {name: _mask(s, grid) for name, s in structures.items()}
    if wanted.dose and (folder or not structures or (len(structures) > 1 and not on_dose)):
        things["dose"] = lambda: _dose(case)
    if not things:
        things["CT"] = lambda: _image(case)
    files = _files(target, list(things), folder, wanted.ending)
    taken = [path for path in files.values() if path.exists()]
    if taken and not force:
        exist = "exists" if len(taken) == 1 else "exist"
        stop(f"{listed(map(str, taken), 4)} {exist} already: give another name, or --force to replace what is there")
    protocol = choose_protocol(case).protocol
    needless = set() if "CT" in things or (structures and not on_dose) else {"ct.absent"}
    findings = [f for f in case.findings if f.rule not in needless | {"structure_set.absent"}]
    findings += [f for s in structures.values() for f in structure_findings(case, s, protocol, of_files=False)]
    volumes = {name: make() for name, make in things.items()}
    print_findings(findings)
    if folder:
        target.mkdir(parents=True, exist_ok=True)
    return [write_volume(files[name], *volume, force) for name, volume in volumes.items()]


def _structures(case: Case, wanted: _Wanted) -> dict[str, Structure]:
    """The structures that are asked for; empty ones only where they are named, and then they are refused."""
    from rtqc.core.wording import listed
    from rtqc.qc import structure_findings

    if not wanted.masks:
        return {}
    structures = case.structures
    if wanted.every:
        drawn = {name: s for name, s in structures.items() if not s.is_empty}
        if not drawn:
            stop(_why(case) or "the structure set has no structure with contours")
        return drawn
    picked = [pick_structure(structures, name, "the structure set") for name in wanted.rois]
    empty = [s for s in picked if s.is_empty]
    if empty:
        have = "has" if len(empty) == 1 else "have"
        # Why, in the sentences of the other commands; each once, where several structures have one reason.
        why = dict.fromkeys(f.message for s in empty for f in structure_findings(case, s) if f.rule.startswith(_OF_CONTOURS))
        stop(" ".join([f"{listed([s.name for s in empty], 12)} {have} no usable contour: there is no mask to write.", *why]))
    return {name: s for structure in picked for name, s in structures.items() if s is structure}


def _files(target: Path, things: list[str], folder: bool, ending: str) -> dict[str, Path]:
    """Where each thing goes; structures whose names are one as a file's name are numbered."""
    if len(things) == 1 and not folder:
        return {things[0]: target}
    stem, _, behind = target.name.partition(".")
    files: dict[str, Path] = {}
    for thing in things:
        name = text_name(thing, "structure")
        count = 1
        while (path := _file(target, stem, behind, name, count, folder, ending)) in files.values():
            count += 1
        files[thing] = path
    return files


def _file(target: Path, stem: str, behind: str, name: str, count: int, folder: bool, ending: str) -> Path:
    numbered = name if count == 1 else f"{name}-{count}"
    return target / f"{numbered}.{ending}" if folder else target.with_name(f"{stem}_{numbered}.{behind}")


def _grid(case: Case, on_dose: bool) -> Grid:
    values = case.dose if on_dose else case.image
    if values is None:
        stop(_why(case) or f"there is no {'dose' if on_dose else 'CT'} that masks could lie on")
    return values.grid


def _mask(structure: Structure, grid: Grid) -> Callable[[], tuple[Grid, Any]]:
    from rtqc.geometry import rasterize

    return lambda: (grid, rasterize(structure, grid).array)


def _dose(case: Case) -> tuple[Grid, Any]:
    if case.dose is None:
        stop(_why(case, "dose.") or "there is no dose to convert")
    return case.dose.grid, case.dose.gy


def _image(case: Case) -> tuple[Grid, Any]:
    import numpy as np

    if case.image is None:
        hint = " --dose converts the dose." if case.dose is not None else ""
        stop((_why(case) or "there is no CT to convert.") + hint)
    hu = case.image.hu
    whole = bool((hu == np.rint(hu)).all()) and float(hu.min()) >= -32768 and float(hu.max()) <= 32767
    return case.image.grid, hu.astype(np.int16) if whole else hu


def _why(case: Case, about: str = "") -> str:
    return " ".join(f.message for f in case.findings if f.severity == "fail" and f.rule.startswith(about))


def _to_rtstruct(
    source: Path,
    target: Path,
    ct: Path | None,
    names: tuple[str, ...],
    labels: tuple[int, ...],
    clip: bool,
    force: bool,
) -> Path:
    from rtqc.core.version import rtqc_version
    from rtqc.dicom import DrawnBy, Writing, is_unplaced, read_volume, write_rtstruct

    if ct is None:
        stop("a mask becomes an RTSTRUCT on a CT: give the folder of the CT with --ct")
    if names and len(names) != max(len(labels), 1):
        stop(f"{len(names)} names for {max(len(labels), 1)} labels: give a --name for each --label, in their order")
    case = only_case(ct)
    if case.image is None:
        stop(_why(case) or f"there is no CT below {ct}")
    grid, values = read_volume(source)
    stem = source.name.split(".")[0]
    chosen = _chosen(source, values, labels)
    if is_unplaced(source):
        stop(
            f"{source.name} lies at 0, 0, 0 mm as arrays do that were given no place in the patient: write it with the place of the CT that it was drawn on"
        )
    defaults = [stem] if len(chosen) == 1 else [f"{stem}_{label}" for label in labels]
    named = dict(zip(names or defaults, chosen, strict=True))
    if len(named) < len(chosen):
        stop("two labels have one name: give each a --name of its own")
    print_findings(f for f in case.findings if f.rule.startswith(("ct.", "file.", "reference.same_uid")))
    structures = [
        _on_slices(grid, _inside(source, grid, mask, case.image.grid, clip), case.image.grid, name)
        for name, mask in named.items()
    ]
    drawn_by = DrawnBy("rtqc", rtqc_version(), "", f"rtqc {rtqc_version()}", converted_from=source.name)
    return write_rtstruct(structures, case, target, drawn_by, Writing(replace=force))


def _chosen(source: Path, values: Any, labels: tuple[int, ...]) -> list[Any]:
    """A mask for each label that was asked for; the only one where none was."""
    import numpy as np

    from rtqc.core.wording import listed

    if not labels:
        known = np.unique(values[values > 0])
        if known.size > 1:
            stop(f"{source.name} holds several labels ({listed((f'{v:g}' for v in known), 12)}): choose one with --label")
        if not known.size:
            stop(f"{source.name} holds no voxel above 0")
        return [values > 0]
    masks = [values == label for label in labels]
    empty = [str(label) for label, mask in zip(labels, masks, strict=True) if not mask.any()]
    if empty:
        stop(f"{source.name} holds no voxel of label {listed(empty, 12)}")
    return masks


def _inside(source: Path, grid: Grid, mask: Any, image: Grid, clip: bool) -> Any:
    """The mask's part inside the CT; a mask that misses it, or leaves it without leave, is a message and exit status 2."""
    import numpy as np

    index = np.argwhere(mask)
    at = image.index_of_patient(grid.patient_mm(index))
    # A CT ends half a voxel beyond its outermost centres; rounding of headers is no reason.
    inside = ((at >= -0.51) & (at <= np.array(image.shape) - 0.49)).all(axis=1)
    if inside.all():
        return mask
    ml = grid.voxel_volumes_ml[index[:, 0]]
    outside, total = float(ml[~inside].sum()), float(ml.sum())
    if not inside.any():
        stop(f"{source.name} lies wholly outside the CT ({total:.1f} ml): give the CT that it was drawn on with --ct")
    if not clip:
        stop(
            f"{outside:.1f} of {total:.1f} ml of {source.name} lie outside the CT: give the CT that it was drawn on with --ct, or --clip to leave that part out"
        )
    click.echo(f"rtqc: {outside:.1f} of {total:.1f} ml of {source.name} lie outside the CT and were left out", err=True)
    kept = np.zeros_like(mask)
    kept[tuple(index[inside].T)] = True
    return kept


def _on_slices(grid: Grid, chosen: Any, image: Grid, name: str) -> Structure:
    """The mask's outlines, on the CT's slices."""
    from rtqc.core import Mask
    from rtqc.geometry import on_slices, trace

    return on_slices(trace(Mask(grid, chosen), name), image)
