"""Failed sign-ins: each one more makes the next wait longer."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable

#: So many failures are free: of a name from one address, of an address, of a name from everywhere. Somebody who knows a colleague's name shall not lock him out
#: from where he sits.
FREE = {"pair": 5, "address": 30, "name": 100}
#: The wait after the first that is not free, in seconds; it doubles up to the longest. A failure is forgotten after as long without another.
_FIRST, _LONGEST = 2.0, 15 * 60.0
_MOST_REMEMBERED = 20_000


class Throttle:
    """How long somebody has to wait before his next try."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Tests hand over a clock of their own."""
        self._clock = clock
        self._failed: OrderedDict[tuple[str, str], tuple[int, float]] = OrderedDict()

    def wait_seconds(self, name: str, address: str) -> float:
        """Seconds until the next try is allowed; 0: now."""
        return max(self._wait(key) for key in _keys(name, address))

    def tried(self, name: str, address: str) -> None:
        """A try: counted before its password is looked at, and taken back by :meth:`succeeded`."""
        for key in _keys(name, address):
            count = self._count(key) + 1
            self._failed[key] = (count, self._clock())
            self._failed.move_to_end(key)
        while len(self._failed) > _MOST_REMEMBERED:
            self._failed.popitem(last=False)

    def succeeded(self, name: str, address: str) -> None:
        """It was the right one: what was mistyped here before is forgotten; what others tried is not, but for this try."""
        pair, *others = _keys(name, address)
        self._failed.pop(pair, None)
        for key in others:
            count, last = self._failed.get(key, (1, 0.0))
            self._failed[key] = (max(0, count - 1), last)

    def _count(self, key: tuple[str, str]) -> int:
        count, last = self._failed.get(key, (0, 0.0))
        return count if self._clock() - last <= _LONGEST else 0

    def _wait(self, key: tuple[str, str]) -> float:
        over = self._count(key) - FREE[key[0]]
        if over < 0:
            return 0.0
        last = self._failed[key][1]
        pause: float = min(_FIRST * 2 ** min(over, 20), _LONGEST)
        return max(0.0, last + pause - self._clock())


def _keys(name: str, address: str) -> Iterable[tuple[str, str]]:
    return ("pair", f"{address}\n{name}"), ("address", address), ("name", name)
