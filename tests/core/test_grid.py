"""Grids: where voxels are, in whatever orientation."""

from __future__ import annotations

import numpy as np
import pytest

from rtqc.core import AXIAL, Grid, Orientation
from rtqc.core.slabs import slab_bounds_mm, slabs_of, usual_spacing_mm

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


def test_slices_are_as_thick_as_their_neighbours_are_far_where_the_spacing_changes() -> None:
    grid = Grid(AXIAL, (0, 0), (1, 1), (2, 2), (0.0, 2.0, 4.0, 6.0, 12.0, 18.0, 24.0))
    assert np.diff(grid.slab_bounds_mm, axis=1).ravel().tolist() == [2, 2, 2, 4, 6, 6, 6]
    assert grid.voxel_volumes_ml.sum() == pytest.approx(0.028)


@pytest.mark.parametrize("positions", [(0.0, 2.0, 4.0, 6.0, 12.0, 18.0, 24.0), (0.0, 3.0, 6.0, 12.0, 15.0, 18.0, 33.0)])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_slices_cut_out_of_a_grid_are_as_thick_as_they_were(positions: tuple[float, ...], count: int) -> None:
    grid = Grid(AXIAL, (0, 0), (1, 1), (2, 2), positions)
    for k in range(len(positions) - count + 1):
        part = grid.crop(slice(k, k + count), slice(None), slice(None))
        assert part.voxel_volumes_ml == pytest.approx(grid.voxel_volumes_ml[k : k + count])


@pytest.mark.parametrize("positions", [(0.0, 3.0, 6.0), (0.0, 2.0, 4.0, 6.0, 12.0, 18.0, 24.0), (5.0,)])
def test_patient_coordinates_go_on_outside_the_stack_as_the_indices_do(positions: tuple[float, ...]) -> None:
    grid = Grid(AXIAL, (0, 0), (1, 1), (4, 4), positions, 3.0)
    index = np.array(
        [(k, 1.0, 2.0) for k in (-4.0, -0.5, 0.0, len(positions) - 1.0, len(positions) - 0.5, len(positions) + 7.0)]
    )
    assert grid.index_of_patient(grid.patient_mm(index)) == pytest.approx(index)
    assert grid.patient_mm([(-2.0, 0, 0)])[0, 2] == pytest.approx(positions[0] - 2 * grid.slice_spacing_mm)


@pytest.mark.parametrize(
    ("planes", "slices", "total"),
    [
        # Every third slice of 1 mm, with and without the image.
        (range(0, 31, 3), range(-10, 41), 33.0),
        (range(0, 31, 3), None, 33.0),
        # One slice of 3 mm is forgotten, two are: 6 mm are bridged, 9 mm are not.
        ((0, 3, 6, 12, 15, 18), range(-30, 31, 3), 21.0),
        ((0, 3, 6, 15, 18, 21), range(-30, 31, 3), 18.0),
        # Two planes on every fourth slice of a thin image; 12 mm apart they are pieces of one slice each.
        ((0, 4), range(-5, 30), 8.0),
        ((0, 12), range(-5, 30), 2.0),
        # The last plane stands where spacing becomes 6 mm: it is as thick as the image says there.
        ((0, 2, 4), (-6, -4, -2, 0, 2, 4, 10, 16, 22), 8.0),
        # Pieces 36 mm apart, evenly: nobody contours so.
        ((0, 36, 72), range(-30, 106, 3), 9.0),
    ],
)  # fmt: skip
def test_planes_stand_for_as_much_as_was_drawn(planes: range, slices: range | None, total: float) -> None:
    bounds = slabs_of(list(planes), None, None if slices is None else list(slices)).bounds_mm
    assert float(np.diff(bounds, axis=1).sum()) == pytest.approx(total)
