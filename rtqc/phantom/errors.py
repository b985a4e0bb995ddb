"""The catalogue of planted errors: what clinics get wrong, each by name, with a magnitude, and the rule that must notice.

A planted error changes the files of a clean plan and nothing else, so whatever rtqc then says, it says about the error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import shapely
from shapely.geometry import MultiPolygon, Point

from rtqc.core.structure import Structure
from rtqc.core.volumes import Image
from rtqc.dicom.write_study import Contour, DrawnRoi
from rtqc.geometry.coverage import as_multipolygon
from rtqc.phantom.anatomy import Anatomy
from rtqc.phantom.beams import tangential_dose, tangents_for
from rtqc.phantom.plan import STRUCTURES, SyntheticPlan, dose_cropped
from rtqc.phantom.render import contours

Change = Callable[[SyntheticPlan, float], SyntheticPlan]


@dataclass(frozen=True)
class PlantedError:
    """An entry of the catalogue.

    Attributes:
        name: what it is called.
        about: what went wrong, in a sentence.
        rule: id of the rule that must notice.
        magnitude: how large it is by default.
        unit: of the magnitude.
        plant: the change.
        changes_ct: whether the image differs from the clean plan's.
    """

    name: str
    about: str
    rule: str
    magnitude: float
    unit: str
    plant: Change
    changes_ct: bool = False


PLANTED: dict[str, PlantedError] = {}


def plant(plan: SyntheticPlan, name: str, magnitude: float | None = None) -> SyntheticPlan:
    """A plan with an error of the catalogue in it.

    Args:
        plan: a clean plan.
        name: a key of :data:`PLANTED`.
        magnitude: in the entry's unit; None: its default.

    Raises:
        KeyError: there is no such error; the message lists all.
    """
    if name not in PLANTED:
        raise KeyError(f"there is no planted error '{name}': give one of {', '.join(PLANTED)}")
    entry = PLANTED[name]
    return entry.plant(plan, entry.magnitude if magnitude is None else magnitude)


def _planted(rule: str, magnitude: float, unit: str, about: str, changes_ct: bool = False) -> Callable[[Change], Change]:
    def register(change: Change) -> Change:
        name = change.__name__.strip("_")
        PLANTED[name] = PlantedError(name, about, rule, magnitude, unit, change, changes_ct)
        return change

    return register


def _heart(plan: SyntheticPlan) -> Structure:
    return plan.structures["Heart"]


def _with_planes(plan: SyntheticPlan, planes: Mapping[float, MultiPolygon]) -> SyntheticPlan:
    return plan.with_structure(replace(_heart(plan), planes=planes))


def _middle(plan: SyntheticPlan) -> int:
    return len(_heart(plan).planes) // 2


def _moved(area: MultiPolygon, dx: float, dy: float) -> MultiPolygon:
    return as_multipolygon(shapely.transform(area, lambda xy: xy + (dx, dy)))


# --- The contour is not there, or not one ---


@_planted("contour.missing", 1, "ROI", "nobody contoured the heart")
def heart_missing(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    return plan.with_study(rois=tuple(r for r in plan.study.rois if r.name != "Heart"))


@_planted("contour.empty", 1, "ROI", "the heart has a name and no contours")
def heart_empty(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    return plan.redrawn("Heart", lambda roi: replace(roi, contours=()))


@_planted("contour.two_hearts", 2, "ROIs", "two structures are called heart")
def two_hearts(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    smaller = {w: as_multipolygon(a.buffer(-4)) for w, a in _heart(plan).planes.items()}
    second = replace(DrawnRoi.of(replace(_heart(plan), planes=smaller)), name="HEART")
    return plan.with_study(rois=(*plan.study.rois, second))


@_planted("contour.degenerate", 2, "points", "a click left a contour of two points")
def contour_of_two_points(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    def add(roi: DrawnRoi) -> DrawnRoi:
        return replace(roi, contours=(*roi.contours, Contour(roi.contours[len(roi.contours) // 2].points_mm[: int(magnitude)])))

    return plan.redrawn("Heart", add)


@_planted("contour.degenerate", 1, "contours", "a contour crosses itself like an eight")
def contour_crosses_itself(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    def cross(roi: DrawnRoi) -> DrawnRoi:
        k = len(roi.contours) // 2
        points = roi.contours[k].points_mm.copy()
        # The part near the tip is walked the other way round.
        part = slice(len(points) // 3, len(points) // 3 + max(len(points) // 10, 4))
        points[part] = points[part][::-1]
        return replace(roi, contours=(*roi.contours[:k], Contour(points), *roi.contours[k + 1 :]))

    return plan.redrawn("Heart", cross)


@_planted("contour.degenerate", 1, "contours", "a contour was left open")
def contour_open(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    def add(roi: DrawnRoi) -> DrawnRoi:
        line = Contour(roi.contours[len(roi.contours) // 2].points_mm[:20], kind="OPEN_PLANAR")
        return replace(roi, contours=(*roi.contours, line))

    return plan.redrawn("Heart", add)


# --- The contour is somewhere else ---


@_planted("contour.off_plane", 1.2, "mm", "contours were copied from another scan and lie between the slices")
def contours_between_slices(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    return _with_planes(plan, {w + magnitude: a for w, a in _heart(plan).planes.items()})


@_planted("contour.outside_image", 320, "mm", "contours lie outside the image")
def contours_outside_image(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    return _with_planes(plan, {w: _moved(a, magnitude, 0) for w, a in _heart(plan).planes.items()})


@_planted("contour.outside_body", 110, "mm", "contours were pushed out of the body")
def contours_outside_body(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    return _with_planes(plan, {w: _moved(a, magnitude, 0) for w, a in _heart(plan).planes.items()})


@_planted("contour.contains_lung", 22, "mm", "all contours are shifted to the left")
def contours_shifted(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    return _with_planes(plan, {w: _moved(a, magnitude, 0) for w, a in _heart(plan).planes.items()})


@_planted("contour.frame_of_reference", 1, "ROI", "the heart was drawn on another scan")
def other_frame_of_reference(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    return plan.redrawn("Heart", lambda roi: replace(roi, frame_uid=plan.study.uid("frame", "another scan")))


@_planted("agreement.dice", 7, "seed", "the contours are those of the previous patient")
def contours_of_previous_patient(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    other = replace(Anatomy.random(int(magnitude)), heart_scale=0.82, heart_shift_mm=(-14.0, 8.0, 12.0))
    planes = contours(other, plan.study.image.grid, {"Heart": STRUCTURES["Heart"]})["Heart"].planes
    return _with_planes(plan, planes)


# --- The contour has a hole in it, or too much of something ---


@_planted("contour.slice_missing", 2, "slices", "slices in the middle were forgotten")
def slices_not_contoured(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    planes = list(_heart(plan).planes.items())
    k = len(planes) // 2
    return _with_planes(plan, dict(planes[:k] + planes[k + int(magnitude) :]))


@_planted("contour.stray_island", 5, "mm", "a stray click left an island of this radius")
def stray_island(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    planes = dict(_heart(plan).planes)
    w = list(planes)[_middle(plan)]
    left, _, _, _ = planes[w].bounds
    spot = Point(left - 30, planes[w].centroid.y).buffer(magnitude)
    planes[w] = as_multipolygon(shapely.union(planes[w], spot))
    return _with_planes(plan, planes)


@_planted("contour.hole", 6, "mm", "a hole of this radius was left in the middle")
def hole(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    planes = dict(_heart(plan).planes)
    w = list(planes)[_middle(plan)]
    planes[w] = as_multipolygon(shapely.difference(planes[w], planes[w].centroid.buffer(magnitude)))
    return _with_planes(plan, planes)


@_planted("contour.copied", 5, "slices", "one outline was copied over neighbouring slices")
def outline_copied(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    planes = dict(_heart(plan).planes)
    heights = list(planes)[_middle(plan) : _middle(plan) + int(magnitude)]
    return _with_planes(plan, planes | dict.fromkeys(heights, planes[heights[0]]))


@_planted("contour.area_jump", 20, "mm", "one slice was drawn this much too small all around")
def area_jumps(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    planes = dict(_heart(plan).planes)
    w = list(planes)[_middle(plan)]
    planes[w] = as_multipolygon(planes[w].buffer(-magnitude))
    return _with_planes(plan, planes)


@_planted("contour.volume", 22, "mm", "only the inner part of the heart was contoured")
def heart_too_small(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    return _with_planes(plan, {w: as_multipolygon(a.buffer(-magnitude)) for w, a in _heart(plan).planes.items()})


@_planted("agreement.volume", 9, "mm", "a margin was added: this is a planning risk volume")
def margin_added(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    return _with_planes(plan, {w: as_multipolygon(a.buffer(magnitude)) for w, a in _heart(plan).planes.items()})


@_planted("agreement.mean_surface_distance", 10, "mm", "the outline is too generous all around")
def outline_too_generous(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    return margin_added(plan, magnitude)


@_planted("agreement.hausdorff95", 34, "mm", "a wedge of the heart was left out")
def side_left_out(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    right = min(a.bounds[0] for a in _heart(plan).planes.values())
    keep = shapely.box(right + magnitude, -1e3, 1e3, 1e3)
    return _with_planes(plan, {w: as_multipolygon(a.intersection(keep)) for w, a in _heart(plan).planes.items()})


@_planted("contour.overlaps_lung", 12, "mm", "the left lung was drawn into the heart")
def lung_overlaps(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    lung = plan.structures["Lung_L"]
    wider = {w: as_multipolygon(a.buffer(magnitude)) for w, a in lung.planes.items()}
    return plan.with_structure(replace(lung, planes=wider), "Lung_L")


@_planted("lungs.swapped", 2, "ROIs", "the names of the lungs are swapped")
def lungs_swapped(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    other = {"Lung_L": "Lung_R", "Lung_R": "Lung_L"}
    return plan.with_study(rois=tuple(replace(r, name=other.get(r.name, r.name)) for r in plan.study.rois))


@_planted("agreement.upper_end", 24, "mm", "the contour ends too low above")
def top_cut(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    planes = _heart(plan).planes
    return _with_planes(plan, {w: a for w, a in planes.items() if w < max(planes) - magnitude})


@_planted("agreement.lower_end", 24, "mm", "the contour ends too high below: the apex is missing")
def apex_cut(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    planes = _heart(plan).planes
    return _with_planes(plan, {w: a for w, a in planes.items() if w > min(planes) + magnitude})


# --- What it does to the dose ---


def _replanned(plan: SyntheticPlan, heart_in_field_mm: float) -> SyntheticPlan:
    beams = tangents_for(plan.anatomy, heart_in_field_mm)
    assert plan.study.dose is not None
    dose = tangential_dose(plan.anatomy, beams, plan.study.dose.grid)
    return replace(plan.with_study(dose=dose, gantry_deg=beams.gantry_deg), beams=beams)


@_planted("constraint.exceeded", 22, "mm", "the field reaches this far into the heart")
def heart_in_field(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    return _replanned(plan, magnitude)


@_planted("constraint.flips", 45, "mm", "the part of the heart that the field hits was not contoured: limits look kept")
def dose_hidden_by_contour(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    return apex_cut(_replanned(plan, 26.0), magnitude)


@_planted("dose.mean_difference", 45, "mm", "the contour misses the part of the heart with the dose")
def hot_part_not_contoured(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    return apex_cut(_replanned(plan, 16.0), magnitude)


@_planted("dose.outside_grid", 30, "mm", "the dose grid ends this far above the heart's lower end")
def dose_grid_too_small(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    assert plan.study.dose is not None
    lower = float(_heart(plan).positions_mm[0]) + magnitude
    return plan.with_study(dose=dose_cropped(plan.study.dose, lower))


# --- The files do not belong together, or cannot be used ---


@_planted("dose.unusable", 1, "file", "the dose was exported in percent")
def dose_relative(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    return plan.with_study(dose_units="RELATIVE")


@_planted("dose.summation", 1, "file", "only one beam's dose was exported")
def dose_of_one_beam(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    return plan.with_study(dose_summation="BEAM")


@_planted("reference.dose_plan", 1, "file", "the dose is that of another plan")
def dose_of_another_plan(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    return plan.with_study(dose_plan_key="another plan")


@_planted("reference.patient", 1, "file", "the dose is that of another patient")
def dose_of_another_patient(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    return plan.with_study(dose_patient_id="SOMEBODY-ELSE", dose_plan_key="another plan")


@_planted("reference.plan_structure_set", 1, "file", "the plan refers to another structure set")
def plan_of_another_structure_set(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    return plan.with_study(plan_structure_set_key="another structure set")


@_planted("reference.structure_set_ct", 1, "series", "the structure set was drawn on another CT")
def structure_set_of_another_ct(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    return plan.with_study(structure_set_ct_key="another scan")


@_planted("plan.prescription_missing", 1, "file", "the plan has no prescription")
def prescription_missing(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    return plan.with_study(prescription_gy=None)


# --- The CT ---


def _slices(plan: SyntheticPlan, count: float) -> frozenset[int]:
    middle = plan.study.image.grid.shape[0] // 2
    return frozenset(range(middle, middle + int(count)))


@_planted("ct.slice_missing", 1, "slices", "a CT slice was lost on the way", changes_ct=True)
def ct_slice_lost(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    return plan.with_study(left_out=_slices(plan, magnitude))


@_planted("ct.slice_duplicated", 2, "slices", "CT slices were reconstructed twice")
def ct_slice_twice(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    return plan.with_study(doubled=_slices(plan, magnitude))


@_planted("ct.mixed", 1, "slices", "a slice of another matrix lies in the series", changes_ct=True)
def ct_mixed(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    return plan.with_study(resized=frozenset({plan.study.image.grid.shape[0] - 1}))


@_planted("ct.rescale_absent", 1, "series", "the rescale slope got lost", changes_ct=True)
def ct_not_rescaled(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    return plan.with_study(rescaled=False)


@_planted("ct.gantry_tilt", 5, "degrees", "the gantry was tilted", changes_ct=True)
def ct_tilted(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    return plan.with_study(tilt_deg=magnitude)


@_planted("ct.spacing", 2, "times", "only every n-th slice was exported", changes_ct=True)
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


@_planted("draft.no_heart", 25, "mm", "the scan begins this far above the heart", changes_ct=True)
def heart_not_scanned(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    return _scanned(plan, float(_heart(plan).positions_mm[-1]) + magnitude, 1e3)


@_planted("draft.cut_off", 45, "mm", "the scan begins this far above the heart's lower end", changes_ct=True)
def heart_cut_off_by_scan(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    return _scanned(plan, float(_heart(plan).positions_mm[0]) + magnitude, 1e3)


@_planted("draft.untrusted", 60, "HU", "so much noise that no model can be sure", changes_ct=True)
def scan_too_noisy(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    """Noise of ten times the usual, on slices cut off above and below."""
    image = plan.study.image
    rng = np.random.default_rng(0)
    hu = image.hu + magnitude * 10 * rng.standard_normal(image.hu.shape, dtype=np.float32)
    noisy = plan.with_study(image=Image(image.grid, hu.astype(np.float32)))
    return _scanned(noisy, float(_heart(plan).positions_mm[0]) + 40, 1e3)
