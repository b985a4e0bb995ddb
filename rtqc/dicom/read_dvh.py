"""DVH Sequence of an RTDOSE -> the planning system's own DVHs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset

from rtqc.core.case import PlanningDvh
from rtqc.dicom.elements import decimals, items, number, text


def read_planning_dvhs(path: Path) -> dict[int, PlanningDvh]:
    """DVHs of single ROIs, by ROI Number; what cannot be understood is left out, because it is a third opinion only."""
    try:
        dataset = pydicom.dcmread(path, force=True, stop_before_pixels=True)
        entries = items(dataset, "DVHSequence")
    except Exception:  # a damaged file has been reported where its dose was read
        return {}
    found: dict[int, PlanningDvh] = {}
    for entry in entries:
        rois = items(entry, "DVHReferencedROISequence")
        curve = _curve(entry)
        # Several ROIs are a combination, and one that is taken away is its complement: neither is the organ.
        if curve is None or len(rois) != 1 or text(rois[0], "DVHROIContributionType").upper() == "EXCLUDED":
            continue
        roi = number(rois[0], "ReferencedROINumber")
        if roi is not None:
            found.setdefault(int(roi), curve)
    return found


def _curve(entry: Dataset) -> PlanningDvh | None:
    """PS3.3 C.8.8.4: pairs of a bin's width and its volume; cumulative volumes are those at the bin's lower end."""
    kind, unit = text(entry, "DVHType").upper(), text(entry, "DVHVolumeUnits").upper()
    values, bad = decimals(entry, "DVHData")
    scaling = number(entry, "DVHDoseScaling") or 1.0
    if text(entry, "DoseUnits").upper() != "GY" or kind not in ("CUMULATIVE", "DIFFERENTIAL") or unit not in ("CM3", "PERCENT"):
        return None
    if bad or values.size < 4 or values.size % 2 or not np.isfinite(values).all():
        return None
    widths, volumes = values[::2] * scaling, values[1::2]
    if (widths < 0).any() or (volumes < 0).any():
        return None
    gy = np.cumsum(widths) - widths[0]
    if kind == "DIFFERENTIAL":
        volumes = np.cumsum(volumes[::-1])[::-1]
    if volumes[0] <= 0 or (np.diff(volumes) > 1e-6 * volumes[0]).any():
        return None

    def stated(keyword: str) -> float | None:
        value = number(entry, keyword)
        return None if value is None else value * scaling

    return PlanningDvh(
        gy=tuple(gy.tolist()),
        share=tuple((volumes / volumes[0]).tolist()),
        volume_ml=float(volumes[0]) if unit == "CM3" else None,
        mean_gy=stated("DVHMeanDose"),
        min_gy=stated("DVHMinimumDose"),
        max_gy=stated("DVHMaximumDose"),
    )
