"""Who asks: an account of the file, somebody whom a trusted reverse proxy names, or who has the address that the terminal showed."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Protocol

from starlette.requests import Request

from rtqc.workbench.accounts import Account, Accounts, Role
from rtqc.workbench.sessions import Session, Sessions


class RefusedError(Exception):
    """This request is nobody's; the message is for the person, ``status`` for HTTP."""

    def __init__(self, message: str, status: int = 403) -> None:
        """Say why."""
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class User:
    """Who has signed in.

    Attributes:
        name: of the account.
        role: what he may do.
        session: his.
    """

    name: str
    role: Role
    session: Session


@dataclass(frozen=True)
class SignedIn:
    """A new session and the cookie that goes with it."""

    user: User
    token: str


class Identity(Protocol):
    """How people prove who they are.

    Attributes:
        sessions: all that there are.
        has_form: whether a name and a password are asked for.
    """

    sessions: Sessions
    has_form: bool

    def account(self, session: Session) -> Account | None:
        """The account of a session as it is now; None where it has gone or its secret has changed."""

    def from_request(self, request: Request) -> Account | None:
        """The account that the request itself proves, without a session; None where it proves none.

        Raises:
            RefusedError: the request claims what it may not.
        """


class PasswordIdentity:
    """Accounts of a file, with passwords."""

    has_form = True

    def __init__(self, accounts: Accounts, sessions: Sessions) -> None:
        """Take the accounts and the sessions."""
        self.accounts, self.sessions = accounts, sessions

    def account(self, session: Session) -> Account | None:
        """See :class:`Identity`."""
        found = self.accounts.find(session.name)
        return found if found is not None and hmac.compare_digest(stamp_of(found), session.stamp) else None

    def from_request(self, request: Request) -> Account | None:
        """Nobody: a password makes a session."""
        return None


class ProxyIdentity:
    """Accounts of a file, whom a reverse proxy at a known address has signed in and names in a header."""

    has_form = False

    def __init__(self, accounts: Accounts, sessions: Sessions, addresses: tuple[str, ...], header: str) -> None:
        """Take the proxy's addresses and its header's name."""
        self.accounts, self.sessions = accounts, sessions
        self._addresses = {plain_address(a) for a in addresses}
        self._header = header.lower()

    def account(self, session: Session) -> Account | None:
        """The session serves the CSRF token only: the header says who it is, each time."""
        found = self.accounts.find(session.name)
        return found if found is not None and hmac.compare_digest(stamp_of(found), session.stamp) else None

    def from_request(self, request: Request) -> Account | None:
        """The account that the header names.

        Raises:
            RefusedError: it does not come from the proxy, names nobody, several, or somebody without an account.
        """
        if plain_address(request.client.host if request.client else "") not in self._addresses:
            raise RefusedError("this server answers to its reverse proxy only: use the proxy's address")
        names = request.headers.getlist(self._header)
        if len(names) != 1 or not names[0].strip():
            raise RefusedError(f"the reverse proxy named nobody in {self._header}: sign in there first", 401)
        account = self.accounts.find(names[0])
        if account is None:
            raise RefusedError("your name has no account here: ask for rtqc accounts add NAME --no-password")
        return account


class LinkIdentity:
    """One person: who started the server and sees its address, with a secret, in his terminal. For this machine only."""

    has_form = False

    def __init__(self, name: str, sessions: Sessions) -> None:
        """Make the secret."""
        self.sessions = sessions
        self.secret = secrets.token_urlsafe(24)
        self._owner = Account(name, "reviewer")

    def account(self, session: Session) -> Account | None:
        """See :class:`Identity`."""
        return self._owner

    def from_request(self, request: Request) -> Account | None:
        """Nobody: the secret makes a session."""
        return None

    def open(self, secret: str) -> Account | None:
        """The owner, where the secret is his."""
        return self._owner if hmac.compare_digest(secret.encode("utf-8", "replace"), self.secret.encode()) else None


def stamp_of(account: Account) -> str:
    """What changes when an account's secret does; tells nothing about it."""
    return hashlib.sha256(f"{account.name}\n{account.password_hash}".encode()).hexdigest()


def plain_address(text: str) -> IPv4Address | IPv6Address | str:
    """An address to compare: ``::ffff:127.0.0.1`` is 127.0.0.1."""
    try:
        address = ip_address(text)
    except ValueError:
        return text
    return getattr(address, "ipv4_mapped", None) or address
