"""Crossings of stars are known by formula: n (k - 1) where every k-th of n points is joined."""

from __future__ import annotations

import numpy as np
import pytest

from rtqc.geometry.crossings import cross_more_often


def star(points: int, step: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    angles = np.arange(points) * step * 2 * np.pi / points + 0.1
    return np.stack([50 * np.cos(angles), 50 * np.sin(angles)], axis=1)


@pytest.mark.parametrize(("points", "step"), [(5, 2), (7, 3), (101, 50), (201, 17), (333, 100)])
def test_crossings_of_a_star_are_counted(points: int, step: int) -> None:
    crossings = points * (step - 1)
    assert cross_more_often(star(points, step), crossings - 1)
    assert not cross_more_often(star(points, step), crossings)


def test_a_simple_ring_and_a_keyhole_do_not_cross() -> None:
    assert not cross_more_often(star(500, 1), 0)
    keyhole = np.array([(0, 0), (4, 0), (4, 4), (0, 4), (0, 1), (1, 1), (1, 3), (3, 3), (3, 1), (1, 1), (0, 1)], float)
    assert not cross_more_often(keyhole, 0)
