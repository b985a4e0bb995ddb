"""Contours at their heights -> planes: which contours are of one slice.

Planning systems write heights that wobble by a few tenths of a millimetre within a slice, and users import contours from other scans. Contours are sorted
into slices before they are combined: a hole beside its outline's height would be an island, and an outline with the same height twice a
plane too many.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import MultiPolygon

from rtqc.core.case import ContourDefect
from rtqc.core.slabs import local_spacings_mm
from rtqc.geometry.coverage import as_multipolygon
from rtqc.geometry.rings import combine_rings, overlap_share, same_outline

Floats = NDArray[np.float64]

#: Heights nearer than this, in mm, are one height whatever the spacing.
SAME_PLANE_MM = 0.05
#: Within one slice heights wobble by up to this, in mm, where no CT says which slice a contour is nearest to.
WOBBLE_MM = 0.45
#: Contours of which so many lie off their slices by the same distance were drawn on other slices: they stay where they are.
_SHIFTED_SHARE = 0.75
#: Smallest such distance, in mm, and how much it may vary.
_LEAST_SHIFT_MM, _SHIFT_VARIES_MM = 0.1, 0.1
#: Neighbouring slices of one organ share more than this of their area; a hole and its outline, or two pieces, share less.
_NEIGHBOURS_SHARE = 0.5
#: Contours stand on a grid of their own where this share of their steps are equal; two steps say so only if they are under this share of the image's spacing.
_EVEN_SHARE, _FINER = 0.8, 0.75
#: A hole that leaves a wall has no more than this share of its outline's area.
_WALLED_SHARE = 0.9
#: Outlines at heights nearer than this share of the spacing are of one plane: one in the other is its hole.
_SAME_PLANE_SHARE = 0.15
#: An organ has no more runs of outlines that follow each other than this.
_MOST_CHAINS = 20
#: So many steps up and down say what the spacing of outlines is at a place.
_STEPS_BESIDE = 3
#: Contours this near to the middle between two slices belong to the lower one, all of them, whatever the rounding.
_MIDDLE = 0.51
#: More heights than this are nobody's contours of one organ: they are not merged one by one.
_MOST_LEVELS = 3000


@dataclass(frozen=True)
class Ring:
    """The area of one closed contour.

    Attributes:
        w_mm: its height along the normal.
        area: in mm of the plane.
        exclusive: whether it is a CLOSEDPLANAR_XOR contour.
    """

    w_mm: float
    area: MultiPolygon
    exclusive: bool = False


@dataclass(frozen=True)
class _Slice:
    """Rings of one slice, by number, and where its plane is."""

    w_mm: float
    members: tuple[int, ...]


def planes_of(
    rings: Sequence[Ring], slices_mm: Floats | None, slice_spacing_mm: float | None
) -> tuple[dict[float, MultiPolygon], list[ContourDefect]]:
    """The planes of a structure.

    Args:
        rings: of one ROI, in any order.
        slices_mm: positions of the CT's slices along the normal, ascending, in mm; None where they are not known.
        slice_spacing_mm: of the CT, in mm; None where it is not known.

    Returns:
        Area by plane position, and what was done: contours that were there twice, and contours that were moved to their slice.
    """
    if not rings:
        return {}, []
    heights = np.array([r.w_mm for r in rings])
    if slices_mm is not None and slices_mm.size > 1:
        slices = _of_image(rings, heights, slices_mm)
    else:
        slices = _of_contours(rings, np.arange(heights.size), slice_spacing_mm)
    planes: dict[float, MultiPolygon] = {}
    defects: list[ContourDefect] = []
    for s in slices:
        members = [rings[k] for k in s.members]
        combined = combine_rings([r.area for r in members if not r.exclusive], [r.area for r in members if r.exclusive])
        planes[s.w_mm] = combined.area
        defects += [ContourDefect("tangled", s.w_mm, dropped=True)] * len(members) if combined.tangled else []
        defects += [ContourDefect("repeated", s.w_mm, dropped=True)] * combined.repeated
        defects += [ContourDefect("across", s.w_mm, dropped=False)] * combined.across
        off = [r.w_mm for r in members if abs(r.w_mm - s.w_mm) > SAME_PLANE_MM]
        defects += [ContourDefect("moved_to_slice", w, dropped=False, offset_mm=round(w - s.w_mm, 3)) for w in off]
    return planes, defects


def _of_image(rings: Sequence[Ring], heights: Floats, slices_mm: Floats) -> list[_Slice]:
    """Contours sorted into the image's slices; those that are no slice's, and grids of other steps than theirs, as they are."""
    spacings = local_spacings_mm(slices_mm)
    levels = _levels(heights)
    lower = np.clip(np.searchsorted(slices_mm, heights, side="right") - 1, 0, slices_mm.size - 2)
    share = (heights - slices_mm[lower]) / np.diff(slices_mm)[lower]
    nearest = np.where(share > _MIDDLE, lower + 1, lower)
    offsets = heights - slices_mm[nearest]
    if _is_other_grid(rings, levels, heights, offsets, float(np.sort(spacings)[(spacings.size - 1) // 2])):
        return [_Slice(float(heights[m[0]]), tuple(m)) for m in levels]
    # Beside a slice that the export lacks, a contour is that slice's: nothing reaches further than half the usual spacing.
    half = np.minimum(np.diff(slices_mm), spacings) / 2
    reach = np.stack([np.concatenate([half[:1], half]), np.concatenate([half, half[-1:]])], axis=1)[nearest]
    slack = (_MIDDLE - 0.5) * 2 * reach.max(axis=1)
    on = (offsets >= -reach[:, 0] - slack) & (offsets <= reach[:, 1] + slack)
    shift = _shift(offsets[on])
    walled = _alternate_in_size(rings, levels)
    slices = []
    for k in np.unique(nearest[on]):
        members = np.flatnonzero(on & (nearest == k)).tolist()
        place = round(float(slices_mm[k]) + shift, 3) if shift else float(slices_mm[k])
        parts = [members] if walled else _parts(rings, members, float(spacings[min(k, spacings.size - 1)]))
        slices += (
            [_Slice(place, tuple(members))] if len(parts) == 1 else [_Slice(_place(rings, m), tuple(sorted(m))) for m in parts]
        )
    return slices + _of_contours(rings, np.flatnonzero(~on), float(spacings.max()))


def _shift(offsets: Floats) -> float:
    """How far a structure as a whole lies off the slices, in mm; 0 where its contours only wobble."""
    if offsets.size == 0:
        return 0.0
    middle = float(np.median(offsets))
    alike = float((np.abs(offsets - middle) <= _SHIFT_VARIES_MM).mean())
    return middle if abs(middle) >= _LEAST_SHIFT_MM and alike >= _SHIFTED_SHARE else 0.0


def _is_other_grid(rings: Sequence[Ring], levels: list[list[int]], heights: Floats, offsets: Floats, spacing: float) -> bool:
    """Whether contours were drawn on slices of another spacing than the image's: even steps, and each outline like the next."""
    if len(levels) < 3 or bool((np.abs(offsets) <= SAME_PLANE_MM).all()):
        return False
    steps = np.diff([heights[m[0]] for m in levels])
    step = float(np.median(steps))
    drift = abs(step - max(1, round(step / spacing)) * spacing) * steps.size
    # Two steps are equal by chance where heights wobble, and a grid that never leaves its slices by half of one is theirs.
    if drift < 0.5 * spacing or (len(levels) < 4 and step > _FINER * spacing):
        return False
    if (np.abs(steps - step) <= max(0.02 * step, 0.02)).mean() < _EVEN_SHARE:
        return False
    areas = [_union(rings, m) for m in levels]
    alike = [overlap_share(a, b) > _NEIGHBOURS_SHARE for a, b in pairwise(areas)]
    return bool(np.mean(alike) > 0.5) and not _alternate_in_size(rings, levels)


def _alternate_in_size(rings: Sequence[Ring], levels: list[list[int]]) -> bool:
    """Whether each second level is smaller than both beside it all the way: holes that lie beside their outlines' heights."""
    if len(levels) < 4:
        return False
    sizes = np.array([_union(rings, m).area for m in levels])
    smaller, larger = np.minimum(sizes[1:], sizes[:-1]), np.maximum(sizes[1:], sizes[:-1])
    walls = smaller <= _WALLED_SHARE * larger
    turns = np.abs(np.diff(np.sign(np.diff(sizes)))) == 2
    return bool((turns & walls[1:] & walls[:-1]).mean() >= _EVEN_SHARE)


def _parts(rings: Sequence[Ring], members: list[int], spacing: float) -> list[list[int]]:
    """Contours nearest to one slice, by the planes that they were drawn on: one, unless outlines of neighbouring slices are among them.

    Two outlines at different heights that share most of their area are neighbours, however small their difference: one is not the other's hole. The same
    outline at two heights is one that was drawn twice.
    """
    levels: list[list[int]] = []
    for k in sorted(members, key=lambda k: rings[k].w_mm):
        if levels and rings[k].w_mm - rings[levels[-1][0]].w_mm <= max(_SAME_PLANE_SHARE * spacing, SAME_PLANE_MM):
            levels[-1].append(k)
        else:
            levels.append([k])
    if len(levels) == 1:
        return levels
    anchors: list[list[int]] = []
    others: list[list[int]] = []
    for level in sorted(levels, key=lambda m: -max(rings[k].area.area for k in m)):
        largest = max(level, key=lambda k: rings[k].area.area)
        against = [max(a, key=lambda k: rings[k].area.area) for a in anchors]
        apart = [
            overlap_share(rings[largest].area, rings[j].area) > _NEIGHBOURS_SHARE
            and not same_outline(rings[largest].area, rings[j].area)
            for j in against
        ]
        (anchors if all(apart) else others).append(level)
    for level in others:
        w = rings[level[0]].w_mm
        min(anchors, key=lambda a: abs(rings[a[0]].w_mm - w)).extend(level)
    return anchors


def _of_contours(rings: Sequence[Ring], chosen: NDArray[np.intp], slice_spacing_mm: float | None) -> list[_Slice]:
    """Contours sorted into slices by their own heights alone.

    Heights that wobble are of one slice where they are nearer than half the step beside them, unless there are three such steps in a row: then they are
    slices of a finer spacing. Of heights further apart only those are of one slice that alternate, a short step and a long one, all the way.
    """
    heights = np.array([rings[k].w_mm for k in chosen])
    levels = [[int(chosen[k]) for k in m] for m in _levels(heights)]
    if len(levels) <= _MOST_LEVELS:
        levels = _with_holes(rings, levels)
        levels = _without_wobble(rings, _without_alternation(rings, levels), slice_spacing_mm)
    return [_Slice(_place(rings, m), tuple(sorted(m))) for m in levels]


def _with_holes(rings: Sequence[Ring], levels: list[list[int]]) -> list[list[int]]:
    """Levels whose holes and further pieces lie beside them, each by a distance of its own, joined with them.

    The outlines of an organ follow each other, each like the next. What lies nearer to one of them than half the spacing there, and is not like it, is of
    the same slice.
    """
    areas = [_union(rings, m) for m in levels]
    sizes = np.array([a.area for a in areas])
    left = list(range(len(levels)))
    homes: dict[int, list[int]] = {}
    walled = _alternate_in_size(rings, levels)
    for _ in range(_MOST_CHAINS):
        if not left:
            break
        start = max(left, key=lambda k: sizes[k])
        if walled:
            chain = [k for k in left if sizes[k] >= max(sizes[max(k - 1, 0)], sizes[min(k + 1, len(levels) - 1)])]
        else:
            chain = _alike(areas, left, start)
        places = np.array([_place(rings, levels[k]) for k in chain])
        homes |= {k: list(levels[k]) for k in chain}
        rest = []
        for k in (k for k in left if k not in homes):
            away = np.abs(places - _place(rings, levels[k]))
            nearest = int(away.argmin())
            around = np.diff(places)[max(nearest - _STEPS_BESIDE, 0) : nearest + _STEPS_BESIDE]
            if around.size and away[nearest] <= 0.5 * float(np.median(around)) - (0.0 if walled else SAME_PLANE_MM):
                homes[chain[nearest]] += levels[k]
            else:
                rest.append(k)
        left, walled = rest, False
    homes |= {k: levels[k] for k in left}
    return [homes[k] for k in sorted(homes)]


def _alike(areas: Sequence[MultiPolygon], among: Sequence[int], start: int) -> list[int]:
    """Numbers of the outlines that follow each other up and down from one, each like the one before."""
    chain = [start]
    for way in (1, -1):
        last = start
        for k in sorted((k for k in among if (k - start) * way > 0), reverse=way < 0):
            if overlap_share(areas[last], areas[k]) > _NEIGHBOURS_SHARE:
                chain.append(k)
                last = k
    return sorted(chain)


def _without_alternation(rings: Sequence[Ring], levels: list[list[int]]) -> list[list[int]]:
    """Levels of which every other lies beside its slice by the same distance, such as holes, joined with it."""
    steps = np.diff([_place(rings, m) for m in levels])
    joined: list[list[int]] = []
    k = 0
    while k < len(levels):
        if k < steps.size and _alternates(steps, k) and not _neighbours(rings, levels[k], levels[k + 1]):
            joined.append(levels[k] + levels[k + 1])
            k += 2
        else:
            joined.append(levels[k])
            k += 1
    return joined


def _alternates(steps: Floats, k: int) -> bool:
    """Whether a short step stands between long ones, and beyond them the same again."""
    beside = [steps[j] for j in (k - 1, k + 1) if 0 <= j < steps.size]
    again = [steps[j] for j in (k - 2, k + 2) if 0 <= j < steps.size]
    return bool(
        min(beside, default=0.0) > steps[k] + SAME_PLANE_MM
        and np.abs(np.array(again) - steps[k]).min(initial=np.inf) <= SAME_PLANE_MM
    )


def _without_wobble(rings: Sequence[Ring], levels: list[list[int]], slice_spacing_mm: float | None) -> list[list[int]]:
    """Levels nearer than heights wobble joined, the nearest first."""
    places = [_place(rings, m) for m in levels]
    k = _next_pair(places, slice_spacing_mm)
    while k is not None:
        levels[k : k + 2] = [levels[k] + levels[k + 1]]
        places[k : k + 2] = [_place(rings, levels[k])]
        k = _next_pair(places, slice_spacing_mm)
    return levels


def _next_pair(places: list[float], slice_spacing_mm: float | None) -> int | None:
    """The nearest two levels that are of one slice; None where all are slices of their own."""
    steps = np.diff(places)
    for k in np.flatnonzero(steps <= WOBBLE_MM)[np.argsort(steps[steps <= WOBBLE_MM], kind="stable")]:
        step = float(steps[k])
        beside = [float(steps[j]) for j in (k - 1, k + 1) if 0 <= j < steps.size] or [slice_spacing_mm or 0.0]
        equal = np.abs(steps - step) <= max(0.05 * step, 0.01)
        run = any(equal[j : j + 3].all() for j in (k - 2, k - 1, k) if j >= 0 and j + 3 <= steps.size)
        if step <= 0.5 * max(beside) and not run:
            return int(k)
    return None


def _neighbours(rings: Sequence[Ring], a: Sequence[int], b: Sequence[int]) -> bool:
    """Whether two levels look like neighbouring slices of one organ."""
    return overlap_share(_union(rings, a), _union(rings, b)) > _NEIGHBOURS_SHARE


def _levels(heights: Floats) -> list[list[int]]:
    """Numbers of contours of one height, lowest first."""
    order = np.argsort(heights, kind="stable")
    levels: list[list[int]] = []
    for k in order.tolist():
        if levels and heights[k] - heights[levels[-1][0]] <= SAME_PLANE_MM:
            levels[-1].append(k)
        else:
            levels.append([k])
    return levels


def _place(rings: Sequence[Ring], members: Sequence[int]) -> float:
    """The height of the largest contour of a slice."""
    return float(rings[max(members, key=lambda k: rings[k].area.area)].w_mm)


def _union(rings: Sequence[Ring], members: Sequence[int]) -> MultiPolygon:
    if len(members) == 1:
        return rings[members[0]].area
    return as_multipolygon(shapely.union_all([rings[k].area for k in members]))
