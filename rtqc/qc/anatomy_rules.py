"""Rules about the heart's neighbours: what it must not overlap, and what it must touch."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import shapely

from rtqc.core.organ_names import Organ, organ_of
from rtqc.core.structure import Structure
from rtqc.geometry.rasterize import in_frame
from rtqc.qc.measurements import Measurements
from rtqc.qc.protocol import Limit, Limits
from rtqc.qc.rule import Hit, at_positions, rule
from rtqc.qc.targets import contoured_targets

#: Planes nearer than this part of the spacing are one slice: heights in files wobble by up to 0.4 mm.
_SAME_PLANE_SHARE = 0.5
#: Common area on a plane under which the plane is not named, in mm².
_NAMED_MM2 = 5.0


@rule("anatomy.overlap", "warning", "fact", "The heart overlaps spinal cord, spinal canal, a vertebra or the oesophagus.")
def overlap(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """Common volume on common planes with organs that are known by their names."""
    if m.heart is None:
        return
    allowed: dict[Organ, Limit] = {
        "cord": limits.anatomy_overlap_cord,
        "canal": limits.anatomy_overlap_cord,
        "vertebra": limits.anatomy_overlap_spine,
        "oesophagus": limits.anatomy_overlap_oesophagus,
    }
    for roi in m.case.rois:
        organ = organ_of(roi.structure.name)
        if organ is None or roi.structure.is_empty or roi is m.roi:
            continue
        volume, where = common_volume(m.heart, roi.structure)
        if volume > allowed[organ].value:
            yield Hit(
                f"{volume:.1f} ml of {m.heart.name} lie in {roi.structure.name}, at {at_positions(where)}: one of the two is drawn too large. Separate them.",
                where,
                volume,
                allowed[organ],
                (m.heart.name, roi.structure.name),
            )


@rule("anatomy.heart_in_target", "info", "fact", "Part of a target is heart.")
def heart_in_target(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """How much of each target is heart: no plan can spare that part."""
    if m.heart is None:
        return
    limit = limits.anatomy_overlap_target
    for roi in contoured_targets(m.case):
        if roi is m.roi:
            continue
        volume, where = common_volume(m.heart, roi.structure)
        if volume > limit.value:
            of_target, of_heart = 100 * volume / roi.structure.volume_ml, 100 * volume / m.heart.volume_ml
            yield Hit(
                f"{volume:.1f} ml of {roi.structure.name} are heart ({of_target:.0f} % of the target, {of_heart:.1f} % of {m.heart.name}): that part gets the target's dose.",
                where,
                volume,
                limit,
                (m.heart.name, roi.structure.name),
            )


@rule("anatomy.lung_gap", "warning", "fact", "The heart lies apart from a contoured lung.")
def lung_gap(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """Shortest distance between the outlines of heart and lung on common planes."""
    if m.heart is None:
        return
    limit = limits.anatomy_lung_gap
    for side, lung in sorted(m.lungs.items()):
        gap = nearest_mm(m.heart, lung)
        if gap is None:
            yield Hit(
                f"{m.heart.name} and {lung.name} share no slice, although heart and lungs lie side by side: check both contours.",
                measured=f"no common slice with the {side} lung",
                structures=(m.heart.name, lung.name),
            )
        elif gap > limit.value:
            yield Hit(
                f"{m.heart.name} and {lung.name} are {gap:.0f} mm apart where they are nearest; heart and lung touch but for a few mm of fat: check both contours.",
                measured=gap,
                limit=limit,
                structures=(m.heart.name, lung.name),
            )


def matched_planes(a: Structure, b: Structure) -> list[tuple[float, shapely.MultiPolygon, shapely.MultiPolygon]]:
    """Planes that two structures share, in the first one's frame: position in mm and both areas.

    Heights in files wobble, so a plane belongs to the nearest of the other within half the wider usual spacing. Structures whose planes
    are not parallel share none.
    """
    if a.is_empty or b.is_empty or not a.orientation.is_parallel(b.orientation):
        return []
    other = in_frame(b, a.orientation)
    positions, areas = other.positions_mm, list(other.planes.values())
    reach = _SAME_PLANE_SHARE * max(a.usual_spacing_mm, other.usual_spacing_mm)
    pairs = []
    for w, area in a.planes.items():
        k = int(np.abs(positions - w).argmin())
        if abs(positions[k] - w) <= reach + 1e-6:
            pairs.append((w, area, areas[k]))
    return pairs


def common_volume(a: Structure, b: Structure) -> tuple[float, tuple[float, ...]]:
    """Volume that lies in two structures, in ml, and the planes of the first on which it does, in mm.

    Area on the planes that both have times the thickness that each plane of the first stands for.
    """
    thickness = dict(zip(a.planes, a.slab_bounds_mm[:, 1] - a.slab_bounds_mm[:, 0], strict=True))
    shared = {w: float(shapely.intersection(x, y).area) for w, x, y in matched_planes(a, b)}
    volume = sum(area * float(thickness[w]) for w, area in shared.items()) / 1000
    return volume, tuple(w for w, area in shared.items() if area > _NAMED_MM2)


def nearest_mm(a: Structure, b: Structure) -> float | None:
    """Shortest distance between two structures on the planes that both have, in mm, 0 where they overlap; None without such planes."""
    distances = [float(shapely.distance(x, y)) for _, x, y in matched_planes(a, b)]
    return min(distances) if distances else None
