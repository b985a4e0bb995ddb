"""What smoothing does to the outline of voxels: stairs go, area, pieces and holes stay, small things stay as they are."""

from __future__ import annotations

import numpy as np
import pytest
from shapely.geometry import MultiPolygon, box

from rtqc.core import AXIAL, Grid, Mask
from rtqc.geometry import trace
from rtqc.geometry.trace import _taubin, _with_area
from tests.shapes import boot, circle

GRID = Grid(AXIAL, (0.0, 0.0), (1.0, 1.0), (60, 70), (0.0, 3.0))
ROWS, COLUMNS = np.mgrid[0:60, 0:70].astype(float)


def traced(plane: np.ndarray) -> MultiPolygon:
    array = np.zeros(GRID.shape, bool)
    array[0] = plane
    return trace(Mask(GRID, array)).planes[0.0]


def ellipse(x: float, y: float, a: float, b: float) -> np.ndarray:
    return ((COLUMNS - x) / a) ** 2 + ((ROWS - y) / b) ** 2 <= 1


@pytest.mark.parametrize(
    ("x", "y", "a", "b"), [(33.3, 27.6, 29.2, 11.4), (20, 30, 8.5, 25.3), (30.5, 30.5, 4.2, 3.1), (30, 20, 20, 17)]
)
def test_an_ellipse_keeps_its_area_and_loses_its_stairs(x: float, y: float, a: float, b: float) -> None:
    plane = ellipse(x, y, a, b)
    area = traced(plane)
    # Restored to a thousandth; simplified by 0.05 mm afterwards, which is 0.5 % of forty pixels.
    assert area.area == pytest.approx(plane.sum(), rel=6e-3)
    length = np.pi * (3 * (a + b) - np.sqrt((3 * a + b) * (a + 3 * b)))
    # Stairs would be longer by a quarter.
    assert area.length == pytest.approx(length, rel=0.04)
    rows, columns = np.nonzero(plane)
    assert (area.centroid.x, area.centroid.y) == pytest.approx((columns.mean(), rows.mean()), abs=0.05)


def test_a_ring_and_two_lobes_keep_their_topology() -> None:
    plane = (ellipse(30, 30, 25, 20) & ~ellipse(24, 33, 8, 5)) | ellipse(62, 8, 5, 6)
    area = traced(plane)
    assert sorted(len(p.interiors) for p in area.geoms) == [0, 1]
    assert area.area == pytest.approx(plane.sum(), rel=3e-3)
    hole = max((p for p in area.geoms), key=lambda p: p.area).interiors[0]
    # A hole's area is its own voxels', to the smoothing of its stairs.
    assert MultiPolygon([type(area.geoms[0])(hole)]).area == pytest.approx((ellipse(24, 33, 8, 5)).sum(), rel=0.04)


def test_what_smoothing_would_tear_or_merge_keeps_its_stairs() -> None:
    """Two blocks joined by a bridge one pixel wide, and a comb: as many pieces afterwards as before."""
    plane = np.zeros((60, 70), bool)
    plane[10:30, 5:20] = plane[10:30, 40:60] = plane[18, 20:40] = True
    plane[40:55, 5:60:2] = True
    plane[54, 5:60] = True
    area = traced(plane)
    assert len(area.geoms) == 2
    assert area.area == pytest.approx(plane.sum(), rel=0.1)


def test_smoothing_is_a_low_pass_that_does_not_shrink() -> None:
    """Taubin: after four passes of 0.5 and -0.526 a wave of a given length keeps ((1 - 0.5 k) (1 + 0.526 k))^4 of its height, k = 1 - cos."""
    n = 240
    angle = 2 * np.pi * np.arange(n) / n
    for waves in (3, 60, 120):
        k = 1 - np.cos(2 * np.pi * waves / n)
        kept = ((1 - 0.5 * k) * (1 + 0.526 * k)) ** 4
        ring = np.column_stack([10 * np.cos(waves * angle), 7 * np.cos(waves * angle)])
        ring += (30.0, 40.0)
        smooth = _taubin(np.vstack([ring, ring[:1]]))
        assert smooth[0] == pytest.approx(smooth[-1])
        assert smooth[:-1] - (30, 40) == pytest.approx((ring - (30, 40)) * kept, abs=1e-6)
    # A ring of fewer than twelve points has no stairs.
    few = np.array(boot().exterior.coords)
    assert _taubin(few) is few
    twelve = np.vstack([ring[::20], ring[:1]])
    assert _taubin(twelve).shape == twelve.shape


@pytest.mark.parametrize("share", [0.97, 1.004, 1.05])
def test_an_outline_is_moved_until_it_has_its_area(share: float) -> None:
    area = MultiPolygon([circle(20, 20, 15).difference(circle(24, 18, 5))])
    target = share * area.area
    assert _with_area(area, target).area == pytest.approx(target, rel=2e-3)


def test_an_outline_is_moved_half_a_pixel_at_most_and_not_for_less_than_a_thousandth() -> None:
    area = MultiPolygon([box(0, 0, 40, 30)])
    assert _with_area(area, 1200 * 1.0009) is area
    assert _with_area(area, 1200 * 0.9991) is area
    assert _with_area(area, 1200 * 1.0011) is not area
    assert _with_area(area, 5000).bounds == pytest.approx((-0.5, -0.5, 40.5, 30.5))
    assert _with_area(area, 100).bounds == pytest.approx((0.25, 0.25, 39.75, 29.75))
    # A corner keeps its angle; a sharp one is not drawn out.
    assert _with_area(area, 1200 + 140 * 0.2).area == pytest.approx(1228, abs=0.3)
    # Not where a piece would vanish.
    thin = MultiPolygon([box(0, 0, 40, 30), box(50, 0, 50.3, 30)])
    assert _with_area(thin, 1000) is thin
    assert _with_area(MultiPolygon(), 5.0).is_empty
