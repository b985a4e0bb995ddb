"""Who works on many plans: processes here, or a cluster's."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rtqc.cli.console import PathArgument, stop

if TYPE_CHECKING:
    from rtqc.nightly import ClusterTls, Crew


def crew_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """``--workers``, ``--cluster`` and the certificates of the latter, which the command gets as one ``crew``."""

    @functools.wraps(function)
    def with_crew(
        *args: Any,
        workers: int | None,
        cluster: str | None,
        cluster_certificate: Path | None,
        cluster_key: Path | None,
        cluster_authority: Path | None,
        **options: Any,
    ) -> Any:
        crew = _crew_of(workers, cluster, cluster_certificate, cluster_key, cluster_authority)
        return function(*args, crew=crew, **options)

    command: Callable[..., Any] = with_crew
    for name, about in (
        ("--cluster-authority", "Who signed the scheduler's and the workers' certificates."),
        ("--cluster-key", "Its key."),
        ("--cluster-certificate", "Our certificate, for a tls:// scheduler."),
    ):
        command = click.option(name, type=PathArgument(), metavar="PEM", help=about)(command)
    command = click.option(
        "--cluster",
        metavar="ADDRESS",
        help="A dask scheduler (tls://host:8786; tcp:// on trusted networks only) whose workers see the files at the same path.",
    )(command)
    return click.option(
        "--workers", type=click.IntRange(min=1), metavar="N", help="Processes here. [default: by cores and memory]"
    )(command)


def _crew_of(
    workers: int | None, cluster: str | None, certificate: Path | None, key: Path | None, authority: Path | None
) -> Crew:
    """A message and exit status 2 where the options contradict each other."""
    from rtqc.nightly import Crew

    if workers and cluster:
        stop("give --workers (processes here) or --cluster (workers of a scheduler), not both")
    crew = Crew(workers or 0, cluster or "", _tls_of(certificate, key, authority))
    if crew.tls is not None and not cluster:
        stop("--cluster-certificate, --cluster-key and --cluster-authority belong to a --cluster tls://host:port")
    if crew.is_open:
        click.echo(
            f"rtqc: {cluster} is neither encrypted nor authenticated: whoever reaches the scheduler or a worker reads the plans and runs programs as "
            "their user. Use it on a trusted network only, or tls:// with --cluster-certificate, --cluster-key and --cluster-authority.",
            err=True,
        )
    return crew


def _tls_of(certificate: Path | None, key: Path | None, authority: Path | None) -> ClusterTls | None:
    from rtqc.nightly import ClusterTls

    if certificate is None and key is None and authority is None:
        return None
    if certificate is None or key is None or authority is None:
        stop("an encrypted cluster needs all of --cluster-certificate, --cluster-key and --cluster-authority")
    return ClusterTls(certificate, key, authority)
