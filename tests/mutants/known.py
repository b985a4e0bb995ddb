"""Wrong changes that were made by hand once, because a user would suffer from them: ``known/*.toml``."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.mutants.operators import Mutant
from tests.mutants.rooms import ROOT

FOLDER = Path(__file__).parent / "known"


@dataclass(frozen=True)
class Known:
    """A wrong change.

    Attributes:
        file: path from the root.
        old, new: text that stands there once, and what instead.
        user: what a user would get.
    """

    file: str
    old: str
    new: str
    user: str

    @property
    def room(self) -> str:
        """Whose tests must notice it."""
        return self.file.split("/")[1]

    def mutant(self) -> Mutant:
        """To be made.

        Raises:
            ValueError: the text does not stand there exactly once.
        """
        source = (ROOT / self.file).read_text()
        if source.count(self.old) != 1:
            raise ValueError(f"{self.file} has {source.count(self.old)} times: {self.old}")
        changed = source.replace(self.old, self.new)
        compile(changed, self.file, "exec")
        # From the first line that changes to the last.
        before = source.index(self.old)
        first = source.count("\n", 0, before) + 1
        last = first + self.old.count("\n")
        text = self.old.splitlines()[0].strip()
        return Mutant(
            self.file, _within(source, first, last), first, text, self.user, "known", 0, range(first, last + 1), changed
        )


def known_mutants(room: str | None = None) -> Iterator[Known]:
    """All of them, or those of a room."""
    for path in sorted(FOLDER.glob("*.toml")):
        for entry in tomllib.loads(path.read_text())["mutant"]:
            found = Known(**entry)
            if room in (None, found.room):
                yield found


def _within(source: str, first: int, last: int) -> str:
    """Dotted name of the function or class that holds some lines."""
    names: list[str] = []
    body = ast.parse(source).body
    while True:
        holder = next(
            (
                n
                for n in body
                if isinstance(n, ast.FunctionDef | ast.ClassDef) and n.body[0].lineno <= first and last <= (n.end_lineno or 0)
            ),
            None,
        )
        if holder is None:
            return ".".join(names)
        names.append(holder.name)
        body = holder.body
