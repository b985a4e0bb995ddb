"""DICOM programs that we did not write, started on loopback for a test and ended with it."""

from __future__ import annotations

import json
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.conftest import absent, tool


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


#: Tests run side by side, on machines that have other things to do as well.
_PATIENCE = 4.0


def wait_for(what: object, seconds: float = 30.0, pause: float = 0.1) -> Any:
    """Call until the result is true; fails after a time, which is four times as long as an idle machine could need."""
    seconds *= _PATIENCE
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        result = what()  # type: ignore[operator]
        if result:
            return result
        time.sleep(pause)
    raise AssertionError(f"waited {seconds:g} s in vain")


def listens(port: int) -> bool:
    """Whether somebody listens there."""
    with socket.socket() as s:
        s.settimeout(0.5)
        return s.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def running(command: list[object], port: int, cwd: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A program that listens on a port."""
    with (cwd / "peer.log").open("wb") as log:
        process = subprocess.Popen([str(c) for c in command], cwd=cwd, stdout=log, stderr=log)
        try:
            wait_for(lambda: listens(port))
            yield process
        finally:
            process.terminate()
            try:
                process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@dataclass(frozen=True)
class Orthanc:
    """A running Orthanc.

    Attributes:
        dicom, http: its ports.
    """

    dicom: int
    http: int

    @property
    def web(self) -> str:
        """Its DICOMweb service."""
        return f"http://127.0.0.1:{self.http}/dicom-web"

    def ask(self, path: str) -> Any:
        """Its REST answer."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http}{path}") as answer:
            return json.loads(answer.read())

    def modalities(self) -> dict[str, int]:
        """Instances by modality."""
        counts: dict[str, int] = {}
        for series in self.ask("/series"):
            about = self.ask(f"/series/{series}")
            modality = about["MainDicomTags"]["Modality"]
            counts[modality] = counts.get(modality, 0) + len(about["Instances"])
        return counts


@contextmanager
def orthanc(folder: Path, aliases: dict[str, tuple[str, int]] | None = None) -> Iterator[Orthanc]:
    """An Orthanc with its DICOMweb plugin that knows some AE titles (title -> address and port)."""
    program = tool("Orthanc")
    plugin = next((p for p in ("/usr/share/orthanc/plugins/libOrthancDicomWeb.so",) if Path(p).exists()), None)
    if plugin is None:
        absent("Orthanc's DICOMweb plugin")
    dicom, http = free_port(), free_port()
    folder.mkdir(parents=True, exist_ok=True)
    settings = {
        "Name": "test", "StorageDirectory": str(folder / "db"), "IndexDirectory": str(folder / "db"),
        "DicomAet": "ORTHANC", "DicomPort": dicom, "HttpPort": http, "RemoteAccessAllowed": False, "AuthenticationEnabled": False,
        "Plugins": [plugin], "DicomAlwaysAllowGet": True, "DicomAlwaysAllowFind": True, "DicomAlwaysAllowMove": True, "DicomAlwaysAllowStore": True,
        "DicomModalities": {a: [a, host, port] for a, (host, port) in (aliases or {}).items()},
    }  # fmt: skip
    (folder / "orthanc.json").write_text(json.dumps(settings))
    with running([program, folder / "orthanc.json"], http, folder):
        wait_for(lambda: listens(dicom))
        yield Orthanc(dicom, http)
