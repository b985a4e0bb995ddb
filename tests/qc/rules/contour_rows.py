"""The contour as it was drawn: is it there, is it whole, is it on its slices and inside image and body."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from shapely.geometry import Polygon, box

from rtqc.core import Grid, Image, Orientation, Structure
from rtqc.core.case import ContourDefect, Provenance, Roi
from rtqc.qc import Measurements
from tests.qc.rules.build import BOX, GRID, HEIGHTS, IMAGE, area, block, case, frustum, measured, with_plane, without
from tests.qc.rules.table import Fires, Silent

_SAGITTAL = Orientation((0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
#: The same CT, stored from above downward: its rows run from back to front, so that its normal points to the feet.
_TURNED = Image(
    Grid.regular(GRID.shape, (3.0, 4.0, 3.0), (-118.5, 118.0, 90.0), Orientation((1.0, 0.0, 0.0), (0.0, -1.0, 0.0))), IMAGE.hu
)
_THIN = Image(Grid.regular((151, 60, 80), (1.0, 4.0, 3.0), (-118.5, -118.0, -60.0)), np.full((151, 60, 80), 40.0, np.float32))
_X0, _Y0, _X1, _Y1 = BOX


def _roi(structure: Structure | None = None, **more: Any) -> Measurements:
    """A heart with attributes of its ROI."""
    return _of(Roi(1, structure if structure is not None else block(), **more))


def _of(roi: Roi, **more: Any) -> Measurements:
    return Measurements(case(image=IMAGE, **more), roi=roi, candidates=("Heart",))


def _defects(*defects: ContourDefect) -> Measurements:
    return _roi(defects=defects)


def _defect(kind: Any, position: float | None, dropped: bool = True, **more: Any) -> ContourDefect:
    return ContourDefect(kind, position, dropped, **more)


def _with_body(right: float) -> Measurements:
    """A body that ends at an x; the heart reaches from -20 to 60 mm."""
    return measured(block(), block("BODY", corners=(-110.0, -110.0, right, 110.0), kind="EXTERNAL"), image=IMAGE)


def _air_beyond(x_mm: float) -> Measurements:
    """No body is contoured; the CT is air beyond an x."""
    hu = np.where(GRID.columns_mm > x_mm, -1000.0, 40.0) * np.ones(GRID.shape)
    return measured(image=Image(GRID, hu.astype(np.float32)))


def _tower(below: float, above: float, first_above: float = 0.0, heights: tuple[float, ...] = HEIGHTS) -> Structure:
    """A heart that has one depth from front to back below a height, and another above it."""
    planes = {w: area(_X0, _Y0, _X1, _Y0 + (above if w >= first_above else below)) for w in heights}
    return Structure("Heart", planes, slice_spacing_mm=3.0)


def _alike(*runs: tuple[float, ...]) -> Structure:
    """A heart whose outlines all differ but within runs of planes."""
    planes = dict(frustum().planes)
    for run in runs:
        planes |= dict.fromkeys(run, planes[run[0]])
    return Structure("Heart", planes, slice_spacing_mm=3.0)


def _reaching(x0: float = _X0, y0: float = _Y0, x1: float = _X1, y1: float = _Y1) -> Measurements:
    """A heart whose plane at 6 mm is another rectangle than the others."""
    return measured(with_plane(block(), 6.0, box(x0, y0, x1, y1)), image=IMAGE)


def _holed(side: float) -> Structure:
    ring = Polygon(box(*BOX).exterior, [box(0, 0, side, side).exterior])
    return with_plane(with_plane(block(), -6.0, ring), 9.0, Polygon(box(*BOX).exterior, [box(0, 0, 2.2, 2.2).exterior]))


def _island(side: float, *heights: float) -> Structure:
    heart = block()
    for w in heights or (3.0,):
        heart = with_plane(heart, w, box(*BOX), box(80, 0, 80 + side, side))
    return heart


_FRAME = Provenance(frame_of_reference_uid="1.2.3")
_FILE = Provenance(structure_set_file="RS.dcm")
_MOVED = ContourDefect("moved_to_slice", 3.0, False, offset_mm=-0.8)

ROWS: tuple[Fires | Silent, ...] = (
    Fires(
        "contour.missing", "other organs only", lambda: measured(of=case(block("Lung_L"), block("Liver"), provenance=_FILE)),
        ("no heart contour (its structures: Liver, Lung_L)", "contour the heart"), files=("RS.dcm",),
    ),
    Silent("contour.missing", "a heart", measured),
    Silent("contour.missing", "no structure set, of which reading speaks", lambda: Measurements(case())),
    Fires("contour.empty", "no contours", lambda: _roi(block(heights=())), ("Heart is empty: it has no contours.",), measured=0.0, structures=("Heart",)),
    Fires(
        "contour.empty", "three contours that cannot be used", lambda: _roi(block(heights=()), contour_count=3),
        ("Heart is empty: none of its contours can be used.",), measured=3.0, structures=("Heart",),
    ),
    Silent("contour.empty", "a heart", measured),
    Fires(
        "contour.single_plane", "one slice", lambda: measured(block(heights=(12.0,))),
        ("drawn on a single slice (12.0 mm)", "a slab of 3 mm"), measured=1.0, positions_mm=(12.0,), structures=("Heart",),
    ),
    Silent("contour.single_plane", "two slices", lambda: measured(block(heights=(12.0, 15.0)))),
    Fires(
        "contour.unedited_draft", "the draft as it was", lambda: _roi(unedited_draft=True),
        ("Heart is a draft of rtqc's under another name", "not one point was changed"), structures=("Heart",),
    ),
    Silent("contour.unedited_draft", "an edited one", _roi),
    Fires(
        "contour.two_hearts", "the surer name taken", lambda: replace(measured(), candidates=("Heart", "heart 2")),
        ("2 structures could be the heart: Heart was taken, heart 2 was not.",), structures=("Heart", "heart 2"),
    ),
    Fires(
        "contour.two_hearts", "the surer name is empty", lambda: replace(measured(), candidates=("Herz", "Heart", "heart 2")),
        ("3 structures could be the heart: Heart was taken, Herz, heart 2 was not.",), structures=("Herz", "Heart", "heart 2"),
    ),
    Silent("contour.two_hearts", "one heart", measured),
    Fires(
        "contour.hole_or_piece", "two contours across the overlap of others", lambda: _defects(_defect("across", 6.0, False), _defect("across", -3.0, False)),
        ("2 contours of Heart lie across the overlap of other pieces", "taken as pieces. Unite the pieces"), measured=2.0, positions_mm=(-3.0, 6.0), structures=("Heart",),
    ),
    Silent("contour.hole_or_piece", "another defect", lambda: _defects(_defect("repeated", 6.0))),
    Fires(
        "contour.degenerate", "two points", lambda: _defects(_defect("few_points", 6.0), _defect("few_points", -3.0)),
        ("Heart has 2 contours with fewer than three different points at -3.0, 6.0 mm; 2 left out. Redraw them.",), measured=2.0, positions_mm=(6.0, -3.0), structures=("Heart",),
    ),
    Fires(
        "contour.degenerate", "an open contour, kept", lambda: _defects(_defect("open", 6.0, False)),
        ("Heart has 1 contour with an open contour at 6.0 mm; kept. Redraw them.",), measured=1.0, positions_mm=(6.0,), structures=("Heart",),
    ),
    Fires(
        "contour.degenerate", "a contour over itself", lambda: _defects(_defect("self_intersecting", 6.0, False)),
        ("1 contour with a contour that crosses itself at 6.0 mm; read even-odd",), measured=1.0, positions_mm=(6.0,), structures=("Heart",),
    ),
    Fires(
        "contour.degenerate", "no number", lambda: _defects(_defect("not_a_number", None, detail="1.2.3")),
        ("coordinates that are not numbers (such as '1.2.3'); 1 left out. Export them again.",), measured=1.0, structures=("Heart",),
    ),
    Fires(
        "contour.degenerate", "brackets", lambda: _defects(_defect("unlike_dicom", 0.0, False)),
        ("1 contour with coordinates that are not written as DICOM has them", "at 0.0 mm; kept. Export them again."), measured=1.0, positions_mm=(0.0,), structures=("Heart",),
    ),
    Fires(
        "contour.degenerate", "decimal commas", lambda: _defects(_defect("decimal_comma", 0.0, False, detail="1,2")),
        ("decimal commas instead of points (such as '1,2') at 0.0 mm; kept. Export them again.",), measured=1.0, positions_mm=(0.0,), structures=("Heart",),
    ),
    *(
        Fires("contour.degenerate", kind, partial(_defects, _defect(kind, 9.0)), (words, "1 left out"), measured=1.0, positions_mm=(9.0,), structures=("Heart",))
        for kind, words in (
            ("not_planar", "points that do not lie on one image plane"), ("no_area", "a contour without area"),
            ("too_many_points", "tens of thousands of points"), ("tangled", "hundreds of outlines over each other"),
        )
    ),
    Fires(
        "contour.degenerate", "two kinds", lambda: _defects(_defect("open", 6.0), _defect("no_area", 3.0)),
        ("a contour without area at 3.0 mm",), measured=1.0, positions_mm=(3.0,), structures=("Heart",), hits=2, nth=1,
    ),
    Silent("contour.degenerate", "none", _roi),
    Silent("contour.degenerate", "repeated and moved ones, which have their own rules", lambda: _defects(_defect("repeated", 3.0), _MOVED)),
    Fires(
        "contour.repeated", "three copies on two slices", lambda: _defects(*(_defect("repeated", w) for w in (6.0, 0.0, 6.0))),
        ("Heart has 3 surplus copies of its contours, at 0.0, 6.0 mm: each contour was counted once",), measured=3.0, positions_mm=(0.0, 6.0), structures=("Heart",),
    ),
    Fires(
        "contour.repeated", "one copy", lambda: _defects(_defect("repeated", -9.0)),
        ("Heart has 1 surplus copy of its contours, at -9.0 mm",), measured=1.0, positions_mm=(-9.0,), structures=("Heart",),
    ),
    Silent("contour.repeated", "another defect", lambda: _defects(_defect("open", 3.0))),
    # Between slices: above and below the nearest one, by more than half a millimetre.
    Fires(
        "contour.off_plane", "0.6 mm above a slice and 0.7 mm below another", lambda: measured(block(heights=(0.0, 3.6, 6.0, 8.3, 12.0)), image=IMAGE),
        ("Heart has contours between CT slices at 3.6, 8.3 mm, up to 0.7 mm off: redraw",), ("nearest slice's",), 0.7, 0.5, "mm", (3.6, 8.3), ("Heart",),
    ),
    Fires(
        "contour.off_plane", "moved onto their slice", lambda: _defects(_MOVED),
        ("between CT slices at 3.0 mm, up to 0.8 mm off; each was taken as its nearest slice's",), (), 0.8, 0.5, "mm", (3.0,), ("Heart",),
    ),
    Fires(
        "contour.off_plane", "0.4 mm off on slices of 1 mm", lambda: measured(block(heights=(0.0, 3.4, 6.0)), image=_THIN),
        ("at 3.4 mm, up to 0.4 mm off",), measured=0.4, positions_mm=(3.4,), structures=("Heart",),
    ),
    Fires(
        "contour.off_plane", "on sagittal planes", lambda: measured(block(orientation=_SAGITTAL), image=IMAGE),
        ("Heart is drawn on planes 90° from the CT's slices",), structures=("Heart",),
    ),
    Silent("contour.off_plane", "half a millimetre off", lambda: measured(block(heights=(0.0, 3.5, 6.0, 8.5, 12.0)), image=IMAGE)),
    Silent("contour.off_plane", "0.3 mm off on slices of 1 mm", lambda: measured(block(heights=(0.0, 3.3, 6.0)), image=_THIN)),
    Silent("contour.off_plane", "beyond the last slices", lambda: measured(block(heights=(-62.0, 0.0, 92.0)), image=IMAGE)),
    Silent("contour.off_plane", "no CT", lambda: measured(block(heights=(0.0, 4.2, 6.0)))),
    # Beyond the CT: above, below, to the left, to the right, in front, behind.
    Fires("contour.outside_image", "above", lambda: measured(block(heights=(84.0, 87.0, 90.0, 93.0)), image=IMAGE), ("Heart leaves the CT at 93.0 mm",), (), 1.0, None, "", (93.0,), ("Heart",)),
    Fires("contour.outside_image", "below", lambda: measured(block(heights=(-66.0, -63.0, -60.0)), image=IMAGE), ("Heart leaves the CT at -66.0, -63.0 mm",), (), 2.0, None, "", (-66.0, -63.0), ("Heart",)),
    Fires("contour.outside_image", "above a CT stored from above downward", lambda: measured(block(heights=(84.0, 87.0, 90.0, 93.0)), image=_TURNED), ("Heart leaves the CT at 93.0 mm",), (), 1.0, None, "", (93.0,), ("Heart",)),
    *(
        Fires("contour.outside_image", where, partial(_reaching, **corners), ("Heart leaves the CT at 6.0 mm",), (), 1.0, None, "", (6.0,), ("Heart",))
        for where, corners in (("to the left", {"x1": 120.5}), ("to the right", {"x0": -120.5}), ("in front", {"y0": -120.5}), ("behind", {"y1": 120.5}))
    ),
    Silent("contour.outside_image", "to the edge of the outermost pixels", lambda: _reaching(-120.0, -120.0, 120.0, 120.0)),
    Silent("contour.outside_image", "on the first and the last slice", lambda: measured(block(heights=tuple(np.arange(-60.0, 91.0, 3.0))), image=IMAGE)),
    Silent("contour.outside_image", "no CT", lambda: measured(block(heights=(200.0, 203.0)))),
    Fires(
        "contour.outside_body", "an eighth beyond the contoured body", lambda: _with_body(50.0),
        ("12.5 % of Heart lies outside the body, at -30.0, -27.0, -24.0, -21.0 ... 30.0 mm (21 slices)",), (), 12.5, 1.0, "% of the heart's volume", HEIGHTS, ("Heart",),
    ),
    Fires(
        "contour.outside_body", "three of 27 columns in air", lambda: _air_beyond(51.0),
        ("11.1 % of Heart lies outside the body",), (), 100 * 3 / 27, 1.0, "% of the heart's volume", HEIGHTS, ("Heart",),
    ),
    Silent("contour.outside_body", "0.9 % beyond", lambda: _with_body(60.0 - 0.009 * 80)),
    Silent("contour.outside_body", "inside", lambda: _air_beyond(61.0)),
    Fires(
        "contour.frame_of_reference", "another frame", lambda: _of(Roi(1, block(), frame_of_reference_uid="1.2.4"), provenance=_FRAME),
        ("Heart was drawn in another frame of reference than the CT",), measured="1.2.4", structures=("Heart",),
    ),
    Silent("contour.frame_of_reference", "the same frame", lambda: _of(Roi(1, block(), frame_of_reference_uid="1.2.3"), provenance=_FRAME)),
    Silent("contour.frame_of_reference", "a frame that is not said", lambda: _of(Roi(1, block()), provenance=_FRAME)),
    Silent("contour.frame_of_reference", "a CT that does not say its frame", lambda: _of(Roi(1, block(), frame_of_reference_uid="1.2.4"))),
    Fires(
        "contour.slice_missing", "one", lambda: measured(without(block(), 6.0), image=IMAGE),
        ("1 CT slice has no contour of Heart although it is drawn above and below: 6.0 mm. Draw it there.",), measured=1.0, positions_mm=(6.0,), structures=("Heart",),
    ),
    Fires(
        "contour.slice_missing", "three", lambda: measured(without(block(), -6.0, 9.0, 12.0), image=IMAGE),
        ("3 CT slices have no contour of Heart", "-6.0, 9.0, 12.0 mm"), measured=3.0, positions_mm=(-6.0, 9.0, 12.0), structures=("Heart",),
    ),
    Fires(
        "contour.slice_missing", "a gap, without a CT", lambda: measured(without(block(), 9.0, 12.0)),
        ("1 CT slice has no contour of Heart", "10.5 mm"), measured=1.0, positions_mm=(10.5,), structures=("Heart",),
    ),
    Fires(
        "contour.slice_missing", "every second slice", lambda: measured(block(heights=HEIGHTS[::2]), image=IMAGE),
        ("Heart is drawn on 11 of the 21 CT slices that it spans; between them it was interpolated",), measured=10.0, positions_mm=HEIGHTS[1::2], structures=("Heart",),
    ),
    Silent("contour.slice_missing", "none", lambda: measured(image=IMAGE)),
    Silent("contour.slice_missing", "none, without a CT", measured),
    Fires(
        "contour.stray_island", "100 mm² on a slice", lambda: measured(_island(10.0)),
        ("A piece of Heart of 0.30 ml at 3.0 mm is not connected to the rest",), (), 0.3, 0.02, "ml", (3.0,), ("Heart",),
    ),
    Fires(
        "contour.stray_island", "just above 0.02 ml, on two slices", lambda: measured(_island(2.6, 3.0, 6.0)),
        ("of 0.04 ml at 3.0, 6.0 mm",), (), 2 * 2.6**2 * 3 / 1000, 0.02, "ml", (3.0, 6.0), ("Heart",),
    ),
    Silent("contour.stray_island", "less than 0.02 ml", lambda: measured(_island(2.5))),
    Silent("contour.stray_island", "one piece", measured),
    Silent("contour.stray_island", "parted by a forgotten stretch only, of which contour.slice_missing speaks", lambda: measured(without(block(), 9.0, 12.0, 15.0), image=IMAGE)),
    Fires(
        "contour.hole", "100 mm²; another one is too small to count", lambda: measured(_holed(10.0)),
        ("Heart has a hole of 100 mm² at -6.0 mm: fill it.",), (), 100.0, 5.0, "mm²", (-6.0,), ("Heart",),
    ),
    Fires("contour.hole", "5.06 mm²", lambda: measured(_holed(2.25)), ("a hole of 5 mm²",), (), 5.0625, 5.0, "mm²", (-6.0,), ("Heart",)),
    Silent("contour.hole", "4.84 mm²", lambda: measured(_holed(2.2))),
    Fires(
        "contour.copied", "three alike", lambda: measured(_alike((3.0, 6.0, 9.0))),
        ("The same outline of Heart was copied over 3 slices, 3.0, 9.0 mm",), (), 3.0, 3.0, "identical slices", (3.0, 6.0, 9.0), ("Heart",),
    ),
    Fires(
        "contour.copied", "four alike at the upper end, beside three others", lambda: measured(_alike((-6.0, -3.0, 0.0), (21.0, 24.0, 27.0, 30.0))),
        ("copied over 4 slices, 21.0, 30.0 mm",), (), 4.0, 3.0, "identical slices", (21.0, 24.0, 27.0, 30.0), ("Heart",), hits=2, nth=1,
    ),
    Silent("contour.copied", "two alike, twice", lambda: measured(_alike((3.0, 6.0), (12.0, 15.0)))),
    Fires(
        "contour.area_jump", "60 % more", lambda: measured(_tower(24.0, 60.0)),
        ("The area of Heart jumps by 60 % of its largest between neighbouring slices at 0.0 mm",), (), 60.0, 50.0, "% of the largest area, per 3 mm", (0.0,), ("Heart",),
    ),
    Fires(
        "contour.area_jump", "60 % less", lambda: measured(_tower(60.0, 24.0, 12.0)),
        ("jumps by 60 % of its largest", "at 12.0 mm"), (), 60.0, 50.0, "% of the largest area, per 3 mm", (12.0,), ("Heart",),
    ),
    Silent("contour.area_jump", "half more", lambda: measured(_tower(30.0, 60.0))),
    Silent("contour.area_jump", "half less", lambda: measured(_tower(60.0, 30.0))),
    Silent("contour.area_jump", "at the lower end, where a heart may begin abruptly", lambda: measured(_tower(10.0, 60.0, -24.0))),
    Silent("contour.area_jump", "at the upper end", lambda: measured(_tower(60.0, 10.0, 24.0))),
    Silent("contour.area_jump", "90 % over 6 mm", lambda: measured(_tower(6.0, 60.0, heights=tuple(np.arange(-60.0, 61.0, 6.0))))),
)  # fmt: skip
