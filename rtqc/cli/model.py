"""``rtqc model``: what draws the heart."""

from __future__ import annotations

import click

from rtqc.cli.console import console, json_option, plain, stop


@click.group("model")
def command() -> None:
    """List or show the heart models."""


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
            f"[bold]{plain(m.name)}[/] {plain(m.version)}  draws {plain(m.structure)}, {m.spacing_mm:g} mm voxels, {plain(m.licence)}{default}"
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
