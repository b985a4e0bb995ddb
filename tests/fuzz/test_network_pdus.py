"""Damaged and hostile bytes at the node's port: nobody else is disturbed, and what was kept are whole objects of our own naming.

Bytes are those of a real association (recorded), changed at random from a seed. ``RTQC_FUZZ_SECONDS`` and ``RTQC_FUZZ_SEED`` choose for how long and
which; what once broke something stands in ``SEEDS``.
"""

from __future__ import annotations

import logging
import os
import random
import socket
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest

from rtqc.core.file_names import uid_name
from rtqc.dicom import Door, Peer, Receiver, echo, store
from tests.peers import wait_for

logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)

SECONDS = float(os.environ.get("RTQC_FUZZ_SECONDS", "15"))
SEED = int(os.environ.get("RTQC_FUZZ_SEED", "1"))
#: Beginnings that a state machine may not expect, by hand.
SEEDS = (
    b"",
    b"\0" * 64,
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 500,
    struct.pack(">BBL", 1, 0, 0),
    struct.pack(">BBL", 1, 0, 0xFFFFFFFF),
    struct.pack(">BBL", 4, 0, 6) + b"\0\0\0\2\1\3",
    struct.pack(">BBL", 5, 0, 4) + b"\0" * 4,
    struct.pack(">BBL", 6, 0, 4) + b"\0" * 4,
    struct.pack(">BBL", 7, 0, 4) + b"\0" * 4,
    struct.pack(">BBL", 1, 0, 68) + b"\xff" * 68,
    struct.pack(">BBL", 2, 0, 68) + b"\0" * 68,
    struct.pack(">BBL", 3, 0, 4) + b"\0" * 4,
    *(struct.pack(">BBL", kind, 0, 1_000_000) + b"x" for kind in range(8)),
)


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    """A receiver that everybody may send to."""
    folder = tmp_path / "deep" / "incoming"
    folder.mkdir(parents=True)
    running = Receiver(Door(port=0, most_associations=4, least_free_bytes=0), folder, lambda p: f"p-{len(p)}")
    running.start()
    yield running
    running.stop()


def recorded(receiver: Receiver, file: Path) -> bytes:
    """What a client sends in one association, seen by a proxy."""
    seen = bytearray()
    with socket.create_server(("127.0.0.1", 0)) as proxy:

        def relay() -> None:
            client, _ = proxy.accept()
            with client, socket.create_connection(("127.0.0.1", receiver.port)) as server:

                def back() -> None:
                    while data := server.recv(65536):
                        client.sendall(data)

                threading.Thread(target=back, daemon=True).start()
                while data := client.recv(65536):
                    seen.extend(data)
                    server.sendall(data)

        thread = threading.Thread(target=relay, daemon=True)
        thread.start()
        assert store(Peer("RTQC", "127.0.0.1", proxy.getsockname()[1], "TPS"), [file]) == {}
        thread.join(10)
    return bytes(seen)


def pdus(stream: bytes) -> list[bytes]:
    """A stream's PDUs."""
    found = []
    while len(stream) >= 6:
        length = 6 + int(struct.unpack(">L", stream[2:6])[0])
        found.append(stream[:length])
        stream = stream[length:]
    return found


def changed(chance: random.Random, valid: list[bytes]) -> bytes:  # noqa: PLR0912
    """One of many ways to be wrong."""
    parts = [bytearray(p) for p in valid]
    for _ in range(chance.randint(1, 4)):
        part = chance.choice(parts)
        match chance.randrange(9):
            case 0:
                for _ in range(chance.randint(1, 20)):
                    part[chance.randrange(len(part))] = chance.randrange(256)
            case 1:
                # The head is where lengths, contexts and UIDs are.
                part[chance.randrange(min(len(part), 200))] = chance.choice((0, 1, 0x7F, 0xFF, 0x2F, 0x2E))
            case 2:
                part[2:6] = struct.pack(">L", chance.choice((0, 1, len(part) - 7, len(part) + 10, 1 << 20, (1 << 32) - 1)))
            case 3:
                del part[chance.randrange(1, len(part)) :]
            case 4:
                parts.insert(chance.randrange(len(parts) + 1), bytearray(chance.choice(valid)))
            case 5:
                chance.shuffle(parts)
            case 6:
                at = chance.randrange(len(part))
                part[at:at] = chance.randbytes(chance.randint(1, 300))
            case 7:
                part[0] = chance.randrange(10)
            case _:
                for old, new in ((b"1.2.", b"../."), (b"2.25", b"/../"), (b"P", b"\x1b")):
                    if old in part and chance.random() < 0.5:
                        at = part.index(old)
                        part[at : at + len(old)] = new
        parts = [p for p in parts if p] or [bytearray(b"\1")]
    return bytes(b"".join(parts))


def throw(receiver: Receiver, content: bytes) -> None:
    """Send bytes, and look at no answer."""
    with socket.create_connection(("127.0.0.1", receiver.port), timeout=10) as connection:
        try:
            connection.sendall(content)
            connection.settimeout(0.02)
            connection.recv(4096)
        except OSError:
            return


def test_damaged_bytes_disturb_nobody(
    receiver: Receiver, tmp_path: Path, clean_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    died: list[str] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: died.append(f"{args.exc_type.__name__}: {args.exc_value}"))
    file = clean_folder / "RTPLAN.dcm"
    valid = pdus(recorded(receiver, file))
    assert len(valid) >= 4
    chance = random.Random(SEED)
    deadline = time.monotonic() + SECONDS
    count = 0
    for content in SEEDS:
        throw(receiver, content)
    while time.monotonic() < deadline:
        throw(receiver, changed(chance, valid))
        count += 1
        if count % 50 == 0:
            echo(Peer("RTQC", "127.0.0.1", receiver.port, "TPS"))
    assert count > SECONDS
    # Honest senders are served, and nothing is left over of the others.
    assert store(Peer("RTQC", "127.0.0.1", receiver.port, "TPS"), [file]) == {}
    receiver._connections.request_seconds = 0.5
    wait_for(lambda: receiver._connections.counts()[1] == 0, 30)
    # pynetdicom's state machine ends a thread with an error of its own where a PDU comes that it does not expect: the connection is over, and no more.
    assert {d.partition(":")[0] for d in died} <= {"InvalidEventError", "AttributeError", "ValueError", "KeyError", "TypeError"}
    # Every file lies in a patient's folder under a UID, whole, and nothing lies anywhere else.
    files = [f for f in tmp_path.rglob("*") if f.is_file()]
    assert files
    for found in files:
        assert found.parent.parent == receiver.folder
        assert uid_name(found.name.removesuffix(".dcm"))
        assert pydicom.dcmread(found, force=True).file_meta is not None
    print(f"{count} damaged associations, seed {SEED}, {len(files)} objects kept, {len(died)} threads ended by an error")
