"""``rtqc model``: what draws the heart."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rtqc.cli.console import PathArgument, console, json_option, plain, stop

if TYPE_CHECKING:
    from rtqc.heart import Manifest


@click.group("model")
def command() -> None:
    """List, show, import or measure heart models."""


def _voxel(spacing_mm: tuple[float, ...]) -> str:
    return " x ".join(f"{s:g}" for s in (spacing_mm if len(set(spacing_mm)) > 1 else spacing_mm[:1]))


@command.command("list")
@json_option
def list_(as_json: bool) -> None:
    """Models that ship with rtqc."""
    import json

    from rtqc.heart import DEFAULT_MODEL, list_models, load_model

    models = [load_model(name, verify=False).manifest for name in list_models()]
    if as_json:
        click.echo(json.dumps([m.model_dump(mode="json") for m in models], indent=2, ensure_ascii=False))
        return
    for m in models:
        default = "  (default)" if m.name == DEFAULT_MODEL else ""
        console().print(
            f"[bold]{plain(m.name)}[/] {plain(m.version)}  draws {plain(m.structure)}, {_voxel(m.spacing_mm)} mm voxels, {plain(m.licence)}{default}"
        )


@command.command("show")
@click.argument("name", metavar="NAME|DIR")
@json_option
def show(name: str, as_json: bool) -> None:
    """Manifest and model card of a model; its weights are checked against the manifest."""
    from rtqc.heart import ModelError, load_model, model_card

    try:
        model = load_model(name)
    except ModelError as error:
        stop(str(error))
    if as_json:
        click.echo(model.manifest.model_dump_json(indent=2))
        return
    from rich.markdown import Markdown

    for key, value in model.manifest.model_dump().items():
        console().print(f"[bold]{key}[/]: {plain(str(value))}", soft_wrap=True)
    console().print()
    console().print(Markdown(model_card(model)))


@command.command("import")
@click.argument("source", type=PathArgument())
@click.option("--out", type=PathArgument(exists=False), required=True, metavar="DIR", help="Where the model folder goes.")
@click.option("--manifest", type=PathArgument(), metavar="TOML", help="Beside an ONNX file: how to run it (docs/models.md).")
@click.option(
    "--label", "labels", multiple=True, metavar="NAME", help="Label that is heart; several are united. [default: by its name]"
)
@click.option(
    "--fold", "folds", multiple=True, metavar="N", help="nnU-Net: fold to take; several are averaged. [default: all there are]"
)
@click.option(
    "--no-mirroring", is_flag=True, help="nnU-Net: without mirrored copies; up to eight times faster, a little worse."
)
@click.option(
    "--axes", metavar="LPS|RAS|...", help="nnU-Net: where columns, rows, slices of the training images run to. [default: LPS]"
)
@click.option("--licence", default="", help="Licence of the weights. [default: what the source says]")
@click.option("--trust", is_flag=True, help="Load Python objects from a checkpoint, which can run any code.")
def import_(
    source: Path,
    out: Path,
    manifest: Path | None,
    labels: tuple[str, ...],
    folds: tuple[str, ...],
    no_mirroring: bool,
    axes: str | None,
    licence: str,
    trust: bool,
) -> None:
    """Make a model folder of a model that another program trained.

    SOURCE is an nnU-Net v2 result folder (also TotalSegmentator's), a MONAI bundle, or an ONNX file with --manifest. The
    folder is then a --model of every command.
    """
    from rtqc.heart import ModelError

    try:
        if source.suffix == ".onnx" or (source / "model.onnx").is_file():
            made = _import_onnx(source, manifest, out)
        else:
            made = _import_trained(source, out, labels, folds, not no_mirroring, axes, licence, trust)
    except (ModelError, ValueError, FileExistsError) as error:
        stop(str(error))
    except OSError as error:
        stop(f"{error.filename or out}: {error.strerror or error}. Nothing half-written was left there.")
    say = console()
    say.print(
        f"Model: {plain(str(out))} (SHA-256 {made.sha256[:16]}), draws {plain(made.structure)}, {_voxel(made.spacing_mm)} mm voxels",
        soft_wrap=True,
    )
    say.print(f"Licence: {plain(made.licence or 'not known; ask whoever trained it')}", soft_wrap=True)
    say.print("It has not been measured: rtqc model evaluate", plain(str(out)), "DATA", soft_wrap=True)


def _import_onnx(source: Path, manifest: Path | None, out: Path) -> Manifest:
    from rtqc.heart.adopt import adopt_onnx

    weights = source if source.is_file() else source / "model.onnx"
    beside = manifest or weights.with_name("manifest.toml")
    if not beside.is_file():
        stop(
            f"{weights} needs a manifest that says how to run it: --manifest FILE, or manifest.toml beside it (docs/models.md)"
        )
    return adopt_onnx(weights, beside, out).manifest


def _import_trained(
    source: Path,
    out: Path,
    labels: Sequence[str],
    folds: Sequence[str],
    mirroring: bool,
    axes: str | None,
    licence: str,
    trust: bool,
) -> Manifest:
    try:
        from rtqc.training.imports import find_bundle, find_results, read_bundle, read_results, write_imported
    except ImportError as error:
        stop(
            f"importing trained networks needs torch and onnx, which are not installed ({error.name}): pip install 'rtqc[import]'"
        )
    if (out / "manifest.toml").exists():
        stop(f"{out} holds a model already: give another --out")
    bundle = find_bundle(source)
    if bundle:
        return write_imported(read_bundle(bundle, name=out.name, labels=labels, licence=licence, trust=trust), out)
    results = find_results(source)
    if not results:
        stop(
            f"{source} is neither an nnU-Net v2 result folder (plans.json, dataset.json, fold_0), nor a MONAI bundle "
            "(configs/metadata.json), nor an ONNX file"
        )
    if len(results) > 1:
        stop(f"{source} holds {len(results)} nnU-Net results; give one of them: {', '.join(str(r) for r in results)}")
    read = read_results(
        results[0], name=out.name, labels=labels, folds=folds, mirroring=mirroring, axes=axes, licence=licence, trust=trust
    )
    return write_imported(read, out)
