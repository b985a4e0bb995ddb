"""``rtqc protocol``: what plans are judged by."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from rtqc.cli.console import console, json_option, plain, stop

if TYPE_CHECKING:
    from rtqc.qc import Protocol


@click.group("protocol")
def command() -> None:
    """List, show or check protocols: thresholds, dose constraints and spellings."""


@command.command("list")
@json_option
def list_(as_json: bool) -> None:
    """Protocols that ship with rtqc."""
    import json

    from rtqc.qc import DEFAULT_PROTOCOL, list_protocols

    protocols = [_loaded(name) for name in list_protocols()]
    if as_json:
        click.echo(
            json.dumps([{"name": p.name, "description": p.description} for p in protocols], indent=2, ensure_ascii=False)
        )
        return
    for p in protocols:
        default = "  (default)" if p.name == DEFAULT_PROTOCOL else ""
        console().print(f"[bold]{plain(p.name)}[/]  {plain(p.description)}{default}")


@command.command("show")
@click.argument("name", metavar="NAME|FILE")
@json_option
def show(name: str, as_json: bool) -> None:
    """Every threshold and constraint with its source."""
    protocol = _loaded(name)
    if as_json:
        click.echo(protocol.model_dump_json(indent=2))
        return
    from rich import box
    from rich.table import Table

    console().print(f"[bold]{plain(protocol.name)}[/]  {plain(protocol.description)}")
    limits = Table("threshold", "value", "source", box=box.SIMPLE_HEAD)
    for key, limit in (
        ("alpha_beta", protocol.alpha_beta),
        *((k, getattr(protocol.limits, k)) for k in type(protocol.limits).model_fields),
    ):
        limits.add_row(key, plain(f"{limit.value:g} {limit.unit}"), plain(limit.source))
    constraints = Table("constraint", "structure", "tier", "limit", "source", box=box.SIMPLE_HEAD)
    for c in protocol.constraints:
        structure = f"{c.structure or 'the heart'}{', where contoured' if c.optional else ''}"
        tier = f"{c.tier}{f', {c.side} side' if c.side else ''}"
        constraints.add_row(plain(c.description), plain(structure), tier, plain(f"{c.limit:g} {c.unit}"), plain(c.source))
    console().print(limits)
    if protocol.reference_schedule is not None:
        made_for = protocol.reference_schedule
        console().print(
            f"The limits below were made for {made_for.dose_gy:g} Gy in {made_for.fractions} fractions; in another number of fractions they are converted."
        )
    console().print(constraints)
    for rule, severity in protocol.severity.items():
        console().print(f"{plain(rule)}: {severity}")


@command.command("check")
@click.argument("name", metavar="NAME|FILE")
def check(name: str) -> None:
    """Whether a protocol can be used: exit status 0, or 2 with what is wrong and where."""
    protocol = _loaded(name)
    ideal = sum(c.tier == "ideal" for c in protocol.constraints)
    console().print(
        f"{plain(protocol.name)} can be used: {len(type(protocol.limits).model_fields)} thresholds, {len(protocol.constraints)} constraints ({ideal} ideal, {len(protocol.constraints) - ideal} acceptable), {len(protocol.severity)} changed severities."
    )


def _loaded(name: str) -> Protocol:
    from rtqc.qc import ProtocolError, load_protocol, rule_ids

    try:
        return load_protocol(name, rule_ids())
    except ProtocolError as error:
        stop(str(error))
