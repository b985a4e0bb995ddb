"""What a structure is between its planes and beyond its last one.

A structure is drawn on planes, but a heart is a solid. On each plane ``k`` the signed depth ``d`` below the outline (positive
inside) gives a field ``d (2 R - d)``, ``R`` being the radius of a circle of the same area. It is zero on the outline, and for a
circle it is ``R² - r²``: between the planes of a ball, a cone, a cylinder or an ellipsoid it runs as a parabola, where the
depth itself has a root at the pole. Between two planes at most :data:`rtqc.core.slabs.MAX_BRIDGED_SPACINGS` apart it is
interpolated by cubics with the slopes of the parabolas through neighbouring planes (shape-based interpolation: Herman et al.,
IEEE CG&A 12(3), 1992), never beyond the values on the two: no part appears that neither plane has.

Beyond the last plane the field goes on as it ran there, never widening. Where that closes the solid within one spacing, it is
closed: the next plane shows nothing. Where it does not, somebody ended the contour: a flat end lies half a spacing beyond
the last plane, which is also what a plane counts for in a volume (:mod:`rtqc.core.slabs`).

A hole is a solid of its own, closed by the same rule, that is taken away.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates
from shapely.geometry import MultiPolygon, Polygon

from rtqc.core.orientation import Orientation
from rtqc.core.structure import Structure
from rtqc.geometry.coverage import as_multipolygon
from rtqc.geometry.isolines import filled_isolines
from rtqc.geometry.layers import Field, Layers, Raster

#: Pixel that cross-sections between planes are drawn on, in mm.
SECTION_PIXEL_MM = 0.5
#: Distance of samples in the plane, in mm, and how far it may be refined for small structures or widened for a whole body.
USUAL_MM, _FINEST_MM = 1.5, 0.25
#: Distance of samples in structures that are thin everywhere, such as rinds, in mm.
_THINNEST_MM = 0.1
#: Samples across the longest side below which they are refined, and samples altogether above which they are widened.
_ACROSS, _MOST_SAMPLES = 60, 8e6


def shifted(
    structure: Structure,
    planes: dict[float, MultiPolygon],
    orientation: Orientation,
    slices_mm: tuple[float, ...] | None = None,
) -> Structure:
    """The structure with other planes, orientation and slices of its image; name, kind and spacing stay."""
    return replace(structure, planes=planes, orientation=orientation, slices_mm=slices_mm)


class TooThinError(ValueError):
    """A structure of a few hundredths of a millimetre: it has an area, but nothing lies inside that could be sampled."""


class Solid:
    """A structure as one field over its frame, positive inside, 0 on the surface, in mm².

    Attributes:
        structure: not empty.
        raster: where its planes are sampled.
    """

    def __init__(self, structure: Structure, raster: Raster) -> None:
        """See the class.

        Raises:
            ValueError: an empty structure.
        """
        if structure.is_empty:
            raise ValueError(f"{structure.name} is empty: it has no surface")
        self.structure = structure
        self.raster = raster
        filled, holes = _without_holes(structure)
        self._outer = Layers(filled, raster)
        self._holes = None if holes.is_empty else Solid(holes, raster)

    def at(self, w_mm: float) -> Field:
        """The field on a plane at ``w_mm`` along the normal, float32, of the raster's shape."""
        outer = self._outer.at(w_mm)
        return outer if self._holes is None else np.minimum(outer, -self._holes.at(w_mm))

    def area_at(self, w_mm: float, match_mm: float) -> MultiPolygon:
        """The cross-section at one height: see :func:`areas_at`."""
        positions, areas = self.structure.positions_mm, list(self.structure.planes.values())
        nearest = int(np.argmin(np.abs(positions - w_mm)))
        if abs(positions[nearest] - w_mm) <= match_mm:
            return areas[nearest]
        upper = int(np.searchsorted(positions, w_mm))
        if 0 < upper < positions.size and self._outer.bridged[upper - 1]:
            return self.raster.in_mm(filled_isolines(self.at(w_mm), 0.0))
        # A hair of tolerance keeps a slice that lies exactly on the slab's end from depending on rounding.
        lower, higher = self.structure.slab_bounds_mm[nearest]
        return areas[nearest] if lower - 1e-6 <= w_mm < higher - 1e-6 else MultiPolygon()


def _without_holes(structure: Structure) -> tuple[Structure, Structure]:
    """A structure with its holes filled, and the holes; an island in a hole is a hole of the hole."""
    filled: dict[float, MultiPolygon] = {}
    holes: dict[float, MultiPolygon] = {}
    for w, area in structure.planes.items():
        if any(len(p.interiors) for p in area.geoms):
            filled[w] = as_multipolygon(shapely.union_all([Polygon(p.exterior) for p in area.geoms]))
            holes[w] = as_multipolygon(shapely.difference(filled[w], area))
        else:
            filled[w] = area
    # A hole is as thick as the planes around it, whether or not it goes on to the next.
    spacing, own = structure.usual_spacing_mm, structure.positions_mm
    slices = tuple(float(w) for w in own) if own.size > 1 else structure.slices_mm
    return replace(structure, planes=filled), replace(structure, planes=holes, slice_spacing_mm=spacing, slices_mm=slices)


@dataclass(frozen=True, eq=False)
class SampledSolid:
    """A solid's field on an even lattice of the structure's frame.

    Attributes:
        field: float32 (w, v, u), positive inside, 0 on the surface, in mm².
        first: ``(w, v, u)`` of the first sample, in mm.
        step: distance of samples along w, v, u, in mm.
    """

    field: Field
    first: NDArray[np.float64]
    step: NDArray[np.float64]

    def at(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """The field at points ``(u, v, w)`` (n, 3), linear between samples; outside of all as far outside as any."""
        index = (points[:, ::-1] - self.first) / self.step
        return np.asarray(map_coordinates(self.field, index.T, order=1, cval=float(self.field.min()), output=np.float64))

    def depth_at(self, points: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Distance below the surface of points ``(u, v, w)`` near it (n, 3), in mm, and the way inward along w, v, u, (n, 3).

        The field is linear between samples; beyond the outermost it is what it is on them.
        """
        value, slope = trilinear(self.field, (points[:, ::-1] - self.first) / self.step)
        return _in_mm(value, slope / self.step)

    def depth_of(self, index: NDArray[np.intp]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The same of samples (n, 3), by their index along w, v, u."""
        flat, strides = self.field.ravel(), np.array([self.field[0].size, self.field.shape[2], 1])
        here = index @ strides
        slope = np.empty((len(index), 3))
        for axis, (step, count) in enumerate(zip(self.step, self.field.shape, strict=True)):
            high = np.where(index[:, axis] < count - 1, here + strides[axis], here)
            low = np.where(index[:, axis] > 0, here - strides[axis], here)
            slope[:, axis] = (flat[high] - flat[low]) / ((high - low) / strides[axis] * step)
        return _in_mm(flat[here], slope)


def trilinear(field: Field, index: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A field between its samples, and its change along each axis a sample.

    Args:
        field: three-dimensional.
        index: fractional indices (n, 3); clipped to the field.

    Returns:
        values (n,) and slopes (n, 3).
    """
    flat, strides = field.ravel(), np.array([field[0].size, field.shape[2], 1])
    index = np.clip(index, 0, np.array(field.shape) - 1.0)
    low = np.minimum(index.astype(np.intp), np.array(field.shape) - 2)
    t = index - low
    base = low @ strides
    c = [flat[base + (k & 1) * strides[0] + (k >> 1 & 1) * strides[1] + (k >> 2)] for k in range(8)]
    # Along the last axis, then rows, then planes; each step keeps the differences that become slopes.
    tw, tv, tu = t.T
    along = [c[k] + tu * (c[k + 4] - c[k]) for k in range(4)]
    across = [along[k] + tv * (along[k + 2] - along[k]) for k in range(2)]
    slope = np.empty((len(base), 3))
    slope[:, 0] = across[1] - across[0]
    slope[:, 1] = (1 - tw) * (along[2] - along[0]) + tw * (along[3] - along[1])
    steps = [c[k + 4] - c[k] for k in range(4)]
    slope[:, 2] = (1 - tw) * ((1 - tv) * steps[0] + tv * steps[2]) + tw * ((1 - tv) * steps[1] + tv * steps[3])
    return across[0] + tw * slope[:, 0], slope


def _in_mm(field: NDArray[np.floating], slope: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The field over its steepest slope is a distance near the surface; that slope points inward."""
    steep = np.maximum(np.sqrt(np.einsum("ij,ij->i", slope, slope)), 1e-6)
    return field / steep, slope / steep[:, None]


def sample_solid(structure: Structure, usual_mm: float = USUAL_MM) -> SampledSolid:
    """The solid that a structure means, sampled at least twice a slice spacing along the normal.

    Args:
        structure: not empty.
        usual_mm: distance of samples in the plane, finer for small structures, wider for a whole body.

    Raises:
        ValueError: an empty structure.
        TooThinError: a structure that lies between the finest samples.
    """
    if structure.is_empty:
        raise ValueError(f"{structure.name} is empty: it has no surface")
    widths = [2 * area.area / area.length for area in structure.planes.values()]
    pixel = min(_pixel_mm(structure, usual_mm), max(max(widths) / 3, _THINNEST_MM))
    raster = Raster.around(structure, pixel)
    solid = Solid(structure, raster)
    heights = _heights(structure, raster.pixel_mm)
    field = np.stack([solid.at(float(w)) for w in heights])
    if not (field > 0).any():
        raise TooThinError(f"{structure.name} is too thin to have a surface: {max(widths):.2f} mm at its widest")
    first = np.array([heights[0], *(raster.corner_mm[::-1] + raster.pixel_mm / 2)])
    return SampledSolid(field, first, np.array([heights[1] - heights[0], raster.pixel_mm, raster.pixel_mm]))


def _pixel_mm(structure: Structure, usual_mm: float) -> float:
    """The usual distance, finer where a structure is small; wider where it is so large that memory would suffer."""
    bounds = shapely.bounds(np.array(list(structure.planes.values()), dtype=object))
    sides = bounds[:, 2:].max(axis=0) - bounds[:, :2].min(axis=0)
    spacing = structure.usual_spacing_mm
    length = float(np.ptp(structure.positions_mm)) + 2 * spacing
    usual = np.clip(sides.max() / _ACROSS, _FINEST_MM, usual_mm)
    return float(max(usual, np.sqrt(sides.prod() * length / min(spacing / 2, usual_mm) / _MOST_SAMPLES)))


def _heights(structure: Structure, pixel: float) -> NDArray[np.float64]:
    """Even heights, at least two a spacing, from outside one end to outside the other."""
    positions, bounds = structure.positions_mm, structure.slab_bounds_mm
    spacing = structure.usual_spacing_mm
    step = spacing / max(2, int(np.ceil(spacing / pixel)))
    # A field beyond an end closes within twice the half slice there. The first height lies a quarter step outside the furthest
    # end, so that no sample falls on a flat one whatever the spacing.
    start = positions[0] - 2 * (positions[0] - bounds[0, 0]) - 1.25 * step
    count = int(np.ceil((positions[-1] + 2 * (bounds[-1, 1] - positions[-1]) - start) / step)) + 2
    return np.asarray(start + step * np.arange(count))


def areas_at(structure: Structure, heights_mm: Iterable[float], match_mm: float) -> list[MultiPolygon]:
    """Cross-sections at heights along the structure's normal: a plane drawn within ``match_mm`` as it is, else interpolated.

    Beyond the last plane it is that plane's for half a spacing, as volumes count it.

    Args:
        structure: any structure; an empty one has empty cross-sections.
        heights_mm: positions along its normal, in mm.
        match_mm: how far off a plane may lie and still be taken as it is, in mm.
    """
    if structure.is_empty:
        return [MultiPolygon() for _ in heights_mm]
    solid = Solid(structure, Raster.around(structure, SECTION_PIXEL_MM))
    return [solid.area_at(float(w), match_mm) for w in heights_mm]
