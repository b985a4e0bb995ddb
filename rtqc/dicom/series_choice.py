"""Which CT a structure set was drawn on: the slices that it refers to, and, where it does not say, the series on whose slices its contours lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from rtqc.core.orientation import AXIAL, Orientation
from rtqc.dicom.bounded import read_object
from rtqc.dicom.elements import decimal_string, items, numbers, referenced_series, text
from rtqc.dicom.index import Header

#: A contour lies on a slice where it is nearer than this, in mm: heights of one slice wobble by up to 0.4 mm.
_ON_SLICE_MM = 0.5
#: Contours that are looked at; more say no more.
_MOST_CONTOURS = 2000
#: Contours that another series holds in this share less are another series' contours.
_CLEARLY = 0.05


@dataclass(frozen=True)
class SeriesChoice:
    """The series that was taken of several.

    Attributes:
        series: its headers.
        on_slices: share of the contours that lie on its slices, 0 to 1; None where there are no contours or no positions.
        clear: whether no other series fits as well.
    """

    series: list[Header]
    on_slices: float | None
    clear: bool


def referenced_images(structure_set: Dataset) -> frozenset[str]:
    """SOP Instance UIDs of the images that a structure set says to be drawn on; empty where it names none."""
    found = {
        text(i, "ReferencedSOPInstanceUID")
        for series in referenced_series(structure_set)
        for i in items(series, "ContourImageSequence")
    }
    if not found - {""}:
        contours = (c for roi in items(structure_set, "ROIContourSequence") for c in items(roi, "ContourSequence"))
        found = {text(i, "ReferencedSOPInstanceUID") for c in contours for i in items(c, "ContourImageSequence")}
    return frozenset(found - {""})


def series_under_contours(structure_set: Header, candidates: Sequence[list[Header]]) -> SeriesChoice:
    """Of several series the one on whose slices most contours lie; of equals the one whose slices the contours skip least, then the longest.

    Args:
        structure_set: its header; a file that cannot be read has no contours.
        candidates: headers of each series, at least one.
    """
    points = _points_of(structure_set)
    scored = []
    for series in candidates:
        on, used = _fit(points, series)
        scored.append((round(on / _CLEARLY), round(used, 2), len(series), on))
    best = max(range(len(scored)), key=lambda k: scored[k][:3])
    others = [s[:2] for k, s in enumerate(scored) if k != best]
    return SeriesChoice(candidates[best], scored[best][3] if points.size else None, scored[best][:2] not in others)


def _points_of(structure_set: Header) -> NDArray[np.float64]:
    """A point of each contour, (n, 3), in patient coordinates."""
    try:
        dataset = read_object(structure_set.path)
        contours = [c for roi in items(dataset, "ROIContourSequence") for c in items(roi, "ContourSequence")]
    except Exception:  # a damaged structure set makes pydicom raise nearly anything; reading it says so
        return np.empty((0, 3))
    step = max(len(contours) // _MOST_CONTOURS, 1)
    points = []
    for contour in contours[::step]:
        values = decimal_string(contour, "ContourData").values
        if values.size >= 3 and values.size % 3 == 0 and np.isfinite(values).all():
            points.append(np.median(values.reshape(-1, 3), axis=0))
    return np.array(points).reshape(-1, 3)


def _fit(points: NDArray[np.float64], series: Sequence[Header]) -> tuple[float, float]:
    """Share of the points that lie on slices, and share of the slices within the points' extent that one lies on."""
    if points.size == 0:
        return 0.0, 0.0
    orientation, positions = _positions(series)
    if positions.size == 0:
        return 0.0, 0.0
    heights = orientation.to_frame(points)[:, 2]
    distance = np.abs(heights[:, None] - positions[None, :])
    on = distance.min(axis=1) <= _ON_SLICE_MM
    within = (positions >= heights.min() - _ON_SLICE_MM) & (positions <= heights.max() + _ON_SLICE_MM)
    if not within.any():
        return 0.0, 0.0
    return float(on.mean()), float((distance[:, within].min(axis=0) <= _ON_SLICE_MM).mean())


def _positions(series: Sequence[Header]) -> tuple[Orientation, NDArray[np.float64]]:
    """Heights of a series' slices along their normal, ascending, in mm."""
    tags = [
        Tag(k)
        for k in (
            "ImagePositionPatient",
            "ImageOrientationPatient",
            "PerFrameFunctionalGroupsSequence",
            "SharedFunctionalGroupsSequence",
        )
    ]
    corners: list[tuple[float, ...]] = []
    orientation = AXIAL
    for header in series:
        try:
            dataset = read_object(header.path, header=True, tags=tags)
        except Exception:  # read again with its pixels, which says what is wrong
            continue
        frames = items(dataset, "PerFrameFunctionalGroupsSequence")
        shared = items(dataset, "SharedFunctionalGroupsSequence")
        planes = [p for frame in frames for p in items(frame, "PlanePositionSequence")] or [dataset]
        corners += [c for p in planes if (c := numbers(p, "ImagePositionPatient", 3)) is not None]
        turned = [o for g in (*frames[:1], *shared[:1]) for o in items(g, "PlaneOrientationSequence")] or [dataset]
        directions = numbers(turned[0], "ImageOrientationPatient", 6)
        if directions is not None:
            try:
                orientation = Orientation(
                    (directions[0], directions[1], directions[2]), (directions[3], directions[4], directions[5])
                )
            except ValueError:
                continue
    heights = orientation.to_frame(np.array(corners, float).reshape(-1, 3))[:, 2]
    return orientation, np.unique(np.round(heights, 3))
