"""Dose to what is calcified and to the left ventricle's outer wall: regions that nobody drew, derived and approximate, and named so."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, map_coordinates

from rtqc.cardiac.calcium import Lesion
from rtqc.cardiac.region import Region
from rtqc.core.cardiac import RegionDose
from rtqc.core.volumes import Dose

#: A vessel moves with breath and heartbeat by about so much, in mm: dose is averaged around a lesion.
_AROUND_MM = 5.0
#: Thickness of the wall and of what moves with it, in mm.
_WALL_MM = 10.0
#: From the heart's middle the left ventricle's free wall lies to the left, below and a little behind, within this angle.
_WAY, _COSINE = np.array([0.85, 0.15, -0.5]), 0.6


def region_doses(region: Region, lesions: Sequence[Lesion], dose: Dose) -> tuple[RegionDose, ...]:
    """Mean doses; none outside the dose grid.

    Args:
        region: heart and image.
        lesions: those that count are taken.
        dose: in Gy, of any grid.
    """
    coarse, inside = region.coarse, region.depth > 0
    found = []
    vessels = dict.fromkeys(x.told.vessel for x in lesions if x.told.counted and x.told.vessel)
    for vessel in vessels:
        marked = np.zeros(coarse.shape, bool)
        for lesion in lesions:
            if lesion.told.counted and lesion.told.vessel == vessel:
                where = np.rint(coarse.index_of_patient(region.image.grid.patient_mm(lesion.index))).astype(int)
                marked[tuple(np.clip(where, 0, np.array(coarse.shape) - 1).T)] = True
        near = distance_transform_edt(~marked, sampling=(coarse.slice_spacing_mm, *coarse.spacing_mm)) <= _AROUND_MM
        about = f"within {_AROUND_MM:g} mm of the calcified lesions taken for {vessel}; derived, approximate"
        found.append(_mean(f"Calcified {vessel}", about, near & (region.depth > -_AROUND_MM), region, dose))
    low, high = region.box_mm
    points = coarse.patient_mm(np.argwhere(inside & (region.depth <= _WALL_MM)))
    way = points - (low + high) / 2
    cosine = way @ _WAY / (np.linalg.norm(way, axis=1) * np.linalg.norm(_WAY) + 1e-9)
    wall = inside & (region.depth <= _WALL_MM)
    wall[wall] = cosine >= _COSINE
    about = f"outer {_WALL_MM:g} mm of the draft's left, lower and back part; derived, approximate"
    found.append(_mean("Left ventricle, outer wall (approximate)", about, wall, region, dose))
    return tuple(f for f in found if f is not None)


def _mean(name: str, about: str, voxels: NDArray[np.bool_], region: Region, dose: Dose) -> RegionDose | None:
    index = np.argwhere(voxels)
    if not index.size:
        return None
    where = dose.grid.index_of_patient(region.coarse.patient_mm(index))
    covered = ((where >= -0.5) & (where <= np.array(dose.grid.shape) - 0.5)).all(axis=1)
    if not covered.all():
        return None
    gy = map_coordinates(dose.gy, where.T, order=1, mode="nearest")
    weights = region.coarse.voxel_volumes_ml[index[:, 0]]
    return RegionDose(
        name=name, about=about, volume_ml=round(float(weights.sum()), 1), mean_gy=round(float(gy @ weights / weights.sum()), 2)
    )
