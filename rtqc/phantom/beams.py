"""Two opposed tangential beams, as a dose that can be computed by hand.

A model, not a treatment planning system: water everywhere, parallel beams, no heterogeneity. In the plane of a slice let
``d`` be the unit vector along the beams and ``n`` the one across them that points to the breast. At a point with the
distance ``a`` from the field's dorsal edge (positive inside), heights ``z`` and depths ``t1``, ``t2`` below the skin
along the two directions::

    D = P * (  F(a) * F(z - z0) * F(z1 - z) * (T(t1) + T(t2)) / N          primary
             + 0.05 * exp(-max(-a, 0) / 30 mm) * G(z) + 0.006 )            scatter and leakage, in the body only
    D' = C(D / P) * P                                                      field-in-field compensation
    C(r) = r up to 1, and 1 + 0.09 * (1 - exp(-(r - 1) / 0.09)) above
    F(x) = (1 + erf(x / (sqrt(2) * 4 mm))) / 2                             penumbra: 20 % to 80 % in 6.7 mm
    T(t) = (1 - 0.6 * exp(-t / 5 mm)) * exp(-0.0045 / mm * t)              build-up and attenuation of 6 MV photons

``G`` is the field's length with a tenth of its slope, ``N`` makes D the prescribed dose P in the middle of the breast.
Open tangents have 105 to 136 % where the breast is thinner than at its middle; clinics take that off with wedges or small fields in the field, which
``C`` does smoothly: no point has over 109 % (ICRU Report 50 aims at 107 %, from knowledge), and none of up to 100 % is changed.
The attenuation is the slope of measured 6 MV tissue-maximum ratios (BJR Supplement 25, 10 x 10 cm, 5 to 20 cm).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates
from scipy.special import erf

from rtqc.core.grid import Grid
from rtqc.core.volumes import Dose
from rtqc.phantom.anatomy import Anatomy, body_at, heart_at
from rtqc.phantom.shapes import Field, Points

PENUMBRA_SIGMA_MM = 4.0
ATTENUATION_PER_MM = 0.0045
BUILD_UP_MM = 5.0
SURFACE_LOSS = 0.6
SCATTER_SHARE = 0.05
SCATTER_RANGE_MM = 30.0
LEAKAGE_SHARE = 0.006
#: Most that a point gets above the prescription, as a part of it, after the compensation.
COMPENSATED_SHARE = 0.09
#: Step of the ray tracing, in mm.
_RAY_STEP_MM = 2.0
#: Half length of the rays; longer than any trunk is wide, in mm.
_RAY_HALF_MM = 330.0

Floats = NDArray[np.float64]
#: Signed distance to the skin at points, in mm, negative inside.
Body = Callable[[Points], Field]


@dataclass(frozen=True)
class Tangents:
    """A pair of tangential fields.

    Attributes:
        prescription_gy: dose in the middle of the breast, in Gy.
        fractions: number of fractions.
        edge_mm: a point ``(x, y)`` on the field's dorsal edge.
        along: unit vector ``(x, y)`` of the beams, from medial to lateral.
        inward: unit vector ``(x, y)`` across the beams, to the breast.
        lower_mm, upper_mm: ends of the field along z.
        centre_mm: ``(x, y, z)`` where the prescribed dose is given.
    """

    prescription_gy: float
    fractions: int
    edge_mm: tuple[float, float]
    along: tuple[float, float]
    inward: tuple[float, float]
    lower_mm: float
    upper_mm: float
    centre_mm: tuple[float, float, float]

    @property
    def gantry_deg(self) -> tuple[float, float]:
        """Gantry angles (IEC 61217) of the medial and the lateral field for a patient head first, supine."""
        medial = float(np.degrees(np.arctan2(-self.along[0], self.along[1])) % 360)
        return round(medial, 1), round((medial + 180) % 360, 1)


def tangents_for(
    anatomy: Anatomy, heart_in_field_mm: float = -4.0, prescription_gy: float = 40.05, fractions: int = 15
) -> Tangents:
    """Fields for the treated breast.

    Args:
        anatomy: the patient.
        heart_in_field_mm: how far the heart's nearest point lies inside the dorsal edge; negative: outside.
        prescription_gy: by default that of START-B and FAST-Forward's control arm.
        fractions: number of fractions.
    """
    sign = 1.0 if anatomy.side == "left" else -1.0
    medial = np.array([sign * 8, -0.93 * anatomy.half_depth_mm])
    lateral = np.array([sign * 0.93 * anatomy.half_width_mm, -0.05 * anatomy.half_depth_mm])
    along = (lateral - medial) / np.linalg.norm(lateral - medial)
    inward = np.array([along[1], -along[0]]) * sign
    lower, upper = -78.0, 72.0
    nearest = _heart_reach(anatomy, inward, lower, upper)
    # For the right breast the heart is far away: the edge stays on the chest wall, as it would in a clinic.
    edge_height = nearest - heart_in_field_mm if anatomy.side == "left" else float(medial @ inward)
    edge = inward * edge_height + along * float(medial @ along)
    centre = (medial + lateral) / 2
    centre = centre + inward * (edge_height - float(centre @ inward) + 28.0)
    return Tangents(
        prescription_gy, fractions, (float(edge[0]), float(edge[1])), (float(along[0]), float(along[1])),
        (float(inward[0]), float(inward[1])), lower, upper, (float(centre[0]), float(centre[1]), -8.0),
    )  # fmt: skip


def _heart_reach(anatomy: Anatomy, inward: Floats, lower: float, upper: float) -> float:
    """Coordinate along ``inward`` of the heart's nearest point to the breast, within the field's length."""
    line = np.arange(-130.0, 131.0, 2.0, dtype=np.float32)
    z = line[(line > lower) & (line < upper)]
    heart = heart_at(anatomy, Points(line[None, None, :], line[None, :, None], z[:, None, None]))
    _, i, j = np.nonzero(heart < 0)
    return float((line[j] * inward[0] + line[i] * inward[1]).max())


def tangential_dose(anatomy: Anatomy, beams: Tangents, grid: Grid) -> Dose:
    """The dose of both fields; the module's formula on the points of an axial grid."""
    return tangential_dose_in(lambda p: body_at(anatomy, p), beams, grid)


def tangential_dose_in(body: Body, beams: Tangents, grid: Grid) -> Dose:
    """The same in any body.

    Args:
        body: signed distance to the skin at points, in mm, negative inside.
        beams: both fields.
        grid: axial.
    """
    x, y, z = (a.astype(np.float32) for a in (grid.columns_mm, grid.rows_mm, grid.positions_mm))
    along, inward = np.array(beams.along), np.array(beams.inward)
    t = (x[None, :] * along[0] + y[:, None] * along[1]).astype(np.float64)
    across = (x[None, :] * inward[0] + y[:, None] * inward[1]).astype(np.float64)
    depths, inside = _depths(body, beams, t, across, grid.positions_mm)
    edge_distance = across - float(np.array(beams.edge_mm) @ inward)
    primary = _penumbra(edge_distance)[None] * _length(z, beams, 1.0)[:, None, None]
    primary = primary * sum(_transmission(d) for d in depths) / _at_centre(body, beams)
    scatter = SCATTER_SHARE * np.exp(-np.maximum(-edge_distance, 0) / SCATTER_RANGE_MM)[None]
    scatter = scatter * _length(z, beams, 0.1)[:, None, None] + LEAKAGE_SHARE
    return Dose(grid, (beams.prescription_gy * _compensated(primary + scatter) * inside).astype(np.float32))


def _compensated(share: Floats) -> Floats:
    """Doses as parts of the prescription, with what lies above it limited as by fields in the field."""
    above = np.maximum(share - 1, 0)
    return np.minimum(share, 1) + COMPENSATED_SHARE * -np.expm1(-above / COMPENSATED_SHARE)


def _penumbra(distance: Floats, slope: float = 1.0) -> Floats:
    return np.asarray((1 + erf(slope * distance / (np.sqrt(2) * PENUMBRA_SIGMA_MM))) / 2)


def _length(z: Field, beams: Tangents, slope: float) -> Floats:
    return _penumbra(z.astype(float) - beams.lower_mm, slope) * _penumbra(beams.upper_mm - z.astype(float), slope)


def _transmission(depth: Floats) -> Floats:
    return np.asarray((1 - SURFACE_LOSS * np.exp(-depth / BUILD_UP_MM)) * np.exp(-ATTENUATION_PER_MM * depth))


def _depths(body: Body, beams: Tangents, t: Floats, across: Floats, heights: Floats) -> tuple[tuple[Floats, Floats], Floats]:
    """Depths below the skin along both directions, and whether a point lies in the body; each (z, y, x)."""
    ray = np.arange(-_RAY_HALF_MM, _RAY_HALF_MM + _RAY_STEP_MM, _RAY_STEP_MM)
    lanes = np.arange(across.min() - _RAY_STEP_MM, across.max() + 2 * _RAY_STEP_MM, _RAY_STEP_MM)
    x = (ray[:, None] * beams.along[0] + lanes[None, :] * beams.inward[0]).astype(np.float32)
    y = (ray[:, None] * beams.along[1] + lanes[None, :] * beams.inward[1]).astype(np.float32)
    share = np.empty((heights.size, ray.size, lanes.size), np.float32)
    for k, height in enumerate(heights):
        skin = body(Points(x[None], y[None], np.full((1, 1, 1), height, np.float32)))[0]
        share[k] = np.clip(0.5 - skin / _RAY_STEP_MM, 0, 1)
    forward = (np.cumsum(share, axis=1) - share / 2) * _RAY_STEP_MM
    backward = share.sum(axis=1, keepdims=True) * _RAY_STEP_MM - forward
    row, lane = (t - ray[0]) / _RAY_STEP_MM, (across - lanes[0]) / _RAY_STEP_MM
    sampled = []
    for volume in (forward, backward, share):
        planes = [map_coordinates(plane, [row, lane], order=1, mode="nearest") for plane in volume]
        sampled.append(np.stack(planes).astype(float))
    return (np.maximum(sampled[0], 0), np.maximum(sampled[1], 0)), np.clip(sampled[2], 0, 1)


def _at_centre(body: Body, beams: Tangents) -> float:
    """Primary dose at the prescription point before it is normalised, less the scatter's part of the prescription."""
    along, inward = np.array(beams.along), np.array(beams.inward)
    x, y, z = beams.centre_mm
    t, across = np.array([[x, y] @ along]), np.array([[x, y] @ inward])
    depths, _ = _depths(body, beams, t[None], across[None], np.array([z]))
    distance = across - float(np.array(beams.edge_mm) @ inward)
    height = np.array([z], np.float32)
    primary = _penumbra(distance) * _length(height, beams, 1.0) * sum(_transmission(d).ravel() for d in depths)
    scatter = SCATTER_SHARE * _length(height, beams, 0.1) + LEAKAGE_SHARE
    return float(primary[0] / (1 - scatter[0]))
