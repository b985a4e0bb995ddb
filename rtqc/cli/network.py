"""What the commands that speak to a network share: options, certificates, and lines on stderr."""

from __future__ import annotations

import functools
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rtqc.cli.console import PathArgument, stop

if TYPE_CHECKING:
    from rtqc.dicom import Tls

calling_option = click.option("--calling", default="RTQC", show_default=True, metavar="AE", help="Our own AE title.")
token_option = click.option(
    "--token-env", default="", metavar="NAME", help="Environment variable that holds a bearer token for a DICOMweb service."
)


def tls_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """``--tls-certificate``, ``--tls-key`` and ``--tls-authority``, which the command gets as one ``tls``."""

    @functools.wraps(function)
    def with_tls(
        *args: Any, tls_certificate: Path | None, tls_key: Path | None, tls_authority: Path | None, **options: Any
    ) -> Any:
        return function(*args, tls=_tls_of(tls_certificate, tls_key, tls_authority), **options)

    command: Callable[..., Any] = with_tls
    for name, about in (
        ("--tls-authority", "Who signed the other side's certificate."),
        ("--tls-key", "Its key."),
        ("--tls-certificate", "Our certificate, for an encrypted association."),
    ):
        command = click.option(name, type=PathArgument(), metavar="PEM", help=about)(command)
    return command


def _tls_of(certificate: Path | None, key: Path | None, authority: Path | None) -> Tls | None:
    """All three or none; a message and exit status 2 otherwise."""
    from rtqc.dicom import Tls

    if certificate is None and key is None and authority is None:
        return None
    if certificate is None or key is None or authority is None:
        stop("an encrypted association needs all of --tls-certificate, --tls-key and --tls-authority")
    return Tls(certificate, key, authority)


def token_of(variable: str) -> str:
    """The token that an environment variable holds; empty where none is named."""
    return os.environ.get(variable, "") if variable else ""


def is_url(text: str) -> bool:
    """Whether a place is a DICOMweb service rather than a DICOM node."""
    return text.startswith(("http://", "https://"))


def log_to_stderr() -> None:
    """One line an event."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    # What strangers send is their affair: rtqc's own lines say who was turned away.
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)
    logging.getLogger("pydicom").setLevel(logging.ERROR)
    logging.getLogger("rtqc").setLevel(logging.INFO)


def end_on_signal(ended: threading.Event) -> list[int]:
    """SIGINT and SIGTERM set the event.

    Returns:
        Numbers of the signals that came, as they come: a service that was told to stop (SIGTERM) has ended well, an interrupted one has not.
    """
    came: list[int] = []

    def end(number: int, _frame: object) -> None:
        came.append(number)
        ended.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    return came


def end_of_service(signals: list[int]) -> None:
    """End a service that has put everything away: interrupted (130) where Ctrl-C ended it, else well.

    Args:
        signals: of :func:`end_on_signal`.
    """
    if signal.SIGINT in signals:
        raise KeyboardInterrupt
