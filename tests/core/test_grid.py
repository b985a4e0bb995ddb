"""Grids: where voxels are, in whatever orientation."""

from __future__ import annotations

import numpy as np
import pytest

from rtqc.core import AXIAL, Grid, Orientation
from rtqc.core.slabs import slab_bounds_mm, usual_spacing_mm

OBLIQUE = Orientation((0.8, 0.6, 0.0), (-0.6 * 0.8, 0.8 * 0.8, 0.6))


def test_index_and_patient_coordinates_are_inverse_on_an_oblique_grid() -> None:
    grid = Grid.regular((5, 7, 9), (2.5, 1.1, 0.9), (10, -20, 33), OBLIQUE)
    index = np.array([[0, 0, 0], [4, 6, 8], [1.5, 2.25, 7.75]])
    assert grid.index_of_patient(grid.patient_mm(index)) == pytest.approx(index, abs=1e-9)
    assert grid.patient_mm([(0, 0, 0)])[0] == pytest.approx([10, -20, 33])


def test_the_row_direction_is_where_columns_grow() -> None:
    grid = Grid.regular((1, 2, 2), (1, 3.0, 2.0), (0, 0, 0))
    assert grid.patient_mm([(0, 0, 1)])[0] == pytest.approx([2, 0, 0])
    assert grid.patient_mm([(0, 1, 0)])[0] == pytest.approx([0, 3, 0])


def test_a_gap_keeps_slabs_at_half_a_spacing() -> None:
    grid = Grid(AXIAL, (0, 0), (1, 1), (2, 2), (0.0, 3.0, 6.0, 18.0))
    assert grid.slice_spacing_mm == 3.0
    assert not grid.is_even
    assert grid.slab_bounds_mm.tolist() == [[-1.5, 1.5], [1.5, 4.5], [4.5, 7.5], [16.5, 19.5]]


def test_a_single_missing_plane_is_bridged() -> None:
    assert slab_bounds_mm([0, 3, 9], 3.0).tolist() == [[-1.5, 1.5], [1.5, 6.0], [6.0, 10.5]]
    assert usual_spacing_mm([0.0], 2.5) == 2.5


def test_feet_first_and_head_first_meet_in_one_frame() -> None:
    assert Orientation((-1, 0, 0), (0, 1, 0)).canonical() == AXIAL
    assert OBLIQUE.canonical().is_parallel(OBLIQUE)


@pytest.mark.parametrize(
    "bad",
    [
        {"slice_positions_mm": ()},
        {"slice_positions_mm": (0.0, 0.0)},
        {"slice_positions_mm": (1.0, 0.0)},
        {"spacing_mm": (0.0, 1.0)},
        {"spacing_mm": (1.0, float("nan"))},
        {"size": (0, 3)},
    ],
)
def test_a_grid_that_cannot_be_is_refused(bad: dict[str, object]) -> None:
    good: dict[str, object] = {"origin_mm": (0, 0), "spacing_mm": (1, 1), "size": (3, 3), "slice_positions_mm": (0.0, 1.0)}
    with pytest.raises(ValueError, match=r"must be|needs"):
        Grid(AXIAL, **(good | bad))  # type: ignore[arg-type]


def test_directions_that_are_no_directions_are_refused() -> None:
    with pytest.raises(ValueError, match="unit vector"):
        Orientation((1, 0, 0), (1, 0, 0))
