"""A structure on other planes than those that it was drawn on."""

from __future__ import annotations

import numpy as np
import shapely
from numpy.typing import ArrayLike
from shapely.geometry import MultiPolygon

from rtqc.core.grid import Grid
from rtqc.core.orientation import Orientation
from rtqc.core.structure import Structure
from rtqc.geometry.coverage import as_multipolygon
from rtqc.geometry.isolines import filled_isolines
from rtqc.geometry.rasterize import SLICE_MATCH_SHARE, in_frame
from rtqc.geometry.solid import areas_at, shifted
from rtqc.geometry.surface import surface_of

#: Kept around what is cut, in samples.
_MARGIN = 2


def on_slices(structure: Structure, grid: Grid) -> Structure:
    """A structure on the slices of a grid: planes that lie on one as they are, else the solid that it means, cut there.

    Args:
        structure: not empty; in any orientation.
        grid: whose slices.
    """
    frame = grid.orientation.canonical()
    heights = np.sort(grid.positions_mm * round(float(grid.orientation.transform_to(frame)[2, 2])))
    if not structure.orientation.is_parallel(frame):
        return resliced(structure, frame, heights)
    areas = areas_at(in_frame(structure, frame), heights, SLICE_MATCH_SHARE * grid.slice_spacing_mm)
    planes = {float(w): area for w, area in zip(heights, areas, strict=True) if not area.is_empty}
    slices = tuple(float(w) for w in heights) if heights.size > 1 else None
    return Structure(structure.name, planes, frame, structure.kind, grid.slice_spacing_mm, slices)


def resliced(structure: Structure, orientation: Orientation, heights_mm: ArrayLike) -> Structure:
    """The solid that a structure means, cut by planes of another orientation.

    Args:
        structure: not empty.
        orientation: of the new planes; any.
        heights_mm: their positions along its normal, in mm; the solid is empty on those that miss it.

    Raises:
        ValueError: an empty structure.
    """
    surface = surface_of(structure)
    turn = structure.orientation.transform_to(orientation).T
    reached = surface.centres @ turn
    pixel = float(surface.solid.step.min())
    low = reached[:, :2].min(axis=0) - _MARGIN * pixel
    columns, rows = (np.ceil((reached[:, :2].max(axis=0) - low) / pixel).astype(int) + _MARGIN).tolist()
    v, u = np.meshgrid(low[1] + pixel * np.arange(rows), low[0] + pixel * np.arange(columns), indexing="ij")
    planes: dict[float, MultiPolygon] = {}
    for w in np.asarray(heights_mm, float):
        if reached[:, 2].min() < w < reached[:, 2].max():
            points = np.stack([u, v, np.full_like(u, w)], axis=-1).reshape(-1, 3) @ turn.T
            outline = filled_isolines(surface.solid.at(points).reshape(u.shape), 0.0)
            planes[float(w)] = as_multipolygon(shapely.transform(outline, lambda xy: xy * pixel + low))
    return shifted(structure, planes, orientation)
