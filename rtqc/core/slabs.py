"""How thick a plane is: the one rule that volumes, surfaces and DVHs share.

A contour speaks for the tissue halfway to its neighbours, and half the usual spacing beyond the last plane.
Planes further apart than :data:`MAX_BRIDGED_SPACINGS` usual spacings are not one piece: nothing is assumed
between them. One forgotten slice (twice the spacing) is bridged, as planning systems do; two are not.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: A gap of up to this many usual spacings is interpolated across; a wider one parts the structure.
MAX_BRIDGED_SPACINGS = 2.5


def usual_spacing_mm(positions_mm: ArrayLike, slice_spacing_mm: float | None = None) -> float:
    """The spacing that a stack of planes was made with: the median step, unless that is itself a gap.

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
    median = float(np.median(steps))
    if slice_spacing_mm is not None and median > MAX_BRIDGED_SPACINGS * slice_spacing_mm:
        return float(slice_spacing_mm)
    return median


def slab_bounds_mm(positions_mm: ArrayLike, spacing_mm: float) -> NDArray[np.float64]:
    """Lower and upper end of each plane's slab, shape (n, 2), in mm.

    >>> slab_bounds_mm([0.0, 2.0, 4.0, 14.0], 2.0).tolist()
    [[-1.0, 1.0], [1.0, 3.0], [3.0, 5.0], [13.0, 15.0]]
    """
    positions = np.asarray(positions_mm, float)
    steps = np.diff(positions)
    half = np.where(steps <= MAX_BRIDGED_SPACINGS * spacing_mm + 1e-6, steps / 2, spacing_mm / 2)
    lower = positions - np.concatenate([[spacing_mm / 2], half])
    upper = positions + np.concatenate([half, [spacing_mm / 2]])
    return np.stack([lower, upper], axis=1)


def continued_mm(positions_mm: ArrayLike, spacing_mm: float, low_mm: float, high_mm: float) -> NDArray[np.float64]:
    """Plane positions, going on at a spacing until slabs of it cover an interval.

    >>> continued_mm([0.0, 2.0], 2.0, -3.5, 2.5).tolist()
    [-4.0, -2.0, 0.0, 2.0]
    """
    positions = np.asarray(positions_mm, float)
    below = np.arange(positions[0] - spacing_mm, low_mm - spacing_mm / 2, -spacing_mm)[::-1]
    above = np.arange(positions[-1] + spacing_mm, high_mm + spacing_mm / 2, spacing_mm)
    return np.concatenate([below, positions, above])
