"""Levels of the chest that a model tells by heights: each voxel says how far above the carina, and the heart's two ends, it lies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from rtqc.core.grid import Grid
from rtqc.heart.manifest import LevelName

Volume = NDArray[np.float32]

#: Levels in the order of a model's height channels: carina, lower border of the left pulmonary artery (the upper limit of the heart
#: after Feng et al., IJROBP 79, 10, 2011), lower end of the heart.
LEVELS: tuple[LevelName, ...] = get_args(LevelName)
#: A height channel is 1 from so far above its level on, and -1 from so far below, in mm.
HEIGHT_SCALE_MM = 60.0
#: Voxels that lie nearer to a level than this, as they say, are asked for it: further away the scale saturates.
_ASKED_MM = 30.0
#: So many voxels make a level.
_LEAST_VOXELS = 200


@dataclass(frozen=True)
class Level:
    """Where a model sees a level.

    Attributes:
        z_mm: height in patient coordinates (LPS), in mm.
        spread_mm: standard deviation of what single voxels say, from the middle half of them, in mm.
    """

    z_mm: float
    spread_mm: float


def level_of(heights: Volume, grid: Grid, asked: NDArray[np.bool_]) -> Level | None:
    """A level from one height channel; None where too few voxels lie near it.

    Args:
        heights: shape ``grid.shape``, in units of :data:`HEIGHT_SCALE_MM`.
        grid: even, axial, slices running upward.
        asked: voxels that are asked, shape ``grid.shape``: those near the heart in the transverse plane.
    """
    mm = heights * np.float32(HEIGHT_SCALE_MM)
    near = asked & (np.abs(mm) < _ASKED_MM)
    if int(near.sum()) < _LEAST_VOXELS:
        return None
    z = np.broadcast_to(grid.positions_mm[:, None, None], mm.shape)[near] - mm[near]
    low, middle, high = np.percentile(z, (25, 50, 75))
    return Level(float(middle), float((high - low) / 1.349))
