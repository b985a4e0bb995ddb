"""Workers that die while they start are replaced, and a night without any ends instead of waiting for ever."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from rtqc.nightly import cluster
from rtqc.nightly.cluster import Replacements


class _Cluster:
    """What of a cluster is looked at: names of the workers that were asked for, and of those that are there."""

    def __init__(self, *names: int) -> None:
        self.worker_spec: dict[int, dict[str, Any]] = {name: {} for name in names}
        self.scheduler = SimpleNamespace(workers={name: SimpleNamespace(name=name) for name in names})
        self.started = max(names)

    def scale(self, count: int) -> None:
        while len(self.worker_spec) < count:
            self.started += 1
            self.worker_spec[self.started] = {}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr(cluster, "time", SimpleNamespace(monotonic=lambda: now[0]))
    return now


def test_who_is_missing_for_long_is_replaced_and_nobody_else(clock: list[float]) -> None:
    ours = _Cluster(0, 1)
    look = Replacements(ours, 2)  # type: ignore[arg-type]
    look()
    del ours.scheduler.workers[0]
    look()
    clock[0] = 59.0
    look()
    assert set(ours.worker_spec) == {0, 1}
    clock[0] = 61.0
    look()
    assert set(ours.worker_spec) == {1, 2}


def test_who_comes_back_is_not_replaced(clock: list[float]) -> None:
    ours = _Cluster(0)
    look = Replacements(ours, 1)  # type: ignore[arg-type]
    worker = ours.scheduler.workers.pop(0)
    look()
    clock[0] = 50.0
    ours.scheduler.workers[0] = worker
    look()
    del ours.scheduler.workers[0]
    clock[0] = 70.0
    look()
    assert set(ours.worker_spec) == {0}


def test_when_replacements_die_too_the_night_ends(clock: list[float]) -> None:
    ours = _Cluster(0)
    look = Replacements(ours, 1)  # type: ignore[arg-type]
    ours.scheduler.workers.clear()
    for _ in range(7):
        look()
        clock[0] += 61.0
    assert ours.started == 3
    with pytest.raises(RuntimeError, match="no worker could be started"):
        look()
