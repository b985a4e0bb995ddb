"""Is there a chest in the image at all? Asked before a model is: a model draws something on anything."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, binary_fill_holes, binary_opening, find_objects, gaussian_filter, minimum_filter

from rtqc.core.grid import Grid
from rtqc.heart.looks import BODY_HU, largest_piece

Volume = NDArray[np.float32]
Voxels = NDArray[np.bool_]

#: A body holds a cube of this side (mm); a couch, a mask or an empty scan does not. A newborn's chest does.
_BODY_THICKNESS_MM = 48.0
#: Lung with its vessels at any state of breathing (HU); gas in bowel and airways is darker, and so are
#: the cushions that patients lie in (polystyrene and polyurethane foam of 20 to 70 kg/m³: below -930).
_LUNG_HU = (-920.0, -500.0)
#: Lung, in ml, that a chest has at least: a fifth of one adult lung (ICRP 89: 3300 ml both at rest),
#: a child's whole; the gas of head, abdomen or pelvis stays under it.
_LEAST_LUNG_ML = 120.0
#: Reach of the shell around a heart in which lung must lie, in mm.
_SHELL_MM = 20.0
#: Standard deviation in voxels of the smoothing that keeps noise from tearing holes into body and lung.
_CALM = 0.8


def lungs_of(hu: Volume, grid: Grid) -> Voxels:
    """Lung with its vessels; thin layers of the same density, as around gas, are not.

    Args:
        hu: on an even grid, in HU.
        grid: where; axial.
    """
    calm = gaussian_filter(hu, _CALM)
    like_lung = (calm > _LUNG_HU[0]) & (calm < _LUNG_HU[1])
    return np.asarray(binary_opening(like_lung & _between(largest_piece(calm > BODY_HU)), np.ones((3, 3, 3))))


def why_no_heart(hu: Volume, lungs: Voxels, grid: Grid) -> str | None:
    """The reason why no heart can be in the image; None where one may be.

    Args:
        hu: on an even grid, in HU.
        lungs: of :func:`lungs_of`.
        grid: where; axial.
    """
    body = gaussian_filter(hu, _CALM) > BODY_HU
    if not body.any():
        return "the image is empty: nothing in it is denser than air"
    step = np.array([grid.slice_spacing_mm, *grid.spacing_mm])
    size = np.minimum(np.maximum(np.round(_BODY_THICKNESS_MM / step).astype(int), 1), hu.shape)
    if not minimum_filter(_filled(body), size=tuple(int(n) for n in size), mode="constant").any():
        return "there is no patient in the image: nothing in it is thicker than a couch"
    lung_ml = float(lungs.sum() * grid.voxel_volumes_ml[0])
    if lung_ml < _LEAST_LUNG_ML:
        return f"there is no lung in the image ({lung_ml:.0f} ml look like it), so it shows no chest, or its values are not HU"
    return None


def lung_share(heart: Voxels, lungs: Voxels, spacing_mm: float) -> float:
    """Part of the shell around a heart that is lung, 0 to 1."""
    reach = max(round(_SHELL_MM / spacing_mm), 1)
    boxes = find_objects(heart.astype(np.int8))
    if not boxes:
        return 0.0
    around = tuple(slice(max(s.start - reach, 0), s.stop + reach) for s in boxes[0])
    heart, lungs = heart[around], lungs[around]
    shell = binary_dilation(heart, iterations=reach) & ~binary_dilation(heart, iterations=max(reach // 5, 1))
    return float((shell & lungs).sum() / max(int(shell.sum()), 1))


def _between(body: Voxels) -> Voxels:
    """What has body on two sides or more within its transverse plane, left or right being one of them.

    A lung that the field of view cuts open is still there, and the foam beside or under a patient is not.
    """
    left, right = (np.maximum.accumulate(body[:, :, ::s], axis=2)[:, :, ::s] for s in (1, -1))
    front, back = (np.maximum.accumulate(body[:, ::s], axis=1)[:, ::s] for s in (1, -1))
    sides = sum(one.astype(np.int8) for one in (left, right, front, back))
    return np.asarray((left | right) & (sides >= 2))


def _filled(body: Voxels) -> Voxels:
    """The largest piece, with what it encloses in each transverse plane."""
    return np.stack([binary_fill_holes(plane) for plane in largest_piece(body)])
