"""RTSTRUCT -> ROIs. Contours are placed by their own coordinates; ContourImageSequence is optional and never used."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray
from pydicom.dataset import Dataset
from shapely.geometry import LineString, MultiPolygon

from rtqc.core.case import ContourDefect, DefectKind, Roi
from rtqc.core.finding import Finding
from rtqc.core.limits import MOST_CROSSINGS, LimitError, refuse_extent, refuse_places
from rtqc.core.orientation import AXIAL, Orientation
from rtqc.core.structure import Structure
from rtqc.dicom.bounded import read_object
from rtqc.dicom.contour_hash import contour_hash, told_hash
from rtqc.dicom.contour_planes import Ring, planes_of
from rtqc.dicom.elements import decimal_string, is_cut_off, items, text
from rtqc.dicom.notes import note
from rtqc.dicom.roi_numbers import RoiItem, roi_items
from rtqc.geometry.crossings import cross_more_often
from rtqc.geometry.rings import area_of_ring

#: Points on a line within this, in mm, say nothing about a plane.
PLANAR_TOLERANCE_MM = 0.5
#: Heights of one contour's points may vary by this share of the slice spacing (standard deviation), and none may leave the slice: then its mean height is its slice's.
_PLANAR_SD_SHARE, _PLANAR_SHARE = 0.25, 0.5
#: Contour Geometric Type's defined terms (PS3.3 C.8.8.6), from knowledge, and one that programs write for the second.
_GEOMETRIC_TYPES = frozenset(
    {"CLOSED_PLANAR", "CLOSEDPLANAR_XOR", "CLOSED_PLANAR_XOR", "POINT", "OPEN_PLANAR", "OPEN_NONPLANAR"}
)
#: Slice spacing where nobody says one, in mm: a usual planning CT's.
_USUAL_SPACING_MM = 3.0
#: More points than this on one contour are thinned out by :data:`THIN_MM`: no planning system draws so finely.
MANY_POINTS = 20_000
THIN_MM = 0.01
#: More points than this on one contour that was thinned are nobody's: the outline of a body in steps of 0.02 mm.
MOST_POINTS = 100_000


@dataclass(frozen=True)
class StructureSet:
    """What a structure set file holds.

    Attributes:
        dataset: the file, contours still undecoded.
        rois: in file order.
        label: Structure Set Label.
        findings: contours that could not be attributed to an ROI.
    """

    dataset: Dataset
    rois: tuple[Roi, ...]
    label: str
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class _Frame:
    """Where contours are read.

    Attributes:
        orientation: canonical.
        slices_mm: positions of the CT's slices along its normal, ascending, in mm; None where they are not known.
        spacing_mm: of the CT's slices; None where it is not known.
    """

    orientation: Orientation
    slices_mm: NDArray[np.float64] | None
    spacing_mm: float | None

    def is_planar(self, heights_mm: NDArray[np.float64]) -> bool:
        """Whether points at these heights are of one slice: no point leaves it, and they vary by far less than it is thick."""
        steps = np.diff(self.slices_mm) if self.slices_mm is not None else np.empty(0)
        spacing = float(np.median(steps)) if steps.size else self.spacing_mm or _USUAL_SPACING_MM
        off = np.abs(heights_mm - heights_mm.mean())
        return bool(off.max() <= _PLANAR_SHARE * spacing and heights_mm.std() <= _PLANAR_SD_SHARE * spacing)


def read_structure_set(
    path: Path,
    orientation: Orientation | None = AXIAL,
    slice_spacing_mm: float | None = None,
    slices_mm: ArrayLike | None = None,
) -> StructureSet:
    """Read every ROI.

    Args:
        path: an RTSTRUCT file.
        orientation: of the CT that it was drawn on; contours on planes that are not parallel to it are defects, unless all of an ROI's are: then
            they are read on their own planes. None: that of the contours themselves.
        slice_spacing_mm: of that CT; needed for ROIs on a single plane.
        slices_mm: positions of its slices along the normal of the canonical orientation, in mm; contours are sorted into them. None: into slices of
            the contours' own heights.

    Raises:
        EOFError: the file is cut off, or has no contours' module at all.
        Exception: whatever pydicom raises on a damaged file.
    """
    dataset = read_object(path)
    # Half a structure set looks like a whole one with less in it: its numbers would be wrong without anybody knowing.
    if is_cut_off(dataset) or "StructureSetROISequence" not in dataset or "ROIContourSequence" not in dataset:
        raise EOFError("the file is cut off or incomplete")
    slices = None if slices_mm is None else np.sort(np.asarray(slices_mm, float))
    if orientation is None:
        orientation = _orientation_of(
            [c for roi in items(dataset, "ROIContourSequence") for c in items(roi, "ContourSequence")]
        )
    frame = _Frame(orientation.canonical(), slices, slice_spacing_mm)
    found, findings = roi_items(dataset)
    findings += [f for item in found for f in _of_types(item)]
    return StructureSet(
        dataset, tuple(_roi(item, frame) for item in found), text(dataset, "StructureSetLabel"), tuple(findings)
    )


def _roi(item: RoiItem, frame: _Frame) -> Roi:
    defects: list[ContourDefect] = []
    rings = _rings(item.contours, frame, defects)
    if not rings and any(d.kind == "not_planar" for d in defects):
        # Drawn on sagittal or oblique reconstructions: all its contours lie on planes of another direction.
        turned = _Frame(_orientation_of(item.contours).canonical(), None, frame.spacing_mm)
        again: list[ContourDefect] = []
        found = _rings(item.contours, turned, again)
        if found:
            frame, rings, defects = turned, found, again
    rings = _within_a_patient(rings, defects)
    unplaced = sum(d.kind in ("not_planar", "not_a_number", "beyond_limits") for d in defects)
    if unplaced > len(rings):
        # What is left of an organ is not the organ: no number rather than a wrong one.
        rings = []
    planes, combined = planes_of(rings, frame.slices_mm, frame.spacing_mm)
    slices = None if frame.slices_mm is None or frame.slices_mm.size < 2 else tuple(frame.slices_mm.tolist())
    return Roi(
        number=item.number,
        structure=Structure(text(item.entry, "ROIName"), planes, frame.orientation, item.kind, frame.spacing_mm, slices),
        frame_of_reference_uid=text(item.entry, "ReferencedFrameOfReferenceUID"),
        contour_count=item.contour_count,
        defects=(*defects, *combined),
        drawn_by=text(item.entry, "ROIGenerationAlgorithm"),
        unedited_draft=_is_unedited(told_hash(text(item.entry, "ROIDescription")), item.contours),
        from_draft=bool(told_hash(text(item.entry, "ROIDescription"))),
    )


def _of_types(item: RoiItem) -> list[Finding]:
    """That contours were taken as closed although they do not say so."""
    kinds = [text(c, "ContourGeometricType").upper() for c in item.contours]
    unknown = [k for k in kinds if k not in _GEOMETRIC_TYPES]
    if not unknown:
        return []
    name = text(item.entry, "ROIName") or "(no name)"
    what = "no Contour Geometric Type" if not unknown[0] else f"the unknown Contour Geometric Type '{unknown[0][:40]}'"
    count = "1 contour" if len(unknown) == 1 else f"{len(unknown)} contours"
    message = f"{name}: {count} of {len(kinds)} with {what}, taken as closed. Export the structure set again."
    return [note("structure_set.geometric_type", message, structures=[name], measured=float(len(unknown)))]


def _is_unedited(told: str, drawn: Sequence[Dataset]) -> bool:
    """Whether an ROI has just the contours that its draft had when it was written."""
    return bool(told) and contour_hash(_points_of(contour) for contour in drawn) == told


class StructureSetError(Exception):
    """A structure set that cannot be read; the message names the file and says what to do."""


def _orientation_of(drawn: Sequence[Dataset]) -> Orientation:
    """The plane of the contour with the most points; axial where there is none."""
    longest = max(drawn, key=lambda c: _points_of(c).shape[0], default=None)
    points = np.empty((0, 3)) if longest is None else _points_of(longest)
    if points.shape[0] < 3:
        return AXIAL
    _, spread, ways = np.linalg.svd(points - points.mean(axis=0), full_matrices=False)
    if spread[1] <= PLANAR_TOLERANCE_MM:
        return AXIAL
    return Orientation(tuple(ways[0]), tuple(ways[1]))


def _points_of(contour: Dataset) -> NDArray[np.float64]:
    """Points (n, 3) of a contour whose numbers all are."""
    read = decimal_string(contour, "ContourData")
    return np.empty((0, 3)) if read.bad or read.values.size % 3 else read.values.reshape(-1, 3)


def structures_by_name(rois: Iterable[Roi]) -> dict[str, Structure]:
    """Structures by name; of two of one name the first that has contours."""
    structures: dict[str, Structure] = {}
    for roi in rois:
        known = structures.get(roi.structure.name)
        if known is None or known.is_empty:
            structures[roi.structure.name] = roi.structure
    return structures


def structure_set_of_file(
    path: Path, orientation: Orientation | None, slice_spacing_mm: float, slices_mm: ArrayLike | None = None
) -> StructureSet:
    """One RTSTRUCT file, with sentences for whatever keeps it from being read.

    Args:
        path, orientation, slice_spacing_mm, slices_mm: as of :func:`read_structure_set`.

    Raises:
        StructureSetError: the file is not an RTSTRUCT, or damaged.
    """
    if path.is_dir():
        raise StructureSetError(f"{path} is a folder: give the RTSTRUCT file in it")
    try:
        return read_structure_set(path, orientation, slice_spacing_mm, slices_mm)
    except EOFError as error:
        raise StructureSetError(
            f"{path} is not a whole RTSTRUCT ({error}): give a structure set, or export it again"
        ) from error
    except OSError as error:
        raise StructureSetError(f"{path} could not be opened ({error.strerror or error}): check its permissions") from error
    except Exception as error:  # a damaged structure set makes pydicom raise nearly anything
        raise StructureSetError(f"{path} could not be read ({type(error).__name__}): export it again") from error


def _rings(drawn: Sequence[Dataset], frame: _Frame, defects: list[ContourDefect]) -> list[Ring]:
    rings: list[Ring] = []
    for contour in drawn:
        kind = text(contour, "ContourGeometricType").upper()
        if kind == "POINT":
            continue
        placed = _ring(contour, frame, defects)
        if placed is None:
            continue
        w, points = placed
        if kind in ("OPEN_PLANAR", "OPEN_NONPLANAR"):
            defects.append(ContourDefect("open", w, dropped=True))
            continue
        area = _area(points, w, defects)
        if area is not None:
            rings.append(Ring(w, area, exclusive="XOR" in kind))
    return rings


def _within_a_patient(rings: list[Ring], defects: list[ContourDefect]) -> list[Ring]:
    """Rings of an organ that is no longer than a person; none of one that is."""
    if not rings:
        return rings
    bounds = np.array([r.area.bounds for r in rings if not r.area.is_empty])
    across = (bounds[:, 2:].max(axis=0) - bounds[:, :2].min(axis=0)).tolist()
    heights = np.ptp([r.w_mm for r in rings])
    try:
        refuse_extent([*across, float(heights)], "ContourData")
    except LimitError as error:
        told = str(error).removeprefix("its ")
        defects += [ContourDefect("beyond_limits", r.w_mm, dropped=True, detail=told) for r in rings]
        return []
    return rings


def _ring(contour: Dataset, frame: _Frame, defects: list[ContourDefect]) -> tuple[float, NDArray[np.float64]] | None:
    read = decimal_string(contour, "ContourData")
    usable = read.values.size // 3 * 3
    points = read.values[:usable].reshape(-1, 3)
    good = points[np.isfinite(points).all(axis=1)]
    where = float(np.median(frame.orientation.to_frame(good)[:, 2])) if good.size else None

    def defect(kind: DefectKind, dropped: bool, detail: str = "") -> None:
        defects.append(ContourDefect(kind, None if where is None else round(where, 2), dropped, detail))

    if read.bad or usable != read.values.size:
        defect("not_a_number", dropped=True, detail=read.bad or f"{read.values.size} coordinates, no multiple of three")
        return None
    if where is None or points.shape[0] < 3:
        defect("few_points", dropped=True)
        return None
    in_frame = frame.orientation.to_frame(points)
    try:
        refuse_places(points, "ContourData")
        refuse_extent(np.ptp(points, axis=0).tolist(), "ContourData")
    except LimitError as error:
        defect("beyond_limits", dropped=True, detail=str(error).removeprefix("its "))
        return None
    if not frame.is_planar(in_frame[:, 2]):
        defect("not_planar", dropped=True)
        return None
    if read.commas:
        defect("decimal_comma", dropped=False)
    elif read.unlike_dicom:
        defect("unlike_dicom", dropped=False)
    ring = in_frame[:, :2]
    if ring.shape[0] > MANY_POINTS:
        defect("too_many_points", dropped=False)
        ring = shapely.get_coordinates(LineString(ring).simplify(THIN_MM, preserve_topology=False))
    if ring.shape[0] > MOST_POINTS:
        defect("scribble", dropped=True)
        return None
    return round(float(in_frame[:, 2].mean()), 3), ring


def _area(ring: NDArray[np.float64], w: float, defects: list[ContourDefect]) -> MultiPolygon | None:
    distinct = ring[np.r_[True, (np.abs(np.diff(ring, axis=0)) > 1e-6).any(axis=1)]]
    if distinct.shape[0] > 1 and np.allclose(distinct[0], distinct[-1], atol=1e-6):
        distinct = distinct[:-1]
    if distinct.shape[0] < 3:
        defects.append(ContourDefect("few_points", w, dropped=True))
        return None
    simple = LineString(np.vstack([distinct, distinct[:1]])).is_simple
    if not simple and cross_more_often(distinct, MOST_CROSSINGS):
        defects.append(ContourDefect("scribble", w, dropped=True))
        return None
    area = area_of_ring(distinct)
    if area.is_empty:
        defects.append(ContourDefect("no_area", w, dropped=True))
        return None
    if not simple and _crosses_itself(distinct):
        defects.append(ContourDefect("self_intersecting", w, dropped=False))
    return area


def _crosses_itself(ring: NDArray[np.float64]) -> bool:
    """Whether edges of a ring that is not simple truly cross. A keyhole's bridge and a repeated point touch, but do not."""
    # A keyhole walks its bridge twice, along the same points: without these edges the rest must be simple.
    edges = np.stack([ring, np.roll(ring, -1, axis=0)], axis=1)
    keys = {tuple(np.round(e, 3).ravel()) for e in edges}
    kept = [e for e in edges if tuple(np.round(e[::-1], 3).ravel()) not in keys]
    if len(kept) == 0:
        return True
    noded = shapely.node(shapely.multilinestrings([shapely.linestrings(e) for e in kept]))
    return int(shapely.get_num_geometries(noded)) > len(kept)
