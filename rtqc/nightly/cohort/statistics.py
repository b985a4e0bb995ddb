"""Intervals for shares and for agreement."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import t as student_t

#: Of a normal distribution, for 95 %.
_Z = 1.959964


def wilson(found: float, count: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share (E. B. Wilson, J Am Stat Assoc 22:209, 1927); nothing known of nothing.

    >>> [round(v, 4) for v in wilson(10, 20)]
    [0.2993, 0.7007]
    """
    if count == 0:
        return (0.0, 1.0)
    share, z2 = found / count, _Z**2
    centre = (share + z2 / (2 * count)) / (1 + z2 / count)
    half = _Z / (1 + z2 / count) * float(np.sqrt(share * (1 - share) / count + z2 / (4 * count**2)))
    return (max(centre - half, 0.0), min(centre + half, 1.0))


@dataclass(frozen=True)
class BlandAltman:
    """Agreement of two measurements of the same things (Bland and Altman, Lancet 1:307, 1986).

    Attributes:
        count: pairs.
        bias: mean difference.
        lower, upper: limits of agreement, the mean difference less and plus 1.96 standard deviations.
        bias_low, bias_high: 95 % interval of the mean difference, by Student's t for so few pairs.
        lower_low, lower_high, upper_low, upper_high: 95 % intervals of the limits, whose variance is that of the mean difference and 1.96² that of the
            standard deviation (Bland and Altman, Stat Methods Med Res 8:135, 1999, section 2).
    """

    count: int
    bias: float
    lower: float
    upper: float
    bias_low: float
    bias_high: float
    lower_low: float
    lower_high: float
    upper_low: float
    upper_high: float


def bland_altman(first: ArrayLike, second: ArrayLike) -> BlandAltman | None:
    """Second minus first; None of fewer than two pairs."""
    differences = np.asarray(second, float) - np.asarray(first, float)
    if differences.size < 2:
        return None
    bias, sd = float(differences.mean()), float(differences.std(ddof=1))
    # Of three pairs the normal distribution's interval is less than half as wide as it must be.
    count = differences.size
    t = float(student_t.ppf(0.975, count - 1))
    error = t * sd / float(np.sqrt(count))
    of_limit = t * sd * float(np.sqrt(1 / count + _Z**2 / (2 * (count - 1))))
    lower, upper = bias - _Z * sd, bias + _Z * sd
    return BlandAltman(
        count, bias, lower, upper, bias - error, bias + error, lower - of_limit, lower + of_limit, upper - of_limit, upper + of_limit
    )  # fmt: skip
