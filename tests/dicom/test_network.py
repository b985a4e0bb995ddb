"""Receiving, sending and fetching, with Orthanc and dcmtk on the other side."""

from __future__ import annotations

import logging
import shutil
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian

from rtqc.dicom import (
    Caller,
    DimseArchive,
    Door,
    Peer,
    PeerError,
    Receiver,
    Tls,
    WebPeer,
    echo,
    fetch_plans,
    query,
    read_case,
    store,
)
from rtqc.phantom import SyntheticPlan, write_plan
from tests.cli.run import rtqc
from tests.conftest import tool
from tests.peers import Orthanc, free_port, orthanc, wait_for

logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    """A storage SCP that one caller may use."""
    folder = tmp_path / "incoming"
    folder.mkdir()
    running = Receiver(
        Door(port=0, callers=(Caller("TPS", "127.0.0.1"),), least_free_bytes=0), folder, lambda patient: patient or "none"
    )
    running.start()
    yield running
    running.stop()


def to(receiver: Receiver, calling: str = "TPS", called: str = "RTQC") -> Peer:
    return Peer(called, "127.0.0.1", receiver.port, calling)


def received(receiver: Receiver) -> list[Path]:
    return sorted(receiver.folder.rglob("*.dcm"))


def test_a_whole_plan_arrives_as_it_was_sent(receiver: Receiver, clean_folder: Path) -> None:
    echo(to(receiver))
    files = sorted(clean_folder.glob("*.dcm"))
    assert store(to(receiver), files) == {}
    assert len(received(receiver)) == len(files)
    case = read_case(receiver.folder)
    sent = read_case(clean_folder)
    assert case.findings == ()
    assert case.dose is not None
    assert sent.dose is not None
    assert (case.dose.gy == sent.dose.gy).all()
    assert [f for f in receiver.folder.rglob("*") if f.is_file() and f.suffix != ".dcm"] == []


@pytest.mark.parametrize(
    "sop_class", ["1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.2.2", "1.2.840.10008.5.1.4.1.1.481.8"]
)
def test_multi_frame_cts_and_ion_plans_arrive_too(
    sop_class: str, receiver: Receiver, clean_folder: Path, tmp_path: Path
) -> None:
    """What reading understands, the node must take: Enhanced CT, legacy converted ones, RT Ion Plans."""
    dataset = pydicom.dcmread(next(clean_folder.glob("RTPLAN*")))
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = sop_class
    dataset.save_as(tmp_path / "sent.dcm")
    assert store(to(receiver), [tmp_path / "sent.dcm"]) == {}
    (file,) = received(receiver)
    assert pydicom.dcmread(file).SOPClassUID == sop_class


def test_storescu_sends_and_each_transfer_syntax_is_read(receiver: Receiver, clean_folder: Path, tmp_path: Path) -> None:
    source = sorted(clean_folder.glob("CT.*"))[:6]
    encoded: list[tuple[list[str], Path]] = []
    for number, (file, option) in enumerate(zip(source, ("-xi", "-xe", "-xb", "-xs", "-xr", "-xd"), strict=True)):
        dataset = pydicom.dcmread(file)
        target = tmp_path / f"{number}.dcm"
        if option == "-xi":
            dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
            dataset.save_as(target, implicit_vr=True, little_endian=True)
        elif option == "-xb":
            subprocess.run([tool("dcmconv"), "+tb", file, target], check=True)
        elif option == "-xs":
            subprocess.run([tool("dcmcjpeg"), "+e1", file, target], check=True)
        elif option == "-xr":
            subprocess.run([tool("dcmcrle"), file, target], check=True)
        elif option == "-xd":
            subprocess.run([tool("dcmconv"), "+td", file, target], check=True)
        else:
            target.write_bytes(file.read_bytes())
        encoded.append(([option], target))
    for options, file in encoded:
        command = [tool("storescu"), *options, "-aet", "TPS", "-aec", "RTQC", "127.0.0.1", str(receiver.port), str(file)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    arrived = {str(pydicom.dcmread(f).SOPInstanceUID): pydicom.dcmread(f) for f in received(receiver)}
    assert len(arrived) == 6
    assert len({d.file_meta.TransferSyntaxUID for d in arrived.values()}) == 6
    assert ExplicitVRBigEndian in {d.file_meta.TransferSyntaxUID for d in arrived.values()}
    for file in source:
        original = pydicom.dcmread(file)
        assert (arrived[str(original.SOPInstanceUID)].pixel_array == original.pixel_array).all()


def test_ten_associations_at_once_lose_nothing(receiver: Receiver, clean_folder: Path) -> None:
    files = sorted(clean_folder.glob("*.dcm"))
    with ThreadPoolExecutor(10) as pool:
        assert list(pool.map(lambda k: store(to(receiver), files[k::10]), range(10))) == [{}] * 10
    assert len(received(receiver)) == len(files)


@pytest.mark.parametrize(("calling", "called"), [("EVIL", "RTQC"), ("TPS", "OTHER")])
def test_a_wrong_ae_title_is_rejected(receiver: Receiver, calling: str, called: str, clean_folder: Path) -> None:
    with pytest.raises(PeerError, match="rejected the association"):
        store(to(receiver, calling, called), [clean_folder / "RTPLAN.dcm"])
    assert received(receiver) == []


def test_a_known_ae_title_from_another_address_is_not_let_in(tmp_path: Path, clean_folder: Path) -> None:
    callers = (Caller("TPS", "10.11.12.13"), Caller("CT", "127.0.0.1"))
    running = Receiver(Door(port=0, callers=callers, least_free_bytes=0), tmp_path, lambda p: p)
    running.start()
    try:
        refused = store(to(running), [clean_folder / "RTPLAN.dcm"])
        assert "status 0124" in next(iter(refused.values()))
        assert store(to(running, "CT"), [clean_folder / "RTPLAN.dcm"]) == {}
    finally:
        running.stop()


def test_a_connection_cut_in_the_middle_leaves_nothing_half_read(receiver: Receiver, clean_folder: Path) -> None:
    """A proxy that dies after some of the bytes."""
    proxy = socket.create_server(("127.0.0.1", 0))

    def relay() -> None:
        client, _ = proxy.accept()
        server = socket.create_connection(("127.0.0.1", receiver.port))
        passed = 0

        def back() -> None:
            try:
                while data := server.recv(65536):
                    client.sendall(data)
            except OSError:
                pass

        threading.Thread(target=back, daemon=True).start()
        while passed < 300_000 and (data := client.recv(4096)):
            server.sendall(data)
            passed += len(data)
        for end in (client, server):
            end.shutdown(socket.SHUT_RDWR)
            end.close()

    threading.Thread(target=relay, daemon=True).start()
    peer = Peer("RTQC", "127.0.0.1", proxy.getsockname()[1], "TPS")
    with pytest.raises(PeerError, match="broke the association"):
        store(peer, [clean_folder / "RTDOSE.dcm"])
    assert [f for f in receiver.folder.rglob("*") if f.is_file()] == []
    assert store(to(receiver), [clean_folder / "RTDOSE.dcm"]) == {}
    assert len(received(receiver)) == 1


def test_garbage_and_absurd_lengths_do_not_bring_it_down(receiver: Receiver) -> None:
    def says(data: bytes) -> bytes:
        with socket.create_connection(("127.0.0.1", receiver.port), timeout=5) as s:
            s.sendall(data)
            try:
                return s.recv(4096)
            except OSError:
                return b""

    for data in (b"GET / HTTP/1.1\r\n\r\n" * 50, bytes(range(256)) * 20, b"\x00" * 10_000, b""):
        with socket.create_connection(("127.0.0.1", receiver.port), timeout=5) as s:
            s.sendall(data)
    # A PDU of 4 GiB: the connection is closed at once, nothing of it is waited for.
    began = time.monotonic()
    assert says(struct.pack(">BBL", 1, 0, 2**32 - 1) + b"x" * 1000) == b""
    says(struct.pack(">BBL", 4, 0, 2**32 - 1) + b"x" * 1000)
    assert time.monotonic() - began < 4
    echo(to(receiver))


def test_an_association_of_128_contexts_and_objects_that_are_none(
    receiver: Receiver, clean_folder: Path, tmp_path: Path
) -> None:
    from pynetdicom import AE
    from pynetdicom.sop_class import CTImageStorage  # type: ignore[attr-defined]

    ae = AE("TPS")
    for k in range(127):
        ae.add_requested_context(f"1.2.840.10008.5.1.4.1.1.{1000 + k}", ["1.2.840.10008.1.2"])
    ae.add_requested_context(CTImageStorage, ["1.2.840.10008.1.2.1"])
    assoc = ae.associate("127.0.0.1", receiver.port, ae_title="RTQC")
    assert assoc.is_established
    assert len(assoc.accepted_contexts) == 1
    dataset = pydicom.dcmread(clean_folder / "CT.001.dcm")
    assert assoc.send_c_store(dataset).Status == 0
    # An instance UID that would be a path is not understood, and nothing is written outside.
    dataset.SOPInstanceUID = "../../evil"
    assert assoc.send_c_store(dataset).Status != 0
    assoc.release()
    assert len(received(receiver)) == 1
    assert not list(tmp_path.rglob("*evil*"))
    refused = store(to(receiver), [Path(__file__), clean_folder / "RTPLAN.dcm"])
    assert list(refused) == [Path(__file__)]


def test_an_object_that_is_too_large_and_a_full_disk_are_refused(tmp_path: Path, clean_folder: Path) -> None:
    for door, words in (
        (Door(port=0, most_bytes=100_000, least_free_bytes=0), "broke the association"),
        (Door(port=0, least_free_bytes=2**60), "status A700"),
    ):
        folder = tmp_path / words.replace(" ", "-")
        folder.mkdir()
        running = Receiver(door, folder, lambda p: p)
        running.start()
        try:
            said = str(store(to(running), [clean_folder / "RTDOSE.dcm"]))
        except PeerError as error:
            said = str(error)
        finally:
            running.stop()
        assert words in said
        assert [f for f in folder.rglob("*") if f.is_file()] == []


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tls]:
    """Certificates of the clinic and of a stranger."""
    import trustme

    folder = tmp_path_factory.mktemp("tls")
    found = {}
    for name in ("clinic", "stranger"):
        authority = trustme.CA()
        authority.cert_pem.write_to_path(folder / f"{name}-ca.pem")
        issued = authority.issue_cert("localhost")
        issued.private_key_pem.write_to_path(folder / f"{name}.key")
        issued.cert_chain_pems[0].write_to_path(folder / f"{name}.pem")
        found[name] = Tls(folder / f"{name}.pem", folder / f"{name}.key", folder / f"{name}-ca.pem")
    return found


def test_tls_lets_in_whom_the_authority_has_signed_and_nobody_else(
    tmp_path: Path, clean_folder: Path, certificates: dict[str, Tls]
) -> None:
    clinic, stranger = certificates["clinic"], certificates["stranger"]
    running = Receiver(Door(port=0, tls=clinic, least_free_bytes=0), tmp_path, lambda p: p)
    running.start()
    plan = clean_folder / "RTPLAN.dcm"

    def peer(tls: Tls | None) -> Peer:
        return Peer("RTQC", "127.0.0.1", running.port, "TPS", tls)

    try:
        assert store(peer(clinic), [plan]) == {}
        for tls in (None, stranger, Tls(stranger.certificate, stranger.key, clinic.authority)):
            with pytest.raises(PeerError):
                store(peer(tls), [plan])
        # dcmtk, with the clinic's certificate.
        command = [
            tool("storescu"), "+tls", clinic.key, clinic.certificate, "+cf", clinic.authority, "-aet", "TPS", "-aec", "RTQC",
            "127.0.0.1", str(running.port), plan,
        ]  # fmt: skip
        done = subprocess.run([str(c) for c in command], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        # Somebody who connects and says nothing keeps nobody waiting.
        with socket.create_connection(("127.0.0.1", running.port)):
            assert store(peer(clinic), [plan]) == {}
    finally:
        running.stop()
    with pytest.raises(PeerError, match="check the"):
        Tls(plan, clinic.key, clinic.authority).context(server=True)


@pytest.fixture(scope="module")
def archive(
    tmp_path_factory: pytest.TempPathFactory, clean_folder: Path, clean_plan: SyntheticPlan
) -> Iterator[tuple[Orthanc, int]]:
    """An Orthanc with two patients' plans, one approved, and the port that it moves to."""
    move_port = free_port()
    other = clean_plan.with_study(key="other", patient_id="OTHER-7", plan_label="Breast_R")
    second = write_plan(other, tmp_path_factory.mktemp("other"))
    plan = pydicom.dcmread(second / "RTPLAN.dcm")
    plan.ApprovalStatus = "APPROVED"
    plan.ReviewDate, plan.ReviewTime, plan.ReviewerName = "20260102", "120000", "reviewer"
    plan.save_as(second / "RTPLAN.dcm")
    with orthanc(tmp_path_factory.mktemp("orthanc"), {"RTQC": ("127.0.0.1", move_port)}) as running:
        for folder in (clean_folder, second):
            assert store(Peer("ORTHANC", "127.0.0.1", running.dicom), sorted(folder.glob("*.dcm"))) == {}
        # What was stored a moment ago is found a moment later: on a busy machine the last patient was not there yet.
        count = sum(len(list(folder.glob("*.dcm"))) for folder in (clean_folder, second))
        wait_for(lambda: sum(running.modalities().values()) == count)
        wait_for(lambda: len(DimseArchive(Peer("ORTHANC", "127.0.0.1", running.dicom)).find("*")) == 8)
        yield running, move_port


def test_what_others_send_while_a_series_is_moved_is_not_kept(clean_folder: Path, tmp_path: Path) -> None:
    asked, other, damaged = (tmp_path / name for name in ("asked.dcm", "other.dcm", "damaged.dcm"))
    shutil.copy(next(clean_folder.glob("CT*.dcm")), asked)
    shutil.copy(clean_folder / "RTDOSE.dcm", other)
    damaged.write_bytes(b"no DICOM")
    series_uid = pydicom.dcmread(asked, stop_before_pixels=True).SeriesInstanceUID
    assert [query._is_of(path, series_uid) for path in (asked, other, damaged)] == [True, False, False]
    assert [path.exists() for path in (asked, other, damaged)] == [True, False, False]


def test_for_c_move_rtqc_listens_where_the_archive_reaches_it() -> None:
    assert query._facing(Peer("PACS", "127.0.0.1", 104)) == "127.0.0.1"
    with pytest.raises(PeerError, match="cannot be reached"):
        query._facing(Peer("PACS", "no.such.host.invalid", 104))


@pytest.mark.parametrize("how", ["get", "move", "web"])
def test_plans_are_fetched_from_orthanc_with_all_they_refer_to(
    archive: tuple[Orthanc, int], how: str, clean_folder: Path, tmp_path: Path
) -> None:
    running, move_port = archive
    peer = Peer("ORTHANC", "127.0.0.1", running.dicom)
    source = {
        "get": DimseArchive(peer),
        "move": DimseArchive(peer, move_port),
        "web": WebPeer(running.web),
    }[how]
    fetched = fetch_plans(source, tmp_path / "out", "RTQC-TEST")
    assert [f.missing for f in fetched] == [()]
    case, original = read_case(fetched[0].folder), read_case(clean_folder)
    assert case.findings == ()
    assert case.image is not None
    assert original.image is not None
    assert (case.image.hu == original.image.hu).all()
    assert case.provenance.rtdose_uids == original.provenance.rtdose_uids
    with pytest.raises(FileExistsError):
        fetch_plans(source, tmp_path / "out", "RTQC-TEST")
    assert [f.patient_id for f in fetch_plans(source, tmp_path / "a", "*", approval="APPROVED")] == ["OTHER-7"]
    assert fetch_plans(source, tmp_path / "b", "NOBODY") == []
    assert fetch_plans(source, tmp_path / "c", "*", "19000101") == []


def test_the_commands_fetch_and_send(
    archive: tuple[Orthanc, int], receiver: Receiver, clean_folder: Path, tmp_path: Path
) -> None:
    running, _ = archive
    outcome = rtqc("fetch", f"ORTHANC@127.0.0.1:{running.dicom}", "--patient", "RTQC-TEST", "--out", tmp_path / "out")
    assert outcome.status == 0, outcome.err
    assert "RTQC-TEST" in outcome.out
    approved = rtqc("fetch", running.web, "--approval", "APPROVED", "--out", tmp_path / "approved")
    assert approved.status == 0, approved.err
    assert "OTHER-7" in approved.out
    assert "RTQC-TEST" not in approved.out
    sent = rtqc("send", f"RTQC@127.0.0.1:{receiver.port}", "--calling", "TPS", tmp_path / "out")
    assert sent.status == 0, sent.err
    assert len(received(receiver)) == len(list(clean_folder.glob("*.dcm")))
    assert rtqc("send", running.web, clean_folder / "RTPLAN.dcm").status == 0
    for arguments, words in (
        (("send", "RTQC@127.0.0.1:1", clean_folder / "RTPLAN.dcm"), "could not be reached"),
        (("send", "nonsense", clean_folder / "RTPLAN.dcm"), "AE_TITLE@host:port"),
        (("send", "http://127.0.0.1:1/dicom-web", clean_folder / "RTPLAN.dcm"), "could not be sent to"),
        (("fetch", "http://127.0.0.1:1/x", "--patient", "1", "--out", tmp_path / "n"), "could not be asked"),
        (("fetch", "A@127.0.0.1:1", "--out", tmp_path / "n"), "say which plans"),
        (("fetch", running.web, "--patient", "NOBODY", "--out", tmp_path / "n"), "no plan was found"),
    ):
        failed = rtqc(*arguments)
        assert failed.status == 2
        assert words in failed.err
        assert "Traceback" not in failed.err


def test_dcmqrscp_and_storescp_take_what_we_send_and_give_it_back(clean_folder: Path, tmp_path: Path) -> None:
    from tests.peers import running as program

    port = free_port()
    database = tmp_path / "db"
    database.mkdir()
    (tmp_path / "dcmqrscp.cfg").write_text(
        f"NetworkTCPPort = {port}\nMaxPDUSize = 16384\nMaxAssociations = 16\n"
        "HostTable BEGIN\nrtqc = (RTQC, localhost, 11112)\nHostTable END\nVendorTable BEGIN\nVendorTable END\n"
        f"AETable BEGIN\nQRSCP {database} RW (200, 1024mb) ANY\nAETable END\n"
    )
    peer = Peer("QRSCP", "127.0.0.1", port)
    with program([tool("dcmqrscp"), "-c", tmp_path / "dcmqrscp.cfg"], port, tmp_path):
        assert store(peer, sorted(clean_folder.glob("*.dcm"))) == {}
        numbers = count()

        def everything() -> bool:
            """A child of dcmqrscp writes its index after it has answered: it is asked until all is there."""
            fetched = fetch_plans(DimseArchive(peer), tmp_path / f"out{next(numbers)}", "RTQC-TEST")
            return [f.missing for f in fetched] == [()] and read_case(fetched[0].folder).findings == ()

        wait_for(everything, pause=1.0)
    port = free_port()
    taken = tmp_path / "taken"
    taken.mkdir()
    with program([tool("storescp"), "-aet", "STORESCP", "-od", taken, port], port, tmp_path):
        assert store(Peer("STORESCP", "127.0.0.1", port), [clean_folder / "RTSTRUCT.dcm"]) == {}
        wait_for(lambda: list(taken.iterdir()))
