"""The planning system's own DVH as dose metrics: a third opinion, where the RTDOSE carries one."""

from __future__ import annotations

import numpy as np
from scipy.integrate import trapezoid

from rtqc.core.assessment import DoseMetrics
from rtqc.core.case import PlanningDvh
from rtqc.core.structure import Structure
from rtqc.dosimetry.dvh import NEAR_MAXIMUM_ML

#: Means and volumes of a planning system's DVH may differ from ours by this share: the median precision of the DVHs of five clinical
#: systems, on shapes with known DVHs, was 0.9 to 3.2 % ("Assessment of dose-volume histogram precision for five clinical systems", Medical
#: Physics 2022; the abstract was read).
PLANNING_SHARE = 0.03


def planning_metrics(curve: PlanningDvh) -> DoseMetrics:
    """What its cumulative curve says, linear between its points; the mean as stated, else by integration."""
    gy, share = np.asarray(curve.gy), np.asarray(curve.share)

    def at_share(part: float) -> float:
        return round(float(np.interp(-part, -share, gy)), 4)

    mean = curve.mean_gy if curve.mean_gy is not None else float(trapezoid(share, gy))
    return DoseMetrics(
        mean_gy=round(mean, 4),
        max_gy=None if curve.max_gy is None else round(curve.max_gy, 4),
        min_gy=None if curve.min_gy is None else round(curve.min_gy, 4),
        d0_03cc_gy=at_share(NEAR_MAXIMUM_ML / curve.volume_ml)
        if curve.volume_ml and curve.volume_ml > NEAR_MAXIMUM_ML
        else None,
        **{f"d{x}_percent_gy": at_share(x / 100) for x in (2, 50, 98)},
        **{f"v{x}_gy_percent": round(100 * float(np.interp(x, gy, share, right=0.0)), 3) for x in range(5, 45, 5)},
    )


def mean_tolerance_gy(curve: PlanningDvh, mean_gy: float, least_gy: float) -> float:
    """How far the planning system's mean dose may be from ours before one of them is wrong, in Gy.

    Args:
        curve: the planning system's DVH.
        mean_gy: our mean dose, in Gy.
        least_gy: what always may differ, in Gy; larger doses may differ by :data:`PLANNING_SHARE`.
    """
    return max(least_gy, PLANNING_SHARE * mean_gy) + curve.mean_error_gy


def trapezoid_volume_ml(structure: Structure) -> float:
    """A structure's volume as planning systems count it that do not extend its ends by half a slice, in ml.

    The areas of neighbouring planes are joined by trapezoids, so that the structure ends on its outermost planes; a structure on a single
    plane has no volume then, and a gap that rtqc does not bridge has none either. rtqc's own volume (:attr:`rtqc.core.Structure.volume_ml`)
    has half a slice more at either end: 3 % of a heart, half of a structure on two planes.
    """
    if len(structure.planes) < 2:
        return 0.0
    areas, steps = structure.areas_mm2, np.diff(structure.positions_mm)
    return float(((areas[1:] + areas[:-1]) / 2 * steps)[structure.slabs.bridged].sum()) / 1000.0


def volume_agrees(curve: PlanningDvh, structure: Structure) -> bool:
    """Whether a planning system's volume is the structure's by either convention, or between them; True where it states none."""
    if curve.volume_ml is None:
        return True
    ends = sorted((trapezoid_volume_ml(structure), structure.volume_ml))
    return ends[0] * (1 - PLANNING_SHARE) <= curve.volume_ml <= ends[1] * (1 + PLANNING_SHARE)
