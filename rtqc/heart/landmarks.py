"""Where lungs and carina are: what a heart's place in a chest is told by."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_fill_holes, center_of_mass, label

from rtqc.core.grid import Grid
from rtqc.heart.looks import BODY_HU

Volume = NDArray[np.float32]
Voxels = NDArray[np.bool_]

#: Darker than lung: air in a windpipe, blurred by voxels of 3 to 4 mm, in HU.
_AIRWAY_HU = -880.0
#: Cross-section of what of a windpipe is as dark as that (adults: 15 to 27 mm across), and of a main bronchus at least, in mm².
_TRACHEA_MM2, _BRONCHUS_MM2 = (35.0, 450.0), 25.0
#: From a slice to the next a windpipe moves by less than the first, in mm, and main bronchi lie no further from it than the second.
_STEP_MM, _APART_MM = 9.0, 26.0
#: A main bronchus lies so far to its side, in mm.
_ASIDE_MM = 5.0
#: A tube that keeps so much of its cross-section in its place goes on, whatever else is as dark beside it (emphysema).
_STAYS = 0.6
#: A windpipe is in view for at least so long, and begins at most so far above the lungs, in mm.
_LEAST_LENGTH_MM, _ABOVE_MM = 28.0, 20.0
#: It is looked for within this part of the lungs' width around their middle.
_MIDDLE_SHARE = 0.25


@dataclass(frozen=True)
class Landmarks:
    """Of a chest, in patient coordinates (LPS), in mm.

    Attributes:
        low, high: corners of the box around both lungs, without its outermost percent.
        carina_mm: height at which the windpipe parts; None where it was not seen.
    """

    low: tuple[float, float, float]
    high: tuple[float, float, float]
    carina_mm: float | None = None


def landmarks_of(hu: Volume, lungs: Voxels, grid: Grid) -> Landmarks | None:
    """Landmarks of a chest; None without lungs.

    Args:
        hu: on an even axial grid, in HU.
        lungs: of :func:`rtqc.heart.chest.lungs_of`.
        grid: where.
    """
    where = np.argwhere(lungs)
    if not where.size:
        return None
    low, high = (grid.patient_mm([np.percentile(where, percent, axis=0)])[0] for percent in (1, 99))
    corners = np.sort(np.stack([low, high]), axis=0)
    box = Landmarks(_triple(corners[0]), _triple(corners[1]))
    return Landmarks(box.low, box.high, _carina_mm(hu, grid, box))


def _triple(point: NDArray[np.float64]) -> tuple[float, float, float]:
    return (float(point[0]), float(point[1]), float(point[2]))


def _carina_mm(hu: Volume, grid: Grid, box: Landmarks) -> float | None:
    """Follow every tube of air down from the lungs' upper third; the windpipe is the one that goes on for long and then parts in two."""
    middle = (box.low[0] + box.high[0]) / 2
    reach = _MIDDLE_SHARE * (box.high[0] - box.low[0])
    x = grid.patient_mm([(0, 0, c) for c in range(hu.shape[2])])[:, 0]
    heights = grid.positions_mm * (1.0 if grid.orientation.normal[2] > 0 else -1.0)
    top, bottom = box.high[2], box.low[2]
    order = [int(k) for k in np.argsort(-heights) if bottom <= heights[k] <= top + _ABOVE_MM]
    pieces = []
    for k in order:
        air = (hu[k] < _AIRWAY_HU) & binary_fill_holes(hu[k] > BODY_HU) & (np.abs(x - middle) <= reach)
        pieces.append(_pieces(air, grid.spacing_mm))
    ends = []
    for start, k in enumerate(order):
        if heights[k] < top - (top - bottom) / 3:
            break
        for piece in pieces[start]:
            if _TRACHEA_MM2[0] <= piece.area <= _TRACHEA_MM2[1]:
                length, parted = _followed(piece, pieces[start + 1 :])
                if parted and length * grid.slice_spacing_mm >= _LEAST_LENGTH_MM:
                    ends.append((length, float(heights[order[start + length]])))
    return max(ends)[1] if ends else None


def _followed(piece: _Piece, below: list[list[_Piece]]) -> tuple[int, bool]:
    """How many slices a tube goes on for, and whether it parts in two there."""
    for length, pieces in enumerate(below, 1):
        near = [p for p in pieces if np.abs(p.middle - piece.middle).max() <= _APART_MM and p.area <= _TRACHEA_MM2[1]]
        sides = [p.middle[1] - piece.middle[1] for p in near if p.area >= _BRONCHUS_MM2]
        goes_on = any(np.abs(p.middle - piece.middle).max() < _ASIDE_MM and p.area >= _STAYS * piece.area for p in near)
        if not goes_on and min(sides, default=0.0) <= -_ASIDE_MM and max(sides, default=0.0) >= _ASIDE_MM:
            return length, True
        onward = [p for p in near if np.abs(p.middle - piece.middle).max() <= _STEP_MM and p.area >= _BRONCHUS_MM2]
        if not onward:
            return length, False
        piece = max(onward, key=lambda p: p.area)
    return len(below), False


@dataclass(frozen=True)
class _Piece:
    """Area in mm²; middle (y, x) in mm from the image's corner."""

    area: float
    middle: NDArray[np.float64]


def _pieces(air: Voxels, spacing_mm: tuple[float, float]) -> list[_Piece]:
    labels, count = label(air)
    if count == 0:
        return []
    numbers = np.arange(1, count + 1)
    areas = np.bincount(labels.ravel(), minlength=count + 1)[1:] * spacing_mm[0] * spacing_mm[1]
    middles = np.array(center_of_mass(air, labels, numbers)) * spacing_mm
    return [_Piece(float(a), m) for a, m in zip(areas, middles, strict=True) if a >= _BRONCHUS_MM2]
