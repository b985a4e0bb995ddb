"""Planted errors of the heart against its neighbours."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from rtqc.dicom.study import DrawnRoi
from rtqc.phantom.errors import planted
from rtqc.phantom.plan import SyntheticPlan


def _moved(roi: DrawnRoi, shift_mm: tuple[float, float, float]) -> DrawnRoi:
    return replace(roi, contours=tuple(replace(c, points_mm=c.points_mm + np.array(shift_mm)) for c in roi.contours))


@planted("anatomy.overlap", 60, "mm", "the heart was copied this far back, over vertebrae and spinal cord")
def heart_over_spine(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    return plan.redrawn("Heart", lambda roi: _moved(roi, (0.0, magnitude, 0.0)))


@planted("anatomy.lung_gap", 60, "mm", "the lungs are those of another image: this far off the heart to the side")
def lungs_apart(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    apart = plan.redrawn("Lung_L", lambda roi: _moved(roi, (magnitude, 0.0, 0.0)))
    return apart.redrawn("Lung_R", lambda roi: _moved(roi, (-magnitude, 0.0, 0.0)))
