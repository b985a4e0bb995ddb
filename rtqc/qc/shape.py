"""A contoured heart in numbers that the hearts of one clinic share, after Hui et al. (Med Phys 45:2089, 2018, PMC8220860)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import shapely
from numpy.typing import NDArray

from rtqc.core.assessment import HeartShape
from rtqc.core.orientation import AXIAL
from rtqc.core.structure import Structure
from rtqc.heart import Landmarks

#: Parts of the length at whose middles areas are taken.
PROFILE_PARTS = 10


def heart_shape(heart: Structure, hu: NDArray[np.float32] | None, landmarks: Landmarks | None) -> HeartShape | None:
    """Measure a heart; None for one that is not on axial planes, or on a single one.

    Args:
        heart: as contoured.
        hu: CT numbers inside it, or None.
        landmarks: of the chest, or None.
    """
    if not heart.orientation.is_parallel(AXIAL) or heart.positions_mm.size < 2:
        return None
    slabs = heart.slab_bounds_mm
    thickness = slabs[:, 1] - slabs[:, 0]
    bounds = np.array([area.bounds for area in heart.planes.values()])
    x, y, z = (float(v) for v in heart.centroid_mm)
    place = _place((x, y, z), landmarks)
    top = float(slabs[-1, 1]) * (1.0 if heart.orientation.normal[2] > 0 else -1.0)
    carina = landmarks.carina_mm if landmarks is not None else None
    return HeartShape(
        volume_ml=round(heart.volume_ml, 3),
        length_mm=round(float(slabs[-1, 1] - slabs[0, 0]), 2),
        width_mm=round(float(bounds[:, 2].max() - bounds[:, 0].min()), 2),
        depth_mm=round(float(bounds[:, 3].max() - bounds[:, 1].min()), 2),
        surface_to_volume_per_cm=round(_surface_mm2(heart, thickness) / max(heart.volume_ml, 1e-9) / 100, 4),
        leftward_percent=place[0],
        backward_percent=place[1],
        upward_percent=place[2],
        below_carina_mm=round(carina - top, 2) if carina is not None else None,
        median_hu=round(float(np.median(hu)), 1) if hu is not None and hu.size else None,
        low_hu=round(float(np.percentile(hu, 5)), 1) if hu is not None and hu.size else None,
        profile=_profile(heart.positions_mm, heart.areas_mm2, slabs),
    )


def _surface_mm2(heart: Structure, thickness: NDArray[np.float64]) -> float:
    """Outer surface, a slab at a time: its wall, inclined by what the slabs above and below leave uncovered of it."""
    planes = list(heart.planes.values())
    walls = np.array([shapely.length(a) for a in planes]) * thickness
    between = [a.symmetric_difference(b).area for a, b in zip(planes[:-1], planes[1:], strict=True)]
    # A step is shared by the slabs on either side of it; the outermost slabs have their ends alone.
    below = np.array([planes[0].area, *(step / 2 for step in between)])
    above = np.array([*(step / 2 for step in between), planes[-1].area])
    return float(np.hypot(walls, below + above).sum())


def _place(centroid: Sequence[float], landmarks: Landmarks | None) -> tuple[float | None, float | None, float | None]:
    if landmarks is None:
        return (None, None, None)
    low, high = np.array(landmarks.low), np.array(landmarks.high)
    share = 100 * (np.array(centroid) - low) / np.maximum(high - low, 1.0)
    return (round(float(share[0]), 2), round(float(share[1]), 2), round(float(share[2]), 2))


def _profile(positions: NDArray[np.float64], areas: NDArray[np.float64], slabs: NDArray[np.float64]) -> tuple[float, ...]:
    low, high = float(slabs[0, 0]), float(slabs[-1, 1])
    at = low + (np.arange(PROFILE_PARTS) + 0.5) / PROFILE_PARTS * (high - low)
    sampled = np.interp(at, positions, areas)
    return tuple(round(float(v), 4) for v in sampled / max(sampled.mean(), 1e-9))
