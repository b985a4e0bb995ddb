"""The planning system's own DVH as dose metrics: a third opinion, where the RTDOSE carries one."""

from __future__ import annotations

import numpy as np

from rtqc.core.assessment import DoseMetrics
from rtqc.core.case import PlanningDvh
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
