"""What was acknowledged is checked and sent, whatever disk, clock, neighbours and destinations do meanwhile."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pydicom
import pytest

from rtqc.dicom import Door, Peer, PeerError, Receiver, echo
from rtqc.node import Destination, Inbox, Node, NodeBusyError, NodeConfig, Outbox
from rtqc.node.inbox import SETTLE_SECONDS
from rtqc.report import FILES
from tests.boxes import write_box
from tests.cli.run import rtqc
from tests.peers import free_port, wait_for

logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)

_DAY = 86_400.0


def config(folder: Path, **more: object) -> NodeConfig:
    settings: dict[str, object] = {
        "state": folder / "state",
        "anybody": True,
        "port": 0,
        "quiet_seconds": 0.01,
        "device": "cpu",
    }
    return NodeConfig(**(settings | {"least_free_mib": 0} | more))  # type: ignore[arg-type]


@contextmanager
def opened(settings: NodeConfig) -> Iterator[Node]:
    """A node that is not running: its inbox is filled by hand."""
    node = Node(settings)
    node.inbox.open()
    node.outbox.open()
    try:
        yield node
    finally:
        node.checker.close()


@contextmanager
def running(node: Node) -> Iterator[Node]:
    """A node that runs in a thread."""
    failed: list[BaseException] = []

    def run() -> None:
        try:
            node.run()
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    wait_for(lambda: node.receiver._server is not None or bool(failed), 30)
    try:
        yield node
    finally:
        node.ended.set()
        thread.join(60)
    assert failed == []


def received(node: Node, plan: Path) -> Path:
    """As the receiver does."""
    folder = node.inbox.folder / Inbox.folder_name("P1")
    shutil.copytree(plan, folder)
    node.inbox.touched(folder)
    return folder


def cases(node: Node) -> int:
    return len(node.outbox.waiting())


def test_a_plan_that_could_not_be_checked_for_want_of_disk_is_checked_by_itself_afterwards(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="rtqc.node")
    with opened(config(tmp_path)) as node:
        folder = received(node, write_box(tmp_path / "plan"))
        # Nothing can be written where results are prepared, for longer than the quiet time.
        preparing = tmp_path / "state" / "preparing"
        preparing.rmdir()
        preparing.write_bytes(b"")
        time.sleep(0.05)
        for _ in range(3):
            node.check_due()
            assert cases(node) == 0
            assert not node.inbox.is_checked(folder)
            # It is not tried all the time, but again.
            assert node.inbox.due() == []
            again = node.inbox._again[folder]
            assert 0 < again.at - time.monotonic() <= 600
            again.at = 0.0
        assert "will be looked at again in 60 s" in caplog.text
        preparing.unlink()
        preparing.mkdir()
        node.check_due()
        assert cases(node) == 1
        assert node.inbox.is_checked(folder)
        assert node.inbox.due(time.monotonic() + 10_000) == []


def test_a_check_whose_process_is_killed_is_done_again_and_not_for_ever(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with opened(config(tmp_path)) as node:
        folder = received(node, write_box(tmp_path / "plan"))
        time.sleep(0.05)
        checker = node.checker

        def kill() -> None:
            wait_for(lambda: checker._process is not None and checker._process.is_alive(), 30)
            checker._process.kill()

        for number in range(3):
            killer = threading.Thread(target=kill)
            killer.start()
            node.check_due()
            killer.join()
            assert caplog.text.count("is gone: it was ended by SIGKILL") == number + 1
            if number < 2:
                node.inbox._again[folder].at = 0.0
        # Three times are enough: it waits for something new.
        assert "could not be checked 3 times" in caplog.text
        assert node.inbox.due(time.monotonic() + 10_000) == []
        node.inbox.touched(folder)
        time.sleep(0.05)
        node.check_due()
        assert cases(node) == 1


_ORPHAN = """
import sys, os, signal, threading
from pathlib import Path
from rtqc.node import NodeConfig
from rtqc.node.child import CheckerProcess
if __name__ == "__main__":
    state = Path(sys.argv[1])
    state.mkdir()
    checker = CheckerProcess(NodeConfig(state=state, anybody=True, device="cpu"), threading.Event())
    checker._start()
    print(checker._process.pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(os.name == "nt", reason="needs SIGKILL")
def test_a_node_that_is_killed_leaves_no_process_behind(tmp_path: Path) -> None:
    (tmp_path / "node.py").write_text(_ORPHAN)
    done = subprocess.run(
        [sys.executable, tmp_path / "node.py", tmp_path / "state"], stdout=subprocess.PIPE, text=True, check=False
    )
    assert done.returncode == -signal.SIGKILL
    wait_for(lambda: not psutil.pid_exists(int(done.stdout)), 60)


def test_two_nodes_on_one_state_folder(tmp_path: Path) -> None:
    with running(Node(config(tmp_path))) as node:
        with pytest.raises(NodeBusyError, match="another rtqc node works in"):
            Node(config(tmp_path)).run()
        (tmp_path / "node.toml").write_text(f'state = "state"\nanybody = true\nport = {free_port()}\n')
        outcome = rtqc("node", tmp_path / "node.toml")
        assert outcome.status == 2
        assert f"another rtqc node works in {tmp_path / 'state'}: stop it" in outcome.err
        # The first goes on.
        echo(Peer("RTQC", "127.0.0.1", node.receiver.port))
    with running(Node(config(tmp_path))):
        pass


def filled(outbox: Outbox, count: int, source: Path) -> None:
    """Cases that wait."""
    outbox.open()
    dataset = pydicom.dcmread(source)
    for number in range(count):
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{number}"
        with outbox.prepared(f"case{number}") as folder:
            dataset.save_as(folder / FILES["rtstruct"])


@contextmanager
def dripping() -> Iterator[int]:
    """A destination that accepts connections and sends a byte now and then; its port."""
    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)

        def serve() -> None:
            open_ones: list[socket.socket] = []
            while not ended.wait(0.1):
                with contextlib.suppress(TimeoutError):
                    open_ones.append(server.accept()[0])
                for connection in open_ones:
                    try:
                        connection.sendall(b"\2")
                    except OSError:
                        continue
            for connection in open_ones:
                connection.close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        ended.set()
        thread.join()


def test_a_destination_that_drips_keeps_no_other_waiting(tmp_path: Path, clean_folder: Path) -> None:
    archive = Receiver(Door("PACS", port=0, least_free_bytes=0), tmp_path / "pacs", lambda _: "all")
    (tmp_path / "pacs").mkdir()
    archive.start()
    with dripping() as port:
        slow = Destination(name="aaa", ae_title="SLOW", host="127.0.0.1", port=port, results=("rtstruct",))
        good = Destination(name="good", ae_title="PACS", host="127.0.0.1", port=archive.port, results=("rtstruct",))
        node = Node(config(tmp_path, destinations=(slow, good)))
        filled(node.outbox, 12, clean_folder / "RTSTRUCT.dcm")
        with running(node):
            wait_for(lambda: len(list((tmp_path / "pacs").rglob("*.dcm"))) == 12, 30)
            # The slow one has answered nothing yet, and still has everything to get.
            assert cases(node) == 12
            assert list((tmp_path / "state" / "outbox").glob("*/taken/aaa/*")) == []
    archive.stop()


def test_a_case_that_a_destination_cannot_bear_keeps_no_other_from_it(tmp_path: Path, clean_folder: Path) -> None:
    sent: list[str] = []

    def send(to: Destination, files: list[Path]) -> dict[Path, str]:
        if files[0].parent.name == "case0":
            raise PeerError("the association was aborted")
        sent.append(files[0].parent.name)
        return {}

    outbox = Outbox(tmp_path, (Destination(name="pacs", ae_title="A", host="h", results=("rtstruct",)),), send)
    filled(outbox, 4, clean_folder / "RTSTRUCT.dcm")
    assert outbox.send_due(1000.0) == 0
    assert outbox.send_due(1001.0) == 0
    assert outbox.send_due(1003.0) == 3
    assert sorted(sent) == ["case1", "case2", "case3"]
    assert [f.name for f in outbox.waiting()] == ["case0"]


def eight_days_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + 8 * _DAY)


def test_a_clock_that_is_set_while_the_node_runs_makes_nothing_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inbox, outbox = Inbox(tmp_path / "incoming", 100.0), Outbox(tmp_path, (), lambda *_: {})
    inbox.open()
    outbox.open()
    for name in ("P1", "P2"):
        (inbox.folder / name).mkdir()
        (inbox.folder / name / "1.dcm").write_bytes(b"x")
        inbox.touched(inbox.folder / name)
    inbox.checked(inbox.folder / "P2", inbox.contents(inbox.folder / "P2"))
    for place in ("sent", "outbox"):
        (tmp_path / place / f"case-{place}").mkdir()
    before = set(tmp_path.rglob("*"))
    eight_days_ahead(monkeypatch)
    outbox._opened_at -= 7200
    outbox._wall -= 7200
    inbox.forget(7)
    outbox.forget(7)
    outbox.give_up(7)
    assert set(tmp_path.rglob("*")) == before
    # Neither is anything quiet before its time.
    assert [quiet for _, quiet in inbox.due(time.monotonic() + SETTLE_SECONDS + 1)] == [False, False]


def test_a_node_that_starts_with_a_wrong_clock_keeps_what_was_not_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    first = Inbox(tmp_path / "incoming", 100.0)
    first.open()
    names = ("new", "checked", "changed")
    for name in names:
        (first.folder / name).mkdir()
        (first.folder / name / "1.dcm").write_bytes(b"x")
    for name in names[1:]:
        first.checked(first.folder / name, first.contents(first.folder / name))
    (first.folder / "changed" / "2.dcm").write_bytes(b"came after the check")
    eight_days_ahead(monkeypatch)
    inbox = Inbox(tmp_path / "incoming", 100.0)
    inbox.open()
    assert sorted(folder.name for folder, quiet in inbox.due() if quiet) == ["changed", "new"]
    inbox.forget(7)
    assert sorted(f.name for f in inbox.folder.iterdir()) == ["changed", "new"]
    assert caplog.text.count("was never checked: it is kept") == 2
    # And one whose files are from the future.
    os.utime(inbox.folder / "new" / "1.dcm", (time.time() + 30 * _DAY,) * 2)
    again = Inbox(tmp_path / "incoming", 0.0)
    again.open()
    assert inbox.folder / "new" in [folder for folder, _ in again.due(time.monotonic() + 1)]


def test_what_comes_in_the_moment_of_deleting_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inbox = Inbox(tmp_path / "incoming", 100.0)
    inbox.open()
    folder = inbox.folder / "P1"
    folder.mkdir()
    (folder / "1.dcm").write_bytes(b"x")
    inbox.touched(folder)
    inbox.checked(folder, inbox.contents(folder))
    rename = Path.rename

    def slow_rename(self: Path, target: Path) -> Path:
        if self == folder:
            (folder / "2.dcm").write_bytes(b"acknowledged")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", slow_rename)
    inbox.forget(-1)
    assert sorted(f.name for f in folder.iterdir()) == ["1.dcm", "2.dcm"]
    monkeypatch.undo()
    inbox.checked(folder, inbox.contents(folder))
    inbox.forget(-1)
    assert not folder.exists()
    assert list((tmp_path / "forgotten").iterdir()) == []


def test_what_a_killed_node_was_deleting_is_looked_at_again(tmp_path: Path) -> None:
    aside = tmp_path / "forgotten" / "P1"
    aside.mkdir(parents=True)
    (aside / "1.dcm").write_bytes(b"x")
    inbox = Inbox(tmp_path / "incoming", 100.0)
    inbox.open()
    assert [folder.name for folder, _ in inbox.due(time.monotonic() + 200)] == ["P1"]
    assert (inbox.folder / "P1" / "1.dcm").read_bytes() == b"x"


def test_a_checker_that_died_between_two_checks_is_started_again(tmp_path: Path) -> None:
    with opened(config(tmp_path)) as node:
        node.checker._start()
        node.checker._process.kill()
        node.checker._process.join()
        folder = received(node, write_box(tmp_path / "plan"))
        assert node.checker.check(folder, True) is not None
