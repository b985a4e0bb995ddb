"""C-FIND, C-GET and C-MOVE: an archive on the DICOM network."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset

from rtqc.core.file_names import UidError, uid_name
from rtqc.core.whole_file import whole_file
from rtqc.dicom.archive import FoundSeries
from rtqc.dicom.bounded import read_object
from rtqc.dicom.elements import text
from rtqc.dicom.peer import Peer, PeerError
from rtqc.dicom.receive import SOP_CLASSES, TRANSFER_SYNTAXES, Door, Receiver
from rtqc.dicom.send import association

#: Study Root (PS3.4 C.6.2): FIND, GET, MOVE.
_FIND, _GET, _MOVE = (f"1.2.840.10008.5.1.4.1.2.2.{k}" for k in (1, 3, 2))
_IMPLICIT = "1.2.840.10008.1.2"
#: Statuses of C-FIND, C-GET and C-MOVE: there is more to come.
_PENDING = (0xFF00, 0xFF01)
#: Our answers to an object that cannot be taken (PS3.4 B.2.3).
_OUT_OF_RESOURCES, _CANNOT_UNDERSTAND = 0xA700, 0xC000
#: How long the last objects of a C-MOVE may still be under way after it was answered, in s.
_LATE_SECONDS = 10.0


@dataclass(frozen=True)
class DimseArchive:
    """An archive that is asked with C-FIND.

    Attributes:
        peer: the archive.
        move_to: None: objects are had by C-GET. Else by C-MOVE to ourselves: the port that the archive knows for ``peer.calling``.
        move_host: the address to listen on for C-MOVE; empty: the one of this machine that the archive is reached from, and no other.
    """

    peer: Peer
    move_to: int | None = None
    move_host: str = ""

    def find(self, patient_id: str, study_date: str = "", modality: str = "") -> list[FoundSeries]:
        """See :class:`rtqc.dicom.archive.Archive`."""
        found = []
        with association(self.peer, [(_FIND, _IMPLICIT)]) as assoc:
            studies = Dataset()
            studies.QueryRetrieveLevel = "STUDY"
            studies.PatientID, studies.StudyDate, studies.StudyInstanceUID = patient_id, study_date, ""
            studies.ModalitiesInStudy = modality
            for study in list(self._answers(assoc, studies)):
                series = Dataset()
                series.QueryRetrieveLevel = "SERIES"
                series.StudyInstanceUID, series.SeriesInstanceUID = text(study, "StudyInstanceUID"), ""
                series.Modality, series.SeriesDescription = modality, ""
                found += [
                    FoundSeries(
                        text(study, "PatientID"),
                        text(study, "StudyInstanceUID"),
                        text(answer, "SeriesInstanceUID"),
                        text(answer, "Modality"),
                        text(study, "StudyDate"),
                        text(answer, "SeriesDescription"),
                    )
                    for answer in self._answers(assoc, series)
                ]
        return [s for s in found if not modality or s.modality == modality]

    def _answers(self, assoc: Any, query: Dataset) -> Iterator[Dataset]:
        for status, answer in assoc.send_c_find(query, _FIND):
            if not status:
                raise PeerError(f"{self.peer} broke the association while it was asked")
            if status.Status in _PENDING and answer is not None:
                yield answer
            elif status.Status != 0:
                raise PeerError(f"{self.peer} could not answer the query (status {status.Status:04X})")

    def retrieve(self, series: FoundSeries, folder: Path) -> int:
        """See :class:`rtqc.dicom.archive.Archive`."""
        folder.mkdir(parents=True, exist_ok=True)
        query = Dataset()
        query.QueryRetrieveLevel = "SERIES"
        query.StudyInstanceUID, query.SeriesInstanceUID = series.study_uid, series.uid
        return self._get(query, folder) if self.move_to is None else self._move(query, folder, self.move_to)

    def _get(self, query: Dataset, folder: Path) -> int:
        from pynetdicom import build_role, evt

        written: list[str] = []
        refused: list[UidError] = []

        def take(event: Any) -> int:
            try:
                name = uid_name(event.request.AffectedSOPInstanceUID)
                with whole_file(folder / f"{name}.dcm", durable=False) as file:
                    file.write(event.encoded_dataset())
            except UidError as error:
                refused.append(error)
                return _CANNOT_UNDERSTAND
            except OSError:
                return _OUT_OF_RESOURCES
            written.append(name)
            return 0

        contexts = [(_GET, _IMPLICIT), *((sop, syntax) for sop in SOP_CLASSES for syntax in TRANSFER_SYNTAXES)]
        roles = [build_role(sop_class, scp_role=True) for sop_class in SOP_CLASSES]
        with association(self.peer, contexts, handlers=[(evt.EVT_C_STORE, take)], ext_neg=roles) as assoc:
            if not any(str(c.abstract_syntax) == _GET for c in assoc.accepted_contexts):
                raise PeerError(f"{self.peer} does not give objects by C-GET: let it send them (C-MOVE) with --move-port")
            try:
                sent = self._follow(assoc.send_c_get(query, _GET))
            except PeerError:
                if not refused:
                    raise
        if refused:
            raise PeerError(
                f"{self.peer} sent an object whose SOP Instance UID cannot be one ({refused[0]}): it was not written"
            )
        # A series that was found has an object at least: nothing at all is no answer, and must not read as "not in the archive".
        if len(written) < max(sent, 1):
            raise PeerError(f"{self.peer} says that it sent {sent} objects of a series, but {len(written)} came: try again")
        return len(written)

    def _move(self, query: Dataset, folder: Path, port: int) -> int:
        host = self.move_host or _facing(self.peer)
        door = Door(self.peer.calling, host, port, (), self.peer.tls, least_free_bytes=0)
        receiver = Receiver(door, folder, lambda _: "")
        before = {f.name for f in folder.glob("*.dcm")}
        receiver.start()
        try:
            with association(self.peer, [(_MOVE, _IMPLICIT)]) as assoc:
                sent = self._follow(assoc.send_c_move(query, self.peer.calling, _MOVE))
            deadline = time.monotonic() + _LATE_SECONDS
            while True:
                came = {f.name for f in folder.glob("*.dcm")} - before
                if len(came) >= sent or time.monotonic() > deadline:
                    break
                time.sleep(0.1)
        finally:
            receiver.stop()
        came = {name for name in came if _is_of(folder / name, query.SeriesInstanceUID)}
        if len(came) < sent:
            raise PeerError(
                f"{self.peer} sent {sent} objects, but only {len(came)} came to '{self.peer.calling}' on port {port}"
            )
        return len(came)

    def _follow(self, answers: Any) -> int:
        """Wait for the end; returns how many objects the archive says that it sent."""
        done = 0
        for status, _ in answers:
            if not status:
                raise PeerError(f"{self.peer} broke the association while it was sending")
            done = int(status.get("NumberOfCompletedSuboperations", 0) or done)
            failed = int(status.get("NumberOfFailedSuboperations", 0) or 0)
            if status.Status not in _PENDING and (status.Status != 0 or failed):
                hint = f": does it know '{self.peer.calling}' and its port?" if status.Status == 0xA801 else ""
                raise PeerError(
                    f"{self.peer} could not send everything (status {status.Status:04X}, {failed} objects failed){hint}"
                )
        return done


def _facing(peer: Peer) -> str:
    """The address of this machine that a peer is reached from; nothing is sent to find it.

    Raises:
        PeerError: its name is not known, or no network leads to it.
    """
    try:
        kind, _, _, _, address = socket.getaddrinfo(peer.host, peer.port, type=socket.SOCK_DGRAM)[0]
        with socket.socket(kind, socket.SOCK_DGRAM) as probe:
            probe.connect(address)
            return str(probe.getsockname()[0])
    except OSError as error:
        raise PeerError(f"{peer} cannot be reached ({error})") from error


def _is_of(path: Path, series_uid: str) -> bool:
    """Whether an object that came is of the series that was asked for; another, which anybody may have sent, is taken out again."""
    try:
        own = text(read_object(path, header=True, tags=["SeriesInstanceUID"]), "SeriesInstanceUID")
    except Exception:  # whatever pydicom stumbles over
        own = ""
    if own == series_uid:
        return True
    path.unlink(missing_ok=True)
    return False
