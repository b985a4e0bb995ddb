"""The node with Orthanc as its destination: plans in, results out, and nothing lost or done twice when it is killed."""

from __future__ import annotations

import json
import logging
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest

from rtqc.core.settings import SettingsError
from rtqc.defaults import DEFAULT_MODEL
from rtqc.dicom import Peer, PeerError, fingerprint, index_folder, is_complete, plan_cases, store
from rtqc.node import Destination, Inbox, Outbox, example_config, load_config
from rtqc.node.inbox import SETTLE_SECONDS
from rtqc.phantom import SyntheticPlan, write_plan
from rtqc.report import FILES
from tests.cli.run import rtqc
from tests.peers import Orthanc, free_port, listens, orthanc, wait_for

logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)


def settings(folder: Path, port: int, destinations: str, **more: object) -> Path:
    """A node's settings file."""
    lines = {"quiet_seconds": 6, "least_free_mib": 0, "device": '"cpu"', "threads": 1} | more
    text = f'state = "state"\nreports = "reports"\nport = {port}\n'
    text += "".join(f"{key} = {value}\n" for key, value in lines.items())
    text += f'[[callers]]\nae_title = "TPS"\naddress = "127.0.0.1"\n{destinations}'
    path = folder / "node.toml"
    path.write_text(text)
    return path


def to_orthanc(dicom: int, results: tuple[str, ...] = ("rtstruct", "sr")) -> str:
    return f'[[destinations]]\nname = "pacs"\nae_title = "ORTHANC"\nhost = "127.0.0.1"\nport = {dicom}\nresults = {json.dumps(list(results))}\n'


class Running:
    """A node as a process of its own."""

    def __init__(self, config: Path, port: int) -> None:
        self.config, self.port = config, port
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        log = (self.config.parent / "node.log").open("ab")
        self.process = subprocess.Popen([sys.executable, "-m", "rtqc", "node", str(self.config)], stdout=log, stderr=log)
        wait_for(lambda: listens(self.port), 60)

    def kill(self, how: signal.Signals = signal.SIGKILL) -> int:
        assert self.process is not None
        self.process.send_signal(how)
        return self.process.wait(timeout=240)

    @property
    def peer(self) -> Peer:
        return Peer("RTQC", "127.0.0.1", self.port, "TPS")

    @property
    def log(self) -> str:
        return (self.config.parent / "node.log").read_text()


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Orthanc]:
    with orthanc(tmp_path / "orthanc") as running:
        yield running


def test_a_plan_that_is_complete_is_checked_and_its_results_arrive(
    tmp_path: Path, archive: Orthanc, clean_folder: Path
) -> None:
    port = free_port()
    kinds = ("rtstruct", "seg", "sr")
    web = f'[[destinations]]\nname = "web"\nkind = "web"\nurl = "{archive.web}"\nresults = ["pdf"]\n'
    node = Running(settings(tmp_path, port, to_orthanc(archive.dicom, kinds) + web, quiet_seconds=600), port)
    node.start()
    try:
        assert store(node.peer, sorted(clean_folder.glob("*.dcm"))) == {}
        wait_for(lambda: len(archive.modalities()) == 4, 90)
        assert archive.modalities() == {"RTSTRUCT": 1, "SEG": 1, "SR": 1, "DOC": 1}
        report = next((tmp_path / "reports").glob("*/assessment.json"))
        assert json.loads(report.read_text())["verdict"] == "pass"
        assert (report.parent / "report.html").is_file()
        # The same plan once more is not checked again, and nothing is sent twice.
        assert store(node.peer, sorted(clean_folder.glob("*.dcm"))) == {}
        time.sleep(SETTLE_SECONDS + 3)
        assert archive.modalities() == {"RTSTRUCT": 1, "SEG": 1, "SR": 1, "DOC": 1}
        assert node.log.count("pass in") == 1
    finally:
        assert node.kill(signal.SIGTERM) == 0
    assert "Traceback" not in node.log


def test_a_plan_without_its_dose_is_checked_when_nothing_more_comes(
    tmp_path: Path, archive: Orthanc, clean_folder: Path
) -> None:
    port = free_port()
    node = Running(settings(tmp_path, port, to_orthanc(archive.dicom, ("sr",))), port)
    node.start()
    try:
        assert store(node.peer, [f for f in sorted(clean_folder.glob("*.dcm")) if f.name != "RTDOSE.dcm"]) == {}
        wait_for(lambda: archive.modalities() == {"SR": 1}, 60)
        report = json.loads(next((tmp_path / "reports").glob("*/assessment.json")).read_text())
        assert "dose.absent" in {f["rule"] for f in report["findings"]}
        # Its dose comes later: another case, checked at once.
        assert store(node.peer, [clean_folder / "RTDOSE.dcm"]) == {}
        wait_for(lambda: archive.modalities() == {"SR": 2}, 60)
    finally:
        node.kill(signal.SIGTERM)


@pytest.mark.parametrize("seed", [1, 2])
def test_killed_while_receiving_checking_and_sending_it_loses_nothing_and_does_nothing_twice(
    seed: int, tmp_path: Path, archive: Orthanc, clean_folder: Path
) -> None:
    """Ten times each, at moments that chance chooses."""
    chance = random.Random(seed)
    port = free_port()
    node = Running(settings(tmp_path, port, to_orthanc(archive.dicom), quiet_seconds=600), port)
    files = sorted(clean_folder.glob("*.dcm"))
    chance.shuffle(files)
    waiting = list(files)
    for _ in range(10):
        node.start()
        deadline = time.monotonic() + chance.uniform(0.05, 3.0)
        while waiting and time.monotonic() < deadline:
            part = waiting[: chance.randint(1, 20)]
            try:
                refused = store(node.peer, part)
            except PeerError:
                break
            waiting = [f for f in waiting if f not in part or f in refused]
        time.sleep(max(deadline - time.monotonic(), 0))
        node.kill()
    node.start()
    try:
        if waiting:
            assert store(node.peer, waiting) == {}
        wait_for(lambda: archive.modalities() == {"RTSTRUCT": 1, "SR": 1}, 90)
        wait_for(lambda: list((tmp_path / "state" / "sent").iterdir()), 30)
        time.sleep(2)
        assert archive.modalities() == {"RTSTRUCT": 1, "SR": 1}
        received = {
            pydicom.dcmread(f, stop_before_pixels=True).SOPInstanceUID for f in (tmp_path / "state" / "incoming").rglob("*.dcm")
        }
        assert received == {pydicom.dcmread(f, stop_before_pixels=True).SOPInstanceUID for f in files}
        assert list((tmp_path / "state").rglob("*.part")) == []
    finally:
        node.kill(signal.SIGTERM)


def test_killed_while_sending_everything_arrives_once(tmp_path: Path, archive: Orthanc, clean_folder: Path) -> None:
    """Two hundred cases wait; the node is killed ten times while it sends them, each time when it has sent some more."""
    port, count = free_port(), 200
    node = Running(settings(tmp_path, port, to_orthanc(archive.dicom, ("rtstruct",))), port)
    outbox = Outbox(tmp_path / "state", (), lambda *_: {})
    outbox.open()
    dataset = pydicom.dcmread(clean_folder / "RTSTRUCT.dcm")
    for number in range(count):
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{number}"
        with outbox.prepared(f"case{number:03d}") as folder:
            dataset.save_as(folder / FILES["rtstruct"])

    def sent() -> int:
        return len(list((tmp_path / "state" / "sent").iterdir()))

    for _ in range(10):
        before = sent()
        node.start()
        wait_for(lambda before=before: sent() > before, 60, pause=0.005)
        node.kill()
    # The last kill, too, fell before the last object.
    assert 10 <= sent() < count
    node.start()
    try:
        wait_for(lambda: sent() == count, 120)
        assert archive.modalities() == {"RTSTRUCT": count}
    finally:
        node.kill(signal.SIGTERM)


def test_a_destination_that_is_down_gets_its_results_when_it_is_up_again(tmp_path: Path, clean_folder: Path) -> None:
    port, dead = free_port(), free_port()
    node = Running(settings(tmp_path, port, to_orthanc(dead, ("sr",))), port)
    node.start()
    try:
        assert store(node.peer, sorted(clean_folder.glob("*.dcm"))) == {}
        wait_for(lambda: "again in" in node.log, 60)
        assert len(list((tmp_path / "state" / "outbox").iterdir())) == 1
    finally:
        node.kill()
    with orthanc(tmp_path / "orthanc") as archive:
        node.config = settings(tmp_path, port, to_orthanc(archive.dicom, ("sr",)))
        node.start()
        try:
            wait_for(lambda: archive.modalities() == {"SR": 1}, 60)
            assert node.log.count("pass in") == 1
        finally:
            node.kill(signal.SIGTERM)


def prepared(outbox: Outbox, name: str) -> None:
    outbox.open()
    with outbox.prepared(name) as folder:
        for file in FILES.values():
            (folder / file).write_bytes(b"x")


def test_the_outbox_waits_longer_each_time_and_marks_what_was_taken(tmp_path: Path) -> None:
    destination = Destination(name="pacs", ae_title="A", host="h", results=("rtstruct", "sr", "pdf"))
    calls: list[list[str]] = []
    answers: list[object] = [PeerError("down"), PeerError("down"), "refuse", {}]

    def send(to: Destination, files: list[Path]) -> dict[Path, str]:
        calls.append([f.name for f in files])
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return {files[-1]: "status 0122"} if answer == "refuse" else {}

    outbox = Outbox(tmp_path, (destination,), send)
    prepared(outbox, "case")
    assert outbox.knows("case")
    assert not outbox.knows("other")
    assert outbox.send_due(1000.0) == 0
    assert outbox.send_due(1001.0) == 0
    assert len(calls) == 1
    assert outbox.send_due(1002.5) == 0
    assert len(calls) == 2
    assert outbox.send_due(1005.0) == 0
    assert len(calls) == 2
    # What was refused for good is not sent for ever; what was taken is marked; the case is done.
    assert outbox.send_due(1007.0) == 2
    assert (tmp_path / "sent" / "case" / "taken" / "pacs" / "report_pdf.dcm.refused").read_text() == "status 0122"
    assert outbox.knows("case")
    assert outbox.send_due(2000.0) == 0
    assert len(calls) == 3


def test_what_nobody_takes_is_laid_aside_and_what_was_sent_is_forgotten(tmp_path: Path) -> None:
    def refuse(to: Destination, files: list[Path]) -> dict[Path, str]:
        raise PeerError("down")

    outbox = Outbox(tmp_path, (Destination(name="pacs", ae_title="A", host="h"),), refuse)
    prepared(outbox, "old")
    os.utime(tmp_path / "outbox" / "old", (0, 0))
    outbox.give_up(7)
    # Not by a node that has only begun: its clock may be wrong.
    assert outbox.knows("old")
    assert list((tmp_path / "failed").iterdir()) == []
    outbox._opened_at -= 7200
    outbox.give_up(7)
    assert [f.name for f in (tmp_path / "failed").iterdir()] == ["old"]
    assert outbox.knows("old")
    (tmp_path / "failed" / "old").rename(tmp_path / "sent" / "old")
    outbox.forget(7)
    assert list((tmp_path / "sent").iterdir()) == []


def test_a_case_that_was_being_prepared_is_prepared_again(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path, (), lambda *_: {})
    outbox.open()

    def fail() -> None:
        with outbox.prepared("case") as folder:
            (folder / "half").write_text("x")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert not outbox.knows("case")
    outbox.open()
    assert list((tmp_path / "preparing").iterdir()) == []


def test_a_folder_is_due_when_it_settled_and_again_when_it_is_quiet(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path / "in", 100.0)
    inbox.open()
    folder = tmp_path / "in" / "p"
    inbox.touched(folder)
    now = time.monotonic()
    assert inbox.due(now) == []
    assert inbox.due(now + SETTLE_SECONDS + 0.1) == [(folder, False)]
    assert inbox.due(now + 50) == []
    assert inbox.due(now + 101) == [(folder, True)]
    assert inbox.due(now + 500) == []


def test_a_plan_is_complete_when_all_it_refers_to_is_there(folder: Path, clean_plan: SyntheticPlan) -> None:
    def parts():  # type: ignore[no-untyped-def]
        return plan_cases(index_folder(folder))[0]

    whole = fingerprint(parts())
    assert is_complete(parts())
    for name in ("RTDOSE.dcm", "RTPLAN.dcm", "RTSTRUCT.dcm", "CT.050.dcm"):
        content = (folder / name).read_bytes()
        (folder / name).unlink()
        assert not is_complete(parts()), name
        assert fingerprint(parts()) != whole
        (folder / name).write_bytes(content)
    assert fingerprint(parts()) == whole
    other = write_plan(clean_plan.with_study(key="another"), folder / "another")
    assert fingerprint(plan_cases(index_folder(other))[0]) != whole


def test_settings_are_checked_and_the_example_is_good(tmp_path: Path) -> None:
    path = tmp_path / "node.toml"
    path.write_text(example_config())
    config = load_config(path)
    assert config.state == tmp_path / "rtqc-node"
    assert config.destinations[0].name == "pacs"
    assert (config.protocol, config.model) == (None, DEFAULT_MODEL)
    (tmp_path / "mine.toml").write_text('extends = "breast"\nname = "mine"\n')
    path.write_text('state = "x"\nanybody = true\nprotocol = "mine.toml"\n')
    assert load_config(path).protocol == str(tmp_path / "mine.toml")
    assert rtqc("node", "--example").out == example_config()
    for text, words in (
        ('stat = "x"\n', "did you mean 'state'"),
        ('state = "x"\n', "name the [[callers]] that may send, or say anybody = true"),
        ('state = "x"\nanybody = true\n[[destinations]]\nname = "a"\n', "needs ae_title and host"),
        ('state = "x"\nanybody = true\n[[destinations]]\nname = "a"\nkind = "web"\nurl = "pacs"\n', "needs the url"),
        ('state = "x"\nanybody = true\n[[destinations]]\nname = "a"\nae_titel = "A"\nhost = "h"\n', "did you mean 'ae_title'"),
        ('state = "x"\nanybody = true\nport = 99999\n', "'port'"),
        ('state = "x"\nanybody = true\n[[destinations]]\nname = "a"\nae_title = "A"\nhost = "h"\ntls = true\n', "no [tls]"),
        ("not toml", "not valid TOML"),
    ):
        path.write_text(text)
        with pytest.raises(SettingsError) as caught:
            load_config(path)
        assert words in str(caught.value)
    outcome = rtqc("node", path)
    assert outcome.status == 2
    assert "not valid TOML" in outcome.err
    assert rtqc("node").status == 2


def test_a_port_that_is_taken_is_said(tmp_path: Path) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        outcome = rtqc("node", settings(tmp_path, port, ""))
    assert outcome.status == 2
    assert f"port {port}" in outcome.err
    assert "is another node running?" in outcome.err
