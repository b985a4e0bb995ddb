"""What a node is told: where it listens, to whom, what it checks with, and where results go."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from rtqc.core.settings import load_settings
from rtqc.defaults import DEFAULT_MODEL
from rtqc.dicom import Caller, Door, Peer, Tls
from rtqc.report import FILES, Kind


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TlsConfig(_Strict):
    """Paths of PEM files: our certificate and key, and who signs the others'."""

    certificate: Path
    key: Path
    authority: Path

    def tls(self) -> Tls:
        """As the network rooms take it."""
        return Tls(self.certificate, self.key, self.authority)


class CallerConfig(_Strict):
    """Who may send: an AE title, and its IP address (empty: any)."""

    ae_title: str = Field(min_length=1, max_length=16)
    address: str = ""


class Destination(_Strict):
    """Where results go.

    Attributes:
        name: for log and folders.
        kind: ``dicom``: C-STORE; ``web``: STOW-RS.
        ae_title, host, port, tls: of a ``dicom`` destination; ``tls`` uses the node's certificates.
        url: of a ``web`` destination's DICOMweb service.
        token_env: environment variable that holds a bearer token for it.
        results: which objects it gets.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9_-]{1,32}$")
    kind: Literal["dicom", "web"] = "dicom"
    ae_title: str = ""
    host: str = ""
    port: int = Field(default=104, gt=0, lt=65536)
    tls: bool = False
    url: str = ""
    token_env: str = ""
    results: tuple[Kind, ...] = ("rtstruct", "sr", "pdf")

    @model_validator(mode="after")
    def _is_whole(self) -> Destination:
        if self.kind == "dicom" and not (self.ae_title and self.host):
            raise ValueError(f"destination '{self.name}' needs ae_title and host")
        if self.kind == "web" and not self.url.startswith(("http://", "https://")):
            raise ValueError(f"destination '{self.name}' needs the url of a DICOMweb service")
        return self


class NodeConfig(_Strict):
    """A node's settings; ``rtqc node --example`` prints them with what they mean."""

    state: Path
    reports: Path | None = None
    ae_title: str = Field(default="RTQC", min_length=1, max_length=16)
    host: str = "127.0.0.1"
    port: int = Field(default=11112, ge=0, lt=65536)
    callers: tuple[CallerConfig, ...] = ()
    anybody: bool = False
    tls: TlsConfig | None = None
    most_associations: int = Field(default=10, gt=0)
    most_object_mib: int = Field(default=512, gt=0)
    least_free_mib: int = Field(default=2048, ge=0)
    quiet_seconds: float = Field(default=120.0, gt=0)
    keep_days: float = Field(default=7.0, gt=0)
    give_up_days: float = Field(default=7.0, gt=0)
    case_seconds: float = Field(default=600.0, gt=0)
    case_memory_mib: int = Field(default=0, ge=0)
    protocol: str | None = None
    scope: Literal["plan", "contour"] = "plan"
    model: str = DEFAULT_MODEL
    device: Literal["auto", "cpu", "cuda", "tensorrt", "directml", "coreml"] = "auto"
    threads: int = Field(default=0, ge=0)
    destinations: tuple[Destination, ...] = ()

    @model_validator(mode="after")
    def _is_safe(self) -> NodeConfig:
        if not self.callers and not self.anybody:
            raise ValueError("name the [[callers]] that may send, or say anybody = true")
        names = [d.name for d in self.destinations]
        if len(set(names)) < len(names):
            raise ValueError("two destinations have one name")
        if any(d.tls for d in self.destinations) and self.tls is None:
            raise ValueError("a destination wants TLS, but there is no [tls] with certificates")
        return self

    def door(self) -> Door:
        """Where and from whom objects are taken."""
        return Door(
            self.ae_title,
            self.host,
            self.port,
            tuple(Caller(c.ae_title, c.address) for c in self.callers),
            self.tls.tls() if self.tls is not None else None,
            self.most_associations,
            self.most_object_mib << 20,
            self.least_free_mib << 20,
        )

    def peer(self, destination: Destination) -> Peer:
        """A ``dicom`` destination as a peer."""
        tls = self.tls.tls() if destination.tls and self.tls is not None else None
        return Peer(destination.ae_title, destination.host, destination.port, self.ae_title, tls)

    @property
    def results(self) -> tuple[Kind, ...]:
        """Objects that any destination gets."""
        wanted = {kind for d in self.destinations for kind in d.results}
        return tuple(kind for kind in FILES if kind in wanted)


def load_config(path: Path) -> NodeConfig:
    """A node's settings from a TOML file; paths in it are from where the file lies, a protocol's and a model's too.

    Raises:
        SettingsError: it cannot be used; the message says why.
    """
    config = load_settings(path, NodeConfig)
    base = path.resolve().parent
    moved: dict[str, object] = {"state": base / config.state}
    if config.reports is not None:
        moved["reports"] = base / config.reports
    for key, named in (("protocol", config.protocol), ("model", config.model)):
        if named and (base / named).exists():
            moved[key] = str(base / named)
    if config.tls is not None:
        moved["tls"] = TlsConfig(**{key: base / file for key, file in config.tls})
    return config.model_copy(update=moved)


def example_config() -> str:
    """A file to begin with."""
    return _EXAMPLE


_EXAMPLE = """\
# Settings of `rtqc node CONFIG.toml`. Paths are from where this file lies.
state = "rtqc-node"            # what was received, is checked and is to be sent; keep it on a local disk
reports = "reports"            # report.html and assessment.json of every plan go here too
ae_title = "RTQC"              # callers must call this
host = "127.0.0.1"             # 0.0.0.0 listens on every address of the machine
port = 11112
quiet_seconds = 120            # a plan that is not complete is checked when nothing came for so long
keep_days = 7                  # received objects and sent results are deleted then
give_up_days = 7               # results that no destination took are laid aside then (state/failed)
least_free_mib = 2048          # with less free disk nothing more is taken
most_object_mib = 512          # an object is held in memory until it is written
most_associations = 10
case_seconds = 600             # a plan that takes longer to check has no verdict
case_memory_mib = 0            # nor one that takes more memory; 0: 8192, or 80 % of the machine's
# protocol = "breast-40-15"    # left out: the one that each plan asks for
scope = "plan"                 # what a pass must cover: "plan" (contour, dose, plan, image), or "contour" (contour and image only)
model = "heart-v2"
device = "auto"

[[callers]]                    # who may send; left out with `anybody = true`: everybody
ae_title = "TPS"
address = "127.0.0.1"          # left out: any address

# [tls]                        # encrypted associations, both sides show a certificate
# certificate = "node.pem"
# key = "node.key"
# authority = "clinic-ca.pem"

[[destinations]]               # C-STORE
name = "pacs"
ae_title = "PACS"
host = "127.0.0.1"
port = 4242
results = ["rtstruct", "sr", "pdf"]

# [[destinations]]             # STOW-RS
# name = "web"
# kind = "web"
# url = "https://pacs.clinic.example/dicom-web"
# token_env = "PACS_TOKEN"     # a bearer token is taken from this variable
# results = ["seg", "sr"]
"""
