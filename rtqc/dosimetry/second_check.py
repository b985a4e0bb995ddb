"""The second calculation: dicompyler-core's DVH of the same ROI from the same files, code that we did not write.

Know its own error before blaming either: it tests pixel centres only and does not interpolate between planes. On heart-sized
shapes its volume is right to 0.1 %, its mean to 0.1 Gy, D2% up to 0.5 Gy low.
"""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any

from rtqc.core.assessment import DoseMetrics
from rtqc.dicom import has_absolute_offsets, plain_object, pydicom_with_read_file


def second_calculation(structure_set: Path, dose: Path, roi_number: int) -> DoseMetrics | None:
    """Heart dose by dicompyler-core.

    Args:
        structure_set, dose: RTSTRUCT and RTDOSE files.
        roi_number: ROI Number.

    Returns:
        Its numbers, or None where it cannot compute them: it knows no grid whose planes are given by absolute positions.
    """
    if has_absolute_offsets(dose):
        return None
    histogram = _histogram(structure_set, dose, roi_number)
    if histogram is None or histogram.volume <= 0 or histogram.counts.size < 2:
        return None
    volume = float(histogram.volume)

    def at_dose(gy: float) -> float:
        """Percent of the volume at or above a dose, from the cumulative counts in 1 cGy bins."""
        index = round(gy * 100)
        return round(100 * float(histogram.counts[index]) / volume, 3) if index < histogram.counts.size else 0.0

    return DoseMetrics(
        mean_gy=round(float(histogram.mean), 4),
        max_gy=round(float(histogram.max), 4),
        min_gy=round(float(histogram.min), 4),
        d2_percent_gy=round(float(histogram.dose_constraint(2).value), 4),
        d50_percent_gy=round(float(histogram.dose_constraint(50).value), 4),
        d98_percent_gy=round(float(histogram.dose_constraint(98).value), 4),
        **{f"v{x}_gy_percent": at_dose(x) for x in range(5, 45, 5)},
    )


def _histogram(structure_set: Path, dose: Path, roi_number: int) -> Any:
    pydicom_with_read_file()
    logging.getLogger("dicompylercore").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            from dicompylercore import dvhcalc

            return dvhcalc.get_dvh(str(structure_set), plain_object(dose), roi_number)
        except Exception:  # an opinion that cannot be had is no reason to stop: the report says that it is missing
            return None
