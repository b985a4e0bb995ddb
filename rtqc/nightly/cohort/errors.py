"""Contouring errors of graded size, after Hui et al. (2018): each moves, grows, cuts or spoils a heart by so much."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import shapely
import shapely.affinity
from shapely.geometry import MultiPolygon, Point

from rtqc.core.structure import Structure
from rtqc.geometry.coverage import as_multipolygon

#: Of what is added at an end, each plane is so much smaller than the one before.
_TAPER = 0.9
SIZES_SHIFT_MM = (2.0, 5.0, 8.0, 12.0, 20.0)
SIZES_MARGIN_MM = (1.0, 2.0, 3.0, 5.0, 8.0)
SIZES_END_MM = (3.0, 6.0, 12.0, 24.0)
SIZES_SLICES = (1.0, 2.0, 3.0)
SIZES_ISLAND_MM = (3.0, 6.0, 12.0)
SIZES_SMOOTHING_MM = (5.0, 10.0, 20.0)
SIZES_COPIES = (3.0, 4.0, 6.0)


@dataclass(frozen=True)
class GradedError:
    """An error of one size.

    Attributes:
        kind: what is wrong.
        size, unit: how large it is.
        heart: the contour with the error.
    """

    kind: str
    size: float
    unit: str
    heart: Structure


def graded_errors(heart: Structure, other: Structure | None = None) -> Iterator[GradedError]:
    """Every error of every size that a heart has room for.

    Args:
        heart: a good contour on axial planes.
        other: another patient's heart, for the contour that was copied from the patient before.
    """
    for size in SIZES_SHIFT_MM:
        for way, (dx, dy) in {"right": (-1, 0), "left": (1, 0), "front": (0, -1), "back": (0, 1)}.items():
            yield GradedError(f"shifted to the {way}", size, "mm", _each(heart, partial(_moved, dx=dx * size, dy=dy * size)))
        for way, sign in {"up": 1, "down": -1}.items():
            yield GradedError(f"shifted {way}", size, "mm", _lifted(heart, sign * size))
    for size in SIZES_MARGIN_MM:
        yield GradedError("grown", size, "mm", _each(heart, partial(_grown, mm=size)))
        yield GradedError("shrunk", size, "mm", _each(heart, partial(_grown, mm=-size)))
    for size in SIZES_END_MM:
        for end, upper in {"upper": True, "lower": False}.items():
            yield GradedError(f"{end} end cut", size, "mm", _cut(heart, size, upper))
            yield GradedError(f"{end} end added to", size, "mm", _added(heart, size, upper))
    for size in SIZES_SLICES:
        yield GradedError("slices missing", size, "slices", _without(heart, int(size)))
    for size in SIZES_ISLAND_MM:
        yield GradedError("island, radius", size, "mm", _island(heart, size))
    for size in SIZES_SMOOTHING_MM:
        yield GradedError("smoothed, radius", size, "mm", _each(heart, partial(_smooth, radius=size)))
    for size in SIZES_COPIES:
        yield GradedError("one outline copied", size, "slices", _copied(heart, int(size)))
    if other is not None:
        yield GradedError("another patient's", 1.0, "contour", _placed(other, heart))


def _each(heart: Structure, change: Callable[[MultiPolygon], MultiPolygon]) -> Structure:
    return replace(heart, planes={w: change(area) for w, area in heart.planes.items()})


def _moved(area: MultiPolygon, dx: float, dy: float) -> MultiPolygon:
    return as_multipolygon(shapely.transform(area, lambda xy: xy + (dx, dy)))


def _grown(area: MultiPolygon, mm: float) -> MultiPolygon:
    return as_multipolygon(area.buffer(mm))


def _lifted(heart: Structure, mm: float) -> Structure:
    """Every outline on another slice, as it happens when contours are copied to the wrong one: by whole slices, the nearest to the size."""
    step = heart.usual_spacing_mm
    by = round(mm / step) * step or np.copysign(step, mm)
    return replace(heart, planes={w + by: area for w, area in heart.planes.items()})


def _cut(heart: Structure, mm: float, upper: bool) -> Structure:
    count = max(round(mm / heart.usual_spacing_mm), 1)
    kept = list(heart.planes.items())
    return replace(heart, planes=dict(kept[:-count] if upper else kept[count:]))


def _added(heart: Structure, mm: float, upper: bool) -> Structure:
    step = heart.usual_spacing_mm
    w, area = list(heart.planes.items())[-1 if upper else 0]
    planes = dict(heart.planes)
    for k in range(1, max(round(mm / step), 1) + 1):
        smaller = shapely.affinity.scale(area, _TAPER**k, _TAPER**k, origin="centroid")
        planes[w + (k if upper else -k) * step] = as_multipolygon(smaller)
    return replace(heart, planes=planes)


def _without(heart: Structure, count: int) -> Structure:
    planes = list(heart.planes.items())
    middle = len(planes) // 2
    return replace(heart, planes=dict(planes[:middle] + planes[middle + count :]))


def _island(heart: Structure, radius: float) -> Structure:
    planes = dict(heart.planes)
    w = list(planes)[len(planes) // 2]
    left = planes[w].bounds[0]
    spot = Point(left - 15 - radius, planes[w].centroid.y).buffer(radius)
    planes[w] = as_multipolygon(shapely.union(planes[w], spot))
    return replace(heart, planes=planes)


def _smooth(area: MultiPolygon, radius: float) -> MultiPolygon:
    """Opened, then closed: what is sharper than the radius has gone."""
    opened = as_multipolygon(area.buffer(-radius).buffer(2 * radius).buffer(-radius))
    return opened if not opened.is_empty else area


def _copied(heart: Structure, count: int) -> Structure:
    planes = dict(heart.planes)
    heights = list(planes)[len(planes) // 2 - count :][:count]
    return replace(heart, planes=planes | dict.fromkeys(heights, planes[heights[0]]))


def _placed(other: Structure, heart: Structure) -> Structure:
    """Another heart where this one is, as somebody would drag it there: on its slices, about its middle."""
    there, here = other.centroid_mm, heart.centroid_mm
    step = heart.usual_spacing_mm
    heights = heart.positions_mm
    count = max(round((other.positions_mm[-1] - other.positions_mm[0]) / step), 1)
    middle = float(heights[np.abs(heights - here[2]).argmin()])
    planes = {}
    for k in range(-count, count + 1):
        w = middle + k * step
        source = other.positions_mm[np.abs(other.positions_mm - (w - here[2] + there[2])).argmin()]
        if abs(source - (w - here[2] + there[2])) <= other.usual_spacing_mm / 2:
            planes[w] = _moved(other.planes[float(source)], float(here[0] - there[0]), float(here[1] - there[1]))
    return replace(heart, planes=planes)
