"""``rtqc model``: what draws the heart."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rtqc.cli.console import PathArgument, console, device_options, json_option, plain, progress, stop

if TYPE_CHECKING:
    from rtqc.heart import Device, Manifest
    from rtqc.training.evaluate import Evaluation


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


@command.command("fetch")
@click.argument("source", metavar="NAME|URL")
@click.option(
    "--out",
    type=PathArgument(exists=False),
    metavar="DIR",
    help="Where the model folder goes. [default: rtqc's cache, by its name]",
)
@click.option("--name", default="", help="What the model is called. [default: by its source]")
@click.option("--accept-licence", is_flag=True, help="Take the licence as it is shown, without being asked.")
@click.option("--sha256", default="", metavar="HEX", help="Hash that the file must have. [default: as the first time]")
@click.option(
    "--label", "labels", multiple=True, metavar="NAME", help="Label that is heart; several are united. [default: by its name]"
)
@click.option("--fold", "folds", multiple=True, metavar="N", help="nnU-Net: fold to take. [default: all there are]")
@click.option(
    "--mirroring", is_flag=True, help="nnU-Net: with mirrored copies, if it was trained so; up to eight times slower."
)
@click.option("--trust", is_flag=True, help="Load Python objects from a checkpoint, which can run any code.")
def fetch_(
    source: str,
    out: Path | None,
    name: str,
    accept_licence: bool,
    sha256: str,
    labels: tuple[str, ...],
    folds: tuple[str, ...],
    mirroring: bool,
    trust: bool,
) -> None:
    """Download a published model and import it.

    NAME is totalsegmentator; URL leads to a ZIP file that holds what rtqc model import reads. Stopped anywhere, it goes on when it is started
    again; a proxy is taken from the environment (https_proxy). The file's hash is kept: what comes later from there must be the same.
    """
    from rtqc.core.cache import fetched_models
    from rtqc.heart import ModelError
    from rtqc.training.download import DownloadError
    from rtqc.training.published import fetch, install, licence_of

    known = licence_of(source)
    if known:
        _ask_licence(known, accept_licence)
    try:
        with progress() as bar:
            task = bar.add_task("downloading", total=None)
            fetched = fetch(source, sha256, lambda done, total: bar.update(task, completed=done, total=total))
        if not known:
            _ask_licence(fetched.licence or "not known: the archive does not say; ask whoever published it", accept_licence)
        folder = (out or fetched_models() / (name or fetched.name)).absolute()
        if folder.exists():
            stop(f"{folder} is there already: give another --out or --name, or delete it")
        console().print("importing, which takes a minute for a large network")

        def make(unpacked: Path, target: Path) -> Manifest:
            return _import_any(unpacked, target, labels or fetched.labels, folds, mirroring, fetched.licence, trust)

        made = install(fetched, folder, make)
    except (DownloadError, ModelError, ValueError, FileExistsError) as error:
        stop(str(error))
    except OSError as error:
        stop(f"{error.filename or out}: {error.strerror or error}. Nothing half-installed was left.")
    say = console()
    say.print(
        f"Model: {plain(str(folder))}, draws {plain(made.structure)}, {_voxel(made.spacing_mm)} mm voxels", soft_wrap=True
    )
    say.print(f"Fetched file: SHA-256 {fetched.sha256}", soft_wrap=True)
    used = str(folder) if out is not None else folder.name
    say.print(f"Commission it before use: rtqc commission ARCHIVE --model {plain(used)} --out DIR", soft_wrap=True)


def _ask_licence(text: str, accepted: bool) -> None:
    import sys

    click.echo(f"Licence of the weights: {text}", err=True)
    if accepted:
        return
    if not sys.stdin.isatty():
        stop("nobody is there to be asked: accept the licence with --accept-licence")
    if not click.confirm("Do you accept it?", err=True):
        stop("the licence was not accepted; nothing was installed")


def _import_any(
    source: Path, out: Path, labels: Sequence[str], folds: Sequence[str], mirroring: bool, licence: str, trust: bool
) -> Manifest:
    weights = [] if list(source.rglob("plans.json")) else sorted(source.rglob("model.onnx"))
    if len(weights) == 1 and weights[0].with_name("manifest.toml").is_file():
        return _import_onnx(weights[0], None, out)
    # Archives often hold one folder that holds everything.
    bundles = sorted(p.parent.parent for p in source.rglob("configs/metadata.json"))
    source = bundles[0] if len(bundles) == 1 else source
    return _import_trained(source, out, labels, folds, mirroring, None, licence.splitlines()[0] if licence else "", trust)


@command.command("evaluate")
@click.argument("model", metavar="NAME|DIR")
@click.argument("data", nargs=-1, required=True, type=PathArgument())
@click.option("--against", metavar="NAME|DIR", help="Another model; differences are MODEL minus this one, paired by patient.")
@click.option(
    "--out", type=PathArgument(exists=False), metavar="DIR", help="Also write evaluation.json and evaluation.svg there."
)
@click.option("--force", is_flag=True, help="Replace them if they are there already.")
@device_options
@json_option
def evaluate(
    model: str,
    data: tuple[Path, ...],
    against: str | None,
    out: Path | None,
    force: bool,
    device: Device,
    threads: int,
    as_json: bool,
) -> None:
    """Measure a model on the plans below DATA whose heart is contoured.

    Contours that are wrong are no truth: they are set aside and listed.
    """
    from rtqc.core.whole_file import whole_file
    from rtqc.heart import DeviceError, Engine, ModelError, load_model
    from rtqc.training.curate import curate
    from rtqc.training.evaluate import evaluate_models, plot

    files = [out / "evaluation.json", out / "evaluation.svg"] if out else []
    there = [f for f in files if f.exists()]
    if there and not force:
        stop(f"{there[0]} exists already: give another --out, or --force to replace it")
    try:
        engines = [Engine(load_model(m), device, threads) for m in (against, model) if m]
        with progress(quiet=as_json) as bar:
            task = bar.add_task("reading plans", total=None)
            patients, aside = curate(data)

            def step(name: str, done: int, total: int) -> None:
                bar.update(task, description=f"drafting {plain(name)}", completed=done, total=total)

            result = evaluate_models(engines, patients, aside, step)
        if out:
            out.mkdir(parents=True, exist_ok=True)
            with whole_file(files[0]) as file:
                file.write((result.model_dump_json(indent=2) + "\n").encode("utf-8"))
            plot(result, files[1])
    except (ModelError, DeviceError, ValueError, FileNotFoundError) as error:
        stop(str(error))
    except OSError as error:
        stop(f"{error.filename or out}: {error.strerror or error}. Nothing half-written was left there.")
    if as_json:
        click.echo(result.model_dump_json(indent=2))
        return
    for table in _evaluation_tables(result):
        console().print(table)
    for name, reasons in result.set_aside:
        console().print(f"set aside: [bold]{plain(name)}[/]: {plain(reasons)}", soft_wrap=True)
    for file_ in files:
        console().print(f"Written: {plain(str(file_))}", soft_wrap=True)


def _evaluation_tables(result: Evaluation) -> list[object]:
    from rich import box
    from rich.table import Table

    tables: list[object] = []
    for m in result.models:
        table = Table(box=box.SIMPLE_HEAD, title=f"{plain(m.model)} on {m.device}", title_justify="left")
        heads = (
            "patient",
            "Dice",
            "HD95 mm",
            "MASD mm",
            "contour ml",
            "draft ml",
            "upper mm",
            "lower mm",
            "mean dose Gy",
            "predicted",
            "s",
        )
        for head in heads:
            table.add_column(head, justify="left" if head == "patient" else "right")
        for c in m.cases:
            values = [
                (c.dice, ".3f"),
                (c.hausdorff95_mm, ".1f"),
                (c.mean_surface_distance_mm, ".2f"),
                (c.contoured_ml, ".0f"),
                (c.drafted_ml, ".0f"),
            ]
            values += [(c.upper_end_mm, "+.0f"), (c.lower_end_mm, "+.0f"), (c.mean_dose_difference_gy, "+.2f")]
            cells = ["-" if v is None else format(v, form) for v, form in values]
            table.add_row(plain(c.name), *cells, f"{c.predicted_dice:.2f}{'' if c.trusted else ' !'}", f"{c.seconds:.1f}")
        hd = "-" if m.hausdorff95_median_mm is None else f"{m.hausdorff95_median_mm:.1f}"
        table.caption = (
            f"Dice mean {m.dice_mean:.3f}, median {m.dice_median:.3f}, worst {m.dice_worst:.3f}; HD95 median {hd} mm; "
            f"predicted Dice {m.expected_dice_error:+.3f} off; ! not trusted"
        )
        table.caption_justify = "left"
        tables.append(table)
    if result.differences:
        first, second = (plain(m.model) for m in result.models)
        table = Table(box=box.SIMPLE_HEAD, title=f"{second} minus {first}, paired by patient", title_justify="left")
        for head in ("metric", "mean difference", "95 % interval", "better with"):
            table.add_column(head, justify="left" if head == "metric" else "right")
        for d in result.differences:
            interval = "-" if d.low is None else f"{d.low:+.3f} to {d.high:+.3f}"
            table.add_row(d.metric, f"{d.mean:+.4f}", interval, f"{d.better} of {d.patients}")
        tables.append(table)
    return tables
