"""``rtqc watch``: plans that come into a folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from rtqc.cli.console import PathArgument, case_limits, limit_options, model_options, scope_option, stop
from rtqc.cli.network import end_of_service, end_on_signal, log_options, log_to_stderr

if TYPE_CHECKING:
    from rtqc.core.assessment import Scope
    from rtqc.heart import Device


#: In the watched folder; what begins with a dot is no export.
LOG_KEY = ".rtqc-log.key"


@click.command("watch")
@click.argument("folder", type=PathArgument())
@click.option("--out", type=PathArgument(exists=False), metavar="DIR", help="Where results go. [default: FOLDER/results]")
@click.option("--protocol", metavar="NAME|FILE", help="Thresholds and constraints. [default: the one that each plan asks for]")
@scope_option
@click.option(
    "--quiet-seconds",
    type=click.FloatRange(min=0),
    default=120,
    show_default=True,
    help="An export that is not complete is taken when nothing changed for so long.",
)
@click.option(
    "--settle-seconds", type=click.FloatRange(min=0), default=5, show_default=True, help="The same for one that is complete."
)
@click.option("--no-dicom", is_flag=True, help="Write report and JSON only, no DICOM objects.")
@limit_options
@model_options
@log_options
def command(
    folder: Path,
    out: Path | None,
    protocol: str | None,
    scope: Scope,
    quiet_seconds: float,
    settle_seconds: float,
    no_dicom: bool,
    time_limit: float,
    memory_limit: float,
    model: str,
    device: Device,
    threads: int,
    log_format: str,
    log_identifiers: bool,
) -> None:
    """Check whatever a planning system exports into FOLDER, and move it to FOLDER/done or FOLDER/failed."""
    from rtqc.heart import DeviceError, ModelError, load_model
    from rtqc.node import Watcher
    from rtqc.pipeline import Options
    from rtqc.qc import ProtocolError, load_protocol, rule_ids

    if not folder.is_dir():
        stop(f"{folder} is not a folder: give the one that the planning system exports to")
    log_to_stderr(log_format, log_identifiers, folder / LOG_KEY)
    try:
        load_model(model)
        options = Options(load_protocol(protocol, rule_ids()) if protocol else None, model, device, threads, scope=scope)
        watcher = Watcher(
            folder, out, options, quiet_seconds, settle_seconds, not no_dicom, limits=case_limits(time_limit, memory_limit)
        )
        signals = end_on_signal(watcher.ended)
        watcher.run()
        end_of_service(signals)
    except (ProtocolError, ModelError, DeviceError) as error:
        stop(str(error))
    except OSError as error:
        stop(f"{error.filename or folder}: {error.strerror or error}")
