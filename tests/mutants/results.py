"""What became of the mutants, kept from run to run in ``build/mutants``."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path

from tests.mutants.equivalent import Equivalent
from tests.mutants.operators import Mutant
from tests.mutants.runner import Outcome

#: What counts as noticed.
NOTICED = ("killed", "timeout")


class Results:
    """Of one room. What was noticed stays so while its file is the same; what was not is tried again when a test is changed."""

    def __init__(self, path: Path, state: str) -> None:
        """See the class.

        Args:
            path: of the JSON file.
            state: of the room's files and tests.
        """
        self._path, self._state = path, state
        self._kept: dict[str, dict[str, object]] = json.loads(path.read_text()) if path.exists() else {}

    def todo(self, mutants: Iterable[Mutant]) -> Iterator[Mutant]:
        """Those that nothing is known of."""
        return (m for m in mutants if self.of(m) is None)

    def of(self, mutant: Mutant) -> Outcome | None:
        """What became of one, if that still holds."""
        kept = self._kept.get(mutant.key)
        if kept is None or kept["file"] != _hash_of(mutant):
            return None
        if kept["state"] not in NOTICED and kept["tests"] != self._state:
            return None
        return Outcome(str(kept["state"]), str(kept["by"]))

    def add(self, outcomes: Iterable[tuple[Mutant, Outcome]]) -> None:
        """Keep what became of some."""
        for mutant, outcome in outcomes:
            self._kept[mutant.key] = {"file": _hash_of(mutant), "tests": self._state, "state": outcome.state, "by": outcome.by}
        self._path.write_text(json.dumps(self._kept, indent=0, sort_keys=True))


def summary(
    room: str, found: list[tuple[Mutant, Outcome]], total: int, excused: list[Equivalent]
) -> tuple[str, list[str], float]:
    """A line for a room, a line for each survivor, and the rate in percent of those that are not equivalent."""
    equal = {m.key for m, o in found if o.state not in NOTICED and any(e.is_of(m) for e in excused)}
    counted = [(m, o) for m, o in found if m.key not in equal]
    states = Counter(o.state for _, o in counted)
    noticed = sum(states[s] for s in NOTICED)
    rate = 100 * noticed / len(counted) if counted else 0.0
    line = (
        f"{room}: {noticed} of {len(counted)} noticed ({rate:.1f} %); {states['survived']} survived, {states['unseen']} on lines that no test runs, "
        f"{len(equal)} equivalent; {len(found)} of {total} made"
    )
    survivors = [
        f"{m.file}:{m.line} ({o.state}) {m.text}\n    {m.old} -> {m.new}" for m, o in counted if o.state not in NOTICED
    ]
    return line, survivors, rate


def _hash_of(mutant: Mutant) -> str:
    return sha256(mutant.source.encode()).hexdigest()[:16]
