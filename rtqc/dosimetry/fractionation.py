"""A dose limit in another number of fractions: the dose that does as much to a tissue, by the linear-quadratic model."""

from __future__ import annotations

import math


def converted_dose_gy(dose_gy: float, fractions: int, to_fractions: int, alpha_beta_gy: float) -> float:
    """The dose in another number of fractions with the same EQD2.

    ``D' (D' / n' + a/b) = D (D / n + a/b)``, solved for D'; both sides are the EQD2 times (2 Gy + a/b) (Withers, Thames and Peters,
    Radiother Oncol 1:187, 1983). Above about 8 Gy a fraction the model has not been shown to hold.

    Args:
        dose_gy: total dose in ``fractions``, in Gy.
        fractions, to_fractions: numbers of fractions, at least 1.
        alpha_beta_gy: of the tissue, in Gy, positive.

    Returns:
        The dose in ``to_fractions``, in Gy.

    Raises:
        ValueError: fewer than one fraction, a negative dose, or an alpha/beta that is not positive.

    >>> round(converted_dose_gy(50.0, 25, 25, 3.0), 6), round(converted_dose_gy(50.0, 25, 5, 3.0), 2)
    (50.0, 28.64)
    """
    if fractions < 1 or to_fractions < 1 or dose_gy < 0 or not alpha_beta_gy > 0:
        raise ValueError(
            f"a dose is converted between at least one fraction each with a positive alpha/beta, not {dose_gy} Gy in {fractions} to {to_fractions} with {alpha_beta_gy} Gy"
        )
    effect = dose_gy * (dose_gy / fractions + alpha_beta_gy)
    half = to_fractions * alpha_beta_gy / 2
    return math.sqrt(half * half + to_fractions * effect) - half
