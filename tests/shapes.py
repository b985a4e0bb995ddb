"""Structures with known volume, surface and distance, cut into planes exactly as a formula says."""

from __future__ import annotations

import numpy as np
from shapely.geometry import MultiPolygon, Polygon

from rtqc.core import Structure

#: Points on a circle; its polygon's area is right to 1e-5 after scaling.
_POINTS = 720


def circle(x: float, y: float, radius: float) -> Polygon:
    """A polygon with exactly a circle's area."""
    angle = 2 * np.pi * (np.arange(_POINTS) + 0.5) / _POINTS
    scaled = radius * np.sqrt(2 * np.pi / (_POINTS * np.sin(2 * np.pi / _POINTS)))
    return Polygon(np.column_stack([x + scaled * np.cos(angle), y + scaled * np.sin(angle)]))


def planes_of(low: float, high: float, spacing: float, offset: float = 0.0) -> np.ndarray:
    """Plane positions at multiples of a spacing within an interval."""
    first = np.ceil((low - offset) / spacing) * spacing + offset
    return np.arange(first, high, spacing)


def sphere(
    radius: float, spacing: float, centre: tuple[float, float, float] = (0, 0, 0), name: str = "Sphere", offset: float = 0.0
) -> Structure:
    """A sphere on planes of a spacing."""
    x, y, z = centre
    planes = {}
    for w in planes_of(z - radius, z + radius, spacing, offset):
        half = radius**2 - (w - z) ** 2
        if half > 1e-6:
            planes[float(w)] = MultiPolygon([circle(x, y, float(np.sqrt(half)))])
    return Structure(name, planes, slice_spacing_mm=spacing)


def cylinder(
    radius: float, low: float, high: float, spacing: float, centre: tuple[float, float] = (0, 0), hole: float = 0.0
) -> Structure:
    """A cylinder along z from ``low`` to ``high`` (slab ends), with a hole of a radius along its axis."""
    area = circle(*centre, radius)
    if hole:
        area = area.difference(circle(*centre, hole))
    positions = np.arange(low + spacing / 2, high, spacing)
    return Structure("Cylinder", {float(w): MultiPolygon([area]) for w in positions}, slice_spacing_mm=spacing)
