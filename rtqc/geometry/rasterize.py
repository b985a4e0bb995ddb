"""Structure -> mask: exact area coverage of every voxel, then a threshold."""

from __future__ import annotations

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import MultiPolygon

from rtqc.core.grid import Grid
from rtqc.core.orientation import Orientation
from rtqc.core.structure import Structure
from rtqc.core.volumes import Mask
from rtqc.geometry.coverage import coverage
from rtqc.geometry.solid import areas_at, shifted
from rtqc.geometry.surface import surface_of

#: A contour belongs to a slice when it lies within this share of the slice spacing from it. Half would leave a
#: plane midway between two slices to chance; a plane beyond this is "between slices" and is interpolated.
SLICE_MATCH_SHARE = 0.25


def rasterize(structure: Structure, grid: Grid, threshold: float = 0.5) -> Mask:
    """The voxels of which at least ``threshold`` lies inside the structure.

    Slices on which nothing is drawn but which lie within the structure's extent are interpolated, as
    :mod:`rtqc.geometry.solid` describes; beyond the last plane a slice counts while its centre is within half a
    spacing.

    Args:
        structure: contours on planes parallel to the grid's slices; otherwise the solid is sampled at the voxel centres.
        grid: any grid.
        threshold: covered share of the voxel's face, 0 to 1.
    """
    return Mask(grid, cover(structure, grid) >= threshold)


def cover(structure: Structure, grid: Grid) -> NDArray[np.float32]:
    """Covered share of each voxel's face on its slice, float32, shape ``grid.shape``."""
    if structure.is_empty:
        return np.zeros(grid.shape, np.float32)
    if not structure.orientation.is_parallel(grid.orientation):
        return _sampled(structure, grid)
    turned = in_frame(structure, grid.orientation)
    areas = areas_at(turned, grid.positions_mm, SLICE_MATCH_SHARE * grid.slice_spacing_mm)
    return coverage([in_pixels(area, grid) for area in areas], grid.size)


def in_pixels(area: MultiPolygon, grid: Grid) -> MultiPolygon:
    """An area in mm of the grid's frame, in pixel units whose pixel (i, j) spans i..i+1, j..j+1."""
    if area.is_empty:
        return area
    origin = np.array(grid.origin_mm)
    spacing = np.array([grid.spacing_mm[1], grid.spacing_mm[0]])
    return shapely.transform(area, lambda xy: (xy - origin) / spacing + 0.5)


def in_frame(structure: Structure, orientation: Orientation) -> Structure:
    """The same structure with its planes expressed in a parallel orientation's frame.

    Raises:
        ValueError: the orientations are not parallel.
    """
    if structure.orientation == orientation:
        return structure
    if not structure.orientation.is_parallel(orientation):
        raise ValueError(f"{structure.name} is drawn on planes that are not parallel to the grid's slices")
    matrix = structure.orientation.transform_to(orientation)
    planes = {
        float(w * matrix[2, 2]): shapely.transform(area, lambda xy: xy @ matrix[:2, :2].T)
        for w, area in structure.planes.items()
    }
    slices = None if structure.slices_mm is None else tuple(sorted(float(w * matrix[2, 2]) for w in structure.slices_mm))
    return shifted(structure, planes, orientation, slices)


def _sampled(structure: Structure, grid: Grid) -> NDArray[np.float32]:
    """Membership of voxel centres, for grids that cut across the structure's planes."""
    surface = surface_of(structure)
    result = np.zeros(grid.shape, np.float32)
    for k in range(grid.shape[0]):
        index = np.stack(np.meshgrid([k], np.arange(grid.size[0]), np.arange(grid.size[1]), indexing="ij"), -1)
        points = structure.orientation.to_frame(grid.patient_mm(index.reshape(-1, 3)))
        result[k] = surface.holds(points).reshape(grid.size)
    return result
