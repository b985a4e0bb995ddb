"""Another DICOM program on the network, and how to speak to it."""

from __future__ import annotations

import contextlib
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

#: Seconds to wait for a connection, for an answer within an association, and for anything at all on a connection.
CONNECT_SECONDS, ANSWER_SECONDS, SILENT_SECONDS = 10, 60, 120


def without_delay(connection: Any) -> None:
    """Send each part and acknowledge each part at once.

    An association is questions and answers in small parts. Waiting for more to send costs us 40 ms a question, and a peer that waits for
    our acknowledgement before it sends the rest of its answer (dcmtk, Orthanc) costs as much again.

    Args:
        connection: pynetdicom's AssociationSocket.
    """
    inner = getattr(connection, "socket", None)
    if inner is None:
        return
    inner.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    at_once = getattr(socket, "TCP_QUICKACK", None)  # Linux only, and forgotten by the system after a while
    if at_once is None:
        return
    read = connection.recv

    def acknowledged(count: int) -> bytearray:
        with contextlib.suppress(OSError):
            inner.setsockopt(socket.IPPROTO_TCP, at_once, 1)
        return bytearray(read(count))

    connection.recv = acknowledged


class PeerError(Exception):
    """Another program could not be reached, or refused; the message names it and says what to do."""


@dataclass(frozen=True)
class Tls:
    """Certificates for encrypted associations (PS3.15 B.9: both sides show one).

    Attributes:
        certificate, key: our own, PEM.
        authority: who signed the other side's, PEM.
    """

    certificate: Path
    key: Path
    authority: Path

    def context(self, server: bool) -> ssl.SSLContext:
        """For one side of a connection; the other side must show a certificate that the authority has signed.

        Raises:
            PeerError: a file is absent or not what it should be.
        """
        purpose = ssl.Purpose.CLIENT_AUTH if server else ssl.Purpose.SERVER_AUTH
        try:
            context = ssl.create_default_context(purpose, cafile=str(self.authority))
            context.load_cert_chain(self.certificate, self.key)
        except (OSError, ssl.SSLError) as error:
            raise PeerError(
                f"the certificates {self.certificate.name}, {self.key.name} and {self.authority.name} cannot be used ({error}): check the [tls] paths"
            ) from error
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.verify_mode = ssl.CERT_REQUIRED
        # Nodes are known by address, and their certificates seldom carry a host's name.
        context.check_hostname = False
        return context


@dataclass(frozen=True)
class Peer:
    """A DICOM application entity.

    Attributes:
        ae_title: its AE title.
        host, port: where it listens.
        calling: our own AE title, as it knows us.
        tls: certificates; None: not encrypted.
    """

    ae_title: str
    host: str
    port: int
    calling: str = "RTQC"
    tls: Tls | None = None

    def __str__(self) -> str:
        """``AE@host:port``."""
        return f"{self.ae_title}@{self.host}:{self.port}"

    @classmethod
    def parse(cls, text: str, calling: str = "RTQC", tls: Tls | None = None) -> Peer:
        """A peer from ``AE@host:port``.

        >>> Peer.parse("PACS@10.1.2.3:104").port
        104

        Raises:
            PeerError: the text is not of that form.
        """
        ae_title, _, address = text.rpartition("@")
        host, _, port = address.rpartition(":")
        if not (ae_title and host and port.isdigit() and 0 < int(port) < 65536) or len(ae_title) > 16:
            raise PeerError(f"'{text}' is no address of a DICOM node: write AE_TITLE@host:port, e.g. PACS@10.1.2.3:104")
        return cls(ae_title, host.strip("[]"), int(port), calling, tls)
