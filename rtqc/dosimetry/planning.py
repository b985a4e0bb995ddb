"""The planning system's own DVH as dose metrics: a third opinion, where the RTDOSE carries one."""

from __future__ import annotations

import numpy as np

from rtqc.core.assessment import DoseMetrics
from rtqc.core.case import PlanningDvh
from rtqc.core.slabs import MAX_BRIDGED_SPACINGS
from rtqc.core.structure import Structure
from rtqc.dosimetry.dvh import NEAR_MAXIMUM_ML


def planning_metrics(curve: PlanningDvh) -> DoseMetrics:
    """What its cumulative curve says, linear between its points; the mean as stated, else by integration."""
    gy, share = np.asarray(curve.gy), np.asarray(curve.share)

    def at_share(part: float) -> float:
        return round(float(np.interp(-part, -share, gy)), 4)

    mean = curve.mean_gy if curve.mean_gy is not None else float(np.trapezoid(share, gy))
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


def trapezoid_volume_ml(structure: Structure) -> float:
    """A structure's volume as planning systems count it that do not extend its ends by half a slice, in ml.

    The areas of neighbouring planes are joined by trapezoids, so that the structure ends on its outermost planes; a structure on a single
    plane has no volume then, and a gap that rtqc does not bridge has none either. rtqc's own volume (:attr:`rtqc.core.Structure.volume_ml`) has half a slice more at either end: 3 % of a
    heart, half of a structure on two planes.
    """
    if len(structure.planes) < 2:
        return 0.0
    areas, steps = structure.areas_mm2, np.diff(structure.positions_mm)
    bridged = steps <= MAX_BRIDGED_SPACINGS * structure.usual_spacing_mm
    return float(((areas[1:] + areas[:-1]) / 2 * steps)[bridged].sum()) / 1000.0
