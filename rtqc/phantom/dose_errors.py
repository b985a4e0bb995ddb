"""Planted errors of the level of the dose, its side, its grid and calculation, time and approval, and respiration."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from rtqc.core.volumes import Dose
from rtqc.phantom.beams import tangential_dose
from rtqc.phantom.errors import planted
from rtqc.phantom.plan import SyntheticPlan, dose_grid, with_target

#: Another day than that of all synthetic files.
_NEXT_DAY = "20260103"


def scaled(plan: SyntheticPlan, factor: float) -> SyntheticPlan:
    """The same plan with a dose that is a multiple of the right one, as another DoseGridScaling makes it."""
    assert plan.study.dose is not None
    dose = plan.study.dose
    return plan.with_study(dose=Dose(dose.grid, (dose.gy * np.float32(factor)).astype(np.float32)))


# --- Level ---


@planted("dose.level", 15, "fractions", "the dose is that of one fraction")
def dose_of_one_fraction(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    return scaled(plan, 1 / magnitude)


@planted("dose.level", 100, "times", "the dose is in cGy, written as Gy")
def dose_in_cgy(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    return scaled(plan, magnitude)


@planted("dose.level", 0.628, "times", "the dose is normalised to another prescription (42.7 instead of 68 Gy)")
def dose_normalised_otherwise(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    return scaled(plan, magnitude)


@planted("dose.level", 0.85, "times", "the dose is a little too low, which only the contoured target shows")
def target_dose_too_low(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    return scaled(with_target(plan), magnitude)


@planted("dose.level", 1.25, "times", "the dose is normalised to 50 instead of 40 Gy, which only the contoured target shows")
def target_dose_too_high(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    return scaled(with_target(plan), magnitude)


@planted("dose.level_unusual", 1.2, "times", "the dose is normalised too high")
def dose_too_high(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    return scaled(plan, magnitude)


@planted(
    "dose.level_not_checked",
    104,
    "mm",
    "the dose grid begins this far behind the fields' front: it holds the heart, but not the breast",
)
def dose_grid_without_target(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    assert plan.study.dose is not None
    dose = plan.study.dose
    edge = float(plan.beams.edge_mm[1]) + magnitude
    first = int(np.searchsorted(dose.grid.rows_mm, edge))
    kept = dose.grid.crop(slice(None), slice(first, None), slice(None))
    return plan.with_study(dose=Dose(kept, np.ascontiguousarray(dose.gy[:, first:])))


@planted("dose.target_coverage", 60, "mm", "the isocentre was set this far too high: half of the target is missed")
def target_missed(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    contoured = with_target(plan)
    lower, upper = contoured.beams.lower_mm + magnitude, contoured.beams.upper_mm + magnitude
    beams = replace(contoured.beams, lower_mm=lower, upper_mm=upper)
    assert contoured.study.dose is not None
    dose = tangential_dose(contoured.anatomy, beams, contoured.study.dose.grid)
    return replace(contoured.with_study(dose=dose), beams=beams)


# --- Side ---


@planted("side.contradiction", 1, "plan", "the plan was named after the other breast, and so was its target")
def named_after_other_side(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    side = "R" if plan.anatomy.side == "left" else "L"
    return plan.with_study(plan_label=f"Breast_{side}", target=f"PTV_Breast_{side}")


@planted("side.contradiction", 1, "plan", "the plan's description, copied from another patient, names the other breast")
def described_as_other_side(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    side = "right" if plan.anatomy.side == "left" else "left"
    return plan.with_study(plan_description=f"Tangents to the {side} breast")


@planted("side.one_side_of_both", 1, "plan", "a plan for both breasts has the dose of one")
def dose_of_one_breast(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    return plan.with_study(plan_label="Breast_bilat", target="PTV both")


# --- Grid and calculation ---


@planted("dose.grid_spacing", 8, "mm", "the dose was calculated on a coarse grid")
def dose_grid_coarse(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    coarse = dose_grid(plan.anatomy, (magnitude, magnitude, magnitude))
    return plan.with_study(dose=tangential_dose(plan.anatomy, plan.beams, coarse))


@planted("dose.heterogeneity", 1, "file", "the dose was calculated as if the patient were water")
def dose_in_water(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    return plan.with_study(heterogeneity="WATER")


# --- Time and approval ---


@planted("approval.contours_after_dose", 3, "hours", "contours were changed after the dose was calculated")
def contours_after_dose(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    return plan.with_study(dose_created=f"{_NEXT_DAY}080000", drawn=f"{_NEXT_DAY}{8 + int(magnitude):02d}0000")


@planted("approval.contours_after_approval", 3, "hours", "contours were changed after the plan was approved")
def contours_after_approval(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    time = f"{_NEXT_DAY}{8 + int(magnitude):02d}0000"
    return plan.with_study(plan_approved=f"{_NEXT_DAY}080000", drawn=time, dose_created=time)


@planted("approval.rejected", 1, "plan", "the plan was rejected")
def plan_rejected(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    return plan.with_study(plan_status="REJECTED")


# --- Respiration ---


@planted("respiration.projection", 1, "series", "contours and dose are on the maximum intensity projection of a 4D CT")
def planned_on_mip(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    return plan.with_study(ct_description="4D Thorax MIP", ct_image_type=("DERIVED", "SECONDARY", "AXIAL"))


@planted("respiration.contradiction", 1, "series", "a plan for breath hold is on the CT of free breathing")
def breath_hold_on_free_breathing(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    return plan.with_study(plan_label=f"{plan.study.plan_label}_DIBH", ct_description="Thorax FB")


@planted("respiration.other_series", 1, "ROI", "the heart was drawn on another phase of the 4D CT than the rest")
def heart_of_another_series(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    return plan.with_study(contour_series_key="another phase", contour_series_rois=("Heart",))
