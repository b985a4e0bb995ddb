"""Intervals for shares and for agreement."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import f as fisher
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


@dataclass(frozen=True)
class IntraclassCorrelation:
    """Absolute agreement of raters who all rated the same things: ICC(2,1) of Shrout and Fleiss, ICC(A,1) of McGraw and Wong.

    Attributes:
        value: 1: all the same; not a number where nothing varies at all.
        low, high: its 95 % interval.
    """

    value: float
    low: float
    high: float


def intraclass_correlation(ratings: ArrayLike) -> IntraclassCorrelation:
    """Two-way random effects, absolute agreement, single rater.

    Shrout and Fleiss, Psychol Bull 86:420 (1979); interval of McGraw and Wong, Psychol Methods 1:30 (1996), table 7.

    Args:
        ratings: a row a thing, a column a rater; at least two of each, none missing.

    Raises:
        ValueError: there are fewer, or some are no numbers.

    The six targets and four judges of Shrout and Fleiss, table 2 (their table 4: 0.29):

    >>> found = intraclass_correlation([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]])
    >>> round(found.value, 4), round(found.low, 3), round(found.high, 3)
    (0.2898, 0.019, 0.761)
    """
    table = np.asarray(ratings, float)
    if table.ndim != 2 or min(table.shape) < 2 or not np.isfinite(table).all():
        raise ValueError("ratings must be finite, of at least two things by at least two raters")
    n, k = table.shape
    mean = table.mean()
    of_things = k * float(((table.mean(axis=1) - mean) ** 2).sum()) / (n - 1)
    of_raters = n * float(((table.mean(axis=0) - mean) ** 2).sum()) / (k - 1)
    residual = table - table.mean(axis=1, keepdims=True) - table.mean(axis=0, keepdims=True) + mean
    of_error = float((residual**2).sum()) / ((n - 1) * (k - 1))
    whole = of_things + (k - 1) * of_error + k / n * (of_raters - of_error)
    if of_things <= 0 or whole <= 0:
        return IntraclassCorrelation(float("nan"), float("nan"), float("nan"))
    value = (of_things - of_error) / whole
    if of_error + of_raters <= np.finfo(float).eps * of_things:
        return IntraclassCorrelation(1.0, 1.0, 1.0)
    a = k * value / (n * (1 - value))
    b = 1 + k * value * (n - 1) / (n * (1 - value))
    degrees = (a * of_raters + b * of_error) ** 2 / ((a * of_raters) ** 2 / (k - 1) + (b * of_error) ** 2 / ((n - 1) * (k - 1)))
    rest = k * of_raters + (k * n - k - n) * of_error
    upper_f = float(fisher.ppf(0.975, n - 1, degrees))
    lower_f = float(fisher.ppf(0.975, degrees, n - 1))
    low = n * (of_things - upper_f * of_error) / (upper_f * rest + n * of_things)
    high = n * (lower_f * of_things - of_error) / (rest + n * lower_f * of_things)
    return IntraclassCorrelation(value, low, high)
