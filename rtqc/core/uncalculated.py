"""Where a dose grid says exactly 0 Gy because no dose was calculated there.

Scatter and leakage are never exactly zero over a volume of a patient: planning systems write exact zeros outside the region for which
they calculated (a box, some planes), outside the body, and below a threshold. A threshold is met where the dose has fallen to nearly nothing;
the end of a calculation region is met anywhere: between two neighbouring dose points the dose drops from a level that its own fall does not
explain to nothing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: Part of the grid's maximum that a dose would still have had, as it fell at the two last points before the zeros, for the zeros to be a jump:
#: low-dose thresholds lie below it, scatter within about 10 cm of a field above it (from knowledge).
JUMP_SHARE = 0.01


def uncalculated(gy: NDArray[np.float32]) -> NDArray[np.bool_] | None:
    """Points of exactly 0 Gy from which, along one of the grid's axes, the first dose that is met ends in a jump.

    Where the dose falls steeply but smoothly (the distal edge of protons, a penumbra), it is carried on by the ratio of its two last points.

    Args:
        gy: dose, shape (slices, rows, columns), in Gy.

    Returns:
        Of the same shape; None where there is no such point.
    """
    zero = gy == 0
    if not zero.any() or zero.all():
        return None
    least = JUMP_SHARE * float(gy.max())
    found = np.zeros(gy.shape, bool)
    for axis in range(gy.ndim):
        for order in (1, -1):
            view = tuple(slice(None, None, order) if a == axis else slice(None) for a in range(gy.ndim))
            found[view] |= _behind_a_jump(gy[view], zero[view], axis, least)
    return found if found.any() else None


def _behind_a_jump(gy: NDArray[np.float32], zero: NDArray[np.bool_], axis: int, least: float) -> NDArray[np.bool_]:
    """Zeros for which the last dose before them, in ascending order along an axis, is one that ends in a jump."""
    before = np.roll(gy, 1, axis)
    before[tuple(0 if a == axis else slice(None) for a in range(gy.ndim))] = 0
    with np.errstate(divide="ignore", invalid="ignore"):
        carried_on = np.where(before > gy, gy * (gy / before), gy)
    shape = [-1 if a == axis else 1 for a in range(gy.ndim)]
    index = np.arange(gy.shape[axis], dtype=np.int32).reshape(shape)
    last = np.maximum.accumulate(np.where(zero, np.int32(-1), index), axis=axis)
    jump = np.take_along_axis(carried_on > least, np.maximum(last, 0), axis)
    return np.asarray(zero & (last >= 0) & jump)
