"""A Storage SCP: takes what a plan consists of from peers that are known, and writes each object whole or not at all."""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydicom.uid import (
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    EnhancedCTImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    LegacyConvertedEnhancedCTImageStorage,
    RLELossless,
    RTDoseStorage,
    RTIonPlanStorage,
    RTPlanStorage,
    RTStructureSetStorage,
)

from rtqc.core.file_names import printable, uid_name
from rtqc.core.whole_file import whole_file
from rtqc.dicom.bounded import read_object
from rtqc.dicom.connections import MOST_WAITING, Connections
from rtqc.dicom.peer import ANSWER_SECONDS, SILENT_SECONDS, PeerError, Tls, without_delay

if TYPE_CHECKING:
    from pynetdicom.events import Event

_LOG = logging.getLogger("rtqc.node")

#: Objects that are taken; everything else is refused when the association is made.
SOP_CLASSES = (
    CTImageStorage,
    EnhancedCTImageStorage,
    LegacyConvertedEnhancedCTImageStorage,
    RTStructureSetStorage,
    RTPlanStorage,
    RTIonPlanStorage,
    RTDoseStorage,
)
#: Transfer syntaxes that can be read; every one of them is lossless.
TRANSFER_SYNTAXES = (
    ExplicitVRLittleEndian, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, JPEGLosslessSV1, JPEGLossless,
    JPEGLSLossless, JPEG2000Lossless, RLELossless,
)  # fmt: skip
#: Longest PDU that is taken, in bytes: we ask for 128 KiB, and an association request of 128 contexts has less than 1 MiB.
_ASKED_PDU, _LONGEST_PDU = 131_072, 1_048_576
#: As many associations as pynetdicom may count.
_ANY_NUMBER = 1_000_000
#: Status words of C-STORE (PS3.4 B.2.3).
_SUCCESS, _OUT_OF_RESOURCES, _CANNOT_UNDERSTAND, _NOT_AUTHORISED = 0x0000, 0xA700, 0xC000, 0x0124


@dataclass(frozen=True)
class Caller:
    """Who may send.

    Attributes:
        ae_title: its AE title.
        address: its IP address; empty: any.
    """

    ae_title: str
    address: str = ""


@dataclass(frozen=True)
class Door:
    """Where and from whom objects are taken.

    Attributes:
        ae_title: ours; a caller must call it.
        host, port: where we listen; port 0: any that is free.
        callers: who may send; empty: everybody.
        tls: certificates; None: not encrypted.
        most_associations: at one time; connections that are none yet do not count (:mod:`rtqc.dicom.connections`).
        most_bytes: of one object.
        least_free_bytes: on the disk; below it nothing more is taken.
    """

    ae_title: str = "RTQC"
    host: str = "127.0.0.1"
    port: int = 11112
    callers: tuple[Caller, ...] = ()
    tls: Tls | None = None
    most_associations: int = 10
    most_bytes: int = 2**29
    least_free_bytes: int = 2**31


@dataclass
class Receiver:
    """A running SCP.

    Attributes:
        door: where and from whom.
        folder: objects go to ``folder/<patient>/<SOP Instance UID>.dcm``.
        patient_folder: name of a patient's folder, from the Patient ID.
        received: called with each patient's folder after an object was written, and at the end of each association that sent any.
    """

    door: Door
    folder: Path
    patient_folder: Callable[[str], str]
    received: Callable[[Path], None] = lambda _: None
    _server: Any = field(default=None, repr=False)
    _bytes: dict[int, int] = field(default_factory=dict, repr=False)
    _connections: Connections = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """No connections yet."""
        self._connections = Connections(self.door.most_associations)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Listen, in threads of its own.

        Raises:
            PeerError: the port is taken, or the certificates cannot be used.
        """
        from pynetdicom import AE, evt
        from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

        door = self.door
        ae = AE(ae_title=door.ae_title)
        # Places are given by us, to who asks properly; pynetdicom counts whoever connects.
        ae.maximum_associations, ae.maximum_pdu_size = _ANY_NUMBER, _ASKED_PDU
        ae.acse_timeout, ae.dimse_timeout, ae.network_timeout = ANSWER_SECONDS, ANSWER_SECONDS, SILENT_SECONDS
        ae.require_called_aet = True
        ae.require_calling_aet = sorted({c.ae_title for c in door.callers})
        for sop_class in SOP_CLASSES:
            ae.add_supported_context(sop_class, list(TRANSFER_SYNTAXES))
        ae.add_supported_context(Verification)
        handlers: list[Any] = [
            (evt.EVT_C_STORE, self._store), (evt.EVT_C_ECHO, self._echo), (evt.EVT_CONN_OPEN, self._opened),
            (evt.EVT_PDU_RECV, self._counted), (evt.EVT_CONN_CLOSE, self._closed), (evt.EVT_REJECTED, self._rejected),
            (evt.EVT_REQUESTED, self._requested),
        ]  # fmt: skip
        tls = door.tls.context(server=True) if door.tls is not None else None
        try:
            self._server = ae.make_server(
                (door.host, door.port),
                evt_handlers=handlers,
                ssl_context=tls,
                server_class=_server_class(self._may_connect, self._connections.sweep),
            )
        except OSError as error:
            raise PeerError(
                f"port {door.port} of {door.host} cannot be listened on ({error.strerror or error}): is another node running?"
            ) from error
        ae._servers.append(self._server)
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.2}, daemon=True, name="rtqc-scp").start()

    def stop(self) -> None:
        """Stop listening; associations under way are aborted, half an object is no object."""
        if self._server is not None:
            self._server.shutdown()
            self._connections.end()
            for assoc in self._server.active_associations:
                if assoc.is_established:
                    assoc.abort()

    def _may_connect(self, address: str) -> bool:
        callers = self.door.callers
        known = not callers or any(c.address in ("", address) for c in callers)
        if not known:
            _LOG.warning("a connection from %s was closed: no caller has that address", address)
        return known

    def _opened(self, event: Event) -> None:
        """A PDU that claims to be longer than any may be closes the connection before anything of it is kept."""
        connection: Any = event.assoc.dul.socket
        self._connections.opened(event.assoc, event.assoc.requestor.address)
        without_delay(connection)
        read = connection.recv

        def bounded(count: int) -> bytearray:
            if count > _LONGEST_PDU:
                raise OSError(f"a PDU of {count} bytes was announced, more than {_LONGEST_PDU}")
            return bytearray(read(count))

        connection.recv = bounded

    def _requested(self, event: Event) -> None:
        """A whole association request has come: it gets a place, or is told to come again."""
        assoc = event.assoc
        if self._connections.accepted(assoc):
            return
        _LOG.warning(
            "%d associations are open, as many as may be: '%s' was told to try again",
            self.door.most_associations,
            _title(assoc),
        )
        # Transient, presentation related, local limit exceeded (PS3.8 table 9-21).
        assoc.acse.send_reject(0x02, 0x03, 0x02)
        assoc.kill()

    def _rejected(self, event: Event) -> None:
        _LOG.warning("an association of '%s' from %s was rejected", _title(event.assoc), event.assoc.requestor.address)

    def _counted(self, event: Event) -> None:
        """Bytes since the last object; more than one may have is the end of the association."""
        self._connections.heard(event.assoc)
        if type(event.pdu).__name__ != "P_DATA_TF":
            return
        key = id(event.assoc)
        self._bytes[key] = self._bytes.get(key, 0) + len(event.pdu)
        if self._bytes[key] > self.door.most_bytes:
            _LOG.warning("an object of more than %d bytes from '%s' was refused", self.door.most_bytes, _title(event.assoc))
            event.assoc.abort()

    def _closed(self, event: Event) -> None:
        self._connections.closed(event.assoc)
        self._bytes.pop(id(event.assoc), None)
        for folder in getattr(event.assoc, "rtqc_folders", ()):
            self.received(folder)

    def _echo(self, event: Event) -> int:
        return _SUCCESS if self._is_known(event) else _NOT_AUTHORISED

    def _is_known(self, event: Event) -> bool:
        """Whether AE title and address belong to one caller."""
        requestor = event.assoc.requestor
        callers = self.door.callers
        return not callers or any(
            c.ae_title == requestor.ae_title.strip() and c.address in ("", requestor.address) for c in callers
        )

    def _store(self, event: Event) -> int:
        """Write one object; its sender waits for us."""
        with self._connections.at_work(event.assoc):
            return self._store_object(event)

    def _store_object(self, event: Event) -> int:
        self._bytes[id(event.assoc)] = 0
        if not self._is_known(event):
            return _NOT_AUTHORISED
        try:
            if shutil.disk_usage(self.folder).free < self.door.least_free_bytes:
                _LOG.error("less than %d MiB are free: nothing more is taken", self.door.least_free_bytes >> 20)
                return _OUT_OF_RESOURCES
            encoded = event.encoded_dataset()
            patient = read_object(BytesIO(encoded), header=True, tags=["PatientID"], force=False)
            folder = self.folder / self.patient_folder(str(patient.get("PatientID", "") or ""))
            name = uid_name(event.request.AffectedSOPInstanceUID)  # type: ignore[union-attr]
            with whole_file(folder / f"{name}.dcm") as file:
                file.write(encoded)
        except OSError as error:
            _LOG.error("an object could not be written: %s", error.strerror or error)
            return _OUT_OF_RESOURCES
        except Exception as error:  # an object that nothing can be made of makes pydicom raise nearly anything
            _LOG.warning("an object from '%s' could not be understood (%s)", _title(event.assoc), type(error).__name__)
            return _CANNOT_UNDERSTAND
        folders: set[Path] = getattr(event.assoc, "rtqc_folders", set())
        folders.add(folder)
        event.assoc.rtqc_folders = folders  # type: ignore[attr-defined]
        self.received(folder)
        return _SUCCESS


def _title(assoc: Any) -> str:
    """The AE title that the other side calls itself, without what a terminal would obey."""
    request = assoc.requestor.primitive
    return printable((request.calling_ae_title if request is not None else assoc.requestor.ae_title).strip())


def _server_class(may_connect: Callable[[str], bool], sweep: Callable[[], None]) -> Any:
    from pynetdicom.transport import ThreadedAssociationServer

    class Server(ThreadedAssociationServer):
        """Shakes hands in the association's own thread, so that a silent caller keeps nobody waiting."""

        daemon_threads = True
        request_queue_size = MOST_WAITING

        def service_actions(self) -> None:
            super().service_actions()
            sweep()

        def get_request(self) -> Any:
            assert self.socket is not None
            client, address = self.socket.accept()
            client.settimeout(SILENT_SECONDS)
            if self.ssl_context is not None:
                client = self.ssl_context.wrap_socket(
                    client, server_side=True, do_handshake_on_connect=False, suppress_ragged_eofs=True
                )
            return client, address

        def verify_request(self, request: Any, client_address: Any) -> bool:
            return may_connect(str(client_address[0]))

        def handle_error(self, request: Any, client_address: Any) -> None:
            _LOG.warning("a connection from %s broke", client_address[0])

    return Server
