"""C-STORE and C-ECHO to a peer."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rtqc.dicom.peer import ANSWER_SECONDS, CONNECT_SECONDS, SILENT_SECONDS, Peer, PeerError, without_delay

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pynetdicom import AE
    from pynetdicom.association import Association

#: An association may propose so many presentation contexts (PS3.8 9.3.2).
_MOST_CONTEXTS = 128


def store(peer: Peer, files: Sequence[Path]) -> dict[Path, str]:
    """Send objects in one association (more where they need more presentation contexts than one can hold).

    Args:
        peer: where to.
        files: DICOM files; sent as they are encoded.

    Returns:
        For each file that was not taken, why; empty where all were.

    Raises:
        PeerError: the peer could not be reached, or it refused or broke the association.
    """
    from pydicom import dcmread

    kinds: dict[tuple[str, str], list[Path]] = {}
    refused: dict[Path, str] = {}
    for file in files:
        try:
            meta = dcmread(file, stop_before_pixels=True, specific_tags=["SOPClassUID"]).file_meta
            kinds.setdefault((str(meta.MediaStorageSOPClassUID), str(meta.TransferSyntaxUID)), []).append(file)
        except Exception as error:  # whatever is wrong with the file, the others are sent
            refused[file] = f"it could not be read as a DICOM file ({type(error).__name__})"
    pairs = list(kinds)
    for start in range(0, len(pairs), _MOST_CONTEXTS):
        chosen = pairs[start : start + _MOST_CONTEXTS]
        with association(peer, chosen) as assoc:
            for pair in chosen:
                for file in kinds[pair]:
                    why = _store_one(assoc, peer, file, pair)
                    if why:
                        refused[file] = why
    return refused


def echo(peer: Peer) -> None:
    """C-ECHO.

    Raises:
        PeerError: no answer, or not a good one.
    """
    from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

    with association(peer, [(Verification, "1.2.840.10008.1.2")]) as assoc:
        status = assoc.send_c_echo()
        if not status or status.Status != 0:
            raise PeerError(f"{peer} did not answer an echo: check that it runs and knows '{peer.calling}'")


def application(peer: Peer) -> AE:
    """Our side of a conversation, with our patience."""
    from pynetdicom import AE

    ae = AE(ae_title=peer.calling)
    ae.connection_timeout, ae.acse_timeout = CONNECT_SECONDS, ANSWER_SECONDS
    ae.dimse_timeout, ae.network_timeout = ANSWER_SECONDS, SILENT_SECONDS
    return ae


@contextmanager
def association(
    peer: Peer, contexts: Sequence[tuple[str, str]], handlers: Sequence[Any] = (), **more: object
) -> Iterator[Association]:
    """An association that is released, or aborted where something went wrong.

    Args:
        peer: with whom.
        contexts: pairs of SOP class and transfer syntax.
        handlers: of pynetdicom's events.
        more: for pynetdicom's ``associate``.

    Raises:
        PeerError: it was not established.
    """
    from pynetdicom import evt

    ae = application(peer)
    for sop_class, syntax in contexts:
        # One context for each pair: a context with several syntaxes is accepted with one of them only.
        ae.add_requested_context(sop_class, [syntax])
    tls = (peer.tls.context(server=False), None) if peer.tls is not None else None
    events: list[Any] = [(evt.EVT_CONN_OPEN, lambda event: without_delay(event.assoc.dul.socket)), *handlers]
    assoc = ae.associate(peer.host, peer.port, ae_title=peer.ae_title, tls_args=tls, evt_handlers=events, **more)  # type: ignore[arg-type]
    if not assoc.is_established:
        if assoc.is_rejected:
            raise PeerError(
                f"{peer} rejected the association: check its list of known AE titles (we are '{peer.calling}') and the called AE title"
            )
        raise PeerError(f"{peer} could not be reached: check host, port, TLS and that it runs")
    try:
        yield assoc
    except BaseException:
        assoc.abort()
        raise
    if assoc.is_established:
        assoc.release()


def _store_one(assoc: Association, peer: Peer, file: Path, pair: tuple[str, str]) -> str:
    """Why an object was not taken; empty where it was."""
    from pydicom import dcmread

    accepted = {(str(c.abstract_syntax), str(s)) for c in assoc.accepted_contexts for s in c.transfer_syntax}
    if pair not in accepted:
        return f"{peer} does not take {pair[0]} in transfer syntax {pair[1]}"
    status = assoc.send_c_store(dcmread(file))
    if not status:
        raise PeerError(f"{peer} broke the association while {file.name} was sent")
    # Warnings (Bxxx) mean that it was stored.
    if status.Status != 0 and status.Status >> 12 != 0xB:
        comment = str(status.get("ErrorComment", "")).strip()
        return f"{peer} refused it with status {status.Status:04X}{f' ({comment})' if comment else ''}"
    return ""
