"""``rtqc serve``: the dashboard from a server, where flags are reviewed."""

from __future__ import annotations

from pathlib import Path

import click

from rtqc.cli.console import PathArgument, stop
from rtqc.cli.nightly import STORE_FILE
from rtqc.cli.store import opened


@click.command("serve")
@click.argument("out", type=PathArgument(), metavar="DIR")
@click.option("--store", metavar="URL|FILE", help=f"Where reviews are kept. [default: DIR/{STORE_FILE}]")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; this machine only unless told.")
@click.option("--port", type=click.IntRange(0, 65535), default=8350, show_default=True)
@click.option(
    "--accounts", type=PathArgument(exists=False), metavar="FILE", help="Who may sign in, made by rtqc accounts. [default: only you, by a secret address]"
)  # fmt: skip
@click.option(
    "--proxy", "proxies", multiple=True, metavar="ADDRESS", help="Of a reverse proxy that signs people in and is believed; repeatable."
)  # fmt: skip
@click.option(
    "--proxy-header", default="X-Remote-User", show_default=True, metavar="NAME", help="Header in which the proxy names who asks."
)  # fmt: skip
@click.option("--name", "names", multiple=True, metavar="HOST", help="By which browsers call this server; repeatable.")
@click.option("--tls-certificate", type=PathArgument(), metavar="FILE", help="Certificate with its chain (PEM).")
@click.option("--tls-key", type=PathArgument(), metavar="FILE", help="Its key (PEM).")
@click.option("--plain-http", is_flag=True, help="Beyond this machine without TLS: only where something else protects the way.")
@click.option(
    "--audit", type=PathArgument(exists=False), metavar="FILE", help="Who saw and decided what is added to it. [default: DIR/audit.jsonl]"
)  # fmt: skip
def command(
    out: Path, store: str | None, host: str, port: int, accounts: Path | None, proxies: tuple[str, ...], proxy_header: str,
    names: tuple[str, ...], tls_certificate: Path | None, tls_key: Path | None, plain_http: bool, audit: Path | None,
) -> None:  # fmt: skip
    """Show the dashboard of rtqc nightly, DIR, in a browser, where flags can be marked as reviewed."""
    from rtqc.nightly.places import DASHBOARD_FILE, LATEST
    from rtqc.workbench import AccountError, AuditError, ServerError, ServerSettings, WebServer

    if not (out / LATEST / DASHBOARD_FILE).is_file():
        stop(f"{out} holds no complete run: give the folder that rtqc nightly wrote to")
    settings = ServerSettings(
        host=host, port=port, accounts=accounts, proxies=proxies, proxy_header=proxy_header, names=names,
        certificate=tls_certificate, key=tls_key, allow_plain=plain_http, audit=audit,
    )  # fmt: skip
    with opened(store or str(out / STORE_FILE)) as found:
        try:
            server = WebServer(out, found, settings)
        except (AccountError, AuditError, ServerError) as error:
            stop(str(error))
        except OSError as error:
            stop(f"port {port} of {host} cannot be listened on ({error.strerror or error}): give another --port")
        click.echo(f"{server.address} (Ctrl-C ends it)")
        try:
            server.run()
        except KeyboardInterrupt:
            return
