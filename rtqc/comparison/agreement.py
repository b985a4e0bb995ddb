"""Two structures, or two masks on one grid -> Agreement."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from rtqc.comparison.slices import compare_slices
from rtqc.comparison.surfaces import SURFACE_DICE_TOLERANCE_MM, SurfaceDistances, in_words, surface_distances
from rtqc.core.assessment import Agreement, SurfaceDice
from rtqc.core.orientation import Orientation
from rtqc.core.repeatable import repeatable
from rtqc.core.slabs import continued_mm
from rtqc.core.structure import Structure
from rtqc.core.volumes import Mask
from rtqc.geometry.rasterize import in_frame
from rtqc.geometry.reslice import resliced
from rtqc.geometry.solid import TooThinError, areas_at
from rtqc.geometry.surface import cropped, surface_of, surface_of_mask
from rtqc.geometry.trace import trace

#: Tolerances of the surface Dice that are reported unless others are asked for, in mm.
TOLERANCES_MM = (1.0, 2.0, 3.0, 5.0)
#: A heart drawn by hand takes so long, in minutes: median of eight experts on 20 patients (Zeleznik et al., npj Digit Med 4:43, 2021).
WHOLE_HEART_MINUTES = 4.0


@repeatable
def compare(a: Structure | Mask, b: Structure | Mask, tolerances_mm: Iterable[float] = TOLERANCES_MM) -> Agreement:
    """How two regions agree; ``docs/metrics.md`` has the formulas and their sources.

    Args:
        a: the contour that is judged.
        b: what it is held against; of the same kind as ``a``. Structures may lie on planes of any spacing and orientation.
        tolerances_mm: tolerances of the surface Dice, in mm.

    Returns:
        All metrics. Both empty: Dice 1, distances None. One empty: Dice 0, distances None. Distances are also None where one is
        too thin to have an inside (hundredths of a mm).

    Raises:
        ValueError: a mask with a structure, masks on different grids, or a tolerance below 0.
    """
    tolerances = tuple(sorted({float(t) for t in tolerances_mm}))
    if any(not 0 <= t < np.inf for t in tolerances):
        raise ValueError(f"a tolerance of the surface Dice is a distance in mm, not {min(tolerances):g}")
    if isinstance(a, Mask) != isinstance(b, Mask):
        raise ValueError("compare two structures or two masks, not one of each: trace() or rasterize() one of them")
    # Distances are long in C, outlines in Python: both at once.
    with ThreadPoolExecutor(1) as pool:
        if isinstance(a, Mask) and isinstance(b, Mask):
            if a.grid != b.grid:
                raise ValueError("two masks are compared on one grid: rasterize both structures on the same grid")
            a, b = cropped(a, b)
            far = pool.submit(_between_masks, a, b)
            shared = Mask(a.grid, a.array & b.array).volume_ml
            outlines = _Pair(trace(a, "A"), trace(b, "B"), (a.volume_ml, b.volume_ml), shared)
            return _agreement(outlines, far, outlines.b.centroid_mm if outlines.both else None, tolerances)
        assert isinstance(a, Structure)
        assert isinstance(b, Structure)
        far = pool.submit(_between_structures, a, b)
        turned = b if a.is_empty or b.is_empty else _on_planes_of(b, a)
        pair = _Pair(a, turned, (a.volume_ml, b.volume_ml), shared_volume_ml(a, turned))
        return _agreement(pair, far, None if b.is_empty else b.centroid_mm, tolerances)


def shared_volume_ml(a: Structure, b: Structure) -> float:
    """Volume that lies in both, in ml: shared area times slab thickness, on planes of the finer of the two.

    Args:
        a, b: in one orientation.
    """
    if a.is_empty or b.is_empty:
        return 0.0
    if a.positions_mm.size == b.positions_mm.size and np.allclose(a.positions_mm, b.positions_mm, atol=0.01):
        thickness = np.diff(a.slab_bounds_mm, axis=1).ravel()
        pairs = zip(a.planes.values(), b.planes.values(), strict=True)
        return float(np.array([shapely.intersection(p, q).area for p, q in pairs]) @ thickness) / 1000.0
    # Planes differ: cut both at every plane of either and at the slabs' ends.
    cuts = np.unique(np.round(np.concatenate([a.slab_bounds_mm.ravel(), b.slab_bounds_mm.ravel()]), 3))
    low = max(a.slab_bounds_mm[0, 0], b.slab_bounds_mm[0, 0])
    high = min(a.slab_bounds_mm[-1, 1], b.slab_bounds_mm[-1, 1])
    cuts = np.unique(np.clip(cuts, low, high))
    middles = (cuts[:-1] + cuts[1:]) / 2
    pairs = zip(areas_at(a, middles, 1e-3), areas_at(b, middles, 1e-3), strict=True)
    shared = np.array([shapely.intersection(p, q).area for p, q in pairs])
    return float(shared @ np.diff(cuts)) / 1000.0


def _on_planes_of(b: Structure, a: Structure) -> Structure:
    """B in A's frame; where its planes cut across A's, as the solid that it means on A's planes and on as far as it goes."""
    if a.orientation.is_parallel(b.orientation):
        return in_frame(b, a.orientation)
    spacing = a.usual_spacing_mm
    below, above = _extent(b, a.orientation)
    # A solid may reach half a spacing beyond what was drawn, or a little more where it tapers.
    heights = continued_mm(a.positions_mm, spacing, below - spacing / 2, above + spacing / 2)
    try:
        return resliced(b, a.orientation, heights)
    except TooThinError:
        return Structure(b.name, {}, a.orientation, b.kind, spacing)


def _extent(structure: Structure, orientation: Orientation) -> tuple[float, float]:
    """The lowest and highest point of a structure along another orientation's normal, in mm."""
    frame = np.concatenate([
        np.column_stack([shapely.get_coordinates(area), np.full(shapely.get_num_coordinates(area), w)])
        for w, area in structure.planes.items()
    ])  # fmt: skip
    along = orientation.to_frame(structure.orientation.to_patient(frame))[:, 2]
    return float(along.min()), float(along.max())


@dataclass(frozen=True)
class _Pair:
    """Two structures in one orientation.

    Attributes:
        a, b: where one cut across the other's planes, it is on those.
        volumes: of both as they were drawn, in ml.
        shared: volume that lies in both, in ml.
    """

    a: Structure
    b: Structure
    volumes: tuple[float, float]
    shared: float

    @property
    def both(self) -> bool:
        return not (self.a.is_empty or self.b.is_empty)


def _agreement(
    pair: _Pair, far: Future[SurfaceDistances | None], middle_b: NDArray[np.float64] | None, tolerances: tuple[float, ...]
) -> Agreement:
    """All metrics; ``middle_b`` is B's centroid on its own planes."""
    total = sum(pair.volumes)
    either = total - pair.shared
    slices, added = compare_slices(pair.a, pair.b)
    # A heart that was only half drawn says little about how long a heart takes.
    outline = max(sum(area.length for area in s.planes.values()) for s in (pair.a, pair.b))
    overlap = Agreement(
        dice=round(min(2 * pair.shared / total, 1.0), 4) if total > 0 else 1.0,
        jaccard=round(min(pair.shared / either, 1.0), 4) if either > 0 else 1.0,
        volume_difference_ml=round(pair.volumes[1] - pair.volumes[0], 3),
        added_path_length_mm=round(added, 1),
        editing_minutes=round(WHOLE_HEART_MINUTES * added / outline, 2) if outline else 0.0,
        slices=slices,
    )
    distances = far.result()
    if distances is None or middle_b is None:
        return overlap
    shift = _shift(middle_b - pair.a.centroid_mm)
    return overlap.model_copy(
        update={
            "surface_dice_3mm": round(distances.surface_dice(SURFACE_DICE_TOLERANCE_MM), 4),
            "surface_dice": tuple(SurfaceDice(tolerance_mm=t, value=round(distances.surface_dice(t), 4)) for t in tolerances),
            "hausdorff_mm": round(distances.hausdorff_mm, 3),
            "hausdorff_at_mm": distances.hausdorff_at_mm,
            "hausdorff95_mm": round(distances.hausdorff_percentile_mm(95), 3),
            "mean_surface_distance_mm": round(distances.mean_mm, 4),
            "signed_surface_distance_mm": round(distances.signed_mean_mm, 4),
            "regions": distances.regions(middle_b),
            "centroid_shift_mm": shift,
            "centroid_shift": in_words(shift),
        }
    )


def _between_structures(a: Structure, b: Structure) -> SurfaceDistances | None:
    """Between the voxels that both are the outlines of, where they are on one grid; else between the solids that they mean."""
    if a.is_empty or b.is_empty:
        return None
    if a.voxels is not None and b.voxels is not None and a.voxels.grid == b.voxels.grid:
        return _between_masks(a.voxels, b.voxels)
    try:
        return surface_distances(surface_of(a), surface_of(b))
    except TooThinError:
        return None


def _between_masks(a: Mask, b: Mask) -> SurfaceDistances | None:
    if not (a.array.any() and b.array.any()):
        return None
    return surface_distances(surface_of_mask(a), surface_of_mask(b))


def _shift(mm: NDArray[np.float64]) -> tuple[float, float, float]:
    x, y, z = (round(float(v), 3) for v in mm)
    return (x, y, z)
