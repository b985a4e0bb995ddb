"""How often a ring crosses itself, counted no further than anybody wants to know.

A star of n points crosses itself up to n²/2 times, and whatever mends it makes a point of each crossing: a file of 100 kB becomes
gigabytes. So crossings are counted before a ring is mended, a few edges at a time, and counting ends with the answer.
"""

from __future__ import annotations

import numpy as np
import shapely
from numpy.typing import NDArray

#: Edges that are looked at together.
_BLOCK = 64


def cross_more_often(ring_mm: NDArray[np.float64], most: int) -> bool:
    """Whether edges of a closed ring cross more than so many times; edges that only touch do not cross.

    Args:
        ring_mm: (n, 2); the last point does not repeat the first.
        most: crossings that are allowed.

    >>> angles = np.arange(101) * 50 * 2 * np.pi / 101
    >>> star = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    >>> cross_more_often(star, 100), cross_more_often(star, 101 * 49)
    (True, False)
    """
    ends = np.roll(ring_mm, -1, axis=0)
    edges = shapely.linestrings(np.stack([ring_mm, ends], axis=1))
    tree = shapely.STRtree(edges)
    found = 0
    for start in range(0, len(edges), _BLOCK):
        one, other = tree.query(edges[start : start + _BLOCK])
        one = one + start
        later = other > one
        one, other = one[later], other[later]
        found += int(_cross(ring_mm[one], ends[one], ring_mm[other], ends[other]).sum())
        if found > most:
            return True
    return False


def _cross(a: NDArray[np.float64], b: NDArray[np.float64], c: NDArray[np.float64], d: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether segments ab and cd cross, each (n, 2): the ends of each lie on both sides of the other."""
    return np.asarray((_side(a, b, c) * _side(a, b, d) < 0) & (_side(c, d, a) * _side(c, d, b) < 0))


def _side(a: NDArray[np.float64], b: NDArray[np.float64], p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Positive where p lies left of ab, negative where it lies right of it."""
    return np.asarray(
        np.sign((b[:, 0] - a[:, 0]) * (p[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (p[:, 0] - a[:, 0])), np.float64
    )
