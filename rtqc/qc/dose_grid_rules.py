"""Rules about the dose grid and about how the dose was calculated."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from rtqc.core.structure import Structure
from rtqc.core.volumes import Dose
from rtqc.dosimetry import dvh
from rtqc.qc.dose_level import is_stereotactic
from rtqc.qc.measurements import Measurements
from rtqc.qc.protocol import Limits
from rtqc.qc.rule import Hit, rule

#: Spacings are written with rounding of this size, in mm.
_ROUNDING_MM = 0.01
#: Errors below this are not said, in Gy: a tenth is the last digit.
_WORTH_SAYING_GY = 0.1
#: Sites whose treatments in few large fractions are planned like other ones, not stereotactically.
_NOT_STEREOTACTIC = {"breast"}


@rule("dose.grid_spacing", "warning", "fact", "The dose grid is too coarse for the gradients at the heart.")
def grid_spacing(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """Largest distance between dose points along slices, rows and columns."""
    dose = m.case.dose
    if dose is None:
        return
    applies = m.choice.protocol.applies if m.choice is not None else None
    stereotactic = is_stereotactic(m.case.plan) and (applies is None or applies.site not in _NOT_STEREOTACTIC)
    limit = limits.dose_grid_spacing_stereotactic if stereotactic else limits.dose_grid_spacing
    spacing = largest_spacing_mm(dose)
    if spacing <= limit.value + _ROUNDING_MM:
        return
    kind = "a stereotactic plan" if stereotactic else "the heart's border"
    error = near_maximum_error_gy(m.heart, dose) if m.heart is not None else None
    effect = (
        f", D2% of {m.heart.name} may be {error:.1f} Gy off"
        if m.heart is not None and error and error >= _WORTH_SAYING_GY
        else ""
    )
    yield Hit(
        f"Dose points are {spacing:.1f} mm apart, too coarse for {kind} (limit {limit.value:g} mm){effect}: calculate the dose on a finer grid.",
        measured=spacing,
        limit=limit,
        structures=(m.heart.name,) if m.heart is not None else (),
    )


@rule("dose.heterogeneity", "warning", "fact", "The dose was calculated as if the patient were water.")
def heterogeneity(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """Tissue Heterogeneity Correction (PS3.3 C.8.8.3) is WATER without IMAGE."""
    values = {v.strip().upper() for v in m.case.dose_attributes.heterogeneity.split("\\")}
    if "WATER" in values and "IMAGE" not in values:
        yield Hit(
            "The dose was calculated without heterogeneity correction, as if lung were water: doses behind lung, the heart's among them, are wrong. Calculate it on the CT.",
            measured="WATER",
        )


def largest_spacing_mm(dose: Dose) -> float:
    """Largest distance between neighbouring dose points along slices, rows and columns, in mm; of a single plane, within it."""
    grid = dose.grid
    steps = np.diff(grid.positions_mm)
    return float(max(*grid.spacing_mm, steps.max() if steps.size else 0.0))


def near_maximum_error_gy(structure: Structure, dose: Dose) -> float | None:
    """About what the grid's spacing does to D2% of a structure, in Gy; None where it cannot be told.

    Every second dose point has more of the same error. Where the dose bends little over a spacing, interpolation errs by its square, and a
    third of the change is the grid's own error (Richardson's extrapolation); in a penumbra narrower than the spacing it is all of the change.
    Half of it was within a factor of two of the truth in 10 of 12 fields on grids of 5 to 10 mm (tangents that end in the heart, rtqc's beam model).
    """
    if min(dose.grid.shape) < 4:
        return None
    whole, thinned = dvh(structure, dose), dvh(structure, every_second_point(dose))
    if whole.is_empty or thinned.is_empty or thinned.covered_share < 0.9 * whole.covered_share:
        return None
    return abs(whole.dose_at_percent_gy(2) - thinned.dose_at_percent_gy(2)) / 2


def every_second_point(dose: Dose) -> Dose:
    """The dose with every second point along each axis left out."""
    grid = dose.grid
    gy = dose.gy[::2, ::2, ::2]
    thinned = type(grid)(
        grid.orientation,
        grid.origin_mm,
        (2 * grid.spacing_mm[0], 2 * grid.spacing_mm[1]),
        (gy.shape[1], gy.shape[2]),
        grid.slice_positions_mm[::2],
        2 * grid.slice_spacing_mm,
    )
    return Dose(thinned, np.ascontiguousarray(gy))
