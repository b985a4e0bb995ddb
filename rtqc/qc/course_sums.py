"""A planning system's own sum of plans against the sum of the plans' doses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rtqc.core.assessment import SumOfPlans
from rtqc.core.patient_plan import DoseOfSeveralPlans, PatientPlan
from rtqc.core.structure import Structure
from rtqc.dosimetry import DVH, FULL_COVERAGE, DoseOfPlan, course_dose, dvh

#: Any positive alpha/beta: only physical doses are compared.
_ALPHA_BETA_GY = 3.0


def planning_sums(
    given: Iterable[DoseOfSeveralPlans], own: Mapping[str, PatientPlan], heart: Structure
) -> tuple[SumOfPlans, ...]:
    """Mean heart doses by doses of several plans, and by the plans' own.

    Args:
        given: doses of several plans.
        own: plans of the course that have a dose of their own, by their SOP Instance UIDs.
        heart: where the means are taken.

    Returns:
        One for each dose all of whose plans are among ``own``, as far as both sums cover the heart and are of one Dose Type.
    """
    found = []
    for dose in given:
        plans = [own[uid] for uid in dose.plan_uids if uid in own]
        if len(plans) < max(len(dose.plan_uids), 2):
            continue
        together = dose.dose
        parts = [plan.dose.dose for plan in plans if plan.dose.dose is not None]
        types = {p.attributes.dose_type or "PHYSICAL" for p in (together, *(plan.dose for plan in plans))}
        if together.dose is None or len(parts) < len(plans) or len(types) > 1:
            continue
        theirs = dvh(heart, together.dose)
        ours = course_dose(heart, [DoseOfPlan(part) for part in parts], _ALPHA_BETA_GY).physical
        if ours is not None and _covers(theirs) and _covers(ours):
            labels = tuple(plan.label for plan in plans)
            found.append(
                SumOfPlans(
                    file=dose.file, plans=labels, mean_gy=round(theirs.mean_gy, 4), summed_mean_gy=round(ours.mean_gy, 4)
                )
            )
    return tuple(found)


def _covers(histogram: DVH) -> bool:
    return not histogram.is_empty and histogram.covered_share >= FULL_COVERAGE
