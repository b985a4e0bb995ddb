"""The score by its definition: blocks of whole voxels, whose score a formula gives."""

from __future__ import annotations

from bisect import bisect_right

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtqc.cardiac import agatston, calcium_volume, voltage_factor
from rtqc.core import Grid


def blank(slice_mm: float = 3.0, pixel_mm: float = 0.5, slices: int = 8) -> tuple[Grid, np.ndarray]:  # type: ignore[type-arg]
    grid = Grid.regular((slices, 40, 40), (slice_mm, pixel_mm, pixel_mm))
    return grid, np.full(grid.shape, 40.0, np.float32)


def score(grid: Grid, hu: np.ndarray, factor: float = 1.0) -> float:  # type: ignore[type-arg]
    return agatston(hu, np.ones(grid.shape, bool), grid, factor)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 6), st.integers(1, 6), st.integers(1, 5), st.integers(131, 900), st.sampled_from([0.5, 1.0, 2.5, 3.0, 5.0])
)
def test_a_block_has_the_score_of_its_area_and_density(
    rows: int, columns: int, slices: int, peak: int, slice_mm: float
) -> None:
    grid, hu = blank(slice_mm)
    hu[1 : 1 + slices, 5 : 5 + rows, 7 : 7 + columns] = peak
    area = rows * columns * 0.25
    weight = 1 + bisect_right([200, 300, 400], peak)
    expected = area * weight * slices * slice_mm / 3 if area >= 1 else 0
    assert score(grid, hu) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("peak", "weight"), [(129.9, 0), (130, 1), (199.9, 1), (200, 2), (299.9, 2), (300, 3), (400, 4), (3000, 4)]
)
def test_weights_begin_where_they_were_defined(peak: float, weight: int) -> None:
    grid, hu = blank()
    hu[2, 4:6, 4:6] = peak
    assert score(grid, hu) == pytest.approx(weight * 1.0)


def test_an_area_takes_the_weight_of_its_own_peak_on_its_own_slice() -> None:
    grid, hu = blank()
    hu[2, 4:8, 4:8] = 150
    hu[2, 5, 5] = 450  # the whole area on this slice weighs 4
    hu[3, 4:8, 4:8] = 150  # and on the next 1
    hu[2, 20:24, 20:24] = 250  # another area on the first
    assert score(grid, hu) == pytest.approx(4 * 4 + 4 * 1 + 4 * 2)


def test_diagonal_neighbours_belong_together() -> None:
    grid, hu = blank()
    for k in range(4):
        hu[2, 10 + k, 10 + k] = 300
    assert score(grid, hu) == pytest.approx(4 * 0.25 * 3)  # 1 mm² in one piece; each by itself is too small
    hu[2, 12] = 40
    assert score(grid, hu) == 0


def test_slices_count_for_their_slabs_gaps_and_overlaps_included() -> None:
    """Uneven positions: each slice stands for half of the way to its neighbours."""
    positions = (0.0, 3.0, 6.0, 7.0, 8.0, 11.0)
    even = Grid.regular((6, 40, 40), (3.0, 0.5, 0.5))
    grid = Grid(even.orientation, even.origin_mm, even.spacing_mm, even.size, positions)
    hu = np.full(grid.shape, 40.0, np.float32)
    hu[:, 4:8, 4:8] = 350
    low, high = grid.slab_bounds_mm.T
    assert score(grid, hu) == pytest.approx(float((high - low).sum()) / 3 * 4 * 3)
    thin = Grid.regular((12, 40, 40), (1.5, 0.5, 0.5))
    hu = np.full(thin.shape, 40.0, np.float32)
    hu[4:8, 4:8, 4:8] = 350
    assert score(thin, hu) == pytest.approx(4 * 3 * 4 * 0.5)


def test_other_tube_voltages_give_the_same_calcium_the_same_score() -> None:
    grid, hu = blank()
    hu[2, 4:8, 4:8] = 310
    for kvp in (70, 80, 100, 120, 140):
        factor = voltage_factor(kvp)
        assert score(grid, np.where(hu > 100, hu * factor, hu).astype(np.float32), factor) == pytest.approx(12)
    assert 130 * voltage_factor(100) == pytest.approx(147, abs=1.5)  # Nakazato 2009
    assert voltage_factor(120) == 1


def test_the_volume_of_a_ball_does_not_depend_on_slices() -> None:
    """Isotropic interpolation at half of the contrast is the ball, give or take its edge voxels."""
    radius = 4.0
    for slice_mm, tolerance in ((0.5, 0.04), (1.0, 0.05), (2.5, 0.12)):
        fine = 0.125
        n = round(slice_mm / fine), 4, 4
        grid = Grid.regular((round(24 / slice_mm), 48, 48), (slice_mm, 0.5, 0.5))
        z, y, x = (np.arange(s * m) * fine for s, m in zip(grid.shape, n, strict=True))
        inside = (z[:, None, None] - 12) ** 2 + (y[None, :, None] - 12) ** 2 + (x - 12) ** 2 <= radius**2
        share = inside.reshape(grid.shape[0], n[0], 48, 4, 48, 4).mean(axis=(1, 3, 5))
        hu = (220 * share + 20).astype(np.float32)  # half of it is 130
        volume = calcium_volume(hu, hu >= 130, grid)
        assert volume == pytest.approx(4 / 3 * np.pi * radius**3, rel=tolerance)


def test_a_plaque_in_a_volume_of_one_slice_has_the_volume_of_its_voxels() -> None:
    """2 x 2 mm on a slice of 3 mm: there is nothing to interpolate with."""
    grid = Grid.regular((1, 20, 20), (3.0, 0.5, 0.5))
    hu = np.full(grid.shape, 40, np.float32)
    hu[0, 8:12, 8:12] = 400
    assert calcium_volume(hu, hu > 130, grid) == pytest.approx(12.0)
