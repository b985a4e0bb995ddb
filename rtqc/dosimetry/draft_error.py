"""How far off a draft's doses may be, because nobody knows its surface exactly: one number for each metric, in this plan's dose.

The draft knows the standard deviation of its surface's position at every place. What that does to a dose depends on the plan: where the dose
is even nothing happens, at a field edge everything does. So the surface is moved, many times, and every metric is taken again.

How it moves, outward by ``s`` mm at a place (a normal distribution with mean 0):

* The surface errs in regions, not point by point: two places at a distance ``d`` err alike with the correlation ``exp(-d / 30 mm)``, at each by its
  own standard deviation. A side or an apex (30 to 40 mm) so moves nearly as one piece, and what is off at one side says nothing of the other.
* Both ends move up and down as a whole besides, each by itself, because where a heart ends is a convention as much as an anatomy: by
  their own standard deviation at the end, fading out over 30 mm towards the middle.

The layers between the surface and the moved one are integrated along the surface's normals, with the area that a bent surface has at their depth
(Steiner's formula), and added to or taken from the draft's DVH. The moves are orthogonal draws from the distribution, as many as it has
independent parts: whatever changes in proportion to the move (mean dose in an even gradient) has its exact standard deviation, without noise,
and what does not (a volume above a dose that no part of the draft reaches) sees moves of their true size.

The stated error is meant to hold the truth in 95 % of patients: 1.96 standard deviations times a factor from patients whose truth is known (docs/dose-error.md).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from rtqc.core.assessment import DoseMetrics
from rtqc.core.structure import Structure
from rtqc.core.volumes import Dose
from rtqc.dosimetry.dvh import DVH, NEAR_MAXIMUM_ML, dose_at
from rtqc.dosimetry.metric import Metric
from rtqc.geometry.solid import TooThinError
from rtqc.geometry.surface import SmoothSurface, surface_of, triangle_areas

Floats = NDArray[np.float64]

#: Two places of a surface at this distance err alike with a correlation of 1/e, in mm: measured on drafts of synthetic patients, where the
#: correlations at 12, 25, 35, 50 and 70 mm are 0.78, 0.43, 0.28, 0.15 and 0.15 of that at 2 mm; on the four real hearts it is shorter.
CORRELATION_MM = 30.0
#: Over this distance from an end its move fades out, in mm.
END_FADES_OVER_MM = 30.0
#: Standard deviations of a normal distribution on either side of its mean that hold 95 % of it.
LEVEL_95 = 1.96
#: Factor on the error. Twice what holds the truth in 95 % of synthetic patients (0.67, docs/dose-error.md, heart-v1), because on the one real heart that the model
#: has not seen (LIDC-0987) the surface is off by 1.2 of its standard deviations (root mean square), on the synthetic ones by 0.6. Another model: make that page anew and look.
CALIBRATION = 1.3

#: Side of the cubes whose part of the surface is one column of layers, and of those that move as one, in mm.
_COLUMN_MM, _REGION_MM = 4.0, 20.0
#: Thickness of a layer, in mm.
_LAYER_MM = 1.0
#: A surface is not moved further than this, in mm.
_FURTHEST_MM = 40.0
#: Bins of the dose between nothing and the highest one.
_BINS = 600


@dataclass(frozen=True)
class SurfaceBand:
    """How sure a surface is.

    Attributes:
        sd_at: standard deviation of its position along its normal at points (n, 3) in patient coordinates, in mm.
        upper_end_sd_mm, lower_end_sd_mm: that of the heights of its ends, beyond what ``sd_at`` says.
    """

    sd_at: Callable[[Floats], Floats]
    upper_end_sd_mm: float = 0.0
    lower_end_sd_mm: float = 0.0


@dataclass(frozen=True, eq=False)
class MovedDoses:
    """Doses of a structure as it is and with its surface moved.

    Attributes:
        edges_gy: edges of the bins of dose, (m + 1,), in Gy.
        ml: volume in each bin, of the structure as it is in the first row, then of each move, (1 + n, m).
    """

    edges_gy: Floats
    ml: Floats

    def standard_deviation(self, metric: Metric, converted: Callable[[Floats], Floats] | None = None) -> float | None:
        """Root mean square of a metric's change over the moves, in its unit; None where no part has a dose.

        Args:
            metric: any of :mod:`rtqc.dosimetry.metric`. Maximum and minimum are those of the hottest and coldest 0.03 ml.
            converted: a dose as it is counted (EQD2), growing with the dose; None: as it is.
        """
        edges = self.edges_gy if converted is None else converted(self.edges_gy)
        values = self._values(metric, edges)
        known = np.isfinite(values[1:])
        if not np.isfinite(values[0]) or not known.any():
            return None
        return float(np.sqrt(np.mean((values[1:][known] - values[0]) ** 2)))

    def error(self, metric: Metric, converted: Callable[[Floats], Floats] | None = None) -> float | None:
        """How far off the metric may be at the 95 % level, rounded as the metric itself; see :meth:`standard_deviation`."""
        deviation = self.standard_deviation(metric, converted)
        if deviation is None:
            return None
        return round(CALIBRATION * LEVEL_95 * deviation, 4 if metric.unit == "Gy" else 3)

    def metrics(self) -> DoseMetrics:
        """Errors of the published metrics; what lies inside the dose grid has none."""
        names = (name for name in DoseMetrics.model_fields if name != "covered_percent")
        return DoseMetrics(**{name: self.error(Metric.named(name)) for name in names})

    def _values(self, metric: Metric, edges: Floats) -> Floats:
        total = self.ml.sum(axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            if metric.name == "mean_gy":
                return np.asarray(self.ml @ (edges[1:] + edges[:-1]) / 2 / total)
            # Volume that receives at least the dose of each edge; taken away and added layers leave it a hair uneven.
            above = np.concatenate([np.cumsum(self.ml[:, ::-1], axis=1)[:, ::-1], np.zeros((len(self.ml), 1))], axis=1)
            above = np.maximum.accumulate(np.maximum(above, 0)[:, ::-1], axis=1)[:, ::-1]
            at = metric.at or 0.0
            if metric.name.startswith("v"):
                volumes = np.array([np.interp(at, edges, row) for row in above])
                return np.asarray(100 * volumes / total if metric.unit == "%" else volumes)
        if metric.name == "min_gy":
            wanted = total - NEAR_MAXIMUM_ML
        elif metric.name == "max_gy":
            wanted = np.full_like(total, NEAR_MAXIMUM_ML)
        else:
            wanted = at / 100 * total if metric.name.endswith("_percent_gy") else np.full_like(total, at)
        return np.array([np.interp(w, row[::-1], edges[::-1]) for w, row in zip(wanted, above, strict=True)])


@dataclass(frozen=True, eq=False)
class _Columns:
    """A surface in pieces, each with a column of layers on either side.

    Attributes:
        centres: (n, 3), in the structure's frame, in mm.
        outward: unit vectors, (n, 3).
        areas: of their projections along that way, (n,), in mm².
        bend: mean curvature, (n,), per mm; positive where the surface bulges.
    """

    centres: Floats
    outward: Floats
    areas: Floats
    bend: Floats


def moved_doses(structure: Structure, dose: Dose, histogram: DVH, band: SurfaceBand) -> MovedDoses | None:
    """The doses of a structure whose surface is moved within its band.

    Args:
        structure: the draft.
        dose: in any orientation; what lies outside its grid is left out, as in the DVH.
        histogram: the structure's own DVH.
        band: how sure its surface is.

    Returns:
        None for an empty structure, one that is too thin to have an inside, or one without any dose.
    """
    surface = moved_surface(structure, band) if not histogram.is_empty else None
    return surface.doses(partial(dose_at, structure=structure, dose=dose), histogram) if surface is not None else None


def moved_surface(structure: Structure, band: SurfaceBand) -> MovedSurface | None:
    """A structure's surface with the moves that its band allows; None for an empty structure, or one that is too thin to have an inside."""
    if structure.is_empty:
        return None
    try:
        return MovedSurface.of(structure, band)
    except TooThinError:
        return None


@dataclass(frozen=True, eq=False)
class MovedSurface:
    """A surface and how far each of its pieces is moved outward in each draw.

    Attributes:
        structure: what it is the surface of.
        columns: its pieces.
        moves: (draws, pieces), in mm.
    """

    structure: Structure
    columns: _Columns
    moves: Floats

    @classmethod
    def of(cls, structure: Structure, band: SurfaceBand) -> MovedSurface:
        """The surface of a structure, moved within its band.

        Raises:
            ValueError: an empty structure.
            TooThinError: it has no inside that could be sampled.
        """
        columns = _columns(surface_of(structure))
        return cls(structure, columns, np.clip(_moves(columns, structure, band), -_FURTHEST_MM, _FURTHEST_MM))

    def doses(self, gy_at: Callable[[Floats], Floats], histogram: DVH) -> MovedDoses:
        """Its doses in each draw.

        Args:
            gy_at: dose at points (n, 3) of the structure's frame, in Gy, NaN where there is none; that of several plans is their sum.
            histogram: the structure's own DVH of this dose, not empty.
        """
        columns = self.columns
        which, from_mm, sign = _layers(np.abs(self.moves).max(axis=0))
        middle = sign * (from_mm + _LAYER_MM / 2)
        gy = gy_at(columns.centres[which] + middle[:, None] * columns.outward[which])
        # What a bent surface's area is at another depth; beyond its centre of curvature there is nothing.
        ml = columns.areas[which] * np.maximum(1 + columns.bend[which] * middle, 0) ** 2 * _LAYER_MM / 1000
        known = np.isfinite(gy)
        which, from_mm, sign, gy, ml = which[known], from_mm[known], sign[known], gy[known], ml[known]
        highest = max(float(gy.max(initial=0.0)), histogram.max_gy)
        edges = np.linspace(0, max(highest, 1e-3) * (1 + 1e-6), _BINS + 1)
        bins = _bin_of(gy, edges)
        own = np.bincount(_bin_of(histogram.gy, edges), histogram.ml, _BINS)
        rows = [own]
        for move in self.moves:
            share = np.clip((sign * move[which] - from_mm) / _LAYER_MM, 0, 1)
            rows.append(own + np.bincount(bins, sign * share * ml, _BINS))
        return MovedDoses(edges, np.stack(rows))


def _columns(surface: SmoothSurface) -> _Columns:
    corners = surface.triangles.reshape(-1, 3)
    outward = -surface.solid.depth_at(corners)[1][:, ::-1]
    grown = [triangle_areas((corners + step * outward).reshape(-1, 3, 3)) for step in (-1.0, 1.0)]
    group, count = _cubes(surface.centres, _COLUMN_MM)

    def summed(values: Floats) -> Floats:
        return np.asarray(np.bincount(group, values, count), np.float64)

    areas = summed(surface.areas)
    centres = np.stack([summed(surface.areas * c) for c in surface.centres.T], axis=1) / areas[:, None]
    # Vector areas: what a piece sweeps when it is shifted is their product with the way, round an edge too.
    edges = surface.triangles[:, 1:] - surface.triangles[:, :1]
    vectors = np.cross(edges[:, 0], edges[:, 1]) / 2
    vectors *= np.sign(np.einsum("ij,ij->i", vectors, outward.reshape(-1, 3, 3).mean(axis=1)))[:, None]
    swept = np.stack([summed(c) for c in vectors.T], axis=1)
    across = np.linalg.norm(swept, axis=1)
    # (1 + 1 mm * bend)² - (1 - 1 mm * bend)² is 4 mm * bend.
    bend = (summed(grown[1]) - summed(grown[0])) / (4 * areas)
    return _Columns(centres, swept / np.maximum(across, 1e-9)[:, None], across, np.clip(bend, -0.1, 0.1))


def _cubes(points: Floats, side_mm: float) -> tuple[NDArray[np.intp], int]:
    """Number of the cube that each point lies in, and how many cubes hold points."""
    cell = np.floor((points - points.min(axis=0)) / side_mm).astype(np.int64)
    size = cell.max(axis=0) + 1
    _, number = np.unique((cell[:, 0] * size[1] + cell[:, 1]) * size[2] + cell[:, 2], return_inverse=True)
    number = np.asarray(number).reshape(-1)
    return number, int(number.max()) + 1


def _moves(columns: _Columns, structure: Structure, band: SurfaceBand) -> Floats:
    """How far each column's surface moves outward in each draw, (draws, columns), in mm."""
    region, count = _cubes(columns.centres, _REGION_MM)
    weight = np.bincount(region, columns.areas, count)
    middles = np.stack([np.bincount(region, columns.areas * c, count) for c in columns.centres.T], axis=1) / weight[:, None]
    distance = np.linalg.norm(middles[:, None] - middles[None], axis=2)
    root = np.linalg.cholesky(np.exp(-distance / CORRELATION_MM) + 1e-9 * np.eye(count))
    patient = structure.orientation.to_patient(columns.centres)
    local = np.asarray(band.sd_at(patient), np.float64)
    # Rows of an orthogonal matrix, scaled to the size of normal draws: their mean square along any way is exactly 1.
    draws, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((count + 2, count + 2)))
    draws *= np.sqrt(count + 2)
    up = structure.orientation.to_patient(columns.outward)[:, 2]
    height = patient[:, 2]
    moves = local * (draws[:, :count] @ root.T)[:, region]
    for k, (sd, way, below) in enumerate((
        (band.upper_end_sd_mm, up, height.max() - height), (band.lower_end_sd_mm, -up, height - height.min()),
    )):  # fmt: skip
        fading = np.clip(1 - below / END_FADES_OVER_MM, 0, 1)
        moves = moves + draws[:, count + k, None] * (sd * np.maximum(way, 0) * fading)
    return np.asarray(moves)


def _layers(furthest_mm: Floats) -> tuple[NDArray[np.intp], Floats, Floats]:
    """Layers on both sides of each column as far as it is ever moved: column, distance of the nearer face from the surface, side (+1 outside)."""
    count = np.ceil(furthest_mm / _LAYER_MM).astype(np.intp)
    which = np.repeat(np.arange(count.size), count)
    step = np.arange(which.size) - np.repeat(np.cumsum(count) - count, count)
    sign = np.repeat([1.0, -1.0], which.size)
    return np.tile(which, 2), np.tile(step * _LAYER_MM, 2), sign


def _bin_of(gy: Floats, edges: Floats) -> NDArray[np.intp]:
    return np.asarray(np.clip((gy / edges[-1] * (edges.size - 1)).astype(np.intp), 0, edges.size - 2))
