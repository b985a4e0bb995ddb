"""How a PostgreSQL server is reached: what libpq reads from a URL, the environment and the password file, for the driver pg8000 (BSD), which reads none of it."""

from __future__ import annotations

import getpass
import os
import ssl
import stat
import sys
from pathlib import Path
from typing import Any

from sqlalchemy import URL

#: The driver of ``postgresql://`` URLs.
DRIVER = "postgresql+pg8000"
_CONNECT_SECONDS = 10.0
_PORT = 5432
#: What libpq calls them; ``prefer``, its default, takes TLS where the server has it and promises nothing.
_MODES = ("disable", "prefer", "require", "verify-ca", "verify-full")


class AddressError(Exception):
    """A part of a URL cannot be used; the message names it and no secret."""


def prepared(url: URL) -> tuple[URL, dict[str, Any]]:
    """A ``postgresql://`` URL for the driver, and what the driver must be told beside it.

    Understood as libpq does (PostgreSQL 17, sections 32.1 and 32.16): ``?host=/folder`` for a Unix socket, ``?sslmode=``, ``?sslrootcert=``, the password of the
    URL (``user:password@`` or ``?password=``), of ``PGPASSWORD`` or of the password file (``PGPASSFILE``, ``~/.pgpass``), in this order.

    Raises:
        AddressError: a parameter that is not known, or cannot be used.
    """
    query = dict(url.query)
    told: dict[str, Any] = {"timeout": _CONNECT_SECONDS, "application_name": "rtqc"}
    host = _single(query.pop("host", url.host or os.environ.get("PGHOST", "localhost")), "host")
    if "@" in host:
        raise AddressError("a password that holds '@' is written with %40 in its place")
    try:
        port = int(_single(query.pop("port", str(url.port or os.environ.get("PGPORT", _PORT))), "port"))
    except ValueError as error:
        raise AddressError("the port is no number") from error
    if host.startswith("/"):
        told["unix_sock"] = f"{host}/.s.PGSQL.{port}"
    mode = _single(query.pop("sslmode", "prefer"), "sslmode")
    root = query.pop("sslrootcert", None)
    # The driver's own default, None, prefers TLS.
    told["ssl_context"] = _tls(mode, None if root is None else _single(root, "sslrootcert"))
    in_query = query.pop("password", None)
    asked_user = query.pop("user", None)
    if query:
        raise AddressError(
            f"the parameter '{sorted(query)[0]}' is not known: host, port, user, password, sslmode and sslrootcert are"
        )
    user = (
        url.username
        or (None if asked_user is None else _single(asked_user, "user"))
        or os.environ.get("PGUSER")
        or getpass.getuser()
    )
    database = url.database or user
    password = (
        url.password
        or (None if in_query is None else _single(in_query, "password"))
        or os.environ.get("PGPASSWORD")
        or _kept_password(host, port, database, user)
    )
    return URL.create(DRIVER, user, password, None if host.startswith("/") else host, port, database), told


def without_deadline(connection: Any, _record: Any) -> None:
    """The time limit was for connecting: a query may take longer."""
    socket = getattr(connection, "_usock", None)
    if socket is not None:
        socket.settimeout(None)


def _single(value: str | tuple[str, ...], name: str) -> str:
    if not isinstance(value, str):
        raise AddressError(f"the parameter '{name}' stands there twice")
    return value


def _tls(mode: str, root: str | None) -> ssl.SSLContext | bool | None:
    if mode not in _MODES:
        raise AddressError(f"sslmode is {', '.join(_MODES)}")
    if mode in ("disable", "prefer"):
        return False if mode == "disable" else None
    try:
        context = ssl.create_default_context(cafile=root)
    except (OSError, ssl.SSLError) as error:
        raise AddressError(f"sslrootcert {root} cannot be used") from error
    context.check_hostname = mode == "verify-full"
    if mode == "require":
        context.verify_mode = ssl.CERT_NONE
    return context


def _kept_password(host: str, port: int, database: str, user: str) -> str | None:
    """The first line ``host:port:database:user:password`` that fits; a file that others may read is not used, as libpq does."""
    told = os.environ.get("PGPASSFILE")
    path = Path(told) if told else Path.home() / ".pgpass"
    try:
        if sys.platform != "win32" and stat.S_IMODE(path.stat().st_mode) & 0o077:
            return None
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return None
    wanted = ("localhost" if host.startswith("/") else host, str(port), database, user)
    for line in lines:
        parts = [] if line.startswith("#") else _fields(line)
        if len(parts) >= 5 and all(part in ("*", want) for part, want in zip(parts, wanted, strict=False)):
            return ":".join(parts[4:])
    return None


def _fields(line: str) -> list[str]:
    """Fields between colons; a backslash takes the next character as it is."""
    parts, escaped = [""], False
    for c in line:
        if escaped:
            parts[-1], escaped = parts[-1] + c, False
        elif c == "\\":
            escaped = True
        elif c == ":" and len(parts) < 5:
            parts.append("")
        else:
            parts[-1] += c
    return parts
