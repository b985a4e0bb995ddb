"""What a structure is between its planes.

A structure is drawn on planes, but a heart is a solid. On its planes the solid is what was drawn. Between two
planes at most :data:`rtqc.core.slabs.MAX_BRIDGED_SPACINGS` apart it is interpolated by shape: the signed distance to
the outline, linear from one plane to the next, inside where negative (Herman et al., IEEE CG&A 12(3), 1992). Beyond the
last plane it goes on unchanged for half a spacing. :mod:`rtqc.core.slabs` holds the same rule as numbers.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from shapely.geometry import MultiPolygon

from rtqc.core.orientation import Orientation
from rtqc.core.slabs import MAX_BRIDGED_SPACINGS
from rtqc.core.structure import Structure
from rtqc.geometry.coverage import as_multipolygon, coverage
from rtqc.geometry.isolines import filled_isolines

#: Pixel of the in-plane distance map that shapes are interpolated on, in mm.
INTERPOLATION_PIXEL_MM = 0.5


def shifted(structure: Structure, planes: dict[float, MultiPolygon], orientation: Orientation) -> Structure:
    """The structure with other planes and orientation; name, kind and spacing stay."""
    return replace(structure, planes=planes, orientation=orientation)


def area_at(structure: Structure, w_mm: float, match_mm: float) -> MultiPolygon:
    """The solid's cross-section at ``w_mm``: the plane drawn within ``match_mm`` of it, else interpolated.

    Args:
        structure: any structure.
        w_mm: position along the structure's normal, in mm.
        match_mm: how far off a plane may lie and still be taken as it is, in mm.
    """
    if structure.is_empty:
        return MultiPolygon()
    positions = structure.positions_mm
    nearest = int(np.argmin(np.abs(positions - w_mm)))
    areas = list(structure.planes.values())
    if abs(positions[nearest] - w_mm) <= match_mm:
        return areas[nearest]
    upper = int(np.searchsorted(positions, w_mm))
    spacing = structure.usual_spacing_mm
    if 0 < upper < positions.size and positions[upper] - positions[upper - 1] <= MAX_BRIDGED_SPACINGS * spacing + 1e-6:
        share = (w_mm - positions[upper - 1]) / (positions[upper] - positions[upper - 1])
        return interpolate_areas(areas[upper - 1], areas[upper], float(share))
    # A hair of tolerance keeps a slice that lies exactly on the slab's end from depending on rounding.
    lower, higher = structure.slab_bounds_mm[nearest]
    return areas[nearest] if lower - 1e-6 <= w_mm < higher - 1e-6 else MultiPolygon()


def interpolate_areas(below: MultiPolygon, above: MultiPolygon, share: float) -> MultiPolygon:
    """Shape-based interpolation between two cross-sections; ``share`` 0 gives ``below``, 1 gives ``above``."""
    bounds = np.array([below.bounds, above.bounds])
    pixel = INTERPOLATION_PIXEL_MM
    low = np.floor(bounds[:, :2].min(axis=0) / pixel) * pixel - 4 * pixel
    size = np.ceil((bounds[:, 2:].max(axis=0) - low) / pixel).astype(int) + 4
    pixels = [shapely.transform(a, lambda xy: (xy - low) / pixel) for a in (below, above)]
    covered = coverage([as_multipolygon(p) for p in pixels], (int(size[1]), int(size[0])))
    depth = (1 - share) * signed_depth(covered[0]) + share * signed_depth(covered[1])
    outline = filled_isolines(depth, 0.0)
    return as_multipolygon(shapely.transform(outline, lambda xy: (xy + 0.5) * pixel + low))


def signed_depth(covered: NDArray[np.float32]) -> NDArray[np.float32]:
    """Distance to the outline in pixels, positive inside, from the covered share of each pixel.

    On border pixels the coverage itself says where the outline runs, so the map is smooth through it.
    """
    inside = covered >= 0.5
    if not inside.any():
        return np.full(covered.shape, -float(sum(covered.shape)), np.float32)
    depth = np.where(inside, distance_transform_edt(inside) - 0.5, 0.5 - distance_transform_edt(~inside))
    border = np.abs(depth) < 0.75
    return np.where(border, covered - 0.5, depth).astype(np.float32)
