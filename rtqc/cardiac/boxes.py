"""Boxes of voxels: work is done in what is needed of an image, not in all of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Box = tuple[slice, ...]


def box_of(index: NDArray[np.intp]) -> Box:
    """The smallest box around voxels (n, 3)."""
    return tuple(slice(int(a), int(b) + 1) for a, b in zip(index.min(axis=0), index.max(axis=0), strict=True))


def wider(box: Box, shape: tuple[int, ...], by: Sequence[int]) -> Box:
    """A box and so many voxels more on every side, as far as the image goes."""
    return tuple(slice(max(s.start - r, 0), min(s.stop + r, n)) for s, r, n in zip(box, by, shape, strict=True))


def marked(index: NDArray[np.intp], box: Box) -> NDArray[np.bool_]:
    """Voxels (n, 3) as a mask of a box that holds them."""
    own = np.zeros([s.stop - s.start for s in box], bool)
    own[tuple((index - [s.start for s in box]).T)] = True
    return own
