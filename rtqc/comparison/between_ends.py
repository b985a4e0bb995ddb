"""Two structures between the two ends that both have: what is left to compare where schools differ about where a heart ends."""

from __future__ import annotations

from dataclasses import replace

from rtqc.comparison.agreement import compare
from rtqc.core.assessment import Agreement, BetweenEnds
from rtqc.core.structure import Structure
from rtqc.geometry.rasterize import in_frame

#: Planes nearer than this share of the spacing are one plane.
_SAME_PLANE = 0.25


def between_ends(a: Structure, b: Structure, whole: Agreement) -> BetweenEnds | None:
    """How two structures agree on the planes from the higher of both lower ends to the lower of both upper ends.

    Args:
        a: the contour that is judged.
        b: what it is held against.
        whole: agreement of both, which is also that between ends where these lie on the same planes.

    Returns:
        None where one is empty, the two do not lie on parallel planes, or they share less than two planes.
    """
    if a.is_empty or b.is_empty or not a.orientation.is_parallel(b.orientation):
        return None
    b = in_frame(b, a.orientation)
    low, high = (float(f(a.positions_mm[k], b.positions_mm[k])) for f, k in ((max, 0), (min, -1)))
    reach = _SAME_PLANE * min(a.usual_spacing_mm, b.usual_spacing_mm)
    ends = [abs(a.positions_mm[k] - b.positions_mm[k]) for k in (0, -1)]
    agreement = whole
    if max(ends) > reach:
        a, b = _cut(a, low - reach, high + reach), _cut(b, low - reach, high + reach)
        if len(a.planes) < 2 or len(b.planes) < 2:
            return None
        agreement = compare(a, b)
    return BetweenEnds(
        from_mm=round(low, 3),
        to_mm=round(high, 3),
        dice=agreement.dice,
        hausdorff95_mm=agreement.hausdorff95_mm,
        mean_surface_distance_mm=agreement.mean_surface_distance_mm,
        volume_difference_percent=round(100 * agreement.volume_difference_ml / a.volume_ml, 2),
    )


def _cut(structure: Structure, low: float, high: float) -> Structure:
    return replace(structure, planes={w: area for w, area in structure.planes.items() if low <= w <= high})
