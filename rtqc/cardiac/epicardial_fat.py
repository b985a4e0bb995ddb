"""Epicardial fat: what is fat inside the outline of the pericardium.

Voxels of -190 to -30 HU after a median filter are fat (Marwan and Achenbach, J Cardiovasc Comput Tomogr 7:3, 2013). Counting them alone is wrong twice: at
borders, where voxels hold fat and muscle, and in noise, which carries muscle below -30 HU and fat above it. So the volume is that of a mixture: each
voxel in and beside the fat holds ``(soft - HU) / (soft - fat)`` of it, with the CT numbers that muscle and deep fat have on this very scan. Noise
averages out of that sum; which voxels are summed is decided on the filtered image, whose filter is wider where there is more noise.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, binary_erosion, median_filter

from rtqc.cardiac.blood import Blood
from rtqc.cardiac.region import Region
from rtqc.core.cardiac import EpicardialFat
from rtqc.core.grid import Grid
from rtqc.geometry.rasterize import cover

#: Fat, in HU (Marwan and Achenbach 2013; DeepFat: Commandeur 2019).
FAT_HU = (-190.0, -30.0)
#: Adipose tissue at 120 kVp where this scan has none that is deep enough to measure (ICRU 46: -98 HU).
_USUAL_FAT_HU = -98.0
#: Deep fat of a scan is believed within this range, in HU.
_FAT_RANGE_HU = (-130.0, -70.0)
#: Beside lung a voxel is fat-like without holding any: darker than this is lung, in HU.
_LUNG_HU = -300.0
#: Voxels that hold fat and muscle lie so near to the fat, in mm; beyond is muscle.
_BESIDE_MM = 1.4
#: So far from lung a voxel is a mixture with it, in mm.
_RIM_MM = 1.0
#: Pixels are averaged to about this, in mm: fat layers are 2 mm and thicker, and noise falls.
_PIXEL_MM = 0.7
#: Width of the median filter, in mm: for noise up to each of these, in HU, of a voxel of the averaged image.
_FILTERS = ((12.0, 1.5), (25.0, 2.5), (np.inf, 3.5))


def epicardial_fat(region: Region, blood: Blood) -> EpicardialFat:
    """Measure the fat.

    Args:
        region: heart and image.
        blood: of the same scan, without contrast agent.
    """
    grid, hu = _averaged(region)
    share = cover(region.heart, grid)
    inside = share >= 0.5
    step = grid.spacing_mm[1]
    noise = blood.noise_hu * min(region.image.grid.spacing_mm[1] / step, 1.0)
    width = next(mm for limit, mm in _FILTERS if noise <= limit)
    size = max(2 * round((width / step - 1) / 2) + 1, 1)
    calm = median_filter(hu, size=(1, size, size)) if size > 1 else hu
    beside_lung = binary_dilation(calm < _LUNG_HU, _disc(max(round(_RIM_MM / step), 1)))
    candidate = inside & ~beside_lung
    fat = candidate & (calm >= FAT_HU[0]) & (calm <= FAT_HU[1])
    volumes = grid.voxel_volumes_ml
    plain = float(((inside & (hu >= FAT_HU[0]) & (hu <= FAT_HU[1])) * share).sum(axis=(1, 2)) @ volumes)
    if not fat.any():
        return EpicardialFat(
            volume_ml=0.0, mean_hu=None, share_percent=0.0, threshold_volume_ml=round(plain, 1), filter_mm=round(size * step, 2) if size > 1 else 0.0, noise_hu=noise
        )  # fmt: skip
    deep = binary_erosion(fat, _disc(max(round(_BESIDE_MM / step), 1)))
    fat_hu = float(np.clip(np.median(calm[deep]), *_FAT_RANGE_HU)) if deep.sum() > 50 else _USUAL_FAT_HU
    near = binary_dilation(fat, _disc(max(round(_BESIDE_MM / step), 1))) & candidate
    beside = binary_dilation(near, _disc(max(round(_BESIDE_MM / step), 1))) & candidate & ~near
    soft_hu = float(np.median(calm[beside])) if beside.sum() > 50 else blood.hu
    part = np.clip((soft_hu - hu) / (soft_hu - fat_hu), -1.0, 2.0)
    volume = float(max((np.where(near, part, 0.0) * share).sum(axis=(1, 2)) @ volumes, 0.0))
    heart_ml = float(share.sum(axis=(1, 2)) @ volumes)
    return EpicardialFat(
        volume_ml=round(volume, 1),
        mean_hu=round(float(calm[fat].mean()), 1),
        share_percent=round(100 * volume / heart_ml, 1),
        threshold_volume_ml=round(plain, 1),
        filter_mm=round(size * step, 2) if size > 1 else 0.0,
        noise_hu=round(noise, 1),
    )


def _disc(radius: int) -> NDArray[np.bool_]:
    y, x = np.ogrid[-radius : radius + 1, -radius : radius + 1]
    return np.asarray(y * y + x * x <= radius * radius)[None]


def _averaged(region: Region) -> tuple[Grid, NDArray[np.float32]]:
    """The image in pixels of about :data:`_PIXEL_MM`: blocks of whole pixels, averaged."""
    grid, hu = region.image.grid, region.image.hu
    n = max(round(_PIXEL_MM / grid.spacing_mm[1]), 1)
    if n == 1:
        return grid, hu
    rows, columns = (s // n for s in grid.size)
    blocks = hu[:, : rows * n, : columns * n].reshape(-1, rows, n, columns, n).mean(axis=(2, 4), dtype=np.float32)
    origin = tuple(o + (n - 1) / 2 * s for o, s in zip(grid.origin_mm, grid.spacing_mm[::-1], strict=True))
    spacing = (grid.spacing_mm[0] * n, grid.spacing_mm[1] * n)
    return Grid(
        grid.orientation, (origin[0], origin[1]), spacing, (rows, columns), grid.slice_positions_mm, grid.slice_spacing_mm
    ), blocks
