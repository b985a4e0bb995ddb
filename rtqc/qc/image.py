"""What the CT is like where the heart is."""

from __future__ import annotations

import numpy as np

from rtqc.cardiac import noise_of
from rtqc.core.assessment import ImageSummary
from rtqc.core.volumes import Image
from rtqc.geometry.rasterize import rasterize
from rtqc.qc.measurements import AIR_HU, Measurements

#: Density of a couch's shell is far above this, in HU.
_TABLE_HU = -850.0
#: A couch is at least so wide, in mm.
_TABLE_MM = 150.0


def image_summary(m: Measurements) -> ImageSummary | None:
    """Noise and CT number inside the heart, and whether a table is in view; None without a CT."""
    image = m.case.image
    if image is None:
        return None
    mask = m.heart_mask
    if (mask is None or not mask.any()) and m.draft is not None and not m.draft.structure.is_empty:
        mask = rasterize(m.draft.structure, image.grid).array
    if mask is None or not mask.any():
        return ImageSummary(table=_has_table(image))
    return ImageSummary(
        heart_hu=round(float(np.median(image.hu[mask])), 1),
        noise_hu=noise_of(image.hu, mask, image.grid.spacing_mm[1]),
        table=_has_table(image),
    )


def _has_table(image: Image) -> bool:
    """Whether below the body, after a gap of air, lies something as wide as a couch, on the middle slice."""
    hu = image.hu[image.grid.shape[0] // 2]
    column = np.array(image.grid.orientation.column)
    if abs(column[1]) < 0.9:
        return False
    hu = hu if column[1] > 0 else hu[::-1]
    body = hu > AIR_HU
    rows = np.flatnonzero(body.sum(axis=1) * image.grid.spacing_mm[1] >= _TABLE_MM / 3)
    if not rows.size:
        return False
    below = hu[rows[-1] + 1 :]
    dense = (below > _TABLE_HU).sum(axis=1) * image.grid.spacing_mm[1]
    return bool((dense >= _TABLE_MM).any())
