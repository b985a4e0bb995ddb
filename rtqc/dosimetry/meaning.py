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

#: Excess relative risk of a major coronary event per gray of mean heart dose, in percent, with its 95 % interval.
PERCENT_PER_GY, PERCENT_PER_GY_95 = 7.4, (2.9, 14.5)
RISK_SOURCE = "Darby et al., NEJM 368:987 (2013): rates rise linearly by 7.4 % per Gy of what they are without exposure; population context, not a prognosis"
#: Increase of acute coronary events within 9 years per gray of mean heart dose, in percent, with its 95 % interval.
ACUTE_PERCENT_PER_GY, ACUTE_PERCENT_PER_GY_95 = 16.5, (0.6, 35.0)
ACUTE_RISK_SOURCE = "van den Bogaard et al., J Clin Oncol 35:1171 (2017): 16.5 % more per Gy (multiplied from gray to gray, as hazards are); population context, not a prognosis"
#: Whose risk both studies are about.
RISK_POPULATION = "women after radiotherapy for breast cancer"
#: Growths that are reported, in mm: about one planning CT pixel and two, less than two observers differ by.
GROWTHS_MM = (-2.0, -1.0, 1.0, 2.0)


def relative_risk(contoured_mean_gy: float | None, draft_mean_gy: float | None) -> RelativeRisk | None:
    """Change of coronary risk that goes with the draft's mean heart dose instead of the contour's; for women with breast cancer only.

    Major coronary events: the ratio of both risks, each relative to no exposure, ``(1 + b draft) / (1 + b contour)``, less one.
    Acute coronary events: ``(1 + b) ** (draft - contour)``, less one.

    Args:
        contoured_mean_gy, draft_mean_gy: mean heart doses, in Gy; None where unknown.

    >>> relative_risk(2.44, 4.60).percent
    13.54
    """
    if contoured_mean_gy is None or draft_mean_gy is None:
        return None
    percent, *interval = (
        _linear_change_percent(p, contoured_mean_gy, draft_mean_gy) for p in (PERCENT_PER_GY, *PERCENT_PER_GY_95)
    )
    change_gy = draft_mean_gy - contoured_mean_gy
    acute, *acute_interval = (100 * ((1 + p / 100) ** change_gy - 1) for p in (ACUTE_PERCENT_PER_GY, *ACUTE_PERCENT_PER_GY_95))
    low, high = sorted(interval)
    acute_low, acute_high = sorted(acute_interval)
    return RelativeRisk(
        percent=_rounded(percent),
        low_percent=_rounded(low),
        high_percent=_rounded(high),
        source=RISK_SOURCE,
        acute_percent=_rounded(acute),
        acute_low_percent=_rounded(acute_low),
        acute_high_percent=_rounded(acute_high),
        acute_source=ACUTE_RISK_SOURCE,
        population=RISK_POPULATION,
    )


def _linear_change_percent(percent_per_gy: float, from_gy: float, to_gy: float) -> float:
    per_gy = percent_per_gy / 100
    return 100 * ((1 + per_gy * to_gy) / (1 + per_gy * from_gy) - 1)


def _rounded(percent: float) -> float:
    """To 0.01 %, and never -0."""
    return round(percent, 2) + 0.0


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
