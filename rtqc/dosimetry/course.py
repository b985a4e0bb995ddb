"""The dose of a course: several plans' doses added where the structure is, point by point.

Nothing is resampled. A DVH asks for the dose at points of the structure; each plan's dose is interpolated there on its own grid,
whatever its spacing and orientation, and the values are added. A point outside one of the grids has no known sum.

Doses in fractions of 2 Gy add only where each plan's part is converted with that plan's own dose a fraction, at each point: the
linear-quadratic model is not linear (:mod:`rtqc.dosimetry.linear_quadratic`)::

    EQD2 = sum over plans of  D_i (D_i / n_i + a/b) / (2 Gy + a/b)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from rtqc.core.structure import Structure
from rtqc.core.volumes import Dose
from rtqc.dosimetry.constraints import ConstraintLike, OrganDose
from rtqc.dosimetry.draft_error import MovedSurface
from rtqc.dosimetry.dvh import DVH, Floats, dose_at, dvh_of_points
from rtqc.dosimetry.metric import Metric

#: Dose at points (n, 3) of a structure's frame, in Gy; NaN where it is not known.
DoseAt = Callable[[Floats], Floats]


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

    in_2_gy = _sum_in_2_gy(structure, parts, alpha_beta_gy) if all(part.fractions for part in parts) else None
    physical = dvh_of_points(structure, _physical_sum(structure, parts))
    return OrganDose(physical, dvh_of_points(structure, in_2_gy) if in_2_gy is not None else None)


def course_draft_errors(
    surface: MovedSurface,
    parts: Sequence[DoseOfPlan],
    judged: OrganDose,
    constraints: Iterable[ConstraintLike],
    alpha_beta_gy: float,
    fractions: int | None = None,
) -> dict[str, float]:
    """How far off the draft's value of each of the heart's constraints may be in the sum (95 % level), by the constraint's id.

    The surface is moved in the sum of the doses: where the gradients of two plans cancel, the course has no error though both plans have.

    Args:
        surface: the draft's, with its moves.
        parts: as for :func:`course_dose`.
        judged: the draft's dose as it is held against the limits, of the same parts.
        constraints: of the protocol; those of other structures, and those whose error is not known, are left out.
        alpha_beta_gy: of the heart, in Gy.
        fractions: number of fractions that ``judged.physical`` is expressed in (:func:`in_fractions`); None: it is the physical dose.
    """
    in_2_gy = _sum_in_2_gy(surface.structure, parts, alpha_beta_gy) if judged.eqd2 is not None else None

    def isoeffective(points: Floats) -> Floats:
        assert in_2_gy is not None
        assert fractions
        return _in_fractions(in_2_gy(points), fractions, alpha_beta_gy)

    as_judged = isoeffective if fractions and in_2_gy is not None else _physical_sum(surface.structure, parts)
    wanted = [c for c in constraints if not c.structure]
    errors: dict[str, float] = {}
    for in_eqd2, gy_at, histogram in ((False, as_judged, judged.physical), (True, in_2_gy, judged.eqd2)):
        of_these = [c for c in wanted if c.eqd2 is in_eqd2]
        if not of_these or gy_at is None or histogram is None or histogram.is_empty:
            continue
        moved = surface.doses(gy_at, histogram)
        known = ((c.id, moved.error(Metric.named(c.metric))) for c in of_these)
        errors |= {name: error for name, error in known if error is not None}
    return errors


def _physical_sum(structure: Structure, parts: Sequence[DoseOfPlan]) -> DoseAt:
    def gy_at(points: Floats) -> Floats:
        return np.asarray(sum(dose_at(points, structure, part.dose) for part in parts))

    return gy_at


def _sum_in_2_gy(structure: Structure, parts: Sequence[DoseOfPlan], alpha_beta_gy: float) -> DoseAt:
    def gy_at(points: Floats) -> Floats:
        doses = (_eqd2(dose_at(points, structure, part.dose), part.fractions, alpha_beta_gy) for part in parts)
        return np.asarray(sum(doses))

    return gy_at


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
    return replace(eqd2, gy=_in_fractions(eqd2.gy, fractions, alpha_beta_gy))


def _in_fractions(eqd2_gy: Floats, fractions: int, alpha_beta_gy: float) -> Floats:
    half = fractions * alpha_beta_gy / 2
    return np.asarray(np.sqrt(half**2 + fractions * eqd2_gy * (2 + alpha_beta_gy)) - half)
