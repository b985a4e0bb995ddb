"""Shapes in a dose that rises along one axis: their DVH stands in a formula (after Nelms et al., Med Phys 42(8):4435, 2015)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import trapezoid
from shapely.geometry import MultiPolygon, Polygon

from rtqc.core import Dose, Grid, Structure
from tests.shapes import circle

Floats = NDArray[np.float64]
AXES = "xyz"
#: Steps in which a cross-section is integrated.
_STEPS = 20_001


@dataclass(frozen=True)
class Shape:
    """A solid of revolution.

    Attributes:
        name: what it is.
        radius_at: radius at a height along its own axis, ``(n,) -> (n,)``; 0 where there is nothing.
        ends: lowest and highest point along its axis, in mm.
        axis: ``x``, ``y`` or ``z``: which way it stands.
    """

    name: str
    radius_at: Callable[[Floats], Floats]
    ends: tuple[float, float]
    axis: str = "z"

    @property
    def volume_ml(self) -> float:
        """By integration of its circles."""
        heights = np.linspace(*self.ends, _STEPS)
        return float(trapezoid(np.pi * self.radius_at(heights) ** 2, heights) / 1000)

    def area_across(self, direction: str, at: Floats) -> Floats:
        """Area of its cross-sections perpendicular to a direction, in mm²."""
        if direction == self.axis:
            return np.pi * np.where((at >= self.ends[0]) & (at <= self.ends[1]), self.radius_at(at), 0) ** 2
        heights = np.linspace(*self.ends, 2001)
        radii = self.radius_at(heights)
        half = np.sqrt(np.maximum(radii[None, :] ** 2 - at[:, None] ** 2, 0))
        return np.asarray(trapezoid(2 * half, heights, axis=1))

    def reach(self, direction: str) -> tuple[float, float]:
        """Its lowest and highest point along a direction, in mm."""
        if direction == self.axis:
            return self.ends
        widest = float(self.radius_at(np.linspace(*self.ends, _STEPS)).max())
        return (-widest, widest)

    def drawn(self, spacing: float, offset: float) -> Structure:
        """Its contours on axial planes at ``offset + k spacing``."""
        low, high = self.reach("z")
        planes = {}
        for w in offset + spacing * np.arange(np.floor((low - offset) / spacing), np.ceil((high - offset) / spacing) + 1):
            area = self._section(float(w))
            if area is not None and area.area > 1e-3:
                planes[round(float(w), 6)] = MultiPolygon([area])
        return Structure(self.name, planes, slice_spacing_mm=spacing)

    def _section(self, w: float) -> Polygon | None:
        if self.axis == "z":
            if not self.ends[0] < w < self.ends[1]:
                return None
            return circle(0, 0, float(self.radius_at(np.array([w]))[0]))
        heights = np.linspace(*self.ends, 801)
        half = np.sqrt(np.maximum(self.radius_at(heights) ** 2 - w**2, 0))
        inside = half > 0
        if inside.sum() < 2:
            return None
        along, across = heights[inside], half[inside]
        ring = np.column_stack([np.r_[along, along[::-1]], np.r_[across, -across[::-1]]])
        return Polygon(ring if self.axis == "x" else ring[:, ::-1])


def sphere(radius: float) -> Shape:
    """A ball about the origin."""
    return Shape(f"sphere {2 * radius:g} mm", lambda h: np.sqrt(np.maximum(radius**2 - h**2, 0)), (-radius, radius))


def cylinder(radius: float, height: float, axis: str = "z") -> Shape:
    """A cylinder about the origin."""
    way = "axial" if axis == "z" else "rotated"
    return Shape(f"{way} cylinder {2 * radius:g} mm", lambda h: np.full_like(h, radius), (-height / 2, height / 2), axis)


def cone(radius: float, height: float, axis: str = "z") -> Shape:
    """A cone about the origin, its tip at the higher end."""
    way = "axial" if axis == "z" else "rotated"
    return Shape(
        f"{way} cone {2 * radius:g} mm", lambda h: np.maximum(radius * (0.5 - h / height), 0), (-height / 2, height / 2), axis
    )


@dataclass(frozen=True)
class Truth:
    """A shape's exact DVH where the dose is ``middle + gradient * position`` along a direction."""

    shape: Shape
    direction: str
    gradient: float
    middle: float

    def _parts(self) -> tuple[Floats, Floats]:
        low, high = self.shape.reach(self.direction)
        at = np.linspace(low, high, 4001)
        areas = self.shape.area_across(self.direction, at)
        volumes = np.concatenate([[0.0], np.cumsum((areas[1:] + areas[:-1]) / 2 * np.diff(at))])
        return self.middle + self.gradient * at, volumes / volumes[-1]

    @property
    def mean_gy(self) -> float:
        """Mean dose."""
        gy, below = self._parts()
        return float(trapezoid(1 - below, gy) + gy[0])

    @property
    def ends_gy(self) -> tuple[float, float]:
        """Lowest and highest dose."""
        gy, _ = self._parts()
        return float(gy[0]), float(gy[-1])

    def dose_at_percent_gy(self, percent: float) -> float:
        """Dx%."""
        gy, below = self._parts()
        return float(np.interp(1 - percent / 100, below, gy))

    def dose_at_volume_gy(self, ml: float) -> float:
        """Dx ml."""
        return self.dose_at_percent_gy(100 * ml / self.shape.volume_ml)

    def volume_at_dose_percent(self, gy: float) -> float:
        """Vx Gy, in percent."""
        doses, below = self._parts()
        return float(100 * (1 - np.interp(gy, doses, below)))

    def dose(self, voxel: float, margin: float = 12.0, shift: float = 0.37) -> Dose:
        """The dose on a grid of cubes around the shape, placed askew."""
        reach = [self.shape.reach(axis) for axis in AXES]
        count = [int(np.ceil((high - low + 2 * margin) / voxel)) + 1 for low, high in reach]
        corner = [low - margin + shift * voxel for low, _ in reach]
        grid = Grid.regular(count[::-1], (voxel,) * 3, corner)
        axes = {"x": grid.columns_mm[None, None, :], "y": grid.rows_mm[None, :, None], "z": grid.positions_mm[:, None, None]}
        gy = self.middle + self.gradient * np.broadcast_to(axes[self.direction], grid.shape)
        return Dose(grid, gy.astype(np.float32))


#: The small shapes of the paper, and shapes of a heart's size.
SMALL = (sphere(12), cylinder(12, 24), cylinder(12, 24, "y"), cone(12, 24), cone(12, 24, "y"))
LARGE = (sphere(48.5), cylinder(42, 100), cylinder(42, 100, "y"), cone(60, 120), cone(60, 120, "y"))
__all__ = ["AXES", "LARGE", "SMALL", "Shape", "Truth", "cone", "cylinder", "sphere"]
