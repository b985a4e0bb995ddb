"""Local accounts: a file of names, roles and argon2 hashes, which only its owner may read."""

from __future__ import annotations

import json
import os
import tempfile
import threading
import unicodedata
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from rtqc.core.lock import whole_lock

Role = Literal["reader", "reviewer"]
ROLES: tuple[Role, ...] = get_args(Role)
#: Lengths of a password and of a name, in characters. The longest keeps hashing cheap; nobody types more.
LEAST_PASSWORD, MOST_PASSWORD, MOST_NAME = 12, 256, 64
_VERSION = 1
#: A hash takes 64 MiB and tens of milliseconds (RFC 9106, second choice; argon2-cffi's default): so many are made at once.
_AT_ONCE = 2
_MOST_BYTES = 4 << 20


class AccountError(Exception):
    """The file or an account cannot be used; the message says what to do."""


@dataclass(frozen=True)
class Account:
    """Somebody who may sign in.

    Attributes:
        name: as it stands in reviews and in the audit trail.
        role: ``reader`` may look, ``reviewer`` may also mark flags as reviewed.
        password_hash: argon2id with its parameters; empty where only a reverse proxy signs this account in.
    """

    name: str
    role: Role
    password_hash: str = ""


class Accounts:
    """The accounts of a file, read again whenever the file has changed."""

    def __init__(self, path: Path) -> None:
        """Say which file; it is read when it is asked for the first time."""
        self.path = path
        self._stamp: tuple[int, int, int] | None = None
        self._known: dict[str, Account] = {}
        self._hasher = PasswordHasher()
        self._slots = threading.BoundedSemaphore(_AT_ONCE)
        self._nobody = ""

    def all(self) -> list[Account]:
        """All accounts by name.

        Raises:
            AccountError: the file is absent, not ours, or others may read it.
        """
        return sorted(self._read().values(), key=lambda a: account_key(a.name))

    def find(self, name: str) -> Account | None:
        """The account of this name, whatever its case; None where there is none.

        Raises:
            AccountError: see :meth:`all`.
        """
        return self._read().get(account_key(name))

    def verify(self, name: str, password: str) -> Account | None:
        """The account, where the password is its own; takes as long for a name that does not exist.

        Raises:
            AccountError: see :meth:`all`.
        """
        account = self.find(name)
        with self._slots:
            if account is None or not account.password_hash or len(password) > MOST_PASSWORD:
                self._nobody = self._nobody or self._hasher.hash("nobody")
                with suppress(VerificationError):
                    self._hasher.verify(self._nobody, password[:MOST_PASSWORD])
                return None
            try:
                self._hasher.verify(account.password_hash, normal_password(password))
            except (VerificationError, InvalidHashError):
                return None
        return account

    def add(self, name: str, role: Role, password: str | None) -> Account:
        """Add an account; without a password only a reverse proxy can sign it in.

        Raises:
            AccountError: the name is taken or cannot be one, the password is too short, the file cannot be written.
        """
        account = Account(checked_name(name), role, self._hashed(name, password) if password is not None else "")

        def change(known: dict[str, Account]) -> None:
            if account_key(name) in known:
                raise AccountError(f"there is an account '{account.name}' already: give another name, or change its password")
            known[account_key(name)] = account

        self._change(change, create=True)
        return account

    def set_password(self, name: str, password: str) -> None:
        """Give an account another password; its sessions end.

        Raises:
            AccountError: there is no such account, the password is too short, the file cannot be written.
        """
        hashed = self._hashed(name, password)
        self._replace(name, lambda a: replace(a, password_hash=hashed))

    def set_role(self, name: str, role: Role) -> None:
        """Give an account another role, at once.

        Raises:
            AccountError: there is no such account, or the file cannot be written.
        """
        self._replace(name, lambda a: replace(a, role=role))

    def remove(self, name: str) -> None:
        """Remove an account; its sessions end, its reviews stay.

        Raises:
            AccountError: there is no such account, or the file cannot be written.
        """

        def change(known: dict[str, Account]) -> None:
            if known.pop(account_key(name), None) is None:
                raise AccountError(f"there is no account '{name}' in {self.path}")

        self._change(change)

    def _replace(self, name: str, change: Callable[[Account], Account]) -> None:
        def changed(known: dict[str, Account]) -> None:
            if account_key(name) not in known:
                raise AccountError(f"there is no account '{name}' in {self.path}")
            known[account_key(name)] = change(known[account_key(name)])

        self._change(changed)

    def _hashed(self, name: str, password: str) -> str:
        normal = normal_password(password)
        if not LEAST_PASSWORD <= len(normal) <= MOST_PASSWORD:
            raise AccountError(f"a password has {LEAST_PASSWORD} to {MOST_PASSWORD} characters: give a longer or shorter one")
        if account_key(normal) == account_key(name) or len(set(normal)) < 4:
            raise AccountError("this password is too easily guessed: give another one")
        return self._hasher.hash(normal)

    def _read(self) -> dict[str, Account]:
        try:
            there = self.path.stat()
            stamp = (there.st_mtime_ns, there.st_size, there.st_ino)
            if stamp == self._stamp:
                return self._known
            if os.name == "posix" and there.st_mode & 0o077:
                raise AccountError(f"{self.path} can be read by others: chmod 600 {self.path}")
            if there.st_size > _MOST_BYTES:
                raise AccountError(f"{self.path} is no file of accounts: make one with rtqc accounts add")
            known = _accounts_of(self.path.read_bytes())
        except FileNotFoundError as error:
            raise AccountError(f"there is no file {self.path}: make it with rtqc accounts add NAME --accounts FILE") from error
        except OSError as error:
            raise AccountError(f"{self.path} cannot be read: {error.strerror or error}") from error
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise AccountError(f"{self.path} is no file of accounts: make one with rtqc accounts add") from error
        self._known, self._stamp = known, stamp
        return known

    def _change(self, change: Callable[[dict[str, Account]], None], create: bool = False) -> None:
        try:
            if create:
                self.path.parent.mkdir(parents=True, exist_ok=True)
            with whole_lock(self.path.with_name(f".{self.path.name}.lock"), wait_seconds=10) as is_ours:
                if not is_ours:
                    raise AccountError(f"another process changes {self.path}: try again")
                known = {} if create and not self.path.exists() else dict(self._read())
                change(known)
                told = {"version": _VERSION, "accounts": [vars(a) for a in known.values()]}
                self._write(json.dumps(told, indent=1, ensure_ascii=False).encode("utf-8") + b"\n")
        except OSError as error:
            raise AccountError(f"{self.path} cannot be written: {error.strerror or error}") from error

    def _write(self, content: bytes) -> None:
        """Whole or not at all, and never readable by others in between: mkstemp gives mode 600."""
        handle, name = tempfile.mkstemp(prefix=f".{self.path.name}.", dir=self.path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(self.path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


def account_key(name: str) -> str:
    """What two names must not share: look-alikes by case or width are one account."""
    return unicodedata.normalize("NFKC", name).strip().casefold()


def checked_name(name: str) -> str:
    """A name that may stand in records.

    Raises:
        AccountError: it is empty, too long, or holds what cannot be seen.
    """
    normal = unicodedata.normalize("NFC", name).strip()
    if not 0 < len(normal) <= MOST_NAME or not normal.isprintable():
        raise AccountError(f"a name has 1 to {MOST_NAME} characters that can be seen: give another one")
    return normal


def normal_password(password: str) -> str:
    """The same characters, however a keyboard composes them (NFC, RFC 8265)."""
    return unicodedata.normalize("NFC", password)


def _accounts_of(content: bytes) -> dict[str, Account]:
    told = json.loads(content)
    if told["version"] != _VERSION:
        raise ValueError("version")
    known: dict[str, Account] = {}
    for item in told["accounts"]:
        account = Account(str(item["name"]), item["role"], str(item["password_hash"]))
        if account.role not in ROLES or not account.name or account_key(account.name) in known:
            raise ValueError("account")
        known[account_key(account.name)] = account
    return known
