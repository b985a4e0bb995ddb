"""Exit statuses that an export script can obey: 1 means flagged and nothing else."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import absent

RTQC = [sys.executable, "-m", "rtqc"]


def _run(*arguments: object, **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [*RTQC, *map(str, arguments)], capture_output=True, check=False, env={**os.environ, **environment}, timeout=120
    )


def _with_reader_gone(*arguments: object) -> tuple[int, str]:
    """Status and stderr of a command whose output nobody reads any more."""
    read, write = os.pipe()
    os.close(read)
    with subprocess.Popen([*RTQC, *map(str, arguments)], stdout=write, stderr=subprocess.PIPE) as process:
        os.close(write)
        _, errors = process.communicate(timeout=120)
    return process.returncode, errors.decode(errors="replace")


@pytest.mark.parametrize(
    "command",
    [
        ("--help",),
        ("protocol", "list"),
        ("protocol", "show", "breast"),
        ("model", "list", "--json"),
        ("demo", "--error", "list"),
        ("check", "--help"),
    ],
)
@pytest.mark.skipif(os.name == "nt", reason="pipes of POSIX")
def test_a_closed_pipe_is_never_a_flag(command: tuple[str, ...]) -> None:
    status, errors = _with_reader_gone(*command)
    assert status == 2
    assert "Traceback" not in errors
    assert "BrokenPipe" not in errors


@pytest.mark.skipif(os.name == "nt", reason="pipes of POSIX")
def test_a_check_whose_reader_has_gone_is_never_a_flag_nor_a_pass(folder: Path) -> None:
    for also in ((), ("--json",)):
        status, errors = _with_reader_gone("check", folder, "--device", "cpu", *also)
        assert status == 2
        assert "Traceback" not in errors


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_an_interrupted_check_ends_with_130_and_leaves_nothing_half_written(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with subprocess.Popen(
        [*RTQC, "check", str(folder), "--device", "cpu", "--out", str(out)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        _wait_until_at_work(process)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=240)
    assert process.returncode == 130
    assert b"Traceback" not in errors
    assert b"stopped" in errors
    assert not out.exists() or not any(out.rglob("*.html"))


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_a_watcher_that_is_told_to_stop_has_ended_well_and_an_interrupted_one_has_not(
    tmp_path: Path, number: signal.Signals, status: int
) -> None:
    with subprocess.Popen([*RTQC, "watch", str(tmp_path), "--device", "cpu"], stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        first = process.stderr.readline()
        process.send_signal(number)
        process.communicate(timeout=240)
    assert first
    assert process.returncode == status


@pytest.mark.skipif(os.name == "nt", reason="shells of POSIX")
@pytest.mark.parametrize("lost", [">&-", "> /dev/full"])
@pytest.mark.parametrize("command", ["protocol list", "protocol show breast --json"])
def test_output_that_cannot_be_written_is_no_verdict_and_no_fault_of_the_program(command: str, lost: str) -> None:
    if "full" in lost and not Path("/dev/full").exists():
        absent("/dev/full")
    done = subprocess.run(
        f"{sys.executable} -m rtqc {command} {lost}", shell=True, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 2
    assert "could not be printed" in done.stderr
    assert "RTQC_DEBUG" not in done.stderr


def _wait_until_at_work(process: subprocess.Popen[bytes]) -> None:
    """Until the command's child has loaded the runtime of the model, so that the signal meets a case that is being checked."""
    import psutil

    if not Path(f"/proc/{process.pid}/maps").exists():
        absent("/proc")
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        for child in psutil.Process(process.pid).children(recursive=True):
            with contextlib.suppress(OSError):
                if "onnxruntime" in Path(f"/proc/{child.pid}/maps").read_text():
                    return
        time.sleep(0.01)
    pytest.fail("the command did not begin to draw")


@pytest.mark.parametrize("encoding", ["cp1252", "cp437", "ascii", "latin-1"])
def test_a_console_that_cannot_print_a_character_changes_no_status(folder: Path, encoding: str) -> None:
    (folder / "RTDOSE.dcm").unlink()
    done = _run("check", folder, "--device", "cpu", PYTHONIOENCODING=encoding, PYTHONUTF8="0")
    assert done.returncode == 1
    assert b"dose.absent" in done.stdout
    assert b"Traceback" not in done.stderr


def test_json_is_valid_whatever_the_code_page(folder: Path) -> None:
    done = _run("check", folder, "--device", "cpu", "--json", PYTHONIOENCODING="cp1252", PYTHONUTF8="0")
    assert done.returncode == 0
    done.stdout.decode("utf-8")
    assert json.loads(done.stdout)["verdict"] == "pass"
    utf8 = _run("check", folder, "--device", "cpu", "--json", PYTHONIOENCODING="utf-8")
    one, other = (json.loads(o.stdout) for o in (done, utf8))
    assert {k: v for k, v in one.items() if k != "run"} == {k: v for k, v in other.items() if k != "run"}


def test_wrong_options_are_2_with_a_message() -> None:
    for arguments in (("check", "/nonexistent"), ("chekc",), ("check", "--scope", "half", "."), ("protocol", "show", "brest")):
        done = _run(*arguments)
        assert done.returncode == 2
        assert done.stderr
        assert b"Traceback" not in done.stderr
