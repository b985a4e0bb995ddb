"""Which files a room has, and which tests are its own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Room:
    """A part of the code and the tests that must notice what is wrong in it.

    Attributes:
        name: of the folder below ``rtqc``.
        without: patterns of files that are left out.
    """

    name: str
    without: tuple[str, ...] = ()

    @property
    def files(self) -> list[Path]:
        """Its source files."""
        here = ROOT / "rtqc" / self.name
        return [f for f in sorted(here.rglob("*.py")) if f.name != "__init__.py" and not any(f.match(p) for p in self.without)]

    @property
    def tests(self) -> list[str]:
        """What pytest is given: the room's tests and its doctests."""
        return [f"tests/{self.name}", f"rtqc/{self.name}"]


#: Of dicom, what reads; what writes, sends and receives is held against other programs.
ROOMS = {
    room.name: room
    for room in (
        Room("core"), Room("geometry"), Room("comparison"), Room("dosimetry"), Room("qc"),
        Room("dicom", ("write_*.py", "study*.py", "send.py", "receive.py", "query.py", "peer.py", "web.py", "quiet.py")),
        Room("cardiac"),
    )
}  # fmt: skip
