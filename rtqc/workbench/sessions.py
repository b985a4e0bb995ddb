"""Sessions: who has signed in, for how long. Kept in memory: a restart of the server signs everybody out."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field

#: A session ends so long after it was last used and after it began, in seconds: a tea break, a working day.
IDLE_SECONDS, LONGEST_SECONDS = 30 * 60.0, 12 * 3600.0
#: Of one account, the oldest goes; of all, nobody gets in before others have ended.
MOST_OF_ONE, MOST = 20, 2_000


@dataclass
class Session:
    """Somebody's session.

    Attributes:
        name: of the account.
        stamp: of the account's secret when the session began; a changed password ends it.
        csrf: what every request that changes something must carry.
        began, used: by a clock that is never set, in seconds.
    """

    name: str
    stamp: str
    began: float
    used: float
    csrf: str = field(default_factory=lambda: secrets.token_urlsafe(32))


class Sessions:
    """All sessions, by the hash of their cookie: whoever reads the memory's keys has no cookie."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Tests hand over a clock of their own."""
        self._clock = clock
        self._by_hash: dict[str, Session] = {}

    def start(self, name: str, stamp: str) -> tuple[str, Session] | None:
        """Begin a session; its cookie's value, and the session. None where there are too many."""
        self._sweep()
        own = [h for h, s in self._by_hash.items() if s.name == name]
        for old in own[: max(0, len(own) - MOST_OF_ONE + 1)]:
            del self._by_hash[old]
        if len(self._by_hash) >= MOST:
            return None
        token, now = secrets.token_urlsafe(32), self._clock()
        session = Session(name, stamp, now, now)
        self._by_hash[_hash(token)] = session
        return token, session

    def find(self, token: str) -> Session | None:
        """The session of a cookie, used now; None where it has ended or never was."""
        session = self._by_hash.get(_hash(token))
        if session is None:
            return None
        if self._is_over(session):
            self.end(token)
            return None
        session.used = self._clock()
        return session

    def end(self, token: str) -> None:
        """End a session."""
        self._by_hash.pop(_hash(token), None)

    def _is_over(self, session: Session) -> bool:
        now = self._clock()
        return now - session.used > IDLE_SECONDS or now - session.began > LONGEST_SECONDS

    def _sweep(self) -> None:
        for key in [k for k, s in self._by_hash.items() if self._is_over(s)]:
            del self._by_hash[key]


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
