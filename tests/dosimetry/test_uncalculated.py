"""Exact zeros of a dose grid: where no dose was calculated, and where it is simply low. Every share follows from heights."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rtqc.core import Grid
from rtqc.core.case import Prescription
from rtqc.core.volumes import Dose
from rtqc.dosimetry import dvh
from tests.qc.plans import case, cylinder, found

#: Ends of the structures of :mod:`tests.qc.plans` along z, in mm: planes to 30 mm of 3 mm slices.
END_MM = 31.5
SPACING_MM = 3.0
#: A heart on the midline.
HEART = cylinder("Heart", 0.0, 40.0)


def along_z(gy: np.ndarray) -> Dose:
    """A dose that depends on z alone, on points at multiples of 3 mm from -60 to 60 mm."""
    grid = Grid.regular((41, 35, 35), (SPACING_MM,) * 3, (-51.0, -51.0, -60.0))
    return Dose(grid, np.broadcast_to(gy.astype(np.float32)[:, None, None], grid.shape).copy())


Z = np.arange(-60.0, 61.0, SPACING_MM)


@pytest.mark.parametrize("level", [40.0, 4.0, 0.5])
def test_planes_of_zeros_beside_a_dose_have_no_dose(level: float) -> None:
    given = np.where(Z < 0, 0.0, level)
    given[-1] = 40.0  # The maximum, beyond the heart.
    histogram = dvh(HEART, along_z(given))
    # The dose is zero from the first such plane, at -3 mm, down to the heart's end.
    assert 1 - histogram.covered_share == pytest.approx((END_MM - SPACING_MM) / (2 * END_MM), abs=0.003)
    # The rest has the level, but for the 3 mm in which it is interpolated.
    assert histogram.mean_gy == pytest.approx(level * (END_MM + SPACING_MM / 2) / (END_MM + SPACING_MM), rel=0.003)


def test_zeros_beside_less_than_a_hundredth_of_the_maximum_are_a_dose() -> None:
    for share, covered in ((0.0099, True), (0.0101, False)):
        given = np.where(Z < 0, 0.0, 40.0 * share)
        given[-1] = 40.0
        assert (dvh(HEART, along_z(given)).covered_share > 0.999) is covered, share


@pytest.mark.parametrize("threshold", [0.001, 0.005])
def test_a_dose_below_a_threshold_that_is_written_as_zero_is_a_dose(threshold: float) -> None:
    given = 40.0 * np.exp(-(60.0 - Z) / 10.0)
    given[given < threshold * 40.0] = 0.0
    histogram = dvh(HEART, along_z(given))
    assert (histogram.gy == 0).any()
    assert histogram.covered_share > 0.999


def test_the_distal_edge_of_protons_falls_to_zero_and_is_a_dose() -> None:
    # A Gaussian fall of 4 mm standard deviation that ends after three of them: 1.1 % at the last point.
    given = np.where(Z > 30, 40.0, 40.0 * np.exp(-((30.0 - Z) ** 2) / (2 * 4.0**2)))
    given[30.0 - Z > 12.0] = 0.0
    assert dvh(HEART, along_z(given)).covered_share > 0.999


def test_lost_planes_in_the_middle_have_no_dose() -> None:
    given = np.where(np.abs(Z) <= 9, 0.0, 30.0)
    assert 1 - dvh(HEART, along_z(given)).covered_share == pytest.approx(18 / (2 * END_MM), abs=0.003)


def test_a_box_of_zeros_around_the_whole_heart_leaves_no_dose() -> None:
    full = along_z(np.full(Z.size, 5.0))
    box = full.gy.copy()
    box[2:-2, 1:-1, 1:-1] = 0.0
    assert dvh(HEART, replace(full, gy=box)).is_empty


def test_zeros_across_the_rows_have_no_dose_either() -> None:
    full = along_z(np.full(Z.size, 5.0))
    gy = full.gy.copy()
    gy[:, :, full.grid.columns_mm < 0] = 0.0
    # A circle of 40 mm radius beyond a chord 3 mm off its centre.
    beyond = (40.0**2 * np.arccos(3 / 40) - 3 * np.sqrt(40.0**2 - 9)) / (np.pi * 40.0**2)
    assert 1 - dvh(HEART, replace(full, gy=gy)).covered_share == pytest.approx(beyond, abs=0.004)


def test_a_structure_that_is_covered_in_a_body_with_air_around_keeps_its_dose() -> None:
    full = along_z(np.full(Z.size, 5.0))
    gy = full.gy.copy()
    outside = np.hypot(full.grid.columns_mm[None, :], full.grid.rows_mm[:, None]) > 45
    gy[:, outside] = 0.0
    histogram = dvh(HEART, replace(full, gy=gy))
    assert histogram.covered_share > 0.999
    assert histogram.mean_gy == pytest.approx(5.0, abs=0.001)
    assert found(case(replace(full, gy=gy), Prescription(5.0, ""), structures=(HEART,)), "dose.outside") == {}
