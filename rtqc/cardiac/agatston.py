"""The Agatston score as it was defined, the calcium volume, the classes, and tube voltages other than 120 kV.

A. S. Agatston et al., J Am Coll Cardiol 15:827, 1990: per slice of 3 mm, each area of at least 130 HU and 1 mm² times 1 to 4, by its largest CT number
(130, 200, 300, 400 HU). Slices of other thickness are scaled to 3 mm (Ohnesorge et al., Eur Radiol 12:1532, 2002).
"""

from __future__ import annotations

from bisect import bisect_right

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects, label, zoom

from rtqc.cardiac.boxes import box_of, wider
from rtqc.core.cardiac import CalciumClass
from rtqc.core.grid import Grid

Voxels = NDArray[np.bool_]
Volume = NDArray[np.float32]

#: At 120 kV, in HU: calcium, and where its weight becomes 2, 3 and 4.
CALCIUM_HU, WEIGHT_HU = 130.0, (200.0, 300.0, 400.0)
#: Smallest area, in mm².
LEAST_MM2 = 1.0
#: Slice thickness of the definition, in mm.
SLICE_MM = 3.0
#: CT number of calcium over that at 120 kV. 70 and 100 kV: measured on anthropomorphic phantoms with hydroxyapatite (scale factors 0.63 and 0.88: "Coronary
#: artery calcium scoring at lower tube voltages", Eur J Radiol 2021; the 147 HU of Nakazato et al., J Cardiovasc Comput Tomogr 3:394, 2009, for 100 kV).
#: In between, and up to 150 kV, straight in the logarithms of both.
_FACTORS = ((70.0, 1 / 0.63), (100.0, 1 / 0.88), (120.0, 1.0))
#: Tube voltages that are scored, in kV.
KVP_RANGE = (70.0, 150.0)
#: Voxel of the calcium volume's interpolated image at most, in mm.
_FINE_MM = 0.7
_EIGHT = np.ones((3, 3), bool)


def voltage_factor(kvp: float) -> float:
    """CT number of calcium at a tube voltage over that at 120 kV.

    >>> [round(130 * voltage_factor(k)) for k in (70, 80, 100, 120, 140)]
    [206, 182, 148, 130, 117]
    """
    x = np.log([k for k, _ in _FACTORS])
    y = np.log([f for _, f in _FACTORS])
    at = np.log(kvp)
    slope = (y[-1] - y[-2]) / (x[-1] - x[-2])
    return float(np.exp(np.interp(at, x, y) if at <= x[-1] else y[-1] + slope * (at - x[-1])))


def agatston(hu: Volume, voxels: Voxels, grid: Grid, factor: float = 1.0) -> float:
    """The score of what is marked.

    Args:
        hu: shape ``grid.shape``.
        voxels: candidates; those below the threshold do not count.
        grid: where; each slice counts for its own slab, gaps and overlaps included.
        factor: of :func:`voltage_factor`.
    """
    threshold, weights = CALCIUM_HU * factor, [w * factor for w in WEIGHT_HU]
    pixel_mm2 = grid.spacing_mm[0] * grid.spacing_mm[1]
    thickness = grid.slab_bounds_mm[:, 1] - grid.slab_bounds_mm[:, 0]
    dense = voxels & (hu >= threshold)
    total = 0.0
    for k in np.flatnonzero(dense.any(axis=(1, 2))):
        labels, count = label(dense[k], _EIGHT)
        areas = np.bincount(labels.ravel(), minlength=count + 1)[1:] * pixel_mm2
        for number, box in enumerate(find_objects(labels), 1):
            if areas[number - 1] >= LEAST_MM2 - 1e-9:
                peak = float(hu[k][box][labels[box] == number].max())
                total += areas[number - 1] * (1 + bisect_right(weights, peak)) * thickness[k] / SLICE_MM
    return float(total)


def calcium_volume(hu: Volume, voxels: Voxels, grid: Grid, factor: float = 1.0) -> float:
    """Volume in mm³ of what is above the threshold in an isotropic, linearly interpolated image (Callister et al., Radiology 208:807, 1998).

    Args:
        hu, voxels, grid, factor: as for :func:`agatston`; the voxels of one lesion.
    """
    where = np.argwhere(voxels)
    if not where.size:
        return 0.0
    box = wider(box_of(where), voxels.shape, (1, 1, 1))
    fine = min(_FINE_MM, *grid.spacing_mm)
    steps = (grid.slice_spacing_mm, *grid.spacing_mm)
    # Interpolated nodes at the voxels' centres and between them; each stands for as much as it is apart from the next.
    # A single slice has nothing to be interpolated with: it counts once, for its own thickness.
    scale = [(max(round((n - 1) * s / fine), 1) + 1) / n if n > 1 else 1.0 for n, s in zip(hu[box].shape, steps, strict=True)]
    dense = zoom(hu[box], scale, order=1, mode="nearest") >= CALCIUM_HU * factor
    spans = [(n - 1) * s / max(m - 1, 1) if n > 1 else s for n, s, m in zip(hu[box].shape, steps, dense.shape, strict=True)]
    labels, _ = label(dense, np.ones((3, 3, 3)))
    own = zoom(voxels[box].astype(np.uint8), scale, order=0, mode="nearest").astype(bool)
    wanted = np.unique(labels[own & dense])
    return float(np.isin(labels, wanted[wanted > 0]).sum() * np.prod(spans))


def calcium_class(score: float) -> CalciumClass:
    """The class of DeepCAC (Zeleznik et al., Nat Commun 12:715, 2021), of the score as it is written down, rounded.

    >>> [calcium_class(s) for s in (0, 0.4, 1, 100, 101, 300, 301)]
    ['0', '0', '1-100', '1-100', '101-300', '101-300', '>300']
    """
    whole = round(score)
    return "0" if whole < 1 else "1-100" if whole <= 100 else "101-300" if whole <= 300 else ">300"


def cac_drs(score: float, vessels: int) -> str:
    """CAC-DRS (Hecht et al., J Cardiovasc Comput Tomogr 12:185, 2018): A0 of 0, A1 of 1 to 99, A2 of 100 to 299, A3 of 300 and more; N: vessels with calcium.

    >>> cac_drs(0, 0), cac_drs(99, 1), cac_drs(300, 3)
    ('A0', 'A1/N1', 'A3/N3')
    """
    whole = round(score)
    if whole < 1:
        return "A0"
    return f"A{1 if whole < 100 else 2 if whole < 300 else 3}/N{max(vessels, 1)}"
