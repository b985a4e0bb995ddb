"""Distances between two closed surfaces, weighted by area: how far, which way, and where."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from rtqc.core.assessment import SurfaceRegion
from rtqc.geometry.surface import Distances, Surface

Floats = NDArray[np.float64]

#: Tolerance of the surface Dice in the report, in mm: about the variation between human observers of the heart.
SURFACE_DICE_TOLERANCE_MM = 3.0
#: Ends of the patient's axes (LPS): where a coordinate is smaller, and where it is larger.
_ENDS = (("right", "left"), ("anterior", "posterior"), ("inferior", "superior"))
#: Shifts and signed distances smaller than this have no direction in words, in mm: a tenth of the smallest usual pixel.
_NO_DIRECTION_MM = 0.1


@dataclass(frozen=True)
class SurfaceDistances:
    """Distances of every piece of surface A to B and of B to A.

    Attributes:
        a_to_b: of A's pieces; points in patient coordinates.
        b_to_a: of B's.
    """

    a_to_b: Distances
    b_to_a: Distances

    @property
    def _both(self) -> tuple[Distances, Distances]:
        return (self.a_to_b, self.b_to_a)

    @property
    def hausdorff_mm(self) -> float:
        """The largest distance of either surface to the other."""
        return float(max(np.abs(d.mm).max() for d in self._both))

    @property
    def hausdorff_at_mm(self) -> tuple[float, float, float]:
        """Where on the one surface the other is furthest away, in patient coordinates."""
        furthest = max(self._both, key=lambda d: float(np.abs(d.mm).max()))
        x, y, z = furthest.points[np.abs(furthest.mm).argmax()].tolist()
        return (round(x, 2), round(y, 2), round(z, 2))

    def hausdorff_percentile_mm(self, percent: float) -> float:
        """The larger of the two directed percentiles, by area (Metrics Reloaded, 2024, fig. SN 3.72)."""
        return max(weighted_percentile(np.abs(d.mm), d.areas, percent) for d in self._both)

    @property
    def mean_mm(self) -> float:
        """Mean average surface distance: the mean of the two directed means (MASD)."""
        return sum(float(np.average(np.abs(d.mm), weights=d.areas)) for d in self._both) / 2

    @property
    def signed_mean_mm(self) -> float:
        """Mean over A's surface of the distance to B's, positive where A lies outside B: above 0, A is the larger."""
        return float(np.average(self.a_to_b.mm, weights=self.a_to_b.areas))

    def surface_dice(self, tolerance_mm: float) -> float:
        """Share of both surfaces that lies within a tolerance of the other (Nikolov et al., 2021)."""
        within = sum(float(d.areas[np.abs(d.mm) <= tolerance_mm].sum()) for d in self._both)
        return within / sum(float(d.areas.sum()) for d in self._both)

    def regions(self, middle_mm: Floats) -> tuple[SurfaceRegion, ...]:
        """A's surface by side (six) and by octant (eight), seen from a point in patient coordinates.

        A side is where its axis is the longest part of the way from the middle.
        """
        distances = self.a_to_b
        way = distances.points - middle_mm
        higher = way > 0
        axis = np.abs(way).argmax(axis=1)
        side = 2 * axis + np.take_along_axis(higher, axis[:, None], axis=1)[:, 0]
        octant = 4 * higher[:, 0] + 2 * higher[:, 1] + higher[:, 2]
        sides = [name for ends in _ENDS for name in ends]
        octants = [" ".join(names) for names in product(*_ENDS)]
        return (*_regions(sides, side, distances), *_regions(octants, octant, distances))


def _regions(names: Sequence[str], part: NDArray[np.integer], distances: Distances) -> Iterator[SurfaceRegion]:
    """A region for each name that a piece belongs to, by its number."""
    mm, areas = distances.mm, distances.areas
    area = np.bincount(part, areas, len(names))
    mean = np.bincount(part, areas * mm, len(names)) / np.maximum(area, 1e-12)
    for number, name in enumerate(names):
        if area[number] > 0:
            own = mm[part == number]
            yield SurfaceRegion(
                name=name,
                area_mm2=round(float(area[number]), 1),
                signed_distance_mm=round(float(mean[number]), 3),
                furthest_outside_mm=round(max(float(own.max()), 0.0), 3),
                furthest_inside_mm=round(max(-float(own.min()), 0.0), 3),
            )


def surface_distances(a: Surface, b: Surface) -> SurfaceDistances:
    """Both directed distances of two surfaces, in whatever orientation."""
    return SurfaceDistances(_in_patient(a.distances_to(b), a), _in_patient(b.distances_to(a), b))


def _in_patient(distances: Distances, surface: Surface) -> Distances:
    return Distances(surface.orientation.to_patient(distances.points), distances.mm, distances.areas)


def in_words(shift_mm: tuple[float, float, float]) -> str:
    """A shift in patient coordinates as a physicist would say it.

    >>> in_words((3.21, 0.0, -1.5))
    '3.2 mm left, 1.5 mm inferior'
    >>> in_words((0.0, 0.04, 0.0))
    'none'
    """
    parts = [
        f"{abs(mm):.1f} mm {ends[int(mm > 0)]}" for mm, ends in zip(shift_mm, _ENDS, strict=True) if abs(mm) >= _NO_DIRECTION_MM
    ]
    return ", ".join(parts) or "none"


def weighted_percentile(values: Floats, weights: Floats, percent: float) -> float:
    """The value that ``percent`` of the weight does not exceed.

    >>> weighted_percentile(np.array([1.0, 2.0, 9.0]), np.array([50.0, 45.0, 5.0]), 95)
    2.0
    """
    total, wanted = float(weights.sum()), percent / 100
    # What is wanted is near the top: leave the lower values unsorted where they hold too little weight to matter.
    lowest = min(int(values.size * max(2 * wanted - 1, 0)), values.size - 1)
    cut = np.partition(values, lowest)[lowest]
    upper = values >= cut
    below = total - float(weights[upper].sum())
    if below >= wanted * total:
        upper, below = np.ones(values.size, bool), 0.0
    values, weights = values[upper], weights[upper]
    order = np.argsort(values)
    cumulative = below + np.cumsum(weights[order])
    index = int(np.searchsorted(cumulative, wanted * total * (1 - 1e-12)))
    return float(values[order][min(index, values.size - 1)])
