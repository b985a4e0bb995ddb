"""Thousands of rings in each other are tangled before they are compared."""

from __future__ import annotations

import pytest
from shapely import MultiPolygon, Point

import rtqc.geometry.rings as module
from rtqc.geometry.rings import combine_rings


def test_thousands_of_rings_in_each_other_are_tangled_and_not_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    def compared(_: object) -> list[tuple[int, int]]:
        raise AssertionError("compared one by one")

    monkeypatch.setattr(module, "_touching", compared)
    rings = [MultiPolygon([Point(0, 0).buffer(40 - 0.01 * k)]) for k in range(3000)]
    assert combine_rings(rings).tangled
    assert combine_rings((), rings).tangled
