"""``rtqc send``: objects to an archive or a planning system."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rtqc.cli.console import PathArgument, console, plain, stop
from rtqc.cli.network import calling_option, is_url, tls_options, token_of, token_option

if TYPE_CHECKING:
    from rtqc.dicom import Tls


@click.command("send")
@click.argument("destination", metavar="AE@HOST:PORT|URL")
@click.argument("files", type=PathArgument(), nargs=-1, required=True)
@calling_option
@token_option
@tls_options
def command(
    destination: str,
    files: tuple[Path, ...],
    calling: str,
    token_env: str,
    tls: Tls | None,
) -> None:
    """Send DICOM files (or all in a folder) to a DICOM node by C-STORE, or to a DICOMweb service by STOW-RS.

    Exit status: 0 all were taken, 1 some were refused, 2 the destination could not be reached.
    """
    from rtqc.core.walk import files_below
    from rtqc.dicom import Peer, PeerError, WebPeer, store

    found = [f for path in files for f in (files_below(path) if path.is_dir() else [path])]
    try:
        if is_url(destination):
            refused = WebPeer(destination, token_of(token_env)).store(found)
        else:
            refused = store(Peer.parse(destination, calling, tls), found)
    except PeerError as error:
        stop(str(error))
    for file, why in refused.items():
        click.echo(f"rtqc: {file}: {why}", err=True)
    console().print(f"{len(found) - len(refused)} of {len(found)} files were taken by {plain(destination)}", soft_wrap=True)
    sys.exit(1 if refused else 0)
