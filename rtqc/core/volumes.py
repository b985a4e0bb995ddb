"""Grids with values: an image in HU, a dose in Gy, a mask."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from rtqc.core.grid import Grid
from rtqc.core.uncalculated import uncalculated


def _check_shape(kind: str, grid: Grid, array: NDArray[np.generic]) -> None:
    if array.shape != grid.shape:
        raise ValueError(f"{kind} of shape {array.shape} does not fit its grid of shape {grid.shape}")


@dataclass(frozen=True, eq=False)
class Image:
    """CT numbers on a grid.

    Attributes:
        grid: where the voxels are.
        hu: float32, shape ``grid.shape``, in HU.
    """

    grid: Grid
    hu: NDArray[np.float32]

    def __post_init__(self) -> None:
        _check_shape("image", self.grid, self.hu)


@dataclass(frozen=True, eq=False)
class Dose:
    """Absorbed dose on a grid.

    Attributes:
        grid: where the dose points are.
        gy: float32, shape ``grid.shape``, in Gy for the whole course.
    """

    grid: Grid
    gy: NDArray[np.float32]

    def __post_init__(self) -> None:
        _check_shape("dose", self.grid, self.gy)

    @cached_property
    def uncalculated(self) -> NDArray[np.bool_] | None:
        """Points at which no dose was calculated, though the grid holds them (:mod:`rtqc.core.uncalculated`); None: there are none."""
        return uncalculated(self.gy)


@dataclass(frozen=True, eq=False)
class Mask:
    """Voxels that belong to something.

    Attributes:
        grid: where the voxels are.
        array: bool, shape ``grid.shape``.
    """

    grid: Grid
    array: NDArray[np.bool_]

    def __post_init__(self) -> None:
        _check_shape("mask", self.grid, self.array)
        if self.array.dtype != np.bool_:
            raise ValueError(f"a mask is an array of bool, not of {self.array.dtype}")

    @property
    def volume_ml(self) -> float:
        """Volume of the voxels, in ml; slices are as thick as :mod:`rtqc.core.slabs` says."""
        return float(self.array.sum(axis=(1, 2)) @ self.grid.voxel_volumes_ml)
