"""A scan that shows less than the body's width, as cardiac scans do: what lies beyond its edge is not air.

A model that has learnt from whole chests takes the dark around a small field of view for lung or room, and draws the heart smaller. So the edge is
carried on outward before the model looks, and what it draws there is taken away again.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from rtqc.core.grid import Grid

Volume = NDArray[np.float32]
Voxels = NDArray[np.bool_]

#: Darker than this is no tissue and no lung, in HU.
UNSEEN_HU = -950.0
#: A view of this width, in mm, or more shows most of an adult's chest: the model has learnt from such.
_WIDE_MM = 290.0
#: A view is narrow where so much of its rim shows body, and the corners of a round one show so little.
_NARROW_SHARE, _CORNER_SHARE = 0.5, 0.05
#: The edge is carried on so far, in mm, and beyond is air: carried on for longer, or not as long, hearts at the edge of a round view were drawn
#: worse (three real and three synthetic patients, views of 180 to 250 mm).
_TISSUE_MM, _REACH_MM = 36.0, 60.0
_AIR_HU = -1000.0
#: What is nearest to the edge is blurred with the dark beyond it, in voxels.
_BLURRED = 1


def narrow_view(hu: Volume, grid: Grid) -> Voxels | None:
    """What a narrow field of view shows, shape (rows, columns); None where the view is as wide as the body, give or take an arm.

    Args:
        hu: shape ``grid.shape``, in HU.
        grid: even, axial.
    """
    rows, columns = hu.shape[1:]
    if columns * grid.spacing_mm[1] >= _WIDE_MM:
        return None
    y, x = np.ogrid[:rows, :columns]
    # 1 on the rim of the ellipse that fills the image.
    radius = np.hypot((y - (rows - 1) / 2) / (rows / 2), (x - (columns - 1) / 2) / (columns / 2))
    body = hu > UNSEEN_HU
    step = 2.0 / min(rows, columns)
    if body[:, radius > 1 + 2 * step].mean() < _CORNER_SHARE:
        seen = radius < 1 - _BLURRED * step
        rim = seen & (radius > 1 - (_BLURRED + 2) * step)
    else:
        seen = np.ones((rows, columns), bool)
        rim = seen.copy()
        rim[1:-1, 1:-1] = False
    return np.asarray(seen) if body[:, rim].mean() >= _NARROW_SHARE else None


def carried_on(hu: Volume, grid: Grid, seen: Voxels) -> tuple[Volume, Grid, Voxels]:
    """The same with every slice's edge carried on outward.

    Args:
        hu: shape ``grid.shape``, in HU.
        grid: even, axial.
        seen: of :func:`narrow_view`.

    Returns:
        HU and grid, larger on four sides, and what of it the image shows (rows, columns).
    """
    reach = tuple(round(_REACH_MM / s) for s in grid.spacing_mm)
    around = [(n, n) for n in reach]
    wide_seen = np.pad(seen, around)
    away, nearest = distance_transform_edt(~wide_seen, sampling=grid.spacing_mm, return_indices=True)
    wide = np.pad(hu, [(0, 0), *around])[:, nearest[0], nearest[1]]
    wide[:, away > _TISSUE_MM] = _AIR_HU
    origin = tuple(o - n * s for o, n, s in zip(grid.origin_mm, reach[::-1], grid.spacing_mm[::-1], strict=True))
    size = (wide.shape[1], wide.shape[2])
    return np.ascontiguousarray(wide), replace(grid, origin_mm=(origin[0], origin[1]), size=size), wide_seen
