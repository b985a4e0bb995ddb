"""Dose-volume histogram: the structure's volume integrated over trilinear dose, finer than any voxel.

The structure is cut into cells of about 1 mm that carry the share of them that lies inside (from the depth field, so
contours between planes and slice ends follow the one documented rule); each cell has the dose of one point in it,
interpolated linearly between the eight dose points around it. The points are spread over the cells evenly (a Kronecker
sequence) instead of lying at their centres: a lattice of centres along a dose gradient would make stairs of the DVH.
Volumes are scaled to area times slab thickness, the number that a reviewer gets by hand.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from rtqc.core.assessment import Curve, DoseMetrics
from rtqc.core.structure import Structure
from rtqc.core.volumes import Dose
from rtqc.geometry.solid import SampledSolid, sample_solid

Floats = NDArray[np.float64]

#: Step of the published curve, in Gy.
CURVE_STEP_GY = 0.1
#: Volume of the near-maximum dose, in ml (TG-101 and many protocols).
NEAR_MAXIMUM_ML = 0.03
#: Points this far outside the outermost dose points (in dose voxels) still count as inside: rounding of headers.
_EDGE_TOLERANCE = 1e-3
#: Steps of the three-dimensional Kronecker sequence with the plastic number's generalisation (Roberts, 2018).
_KRONECKER = np.array([0.8191725133961645, 0.6710436067037893, 0.5497004779019703])


@dataclass(frozen=True, eq=False)
class DVH:
    """Doses and volumes of a structure's cells, by ascending dose.

    Attributes:
        structure: its name.
        gy: dose of each cell, ascending, in Gy.
        ml: volume of each cell, in ml.
        volume_ml: volume of the whole structure, in ml.
        covered_share: part of it that lies inside the dose grid, 0 to 1.
    """

    structure: str
    gy: Floats
    ml: Floats
    volume_ml: float
    covered_share: float

    @property
    def is_empty(self) -> bool:
        """Whether no part of the structure has a dose."""
        return self.gy.size == 0

    @property
    def mean_gy(self) -> float:
        """Mean dose, in Gy."""
        return float(self.gy @ self.ml / self.ml.sum())

    @property
    def max_gy(self) -> float:
        """Highest dose of a cell, in Gy."""
        return float(self.gy[-1])

    @property
    def min_gy(self) -> float:
        """Lowest dose of a cell, in Gy."""
        return float(self.gy[0])

    def dose_at_volume_gy(self, ml: float) -> float:
        """The dose that the hottest ``ml`` receives at least, in Gy (D0.03cc); the maximum's cell for tiny volumes."""
        hottest = np.cumsum(self.ml[::-1])
        index = int(np.searchsorted(hottest, min(ml, hottest[-1]) * (1 - 1e-9)))
        return float(self.gy[::-1][min(index, self.gy.size - 1)])

    def dose_at_percent_gy(self, percent: float) -> float:
        """Dx%: the dose that the hottest x percent receives at least, in Gy (ICRU 83)."""
        return self.dose_at_volume_gy(percent / 100 * float(self.ml.sum()))

    def volume_at_dose_percent(self, gy: float) -> float:
        """VxGy: percent of the volume that receives at least ``gy``."""
        index = int(np.searchsorted(self.gy, gy - 1e-9))
        return float(100 * self.ml[index:].sum() / self.ml.sum())

    def curve(self) -> Curve:
        """The cumulative DVH in steps of :data:`CURVE_STEP_GY`."""
        doses = np.arange(0, self.max_gy + 2 * CURVE_STEP_GY, CURVE_STEP_GY)
        remaining = np.concatenate([np.cumsum(self.ml[::-1])[::-1], [0.0]])
        volumes = remaining[np.searchsorted(self.gy, doses - 1e-9)]
        return Curve(dose_gy=tuple(round(float(d), 2) for d in doses), volume_ml=tuple(round(float(v), 4) for v in volumes))


def dvh(structure: Structure, dose: Dose) -> DVH:
    """The DVH of a structure.

    Args:
        structure: in any orientation; empty gives an empty DVH.
        dose: in any orientation; the part of the structure outside its grid has no dose and is left out.
    """
    if structure.is_empty:
        return DVH(structure.name, np.empty(0), np.empty(0), 0.0, 0.0)
    points, weights = _cells(structure)
    volume = structure.volume_ml
    weights *= volume / weights.sum()
    index = dose.grid.index_of_patient(structure.orientation.to_patient(points))
    limits = np.array(dose.grid.shape) - 1
    inside = ((index >= -_EDGE_TOLERANCE) & (index <= limits + _EDGE_TOLERANCE)).all(axis=1)
    share = float(weights[inside].sum() / volume)
    if not inside.any():
        return DVH(structure.name, np.empty(0), np.empty(0), volume, 0.0)
    gy = map_coordinates(dose.gy, np.clip(index[inside], 0, limits).T, order=1, output=np.float64)
    order = np.argsort(gy)
    return DVH(structure.name, gy[order], weights[inside][order], volume, min(share, 1.0))


def _cells(structure: Structure) -> tuple[Floats, Floats]:
    """A point of each cell (n, 3) in the structure's frame, in mm, and the share of the cell that lies inside."""
    solid = sample_solid(structure)
    share = _shares(solid)
    index = np.argwhere(share)
    within = (np.arange(len(index))[:, None] * _KRONECKER + 0.5) % 1.0 - 0.5
    points = (index + within) * solid.step + solid.first
    return points[:, ::-1], share[tuple(index.T)].astype(np.float64)


def _shares(solid: SampledSolid) -> NDArray[np.float32]:
    """Share of each sample's cell that lies inside: whole but at the surface, where its distance and slant decide."""
    inside = solid.field > 0
    border = np.zeros_like(inside)
    for axis in range(3):
        change = np.diff(inside, axis=axis)
        for side in (slice(1, None), slice(None, -1)):
            border[tuple(side if a == axis else slice(None) for a in range(3))] |= change
    share = inside.astype(np.float32)
    at = np.nonzero(border)
    slope = np.zeros((3, at[0].size))
    for axis in range(3):
        low, high = (
            tuple(np.clip(i + way, 0, solid.field.shape[a] - 1) if a == axis else i for a, i in enumerate(at))
            for way in (-1, 1)
        )
        slope[axis] = (solid.field[high] - solid.field[low]) / ((high[axis] - low[axis]) * solid.step[axis])
    # A plane at distance d cuts a box of such a width along its normal; the share falls from 1 to 0 over that width.
    steep = np.maximum(np.sqrt((slope**2).sum(axis=0)), 1e-6)
    width = np.abs(slope).T @ solid.step / steep
    share[at] = np.clip(0.5 + solid.field[at] / steep / width, 0, 1)
    return share


def metrics_of(histogram: DVH) -> DoseMetrics:
    """The published numbers of a DVH, rounded to 0.001 Gy and 0.01 %; all None where nothing has a dose."""
    covered = round(100 * histogram.covered_share, 2)
    if histogram.is_empty:
        return DoseMetrics(covered_percent=covered)
    volumes = {f"v{x}_gy_percent": round(histogram.volume_at_dose_percent(x), 3) for x in range(5, 45, 5)}
    doses = {f"d{x}_percent_gy": round(histogram.dose_at_percent_gy(x), 4) for x in (2, 50, 98)}
    return DoseMetrics(
        mean_gy=round(histogram.mean_gy, 4),
        max_gy=round(histogram.max_gy, 4),
        min_gy=round(histogram.min_gy, 4),
        d0_03cc_gy=round(histogram.dose_at_volume_gy(NEAR_MAXIMUM_ML), 4),
        covered_percent=covered,
        **volumes,
        **doses,
    )


def difference(draft: DoseMetrics, contoured: DoseMetrics) -> DoseMetrics:
    """Draft minus contoured, key by key; None where either is."""
    pairs = {k: (v, getattr(contoured, k)) for k, v in draft.model_dump().items()}
    return DoseMetrics(**{k: None if a is None or b is None else round(a - b, 4) for k, (a, b) in pairs.items()})
