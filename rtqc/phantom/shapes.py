"""Signed distances (mm, negative inside) of the shapes that the synthetic thorax is made of.

All take broadcastable float32 coordinates and are exact on the surface and close to the distance near it, which is
what partial volume needs. Ellipsoid: first-order distance of the implicit function (Hart, 1996).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]


class Points(NamedTuple):
    """Patient coordinates in mm, broadcastable: x (1, 1, n), y (1, n, 1), z (n, 1, 1)."""

    x: Field
    y: Field
    z: Field


def ellipsoid(p: Points, centre: tuple[float, float, float], radii: tuple[float, float, float], axes: Field) -> Field:
    """An ellipsoid; ``axes`` (3, 3) has its axes as rows."""
    dx, dy, dz = p.x - np.float32(centre[0]), p.y - np.float32(centre[1]), p.z - np.float32(centre[2])
    first: Field = np.zeros(1, np.float32)
    second: Field = np.zeros(1, np.float32)
    for axis, radius in zip(axes.astype(np.float32), radii, strict=True):
        along = (axis[0] * dx + axis[1] * dy + axis[2] * dz) / np.float32(radius)
        first = first + along * along
        second = second + (along / np.float32(radius)) ** 2
    k = np.sqrt(first)
    return np.asarray(k * (k - 1) / np.maximum(np.sqrt(second), 1e-6), np.float32)


def superellipse(x: Field, y: Field, half_x: Field | float, half_y: Field | float, power: float) -> Field:
    """A cylinder along z with superelliptic cross-section; half axes may vary along z."""
    ax, ay = np.abs(x) / half_x, np.abs(y) / half_y
    value = (ax**power + ay**power) ** np.float32(1 / power)
    return np.asarray((value - 1) * np.minimum(half_x, half_y), np.float32)


def tube(p: Points, start: tuple[float, float, float], end: tuple[float, float, float], radius: float) -> Field:
    """A capsule between two points."""
    a, d = np.array(start, np.float32), np.array(end, np.float32) - np.array(start, np.float32)
    dx, dy, dz = p.x - a[0], p.y - a[1], p.z - a[2]
    t = np.clip((dx * d[0] + dy * d[1] + dz * d[2]) / np.float32(d @ d), 0, 1)
    gap = (dx - t * d[0]) ** 2 + (dy - t * d[1]) ** 2 + (dz - t * d[2]) ** 2
    return np.asarray(np.sqrt(gap) - np.float32(radius), np.float32)


def smooth_union(a: Field, b: Field, blend_mm: float) -> Field:
    """Union with a fillet of about ``blend_mm`` where the shapes meet."""
    h = np.clip(0.5 + 0.5 * (b - a) / np.float32(blend_mm), 0, 1)
    return np.asarray(b + (a - b) * h - np.float32(blend_mm) * h * (1 - h), np.float32)


def rotation(alpha: float, beta: float, gamma: float) -> Field:
    """Rotation about x, then y, then z, by angles in radians."""
    (ca, sa), (cb, sb), (cg, sg) = ((np.cos(v), np.sin(v)) for v in (alpha, beta, gamma))
    about_x = np.array([[1, 0, 0], [0, ca, -sa], [0, sa, ca]])
    about_y = np.array([[cb, 0, sb], [0, 1, 0], [-sb, 0, cb]])
    about_z = np.array([[cg, -sg, 0], [sg, cg, 0], [0, 0, 1]])
    return np.asarray(about_z @ about_y @ about_x, np.float32)
