"""Seeded garbage against the server: whatever comes, it answers with a status or hangs up, says no traceback, and serves the next one.

``RTQC_FUZZ_SEED`` and ``RTQC_FUZZ_COUNT`` ask for other seeds and for more; a request that broke something becomes a line of ``SEEDS``.
"""

from __future__ import annotations

import os
import random
import re
import socket
from contextlib import suppress
from pathlib import Path

import pytest

from rtqc.nightly import Store
from rtqc.workbench.connections import Limits
from tests.workbench.conftest import Client, Start, accounts_file, kept, out, start, trail  # noqa: F401
from tests.workbench.conftest import _accounts_made as _accounts_made  # noqa: PLC0414

SEED = int(os.environ.get("RTQC_FUZZ_SEED", "20261127"))
COUNT = int(os.environ.get("RTQC_FUZZ_COUNT", "1500"))
#: What once broke this server or the one before it.
SEEDS = (
    b"POST /reviews HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: x\r\n\r\n",
    b"POST /reviews HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Rtqc: review\r\nContent-Length: 9000\r\n\r\n" + b"[" * 9000,
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"a" * 40_000 + b"\r\n\r\n",
)
_WORDS = (
    b"\r\n", b"\r\n\r\n", b"\n", b"\x00", b"\xff", b" ", b":", b"%", b"%2e%2e/", b"/../", b"//", b"\\", b"?", b"#", b"[", b"]", b"{", b'"', b"Content-Length: 5\r\n",
    b"Content-Length: -1\r\n", b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: x\r\n", b"Expect: 100-continue\r\n", b"Connection: upgrade\r\nUpgrade: websocket\r\n",
    b"Range: bytes=0-,0-,0-\r\n", b"Cookie: rtqc=\xff\r\n", b"Cookie: a\r\n", b"Host: [::1\r\n", b"HTTP/1.1", b"HTTP/9.9", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"ffffffffffffffff\r\n",
    b"0\r\n\r\n", b"X-CSRF-Token: \xff\r\n", b"Origin: http://[\r\n", b"X-Forwarded-For: 127.0.0.1\r\n", b"\xed\xa0\x80", b"A" * 5000, b"/latest/index.html", b"/reports/", b"/open/",
)  # fmt: skip


def mutated(chance: random.Random, request: bytes) -> bytes:
    """The request with some bytes flipped, cut, doubled, or words put in."""
    told = bytearray(request)
    for _ in range(chance.randint(1, 6)):
        at = chance.randrange(len(told) + 1)
        kind = chance.randrange(5)
        if kind == 0 and at < len(told):
            told[at] ^= 1 << chance.randrange(8)
        elif kind == 1:
            told[at:at] = chance.choice(_WORDS)
        elif kind == 2:
            del told[at : at + chance.randint(1, 40)]
        elif kind == 3:
            told[at:at] = told[at : at + chance.randint(1, 200)] * chance.randint(1, 3)
        else:
            told[at:at] = chance.randbytes(chance.randint(1, 30))
    return bytes(told)


def answered(port: int, request: bytes) -> bytes:
    """What the server says until it hangs up."""
    got = b""
    with socket.create_connection(("127.0.0.1", port), 20) as connection, suppress(ConnectionError):
        connection.sendall(request)
        with suppress(OSError):
            connection.shutdown(socket.SHUT_WR)
        while part := connection.recv(1 << 16):
            got += part
    return got


def test_garbage_is_answered_or_hung_up_on_and_decides_nothing(
    start: Start, accounts_file: Path, kept: Store, out: Path, capfd: pytest.CaptureFixture[str]  # noqa: F811
) -> None:  # fmt: skip
    server = start(accounts=accounts_file)
    client = Client(server.port)
    client.sign_in()
    # A request that says it goes on and does not is hung up on after a moment; ours, on a machine under load, is not.
    connections = server._server.config.http_protocol_class
    patient = connections.limits  # type: ignore[union-attr]
    connections.limits = Limits(header_seconds=0.2, request_seconds=10.0)  # type: ignore[union-attr]
    cookie = "; ".join(f"{n}={v}" for n, v in client.cookies.items()).encode()
    signed = b"Host: 127.0.0.1\r\nCookie: " + cookie + b"\r\n"
    whole = (
        b"GET /latest/index.html HTTP/1.1\r\n" + signed + b"Accept: text/html\r\n\r\n",
        b"GET /session HTTP/1.1\r\n" + signed + b"\r\n",
        b"POST /reviews HTTP/1.1\r\n" + signed + b'X-CSRF-Token: x\r\nContent-Length: 15\r\n\r\n{"key": "00003"}',
        b"POST /login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 27\r\n\r\ntoken=x&name=a&password=b&c",
        b"POST /reviews HTTP/1.1\r\n" + signed + b'Transfer-Encoding: chunked\r\n\r\n5\r\n{"key\r\n0\r\n\r\n',
        *SEEDS,
    )
    chance = random.Random(SEED)
    statuses: dict[str, int] = {}
    for number in range(COUNT):
        request = whole[number] if number < len(whole) else mutated(chance, chance.choice(whole))
        answer = answered(server.port, request)
        if answer:
            status = re.match(rb"HTTP/1\.1 (\d{3}) ", answer)
            assert status, (number, request, answer[:200])
            statuses[status[1].decode()] = statuses.get(status[1].decode(), 0) + 1
        assert b"Traceback" not in answer, request
    connections.limits = patient  # type: ignore[union-attr]
    assert client.ask("/latest/index.html").status == 200
    assert "500" not in statuses, statuses
    assert {"200", "400"} <= set(statuses), statuses
    assert kept.acknowledgements() == {}
    assert {t["event"] for t in trail(out)} <= {"started", "signed in", "signed out", "listed", "refused", "saw"}
    told = capfd.readouterr()
    assert "Traceback" not in told.out + told.err
