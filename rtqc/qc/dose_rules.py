"""Rules about the heart's dose."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from rtqc.core.assessment import DoseComparison, DoseMetrics
from rtqc.dosimetry import dvh, mean_tolerance_gy
from rtqc.dosimetry.dvh import dose_at, dvh_of_points
from rtqc.qc.agreement_rules import worst_slices
from rtqc.qc.measurements import Measurements
from rtqc.qc.protocol import Limits
from rtqc.qc.rule import Hit, rule, with_error


def _differing(m: Measurements) -> tuple[float, ...]:
    """Slices on which contour and draft differ most: where the difference in dose comes from."""
    return worst_slices(m.agreement) if m.agreement is not None else ()


@rule("dose.mean_difference", "warning", "estimate", "The mean heart dose depends on whose contour is right.", "trusted_draft")
def mean_difference(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """Mean heart dose, draft minus contour, where it is more than the draft may be off by itself."""
    limit = limits.dose_mean_difference
    if m.dose is None or m.dose.difference is None or m.dose.contoured is None or m.dose.draft is None:
        return
    change, drafted = m.dose.difference.mean_gy, m.dose.draft.mean_gy
    error = m.dose.draft_error.mean_gy if m.dose.draft_error is not None else None
    if change is not None and drafted is not None and abs(change) > max(limit.value, error or 0.0):
        yield Hit(
            f"With the draft, the mean heart dose is {with_error(drafted, error, 'Gy')} instead of {m.dose.contoured.mean_gy:.2f} Gy ({change:+.2f} Gy).",
            _differing(m),
            abs(change),
            limit,
        )


@rule(
    "dose.outside_grid",
    "fail",
    "fact",
    "Part of the heart lies outside the dose grid, or where no dose was calculated, so that no dose limit is known to be met.",
)
def outside_grid(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """Share of the volume without a dose."""
    limit = limits.dose_outside_grid
    missing = _uncovered_percent(m)
    if missing is not None and m.heart is not None and missing > limit.value:
        part = "no part of it has a dose" if missing >= 100 else "mean and volumes are those of the rest"
        yield Hit(
            f"{_missing(m, missing)}: {part}, and no limit is known to be met. {_remedy(m)}.",
            _uncovered_planes(m),
            missing,
            limit,
            (m.heart.name,),
        )


@rule(
    "dose.outside_grid_edge",
    "warning",
    "fact",
    "A small part of the heart lies outside the dose grid, or where no dose was calculated.",
)
def outside_grid_edge(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """Less than what ``dose.outside_grid`` fails for, and still enough that limits are not known to be met."""
    limit = limits.dose_outside_grid_edge
    missing = _uncovered_percent(m)
    if missing is not None and m.heart is not None and limit.value < missing <= limits.dose_outside_grid.value:
        yield Hit(
            f"{_missing(m, missing)}: limits are called exceeded where the rest suffices for it, never met. {_remedy(m)}.",
            _uncovered_planes(m),
            missing,
            limit,
            (m.heart.name,),
        )


def _missing(m: Measurements, missing: float) -> str:
    """What has no dose, and why: the grid ends, or it holds exact zeros where nothing was calculated."""
    assert m.heart is not None
    zeros = _zeros_percent(m)
    if zeros < _SAID_PERCENT:
        return f"{missing:.1f} % of {m.heart.name} lies outside the dose grid"
    if zeros > missing - _SAID_PERCENT:
        return f"{missing:.1f} % of {m.heart.name} has no dose; no dose was calculated there (exactly 0 Gy)"
    return f"{missing:.1f} % of {m.heart.name} lies outside the dose grid, or no dose was calculated there (exactly 0 Gy)"


def _remedy(m: Measurements) -> str:
    zeros = _zeros_percent(m)
    return "Calculate the dose in a larger region" if zeros >= _SAID_PERCENT else "Calculate the dose on a larger grid"


#: A part of the heart that is worth a word of its own, in percent: that below which coverage is full.
_SAID_PERCENT = 0.5


def _zeros_percent(m: Measurements) -> float:
    """Part of the heart inside the dose grid at which no dose was calculated, in percent."""
    heart, dose = m.heart, m.case.dose
    if heart is None or dose is None or dose.uncalculated is None:
        return 0.0
    with_zeros = dvh_of_points(heart, lambda points: dose_at(points, heart, dose, zeros_count=True))
    return 100 * (with_zeros.covered_share - dvh(heart, dose).covered_share)


def _uncovered_percent(m: Measurements) -> float | None:
    """Part of the contoured heart without a dose, in percent; None without a dose or a heart."""
    covered = m.dose.contoured.covered_percent if m.dose is not None and m.dose.contoured is not None else None
    return None if covered is None else 100 - covered


@rule("dose.small_structure", "warning", "fact", "The structure is so small that its doses are those of a few dose points.")
def small_structure(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """Volume against that of a dose voxel."""
    limit = limits.dose_small_structure
    if m.heart is None or m.case.dose is None:
        return
    grid = m.case.dose.grid
    voxel_ml = grid.slice_spacing_mm * grid.spacing_mm[0] * grid.spacing_mm[1] / 1000
    voxels = m.heart.volume_ml / voxel_ml
    if voxels < limit.value:
        yield Hit(
            f"{m.heart.name} has {m.heart.volume_ml:.3f} ml, {voxels:.1f} voxels of the dose grid: its doses are interpolated between a few points. Calculate the dose on a finer grid.",
            measured=voxels,
            limit=limit,
            structures=(m.heart.name,),
        )


def _uncovered_planes(m: Measurements) -> tuple[float, ...]:
    if m.heart is None or m.case.dose is None:
        return ()
    where = []
    for w, area in m.heart.planes.items():
        x, y = area.centroid.x, area.centroid.y
        if not np.isfinite(dose_at(np.array([[x, y, w]]), m.heart, m.case.dose)).all():
            where.append(w)
    return tuple(where)


def _means(dose: DoseComparison | None, other: DoseMetrics | None) -> tuple[float | None, float | None]:
    """Our mean dose with the contour and another program's; None where either is missing."""
    own = dose.contoured if dose is not None else None
    return (own.mean_gy if own is not None else None, other.mean_gy if other is not None else None)


#: Part of the heart's highest dose by which dicompyler-core's mean may be off: its error grows with the dose. 0.1 Gy in a ball of 97 mm whose dose
#: rises by 20 Gy (``tests/truth``).
_SECOND_SHARE = 0.005


@rule("dose.second_calculation", "warning", "fact", "An independent program gets another mean heart dose.")
def second_calculation(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """Rtqc against dicompyler-core on the same contour and dose."""
    limit = limits.dose_second_calculation
    own, second = _means(m.dose, m.dose.second_calculation if m.dose else None)
    covered = m.dose.contoured.covered_percent if m.dose and m.dose.contoured else None
    highest = (m.dose.contoured.max_gy if m.dose and m.dose.contoured else None) or 0.0
    limit = limit.model_copy(update={"value": max(limit.value, round(_SECOND_SHARE * highest, 3))})
    # The second program counts volume outside the grid as 0 Gy; then the two means are different things.
    if own is not None and second is not None and (covered or 0.0) > 99.5 and abs(own - second) > limit.value:
        yield Hit(
            f"dicompyler-core gets a mean heart dose of {second:.2f} Gy where rtqc gets {own:.2f} Gy: do not use either before the reason is known.",
            measured=abs(own - second),
            limit=limit,
        )


@rule("dose.planning_system", "warning", "fact", "The planning system wrote another mean heart dose into the RTDOSE.")
def planning_system(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """Rtqc against the DVH Sequence of the RTDOSE, for the same ROI."""
    limit = limits.dose_second_calculation
    own, stated = _means(m.dose, m.dose.planning_system if m.dose else None)
    curve = m.case.planning_dvhs.get(m.roi.number) if m.roi is not None else None
    tolerance = mean_tolerance_gy(curve, own, limit.value) if curve is not None and own is not None else limit.value
    if own is not None and stated is not None and abs(own - stated) > tolerance:
        yield Hit(
            f"The planning system's DVH in the RTDOSE has a mean heart dose of {stated:.2f} Gy where rtqc gets {own:.2f} Gy: the contour was changed after it was calculated, or one of them is wrong.",
            measured=abs(own - stated),
            limit=limit,
        )


@rule("dose.absent", "warning", "fact", "There is no dose, so the plan does not pass: what was not checked is not passed.")
def dose_absent(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """No dose object at all; one that cannot be used has its own finding."""
    refused = any(f.rule.startswith("dose.") or f.rule == "reference.dose_plan" for f in m.case.findings)
    if m.scope == "plan" and m.case.dose is None and not refused:
        yield Hit(
            "There is no dose in the folder, so heart dose and constraints were not checked: export the RTDOSE of the plan too, or ask for the contour only (--scope contour)."
        )
