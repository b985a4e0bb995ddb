"""A folder of runs with fifty plans, its store, accounts, and a running server."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from rtqc.nightly import Store
from rtqc.workbench import Accounts, ServerSettings, WebServer
from tests.nightly.conftest import opened
from tests.nightly.test_dashboard import key_of, many, write
from tests.nightly.test_store import begun, result

PASSWORD = "correct horse battery"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A folder of runs whose page shows fifty plans."""
    folder = tmp_path / "out"
    write(many(50), folder)
    (folder / "run-x").rename(folder / "latest")
    return folder


@pytest.fixture
def kept(out: Path) -> Iterator[Store]:
    """Its store: two of the page's plans."""
    with opened(out / "rtqc.sqlite") as store:
        run = begun(store)
        for k in (3, 23):
            store.save(run, result(k, key=key_of(k)))
        yield store


@pytest.fixture(scope="session")
def _accounts_made(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("accounts") / "accounts.json"
    accounts = Accounts(path)
    accounts.add("A. Physicist", "reviewer", PASSWORD)
    accounts.add("trainee", "reader", PASSWORD)
    return path.read_bytes()


@pytest.fixture
def accounts_file(tmp_path: Path, _accounts_made: bytes) -> Path:
    """Accounts of a reviewer and a reader."""
    path = tmp_path / "accounts.json"
    path.touch(mode=0o600)
    path.write_bytes(_accounts_made)
    return path


@dataclass
class Answer:
    """What a server said."""

    status: int
    headers: dict[str, str]
    content: bytes
    cookies: list[str] = field(default_factory=list)

    @property
    def document(self) -> Any:
        """As JSON."""
        return json.loads(self.content)


@dataclass
class Client:
    """A browser's manners, without one: it keeps cookies."""

    port: int
    host: str = "127.0.0.1"
    cookies: dict[str, str] = field(default_factory=dict)

    def ask(self, path: str, method: str = "GET", body: bytes | None = None, **headers: str) -> Answer:
        """One request; header names are written with underscores."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.cookies:
            sent.setdefault("Cookie", "; ".join(f"{n}={v}" for n, v in self.cookies.items()))
        sent.setdefault("Host", f"{self.host}:{self.port}")
        try:
            connection.request(method, path, body, sent)
            got = connection.getresponse()
            given = [v for n, v in got.getheaders() if n.lower() == "set-cookie"]
            answer = Answer(got.status, {n.lower(): v for n, v in got.getheaders()}, got.read(), given)
        finally:
            connection.close()
        for cookie in given:
            name, _, value = cookie.split(";")[0].partition("=")
            if value.strip('"'):
                self.cookies[name] = value
            else:
                self.cookies.pop(name, None)
        return answer

    def sign_in(self, name: str = "A. Physicist", password: str = PASSWORD, **more: str) -> Answer:
        """Fill in the form."""
        page = self.ask("/login").content.decode()
        token = page.split('name="token" value="')[1].split('"')[0] if 'name="token"' in page else ""
        form = urlencode({"token": token, "name": name, "password": password, **more})
        return self.ask("/login", "POST", form.encode(), Content_Type="application/x-www-form-urlencoded")

    def review(self, told: object, **headers: str) -> Answer:
        """Send a review with the session's token."""
        session = self.ask("/session")
        token = session.document.get("csrf", "")
        return self.ask("/reviews", "POST", json.dumps(told).encode(), **{"X_CSRF_Token": token, **headers})


Start = Callable[..., WebServer]


@pytest.fixture
def start(out: Path, kept: Store) -> Iterator[Start]:
    """Starts servers, which end with the test."""
    with ExitStack() as held:

        def started(**settings: Any) -> WebServer:
            server = WebServer(out, kept, ServerSettings(**settings))
            thread = threading.Thread(target=server.run, daemon=True)
            thread.start()

            def end() -> None:
                server.stop()
                thread.join(20)
                assert not thread.is_alive()

            held.callback(end)
            return server

        yield started


@pytest.fixture
def server(start: Start, accounts_file: Path) -> WebServer:
    """With accounts."""
    return start(accounts=accounts_file)


@pytest.fixture
def client(server: WebServer) -> Client:
    """Of that server; nobody yet."""
    return Client(server.port)


def trail(out: Path) -> list[dict[str, str]]:
    """What was recorded."""
    return [json.loads(line) for line in (out / "audit.jsonl").read_text("ascii").splitlines()]
