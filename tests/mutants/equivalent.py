"""Wrong changes that are none: ``equivalent.toml`` says of each why nobody can notice it, and a test holds the source against the file."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

from tests.mutants.operators import Mutant

FILE = Path(__file__).parent / "equivalent.toml"


@dataclass(frozen=True)
class Equivalent:
    """A change, or all changes of a line, that nobody can notice.

    Attributes:
        file: path from the root.
        text: the line, without the blanks around it.
        change: ``old -> new`` as the list of survivors has it; ``*``: any change of the line.
        reason: why.
    """

    file: str
    text: str
    change: str
    reason: str

    def is_of(self, mutant: Mutant) -> bool:
        """Whether it speaks of a mutant."""
        return self.file == mutant.file and self.text == mutant.text and self.change in ("*", f"{mutant.old} -> {mutant.new}")


def equivalents() -> list[Equivalent]:
    """All of them."""
    return [Equivalent(**entry) for entry in tomllib.loads(FILE.read_text()).get("mutant", [])]
