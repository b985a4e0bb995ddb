"""``rtqc accounts``: who may sign in at ``rtqc serve``."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from rtqc.cli.console import PathArgument, console, json_option, plain, printable, stop

_ROLES = ("reader", "reviewer")
_accounts_option = click.option(
    "--accounts", "path", envvar="RTQC_ACCOUNTS", type=PathArgument(exists=False), required=True, metavar="FILE",
    help="Of rtqc serve. [also: RTQC_ACCOUNTS]",
)  # fmt: skip
_role_option = click.option("--role", type=click.Choice(_ROLES), help="reader may look; reviewer may also review.")
_stdin_option = click.option("--password-stdin", is_flag=True, help="Read the password from the first line of stdin.")


@contextmanager
def _said() -> Iterator[None]:
    from rtqc.workbench import AccountError

    try:
        yield
    except AccountError as error:
        stop(str(error))


def _password(from_stdin: bool) -> str:
    """A password that was typed twice, or piped: never an argument, which every user of the machine could read."""
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    told: str = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    return told


@click.group("accounts")
def command() -> None:
    """Who may sign in at rtqc serve: add, list, remove, change a password or a role; check the record."""


@command.command("add")
@click.argument("name")
@_accounts_option
@_role_option
@_stdin_option
@click.option("--no-password", is_flag=True, help="Only a reverse proxy (rtqc serve --proxy) signs this account in.")
def add(name: str, path: Path, role: str | None, password_stdin: bool, no_password: bool) -> None:
    """Add an account; the first one makes the file."""
    from rtqc.workbench import Accounts

    with _said():
        done = Accounts(path).add(
            name, "reviewer" if role == "reviewer" else "reader", None if no_password else _password(password_stdin)
        )
    click.echo(f"{printable(done.name)} may sign in as {done.role}")


@command.command("list")
@_accounts_option
@json_option
def show(path: Path, as_json: bool) -> None:
    """List the accounts."""
    from rtqc.workbench import Accounts

    with _said():
        known = Accounts(path).all()
    if as_json:
        told = [{"name": a.name, "role": a.role, "has_password": bool(a.password_hash)} for a in known]
        click.echo(json.dumps({"accounts": told}, indent=2, ensure_ascii=False))
        return
    out = console()
    for account in known:
        out.print(
            f"{plain(account.name)}  {account.role}{'' if account.password_hash else '  (by a reverse proxy only)'}",
            soft_wrap=True,
        )


@command.command("remove")
@click.argument("name")
@_accounts_option
def remove(name: str, path: Path) -> None:
    """Remove an account: its sessions end at once, its reviews stay."""
    from rtqc.workbench import Accounts

    with _said():
        Accounts(path).remove(name)
    click.echo(f"{printable(name)} may no longer sign in")


@command.command("password")
@click.argument("name")
@_accounts_option
@_stdin_option
def password(name: str, path: Path, password_stdin: bool) -> None:
    """Change a password: sessions of the account end at once."""
    from rtqc.workbench import Accounts

    with _said():
        Accounts(path).set_password(name, _password(password_stdin))
    click.echo(f"{printable(name)} has a new password")


@command.command("role")
@click.argument("name")
@click.argument("role", type=click.Choice(_ROLES))
@_accounts_option
def change_role(name: str, role: str, path: Path) -> None:
    """Change a role, at once."""
    from rtqc.workbench import Accounts

    with _said():
        Accounts(path).set_role(name, "reviewer" if role == "reviewer" else "reader")
    click.echo(f"{printable(name)} is {role}")


@command.command("audit")
@click.argument("file", type=PathArgument(), metavar="AUDIT.jsonl")
def audit(file: Path) -> None:
    """Whether a record of rtqc serve is whole. Exit status: 0 whole, 1 changed, 2 cannot be read."""
    from rtqc.workbench.audit import broken_line

    try:
        broken = broken_line(file)
    except OSError as error:
        stop(f"{file} cannot be read: {error.strerror or error}")
    if broken is not None:
        click.echo(
            f"{printable(str(file))}: line {broken} does not follow from the lines before it: something was changed or removed"
        )
        sys.exit(1)
    click.echo(f"{printable(str(file))} is whole")
