"""Whoever connects and says nothing, or says it slowly, locks nobody out."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trustme

from rtqc.dicom import Caller, Door, Peer, PeerError, Receiver, Tls, echo, store
from rtqc.dicom.connections import IDLE_SECONDS, Connections
from rtqc.dicom.send import association
from tests.peers import wait_for

logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)

VERIFICATION, IMPLICIT = "1.2.840.10008.1.1", "1.2.840.10008.1.2"


@contextmanager
def receiving(folder: Path, tls: Tls | None = None, most: int = 2) -> Iterator[Receiver]:
    """A receiver with few places."""
    door = Door(port=0, callers=(Caller("TPS", "127.0.0.1"),), tls=tls, most_associations=most, least_free_bytes=0)
    running = Receiver(door, folder, lambda patient: patient or "none")
    running.start()
    try:
        yield running
    finally:
        running.stop()


def connected(receiver: Receiver) -> socket.socket:
    return socket.create_connection(("127.0.0.1", receiver.port), timeout=30)


def is_closed(connection: socket.socket) -> bool:
    """Whether the other side has closed it."""
    connection.settimeout(0.01)
    try:
        return connection.recv(1) == b""
    except TimeoutError:
        return False
    except OSError:
        return True


#: Beginnings of an association request of 60 kB, and of a TLS handshake.
_PLAIN, _TLS = b"\x01\x00\x00\x00\xea\x60", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"


@contextmanager
def dripping(receiver: Receiver, count: int) -> Iterator[None]:
    """Connections that begin as they should, and send a byte of the rest every now and then."""
    ended = threading.Event()
    with ExitStack() as stack:
        connections = [stack.enter_context(connected(receiver)) for _ in range(count)]

        def drip() -> None:
            for connection in connections:
                connection.sendall(_PLAIN if receiver.door.tls is None else _TLS)
            while not ended.wait(0.1):
                for connection in connections:
                    try:
                        connection.sendall(b"\0")
                    except OSError:
                        continue

        thread = threading.Thread(target=drip, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


@pytest.fixture(params=["plain", "tls"])
def tls(request: pytest.FixtureRequest, tmp_path: Path) -> Tls | None:
    """Certificates, or none."""
    if request.param == "plain":
        return None
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    found = Tls(tmp_path / "node.pem", tmp_path / "node.key", tmp_path / "ca.pem")
    authority.cert_pem.write_to_path(found.authority)
    issued.private_key_pem.write_to_path(found.key)
    issued.cert_chain_pems[0].write_to_path(found.certificate)
    return found


def test_forty_silent_and_twelve_dripping_connections_lock_nobody_out(
    tls: Tls | None, tmp_path: Path, clean_folder: Path
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    with receiving(folder, tls) as receiver, ExitStack() as stack:
        # None is closed by its deadline here: all of them are there while somebody sends.
        receiver._connections.request_seconds = 600
        for _ in range(40):
            stack.enter_context(connected(receiver))
        stack.enter_context(dripping(receiver, 12))
        wait_for(lambda: receiver._connections.counts() == (0, 52))
        assert store(Peer("RTQC", "127.0.0.1", receiver.port, "TPS", tls), [clean_folder / "RTPLAN.dcm"]) == {}
        assert len(list(folder.rglob("*.dcm"))) == 1
        assert receiver._connections.counts()[1] == 52


def test_no_byte_prolongs_the_deadline(tls: Tls | None, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with receiving(tmp_path, tls) as receiver, connected(receiver) as silent, dripping(receiver, 3):
        receiver._connections.request_seconds = 0.5
        wait_for(lambda: is_closed(silent))
        wait_for(lambda: receiver._connections.counts() == (0, 0))
        wait_for(lambda: not receiver._server.active_associations)
    assert "connections from 127.0.0.1 were closed: no association was asked for within 0.5 s" in caplog.text


def test_what_is_closed_is_let_go_at_once(tls: Tls | None, tmp_path: Path) -> None:
    with receiving(tmp_path, tls) as receiver:
        receiver._connections.request_seconds = 600
        for content in (
            b"",
            b"\x01\x00\x00",
            b"\x01\x00\x00\x00\x00\x80abc",
            b"GET / HTTP/1.1\r\n\r\n",
            b"\x16\x03\x01\x02\x00\x01",
        ):
            with connected(receiver) as connection:
                connection.sendall(content)
        wait_for(lambda: receiver._connections.counts() == (0, 0))
        wait_for(lambda: not receiver._server.active_associations)


def test_too_many_waiting_connections_make_way_oldest_first(tmp_path: Path) -> None:
    with receiving(tmp_path) as receiver, ExitStack() as stack:
        receiver._connections.request_seconds, receiver._connections.most_waiting = 600, 5
        connections = []
        for number in range(9):
            connections.append(stack.enter_context(connected(receiver)))
            wait_for(lambda number=number: receiver._connections.counts()[1] == min(number + 1, 5))
        wait_for(lambda: all(is_closed(c) for c in connections[:4]))
        assert not any(is_closed(c) for c in connections[4:])
        echo(Peer("RTQC", "127.0.0.1", receiver.port, "TPS"))


def test_when_every_place_is_taken_one_is_told_so_and_an_idle_one_makes_way(tmp_path: Path) -> None:
    with receiving(tmp_path, most=2) as receiver, ExitStack() as stack:
        peer = Peer("RTQC", "127.0.0.1", receiver.port, "TPS")
        first, second = (stack.enter_context(association(peer, [(VERIFICATION, IMPLICIT)])) for _ in range(2))
        with pytest.raises(PeerError, match="rejected the association"):
            echo(peer)
        assert first.send_c_echo().Status == second.send_c_echo().Status == 0
        connections = receiver._connections
        later = connections.clock() + IDLE_SECONDS + 1
        connections.clock = lambda: later
        # The second says something then; the first is silent.
        assert second.send_c_echo().Status == 0
        echo(peer)
        assert second.send_c_echo().Status == 0
        wait_for(lambda: not first.is_established)
        wait_for(lambda: connections.counts() == (1, 0))


class _Assoc(SimpleNamespace):
    """As much of pynetdicom's association as is asked for."""

    __hash__ = object.__hash__

    def __init__(self) -> None:
        super().__init__(dul=SimpleNamespace(socket=None, to_user_queue=SimpleNamespace(put=lambda _: None)), ident=None)

    def __eq__(self, other: object) -> bool:
        return self is other


def test_a_flood_from_one_address_pushes_out_its_own(tmp_path: Path) -> None:
    clock = iter(range(10_000))
    connections = Connections(10, most_waiting=8, clock=lambda: float(next(clock)))
    honest: Any = _Assoc()
    connections.opened(honest, "10.0.0.1")
    for _ in range(1000):
        connections.opened(_Assoc(), "10.0.0.66")
    assert honest in connections._open
    assert connections.accepted(honest)
    assert connections.counts() == (1, 7)
