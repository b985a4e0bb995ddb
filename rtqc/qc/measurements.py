"""What the rules look at: the case and everything that was measured on it, each thing computed once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.ndimage import binary_fill_holes, label
from shapely.geometry import MultiPolygon, Polygon

from rtqc.core.assessment import (
    Agreement,
    ConstraintResult,
    Course,
    DoseComparison,
    HeartShape,
    Outlier,
    PopulationComparison,
    Scope,
)
from rtqc.core.cardiac import Cardiac
from rtqc.core.case import Case, Roi
from rtqc.core.names import is_body, lung_side
from rtqc.core.structure import Structure
from rtqc.geometry.pieces import Piece, pieces_of
from rtqc.geometry.rasterize import in_frame, rasterize
from rtqc.heart import Draft
from rtqc.qc.choice import Choice
from rtqc.qc.commissioned import Commissioned
from rtqc.qc.dose_level import Level, TargetLevel, level_of, target_levels
from rtqc.qc.population import Ends, Population, numbers_of
from rtqc.qc.shape import heart_shape
from rtqc.qc.upper_ends import UpperEndName

#: Below this a voxel is lung or air: lung is about -800, blood 40 HU.
AIR_HU = -400.0


@dataclass(frozen=True, eq=False)
class Measurements:
    """Everything that rules may use.

    Attributes:
        case: as read.
        roi: the ROI taken as the contoured heart; None where there is none.
        candidates: names of all ROIs that could be the heart, surest first.
        draft: rtqc's own heart; None where none could be drawn.
        agreement: contour against draft.
        dose: heart dose with either.
        constraints: of the protocol, evaluated.
        choice: the protocol and why it was taken; None where nobody chose.
        population: hearts to be held against; None: nobody's.
        cardiac: volume, fat and calcium of the draft; None without a draft.
        scope: what the verdict is asked to cover.
        course: the plans that are given together with this one; None for a patient with one plan.
    """

    case: Case
    roi: Roi | None = None
    candidates: tuple[str, ...] = ()
    draft: Draft | None = None
    agreement: Agreement | None = None
    dose: DoseComparison | None = None
    constraints: tuple[ConstraintResult, ...] = ()
    choice: Choice | None = None
    population: Population | None = None
    cardiac: Cardiac | None = None
    scope: Scope = "plan"
    course: Course | None = None

    @property
    def upper_end(self) -> UpperEndName | None:
        """The definition of the upper end that the protocol names; None: nobody says which school the contour follows."""
        return self.choice.protocol.heart.upper_end if self.choice is not None else None

    @property
    def commissioned(self) -> Commissioned | None:
        """What a commissioning says of this clinic's contours; None where there was none, or it was one of another model."""
        told = self.choice.protocol.commissioned if self.choice is not None else None
        return told if told is not None and self.draft is not None and told.model_hash == self.draft.model_hash else None

    @property
    def heart(self) -> Structure | None:
        """The contoured heart, if it has any usable contour."""
        return self.roi.structure if self.roi is not None and not self.roi.structure.is_empty else None

    @cached_property
    def slices_mm(self) -> NDArray[np.float64] | None:
        """CT slice positions in the heart's frame, ascending; None without a CT parallel to the contours."""
        image = self.case.image
        if image is None or self.heart is None or not image.grid.orientation.is_parallel(self.heart.orientation):
            return None
        sign = image.grid.orientation.transform_to(self.heart.orientation)[2, 2]
        return np.sort(image.grid.positions_mm * round(float(sign)))

    @cached_property
    def heart_mask(self) -> NDArray[np.bool_] | None:
        """The contoured heart's voxels on the CT."""
        if self.case.image is None or self.heart is None:
            return None
        return rasterize(self.heart, self.case.image.grid).array

    @cached_property
    def heart_hu(self) -> NDArray[np.float32] | None:
        """CT numbers inside the contoured heart; None without voxels."""
        mask = self.heart_mask
        if mask is None or self.case.image is None or not mask.any():
            return None
        return self.case.image.hu[mask]

    @cached_property
    def shape(self) -> HeartShape | None:
        """The contoured heart in numbers."""
        if self.heart is None:
            return None
        return heart_shape(self.heart, self.heart_hu, self.draft.landmarks if self.draft is not None else None)

    @cached_property
    def _numbers(self) -> dict[str, float]:
        trusted = self.draft is not None and self.draft.trusted and self.agreement is not None
        return numbers_of(self.shape, self.agreement if trusted else None, self.ends_mm if trusted else None)

    @property
    def population_comparison(self) -> PopulationComparison | None:
        """What is most unusual about the contoured heart."""
        return self.population.compare(self._numbers) if self.population is not None and self.shape is not None else None

    @cached_property
    def z_scores(self) -> tuple[Outlier, ...]:
        """How unusual each of its numbers is, most unusual first."""
        return self.population.z_scores(self._numbers) if self.population is not None and self.shape is not None else ()

    @property
    def ends_mm(self) -> Ends | None:
        """First and last plane of contour and draft."""
        if self.heart is None or self.draft is None or self.draft.structure.is_empty:
            return None
        a, b = self.heart.positions_mm, self.draft.structure.positions_mm
        return (float(a[0]), float(a[-1])), (float(b[0]), float(b[-1]))

    @cached_property
    def outside_body(self) -> tuple[float, tuple[float, ...]]:
        """Percent of the heart's volume outside the body, and the slices where it is.

        The body is the EXTERNAL contour where there is one, else what is denser than air on the CT, filled.
        """
        body = next((r.structure for r in self.case.rois if is_body(r.structure.name, r.structure.kind)), None)
        if self.heart is None:
            return 0.0, ()
        if body is not None and not body.is_empty and body.orientation.is_parallel(self.heart.orientation):
            return _outside_polygons(self.heart, in_frame(body, self.heart.orientation))
        mask = self.heart_mask
        if mask is None or self.case.image is None or not mask.any():
            return 0.0, ()
        used = np.flatnonzero(mask.any(axis=(1, 2)))
        outside = np.stack([mask[k] & ~_body_slice(self.case.image.hu[k]) for k in used])
        positions = self.positions_of(used[outside.sum(axis=(1, 2)) > 0])
        return float(100 * outside.sum() / mask.sum()), positions

    def positions_of(self, slices: NDArray[np.intp]) -> tuple[float, ...]:
        """Positions of CT slices along the canonical normal, ascending, in mm."""
        assert self.case.image is not None
        grid = self.case.image.grid
        sign = round(float(grid.orientation.transform_to(grid.orientation.canonical())[2, 2])) or 1
        return tuple(sorted(float(grid.positions_mm[k] * sign) for k in slices))

    @cached_property
    def lungs(self) -> dict[str, Structure]:
        """Contoured lungs by side."""
        found: dict[str, Structure] = {}
        for roi in self.case.rois:
            side = lung_side(roi.structure.name)
            if side and not roi.structure.is_empty:
                found.setdefault(side, roi.structure)
        return found

    @cached_property
    def dose_level(self) -> Level | None:
        """How high the dose is; None without one."""
        return level_of(self.case.dose) if self.case.dose is not None else None

    @cached_property
    def target_levels(self) -> tuple[TargetLevel, ...]:
        """Doses of the contoured targets that prescriptions are for, best covered first."""
        return target_levels(self.case)

    @cached_property
    def pieces(self) -> list[Piece]:
        """The heart's connected pieces, largest first: polygons that touch from plane to plane."""
        return pieces_of(self.heart) if self.heart is not None else []


def _outside_polygons(heart: Structure, body: Structure) -> tuple[float, tuple[float, ...]]:
    positions = body.positions_mm
    reach = 0.6 * body.usual_spacing_mm
    areas = list(body.planes.values())
    outside, total, where = 0.0, 0.0, []
    for w, area in heart.planes.items():
        nearest = int(np.abs(positions - w).argmin())
        total += area.area
        if abs(positions[nearest] - w) > reach:
            continue
        off = area.area - shapely.intersection(area, areas[nearest]).area
        outside += off
        if off > 0.01 * area.area:
            where.append(w)
    return (100 * outside / total if total else 0.0), tuple(where)


def _body_slice(hu: NDArray[np.float32]) -> NDArray[np.bool_]:
    labels, count = label(hu > AIR_HU)
    if count == 0:
        return np.zeros(hu.shape, bool)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return np.asarray(binary_fill_holes(labels == sizes.argmax()))


def holes_of(area: MultiPolygon, smallest_mm2: float) -> float:
    """Area of holes of at least a size, in mm²."""
    sizes = [Polygon(ring).area for polygon in area.geoms for ring in polygon.interiors]
    return float(sum(s for s in sizes if s >= smallest_mm2))
