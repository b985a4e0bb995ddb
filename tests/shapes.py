"""Structures with known volume, surface and distance, cut into planes exactly as a formula says."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from shapely.geometry import MultiPolygon, Polygon, box

from rtqc.core import Dose, Grid, Orientation, Structure

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


#: Directions in which planning CTs are stored: head first and feet first, on the back and on the belly.
HEAD_FIRST, FEET_FIRST = Orientation((1, 0, 0), (0, 1, 0)), Orientation((-1, 0, 0), (0, 1, 0))
HEAD_FIRST_PRONE, FEET_FIRST_PRONE = Orientation((-1, 0, 0), (0, -1, 0)), Orientation((1, 0, 0), (0, -1, 0))
#: A slice that is tilted about two axes.
OBLIQUE = Orientation((0.8, 0.6, 0.0), (-0.48, 0.64, 0.6))


def boot(x: float = 0.0, y: float = 0.0, scale: float = 1.0) -> Polygon:
    """An L without any symmetry, 30 by 40 mm at most: 668 mm² times the square of its scale; its inner corner is at (11, 12)."""
    corners = np.array([(0, 0), (30, 0), (30, 12), (11, 12), (11, 40), (0, 40)], float)
    return Polygon(corners * scale + (x, y))


def stack(areas: Mapping[float, Polygon | MultiPolygon], name: str = "Stack", **more: Any) -> Structure:
    """A structure of one area a plane, by its position."""
    planes = {w: area if isinstance(area, MultiPolygon) else MultiPolygon([area]) for w, area in areas.items()}
    return Structure(name, planes, **more)


def prism(area: Polygon | MultiPolygon, positions: Iterable[float], name: str = "Prism", **more: Any) -> Structure:
    """The same area on every plane."""
    return stack(dict.fromkeys(map(float, positions), area), name, **more)


def cone(
    radius: float,
    slope: float,
    positions: Iterable[float],
    centre: tuple[float, float] = (0, 0),
    name: str = "Cone",
    **more: Any,
) -> Structure:
    """A cone along z: ``radius + slope * z`` mm wide."""
    return stack({float(w): circle(*centre, radius + slope * w) for w in positions}, name, **more)


def field_dose(grid: Grid, gy: Callable[[np.ndarray], np.ndarray]) -> Dose:
    """A dose given as a function of patient coordinates (n, 3), in Gy."""
    index = np.stack(np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij"), axis=-1).reshape(-1, 3)
    return Dose(grid, np.asarray(gy(grid.patient_mm(index)), np.float32).reshape(grid.shape))


def prism_of(*positions: float) -> Structure:
    """100 mm² on each plane."""
    return prism(box(0, 0, 20, 5), positions, slice_spacing_mm=3.0)


def box_dose() -> Dose:
    """Some dose, where only matters that there is one."""
    grid = Grid.regular((2, 2, 2), (3.0, 3.0, 3.0))
    return Dose(grid, np.ones(grid.shape, np.float32))
