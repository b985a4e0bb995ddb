"""Rules about anatomy: could it be a heart, and are the lungs where lungs are."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import shapely

from rtqc.geometry.rasterize import in_frame
from rtqc.qc.measurements import AIR_HU, Measurements
from rtqc.qc.protocol import Limits
from rtqc.qc.rule import Hit, at_positions, rule


@rule("contour.volume", "warning", "fact", "The heart is smaller or larger than hearts are.")
def contour_volume(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """Volume against what adults have."""
    if m.heart is None:
        return
    volume = m.heart.volume_ml
    for limit, word in ((limits.contour_volume_low, "small"), (limits.contour_volume_high, "large")):
        if (volume < limit.value) if word == "small" else (volume > limit.value):
            yield Hit(
                f"{m.heart.name} has {volume:.0f} ml, implausibly {word} for an adult's heart (limit {limit.value:.0f} ml).",
                measured=volume,
                limit=limit,
                structures=(m.heart.name,),
            )


@rule("contour.contains_lung", "warning", "fact", "Too many voxels of the heart have the CT numbers of lung or air.")
def contour_contains_lung(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """Share of voxels under -400 HU."""
    limit = limits.contour_contains_lung
    if m.heart is None or m.heart_hu is None or m.case.image is None or m.heart_mask is None:
        return
    air = m.heart_hu < AIR_HU
    percent = float(100 * air.mean())
    if percent > limit.value:
        used = np.flatnonzero(m.heart_mask.any(axis=(1, 2)))
        shares = [float((m.case.image.hu[k][m.heart_mask[k]] < AIR_HU).mean()) for k in used]
        where = m.positions_of(used[np.array(shares) > limit.value / 100])
        yield Hit(
            f"{percent:.0f} % of {m.heart.name} is lung or air on the CT: the contour is shifted or too large, most at {at_positions(where)}.",
            where,
            percent,
            limit,
            (m.heart.name,),
        )


@rule("contour.overlaps_lung", "warning", "fact", "Heart and lung contours overlap.")
def contour_overlaps_lung(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """Common area on common planes."""
    limit = limits.contour_overlaps_lung
    if m.heart is None:
        return
    for lung in m.lungs.values():
        if not lung.orientation.is_parallel(m.heart.orientation):
            continue
        planes = in_frame(lung, m.heart.orientation).planes
        shared = {w: shapely.intersection(area, planes[w]).area for w, area in m.heart.planes.items() if w in planes}
        percent = 100 * sum(shared.values()) / float(m.heart.areas_mm2.sum())
        if percent > limit.value:
            where = tuple(w for w, size in shared.items() if size > 0.01 * m.heart.planes[w].area)
            yield Hit(
                f"{percent:.0f} % of {m.heart.name} overlaps {lung.name}, at {at_positions(where)}: separate them.",
                where,
                percent,
                limit,
                (m.heart.name, lung.name),
            )


@rule("lungs.swapped", "fail", "fact", "The lung named left lies on the patient's right.")
def lungs_swapped(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """Centroids of the named lungs: left is +x in patient coordinates."""
    if len(m.lungs) < 2:
        return
    left, right = m.lungs["left"], m.lungs["right"]
    gap = float(left.centroid_mm[0] - right.centroid_mm[0])
    if gap < 0:
        yield Hit(
            f"{left.name} lies on the patient's right and {right.name} on the left: the names are swapped, or the image is mirrored.",
            measured=round(gap, 1),
            structures=(left.name, right.name),
        )
