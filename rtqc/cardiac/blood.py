"""What blood and muscle look like on this scan: CT number, noise, and whether there is contrast agent."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from rtqc.cardiac.region import Region

#: Median absolute deviation of a normal distribution times this is its standard deviation.
_MAD_TO_SIGMA = 1.4826
#: Blood without contrast agent has 30 to 60 HU (haematocrit 0.25 to 0.55), muscle 40 to 60; a chamber above this, smoothed, has contrast agent.
CONTRAST_HU = 95.0
#: Of the heart's core so much at least is brighter where contrast agent is in one chamber; calcium and metal fill less.
_CONTRAST_SHARE = 0.06
#: Width of the smoothing by which chambers are looked at, in mm.
_CHAMBER_MM = 2.5
#: Noise of soft kernels correlates over 1 to 2 mm, as if white noise had been smoothed by so much (standard deviation), in mm.
_APART_MM, _KERNEL_MM = 3.0, 0.8
#: Noise smoothed by a Gaussian hardly correlates (5 %) over so many of its standard deviations: exp(-d² / 4s²).
_APART_SDS = 3.5
#: Slices that noise and blood are measured on at most: neighbours tell the same.
_MOST_SLICES = 24


@dataclass(frozen=True)
class Blood:
    """Inside the heart's core.

    Attributes:
        hu: median CT number.
        noise_hu: standard deviation of the noise of a voxel.
        contrast: whether there is contrast agent, from the image alone.
        bright_share: part of the core above :data:`CONTRAST_HU`, smoothed.
    """

    hu: float
    noise_hu: float
    contrast: bool
    bright_share: float


def blood_of(region: Region) -> Blood:
    """Measure."""
    step = max(region.image.grid.shape[0] // _MOST_SLICES, 1)
    slices = slice(None, None, step)
    core = region.core(slices)
    hu = region.image.hu[slices]
    sigma = [_CHAMBER_MM / s for s in region.image.grid.spacing_mm]
    smooth = gaussian_filter(hu, (0, *sigma))
    bright = float((smooth[core] > CONTRAST_HU).mean())
    return Blood(
        round(float(np.median(hu[core])), 1),
        noise_of(hu, core, region.image.grid.spacing_mm[1]) or 0.0,
        bright > _CONTRAST_SHARE,
        round(bright, 4),
    )


def noise_of(hu: NDArray[np.float32], where: NDArray[np.bool_], pixel_mm: float, smoothed_mm: float = 0.0) -> float | None:
    """Standard deviation of the noise, from differences of voxels so far apart that their noise hardly correlates; medians leave edges out.

    Args:
        hu: in HU, shape (slices, rows, columns).
        where: of that shape; evenly filled but for noise.
        pixel_mm: distance of columns.
        smoothed_mm: standard deviation of the Gaussian that the image was smoothed by.

    Returns:
        In HU; None where no two such voxels lie in the area.
    """
    apart = max(_APART_MM, _APART_SDS * float(np.hypot(smoothed_mm, _KERNEL_MM)) if smoothed_mm else 0.0)
    gap = max(round(apart / pixel_mm), 2)
    pairs = where[:, :, gap:] & where[:, :, :-gap]
    if not pairs.any():
        return None
    difference = (hu[:, :, gap:] - hu[:, :, :-gap])[pairs]
    spread = float(np.median(np.abs(difference - np.median(difference))))
    return round(float(_MAD_TO_SIGMA * spread / np.sqrt(2)), 1)
