"""The heart and what is around it, cut out of the image: everything in this room works on that."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, map_coordinates

from rtqc.cardiac.boxes import box_of, wider
from rtqc.core.grid import Grid
from rtqc.core.structure import Structure
from rtqc.core.volumes import Image
from rtqc.geometry.rasterize import cover

#: Image kept around the heart, in mm.
MARGIN_MM = 14.0
#: Pixel on which depth below the heart's surface is worked out, in mm.
_COARSE_MM = 1.5
#: Deeper than this lies blood and muscle, in mm; a small heart's innermost third where it is not that deep.
_CORE_MM = 12.0


@dataclass(frozen=True, eq=False)
class Region:
    """Image and heart.

    Attributes:
        image: cut out around the heart.
        heart: its outline.
        coarse: a grid of the same slices and coarser pixels.
        depth: on it, below the heart's surface, in mm; negative outside.
    """

    image: Image
    heart: Structure
    coarse: Grid
    depth: NDArray[np.float32]

    @cached_property
    def box_mm(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Lowest and highest corner of the heart, in patient coordinates (x, y, z), in mm."""
        points = self.coarse.patient_mm(np.argwhere(self.depth > 0))
        return points.min(axis=0), points.max(axis=0)

    def depth_at(self, index: NDArray[np.intp]) -> NDArray[np.float64]:
        """Depth (n,) in mm at voxels (n, 3) of the image."""
        grid = self.image.grid
        row = (grid.rows_mm[index[:, 1]] - self.coarse.rows_mm[0]) / self.coarse.spacing_mm[0]
        column = (grid.columns_mm[index[:, 2]] - self.coarse.columns_mm[0]) / self.coarse.spacing_mm[1]
        return np.asarray(map_coordinates(self.depth, [index[:, 0], row, column], order=1, mode="nearest"), np.float64)

    def within(self, depth_mm: float, slices: slice = slice(None)) -> NDArray[np.bool_]:
        """Voxels of the image that lie at least so deep, by the nearest coarse pixel."""
        rows, columns = (
            np.clip(np.rint((own - other[0]) / step).astype(int), 0, other.size - 1)
            for own, other, step in (
                (self.image.grid.rows_mm, self.coarse.rows_mm, self.coarse.spacing_mm[0]),
                (self.image.grid.columns_mm, self.coarse.columns_mm, self.coarse.spacing_mm[1]),
            )
        )
        return np.asarray((self.depth[slices] >= depth_mm)[:, rows][:, :, columns])

    @cached_property
    def core_mm(self) -> float:
        """Depth below which nothing but blood and muscle lies."""
        return min(_CORE_MM, 2 * float(self.depth.max()) / 3)

    def core(self, slices: slice = slice(None)) -> NDArray[np.bool_]:
        """Voxels of these slices in which there is nothing but blood and muscle; the whole heart where none lies that deep."""
        core = self.within(self.core_mm, slices)
        return core if core.any() else self.within(0.0, slices)


def region_of(image: Image, heart: Structure) -> Region | None:
    """Cut out; None where the heart has no voxel of the image."""
    grid = image.grid
    coarse = _coarse(grid)
    inside = cover(heart, coarse) >= 0.5
    if not inside.any():
        return None
    step = np.array([grid.slice_spacing_mm, *coarse.spacing_mm])
    box = wider(box_of(np.argwhere(inside)), inside.shape, [int(np.ceil(MARGIN_MM / s)) for s in step])
    coarse, inside = coarse.crop(*box), inside[box]
    depth = distance_transform_edt(inside, sampling=step) - distance_transform_edt(~inside, sampling=step)
    rows, columns = (
        slice(int(np.searchsorted(own, other[0] - 1e-6)), int(np.searchsorted(own, other[-1] + 1e-6, side="right")))
        for own, other in ((grid.rows_mm, coarse.rows_mm), (grid.columns_mm, coarse.columns_mm))
    )
    part = grid.crop(box[0], rows, columns)
    return Region(Image(part, image.hu[box[0], rows, columns]), heart, coarse, depth.astype(np.float32))


def _coarse(grid: Grid) -> Grid:
    """The same slices in coarser pixels."""
    steps = [max(_COARSE_MM, s) for s in grid.spacing_mm]
    size = [int((n - 1) * s / step) + 1 for n, s, step in zip(grid.size, grid.spacing_mm, steps, strict=True)]
    return Grid(
        grid.orientation,
        grid.origin_mm,
        (steps[0], steps[1]),
        (size[0], size[1]),
        grid.slice_positions_mm,
        grid.slice_spacing_mm,
    )
