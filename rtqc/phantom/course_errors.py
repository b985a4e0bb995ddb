"""Planted errors of whole courses: plans that pass one by one and not together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from rtqc.dicom.study import Study
from rtqc.phantom.beams import tangential_dose, tangents_for
from rtqc.phantom.errors import planted
from rtqc.phantom.plan import SyntheticPlan

#: How far the heart reaches into the whole breast's field, in mm.
_WHOLE_BREAST_MM = 16.0


def boost_beside(plan: SyntheticPlan, heart_in_field_mm: float, key: str = "boost", **changes: object) -> Study:
    """A boost of 16 Gy in 8 fractions on the plan's CT and contours, made a day later.

    Args:
        plan: the whole breast's plan.
        heart_in_field_mm: how far the heart reaches into the boost's field.
        key: UIDs are made of it.
        changes: of the boost's study.
    """
    beams = tangents_for(plan.anatomy, heart_in_field_mm, prescription_gy=16.0, fractions=8)
    study = plan.study
    assert study.dose is not None
    dose = tangential_dose(plan.anatomy, beams, study.dose.grid)
    boost = replace(
        study, key=key, ct_key=study.key, rois=(), beside=(), plan_label="Boost_L", target="Tumor bed", prescription_gy=16.0,
        fractions=8, gantry_deg=beams.gantry_deg, isocentre_mm=beams.centre_mm, plan_created="20260103080000",
        dose_created="20260103080000", dose=dose,
    )  # fmt: skip
    return replace(boost, **changes)  # type: ignore[arg-type]


def conventional(plan: SyntheticPlan, heart_in_field_mm: float = _WHOLE_BREAST_MM) -> SyntheticPlan:
    """The same patient with 50 Gy in 25 fractions to the whole breast."""
    beams = tangents_for(plan.anatomy, heart_in_field_mm, prescription_gy=50.0, fractions=25)
    assert plan.study.dose is not None
    dose = tangential_dose(plan.anatomy, beams, plan.study.dose.grid)
    changed = plan.with_study(
        prescription_gy=50.0, fractions=25, gantry_deg=beams.gantry_deg, isocentre_mm=beams.centre_mm, dose=dose
    )
    return replace(changed, beams=beams)


@planted(
    "course.constraint_exceeded", 36, "mm", "the boost reaches this far into the heart: both plans pass, together they do not",
    adds_plans=True,
)  # fmt: skip
def boost_not_counted(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    whole = conventional(plan)
    return whole.with_study(beside=(boost_beside(whole, magnitude),))


@planted(
    "course.not_summed", 8, "fractions", "the boost was exported with the dose of one of its fractions, so that it is not to be believed",
    adds_plans=True,
)  # fmt: skip
def boost_with_dose_of_a_fraction(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    whole = conventional(plan)
    boost = boost_beside(whole, _WHOLE_BREAST_MM)
    assert boost.dose is not None
    return whole.with_study(beside=(replace(boost, dose=replace(boost.dose, gy=boost.dose.gy / np.float32(magnitude))),))
