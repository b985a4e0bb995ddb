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
from rtqc.core.log import LineFormatter, log_key

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


def log_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """``--log-format`` and ``--log-identifiers``."""
    identifiers = click.option(
        "--log-identifiers", is_flag=True, help="Patient IDs, labels, UIDs and folders in the log, instead of keyed hashes."
    )
    form = click.option(
        "--log-format", type=click.Choice(["text", "json"]), default="text", show_default=True, help="Lines on stderr."
    )
    return form(identifiers(function))


def log_to_stderr(form: str, identifiers: bool, key_file: Path) -> None:
    """One line an event; a message and exit status 2 where the key for identifiers can neither be read nor made.

    Args:
        form: ``text`` or ``json``.
        identifiers: whether patients' are written as they are.
        key_file: of the key that they are hashed with otherwise.
    """
    try:
        key = None if identifiers else log_key(key_file)
    except OSError as error:
        stop(f"{error.filename or key_file}: {error.strerror or error}")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LineFormatter(key, form == "json"))
    root = logging.getLogger()
    if not root.handlers:
        root.addHandler(handler)
        threading.excepthook = _thread_ended
    root.setLevel(logging.WARNING)
    # What strangers send is their affair: rtqc's own lines say who was turned away.
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)
    logging.getLogger("pydicom").setLevel(logging.ERROR)
    logging.getLogger("rtqc").setLevel(logging.INFO)


def _thread_ended(failed: threading.ExceptHookArgs) -> None:
    """A thread that ended by an error is one line. pynetdicom's end so where bytes come that their state does not expect: that connection is over, and no more."""
    name = failed.thread.name if failed.thread is not None else ""
    if failed.exc_type.__module__.startswith("pynetdicom"):
        logging.getLogger("rtqc.node").warning("a connection that spoke out of turn was ended")
    elif failed.exc_value is not None:
        trace = (failed.exc_type, failed.exc_value, failed.exc_traceback)
        logging.getLogger("rtqc").error("the thread %s ended", name, exc_info=trace)


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
