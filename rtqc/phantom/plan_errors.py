"""Planted errors of dose, plan, references and CT."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from shapely.geometry import Point

from rtqc.core.volumes import Dose, Image
from rtqc.dicom.study import DrawnRoi
from rtqc.geometry.coverage import as_multipolygon
from rtqc.phantom.beams import tangential_dose, tangents_for
from rtqc.phantom.contour_errors import apex_cut, heart_too_small
from rtqc.phantom.errors import planted
from rtqc.phantom.plan import SyntheticPlan, dose_cropped

# --- What it does to the dose ---


def _replanned(plan: SyntheticPlan, heart_in_field_mm: float) -> SyntheticPlan:
    beams = tangents_for(plan.anatomy, heart_in_field_mm)
    assert plan.study.dose is not None
    dose = tangential_dose(plan.anatomy, beams, plan.study.dose.grid)
    changed = plan.with_study(dose=dose, gantry_deg=beams.gantry_deg, isocentre_mm=beams.centre_mm)
    return replace(changed, beams=beams)


@planted("constraint.exceeded", 26, "mm", "the field reaches this far into the heart")
def heart_in_field(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    return _replanned(plan, magnitude)


@planted("constraint.above_ideal", 20, "mm", "the field reaches into the heart, less far than the acceptable limits allow")
def heart_at_field_edge(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    return _replanned(plan, magnitude)


@planted("constraint.flips", 45, "mm", "the part of the heart that the field hits was not contoured: limits look kept")
def dose_hidden_by_contour(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    return apex_cut(_replanned(plan, 30.0), magnitude)


@planted(
    "constraint.flips_ideal", 45, "mm", "the part of the heart that the field hits was not contoured: ideal limits look kept"
)
def less_dose_hidden_by_contour(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    return apex_cut(_replanned(plan, 22.0), magnitude)


@planted("constraint.near_limit", 1, "mm", "the outline is this much too tight, and a limit lies between it and the draft")
def limit_within_draft_error(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    """With the field 18.4 mm deep the draft has a V17Gy of 5.1 %, the tighter outline 4.9 %: the limit of 5 % lies between them."""
    return heart_too_small(_replanned(plan, 18.4), magnitude)


@planted("dose.mean_difference", 45, "mm", "the contour misses the part of the heart with the dose")
def hot_part_not_contoured(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    return apex_cut(_replanned(plan, 16.0), magnitude)


@planted("dose.outside_grid", 30, "mm", "the dose grid ends this far above the heart's lower end")
def dose_grid_too_small(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    assert plan.study.dose is not None
    lower = float(plan.heart.positions_mm[0]) + magnitude
    return plan.with_study(dose=dose_cropped(plan.study.dose, lower))


@planted(
    "dose.outside_grid",
    60,
    "mm",
    "no dose was calculated below this height above the heart's lower end: the grid holds zeros there",
)
def dose_zero_below(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    assert plan.study.dose is not None
    dose = plan.study.dose
    below = dose.grid.positions_mm < float(plan.heart.positions_mm[0]) + magnitude
    return plan.with_study(dose=Dose(dose.grid, np.where(below[:, None, None], np.float32(0), dose.gy)))


@planted("dose.outside_grid_edge", 5, "mm", "the dose grid ends just above the heart's lower end")
def dose_grid_a_slice_too_small(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    return dose_grid_too_small(plan, magnitude)


@planted("substructure.place", 150, "mm", "the artery's contour lies this far beside the heart")
def artery_beside_the_heart(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    """A disc of 4 mm radius, this far from the heart's centroid in each of its planes."""
    planes = {
        w: as_multipolygon(Point(a.centroid.x + magnitude, a.centroid.y).buffer(4.0)) for w, a in plan.heart.planes.items()
    }
    artery = DrawnRoi.of(replace(plan.heart, name="A_LAD", planes=planes))
    return plan.with_study(rois=(*plan.study.rois, artery))


# --- The files do not belong together, or cannot be used ---


@planted("dose.unusable", 1, "file", "the dose was exported in percent")
def dose_relative(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    return plan.with_study(dose_units="RELATIVE")


@planted("dose.summation", 1, "file", "only one beam's dose was exported")
def dose_of_one_beam(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    return plan.with_study(dose_summation="BEAM")


@planted("dose.zero", 1, "file", "the dose was exported before it was calculated")
def dose_not_calculated(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    assert plan.study.dose is not None
    return plan.with_study(dose=replace(plan.study.dose, gy=np.zeros_like(plan.study.dose.gy)))


@planted("dose.effective", 1, "file", "the dose was exported after correction for a biological effect")
def dose_effective(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    return plan.with_study(dose_type="EFFECTIVE")


@planted("dose.of_several_plans", 1, "file", "the only dose is the sum of this plan and another")
def dose_of_several_plans(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    return plan.with_study(dose_summation="MULTI_PLAN")


@planted("dose.ion_physical", 1, "file", "the dose of a proton plan was exported without relative biological effectiveness")
def dose_of_protons_physical(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    return plan.with_study(radiation_type="PROTON")


@planted("reference.dose_plan", 1, "file", "the dose is that of another plan")
def dose_of_another_plan(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    return plan.with_study(dose_plan_key="another plan")


@planted("reference.patient", 1, "file", "the dose is that of another patient")
def dose_of_another_patient(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    return plan.with_study(dose_patient_id="SOMEBODY-ELSE", dose_plan_key="another plan")


@planted("reference.plan_structure_set", 1, "file", "the plan refers to another structure set")
def plan_of_another_structure_set(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    return plan.with_study(plan_structure_set_key="another structure set")


@planted("reference.structure_set_ct", 1, "series", "the structure set was drawn on another CT")
def structure_set_of_another_ct(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    return plan.with_study(structure_set_ct_key="another scan")


@planted("plan.prescription_missing", 1, "file", "the plan has no prescription")
def prescription_missing(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    return plan.with_study(prescription_gy=None)


@planted("plan.fractions_missing", 1, "file", "the plan has no fractions")
def fractions_missing(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    return plan.with_study(fractions=0)


@planted("plan.prescription_implausible", 100, "times", "the prescription was written in cGy")
def prescription_in_cgy(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    assert plan.study.prescription_gy is not None
    return plan.with_study(prescription_gy=plan.study.prescription_gy * magnitude)


@planted(
    "protocol.other_fractionation", 20, "fractions", "45 Gy to the breast in a number of fractions that no protocol is for"
)
def other_fractionation(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    assert plan.study.dose is not None
    assert plan.study.prescription_gy is not None
    dose = Dose(plan.study.dose.grid, plan.study.dose.gy * np.float32(45.0 / plan.study.prescription_gy))
    return plan.with_study(prescription_gy=45.0, fractions=int(magnitude), dose=dose)


@planted("protocol.assumed", 8, "fractions", "a treatment that no protocol is for, of a site that the plan does not name")
def unknown_treatment(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    return plan.with_study(plan_label="A1", target="", prescription_gy=60.0, fractions=int(magnitude))


# --- The CT ---


def _slices(plan: SyntheticPlan, count: float) -> frozenset[int]:
    middle = plan.study.image.grid.shape[0] // 2
    return frozenset(range(middle, middle + int(count)))


@planted("ct.slice_missing", 1, "slices", "a CT slice was lost on the way", changes_ct=True)
def ct_slice_lost(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    return plan.with_study(left_out=_slices(plan, magnitude))


@planted("ct.slice_duplicated", 2, "slices", "CT slices were reconstructed twice")
def ct_slice_twice(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    return plan.with_study(doubled=_slices(plan, magnitude))


@planted("ct.mixed", 1, "slices", "a slice of another matrix lies in the series", changes_ct=True)
def ct_mixed(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    return plan.with_study(resized=frozenset({plan.study.image.grid.shape[0] - 1}))


@planted("ct.rescale_absent", 1, "series", "the rescale slope got lost", changes_ct=True)
def ct_not_rescaled(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    return plan.with_study(rescaled=False)


@planted("ct.gantry_tilt", 5, "degrees", "the gantry was tilted", changes_ct=True)
def ct_tilted(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    return plan.with_study(tilt_deg=magnitude)


@planted("ct.spacing", 2, "times", "only every n-th slice was exported", changes_ct=True)
def ct_slices_thick(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    """Slices and contours thinned out alike, as if scanned so."""
    grid, step = plan.study.image.grid, int(magnitude)
    kept = range(0, grid.shape[0], step)
    left_out = frozenset(range(grid.shape[0])) - frozenset(kept)
    heights = grid.positions_mm[list(kept)]

    def thin(roi: DrawnRoi) -> DrawnRoi:
        on_slice = [c for c in roi.contours if np.abs(heights - c.points_mm[0, 2]).min() < 0.1]
        return replace(roi, contours=tuple(on_slice))

    return plan.with_study(left_out=left_out, rois=tuple(thin(r) for r in plan.study.rois))


def _scanned(plan: SyntheticPlan, lower_mm: float, upper_mm: float) -> SyntheticPlan:
    grid = plan.study.image.grid
    inside = (grid.positions_mm >= lower_mm) & (grid.positions_mm <= upper_mm)
    return plan.with_study(left_out=frozenset(int(k) for k in np.flatnonzero(~inside)))


@planted("draft.no_heart", 25, "mm", "the scan begins this far above the heart", changes_ct=True)
def heart_not_scanned(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    return _scanned(plan, float(plan.heart.positions_mm[-1]) + magnitude, 1e3)


@planted("draft.cut_off", 45, "mm", "the scan begins this far above the heart's lower end", changes_ct=True)
def heart_cut_off_by_scan(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    return _scanned(plan, float(plan.heart.positions_mm[0]) + magnitude, 1e3)


@planted("draft.untrusted", 60, "HU", "so much noise that no model can be sure", changes_ct=True)
def scan_too_noisy(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    """Noise of ten times the usual, on slices cut off above and below."""
    image = plan.study.image
    rng = np.random.default_rng(0)
    hu = image.hu + magnitude * 10 * rng.standard_normal(image.hu.shape, dtype=np.float32)
    noisy = plan.with_study(image=Image(image.grid, hu.astype(np.float32)))
    return _scanned(noisy, float(plan.heart.positions_mm[0]) + 40, 1e3)
