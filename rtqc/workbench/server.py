"""The server: what it listens on, what it asks for before it does, and how it ends."""

from __future__ import annotations

import getpass
import signal
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import uvicorn

from rtqc.nightly.store import Store
from rtqc.workbench.accounts import AccountError, Accounts
from rtqc.workbench.app import Pages
from rtqc.workbench.audit import AUDIT_FILE, AuditTrail
from rtqc.workbench.connections import BoundedLoop, Limits, bounded
from rtqc.workbench.guard import Guard
from rtqc.workbench.identity import Identity, LinkIdentity, PasswordIdentity, ProxyIdentity, plain_address
from rtqc.workbench.sessions import Sessions

#: Unfinished responses are waited for when the server ends, in seconds.
_GRACE_SECONDS = 5
_LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")


class ServerError(Exception):
    """The server cannot be started like this; the message says what to do."""


@dataclass(frozen=True)
class ServerSettings:
    """How a server is reached, and by whom.

    Attributes:
        host, port: to listen on; port 0: any that is free.
        accounts: file of accounts; None: who started the server gets in, by a secret address, on this machine only.
        proxies: addresses of reverse proxies that say who asks; empty: passwords are asked for here.
        proxy_header: header in which they say it.
        names: by which browsers may call the server, besides its address.
        certificate, key: of TLS, in PEM files.
        allow_plain: listen beyond this machine without TLS, where something else (a tunnel) protects the way.
        audit: file of the record; None: in the folder of runs.
        limits: what connections may take.
    """

    host: str = "127.0.0.1"
    port: int = 0
    accounts: Path | None = None
    proxies: tuple[str, ...] = ()
    proxy_header: str = "X-Remote-User"
    names: tuple[str, ...] = ()
    certificate: Path | None = None
    key: Path | None = None
    allow_plain: bool = False
    audit: Path | None = None
    limits: Limits = field(default_factory=Limits)


class WebServer:
    """A server that listens; :meth:`run` answers until :meth:`stop`."""

    def __init__(self, out: Path, store: Store, settings: ServerSettings) -> None:
        """Check the settings and listen; nobody is answered yet.

        Args:
            out: the folder of all runs.
            store: reviews are kept there.
            settings: see there.

        Raises:
            ServerError: the settings let strangers in, or contradict each other.
            AccountError: the accounts cannot be read.
            AuditError: nothing can be recorded.
            OSError: the address cannot be listened on.
        """
        _check(settings)
        self.settings = settings
        self._held = ExitStack()
        has_tls = settings.certificate is not None
        self._identity = _identity(settings)
        try:
            self._socket = self._held.enter_context(_listening(settings.host, settings.port))
            self._audit = self._held.enter_context(AuditTrail(settings.audit or out / AUDIT_FILE))
            pages = Pages(out, store, self._identity, self._audit, is_secure=has_tls or bool(settings.proxies))
            app = Guard(pages.application(), _hosts(settings), settings.limits, has_tls)
            self._server = uvicorn.Server(_configured(app, settings))
            try:
                self._server.config.load()
            except (OSError, ssl.SSLError) as error:
                raise ServerError(f"certificate {settings.certificate} and its key cannot be used: {error}") from error
        except BaseException:
            self._held.close()
            raise

    @property
    def address(self) -> str:
        """Where it is: what a browser is given, with the secret where that is the way in."""
        host, port = self._socket.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        secret = f"open/{self._identity.secret}" if isinstance(self._identity, LinkIdentity) else ""
        return f"http{'s' if self.settings.certificate else ''}://{shown}:{port}/{secret}"

    @property
    def port(self) -> int:
        """That it listens on."""
        return int(self._socket.getsockname()[1])

    def run(self) -> None:
        """Answer until :meth:`stop`, Ctrl-C or a signal to end; then close everything."""
        with self._held, _ended_by_signal():
            self._audit.record("started", "", "")
            try:
                self._server.run(sockets=[self._socket])
            finally:
                self._audit.record("stopped", "", "")

    def stop(self) -> None:
        """Let :meth:`run` end, from another thread."""
        self._server.should_exit = True


@contextmanager
def _ended_by_signal() -> Iterator[None]:
    """Uvicorn sends the signal that ended it once more, to whoever had it before: by default that kills the process before its end is recorded."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda number, frame: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _check(settings: ServerSettings) -> None:
    if (settings.certificate is None) != (settings.key is None):
        raise ServerError("TLS needs a certificate and its key: give --tls-certificate and --tls-key")
    if settings.proxies and settings.accounts is None:
        raise ServerError("a reverse proxy says who asks, the accounts say what he may do: give --accounts, too")
    for proxy in settings.proxies:
        if not isinstance(plain_address(proxy), IPv4Address | IPv6Address):
            raise ServerError(f"'{proxy}' is no address: give the one that the reverse proxy comes from, as 127.0.0.1")
    if _is_local(settings.host):
        return
    if settings.accounts is None:
        raise ServerError(f"{settings.host} can be reached by others: give --accounts, so that they sign in")
    if settings.certificate is None and not settings.allow_plain:
        raise ServerError(
            f"{settings.host} can be reached by others, who could read passwords and patients' data on the way: give --tls-certificate and --tls-key, put a "
            "reverse proxy on this machine before it (--host 127.0.0.1 --proxy 127.0.0.1), or say --plain-http if something else protects the way"
        )


def _is_local(host: str) -> bool:
    address = plain_address(host)
    return host == "localhost" or (not isinstance(address, str) and address.is_loopback)


def _identity(settings: ServerSettings) -> Identity:
    sessions = Sessions()
    if settings.accounts is None:
        return LinkIdentity(getpass.getuser(), sessions)
    accounts = Accounts(settings.accounts)
    if not accounts.all():
        raise AccountError(
            f"{settings.accounts} holds no account: add one with rtqc accounts add NAME --accounts {settings.accounts}"
        )
    if settings.proxies:
        return ProxyIdentity(accounts, sessions, settings.proxies, settings.proxy_header)
    return PasswordIdentity(accounts, sessions)


def _hosts(settings: ServerSettings) -> tuple[str, ...] | None:
    """Names that a browser may use. Behind a proxy, or on all addresses, only whoever runs it knows them."""
    if settings.names:
        return (*settings.names, settings.host, *(_LOCAL_NAMES if _is_local(settings.host) else ()))
    if settings.proxies or settings.host in ("0.0.0.0", "::", ""):
        return None
    return (settings.host, *_LOCAL_NAMES)


def _listening(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(
        host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listening = socket.socket(family, kind, protocol)
    try:
        if hasattr(socket, "SO_REUSEADDR") and not hasattr(socket, "SO_EXCLUSIVEADDRUSE"):
            # Restarts at once; on Windows the option would let two servers share the port.
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(128)
    except BaseException:
        listening.close()
        raise
    return listening


def _configured(app: Guard, settings: ServerSettings) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=bounded(settings.limits),
        ws="none",
        lifespan="off",
        loop=f"{BoundedLoop.__module__}:{BoundedLoop.__name__}",
        interface="asgi3",
        backlog=128,
        log_config=None,
        # Bad requests are answered, not logged: whoever sends them must not fill a disk.
        log_level="critical",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=True,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=_GRACE_SECONDS,
        h11_max_incomplete_event_size=settings.limits.header_bytes,
        ssl_certfile=settings.certificate,
        ssl_keyfile=settings.key,
    )
