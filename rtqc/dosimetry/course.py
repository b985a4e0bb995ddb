"""The dose of a course: several plans' doses added where the structure is, point by point.

Nothing is resampled. A DVH asks for the dose at points of the structure; each plan's dose is interpolated there on its own grid,
whatever its spacing and orientation, and the values are added. A point outside one of the grids has no known sum.

Doses in fractions of 2 Gy add only where each plan's part is converted with that plan's own dose a fraction, at each point: the
linear-quadratic model is not linear (Withers et al., Cancer 52:2040, 1983)::

    EQD2 = sum over plans of  D_i (D_i / n_i + a/b) / (2 Gy + a/b)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from rtqc.core.structure import Structure
from rtqc.core.volumes import Dose
from rtqc.dosimetry.constraints import OrganDose
from rtqc.dosimetry.dvh import DVH, Floats, dose_at, dvh_of_points


@dataclass(frozen=True, eq=False)
class DoseOfPlan:
    """A plan's dose for all of its fractions, and how many these are; None where they are unknown or not alike."""

    dose: Dose
    fractions: int | None = None


def course_dose(structure: Structure, parts: Sequence[DoseOfPlan], alpha_beta_gy: float) -> OrganDose:
    """A structure's dose from several plans, physical and in fractions of 2 Gy.

    Args:
        structure: in any orientation, in the frame of reference that all doses share.
        parts: one a plan; at least one.
        alpha_beta_gy: of the structure's tissue, in Gy.

    Returns:
        Both DVHs; that in fractions of 2 Gy is None where the fractions of one plan are unknown. What lies outside one of the dose grids
        is not covered.

    Raises:
        ValueError: no plan, or an alpha/beta that is not positive.
    """
    if not parts:
        raise ValueError("a course has at least one plan")
    if not alpha_beta_gy > 0:
        raise ValueError(f"alpha/beta must be positive, not {alpha_beta_gy}")

    def physical(points: Floats) -> Floats:
        return np.asarray(sum(dose_at(points, structure, part.dose) for part in parts))

    def in_2_gy(points: Floats) -> Floats:
        doses = (_eqd2(dose_at(points, structure, part.dose), part.fractions, alpha_beta_gy) for part in parts)
        return np.asarray(sum(doses))

    known = all(part.fractions for part in parts)
    return OrganDose(dvh_of_points(structure, physical), dvh_of_points(structure, in_2_gy) if known else None)


def _eqd2(gy: Floats, fractions: int | None, alpha_beta_gy: float) -> Floats:
    assert fractions
    return gy * (gy / fractions + alpha_beta_gy) / (2 + alpha_beta_gy)


def in_fractions(eqd2: DVH, fractions: int, alpha_beta_gy: float) -> DVH:
    """Doses in fractions of 2 Gy as those that do as much in a number of equal fractions: the inverse of :meth:`DVH.eqd2`.

    With it a limit that was made for one fractionation holds for a course of several: what is compared with it does as much in the
    limit's fractions. ``D (D / n + a/b) = EQD2 (2 Gy + a/b)``, solved for D.

    Args:
        eqd2: DVH in fractions of 2 Gy.
        fractions: n.
        alpha_beta_gy: a/b of the tissue, in Gy.

    Raises:
        ValueError: fewer than one fraction, or an alpha/beta that is not positive.
    """
    if fractions < 1 or not alpha_beta_gy > 0:
        raise ValueError(f"needs at least one fraction and a positive alpha/beta, not {fractions} and {alpha_beta_gy}")
    half = fractions * alpha_beta_gy / 2
    return replace(eqd2, gy=np.sqrt(half**2 + fractions * eqd2.gy * (2 + alpha_beta_gy)) - half)
