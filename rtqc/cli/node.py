"""``rtqc node``: plans that come over the network."""

from __future__ import annotations

from pathlib import Path

import click

from rtqc.cli.console import PathArgument, stop
from rtqc.cli.network import end_of_service, end_on_signal, log_options, log_to_stderr

#: In the state folder.
LOG_KEY = "log.key"


@click.command("node")
@click.argument("config", type=PathArgument(), required=False)
@click.option("--example", is_flag=True, help="Print settings to begin with.")
@log_options
def command(config: Path | None, example: bool, log_format: str, log_identifiers: bool) -> None:
    """Receive plans over the DICOM network, check each when it is complete, and send the results.

    CONFIG is a TOML file; `rtqc node --example > node.toml` makes one. Ends cleanly on SIGINT or SIGTERM; one that was killed goes on
    where it was.
    """
    from rtqc.core.settings import SettingsError
    from rtqc.dicom import PeerError
    from rtqc.heart import DeviceError, ModelError, load_model
    from rtqc.node import Node, NodeBusyError, example_config, load_config
    from rtqc.qc import ProtocolError

    if example:
        click.echo(example_config(), nl=False)
        return
    if config is None:
        stop("give the settings' file: rtqc node --example > node.toml makes one")
    try:
        settings = load_config(config)
        log_to_stderr(log_format, log_identifiers, settings.state / LOG_KEY)
        load_model(settings.model)
        running = Node(settings)
        signals = end_on_signal(running.ended)
        running.run()
        end_of_service(signals)
    except (SettingsError, PeerError, ModelError, DeviceError, NodeBusyError, ProtocolError) as error:
        stop(str(error))
    except OSError as error:
        stop(f"{error.filename or config}: {error.strerror or error}")
