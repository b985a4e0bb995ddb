"""The images that calcium is looked for and scored on: as the scanner made it where noise allows, else smoothed as little as needed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, uniform_filter1d

from rtqc.cardiac.agatston import SLICE_MM
from rtqc.cardiac.blood import Blood, noise_of
from rtqc.cardiac.region import Region

#: Noise at which an image is scored as it is, in HU: limit for calcium scoring of medium-sized patients (SCCT guidelines, Voros et al., J Cardiovasc Comput
#: Tomogr 5:75, 2011, and CAC-DRS: 20 HU, 23 HU for large ones). Above, calcium is looked for in an image that is smoothed until it is there.
QUIET_HU = 20.0
#: Gaussians that are tried, standard deviations in mm; beyond the last a vessel is not seen any more.
_GAUSSIANS_MM = (0.6, 0.9, 1.2)


@dataclass(frozen=True, eq=False)
class Quiet:
    """The images, and what was done to them. Smoothing lowers calcium with the noise, so that only where it lies is seen in the smooth image.

    Attributes:
        hu: where calcium is looked for: shape of the region's image, in HU.
        scored_hu: where it is scored: not smoothed within slices; the same array where none was needed.
        noise_hu: that is left in ``hu``.
        smoothed_mm: standard deviation of the Gaussian within slices; 0 where there was none.
        averaged: slices that were averaged; 1 where none were.
    """

    hu: NDArray[np.float32]
    scored_hu: NDArray[np.float32]
    noise_hu: float
    smoothed_mm: float
    averaged: int


def quieted(region: Region, blood: Blood) -> Quiet:
    """As little smoothing as noise allows: thin slices first make slices of 3 mm, as the score's definition has them."""
    hu, grid = region.image.hu, region.image.grid
    scored, noise, averaged, smoothed = hu, blood.noise_hu, 1, 0.0
    if noise > QUIET_HU:
        averaged = max(int(SLICE_MM / grid.slice_spacing_mm + 1e-6), 1)
        core = region.core()
        if averaged > 1:
            hu = uniform_filter1d(hu, averaged, axis=0, mode="nearest")
            noise = noise_of(hu, core, grid.spacing_mm[1]) or 0.0
        scored = hu
        for sigma in _GAUSSIANS_MM:
            if noise <= QUIET_HU:
                break
            smoothed = sigma
            hu = gaussian_filter(scored, (0, sigma / grid.spacing_mm[0], sigma / grid.spacing_mm[1]))
            noise = noise_of(hu, core, grid.spacing_mm[1], sigma) or 0.0
    return Quiet(hu, scored, round(noise, 1), smoothed, averaged)
