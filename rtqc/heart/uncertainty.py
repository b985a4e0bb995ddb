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

    def along(self, structure: Structure) -> dict[float, list[NDArray[np.float64]]]:
        """Values at the vertices of each ring, by plane, in the order of the plane's polygons and their exteriors."""
        values = {}
        for w, area in structure.planes.items():
            rings = [np.asarray(p.exterior.coords)[:, :2] for p in area.geoms]
            values[w] = [
                self.at(structure.orientation.to_patient(np.column_stack([ring, np.full(len(ring), w)]))) for ring in rings
            ]
        return values


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
