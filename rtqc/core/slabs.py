"""How thick a plane is: the one rule that volumes, surfaces and DVHs share.

A contour speaks for the tissue halfway to its neighbours. Beyond the last plane it speaks for half a slice: of the image at that place where
its slices are known, else of the contours' own spacing there. Where contours were drawn on every n-th slice, n slices are their spacing.

Neighbouring planes are one piece where nothing was forgotten between them, or so little that it can be interpolated: up to
:data:`MAX_BRIDGED_SPACINGS` spacings at that place (one forgotten slice, as planning systems do) or :data:`BRIDGED_MM`, whichever is more.
Planes further apart are not one piece: nothing is assumed between them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

#: A gap of up to this many spacings is interpolated across; a wider one parts the structure.
MAX_BRIDGED_SPACINGS = 2.5
#: A gap of up to so many mm is interpolated across however thin the slices are: a usual planning slice is no thinner.
BRIDGED_MM = 5.0
#: Contours on every n-th slice are one piece up to this distance, in mm; further apart they are pieces of their own.
WIDEST_DRAWN_STEP_MM = 30.0
#: So many equal steps in a row are a spacing that somebody chose.
_REGULAR_RUN = 3
#: Steps that differ by less than these (share, mm) are equal: positions are written to 0.01 or 0.1 mm.
_EQUAL_SHARE, _EQUAL_MM = 0.05, 0.11
#: Contours whose own spacing is this many times the image's skip slices.
_SPARSE = 1.5
#: Positions are written to 0.01 mm at best; what stands on a limit does not depend on their last binary digit.
_HAIR_MM = 1e-6
#: Planes further than this from a slice, in mm, are not on it; steps of which this share are regular are a grid.
_OFF_SLICE_MM, _OWN_GRID_SHARE = 0.05, 0.8
#: Steps of a piece that say what its spacing is at an end.
_STEPS_AT_END = 3


@dataclass(frozen=True, eq=False)
class Slabs:
    """What each plane of a stack stands for.

    Attributes:
        bounds_mm: lower and upper end of each plane's slab along the normal, shape (planes, 2), in mm.
        bridged: whether planes k and k + 1 are one piece, shape (planes - 1,).
    """

    bounds_mm: Floats
    bridged: NDArray[np.bool_]


def usual_spacing_mm(positions_mm: ArrayLike, slice_spacing_mm: float | None = None) -> float:
    """The spacing that a stack of planes was made with: the lower median of its steps, unless that is itself a gap.

    Args:
        positions_mm: ascending plane positions, in mm.
        slice_spacing_mm: spacing of the image that the planes were drawn on, where it is known.

    Raises:
        ValueError: a single plane and no ``slice_spacing_mm``.

    >>> usual_spacing_mm([0, 3, 6, 12])
    3.0
    """
    steps = np.diff(np.asarray(positions_mm, float))
    if steps.size == 0:
        if slice_spacing_mm is None:
            raise ValueError("a single plane has no spacing of its own: give slice_spacing_mm")
        return float(slice_spacing_mm)
    median = _lower_median(steps)
    gap = slice_spacing_mm is not None and median > max(MAX_BRIDGED_SPACINGS * slice_spacing_mm, BRIDGED_MM)
    return float(slice_spacing_mm) if gap and slice_spacing_mm and not _in_runs(steps).any() else median


def local_spacings_mm(positions_mm: ArrayLike, usual_mm: float | None = None) -> Floats:
    """The spacing that a stack has at each of its steps, shape (planes - 1,), in mm: a gap does not count, a chosen change of spacing does.

    Args:
        positions_mm: ascending plane positions, in mm.
        usual_mm: spacing to assume where no steps in a row are equal. None: that of the stack.

    >>> local_spacings_mm([0, 2, 4, 6, 12, 18, 24, 36]).tolist()
    [2.0, 2.0, 2.0, 6.0, 6.0, 6.0, 6.0]
    """
    steps = np.diff(np.asarray(positions_mm, float))
    if steps.size == 0:
        return steps
    regular = _in_runs(steps)
    if not regular.any():
        return np.full(steps.size, _lower_median(steps) if usual_mm is None else usual_mm)
    known = np.flatnonzero(regular)
    # A step between two spacings belongs to the wider one.
    before = known[np.clip(np.searchsorted(known, np.arange(steps.size), side="right") - 1, 0, None)]
    after = known[np.clip(np.searchsorted(known, np.arange(steps.size)), None, known.size - 1)]
    return np.asarray(np.where(regular, steps, np.maximum(steps[before], steps[after])))


def slabs_of(positions_mm: ArrayLike, slice_spacing_mm: float | None = None, slices_mm: ArrayLike | None = None) -> Slabs:
    """What each plane of a stack stands for.

    Args:
        positions_mm: ascending plane positions, in mm.
        slice_spacing_mm: spacing of the image that the planes were drawn on; needed only for a single plane.
        slices_mm: positions of the image's slices, ascending, in mm; None where they are not known.

    Raises:
        ValueError: a single plane without spacing or slices.

    >>> slabs_of([0.0, 2.0, 4.0, 14.0]).bounds_mm.tolist()
    [[-1.0, 1.0], [1.0, 3.0], [3.0, 5.0], [13.0, 15.0]]
    >>> slabs_of([0.0, 2.0], slices_mm=[-4.0, -2.0, 0.0, 2.0, 8.0, 14.0, 20.0]).bounds_mm.tolist()
    [[-1.0, 1.0], [1.0, 5.0]]
    """
    positions = np.asarray(positions_mm, float)
    steps = np.diff(positions)
    slices = None if slices_mm is None else np.asarray(slices_mm, float)
    if slices is not None and slices.size < 2:
        slices = None
    usual = _lower_median(np.diff(slices)) if slices is not None else usual_spacing_mm(positions, slice_spacing_mm)
    own = local_spacings_mm(positions, usual)
    bridged = (steps <= BRIDGED_MM + _HAIR_MM) | (_in_runs(steps) & (steps <= WIDEST_DRAWN_STEP_MM))
    if slices is None:
        bridged |= (steps <= MAX_BRIDGED_SPACINGS * own + _HAIR_MM) & (own <= WIDEST_DRAWN_STEP_MM)
        # Planes that stand alone are as thick as a slice of their image, not as far as the next.
        usual = slice_spacing_mm if slice_spacing_mm is not None and usual > WIDEST_DRAWN_STEP_MM else usual
    else:
        image, skipped = _image_between(positions, slices)
        sparse = (own >= _SPARSE * image) & (own <= WIDEST_DRAWN_STEP_MM)
        bridged |= (skipped <= 1) & (steps <= MAX_BRIDGED_SPACINGS * image + _HAIR_MM)
        bridged |= sparse & (steps <= MAX_BRIDGED_SPACINGS * own + _HAIR_MM)
    lower, upper = positions.copy(), positions.copy()
    lower[1:] -= np.where(bridged, steps / 2, 0.0)
    upper[:-1] += np.where(bridged, steps / 2, 0.0)
    for start, stop in _pieces(bridged):
        inside = steps[start : stop - 1]
        of_image = None if slices is None or _has_own_grid(positions[start:stop], slices) else slices
        lower[start] -= _half_end(_end_steps(inside), positions[start], -1, of_image, usual)
        upper[stop - 1] += _half_end(_end_steps(inside[::-1]), positions[stop - 1], 1, of_image, usual)
    return Slabs(np.stack([lower, upper], axis=1), np.asarray(bridged, bool))


def uncertain_thickness(positions_mm: ArrayLike) -> float | None:
    """What makes the thickness of planes uncertain where no image says how thick its slices are.

    Returns:
        How far the heights vary about even steps, in mm; 0.0 where planes stand alone, so that the heights say nothing; None where they say it.

    >>> uncertain_thickness([0, 3, 6, 9]), uncertain_thickness([5.0]), uncertain_thickness([0, 2.4, 6.3, 8.7, 12.4])
    (None, 0.0, 0.85)
    """
    positions = np.asarray(positions_mm, float)
    steps = np.diff(positions)
    if steps.size == 0 or (steps > WIDEST_DRAWN_STEP_MM).all():
        return 0.0
    if steps.size < _REGULAR_RUN or _in_runs(steps).mean() >= 0.5:
        return None
    usual = float(np.median(steps))
    # Steps of two or three slices are forgotten slices, not heights that vary.
    off = np.abs(steps - np.maximum(np.round(steps / usual), 1) * usual)
    varies = round(float(off.max()), 2)
    return varies if varies > max(_EQUAL_SHARE * usual, _EQUAL_MM) else None


def slab_bounds_mm(positions_mm: ArrayLike, spacing_mm: float) -> Floats:
    """Lower and upper end of each plane's slab, shape (n, 2), in mm; ``spacing_mm`` is that of a single plane.

    >>> slab_bounds_mm([5.0], 2.0).tolist()
    [[4.0, 6.0]]
    """
    return slabs_of(positions_mm, spacing_mm).bounds_mm


def continued_mm(positions_mm: ArrayLike, spacing_mm: float, low_mm: float, high_mm: float) -> Floats:
    """Plane positions, going on at a spacing until slabs of it cover an interval.

    >>> continued_mm([0.0, 2.0], 2.0, -3.5, 2.5).tolist()
    [-4.0, -2.0, 0.0, 2.0]
    """
    positions = np.asarray(positions_mm, float)
    below = np.arange(positions[0] - spacing_mm, low_mm - spacing_mm / 2, -spacing_mm)[::-1]
    above = np.arange(positions[-1] + spacing_mm, high_mm + spacing_mm / 2, spacing_mm)
    return np.concatenate([below, positions, above])


def half_slices_mm(slices_mm: ArrayLike) -> Floats:
    """How far each slice of an image reaches down and up, shape (slices, 2), in mm; beside a gap, half the spacing there.

    >>> half_slices_mm([0.0, 2.0, 4.0, 14.0]).tolist()
    [[1.0, 1.0], [1.0, 1.0], [1.0, 1.0], [1.0, 1.0]]
    """
    slices = np.asarray(slices_mm, float)
    steps, spacing = np.diff(slices), local_spacings_mm(slices)
    half = np.where(steps <= np.maximum(MAX_BRIDGED_SPACINGS * spacing, BRIDGED_MM) + _HAIR_MM, steps, spacing) / 2
    return np.stack([np.concatenate([half[:1], half]), np.concatenate([half, half[-1:]])], axis=1)


def _has_own_grid(positions: Floats, slices: Floats) -> bool:
    """Whether planes were drawn on slices of another image: evenly, and not on these slices."""
    off = np.abs(positions[:, None] - slices).min(axis=1)
    return bool(off.max() > _OFF_SLICE_MM and _in_runs(np.diff(positions)).mean() >= _OWN_GRID_SHARE) if off.size > 2 else False


def _end_steps(steps: Floats) -> Floats:
    """The steps of a piece that say what its spacing is at its first end: the next ones where they are regular, all where heights vary."""
    near = steps[:_STEPS_AT_END]
    return near if steps.size <= _STEPS_AT_END or _in_runs(near).any() or _in_runs(steps).mean() >= 0.5 else steps


def _half_end(steps: Floats, position: float, way: int, slices: Floats | None, usual: float) -> float:
    """Half the thickness beyond the end of a piece, given its steps from that end on."""
    own = _lower_median(steps) if steps.size else None
    if slices is None:
        return (usual if own is None else own) / 2
    down, up = half_slices_mm(slices)[int(np.abs(slices - position).argmin())].tolist()
    beyond, within = (down, up) if way < 0 else (up, down)
    # Somebody who draws on every n-th slice means half of that beyond the last, and so does somebody who draws between slices.
    skips = own is not None and (own >= _SPARSE * 2 * within or own * _SPARSE <= 2 * within)
    return own / 2 if own is not None and skips and own <= WIDEST_DRAWN_STEP_MM else beyond


def _image_between(positions: Floats, slices: Floats) -> tuple[Floats, NDArray[np.intp]]:
    """The image's widest spacing between each two planes, and how many of its slices lie between theirs, shapes (planes - 1,)."""
    spacing = local_spacings_mm(slices)
    nearest = np.searchsorted((slices[:-1] + slices[1:]) / 2, positions)
    first = np.clip(nearest[:-1], 0, spacing.size - 1)
    last = np.clip(nearest[1:] - 1, first, spacing.size - 1)
    widest = np.array([spacing[i : j + 1].max() for i, j in zip(first, last, strict=True)], float)
    return widest, np.diff(nearest) - 1


def _pieces(bridged: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """First plane and the one after the last of each piece."""
    cuts = np.flatnonzero(~bridged) + 1
    edges = [0, *cuts.tolist(), bridged.size + 1]
    return list(zip(edges[:-1], edges[1:], strict=True))


def _in_runs(steps: Floats) -> NDArray[np.bool_]:
    """Steps with so many equal ones in a row that it was a choice; all of them where all are equal and there are at least two."""
    regular = np.zeros(steps.size, bool)
    start = 0
    for k in range(1, steps.size + 1):
        if k < steps.size and abs(steps[k] - steps[start]) <= max(_EQUAL_SHARE * steps[start], _EQUAL_MM):
            continue
        if k - start >= _REGULAR_RUN or (k - start == steps.size >= 2):
            regular[start:k] = True
        start = k
    return regular


def _lower_median(values: Floats) -> float:
    return float(np.sort(values)[(values.size - 1) // 2])
