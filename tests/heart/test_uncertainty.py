"""The map of the surface's uncertainty, against fields whose slope is known."""

from __future__ import annotations

import numpy as np
import pytest

from rtqc.core import Grid, Image
from rtqc.core.structure import Structure
from rtqc.geometry.trace import trace_field
from rtqc.heart.uncertainty import UNSURE_MM, uncertainty_of
from rtqc.report.slices import SlicePainter

GRID = Grid.regular((30, 40, 50), (4.0, 4.0, 4.0), (-100, -80, -60))


def _slopes() -> np.ndarray:
    """A sphere of 40 mm whose logits fall by 0.5 per mm on the left and by 0.1 per mm on the right."""
    z, y, x = np.meshgrid(GRID.positions_mm, GRID.rows_mm, GRID.columns_mm, indexing="ij")
    steep = np.where(x > 0, 0.5, 0.1)
    return np.asarray((40 - np.sqrt(x**2 + y**2 + z**2)) * steep, np.float32)


def test_one_standard_deviation_is_the_distance_to_84_percent() -> None:
    sure = uncertainty_of(_slopes(), (), GRID, 1.0)
    assert sure.at(np.array([[40.0, 0, 0], [28.3, 28.3, 0]])) == pytest.approx(1.66 / 0.5, rel=0.05)
    assert sure.at(np.array([[-40.0, 0, 0]])) == pytest.approx(1.66 / 0.1, rel=0.05)
    assert uncertainty_of(_slopes(), (), GRID, 1.5).at(np.array([[40.0, 0, 0]])) == pytest.approx(1.5 * 3.32, rel=0.05)


def test_looks_that_disagree_make_it_wider() -> None:
    logits = _slopes()
    looks = (logits + 2, logits - 2)
    wider = uncertainty_of(logits, looks, GRID, 1.0).at(np.array([[40.0, 0, 0]]))
    assert wider == pytest.approx(np.hypot(1.66, 2) / 0.5, rel=0.05)


def _structure() -> Structure:
    return trace_field(_slopes(), GRID, 0.0, "Heart_rtqc")


def test_the_summary_is_weighted_by_length() -> None:
    summary = uncertainty_of(_slopes(), (), GRID, 1.0).summary(_structure())
    assert summary is not None
    median, high, unsure = summary
    assert unsure == pytest.approx(50, abs=5)
    assert high == pytest.approx(16.6, rel=0.1)
    assert 3 < median < 17
    assert uncertainty_of(_slopes(), (), GRID, 1.0).summary(Structure("x", {}, GRID.orientation, "ORGAN", 4.0)) is None


def test_the_picture_has_a_band_where_the_surface_is_unsure_only() -> None:
    hu = np.zeros(GRID.shape, np.float32)
    sure = uncertainty_of(_slopes(), (), GRID, 1.0)
    picture = SlicePainter(Image(GRID, hu), None, _structure(), None, sure).at(0.0)
    assert picture.unsure
    assert all(width > 2 * UNSURE_MM for _, width in picture.unsure)
    # The image's middle column is at x = 0: pictures of axial slices run from right to left of the patient.
    points = [pair.split() for path, _ in picture.unsure for pair in path[1:].split("L")]
    middle = picture.width_mm / 2
    left = np.array([float(x) for x, _ in points])
    assert (left < middle + 10).all()
    assert not SlicePainter(Image(GRID, hu), None, _structure(), None).at(0.0).unsure
