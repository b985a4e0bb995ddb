"""Rules about anatomy: could it be a heart, and are the lungs where lungs are."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import MultiPolygon

from rtqc.core.structure import Structure
from rtqc.geometry.rasterize import SLICE_MATCH_SHARE, in_frame
from rtqc.geometry.reslice import resliced
from rtqc.geometry.solid import areas_at
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
    """Common volume, slice by slice of the heart."""
    limit = limits.contour_overlaps_lung
    if m.heart is None:
        return
    for lung in m.lungs.values():
        shared = _shared_ml(m.heart, lung)
        percent = 100 * float(shared.sum()) / m.heart.volume_ml
        if percent > limit.value:
            own = m.heart.areas_mm2 * m.heart.thickness_mm / 1000
            where = tuple(float(w) for w in m.heart.positions_mm[shared > 0.01 * own])
            yield Hit(
                f"{percent:.0f} % of {m.heart.name} ({shared.sum():.0f} ml) overlaps {lung.name}, at {at_positions(where)}: separate them.",
                where,
                percent,
                limit,
                (m.heart.name, lung.name),
            )


def _shared_ml(heart: Structure, lung: Structure) -> NDArray[np.float64]:
    """Volume of a structure that another holds too, for each of its planes, in ml; the other may lie on other planes."""
    if lung.is_empty:
        return np.zeros(len(heart.planes))
    if lung.orientation.is_parallel(heart.orientation):
        areas = areas_at(in_frame(lung, heart.orientation), heart.positions_mm, SLICE_MATCH_SHARE * heart.usual_spacing_mm)
    else:
        planes = resliced(lung, heart.orientation, heart.positions_mm).planes
        areas = [planes.get(w, MultiPolygon()) for w in heart.planes]
    shared = [shapely.intersection(a, b).area for a, b in zip(heart.planes.values(), areas, strict=True)]
    return np.asarray(np.array(shared) * heart.thickness_mm / 1000)


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
