"""Archives that answer with names of files elsewhere: nothing is written there, and the user is told."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE, build_role, evt
from pynetdicom.sop_class import RTPlanStorage  # type: ignore[attr-defined]

from rtqc.dicom import Archive, DimseArchive, Peer, PeerError, WebPeer, fetch_plans
from rtqc.dicom.archive import FoundSeries
from tests.cli.run import rtqc

logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)

#: What stands for a SOP Instance UID, and would be a name elsewhere or none.
UIDS = ("../../evil", "/tmp/evil", "..", "a/../../evil", "1.2.3/../../../evil")


def plan_with(uid: str, source: Path) -> Dataset:
    dataset = pydicom.dcmread(source)
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = pydicom.uid.UID(uid)
    return dataset


@contextmanager
def dimse(uid: str, source: Path) -> Iterator[Peer]:
    """An archive that has one plan, which it gives by C-GET."""
    dataset = plan_with(uid, source)

    def find(event: Any) -> Iterator[tuple[int, Dataset]]:
        answer = Dataset()
        answer.PatientID, answer.StudyInstanceUID, answer.StudyDate = "../P1", "1.2.3", "20260101"
        answer.SeriesInstanceUID, answer.Modality = "1.2.3.4", "RTPLAN"
        yield 0xFF00, answer

    def give(event: Any) -> Iterator[Any]:
        yield 1
        yield 0xFF00, dataset

    ae = AE("EVIL")
    for number in (1, 3):
        ae.add_supported_context(f"1.2.840.10008.5.1.4.1.2.2.{number}")
    ae.add_supported_context(RTPlanStorage, scu_role=True, scp_role=True)
    assert build_role is not None
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_FIND, find), (evt.EVT_C_GET, give)])
    try:
        yield Peer("EVIL", "127.0.0.1", server.server_address[1])
    finally:
        server.shutdown()


@contextmanager
def web(uid: str, source: Path) -> Iterator[str]:
    """A DICOMweb service that has one plan."""
    content = BytesIO()
    plan_with(uid, source).save_as(content)

    class Service(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b"--b\r\nContent-Type: application/dicom\r\n\r\n" + content.getvalue() + b"\r\n--b--\r\n"
            self.send_response(200)
            self.send_header("Content-Type", 'multipart/related; type="application/dicom"; boundary=b')
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def everything(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


@pytest.mark.parametrize("uid", UIDS)
def test_an_instance_uid_that_is_a_path_is_not_written(uid: str, tmp_path: Path, clean_folder: Path) -> None:
    inner = tmp_path / "a" / "b" / "c"
    inner.mkdir(parents=True)
    series = FoundSeries("P1", "1.2.3", "1.2.3.4", "RTPLAN")
    before = everything(tmp_path)
    with dimse(uid, clean_folder / "RTPLAN.dcm") as peer, web(uid, clean_folder / "RTPLAN.dcm") as url:
        archive: Archive
        for archive in (DimseArchive(peer), WebPeer(url)):
            with pytest.raises(PeerError, match="is no UID"):
                archive.retrieve(series, inner)
            assert everything(tmp_path) == before
    assert not Path("/tmp/evil.dcm").exists()


def test_the_same_archive_gives_an_honest_plan(tmp_path: Path, clean_folder: Path) -> None:
    source = clean_folder / "RTPLAN.dcm"
    uid = str(pydicom.dcmread(source).SOPInstanceUID)
    series = FoundSeries("P1", "1.2.3", "1.2.3.4", "RTPLAN")
    with dimse(uid, source) as peer, web(uid, source) as url:
        for number, archive in enumerate((DimseArchive(peer), WebPeer(url))):
            assert archive.retrieve(series, tmp_path / str(number)) == 1
            assert [f.name for f in (tmp_path / str(number)).iterdir()] == [f"{uid}.dcm"]


def test_fetch_says_which_archive_it_was_and_writes_nothing(tmp_path: Path, clean_folder: Path) -> None:
    with dimse("../../evil", clean_folder / "RTPLAN.dcm") as peer:
        outcome = rtqc("fetch", peer, "--patient", "*", "--out", tmp_path / "out")
    assert outcome.status == 2
    assert "EVIL@127.0.0.1" in outcome.err
    assert "'../../evil' is no UID" in outcome.err
    assert everything(tmp_path) == set()


class _Given:
    """An archive whose plan's UID inside the object is a path, although it came under another name."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset

    def find(self, patient_id: str, study_date: str = "", modality: str = "") -> list[FoundSeries]:
        return [FoundSeries("../P1", "1.2.3", str(self._dataset.SeriesInstanceUID), "RTPLAN")]

    def retrieve(self, series: FoundSeries, folder: Path) -> int:
        self._dataset.save_as(folder / "1.2.dcm")
        return 1


def test_names_from_within_an_object_stay_in_their_folder(tmp_path: Path, clean_folder: Path) -> None:
    out = tmp_path / "a" / "out"
    with pytest.raises(PeerError, match="is no UID"):
        fetch_plans(_Given(plan_with("1/../../../evil", clean_folder / "RTPLAN.dcm")), out, "*")
    assert everything(tmp_path) == set()
    dataset = pydicom.dcmread(clean_folder / "RTPLAN.dcm")
    dataset.PatientID, dataset.RTPlanLabel = "../../P1", "/etc/con"
    (fetched,) = fetch_plans(_Given(dataset), out, "*")
    assert fetched.folder.parent == out
    assert fetched.folder.name.startswith("P1-etc_con-")
