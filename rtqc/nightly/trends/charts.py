"""Control charts of single values: XmR and EWMA, with limits from a baseline.

No kept library draws these limits from a robust baseline (the Python packages for control charts are dead or know the plain XmR only), and
the formulas are lines. Checked against the worked examples of the NIST/SEMATECH e-Handbook (6.3.2.2 and 6.3.2.4).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

#: Expected range of two values of a normal distribution, in standard deviations (d2 for n = 2), and its median.
_MEAN_RANGE, _MEDIAN_RANGE = 1.128, 0.954
#: Median absolute deviation to standard deviation of a normal distribution.
_MAD_TO_SIGMA = 1.4826
#: Three standard deviations on either side (Shewhart).
SHEWHART = 3.0
#: Weight of the newest value, and width of the limits in standard deviations of the average. The usual 0.1 and 2.8 alarm once in 500
#: plans where nothing changed (Montgomery, Introduction to Statistical Quality Control, table 9.11): a dozen times a year. At 3.5 it is once in
#: 4,000, and a change by one standard deviation still shows within 12 plans on average (both by simulation; tests/nightly).
EWMA_WEIGHT, EWMA_WIDTH = 0.1, 3.5


@dataclass(frozen=True)
class Limits:
    """Of a baseline: centre, standard deviation, and how many values they rest on."""

    centre: float
    sigma: float
    count: int

    @property
    def lower(self) -> float:
        """Lower natural process limit."""
        return self.centre - SHEWHART * self.sigma

    @property
    def upper(self) -> float:
        """Upper natural process limit."""
        return self.centre + SHEWHART * self.sigma


@dataclass(frozen=True, eq=False)
class Chart:
    """Values in order, their limits, and the average that drifts with them.

    Attributes:
        values: one a plan.
        limits: of the baseline.
        average: exponentially weighted, of values moved to the limits where they lie beyond: one gross error is not a drift.
        average_limits: half width of the average's limits at each plan.
    """

    values: Values
    limits: Limits
    average: Values
    average_limits: Values

    @classmethod
    def of(cls, values: Values, baseline: int) -> Chart:
        """A chart with limits from the first values."""
        limits = limits_of(values[:baseline], robust=True)
        average, half = ewma(np.clip(values, limits.lower, limits.upper), limits.centre, limits.sigma)
        return cls(values, limits, average, half)

    @property
    def drifting(self) -> NDArray[np.bool_]:
        """Where the average is beyond its limits."""
        return np.asarray(np.abs(self.average - self.limits.centre) > self.average_limits)

    @property
    def drift(self) -> int | None:
        """The plan since which the average is beyond its limits without a break; None where it is not now."""
        outside = self.drifting
        if not outside.size or not outside[-1]:
            return None
        inside = np.flatnonzero(~outside)
        return int(inside[-1]) + 1 if inside.size else 0


def limits_of(values: Values, robust: bool = False) -> Limits:
    """Limits of an XmR chart.

    Args:
        values: of the baseline, in order; at least two.
        robust: median and median moving range (Wheeler) instead of the means: a few contouring errors in the baseline do not widen them.

    Raises:
        ValueError: fewer than two values.
    """
    if values.size < 2:
        raise ValueError("limits need at least two values")
    ranges = np.abs(np.diff(values))
    if not robust:
        return Limits(float(values.mean()), float(ranges.mean()) / _MEAN_RANGE, values.size)
    return Limits(float(np.median(values)), _robust_sigma(values, ranges), values.size)


def _robust_sigma(values: Values, ranges: Values) -> float:
    """From the median moving range; from the mean one where most values are equal.

    Never less than half of what the median absolute deviation says: where neighbours are alike (one patient's plans one after the other),
    ranges tell too little.
    """
    deviation = _MAD_TO_SIGMA * float(np.median(np.abs(values - np.median(values))))
    sigma = max(float(np.median(ranges)) / _MEDIAN_RANGE, deviation / 2)
    return sigma if sigma > 0 else max(float(ranges.mean()) / _MEAN_RANGE, float(np.abs(values).max()) * 1e-9)


def ewma(
    values: Values, centre: float, sigma: float, weight: float = EWMA_WEIGHT, width: float = EWMA_WIDTH,
    kind: Literal["exact", "steady"] = "exact",
) -> tuple[Values, Values]:  # fmt: skip
    """The exponentially weighted moving average and half the width of its limits.

    Args:
        values: in order.
        centre: what it begins at.
        sigma: standard deviation of a value.
        weight: of the newest value, 0 to 1.
        width: of the limits, in standard deviations of the average.
        kind: ``exact``: limits grow as the average gets older; ``steady``: those it tends to.
    """
    average = np.empty(values.size)
    last = centre
    for k, value in enumerate(values):
        last = weight * value + (1 - weight) * last
        average[k] = last
    age = np.arange(1, values.size + 1) if kind == "exact" else np.full(values.size, np.inf)
    half = width * sigma * np.sqrt(weight / (2 - weight) * (1 - (1 - weight) ** (2 * age)))
    return average, half
