"""Mask -> structure: smooth closed polygons through the half-coverage line.

Marching squares on a binary slice runs through the middle of every pixel border, which is where half of the
pixel pair is covered, but it keeps the stair-case. Taubin's low-pass (SIGGRAPH 1995) takes the stairs out without
shrinking what they describe, and a last offset gives each piece back exactly the area of its pixels.
"""

from __future__ import annotations

from functools import reduce

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import MultiPolygon, Polygon

from rtqc.core.grid import Grid
from rtqc.core.structure import Structure
from rtqc.core.volumes import Mask
from rtqc.geometry.isolines import assemble, isoline_rings

#: Taubin's pair of steps; lambda/mu after the paper's pass-band of 0.1.
_LAMBDA, _MU = 0.5, -0.526
_PASSES = 4
#: All passes as one: each adds its weight of the mean of both neighbours less the point.
_KERNEL = reduce(np.convolve, [np.array([w / 2, 1 - w, w / 2]) for _ in range(_PASSES) for w in (_LAMBDA, _MU)])
#: Points closer to the line than this (mm) are left out: a tenth of the coordinates' clinical meaning.
SIMPLIFY_MM = 0.05
#: A ring with fewer points than this has no stair-case to smooth.
_SMALLEST_SMOOTHED_RING = 12


def trace(mask: Mask, name: str = "", kind: str = "ORGAN") -> Structure:
    """The outlines of a mask.

    Args:
        mask: bool voxels on any grid.
        name: name of the structure.
        kind: RT ROI Interpreted Type.

    Returns:
        A structure in the grid's canonical orientation, one plane for each slice that has voxels. It remembers the mask: between
        two that were traced on one grid, surface distances are those of the voxels.
    """
    areas = [_smooth_area(mask.array[k]) if mask.array[k].any() else MultiPolygon() for k in range(mask.grid.shape[0])]
    return structure_from_pixels(areas, mask.grid, name, kind).outlining(mask)


def trace_field(field: NDArray[np.floating], grid: Grid, level: float, name: str = "", kind: str = "ORGAN") -> Structure:
    """The isosurface of a smooth field (logits, probabilities), cut by the grid's slices: sub-voxel by itself.

    Args:
        field: shape ``grid.shape``; inside where it exceeds ``level``.
        grid: where the field's samples are.
        level: value on the outline.
        name: name of the structure.
        kind: RT ROI Interpreted Type.
    """
    areas = [assemble(isoline_rings(field[k], level)) for k in range(grid.shape[0])]
    return structure_from_pixels(areas, grid, name, kind)


def structure_from_pixels(areas: list[MultiPolygon], grid: Grid, name: str, kind: str) -> Structure:
    """Areas in pixel-centre coordinates, one a slice, to a structure in mm of the canonical frame."""
    canonical = grid.orientation.canonical()
    matrix = grid.orientation.transform_to(canonical)
    spacing = np.array([grid.spacing_mm[1], grid.spacing_mm[0]])
    origin = np.array(grid.origin_mm)
    planes: dict[float, MultiPolygon] = {}
    for w, area in zip(grid.slice_positions_mm, areas, strict=True):
        if area.is_empty:
            continue
        in_mm = shapely.transform(area, lambda xy: (xy * spacing + origin) @ matrix[:2, :2].T)
        simple = shapely.simplify(in_mm, SIMPLIFY_MM, preserve_topology=True)
        planes[float(w * matrix[2, 2])] = simple if isinstance(simple, MultiPolygon) else MultiPolygon([simple])
    slices = tuple(sorted(float(w * matrix[2, 2]) for w in grid.slice_positions_mm))
    return Structure(name, planes, canonical, kind, grid.slice_spacing_mm, slices if len(slices) > 1 else None)


def _smooth_area(pixels: NDArray[np.bool_]) -> MultiPolygon:
    """One slice, in pixel-centre coordinates."""
    rings = isoline_rings(pixels.astype(np.float32), 0.5)
    stairs = assemble(rings)
    smooth = assemble([_taubin(ring) for ring in rings])
    target = float(pixels.sum())
    chosen = smooth if smooth.is_valid and len(smooth.geoms) == len(stairs.geoms) else stairs
    return _with_area(chosen, target)


def _taubin(ring: NDArray[np.float64]) -> NDArray[np.float64]:
    if len(ring) < _SMALLEST_SMOOTHED_RING:
        return ring
    points, reach = ring[:-1], _KERNEL.size // 2
    wrapped = (
        np.concatenate([points[-reach:], points, points[:reach]])
        if len(points) >= reach
        else np.pad(points, ((reach, reach), (0, 0)), "wrap")
    )
    smooth = np.column_stack([np.convolve(wrapped[:, axis], _KERNEL, "valid") for axis in (0, 1)])
    return np.vstack([smooth, smooth[:1]])


def _with_area(area: MultiPolygon, target: float) -> MultiPolygon:
    """Grow or shrink the outline by the same distance everywhere until the area fits; at most half a pixel."""
    missing = target - area.area
    if area.length == 0 or abs(missing) < 1e-3 * target:
        return area
    distance = float(np.clip(missing / area.length, -0.25, 0.5))
    offset = area.buffer(distance, join_style="mitre", mitre_limit=1.5)
    if isinstance(offset, Polygon):
        offset = MultiPolygon([offset])
    same = isinstance(offset, MultiPolygon) and len(offset.geoms) == len(area.geoms)
    return offset if same and offset.is_valid else area
