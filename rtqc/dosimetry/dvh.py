"""Dose-volume histogram: the structure's volume integrated over trilinear dose, finer than any voxel.

The solid that the contours mean (:mod:`rtqc.geometry.solid`) is cut into cells of about 2 mm that carry the share of them
that lies inside. Each cell has the dose of one point of its inner part, interpolated linearly between the eight dose points
around it. The points are spread over the cells evenly (a Kronecker sequence) instead of lying at their centres: a lattice
of centres along a dose gradient would make stairs of the DVH. Where few cells decide, in the hottest and the coldest part,
cells are cut so finely that several hundred make up the near-maximum volume. Volumes are scaled to area times slab thickness, the
number that a reviewer gets by hand.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from rtqc.core.assessment import Curve
from rtqc.core.repeatable import repeatable
from rtqc.core.structure import Structure
from rtqc.core.volumes import Dose
from rtqc.dosimetry.linear_quadratic import eqd2_gy
from rtqc.geometry.solid import SampledSolid, TooThinError, sample_solid

Floats = NDArray[np.float64]
#: Points of a structure's frame (n, 3), in mm -> dose at them (n,), in Gy; NaN where there is none.
DoseAtPoints = Callable[[Floats], Floats]

#: Widest step of the published curve, in Gy, and in percent of the volume: a dose that is read off it is that of the DVH.
CURVE_STEP_GY, CURVE_STEP_PERCENT = 0.1, 0.5
#: Volume of the near-maximum dose, in ml (TG-101 and many protocols).
NEAR_MAXIMUM_ML = 0.03
#: Side of a cell of a heart, in mm; small structures have smaller ones.
_CELL_MM = 2.0
#: Cells that make up the near-maximum volume where it lies, and how much of either end is cut so finely, in ml.
_CELLS_OF_NEAR_MAXIMUM, _REFINED_ML = 400, 0.5
#: Points this far outside the outermost dose points (in dose voxels) still count as inside: rounding of headers.
_EDGE_TOLERANCE = 1e-3
#: Steps of the three-dimensional Kronecker sequence with the plastic number's generalisation (Roberts, 2018).
_KRONECKER = np.array([0.8191725133961645 * 2**32, 0.6710436067037893 * 2**32, 0.5497004779019703 * 2**32], np.uint32)


@dataclass(frozen=True, eq=False)
class DVH:
    """Doses and volumes of a structure's cells, by ascending dose.

    Of an empty DVH every number is NaN: nothing has no dose, and 0 Gy would be one.

    Attributes:
        structure: its name.
        gy: dose of each cell, ascending, in Gy.
        ml: volume of each cell, in ml.
        w_mm: where each cell lies along the normal of the structure's planes, in mm.
        volume_ml: volume of the whole structure, in ml.
        covered_share: part of it that has a dose, 0 to 1: that lies inside the dose grid, and where a dose was calculated.
    """

    structure: str
    gy: Floats
    ml: Floats
    w_mm: Floats
    volume_ml: float
    covered_share: float

    @property
    def is_empty(self) -> bool:
        """Whether no part of the structure has a dose."""
        return self.gy.size == 0

    @property
    def mean_gy(self) -> float:
        """Mean dose, in Gy; NaN where the DVH is empty."""
        return float("nan") if self.is_empty else float(self.gy @ self.ml / self.ml.sum())

    @property
    def max_gy(self) -> float:
        """Highest dose of a cell, in Gy; NaN where the DVH is empty."""
        return float("nan") if self.is_empty else float(self.gy[-1])

    @property
    def min_gy(self) -> float:
        """Lowest dose of a cell, in Gy; NaN where the DVH is empty."""
        return float("nan") if self.is_empty else float(self.gy[0])

    def dose_at_volume_gy(self, ml: float) -> float:
        """The dose that the hottest ``ml`` receives at least, in Gy (D0.03cc); the maximum's cell for tiny volumes.

        NaN where the DVH is empty.
        """
        if self.is_empty:
            return float("nan")
        hottest = np.cumsum(self.ml[::-1])
        index = int(np.searchsorted(hottest, min(ml, hottest[-1]) * (1 - 1e-9)))
        return float(self.gy[::-1][min(index, self.gy.size - 1)])

    def dose_at_percent_gy(self, percent: float) -> float:
        """Dx%: the dose that the hottest x percent receives at least, in Gy (ICRU 83); NaN where the DVH is empty."""
        return self.dose_at_volume_gy(percent / 100 * float(self.ml.sum()))

    def volume_at_dose_percent(self, gy: float) -> float:
        """VxGy: percent of the volume that receives at least ``gy``; NaN where the DVH is empty."""
        if self.is_empty:
            return float("nan")
        index = int(np.searchsorted(self.gy, gy - 1e-9))
        return float(100 * self.ml[index:].sum() / self.ml.sum())

    def eqd2(self, fractions: int, alpha_beta_gy: float) -> DVH:
        """The same in doses that do as much in fractions of 2 Gy (:mod:`rtqc.dosimetry.linear_quadratic`), point by point.

        Args:
            fractions: of the plan, all alike.
            alpha_beta_gy: of the tissue, in Gy.

        Raises:
            ValueError: fewer than one fraction, or an alpha/beta that is not positive.
        """
        return replace(self, gy=eqd2_gy(self.gy, fractions, alpha_beta_gy))

    def with_uncovered(self, gy: float) -> DVH:
        """The same for the whole structure, as if what has no dose had one.

        With 0 Gy no metric but the minimum is above the true one, with an infinite dose none is below it.

        Args:
            gy: the assumed dose: 0, or infinite.
        """
        missing_ml = self.volume_ml - float(self.ml.sum())
        if missing_ml <= 0 or self.is_empty:
            return self
        order = slice(None, None, -1) if gy > self.max_gy else slice(None)
        parts = ((gy, self.gy), (missing_ml, self.ml), (float(self.w_mm.mean()), self.w_mm))
        doses, volumes, heights = (np.concatenate(([np.array([first]), known])[order]) for first, known in parts)
        return replace(self, gy=doses, ml=volumes, w_mm=heights)

    def curve(self) -> Curve:
        """The cumulative DVH in steps of at most :data:`CURVE_STEP_GY` and :data:`CURVE_STEP_PERCENT`; of an empty one a single point of no volume.

        The doses ascend, but not in even steps. D95% read off it, linearly between its points, is that of the DVH within 0.001 Gy.
        """
        if self.is_empty:
            return Curve(dose_gy=(0.0,), volume_ml=(0.0,))
        even = np.arange(0, self.max_gy + 2 * CURVE_STEP_GY, CURVE_STEP_GY)
        hottest = np.cumsum(self.ml[::-1])
        wanted = np.arange(CURVE_STEP_PERCENT, 100, CURVE_STEP_PERCENT) / 100 * hottest[-1]
        of_volume = self.gy[::-1][np.searchsorted(hottest, wanted * (1 - 1e-9))]
        # Rounded down, so that the cell whose dose it is still counts.
        doses = np.unique(np.r_[np.round(even, 2), np.floor(of_volume * 1e4) / 1e4])
        remaining = np.concatenate([np.cumsum(self.ml[::-1])[::-1], [0.0]])
        volumes = remaining[np.searchsorted(self.gy, doses - 1e-9)]
        return Curve(dose_gy=tuple(round(float(d), 4) for d in doses), volume_ml=tuple(round(float(v), 4) for v in volumes))


def dvh(structure: Structure, dose: Dose) -> DVH:
    """The DVH of a structure.

    Args:
        structure: in any orientation; empty, or too thin to have an inside, gives an empty DVH.
        dose: in any orientation; the part of the structure outside its grid, or where no dose was calculated, has no dose and is left out.
    """
    return dvh_of_points(structure, lambda points: dose_at(points, structure, dose))


@repeatable
def dvh_of_points(structure: Structure, dose_of: DoseAtPoints) -> DVH:
    """The DVH of a structure in a dose that is known by its value at any point, such as a sum of doses on different grids.

    Args:
        structure: as for :func:`dvh`.
        dose_of: dose at points of the structure's frame.
    """
    if structure.is_empty:
        return _without_dose(structure.name, 0.0)
    try:
        cells = _cells(sample_solid(structure, _CELL_MM))
    except TooThinError:
        return _without_dose(structure.name, structure.volume_ml)
    gy = dose_of(cells.points)
    cells, gy = _refined(cells, gy, dose_of)
    volume = structure.volume_ml
    ml = cells.share * cells.ml
    ml *= volume / ml.sum()
    inside = np.isfinite(gy)
    share = float(ml[inside].sum() / volume)
    if not inside.any():
        return _without_dose(structure.name, volume)
    order = np.argsort(gy[inside])
    heights = cells.points[inside, 2][order]
    return DVH(structure.name, gy[inside][order], ml[inside][order], heights, volume, min(share, 1.0))


def _without_dose(name: str, volume_ml: float) -> DVH:
    return DVH(name, np.empty(0), np.empty(0), np.empty(0), volume_ml, 0.0)


@dataclass(frozen=True, eq=False)
class _Cells:
    """Boxes that hold a part of a solid.

    Attributes:
        solid: of which.
        centres: (n, 3), as w, v, u, in mm.
        sides: of the boxes along w, v, u, in mm.
        share: of each that lies inside, (n,).
        points: a point of each one's inner part, as u, v, w, in mm.
    """

    solid: SampledSolid
    centres: Floats
    sides: Floats
    share: Floats
    points: Floats

    @property
    def ml(self) -> float:
        """Volume of a whole cell."""
        return float(self.sides.prod()) / 1000

    @classmethod
    def around(cls, solid: SampledSolid, centres: Floats, sides: Floats, depth: Floats, inward: Floats) -> _Cells:
        """Cells, given the distance of their centres below the surface (mm) and the way inward (n, 3); empty ones are left out."""
        # A plane at a distance cuts a box of such a width along its normal: the share falls from 1 to 0 over that width.
        width = np.maximum(np.abs(inward) @ sides, 1e-9)
        share = np.clip(0.5 + depth / width, 0, 1)
        kept = share > 0
        centres, share, inward, width = centres[kept], share[kept], inward[kept], width[kept]
        offsets = _spread(share.size) * sides
        # The inner part of a cell that the surface cuts is thinner than the cell, and its middle lies deeper.
        along = np.einsum("ij,ij->i", offsets, inward)
        offsets += ((1 - share) * (width / 2 - along))[:, None] * inward
        return cls(solid, centres, sides, share, (centres + offsets)[:, ::-1])

    def and_whole(self, centres: Floats) -> _Cells:
        """With cells that lie wholly inside, by their centres (n, 3)."""
        points = (centres + _spread(len(centres)) * self.sides)[:, ::-1]
        return _Cells(
            self.solid, np.concatenate([self.centres, centres]), self.sides,
            np.concatenate([self.share, np.ones(len(centres))]), np.concatenate([self.points, points]),
        )  # fmt: skip


def _cells(solid: SampledSolid) -> _Cells:
    """The samples' own cells."""
    inside = solid.field > 0
    border = np.zeros_like(inside)
    for axis in range(3):
        change = np.diff(inside, axis=axis)
        for side in (slice(1, None), slice(None, -1)):
            border[tuple(side if a == axis else slice(None) for a in range(3))] |= change
    cut, whole = np.argwhere(border), np.argwhere(inside & ~border)
    depth, inward = solid.depth_of(cut)
    cells = _Cells.around(solid, cut * solid.step + solid.first, solid.step, depth, inward)
    return cells.and_whole(whole * solid.step + solid.first)


def _spread(count: int) -> Floats:
    """Points spread evenly over a cube of side 1 around 0, (n, 3): fractions of multiples, as what is left of 32-bit integers."""
    return np.asarray((np.arange(count, dtype=np.uint32)[:, None] * _KRONECKER) * 2.0**-32 - 0.5, np.float64)


def _refined(cells: _Cells, gy: Floats, dose_of: DoseAtPoints) -> tuple[_Cells, Floats]:
    """The cells with the hottest and the coldest ones cut up, and their doses (NaN outside the dose grid)."""
    cut = int(np.ceil((cells.ml / (NEAR_MAXIMUM_ML / _CELLS_OF_NEAR_MAXIMUM)) ** (1 / 3)))
    if cut < 2 or not np.isfinite(gy).any():
        return cells, gy
    chosen = np.zeros(gy.size, bool)
    for ranked in (gy, -gy):
        chosen[_first(np.where(np.isfinite(ranked), ranked, np.inf), cells.share * cells.ml, _REFINED_ML)] = True
    chosen &= np.isfinite(gy)
    steps = (np.arange(cut) + 0.5) / cut - 0.5
    offsets = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3) * cells.sides
    centres = (cells.centres[chosen][:, None] + offsets).reshape(-1, 3)
    depth, inward = cells.solid.depth_at(centres[:, ::-1])
    fine = _Cells.around(cells.solid, centres, cells.sides / cut, depth, inward)
    whole = ~chosen
    merged = _Cells(
        cells.solid, np.concatenate([cells.centres[whole], fine.centres]), cells.sides,
        np.concatenate([cells.share[whole], fine.share / cut**3]), np.concatenate([cells.points[whole], fine.points]),
    )  # fmt: skip
    return merged, np.concatenate([gy[whole], dose_of(fine.points)])


def _first(values: Floats, ml: Floats, wanted_ml: float) -> NDArray[np.intp]:
    """The cells with the lowest values that hold a volume together."""
    # Sorting a few is enough; cells that the surface cuts hold little, so more are looked at than would do if all were whole.
    few = min(values.size, 16 * int(np.ceil(wanted_ml / float(ml.max()))))
    nearest = np.argpartition(values, few - 1)[:few]
    nearest = nearest[np.argsort(values[nearest])]
    return np.asarray(nearest[: int(np.searchsorted(np.cumsum(ml[nearest]), wanted_ml)) + 1])


def dose_at(points: Floats, structure: Structure, dose: Dose, zeros_count: bool = False) -> Floats:
    """Dose at points of the structure's frame, in Gy.

    Args:
        points: (n, 3), in mm.
        structure: in whose frame they lie.
        dose: in any orientation.
        zeros_count: whether exact zeros are doses everywhere.

    Returns:
        (n,); NaN outside the grid, and where the dose is exactly 0 because none was calculated (:mod:`rtqc.core.uncalculated`).
    """
    index = dose.grid.index_of_patient(structure.orientation.to_patient(points))
    limits = np.array(dose.grid.shape) - 1
    inside = ((index >= -_EDGE_TOLERANCE) & (index <= limits + _EDGE_TOLERANCE)).all(axis=1)
    gy = np.full(len(points), np.nan)
    at = np.clip(index[inside], 0, limits)
    gy[inside] = map_coordinates(dose.gy, at.T, order=1, output=np.float64)
    zero = np.flatnonzero(inside)[gy[inside] == 0]
    if zero.size and not zeros_count and dose.uncalculated is not None:
        nearest = np.rint(np.clip(index[zero], 0, limits)).astype(np.intp)
        gy[zero[dose.uncalculated[tuple(nearest.T)]]] = np.nan
    return gy
