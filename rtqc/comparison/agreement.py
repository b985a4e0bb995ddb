"""Two structures, or two masks on one grid -> Agreement."""

from __future__ import annotations

import numpy as np
import shapely

from rtqc.comparison.slices import compare_slices
from rtqc.comparison.surfaces import SURFACE_DICE_TOLERANCE_MM, surface_distances
from rtqc.core.assessment import Agreement
from rtqc.core.structure import Structure
from rtqc.core.volumes import Mask
from rtqc.geometry.rasterize import in_frame
from rtqc.geometry.solid import area_at
from rtqc.geometry.trace import trace


def compare(a: Structure | Mask, b: Structure | Mask) -> Agreement:
    """How two regions agree; ``docs/metrics.md`` has the formulas and their sources.

    Args:
        a: the contour that is judged.
        b: what it is held against; of the same kind as ``a``.

    Returns:
        All metrics. Both empty: Dice 1, distances None. One empty: Dice 0, distances None.

    Raises:
        ValueError: a mask with a structure, or masks on different grids.
    """
    if isinstance(a, Mask) != isinstance(b, Mask):
        raise ValueError("compare two structures or two masks, not one of each: trace() or rasterize() one of them")
    if isinstance(a, Mask) and isinstance(b, Mask):
        if a.grid != b.grid:
            raise ValueError("two masks are compared on one grid: rasterize both structures on the same grid")
        voxels = a.grid.voxel_volumes_ml
        shared = float((a.array & b.array).sum(axis=(1, 2)) @ voxels)
        volumes = (a.volume_ml, b.volume_ml)
        return _agreement(trace(a, "A"), trace(b, "B"), volumes, shared)
    assert isinstance(a, Structure)
    assert isinstance(b, Structure)
    return _agreement(a, b, (a.volume_ml, b.volume_ml), shared_volume_ml(a, b))


def shared_volume_ml(a: Structure, b: Structure) -> float:
    """Volume that lies in both, in ml: shared area times slab thickness, on planes of the finer of the two.

    Raises:
        ValueError: planes that are not parallel.
    """
    if a.is_empty or b.is_empty:
        return 0.0
    b = in_frame(b, a.orientation)
    if a.positions_mm.size == b.positions_mm.size and np.allclose(a.positions_mm, b.positions_mm, atol=0.01):
        thickness = np.diff(a.slab_bounds_mm, axis=1).ravel()
        pairs = zip(a.planes.values(), b.planes.values(), strict=True)
        return float(np.array([shapely.intersection(p, q).area for p, q in pairs]) @ thickness) / 1000.0
    # Planes differ: cut both at every plane of either and at the slabs' ends.
    cuts = np.unique(np.round(np.concatenate([a.slab_bounds_mm.ravel(), b.slab_bounds_mm.ravel()]), 3))
    low = max(a.slab_bounds_mm[0, 0], b.slab_bounds_mm[0, 0])
    high = min(a.slab_bounds_mm[-1, 1], b.slab_bounds_mm[-1, 1])
    cuts = np.unique(np.clip(cuts, low, high))
    total = 0.0
    for lower, upper in zip(cuts[:-1], cuts[1:], strict=True):
        w = (lower + upper) / 2
        areas = [area_at(s, float(w), 1e-3) for s in (a, b)]
        if not (areas[0].is_empty or areas[1].is_empty):
            total += shapely.intersection(*areas).area * (upper - lower)
    return total / 1000.0


def _shift(a: Structure, b: Structure) -> tuple[float, float, float]:
    x, y, z = (round(float(v), 3) for v in b.centroid_mm - a.centroid_mm)
    return (x, y, z)


def _agreement(a: Structure, b: Structure, volumes: tuple[float, float], shared: float) -> Agreement:
    total = volumes[0] + volumes[1]
    either = total - shared
    slices, added = compare_slices(a, b)
    distances = surface_distances(a, b) if not (a.is_empty or b.is_empty) else None
    shift = None if distances is None else _shift(a, b)
    return Agreement(
        dice=round(min(2 * shared / total, 1.0), 4) if total > 0 else 1.0,
        jaccard=round(min(shared / either, 1.0), 4) if either > 0 else 1.0,
        surface_dice_3mm=None if distances is None else round(distances.surface_dice(SURFACE_DICE_TOLERANCE_MM), 4),
        hausdorff_mm=None if distances is None else round(distances.hausdorff_mm, 3),
        hausdorff95_mm=None if distances is None else round(distances.hausdorff_percentile_mm(95), 3),
        mean_surface_distance_mm=None if distances is None else round(distances.mean_mm, 4),
        volume_difference_ml=round(volumes[1] - volumes[0], 3),
        centroid_shift_mm=shift,
        added_path_length_mm=round(added, 1),
        slices=slices,
    )
