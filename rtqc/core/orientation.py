"""Directions of a stack of parallel planes in the patient, and the frame that they span.

A contour lives on a plane. Inside its own frame a point is ``(u, v, w)`` in mm: ``u`` along the plane's row
direction, ``v`` along its column direction, ``w`` along the normal. The frame is a rotation of the patient
coordinate system (LPS, PS3.3 C.7.6.2.1.1) about its origin, never a shift, so an axial frame *is* LPS.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

Vector = tuple[float, float, float]

#: Planes whose normals differ by less than this are parallel: 1e-3 is 0.06 degrees, 0.5 mm over a 500 mm image.
PARALLEL_TOLERANCE = 1e-3


@dataclass(frozen=True, slots=True)
class Orientation:
    """Row and column direction of a plane, as in ImageOrientationPatient (unit vectors, LPS).

    ``row`` points to where the column index grows, ``column`` to where the row index grows.

    Raises:
        ValueError: the vectors are not of unit length or not perpendicular.
    """

    row: Vector
    column: Vector

    def __post_init__(self) -> None:
        row, column = np.asarray(self.row, float), np.asarray(self.column, float)
        if not np.isfinite([*row, *column]).all() or abs(np.linalg.norm(row) - 1) > 1e-2:
            raise ValueError(f"row direction must be a unit vector, not {self.row}")
        if abs(np.linalg.norm(column) - 1) > 1e-2 or abs(row @ column) > 1e-2:
            raise ValueError(f"column direction must be a unit vector perpendicular to the row direction, not {self.column}")
        row = row / np.linalg.norm(row)
        column = column - (column @ row) * row
        column = column / np.linalg.norm(column)
        object.__setattr__(self, "row", _vector(row))
        object.__setattr__(self, "column", _vector(column))

    @property
    def normal(self) -> Vector:
        """Unit vector out of the plane, row x column."""
        return _vector(self.matrix[2])

    @property
    def matrix(self) -> NDArray[np.float64]:
        """3 x 3, rows ``u``, ``v``, ``w``: ``frame = matrix @ patient``."""
        return _matrix(self.row, self.column)

    def to_frame(self, patient_mm: ArrayLike) -> NDArray[np.float64]:
        """Patient coordinates (n, 3) in mm to ``(u, v, w)`` (n, 3) in mm."""
        return np.asarray(patient_mm, float) @ self.matrix.T

    def to_patient(self, frame_mm: ArrayLike) -> NDArray[np.float64]:
        """``(u, v, w)`` (n, 3) in mm to patient coordinates (n, 3) in mm."""
        return np.asarray(frame_mm, float) @ self.matrix

    def is_parallel(self, other: Orientation) -> bool:
        """Whether planes of both orientations are the same planes (their normals may point opposite ways)."""
        return bool(np.linalg.norm(np.cross(self.normal, other.normal)) < PARALLEL_TOLERANCE)

    def transform_to(self, other: Orientation) -> NDArray[np.float64]:
        """3 x 3 matrix from this frame's ``(u, v, w)`` to the other's."""
        return other.matrix @ self.matrix.T

    def canonical(self) -> Orientation:
        """The orientation that all stacks parallel to this one share: axial planes give LPS itself.

        Contours of one patient, drawn on images stored flipped or feet first, then meet in one frame.

        >>> Orientation((-1, 0, 0), (0, 1, 0)).canonical() == AXIAL
        True
        """
        normal = np.asarray(self.normal)
        for axes in (AXIAL, _CORONAL, _SAGITTAL):
            if self.is_parallel(axes):
                return axes
        if normal[np.argmax(np.abs(normal))] < 0:
            normal = -normal
        seed = np.array([1.0, 0, 0]) if abs(normal[0]) < 0.8 else np.array([0, 1.0, 0])
        row = seed - (seed @ normal) * normal
        row /= np.linalg.norm(row)
        return Orientation(_vector(row), _vector(np.cross(normal, row)))


@lru_cache(maxsize=256)
def _matrix(row: Vector, column: Vector) -> NDArray[np.float64]:
    matrix = np.array([row, column, np.cross(row, column) + 0.0])
    matrix.setflags(write=False)
    return matrix


def _vector(values: ArrayLike) -> Vector:
    a, b, c = (float(v) for v in np.asarray(values, float))
    return (a + 0.0, b + 0.0, c + 0.0)


AXIAL = Orientation((1.0, 0.0, 0.0), (0.0, 1.0, 0.0))
_CORONAL = Orientation((1.0, 0.0, 0.0), (0.0, 0.0, 1.0))
_SAGITTAL = Orientation((0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
