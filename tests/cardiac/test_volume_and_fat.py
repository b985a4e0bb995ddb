"""Heart volume and epicardial fat against formulas."""

from __future__ import annotations

import numpy as np
import pytest

from rtqc.cardiac.volume import body_surface_m2, heart_volume
from rtqc.core import Grid
from rtqc.core.acquisition import Acquisition
from rtqc.phantom import Anatomy
from rtqc.phantom.anatomy import heart_at
from rtqc.phantom.coronary import FAT_MM, VESSEL_MM, _away, courses
from rtqc.phantom.shapes import Points
from tests.cardiac.conftest import anatomy_of, scanned


def true_fat_ml(anatomy: Anatomy, fat_mm: float, step: float = 1.0) -> float:
    """Counted on fine points from the formulas that the heart is made of."""
    grid = Grid.regular((round(170 / step), round(230 / step), round(230 / step)), (step,) * 3, (-105, -115, -85))
    at = (grid.columns_mm[None, None], grid.rows_mm[None, :, None], grid.positions_mm[:, None, None])
    depth = -np.broadcast_to(heart_at(anatomy, Points(*(a.astype(np.float32) for a in at))), grid.shape)
    near, vessel = np.zeros(grid.shape, bool), np.zeros(grid.shape, bool)
    for course in courses(anatomy).values():
        away = _away(course, grid)
        near |= away < FAT_MM
        vessel |= away < VESSEL_MM
    return float(((depth > 0) & ((depth < fat_mm) | near) & ~vessel).sum() * step**3 / 1000)


@pytest.mark.parametrize("fat_mm", [2.5, 5.0])
def test_fat_is_what_the_formulas_hold_whatever_the_noise_and_the_slices(fat_mm: float) -> None:
    anatomy = anatomy_of()
    truth = true_fat_ml(anatomy, fat_mm)
    volumes = []
    for slice_mm, pixel_mm, noise in ((3.0, 0.8, 0.0), (3.0, 0.8, 40.0), (5.0, 0.6, 20.0)):
        fat = scanned(anatomy, [], slice_mm, pixel_mm, noise_hu=noise, fat_mm=fat_mm).measured().cardiac.epicardial_fat
        assert fat is not None
        volumes.append(fat.volume_ml)
        assert fat.volume_ml == pytest.approx(truth, rel=0.10)
        assert fat.mean_hu is not None
        assert -95 < fat.mean_hu < -65
        assert fat.share_percent == pytest.approx(100 * fat.volume_ml / 655, abs=1.5)
    assert max(volumes) / min(volumes) < 1.06


def test_fat_outside_the_pericardium_does_not_count() -> None:
    """The synthetic chest has 3 mm of fat around the heart and more in the mediastinum."""
    anatomy = anatomy_of()
    with_little = scanned(anatomy, [], fat_mm=0.0).measured().cardiac.epicardial_fat
    assert with_little is not None
    assert with_little.volume_ml < 1.1 * true_fat_ml(anatomy, 0.0) + 15


def test_the_interval_holds_every_heart_of_that_dice() -> None:
    told = heart_volume(600.0, 0.93, (), Acquisition())
    assert told.low_ml is not None
    assert told.high_ml is not None
    # The extreme: one contains the other, and their Dice is 2 a / (a + b).
    for other in (told.low_ml, told.high_ml):
        a, b = sorted((600.0, other))
        assert 2 * a / (a + b) == pytest.approx(0.93, abs=1e-3)
    assert heart_volume(600.0, None, (), Acquisition()).low_ml is None


def test_the_index_is_per_body_surface() -> None:
    told = heart_volume(600.0, 0.9, (), Acquisition(height_m=1.7, weight_kg=70))
    assert told.body_surface_m2 == pytest.approx(1.81, abs=0.005)  # Du Bois, the textbook's example
    assert told.indexed_ml_per_m2 == pytest.approx(600 / 1.81, rel=0.005)
    assert body_surface_m2(None, 70) is None
