"""The linear-quadratic model without repair or repopulation: total doses in other fractions that do as much.

``EQD2 = D (D / n + a/b) / (2 Gy + a/b)`` for a total dose D in n equal fractions, and its inverse (Withers, Thames and Peters, Radiother Oncol
1:187, 1983). Above about 8 Gy a fraction the model has not been shown to hold.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

#: One dose, or doses of many points.
Gy = TypeVar("Gy", float, NDArray[np.float64])


def eqd2_gy(dose_gy: Gy, fractions: int, alpha_beta_gy: float) -> Gy:
    """Total doses in fractions of 2 Gy.

    Args:
        dose_gy: total dose in ``fractions``, in Gy, 0 or more.
        fractions: equal ones, n, at least 1.
        alpha_beta_gy: a/b of the tissue, in Gy.

    Raises:
        ValueError: fewer than one fraction, or an alpha/beta that is not positive.
    """
    _check(fractions, alpha_beta_gy)
    return dose_gy * (dose_gy / fractions + alpha_beta_gy) / (2 + alpha_beta_gy)


def in_fractions_gy(eqd2_gy: Gy, fractions: int, alpha_beta_gy: float) -> Gy:
    """Total doses in a number of equal fractions with a given EQD2: the inverse of :func:`eqd2_gy`.

    Args:
        eqd2_gy: total dose in fractions of 2 Gy, in Gy, 0 or more.
        fractions: n, at least 1.
        alpha_beta_gy: a/b of the tissue, in Gy.

    Raises:
        ValueError: fewer than one fraction, or an alpha/beta that is not positive.
    """
    _check(fractions, alpha_beta_gy)
    half = fractions * alpha_beta_gy / 2
    root: Gy = np.sqrt(half * half + fractions * eqd2_gy * (2 + alpha_beta_gy))
    return root - half


def _check(fractions: int, alpha_beta_gy: float) -> None:
    if fractions < 1 or not alpha_beta_gy > 0:
        raise ValueError(f"needs at least one fraction and a positive alpha/beta, not {fractions} and {alpha_beta_gy} Gy")
