"""Where the voxels of an image, a dose or a mask are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rtqc.core.orientation import AXIAL, Orientation
from rtqc.core.slabs import local_spacings_mm, slab_bounds_mm, usual_spacing_mm

#: Steps between slices that differ by less than this (mm) count as even; headers carry rounding of this size.
EVEN_STEP_TOLERANCE_MM = 0.05


@dataclass(frozen=True)
class Grid:
    """A stack of parallel slices; index order is (slice, row, column) everywhere.

    Attributes:
        orientation: row and column direction of every slice.
        origin_mm: ``(u, v)`` of the centre of row 0, column 0 in the orientation's frame, in mm.
        spacing_mm: distance between rows and between columns, in mm (as PixelSpacing).
        size: number of rows and columns.
        slice_positions_mm: ``w`` of every slice, ascending, in mm. Gaps and uneven steps are values, not errors.
        nominal_slice_mm: slice spacing to assume where there is a single slice.
        slabs_mm: lower and upper end of each slice's slab along the normal, in mm, where they are known from a larger grid that this one was cut
            out of; None: as the slices' own distances say.

    Raises:
        ValueError: no slice, no pixel, spacing not positive, or positions not strictly ascending.
    """

    orientation: Orientation
    origin_mm: tuple[float, float]
    spacing_mm: tuple[float, float]
    size: tuple[int, int]
    slice_positions_mm: tuple[float, ...]
    nominal_slice_mm: float | None = None
    slabs_mm: tuple[tuple[float, float], ...] | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        positions = np.asarray(self.slice_positions_mm, float)
        if positions.size == 0 or min(self.size) < 1:
            raise ValueError(f"a grid needs at least one slice, row and column, not {positions.size} x {self.size}")
        if not np.isfinite(positions).all() or (np.diff(positions) <= 0).any():
            raise ValueError("slice positions must be finite and strictly ascending along the normal")
        if not (np.isfinite(self.spacing_mm).all() and min(self.spacing_mm) > 0):
            raise ValueError(f"pixel spacing must be positive, not {self.spacing_mm}")

    @classmethod
    def regular(
        cls,
        shape: Sequence[int],
        spacing_mm: Sequence[float],
        origin_mm: Sequence[float] = (0.0, 0.0, 0.0),
        orientation: Orientation = AXIAL,
    ) -> Grid:
        """An evenly spaced grid.

        Args:
            shape: number of slices, rows, columns.
            spacing_mm: distance between slices, rows, columns, in mm.
            origin_mm: centre of the first voxel in patient coordinates (x, y, z; LPS), in mm.
            orientation: row and column direction.

        >>> Grid.regular((40, 64, 64), (2.5, 1.0, 1.0)).shape
        (40, 64, 64)
        """
        slices, rows, columns = (int(n) for n in shape)
        step, row_mm, column_mm = (float(s) for s in spacing_mm)
        if not step > 0:
            raise ValueError(f"slice spacing must be positive, not {step}")
        u, v, w = orientation.to_frame(np.asarray(origin_mm, float)[None])[0]
        positions = tuple(float(w + i * step) for i in range(slices))
        return cls(orientation, (float(u), float(v)), (row_mm, column_mm), (rows, columns), positions, step)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of slices, rows, columns."""
        return (len(self.slice_positions_mm), *self.size)

    @cached_property
    def positions_mm(self) -> NDArray[np.float64]:
        """``slice_positions_mm`` as an array."""
        return np.asarray(self.slice_positions_mm, float)

    @cached_property
    def slice_spacing_mm(self) -> float:
        """The usual distance between slices, in mm (a single slice: its nominal thickness, else 1)."""
        if len(self.slice_positions_mm) == 1:
            return self.nominal_slice_mm or 1.0
        return usual_spacing_mm(self.positions_mm)

    @cached_property
    def slab_bounds_mm(self) -> NDArray[np.float64]:
        """Ends of each slice's slab along the normal, shape (slices, 2), in mm."""
        if self.slabs_mm is not None and len(self.slabs_mm) == len(self.slice_positions_mm):
            return np.array(self.slabs_mm, float)
        return slab_bounds_mm(self.positions_mm, self.slice_spacing_mm)

    @cached_property
    def canonical_positions_mm(self) -> NDArray[np.float64]:
        """Slice positions along the normal of the canonical orientation (axial: z), ascending, in mm."""
        sign = round(float(self.orientation.transform_to(self.orientation.canonical())[2, 2]))
        return np.sort(self.positions_mm * sign)

    @cached_property
    def local_spacings_mm(self) -> NDArray[np.float64]:
        """The spacing that the stack has at each step, shape (slices - 1,), in mm; a missing slice does not change it."""
        return local_spacings_mm(self.positions_mm)

    @cached_property
    def voxel_volumes_ml(self) -> NDArray[np.float64]:
        """Volume of one voxel of each slice, shape (slices,), in ml."""
        thickness = self.slab_bounds_mm[:, 1] - self.slab_bounds_mm[:, 0]
        return np.asarray(thickness * self.spacing_mm[0] * self.spacing_mm[1] / 1000.0)

    @property
    def is_even(self) -> bool:
        """Whether all slices are the same distance apart."""
        steps = np.diff(self.positions_mm)
        return bool(steps.size == 0 or np.ptp(steps) < 2 * EVEN_STEP_TOLERANCE_MM)

    @property
    def columns_mm(self) -> NDArray[np.float64]:
        """``u`` of each column's centre, in mm."""
        return np.asarray(self.origin_mm[0] + self.spacing_mm[1] * np.arange(self.size[1]), np.float64)

    @property
    def rows_mm(self) -> NDArray[np.float64]:
        """``v`` of each row's centre, in mm."""
        return np.asarray(self.origin_mm[1] + self.spacing_mm[0] * np.arange(self.size[0]), np.float64)

    def patient_mm(self, index: ArrayLike) -> NDArray[np.float64]:
        """Patient coordinates (n, 3) in mm of (fractional) indices (n, 3) in order slice, row, column.

        Outside the stack slices go on with the usual spacing, as in :meth:`index_of_frame`, whose inverse this is.
        """
        k, i, j = np.asarray(index, float).reshape(-1, 3).T
        w = self._positions_at(k)
        u = self.origin_mm[0] + j * self.spacing_mm[1]
        v = self.origin_mm[1] + i * self.spacing_mm[0]
        return self.orientation.to_patient(np.stack([u, v, w], axis=1))

    def _positions_at(self, k: NDArray[np.float64]) -> NDArray[np.float64]:
        """``w`` of fractional slice indices, in mm."""
        positions, last = self.positions_mm, len(self.slice_positions_mm) - 1
        beyond = np.minimum(k, 0) + np.maximum(k - last, 0)
        return np.asarray(np.interp(k, np.arange(last + 1), positions) + beyond * self.slice_spacing_mm)

    def index_of_frame(self, frame_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """Fractional indices (n, 3), in order slice, row, column, of points ``(u, v, w)`` (n, 3) of this frame.

        Outside the stack the slice index goes on with the usual spacing, so that it can be told from inside.
        """
        u, v, w = frame_mm.T
        i = (v - self.origin_mm[1]) / self.spacing_mm[0]
        j = (u - self.origin_mm[0]) / self.spacing_mm[1]
        positions = self.positions_mm
        k = np.interp(w, positions, np.arange(positions.size))
        k = np.where(w < positions[0], (w - positions[0]) / self.slice_spacing_mm, k)
        k = np.where(w > positions[-1], positions.size - 1 + (w - positions[-1]) / self.slice_spacing_mm, k)
        return np.stack([k, i, j], axis=1)

    def index_of_patient(self, patient_mm: ArrayLike) -> NDArray[np.float64]:
        """Fractional indices (n, 3) of patient coordinates (n, 3) in mm."""
        return self.index_of_frame(self.orientation.to_frame(patient_mm))

    def corners_mm(self) -> NDArray[np.float64]:
        """The eight outer voxel centres in patient coordinates, shape (8, 3), in mm."""
        ends = [(0, n - 1) for n in self.shape]
        return self.patient_mm([(k, i, j) for k in ends[0] for i in ends[1] for j in ends[2]])

    def crop(self, slices: slice, rows: slice, columns: slice) -> Grid:
        """The part of the grid that ``array[slices, rows, columns]`` covers (steps of one); its slices stay as thick as they are among their neighbours."""
        r0, r1, _ = rows.indices(self.size[0])
        c0, c1, _ = columns.indices(self.size[1])
        origin = (self.origin_mm[0] + c0 * self.spacing_mm[1], self.origin_mm[1] + r0 * self.spacing_mm[0])
        positions = self.slice_positions_mm[slices]
        slabs = self.slab_bounds_mm[slices]
        nominal = float(slabs[0, 1] - slabs[0, 0]) if len(positions) == 1 else self.slice_spacing_mm
        return replace(
            self,
            origin_mm=origin,
            size=(r1 - r0, c1 - c0),
            slice_positions_mm=positions,
            nominal_slice_mm=nominal,
            slabs_mm=tuple((float(low), float(high)) for low, high in slabs),
        )
