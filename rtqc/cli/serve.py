"""``rtqc serve``: the dashboard from a local server."""

from __future__ import annotations

from pathlib import Path

import click

from rtqc.cli.console import PathArgument, stop
from rtqc.cli.nightly import STORE_FILE
from rtqc.cli.store import opened


@click.command("serve")
@click.argument("out", type=PathArgument(), metavar="DIR")
@click.option("--store", metavar="URL|FILE", help=f"Where reviews are kept. [default: DIR/{STORE_FILE}]")
@click.option("--host", default="127.0.0.1", show_default=True, help="Whoever can reach this address sees names of patients.")
@click.option("--port", type=click.IntRange(0, 65535), default=8350, show_default=True)
def command(out: Path, store: str | None, host: str, port: int) -> None:
    """Show the dashboard of rtqc nightly, DIR, in a browser, where flags can be marked as reviewed."""
    from rtqc.nightly.places import DASHBOARD_FILE, LATEST
    from rtqc.nightly.serve import server

    if not (out / LATEST / DASHBOARD_FILE).is_file():
        stop(f"{out} holds no complete run: give the folder that rtqc nightly wrote to")
    with opened(store or str(out / STORE_FILE)) as found:
        try:
            running = server(out, found, host, port)
        except OSError as error:
            stop(f"port {port} of {host} cannot be listened on ({error.strerror or error}): give another --port")
        with running:
            click.echo(f"http://{host}:{running.server_address[1]}/ (Ctrl-C ends it)")
            try:
                running.serve_forever()
            except KeyboardInterrupt:
                return
