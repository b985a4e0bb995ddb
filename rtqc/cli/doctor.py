"""``rtqc doctor``: would a night work here?"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from rtqc.cli.console import PathArgument, console, json_option, plain
from rtqc.defaults import DEFAULT_MODEL


@click.command("doctor")
@click.option("--archive", type=PathArgument(exists=False), metavar="DIR", help="The archive that is to be read.")
@click.option("--out", type=PathArgument(exists=False), metavar="DIR", help="The folder that dashboard and reports go to.")
@click.option("--store", metavar="URL|FILE", help="The store.")
@click.option("--model", default=DEFAULT_MODEL, show_default=True, metavar="NAME|DIR", help="Heart model.")
@json_option
def command(archive: Path | None, out: Path | None, store: str | None, model: str, as_json: bool) -> None:
    """Look at everything that rtqc needs: versions, devices, model, archive, output, store, encodings, long paths.

    Exit status: 0 all is well, 1 something is not as it should be, 2 it would not work.
    """
    from rtqc.nightly.doctor import examine

    checks = examine(archive, out, store, model)
    worst = max(("ok", "warning", "fail").index(c.state) for c in checks)
    if as_json:
        told = {"state": ("ok", "warning", "fail")[worst], "checks": [vars(c) for c in checks]}
        click.echo(json.dumps(told, indent=2, ensure_ascii=False))
    else:
        out_to = console()
        marks = {"ok": "[green]✓[/]", "warning": "[yellow]![/]", "fail": "[bold red]✕[/]"}
        for check in checks:
            out_to.print(f"{marks[check.state]} {plain(check.name)}: {plain(check.found)}", soft_wrap=True)
            if check.do:
                out_to.print(f"  {plain(check.do)}", soft_wrap=True)
    sys.exit(worst)
