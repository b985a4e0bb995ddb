"""How far off a draft's surface may be, everywhere: the map behind the report's dashed outline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from rtqc.core.grid import Grid
from rtqc.core.structure import Structure

Volume = NDArray[np.float32]

#: Logit of 84 %: between it and its negative lie the 68 % of one standard deviation.
_ONE_DEVIATION = 1.66
#: A surface that may be further off than this (one standard deviation, mm) is shown as unsure. A convention of rtqc: more than
#: a slice of a usual planning CT (2.5 to 3 mm), and more than twice what is usual on the real hearts.
UNSURE_MM = 5.0
#: Standard deviation of the heights of a draft's ends beyond what the map says, in mm. Where the heart begins is a convention: on patients of
#: other hospitals heart-v1's upper end was off by amounts that vary with 12 mm (their mean, 24 mm, is a habit that commissioning learns), its lower end is off
#: by 5 mm (root mean square of the model card's three unseen patients: 6, 3, 6).
UPPER_END_SD_MM, LOWER_END_SD_MM = 12.0, 6.0
#: No surface is told to be surer or less sure than this, in mm.
_RANGE_MM = (0.3, 40.0)


@dataclass(frozen=True, eq=False)
class UncertaintyMap:
    """Standard deviation of the surface's position, along its normal.

    Attributes:
        grid: an even axial grid.
        mm: shape ``grid.shape``; it means something at the surface only.
    """

    grid: Grid
    mm: Volume

    def at(self, patient_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """Values at points (n, 3) in patient coordinates, in mm."""
        index = self.grid.index_of_patient(patient_mm)
        return np.asarray(map_coordinates(self.mm, index.T, order=1, mode="nearest"), np.float64)

    def summary(self, structure: Structure) -> tuple[float, float, float] | None:
        """Median and 95th percentile along a structure's outlines, in mm, and the percent of them above :data:`UNSURE_MM`.

        None for an empty structure.
        """
        values, lengths = [], []
        for w, area in structure.planes.items():
            for polygon in area.geoms:
                ring = np.asarray(polygon.exterior.coords)[:, :2]
                middles = (ring[1:] + ring[:-1]) / 2
                patient = structure.orientation.to_patient(np.column_stack([middles, np.full(len(middles), w)]))
                values.append(self.at(patient))
                lengths.append(np.hypot(*np.diff(ring, axis=0).T))
        if not values:
            return None
        mm, length = np.concatenate(values), np.concatenate(lengths)
        order = np.argsort(mm)
        share = np.cumsum(length[order]) / length.sum()
        median, high = (float(mm[order][np.searchsorted(share, part)]) for part in (0.5, 0.95))
        return median, high, float(100 * length[mm > UNSURE_MM].sum() / length.sum())


def uncertainty_of(logits: Volume, looks: Sequence[Volume], grid: Grid, factor: float) -> UncertaintyMap:
    """The distance between the surfaces of 16 and 84 % probability, wider where single looks disagree.

    Args:
        logits: smooth, as the outline is traced on.
        looks: of single looks, unsmoothed; may be none.
        grid: where.
        factor: true distance over this estimate, from cases with known truth.
    """
    step = (grid.slice_spacing_mm, *grid.spacing_mm)
    slope = np.sqrt(sum(np.square(g) for g in np.gradient(logits, *step)))
    spread = np.std([np.clip(one, -8, 8) for one in looks], axis=0) if len(looks) > 1 else 0.0
    width = np.hypot(_ONE_DEVIATION, spread) / np.maximum(slope, 1e-3)
    return UncertaintyMap(grid, np.clip(factor * width, *_RANGE_MM).astype(np.float32))
