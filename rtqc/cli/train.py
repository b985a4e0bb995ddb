"""``rtqc train``: a heart model from a clinic's own plans."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import click

from rtqc.cli.console import PathArgument, console, plain, progress, stop


@click.command("train")
@click.argument("data", nargs=-1, type=PathArgument())
@click.option("--out", type=PathArgument(exists=False), required=True, metavar="MODEL_DIR", help="Where the model goes.")
@click.option(
    "--synthetic", type=click.IntRange(min=0), metavar="N", help="Number of synthetic patients. [default: the recipe's]"
)
@click.option("--settings", type=PathArgument(), metavar="TOML", help="Recipe; every key is checked.")
@click.option(
    "--readings",
    type=PathArgument(),
    metavar="TOML",
    help="Heights and judgements that were read by eye, by patient (docs/training.md).",
)
@click.option(
    "--judged",
    type=PathArgument(),
    multiple=True,
    metavar="DIR",
    help="CTs without a contour (NRRD, NIfTI) whose drafts the readings judge.",
)
@click.option(
    "--judged-model", default="heart-v1", show_default=True, metavar="NAME|DIR", help="Model whose drafts were judged."
)
@click.option("--from", "start", metavar="NAME|DIR", help="Begin with a model's weights instead of at random.")
@click.option(
    "--minutes",
    type=click.FloatRange(min=0, min_open=True),
    help="Stop after about so long; 40 % goes to the cross-validation.",
)
@click.option("--resume", is_flag=True, help="Go on where an earlier run was stopped.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option("--attribution", default="", help="What the data's licence asks to be said; stands in manifest and card.")
@click.option("--licence", default="", help="Licence of the model.")
@click.option(
    "--work", type=PathArgument(exists=False), metavar="DIR", help="Checkpoints and pictures. [default: MODEL_DIR.work]"
)
def command(
    data: tuple[Path, ...],
    out: Path,
    synthetic: int | None,
    settings: Path | None,
    readings: Path | None,
    judged: tuple[Path, ...],
    judged_model: str,
    start: str | None,
    minutes: float | None,
    resume: bool,
    device: Literal["auto", "cpu", "cuda"],
    attribution: str,
    licence: str,
    work: Path | None,
) -> None:
    """Train a heart model on the plans below DATA (CT and RTSTRUCT; the heart is found by its name).

    Plans whose contour is wrong are set aside and listed. Patients are cross-validated; the table stands in the model card.
    Pictures of the worst cases and the checkpoints stay in the work folder, which holds patients' data: the model does not.
    """
    try:
        from rtqc.training import training_device
        from rtqc.training.curate import curate
        from rtqc.training.judged import Judgements, read_judgements
        from rtqc.training.settings import Settings, read_settings
        from rtqc.training.study import Budget, Origin, StudyError, train_model
    except ImportError as error:
        stop(f"training needs torch and onnx, which are not installed ({error.name}): pip install 'rtqc[train]'")
    from rtqc.heart import DeviceError, Engine, ModelError, load_model

    if (out / "manifest.toml").exists() and not resume:
        stop(f"{out} holds a model already: give another --out")
    if judged and readings is None:
        stop("--judged needs --readings: what is right and wrong in the drafts of these CTs")
    try:
        recipe = read_settings(settings) if settings else Settings(name=out.name)
        recipe = recipe if synthetic is None else recipe.model_copy(update={"synthetic": synthetic})
        budget = Budget(
            training_device(device), minutes, resume, load_model(start) if start else None, console(stderr=True).print
        )
        with progress() as bar:
            task = bar.add_task("reading plans", total=None)
            patients, aside = curate(data)
            judgements = Judgements()
            if readings is not None:
                judgements = read_judgements(readings, judged, Engine(load_model(judged_model), "cpu"), recipe.spacing_mm)
            say = console()
            bar.stop()
            say.print(
                f"{len(patients)} plans to learn from, {len(aside)} set aside, {recipe.synthetic} synthetic patients; on {budget.device}"
            )
            for case in aside:
                say.print(f"  set aside: [bold]{plain(case.name)}[/]: {plain(' '.join(case.reasons))}")
            bar.start()

            def step(what: str, iteration: int, total: int, loss: float) -> None:
                if total:
                    bar.update(task, description=f"{plain(what)}: loss {loss:.3f}", completed=iteration, total=total)

            origin = Origin(attribution, licence, datetime.now(UTC).date().isoformat())
            folder = work or out.with_name(out.name + ".work")
            manifest, results = train_model(
                patients, aside, recipe, folder, out, budget=budget, origin=origin, judgements=judgements, progress=step
            )
    except (StudyError, ModelError, DeviceError, ValueError, FileNotFoundError, MemoryError) as error:
        stop(str(error))
    except OSError as error:
        stop(
            f"{error.filename or out}: {error.strerror or error}. What was trained until the last checkpoint is kept: go on with --resume."
        )
    for result in results:
        say.print(f"{plain(result.patient.name)}: Dice {result.agreement.dice:.3f} by a model that has not seen him")
    say.print(
        f"Model: {plain(str(out))} (SHA-256 {manifest.sha256[:16]}), card in it; checkpoints and pictures: {plain(str(folder))}",
        soft_wrap=True,
    )
