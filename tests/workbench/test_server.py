"""What the server listens on, what it believes, and what hostile neighbours can take from it."""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
import trustme

from rtqc.nightly import Store
from rtqc.workbench import AccountError, Accounts, ServerError, ServerSettings, WebServer
from rtqc.workbench.connections import Limits
from tests.cli.run import rtqc
from tests.nightly.test_dashboard import key_of
from tests.workbench.conftest import Client, Start, trail

#: Short enough for a test to wait for, long enough for a machine under load.
QUICK = Limits(header_seconds=1.0, request_seconds=2.0, connections=20)


def ended(connection: socket.socket, seconds: float = 20.0) -> bytes:
    """What came until the server hung up; fails where it does not."""
    connection.settimeout(seconds)
    got = b""
    with suppress(ConnectionError):
        while part := connection.recv(1 << 16):
            got += part
    return got


def said(port: int, request: bytes) -> bytes:
    """The answer to raw bytes."""
    with socket.create_connection(("127.0.0.1", port), 20) as connection:
        connection.sendall(request)
        with suppress(OSError):
            connection.shutdown(socket.SHUT_WR)
        return ended(connection)


def test_silent_and_slow_connections_end_and_leave_no_thread(start: Start, accounts_file: Path) -> None:
    server = start(accounts=accounts_file, limits=Limits(header_seconds=30.0, connections=20))
    client = Client(server.port)
    client.sign_in()
    client.ask("/latest/index.html")
    threads = threading.active_count()
    with ExitStack() as held:
        silent = []
        for k in range(300):
            connection = held.enter_context(socket.create_connection(("127.0.0.1", server.port), 20))
            if k % 2:
                connection.sendall(b"GET / HTTP/1.1\r\nHost: x")
            silent.append(connection)
        # Deadlines are far away: room was made by letting the oldest that say nothing go.
        assert client.ask("/latest/index.html").status == 200
        assert threading.active_count() <= threads + 2
        # Signs of all but the newest: closed by the server.
        for connection in silent[:250]:
            ended(connection)


@pytest.mark.parametrize(
    "begun",
    [
        b"",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ",
        b"POST /reviews HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\n{",
        b"POST /login HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nGET /",
    ],
    ids=["silence", "headers", "body", "chunks", "second request"],
)
def test_dripping_bytes_do_not_push_a_deadline_back(start: Start, accounts_file: Path, begun: bytes) -> None:
    server = start(accounts=accounts_file, limits=QUICK)
    give_up = time.monotonic() + 60
    with socket.create_connection(("127.0.0.1", server.port), 20) as connection:
        connection.sendall(begun)
        connection.settimeout(0.1)
        while time.monotonic() < give_up:
            try:
                connection.sendall(b"a" if begun and b"chunked" not in begun else b"1\r\na\r\n" if begun else b"")
                if connection.recv(1 << 16) == b"":
                    break
            except TimeoutError:
                continue
            except OSError:
                break
        else:
            pytest.fail("the server never hung up")


def test_who_takes_nothing_of_an_answer_loses_it(start: Start, out: Path) -> None:
    (out / "latest" / "big.json").write_bytes(b"x" * (64 << 20))
    # Without a password, whose hash takes a while on a machine under load.
    server = start(limits=Limits(request_seconds=5.0))
    client = Client(server.port)
    client.ask("/" + server.address.split("/", 3)[3])
    cookies = "; ".join(f"{n}={v}" for n, v in client.cookies.items())
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", server.port))
        connection.sendall(f"GET /latest/big.json HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: {cookies}\r\n\r\n".encode())
        give_up = time.monotonic() + 120
        while ("listed", "latest/big.json") not in [(t["event"], t.get("file")) for t in trail(out)]:
            assert time.monotonic() < give_up
            time.sleep(0.05)
        while server._server.server_state.tasks or server._server.server_state.connections:
            assert time.monotonic() < give_up
            time.sleep(0.05)
    assert client.ask("/latest/index.html").status == 200


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"POST /reviews HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: abc\r\n\r\n", 400),
        (b"POST /reviews HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST /reviews HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 99999999999999999999\r\n\r\n", 413),
        (b"POST /reviews HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: evil.example\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", 403),
        (b"GET / HTTP/1.0\r\n\r\n", 403),
        (b"GET / HTTP/1.1\r\nHost: [\r\n\r\n", 403),
        (b"GET /" + b"a" * 3000 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"a" * 40_000 + b"\r\n\r\n", 431),
        (b"BREW / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 405),
        (b"GET http://evil.example/ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 404),
        (b"\x16\x03\x01\x02\x00\x01", 400),
    ],
)
def test_what_is_no_request_is_refused_with_a_status(
    server: WebServer, sent: bytes, status: int, capfd: pytest.CaptureFixture[str]
) -> None:
    assert said(server.port, sent).split(b" ", 2)[1] == str(status).encode()
    told = capfd.readouterr()
    assert "Traceback" not in told.err + told.out


def test_chunks_beyond_the_limit_are_refused(client: Client, server: WebServer) -> None:
    client.sign_in()
    token = client.ask("/session").document["csrf"]
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    cookies = "; ".join(f"{n}={v}" for n, v in client.cookies.items())
    connection.request(
        "POST", "/reviews", iter([b"x" * 1000] * 12), {"Cookie": cookies, "X-CSRF-Token": token, "Transfer-Encoding": "chunked"}, encode_chunked=True
    )  # fmt: skip
    assert connection.getresponse().status == 413
    connection.close()


def test_a_proxy_is_believed_at_its_own_address_only(start: Start, tmp_path: Path, kept: Store, out: Path) -> None:
    path = tmp_path / "proxied.json"
    Accounts(path).add("ann", "reviewer", None)
    Accounts(path).add("ben", "reader", None)
    server = start(accounts=path, proxies=("127.0.0.1",))
    client = Client(server.port, host="rtqc.clinic.example")
    assert client.ask("/latest/index.html").status == 401
    assert client.ask("/latest/index.html", X_Remote_User="zoe").status == 403
    assert client.sign_in().status == 404
    answer = client.ask("/session", X_Remote_User="ann")
    assert answer.document["name"] == "ann"
    (cookie,) = answer.cookies
    assert cookie.startswith("__Host-rtqc=")
    assert "secure" in cookie.lower()
    # The cookie alone is nobody; another name is somebody else.
    assert client.ask("/latest/index.html").status == 401
    assert client.ask("/session", X_Remote_User="ben").document["role"] == "reader"
    token = client.ask("/session", X_Remote_User="ann").document["csrf"]
    body = f'{{"key": "{key_of(3)}"}}'.encode()
    assert client.ask("/reviews", "POST", body, X_Remote_User="ann").status == 403
    assert client.ask("/reviews", "POST", body, X_Remote_User="ann", X_CSRF_Token=token).document["by"] == "ann"
    assert said(
        server.port,
        b"GET /session HTTP/1.1\r\nHost: x\r\nX-Remote-User: ann\r\nX-Remote-User: ben\r\nConnection: close\r\n\r\n",
    ).startswith(b"HTTP/1.1 401")
    assert trail(out)[-1]["who"] == "ann"


def test_a_stranger_who_names_himself_is_refused(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "proxied.json"
    Accounts(path).add("ann", "reviewer", None)
    server = start(accounts=path, proxies=("192.0.2.1",))
    answer = Client(server.port).ask("/latest/index.html", X_Remote_User="ann")
    assert answer.status == 403
    assert "reverse proxy only" in answer.document["error"]


def test_over_tls_cookies_ask_for_it(start: Start, accounts_file: Path, tmp_path: Path) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    for part in issued.cert_chain_pems:
        part.write_to_path(tmp_path / "cert.pem", append=True)
    server = start(accounts=accounts_file, certificate=tmp_path / "cert.pem", key=tmp_path / "key.pem")
    assert server.address.startswith("https://")
    context = ssl.create_default_context()
    authority.configure_trust(context)
    connection = http.client.HTTPSConnection("127.0.0.1", server.port, context=context, timeout=20)
    connection.request("GET", "/login")
    answer = connection.getresponse()
    assert answer.status == 200
    assert (answer.getheader("Set-Cookie") or "").startswith("__Host-rtqc-form=")
    assert "Secure" in (answer.getheader("Set-Cookie") or "")
    assert answer.getheader("Strict-Transport-Security")
    connection.close()
    # Without TLS nothing is said, and a handshake that never comes ends, too.
    assert b"HTTP" not in said(server.port, b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")


def test_what_would_let_strangers_in_is_refused(out: Path, kept: Store, accounts_file: Path, tmp_path: Path) -> None:
    for settings, words in (
        (ServerSettings(host="0.0.0.0"), "give --accounts"),
        (ServerSettings(host="0.0.0.0", accounts=accounts_file), "could read passwords"),
        (ServerSettings(host="::", accounts=accounts_file), "could read passwords"),
        (ServerSettings(host="192.0.2.7", accounts=accounts_file), "could read passwords"),
        (ServerSettings(host="clinic.example", accounts=accounts_file), "could read passwords"),
        (ServerSettings(proxies=("127.0.0.1",)), "give --accounts, too"),
        (ServerSettings(accounts=accounts_file, proxies=("proxy.example",)), "is no address"),
        (ServerSettings(certificate=accounts_file), "--tls-key"),
        (ServerSettings(certificate=accounts_file, key=accounts_file), "cannot be used"),
    ):
        with pytest.raises(ServerError, match=words):
            WebServer(out, kept, settings)
    with pytest.raises(AccountError, match="rtqc accounts add"):
        WebServer(out, kept, ServerSettings(accounts=tmp_path / "absent.json"))


def test_with_accounts_and_a_word_it_listens_everywhere(start: Start, accounts_file: Path) -> None:
    server = start(host="0.0.0.0", accounts=accounts_file, allow_plain=True)
    assert Client(server.port, host="anything.example").ask("/login").status == 200
    named = start(
        host="127.0.0.1", accounts=accounts_file, names=("rtqc.example",), audit=accounts_file.with_name("other.jsonl")
    )
    assert Client(named.port, host="rtqc.example").ask("/login").status == 200
    assert Client(named.port, host="127.0.0.1").ask("/login").status == 200
    assert Client(named.port, host="evil.example").ask("/login").status == 403


def test_serve_says_what_it_cannot(tmp_path: Path, out: Path, kept: Store, server: WebServer) -> None:
    assert "holds no complete run" in rtqc("serve", tmp_path).err
    outcome = rtqc("serve", out, "--port", server.port, "--audit", tmp_path / "other.jsonl")
    assert outcome.status == 2
    assert "give another --port" in outcome.err
    outcome = rtqc("serve", out, "--port", 0)
    assert outcome.status == 2
    assert "another rtqc serve records" in outcome.err
    outcome = rtqc("serve", out, "--port", 0, "--host", "0.0.0.0")
    assert outcome.status == 2
    assert "give --accounts" in outcome.err


def test_every_start_and_end_is_recorded(start: Start, out: Path, kept: Store) -> None:
    server = WebServer(out, kept, ServerSettings())
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server._server.started:
        time.sleep(0.01)
    server.stop()
    thread.join(20)
    assert [t["event"] for t in trail(out)] == ["started", "stopped"]
    with pytest.raises(OSError, match=r"refused|reset|actively"):
        socket.create_connection(("127.0.0.1", server.settings.port or 1), 5)
