"""Rules about the heart's dose and its constraints."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from rtqc.core.assessment import DoseComparison, DoseMetrics
from rtqc.dicom import named
from rtqc.qc.agreement_rules import worst_slices
from rtqc.qc.measurements import Measurements
from rtqc.qc.protocol import Limit, Limits
from rtqc.qc.rule import Hit, rule


@rule(
    "constraint.flips",
    "fail",
    "estimate",
    "A dose constraint is met with one heart and exceeded with the other.",
    "trusted_draft",
)
def constraint_flips(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """The contour decides about the plan."""
    for c in m.constraints:
        if c.outcome_flips and c.contoured is not None and c.draft is not None:
            words = ("met", "exceeded") if c.contoured_met else ("exceeded", "met")
            limit = Limit(value=c.limit, unit=c.unit, source=c.source)
            yield Hit(
                f"{c.description}: the limit of {c.limit:g} {c.unit} is {words[0]} with the contour ({c.contoured:.2f} {c.unit}) but {words[1]} with the draft ({c.draft:.2f} {c.unit}).",
                _differing(m),
                c.draft,
                limit,
            )


def _differing(m: Measurements) -> tuple[float, ...]:
    """Slices on which contour and draft differ most: where the difference in dose comes from."""
    return worst_slices(m.agreement) if m.agreement is not None else ()


@rule("constraint.exceeded", "fail", "fact", "A dose constraint is exceeded with the contoured heart.")
def constraint_exceeded(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """The plan by its own contour."""
    for c in m.constraints:
        if c.contoured_met is False and c.contoured is not None:
            limit = Limit(value=c.limit, unit=c.unit, source=c.source)
            yield Hit(
                f"{c.description} is {c.contoured:.2f} {c.unit} with the contour, above the limit of {c.limit:g} {c.unit}.",
                measured=c.contoured,
                limit=limit,
            )


@rule("constraint.not_assessed", "warning", "fact", "A dose constraint could not be checked.")
def constraint_not_assessed(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """A structure that is not there, or a dose that cannot be told. Without a heart or a dose other findings say so."""
    structures = m.case.structures
    for c in m.constraints:
        if c.contoured is not None or (not c.structure and m.heart is None):
            continue
        if c.structure and c.structure not in structures:
            names = named(sorted(structures), most=12) or "none"
            why = f"there is no structure '{c.structure}' (the structures: {names}). Contour it, or change its name in the protocol"
        elif c.structure and structures[c.structure].is_empty:
            why = f"'{c.structure}' has no contours. Contour it"
        elif c.eqd2:
            why = "it is in fractions of 2 Gy, and the plan does not tell one number of fractions"
        else:
            why = "no part of the structure has a dose. Calculate the dose on a larger grid"
        limit = Limit(value=c.limit, unit=c.unit, source=c.source)
        yield Hit(
            f"{c.description} could not be checked: {why}.", limit=limit, structures=(c.structure,) if c.structure else ()
        )


@rule("dose.mean_difference", "warning", "estimate", "The mean heart dose depends on whose contour is right.", "trusted_draft")
def mean_difference(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """Mean heart dose, draft minus contour."""
    limit = limits.dose_mean_difference
    if m.dose is None or m.dose.difference is None or m.dose.contoured is None or m.dose.draft is None:
        return
    change = m.dose.difference.mean_gy
    if change is not None and abs(change) > limit.value:
        yield Hit(
            f"With the draft, the mean heart dose is {m.dose.draft.mean_gy:.2f} Gy instead of {m.dose.contoured.mean_gy:.2f} Gy ({change:+.2f} Gy).",
            _differing(m),
            abs(change),
            limit,
        )


@rule("dose.outside_grid", "warning", "fact", "Part of the heart lies outside the dose grid.")
def outside_grid(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """Share of the volume without a dose."""
    limit = limits.dose_outside_grid
    covered = m.dose.contoured.covered_percent if m.dose is not None and m.dose.contoured is not None else None
    if covered is not None and m.heart is not None and 100 - covered > limit.value:
        where = _uncovered_planes(m)
        what = "no part of it has a dose" if covered == 0 else "mean and volumes are those of the part inside"
        yield Hit(
            f"{100 - covered:.1f} % of {m.heart.name} lies outside the dose grid, so {what}: calculate the dose on a larger grid.",
            where,
            100 - covered,
            limit,
            (m.heart.name,),
        )


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
    grid = m.case.dose.grid
    where = []
    for w, area in m.heart.planes.items():
        x, y = area.centroid.x, area.centroid.y
        index = grid.index_of_patient(m.heart.orientation.to_patient(np.array([[x, y, w]])))[0]
        if (index < 0).any() or (index > np.array(grid.shape) - 1).any():
            where.append(w)
    return tuple(where)


def _means(dose: DoseComparison | None, other: DoseMetrics | None) -> tuple[float | None, float | None]:
    """Our mean dose with the contour and another program's; None where either is missing."""
    own = dose.contoured if dose is not None else None
    return (own.mean_gy if own is not None else None, other.mean_gy if other is not None else None)


@rule("dose.second_calculation", "warning", "fact", "An independent program gets another mean heart dose.")
def second_calculation(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """Rtqc against dicompyler-core on the same contour and dose."""
    limit = limits.dose_second_calculation
    own, second = _means(m.dose, m.dose.second_calculation if m.dose else None)
    covered = m.dose.contoured.covered_percent if m.dose and m.dose.contoured else None
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
    if own is not None and stated is not None and abs(own - stated) > limit.value:
        yield Hit(
            f"The planning system's DVH in the RTDOSE has a mean heart dose of {stated:.2f} Gy where rtqc gets {own:.2f} Gy: the contour was changed after it was calculated, or one of them is wrong.",
            measured=abs(own - stated),
            limit=limit,
        )


@rule("dose.absent", "info", "fact", "There is no dose, so nothing can be said about it.")
def dose_absent(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """No dose object at all; one that cannot be used has its own finding."""
    refused = any(f.rule.startswith("dose.") or f.rule == "reference.dose_plan" for f in m.case.findings)
    if m.case.dose is None and not refused:
        yield Hit(
            "There is no dose in the folder: heart dose and constraints were not assessed. Export the RTDOSE of the plan too."
        )
