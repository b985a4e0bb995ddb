"""A watched folder: each export is checked once and moved away, whoever watches and whenever it dies."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from rtqc.node import Watcher
from rtqc.pipeline import Options
from tests.cli.run import rtqc
from tests.peers import wait_for

QUICK = Options(device="cpu", second_check=False)


def watcher(folder: Path, **more: object) -> Watcher:
    return Watcher(folder, options=QUICK, quiet_seconds=100.0, settle_seconds=2.0, dicom=False, **more)  # type: ignore[arg-type]


def export(source: Path, target: Path) -> Path:
    shutil.copytree(source, target)
    return target


def test_a_complete_export_is_checked_once_and_moved_to_done(tmp_path: Path, clean_folder: Path) -> None:
    export(clean_folder, tmp_path / "EXPORT-1")
    watching = watcher(tmp_path)
    assert watching.look(1000.0) == []
    assert watching.look(1001.0) == []
    assert watching.look(1002.5) == [tmp_path / "done" / "EXPORT-1"]
    assert watching.look(1010.0) == []
    assert watching.look(2000.0) == []
    result = json.loads((tmp_path / "results" / "EXPORT-1" / "assessment.json").read_text())
    assert result["verdict"] == "pass"
    assert len(list((tmp_path / "done" / "EXPORT-1").glob("*.dcm"))) == len(list(clean_folder.glob("*.dcm")))
    # A second export of the same name loses nothing of the first.
    export(clean_folder, tmp_path / "EXPORT-1")
    watching.look(3000.0)
    assert watching.look(3003.0) == [tmp_path / "done" / "EXPORT-1-2"]


def test_an_export_that_still_grows_is_left_alone(tmp_path: Path, clean_folder: Path) -> None:
    files = sorted(clean_folder.glob("*.dcm"))
    (tmp_path / "E").mkdir()
    watching = watcher(tmp_path)
    now = 1000.0
    for file in files[:5]:
        shutil.copy(file, tmp_path / "E" / file.name)
        assert watching.look(now) == []
        now += 1.9
    # Settled, but not complete: only quiet will do.
    assert watching.look(now + 50) == []
    assert watching.look(now + 99) == [tmp_path / "failed" / "E"]
    result = json.loads((tmp_path / "results" / "E" / "assessment.json").read_text())
    assert result["verdict"] == "error"


def test_loose_files_are_taken_together_and_rubbish_goes_to_failed(tmp_path: Path, clean_folder: Path) -> None:
    for file in clean_folder.glob("*.dcm"):
        shutil.copy(file, tmp_path / file.name)
    (tmp_path / "rubbish").mkdir()
    (tmp_path / "rubbish" / "notes.txt").write_text("no DICOM")
    watching = watcher(tmp_path)
    watching.look(1000.0)
    went = sorted(p.parent.name for p in watching.look(1101.0))
    assert went == ["done", "failed"]
    assert [f for f in tmp_path.iterdir() if f.is_file()] == []


def test_two_watchers_never_check_one_export_twice(tmp_path: Path, clean_folder: Path) -> None:
    for k in range(3):
        export(clean_folder, tmp_path / f"E{k}")
    first, second = watcher(tmp_path), watcher(tmp_path)
    for watching in (first, second):
        watching.look(1000.0)
    went = first.look(1003.0) + second.look(1003.0)
    assert sorted(p.name for p in went) == ["E0", "E1", "E2"]


def test_one_that_was_killed_goes_on_with_what_it_had_claimed(tmp_path: Path, clean_folder: Path) -> None:
    export(clean_folder, tmp_path / "in" / "E")
    command = [
        sys.executable, "-m", "rtqc", "watch", str(tmp_path / "in"), "--settle-seconds", "0.5", "--no-dicom", "--device", "cpu",
        "--out", str(tmp_path / "out"),
    ]  # fmt: skip
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, stderr=log, stdout=log)
        wait_for(lambda: list((tmp_path / "in" / "working").rglob("E")), 60)
        process.kill()
        process.wait()
        assert not (tmp_path / "in" / "E").exists()
        process = subprocess.Popen(command, stderr=log, stdout=log)
        try:
            wait_for((tmp_path / "in" / "done" / "E").exists, 60)
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=240) == 0
    assert json.loads((tmp_path / "out" / "E" / "assessment.json").read_text())["verdict"] == "pass"
    assert "Traceback" not in (tmp_path / "log").read_text()


def test_what_is_not_a_folder_or_cannot_be_written_is_said(tmp_path: Path, clean_folder: Path) -> None:
    outcome = rtqc("watch", clean_folder / "RTPLAN.dcm")
    assert outcome.status == 2
    assert "is not a folder" in outcome.err
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    (tmp_path / "locked").mkdir(mode=0o500)
    outcome = rtqc("watch", tmp_path / "locked")
    assert outcome.status == 2
    assert "Permission denied" in outcome.err


def test_a_file_that_is_written_slowly_is_not_taken_half(tmp_path: Path, clean_folder: Path) -> None:
    folder = export(clean_folder, tmp_path / "E")
    content = (folder / "RTDOSE.dcm").read_bytes()
    watching = watcher(tmp_path)
    for share in (0.3, 0.6, 1.0):
        (folder / "RTDOSE.dcm").write_bytes(content[: int(len(content) * share)])
        now = 1000.0 + 10 * share
        assert watching.look(now) == []
        assert watching.look(now + 1.0) == []
    assert watching.look(1100.0) == [tmp_path / "done" / "E"]
