"""Spacing of the dose grid and how the dose was calculated."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rtqc.core import Grid
from rtqc.core.case import DoseAttributes, Prescription
from rtqc.core.volumes import Dose
from rtqc.qc.dose_grid_rules import largest_spacing_mm, near_maximum_error_gy
from tests.qc.plans import case, cylinder, dose, found

BREAST = Prescription(40.05, "Breast")


@pytest.mark.parametrize(("spacing", "fires"), [(2.5, False), (4.0, False), (4.1, True), (8.0, True)])
def test_dose_points_more_than_4_mm_apart_are_said(spacing: float, fires: bool) -> None:
    of = case(dose(42.0, spacing_mm=spacing), BREAST)
    assert ("dose.grid_spacing" in found(of, "dose.grid")) is fires


@pytest.mark.parametrize(("spacing", "fires"), [(3.0, False), (3.1, True)])
def test_a_stereotactic_plan_needs_3_mm(spacing: float, fires: bool) -> None:
    of = case(dose(60.0, spacing_mm=spacing), Prescription(54.0, "PTV"), fractions=3)
    assert ("dose.grid_spacing" in found(of, "dose.grid")) is fires


def test_the_largest_of_slices_rows_and_columns_counts() -> None:
    for steps in ((5.0, 2.0, 2.0), (2.0, 5.0, 2.0), (2.0, 2.0, 5.0)):
        grid = Grid.regular((4, 4, 4), steps)
        assert largest_spacing_mm(Dose(grid, np.ones(grid.shape, np.float32))) == 5.0


def test_the_error_of_the_spacing_is_that_of_linear_interpolation_of_a_parabola() -> None:
    """D = a x²: between points h apart, the chord lies up to a h²/4 and on average a h²/6 above the curve."""
    curvature, spacing = 0.004, 8.0
    grid = Grid.regular((21, 41, 41), (8.0, spacing, spacing), (-160.0, -160.0, -80.0))
    gy = curvature * grid.columns_mm[None, None, :] ** 2 + np.zeros(grid.shape)
    error = near_maximum_error_gy(cylinder("Heart", 0.0, 50.0), Dose(grid, gy.astype(np.float32)))
    assert error is not None
    assert curvature * spacing**2 / 12 < error < curvature * spacing**2 / 3


def test_the_sentence_says_what_the_spacing_may_do_to_the_heart() -> None:
    heart = cylinder("Heart", 60.0, 40.0)
    finding = found(case(dose(42.0, spacing_mm=8.0), BREAST, structures=(heart,)), "dose.grid")["dose.grid_spacing"]
    assert "D2% of Heart may be" in finding.message
    assert finding.evidence.measured == 8.0


@pytest.mark.parametrize(
    ("values", "fires"),
    [("WATER", True), ("IMAGE", False), ("IMAGE\\ROI_OVERRIDE", False), ("ROI_OVERRIDE\\WATER", True), ("", False)],
)
def test_a_dose_calculated_in_water_is_said(values: str, fires: bool) -> None:
    of = replace(case(dose(42.0), BREAST), dose_attributes=DoseAttributes(heterogeneity=values))
    assert ("dose.heterogeneity" in found(of, "dose.het")) is fires
