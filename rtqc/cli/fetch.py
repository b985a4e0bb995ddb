"""``rtqc fetch``: plans from an archive."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from rtqc.cli.console import PathArgument, console, plain, stop
from rtqc.cli.network import calling_option, is_url, tls_options, token_of, token_option

if TYPE_CHECKING:
    from rtqc.dicom import Fetched, Tls


@click.command("fetch")
@click.argument("source", metavar="AE@HOST:PORT|URL")
@click.option("--out", type=PathArgument(exists=False), required=True, metavar="DIR", help="A folder a plan is made in it.")
@click.option("--patient", default="", metavar="ID", help="Patient ID; * and ? as in DICOM. [default: everybody]")
@click.option("--date", default="", metavar="YYYYMMDD[-YYYYMMDD]", help="Study date of the plan, or a range.")
@click.option("--approval", default="", metavar="STATUS", help="Approval Status that a plan must have, e.g. APPROVED.")
@click.option(
    "--move-port", type=click.IntRange(1, 65535), metavar="PORT", help="Use C-MOVE to this port of ours, instead of C-GET."
)
@calling_option
@token_option
@tls_options
def command(
    source: str,
    out: Path,
    patient: str,
    date: str,
    approval: str,
    move_port: int | None,
    calling: str,
    token_env: str,
    tls: Tls | None,
) -> None:
    """Fetch plans from an archive, each with its structure set, doses and planning CT.

    SOURCE is a DICOM node (AE_TITLE@host:port; C-FIND and C-GET, or C-MOVE) or the URL of a DICOMweb service. Exit status: 0, or 2 where
    nothing was found or something could not be had.
    """
    from rtqc.dicom import DimseArchive, PartlyFetchedError, Peer, PeerError, WebPeer, fetch_plans

    if not (patient or date or approval):
        stop("say which plans: --patient, --date or --approval, or several of them")
    try:
        archive = (
            WebPeer(source, token_of(token_env))
            if is_url(source)
            else DimseArchive(Peer.parse(source, calling, tls), move_port)
        )
        fetched = fetch_plans(archive, out, patient, date, approval)
    except PartlyFetchedError as error:
        _show(error.fetched)
        stop(str(error))
    except (PeerError, FileExistsError) as error:
        stop(str(error))
    except OSError as error:
        stop(f"{error.filename or out}: {error.strerror or error}. Nothing half-written was left there.")
    if not fetched:
        stop("no plan was found: check --patient, --date and --approval")
    _show(fetched)


def _show(fetched: list[Fetched]) -> None:
    for plan in fetched:
        lacks = f"  [yellow]! not in the archive: {', '.join(plan.missing)}[/]" if plan.missing else ""
        console().print(
            f"{plain(str(plan.folder))}  {plain(plan.patient_id)} {plain(plan.label)} {plain(plan.approval)}{lacks}",
            soft_wrap=True,
        )
