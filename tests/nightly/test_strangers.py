"""Whoever else is on the machine or the network cannot give a night's workers anything to do."""

from __future__ import annotations

import re
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import trustme
from distributed import Client
from distributed.security import Security

from rtqc.nightly import ClusterError, ClusterTls, Crew
from rtqc.nightly.engine import hired
from tests.cli.run import rtqc
from tests.peers import wait_for

#: A night's workers in a process of their own, which does one task, says so and waits.
_NIGHT = """
import operator
from rtqc.nightly.engine import Crew, hired
with hired(Crew(2)) as team:
    print(team.client.submit(operator.add, 40, 2).result(), flush=True)
    input()
"""


@pytest.fixture(scope="module")
def night() -> Iterator[psutil.Process]:
    """Running workers."""
    process = subprocess.Popen([sys.executable, "-c", _NIGHT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "42\n"
    yield psutil.Process(process.pid)
    process.communicate("\n", timeout=240)


def listening(root: psutil.Process) -> list[tuple[str, int]]:
    """Where a process and all below it listen."""
    found = []
    for process in (root, *root.children(recursive=True)):
        found += [tuple(c.laddr) for c in process.net_connections("inet") if c.status == psutil.CONN_LISTEN]
    return found


def test_nothing_listens_on_other_addresses_or_without_tls(night: psutil.Process) -> None:
    found = listening(night)
    # The scheduler, and for each of two workers itself and what restarts it.
    assert len(found) == 5
    for host, port in found:
        assert host == "127.0.0.1"
        # Somebody who speaks HTTP, or dask without TLS, gets nothing.
        with socket.create_connection((host, port), timeout=10) as plain:
            plain.sendall(b"GET /json/counts.json HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b"HTTP" not in received(plain)
        # Somebody who speaks TLS without a certificate is turned away.
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with pytest.raises((ssl.SSLError, ConnectionError)):
            answer(context, host, port)


def answer(context: ssl.SSLContext, host: str, port: int) -> bytes:
    """What an encrypted question is answered; an error where nothing is."""
    with socket.create_connection((host, port), timeout=10) as raw, context.wrap_socket(raw) as encrypted:
        encrypted.sendall(b"GET / HTTP/1.1\r\n\r\n")
        got = encrypted.recv(100)
    if not got:
        raise ConnectionResetError
    return got


def received(connection: socket.socket) -> bytes:
    try:
        return connection.recv(1000)
    except ConnectionError:
        return b""


def test_a_stranger_with_dask_is_refused(night: psutil.Process) -> None:
    for host, port in listening(night):
        for address, security in (
            (f"tcp://{host}:{port}", None),
            (f"tls://{host}:{port}", Security.temporary()),
        ):
            with pytest.raises((OSError, TimeoutError, RuntimeError)):
                Client(address, timeout="1s", security=security, set_as_default=False)


@dataclass
class Certificates:
    """Of a clinic's authority."""

    folder: Path
    authority: Path
    certificate: Path
    key: Path


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    found = Certificates(tmp_path, tmp_path / "ca.pem", tmp_path / "node.pem", tmp_path / "node.key")
    authority.cert_pem.write_to_path(found.authority)
    issued.private_key_pem.write_to_path(found.key)
    issued.cert_chain_pems[0].write_to_path(found.certificate)
    return found


@contextmanager
def scheduler(certificates: Certificates) -> Iterator[str]:
    """A dask scheduler with TLS and one worker, as a clinic would run them."""
    tls = ["--tls-ca-file", certificates.authority, "--tls-cert", certificates.certificate, "--tls-key", certificates.key]
    log = certificates.folder / "dask.log"
    programs = []
    with log.open("w") as file:

        def start(*command: object) -> None:
            words = [sys.executable, "-m", *map(str, (*command, *tls)), "--no-dashboard"]
            programs.append(subprocess.Popen(words, stdout=file, stderr=file, cwd=certificates.folder))

        found: list[str] = []

        def address() -> bool:
            found[:] = re.findall(r"tls://127\.0\.0\.1:\d+", log.read_text())
            return bool(found)

        try:
            start("distributed.cli.dask_scheduler", "--port", "0", "--host", "127.0.0.1", "--protocol", "tls")
            wait_for(address, 60)
            start("distributed.cli.dask_worker", found[0], "--nthreads", "1")
            yield found[0]
        finally:
            for program in reversed(programs):
                program.terminate()
            for program in programs:
                program.wait(30)


def test_a_cluster_with_certificates_works_for_those_who_have_one(certificates: Certificates) -> None:
    ours = ClusterTls(certificates.certificate, certificates.key, certificates.authority)
    with scheduler(certificates) as address:
        with hired(Crew(cluster=address, tls=ours)) as team:
            assert team.client.submit(sum, (1, 2)).result() == 3
        with pytest.raises(ClusterError, match="wants certificates"), hired(Crew(cluster=address)):
            pass
        plain = Crew(cluster=address.replace("tls", "tcp"))
        with pytest.raises(ClusterError, match="no dask scheduler answers"), hired(plain):
            pass


def test_an_open_cluster_is_warned_of_and_certificates_need_an_encrypted_one(certificates: Certificates) -> None:
    folder = certificates.folder
    (folder / "archive").mkdir()
    night = ("nightly", folder / "archive", "--out", folder / "out")
    three = (
        "--cluster-certificate", certificates.certificate, "--cluster-key", certificates.key, "--cluster-authority", certificates.authority,
    )  # fmt: skip
    assert "on a trusted network only" in rtqc(*night, "--cluster", "tcp://127.0.0.1:1").err
    assert "trusted network" not in rtqc(*night, "--cluster", "tls://127.0.0.1:1", *three).err
    for options, words in (
        (three, "belong to a --cluster tls://host:port"),
        (("--cluster", "tls://127.0.0.1:1", *three[:2]), "needs all of"),
        (("--workers", 1, "--cluster", "tls://127.0.0.1:1"), "not both"),
    ):
        outcome = rtqc(*night, *options)
        assert outcome.status == 2
        assert words in outcome.err
    plain = Crew(cluster="tcp://127.0.0.1:1", tls=ClusterTls(folder, folder, folder))
    with pytest.raises(ClusterError, match="is not encrypted"), hired(plain):
        pass
