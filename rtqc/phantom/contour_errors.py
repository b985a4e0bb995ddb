"""Planted errors of the heart's contour, and of the lungs beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import shapely
from shapely.geometry import MultiPolygon, Point

from rtqc.dicom.study import Contour, DrawnRoi
from rtqc.geometry.coverage import as_multipolygon
from rtqc.phantom.anatomy import Anatomy
from rtqc.phantom.errors import planted
from rtqc.phantom.plan import STRUCTURES, SyntheticPlan
from rtqc.phantom.render import contours


def _with_planes(plan: SyntheticPlan, planes: Mapping[float, MultiPolygon]) -> SyntheticPlan:
    return plan.with_structure(replace(plan.heart, planes=planes))


def _middle(plan: SyntheticPlan) -> int:
    return len(plan.heart.planes) // 2


def _moved(area: MultiPolygon, dx: float, dy: float) -> MultiPolygon:
    return as_multipolygon(shapely.transform(area, lambda xy: xy + (dx, dy)))


# --- The contour is not there, or not one ---


@planted("contour.missing", 1, "ROI", "nobody contoured the heart")
def heart_missing(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    return plan.with_study(rois=tuple(r for r in plan.study.rois if r.name != "Heart"))


@planted("contour.empty", 1, "ROI", "the heart has a name and no contours")
def heart_empty(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    return plan.redrawn("Heart", lambda roi: replace(roi, contours=()))


@planted("contour.single_plane", 1, "slices", "the heart was drawn on one slice and never finished")
def heart_on_one_slice(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    middle = _middle(plan)
    return _with_planes(plan, dict(list(plan.heart.planes.items())[middle : middle + int(magnitude)]))


@planted("contour.two_hearts", 2, "ROIs", "two structures are called heart")
def two_hearts(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    smaller = {w: as_multipolygon(a.buffer(-4)) for w, a in plan.heart.planes.items()}
    second = replace(DrawnRoi.of(replace(plan.heart, planes=smaller)), name="HEART")
    return plan.with_study(rois=(*plan.study.rois, second))


@planted("contour.degenerate", 2, "points", "a click left a contour of two points")
def contour_of_two_points(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    def add(roi: DrawnRoi) -> DrawnRoi:
        return replace(roi, contours=(*roi.contours, Contour(roi.contours[len(roi.contours) // 2].points_mm[: int(magnitude)])))

    return plan.redrawn("Heart", add)


@planted("contour.degenerate", 1, "contours", "a contour crosses itself like an eight")
def contour_crosses_itself(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    def cross(roi: DrawnRoi) -> DrawnRoi:
        k = len(roi.contours) // 2
        points = roi.contours[k].points_mm.copy()
        # The part near the tip is walked the other way round.
        part = slice(len(points) // 3, len(points) // 3 + max(len(points) // 10, 4))
        points[part] = points[part][::-1]
        return replace(roi, contours=(*roi.contours[:k], Contour(points), *roi.contours[k + 1 :]))

    return plan.redrawn("Heart", cross)


@planted("contour.degenerate", 1, "contours", "a contour was left open")
def contour_open(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    def add(roi: DrawnRoi) -> DrawnRoi:
        line = Contour(roi.contours[len(roi.contours) // 2].points_mm[:20], kind="OPEN_PLANAR")
        return replace(roi, contours=(*roi.contours, line))

    return plan.redrawn("Heart", add)


@planted("contour.repeated", 2, "times", "every contour was exported more than once")
def contours_repeated(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    return plan.redrawn("Heart", lambda roi: replace(roi, contours=roi.contours * int(magnitude)))


# --- The contour is somewhere else ---


@planted("contour.off_plane", 1.2, "mm", "contours were copied from another scan and lie between the slices")
def contours_between_slices(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    return _with_planes(plan, {w + magnitude: a for w, a in plan.heart.planes.items()})


@planted("contour.outside_image", 320, "mm", "contours lie outside the image")
def contours_outside_image(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    return _with_planes(plan, {w: _moved(a, magnitude, 0) for w, a in plan.heart.planes.items()})


@planted("contour.outside_body", 110, "mm", "contours were pushed out of the body")
def contours_outside_body(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    return _with_planes(plan, {w: _moved(a, magnitude, 0) for w, a in plan.heart.planes.items()})


@planted("contour.contains_lung", 22, "mm", "all contours are shifted to the left")
def contours_shifted(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    return _with_planes(plan, {w: _moved(a, magnitude, 0) for w, a in plan.heart.planes.items()})


@planted("contour.frame_of_reference", 1, "ROI", "the heart was drawn on another scan")
def other_frame_of_reference(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    return plan.redrawn("Heart", lambda roi: replace(roi, frame_uid=plan.study.uid("frame", "another scan")))


@planted("agreement.dice", 7, "seed", "the contours are those of the previous patient")
def contours_of_previous_patient(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    other = replace(Anatomy.random(int(magnitude)), heart_scale=0.82, heart_shift_mm=(-14.0, 8.0, 12.0))
    planes = contours(other, plan.study.image.grid, {"Heart": STRUCTURES["Heart"]})["Heart"].planes
    return _with_planes(plan, planes)


# --- The contour has a hole in it, or too much of something ---


@planted("contour.slice_missing", 2, "slices", "slices in the middle were forgotten")
def slices_not_contoured(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    planes = list(plan.heart.planes.items())
    k = len(planes) // 2
    return _with_planes(plan, dict(planes[:k] + planes[k + int(magnitude) :]))


@planted("contour.stray_island", 5, "mm", "a stray click left an island of this radius")
def stray_island(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    planes = dict(plan.heart.planes)
    w = list(planes)[_middle(plan)]
    left, _, _, _ = planes[w].bounds
    spot = Point(left - 30, planes[w].centroid.y).buffer(magnitude)
    planes[w] = as_multipolygon(shapely.union(planes[w], spot))
    return _with_planes(plan, planes)


@planted("contour.hole", 6, "mm", "a hole of this radius was left in the middle")
def hole(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    planes = dict(plan.heart.planes)
    w = list(planes)[_middle(plan)]
    planes[w] = as_multipolygon(shapely.difference(planes[w], planes[w].centroid.buffer(magnitude)))
    return _with_planes(plan, planes)


@planted("contour.copied", 5, "slices", "one outline was copied over neighbouring slices")
def outline_copied(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    planes = dict(plan.heart.planes)
    heights = list(planes)[_middle(plan) : _middle(plan) + int(magnitude)]
    return _with_planes(plan, planes | dict.fromkeys(heights, planes[heights[0]]))


@planted("contour.area_jump", 20, "mm", "one slice was drawn this much too small all around")
def area_jumps(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    planes = dict(plan.heart.planes)
    w = list(planes)[_middle(plan)]
    planes[w] = as_multipolygon(planes[w].buffer(-magnitude))
    return _with_planes(plan, planes)


@planted("contour.volume", 22, "mm", "only the inner part of the heart was contoured")
def heart_too_small(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    return _with_planes(plan, {w: as_multipolygon(a.buffer(-magnitude)) for w, a in plan.heart.planes.items()})


@planted("agreement.volume", 9, "mm", "a margin was added: this is a planning risk volume")
def margin_added(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    return _with_planes(plan, {w: as_multipolygon(a.buffer(magnitude)) for w, a in plan.heart.planes.items()})


@planted("agreement.mean_surface_distance", 10, "mm", "the outline is too generous all around")
def outline_too_generous(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    return margin_added(plan, magnitude)


@planted("agreement.hausdorff95", 34, "mm", "a wedge of the heart was left out")
def side_left_out(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    right = min(a.bounds[0] for a in plan.heart.planes.values())
    keep = shapely.box(right + magnitude, -1e3, 1e3, 1e3)
    return _with_planes(plan, {w: as_multipolygon(a.intersection(keep)) for w, a in plan.heart.planes.items()})


@planted("contour.overlaps_lung", 12, "mm", "the left lung was drawn into the heart")
def lung_overlaps(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    lung = plan.structures["Lung_L"]
    wider = {w: as_multipolygon(a.buffer(magnitude)) for w, a in lung.planes.items()}
    return plan.with_structure(replace(lung, planes=wider), "Lung_L")


@planted("lungs.swapped", 2, "ROIs", "the names of the lungs are swapped")
def lungs_swapped(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    other = {"Lung_L": "Lung_R", "Lung_R": "Lung_L"}
    return plan.with_study(rois=tuple(replace(r, name=other.get(r.name, r.name)) for r in plan.study.rois))


@planted("agreement.upper_end_definition", 24, "mm", "the contour begins where another school begins the heart")
def begins_lower(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    return top_cut(plan, magnitude)


@planted("agreement.upper_end", 54, "mm", "the contour ends too low above")
def top_cut(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    planes = plan.heart.planes
    return _with_planes(plan, {w: a for w, a in planes.items() if w < max(planes) - magnitude})


@planted("agreement.lower_end", 24, "mm", "the contour ends too high below: the apex is missing")
def apex_cut(plan: SyntheticPlan, magnitude: float) -> SyntheticPlan:
    planes = plan.heart.planes
    return _with_planes(plan, {w: a for w, a in planes.items() if w > min(planes) + magnitude})
