"""Spacing of the dose grid and how the dose was calculated."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import erf

from rtqc.core import Grid
from rtqc.core.case import DoseAttributes, Prescription
from rtqc.core.volumes import Dose
from rtqc.dosimetry import dvh
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


def penumbra(spacing_mm: float, edge_mm: float) -> Dose:
    """50 Gy beyond an edge at 33 degrees to the rows, like that of tangents; it rises over it as the integral of a Gaussian of 4 mm."""
    count = int(320 / spacing_mm) + 1
    grid = Grid.regular((count // 2, count, count), (spacing_mm,) * 3, (-159.0, -158.0, -79.0))
    along = grid.columns_mm[None, :] * math.cos(math.radians(33)) + grid.rows_mm[:, None] * math.sin(math.radians(33))
    plane = 25 * (1 + erf((along - edge_mm) / (4 * math.sqrt(2))))
    return Dose(grid, np.broadcast_to(plane.astype(np.float32), grid.shape).copy())


@pytest.mark.parametrize(("spacing", "edge"), [(5.0, 45.0), (6.0, 52.0), (8.0, 45.0), (8.0, 52.0)])
def test_the_error_that_a_coarse_grid_makes_is_told_to_a_factor_of_three(spacing: float, edge: float) -> None:
    heart = cylinder("Heart", 0.0, 50.0)
    given = penumbra(spacing, edge)
    # 2 % of a disc lie beyond x: (R² acos(x/R) - x sqrt(R² - x²)) / (pi R²), a circular segment.
    true = 25 * (1 + math.erf((_SEGMENT_MM - edge) / (4 * math.sqrt(2))))
    error, estimate = abs(dvh(heart, given).dose_at_percent_gy(2) - true), near_maximum_error_gy(heart, given)
    assert estimate is not None
    assert error / 3 < estimate < 3 * max(error, 0.3)


def _segment_mm(radius: float, share: float) -> float:
    """Distance from the centre beyond which a part of a disc lies, by bisection."""
    low, high = 0.0, radius
    for _ in range(60):
        x = (low + high) / 2
        part = (radius**2 * math.acos(x / radius) - x * math.sqrt(radius**2 - x**2)) / (math.pi * radius**2)
        low, high = (x, high) if part > share else (low, x)
    return low


_SEGMENT_MM = _segment_mm(50.0, 0.02)


def test_the_sentence_says_what_the_spacing_may_do_to_the_heart() -> None:
    of = case(penumbra(8.0, 45.0), Prescription(48.0, ""), structures=(cylinder("Heart", 0.0, 50.0),))
    finding = found(of, "dose.grid")["dose.grid_spacing"]
    assert "D2% of Heart may be" in finding.message
    assert finding.evidence.measured == 8.0


@pytest.mark.parametrize(
    ("values", "fires"),
    [("WATER", True), ("IMAGE", False), ("IMAGE\\ROI_OVERRIDE", False), ("ROI_OVERRIDE\\WATER", True), ("", False)],
)
def test_a_dose_calculated_in_water_is_said(values: str, fires: bool) -> None:
    of = replace(case(dose(42.0), BREAST), dose_attributes=DoseAttributes(heterogeneity=values))
    assert ("dose.heterogeneity" in found(of, "dose.het")) is fires
