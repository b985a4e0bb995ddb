"""Nelson's eight rules on a control chart (L. S. Nelson, J Quality Technology 16:237, 1984).

The first, second, fifth and sixth are Western Electric's, with nine instead of eight values on one side.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rtqc.nightly.trends.charts import Limits, Values

#: Rule -> what it says.
NELSON: dict[int, str] = {
    1: "one value beyond three standard deviations",
    2: "nine values in a row on one side of the centre",
    3: "six values in a row rising or falling",
    4: "fourteen values in a row up and down in turn",
    5: "two of three values beyond two standard deviations on one side",
    6: "four of five values beyond one standard deviation on one side",
    7: "fifteen values in a row within one standard deviation",
    8: "eight values in a row beyond one standard deviation on either side",
}


@dataclass(frozen=True)
class Signal:
    """A rule that is met at a value, counted from 0: the last of those that meet it."""

    at: int
    rule: int


def nelson(values: Values, limits: Limits, rules: tuple[int, ...] = tuple(NELSON)) -> list[Signal]:
    """Every value at which a rule is met, in order."""
    z = (values - limits.centre) / limits.sigma
    found = [Signal(int(k), rule) for rule in rules for k in np.flatnonzero(_met(rule, z, values))]
    return sorted(found, key=lambda s: (s.at, s.rule))


def _met(rule: int, z: Values, values: Values) -> NDArray[np.bool_]:
    if rule == 1:
        return np.abs(z) > 3
    if rule == 2:
        return _run(z > 0, 9) | _run(z < 0, 9)
    if rule == 3:
        steps = np.diff(values)
        return _later(_run(steps > 0, 5) | _run(steps < 0, 5), z.size)
    if rule == 4:
        steps = np.sign(np.diff(values))
        turns = steps[1:] * steps[:-1] < 0
        return _later(_run(turns, 12), z.size)
    if rule == 5:
        return _of(z > 2, 2, 3) | _of(z < -2, 2, 3)
    if rule == 6:
        return _of(z > 1, 4, 5) | _of(z < -1, 4, 5)
    if rule == 7:
        return _run(np.abs(z) < 1, 15)
    return _run(np.abs(z) > 1, 8)


def _run(met: NDArray[np.bool_], count: int) -> NDArray[np.bool_]:
    """Where so many in a row end."""
    return _of(met, count, count)


def _of(met: NDArray[np.bool_], least: int, window: int) -> NDArray[np.bool_]:
    """Where at least so many of a window are met, the last one among them."""
    total = np.cumsum(met)
    before = np.concatenate([np.zeros(min(window, met.size), int), total[:-window]]) if met.size else total
    return np.asarray(met & (total - before >= least))


def _later(met: NDArray[np.bool_], size: int) -> NDArray[np.bool_]:
    """From steps between values to the values at their ends."""
    return np.concatenate([np.zeros(size - met.size, bool), met])
