"""What a contour's difference means: other fractions, other outlines, and what a population study says of a gray."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from rtqc.core.assessment import GrownMean, RelativeRisk, SliceDose
from rtqc.core.slabs import continued_mm
from rtqc.core.structure import Structure
from rtqc.core.volumes import Dose
from rtqc.dosimetry.dvh import DVH, dose_at
from rtqc.geometry.surface import surface_of, triangle_areas

#: Relative increase of major coronary events per gray of mean heart dose, in percent, with its 95 % interval.
PERCENT_PER_GY, PERCENT_PER_GY_95 = 7.4, (2.9, 14.5)
RISK_SOURCE = "Darby et al., NEJM 368:987 (2013), women treated 1958 to 2001: population context, not a prognosis"
#: Growths that are reported, in mm: about one planning CT pixel and two, less than two observers differ by.
GROWTHS_MM = (-2.0, -1.0, 1.0, 2.0)


def relative_risk(mean_difference_gy: float | None) -> RelativeRisk | None:
    """Change of the relative risk of a major coronary event that goes with a change of the mean heart dose.

    >>> relative_risk(1.0).percent
    7.4
    """
    if mean_difference_gy is None:
        return None
    percent = round(PERCENT_PER_GY * mean_difference_gy, 2)
    low, high = sorted(round(p * mean_difference_gy, 2) for p in PERCENT_PER_GY_95)
    return RelativeRisk(percent=percent, low_percent=low, high_percent=high, source=RISK_SOURCE)


def grown_means(
    structure: Structure, dose: Dose, histogram: DVH, growths_mm: Iterable[float] = GROWTHS_MM
) -> tuple[GrownMean, ...]:
    """Mean dose and volume of a structure whose surface is moved outward (positive) or inward by the same distance everywhere.

    The layer between both surfaces is integrated over the surface in its middle, which is exact for a plane and to a third of
    the squared distance over the squared radius for a ball.

    Args:
        structure: not empty.
        dose: in any orientation.
        histogram: the structure's own.
        growths_mm: distances, in mm.
    """
    if structure.is_empty or histogram.is_empty:
        return ()
    return tuple(_grown(structure, dose, histogram, growths_mm))


def slice_contributions(contoured: DVH, draft: DVH, planes: Structure) -> tuple[SliceDose, ...]:
    """What each slice adds to the difference of the mean doses (draft minus contoured), largest first; together they are it.

    A slice's part of a mean is its integral dose over the whole volume.

    Args:
        contoured, draft: DVHs of two structures in one orientation.
        planes: whose slabs the slices are; what lies beyond its ends is counted on the nearest planes of its spacing.
    """
    if contoured.is_empty or draft.is_empty or planes.is_empty:
        return ()
    heights = np.concatenate([contoured.w_mm, draft.w_mm])
    positions = continued_mm(planes.positions_mm, planes.usual_spacing_mm, float(heights.min()), float(heights.max()))
    edges = (positions[1:] + positions[:-1]) / 2
    parts = []
    for h in (contoured, draft):
        part = np.bincount(np.searchsorted(edges, h.w_mm), h.gy * h.ml, positions.size)
        parts.append(part / h.ml.sum())
    change = parts[1] - parts[0]
    order = np.argsort(-np.abs(change), kind="stable")
    return tuple(
        SliceDose(position_mm=round(float(positions[k]), 3), mean_difference_gy=round(float(change[k]), 4))
        for k in order
        if round(float(change[k]), 4) != 0
    )


def _grown(structure: Structure, dose: Dose, histogram: DVH, growths_mm: Iterable[float]) -> Iterator[GrownMean]:
    surface = surface_of(structure)
    corners = surface.triangles.reshape(-1, 3)
    inward = surface.solid.depth_at(corners)[1][:, ::-1]
    inside_ml = float(histogram.ml.sum())
    for growth in growths_mm:
        middle = (corners - growth / 2 * inward).reshape(-1, 3, 3)
        layer_ml = growth / 1000 * triangle_areas(middle)
        gy = dose_at(middle.mean(axis=1), structure, dose)
        known = np.isfinite(gy)
        volume = inside_ml + float(layer_ml[known].sum())
        if volume <= 0:
            continue
        mean = (histogram.mean_gy * inside_ml + float(gy[known] @ layer_ml[known])) / volume
        yield GrownMean(
            growth_mm=growth, mean_gy=round(mean, 4), volume_ml=round(histogram.volume_ml + float(layer_ml.sum()), 3)
        )
