"""Rules about substructures of the heart that were contoured: they lie in it, or on its surface."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import shapely

from rtqc.core.structure import Structure
from rtqc.core.substructures import SUBSTRUCTURE_WORDS, substructures_in
from rtqc.geometry.rasterize import in_frame
from rtqc.qc.measurements import Measurements
from rtqc.qc.protocol import Limits
from rtqc.qc.rule import Hit, at_positions, rule

#: Part of a substructure that may lie farther from the heart, in percent: an artery may be drawn on along the aorta.
_MOST_OUTSIDE_PERCENT = 50.0


@rule(
    "substructure.place",
    "warning",
    "fact",
    "A substructure of the heart lies neither inside nor next to the contoured heart.",
)
def place(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """The part of it that is farther from the heart's contour than the limit, in its plane or beyond its ends."""
    limit = limits.substructure_distance
    if m.heart is None:
        return
    structures = m.case.structures
    for name, meant in substructures_in(structures).items():
        structure = structures[name]
        if structure.is_empty or not structure.orientation.is_parallel(m.heart.orientation):
            continue
        outside, where = _outside_percent(in_frame(structure, m.heart.orientation), m.heart, limit.value)
        if outside > _MOST_OUTSIDE_PERCENT:
            yield Hit(
                f"{outside:.0f} % of {name} ({SUBSTRUCTURE_WORDS[meant]}) lies more than {limit.value:g} mm from {m.heart.name}, at {at_positions(where)}: check both contours.",
                where,
                outside,
                limit,
                (name, m.heart.name),
            )


def _outside_percent(structure: Structure, heart: Structure, distance_mm: float) -> tuple[float, tuple[float, ...]]:
    """Percent of a structure's volume that is farther from another than a distance in its plane, and the planes where it is."""
    positions = heart.positions_mm
    areas = list(heart.planes.values())
    total, outside, where = 0.0, 0.0, []
    for w, area in structure.planes.items():
        nearest = int(np.abs(positions - w).argmin())
        beyond_mm = max(abs(float(positions[nearest]) - w) - heart.usual_spacing_mm, 0.0)
        near = areas[nearest].buffer(distance_mm) if beyond_mm <= distance_mm else None
        off = area.area if near is None else area.area - shapely.intersection(area, near).area
        total += area.area
        outside += off
        if off > 0.5 * area.area:
            where.append(w)
    return (100 * outside / total if total > 0 else 0.0), tuple(where)
