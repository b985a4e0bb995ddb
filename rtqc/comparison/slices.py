"""Two structures plane by plane: areas, overlap, in-plane distance, and the contour that would have to be redrawn."""

from __future__ import annotations

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from shapely.geometry import MultiPolygon

from rtqc.core.assessment import SliceAgreement
from rtqc.core.structure import Structure
from rtqc.geometry.solid import areas_at

#: Step at which outlines are sampled, in mm.
_STEP_MM = 0.5
#: Outlines nearer than this need no editing; about one planning CT pixel.
ADDED_PATH_TOLERANCE_MM = 1.0
#: How near a plane must be to count as the same, as a share of the spacing.
_MATCH_SHARE = 0.25


def compare_slices(a: Structure, b: Structure) -> tuple[tuple[SliceAgreement, ...], float]:
    """Every plane on which one of them is drawn, and the added path length in mm.

    The added path length (Vaassen et al., phiRO 2020) is the length of A's outline that lies further than
    :data:`ADDED_PATH_TOLERANCE_MM` from B's on the same plane: what a human who turns B into A has to draw. On planes
    that only B has, that is B's whole outline, which has to be deleted. Both structures are in one orientation.
    """
    positions = _positions(a, b)
    slices = []
    added = 0.0
    drawn = [areas_at(s, positions, 0.0 if s.is_empty else _MATCH_SHARE * s.usual_spacing_mm) for s in (a, b)]
    for w, area_a, area_b in zip(positions, *drawn, strict=True):
        if area_a.is_empty and area_b.is_empty:
            continue
        shared = shapely.intersection(area_a, area_b).area if not (area_a.is_empty or area_b.is_empty) else 0.0
        distance, path = _outlines(area_a, area_b)
        added += path
        slices.append(
            SliceAgreement(
                position_mm=round(float(w), 3),
                dice=round(2 * shared / (area_a.area + area_b.area), 4),
                hausdorff_mm=None if distance is None else round(distance, 3),
                area_a_mm2=round(area_a.area, 2),
                area_b_mm2=round(area_b.area, 2),
                only_a_mm2=round(max(area_a.area - shared, 0.0), 2),
                only_b_mm2=round(max(area_b.area - shared, 0.0), 2),
                missing="a" if area_a.is_empty else "b" if area_b.is_empty else None,
            )
        )
    return tuple(slices), added


def _positions(a: Structure, b: Structure) -> list[float]:
    """A's planes, and those of B that none of A's is near to."""
    own = list(a.planes)
    if b.is_empty:
        return own
    reach = _MATCH_SHARE * (a.usual_spacing_mm if own else b.usual_spacing_mm)
    others = [w for w in b.planes if not own or np.abs(np.array(own) - w).min() > reach]
    return sorted(own + others)


def _outlines(area_a: MultiPolygon, area_b: MultiPolygon) -> tuple[float | None, float]:
    """In-plane Hausdorff distance (None where one is missing) and added path length, in mm."""
    if area_a.is_empty:
        return None, float(area_b.length)
    if area_b.is_empty:
        return None, float(area_a.length)
    (points_a, middles, lengths), (points_b, _, _) = _pieces(area_a), _pieces(area_b)
    tree_b = cKDTree(points_b)
    furthest = max(tree_b.query(points_a)[0].max(), cKDTree(points_a).query(points_b)[0].max())
    # Lengths are summed, not points: planning systems put points every 0.02 mm on one side and every 10 mm on another.
    off = float(lengths[tree_b.query(middles)[0] > ADDED_PATH_TOLERANCE_MM].sum())
    return float(furthest), off


def _pieces(area: MultiPolygon) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Points of an outline at most :data:`_STEP_MM` apart (n, 2), and middles (m, 2) and lengths (m,) of the pieces between them, in mm."""
    parts = shapely.get_parts(shapely.segmentize(area.boundary, _STEP_MM))
    points, ring = shapely.get_coordinates(parts, return_index=True)
    joined = ring[1:] == ring[:-1]
    start, end = points[:-1][joined], points[1:][joined]
    return points, (start + end) / 2, np.hypot(*(end - start).T)
