"""DVHs of shapes without symmetry: holes, gaps, structures half outside the dose, doses that differ along every axis, other frames."""

from __future__ import annotations

import numpy as np
import pytest
from shapely.geometry import MultiPolygon, box

from rtqc.core import Dose, Grid, Orientation, Structure
from rtqc.dosimetry import DVH, dvh, grown_means
from rtqc.dosimetry.dvh import dose_at, dvh_of_points
from tests.shapes import FEET_FIRST, OBLIQUE, boot, circle, cone, field_dose, prism, stack

GRADIENT = np.array([0.1, -0.2, 0.3])


def linear(xyz: np.ndarray) -> np.ndarray:
    """Falls to the back, rises to the left and the head: 30 Gy at the origin."""
    return 30 + xyz @ GRADIENT


def grid_of(
    orientation: Orientation = FEET_FIRST, count: int = 26, spacing: tuple[float, float, float] = (4.0, 3.0, 5.0)
) -> Grid:
    """A grid around the origin whose steps differ along every axis."""
    half = (count - 1) / 2
    corner = -half * sum(
        s * np.array(d) for s, d in zip(spacing, (orientation.normal, orientation.column, orientation.row), strict=True)
    )
    return Grid.regular((count,) * 3, spacing, corner, orientation)


DOSE = field_dose(grid_of(), linear)
PLANES = np.arange(-9.0, 10, 3)


@pytest.mark.parametrize(
    "orientation",
    [Orientation((1, 0, 0), (0, 1, 0)), FEET_FIRST, Orientation((0, 1, 0), (0, 0, -1)), OBLIQUE],
    ids=["HFS", "FFS", "sagittal", "oblique"],
)
def test_dose_is_read_where_the_structure_is_in_whatever_frames(orientation: Orientation) -> None:
    """Trilinear interpolation is exact in a linear dose, whatever the grid."""
    structure = prism(boot(2, -9), PLANES, orientation=orientation)
    frame = np.array([(3.3, 4.1, -7.7), (-11.9, 20.2, 5.5), (0, 0, 0)])
    for dose_grid in (grid_of(), grid_of(OBLIQUE)):
        gy = dose_at(frame, structure, field_dose(dose_grid, linear))
        assert gy == pytest.approx(linear(orientation.to_patient(frame)), abs=1e-4)


def test_beyond_the_outermost_points_of_a_dose_there_is_none() -> None:
    grid = Grid.regular((4, 5, 6), (4.0, 3.0, 2.0), (10, 20, 30))
    dose = field_dose(grid, linear)
    structure = prism(boot(), PLANES)
    ends = {0: (10.0, 20.0), 1: (20.0, 32.0), 2: (30.0, 42.0)}
    for axis, (low, high) in ends.items():
        for at, known in (
            (low - 0.01, False),
            (low - 0.001, True),
            (low + 0.1, True),
            (high - 0.1, True),
            (high + 0.001, True),
            (high + 0.02, False),
        ):
            point = np.array([[15.0, 26.0, 36.0]])
            point[0, axis] = at
            assert np.isfinite(dose_at(point, structure, dose))[0] == known, (axis, at)


def moments(h: DVH) -> tuple[float, float]:
    """Mean and variance of the dose, in Gy and Gy²."""
    mean = h.mean_gy
    return mean, float((h.gy - mean) ** 2 @ h.ml / h.ml.sum())


def test_a_boot_in_a_linear_dose_has_the_mean_and_spread_of_its_shape() -> None:
    """The variance of a linear dose is that of the coordinates: gradient, covariance, gradient."""
    structure = prism(boot(2, -9), PLANES)
    mean, variance = moments(dvh(structure, DOSE))
    assert mean == pytest.approx(float(linear(structure.centroid_mm)), abs=0.03)
    points = np.random.default_rng(5).uniform((2, -9, -10.5), (32, 31, 10.5), (200_000, 3))
    x, y, _ = (points - (2, -9, 0)).T
    inside = (x < 11) | (y < 12)
    assert variance == pytest.approx(linear(points[inside]).var(), rel=0.02)


def test_what_lies_in_a_hole_is_not_the_structures() -> None:
    """20 Gy in the hole and 1 Gy around it: the mean is 1 Gy but for the wall, where points of the dose 1 mm apart lie on either side."""
    ring = circle(4, -3, 20).difference(circle(9, -1, 9))
    grid = Grid.regular((9, 50, 50), (4.0, 1.0, 1.0), (-20, -27, -16))
    dose = field_dose(grid, lambda xyz: np.where(np.hypot(xyz[:, 0] - 9, xyz[:, 1] + 1) < 7.9, 20.0, 1.0))
    h = dvh(prism(ring, PLANES), dose)
    assert h.mean_gy == pytest.approx(1, abs=0.02)
    assert h.volume_ml == pytest.approx(np.pi * (400 - 81) * 21 / 1000, rel=1e-3)
    assert dvh(prism(circle(4, -3, 20), PLANES), dose).mean_gy == pytest.approx(1 + 19 * 7.9**2 / 400, abs=0.15)


def test_what_lies_in_a_gap_is_not_the_structures() -> None:
    """Two pieces 24 mm apart, with a dose between them."""
    planes = (-18.0, -15.0, -12.0, 12.0, 15.0)
    dose = field_dose(
        grid_of(spacing=(1.5, 3.0, 5.0), count=40),
        lambda xyz: np.where(np.abs(xyz[:, 2]) < 9, 50.0, np.where(xyz[:, 2] > 0, 8.0, 2.0)),
    )
    h = dvh(prism(boot(-9, -12), planes), dose)
    assert h.max_gy < 8.1
    assert h.mean_gy == pytest.approx((3 * 2 + 2 * 8) / 5, abs=0.05)
    assert h.volume_ml == pytest.approx(668 * 15 / 1000)
    hot = h.w_mm[h.gy > 5]
    # The upper piece, from 10.5 to 16.5 mm, and no more than a sample beyond.
    assert (hot.min(), hot.max()) == pytest.approx((10.5, 16.5), abs=0.5)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("side", [-1, 1])
def test_what_leaves_the_dose_on_any_side_is_left_out_and_counted(axis: int, side: int) -> None:
    """A box of 24 x 30 x 21 mm around the origin, cut off at 5 mm on one side."""
    structure = prism(box(-12, -15, 12, 15), PLANES)
    half = (12.0, 15.0, 10.5)[axis]
    spacing = np.array([2.0, 3.0, 4.0])
    low, high = np.array([-24.0, -24, -24]), np.array([24.0, 24, 24])
    (low if side < 0 else high)[axis] = side * 5.0
    count = np.round((high - low) / spacing).astype(int) + 1
    spacing = (high - low) / (count - 1)
    grid = Grid.regular(count[::-1], spacing[::-1], low)
    h = dvh(structure, field_dose(grid, linear))
    # To two hundredths of the cut cells' width, 0.7 mm.
    assert h.covered_share == pytest.approx((half + 5) / (2 * half), abs=0.012)
    assert h.volume_ml == pytest.approx(24 * 30 * 21 / 1000)
    assert h.ml.sum() == pytest.approx(h.volume_ml * h.covered_share)
    middle = np.zeros(3)
    middle[axis] = side * (5 - half) / 2
    assert h.mean_gy == pytest.approx(float(linear(middle)), abs=0.06)
    # Whether it is in percent of what has a dose, and not of the whole.
    assert h.volume_at_dose_percent(0) == pytest.approx(100)
    assert h.volume_at_dose_percent(float(linear(middle))) == pytest.approx(50, abs=2)


def test_the_hottest_and_the_coldest_are_those_of_the_corners() -> None:
    structure = prism(box(-12, -15, 12, 15), PLANES)
    h = dvh(structure, DOSE)
    reach = 0.1 * 12 + 0.2 * 15 + 0.3 * 10.5
    # Cells of 0.07 mm at the ends; the solid's corners are rounded by a sample or so, 0.5 mm along each axis.
    assert h.max_gy == pytest.approx(30 + reach, abs=0.35)
    assert h.min_gy == pytest.approx(30 - reach, abs=0.35)
    assert h.max_gy < 30 + reach + 0.02
    # A corner of 0.03 ml below a plane across the gradient: volume = depth³ / (6 x 0.1 x 0.2 x 0.3).
    depth = (30 * 6 * 0.1 * 0.2 * 0.3) ** (1 / 3)
    assert h.dose_at_volume_gy(0.03) == pytest.approx(30 + reach - depth, abs=0.15)


def test_cells_know_their_height() -> None:
    structure = cone(18, 0.5, PLANES, (3, 4))
    h = dvh_of_points(structure, lambda points: 5 + points[:, 2])
    assert np.abs(h.w_mm - (h.gy - 5)).max() < 1e-9
    assert h.structure == "Cone"
    # As much of it at each height as the cone is wide.
    upper = float(h.ml[h.w_mm > 0].sum() / h.ml.sum())
    radii = 18 + 0.5 * np.arange(-10.5, 10.5, 0.01)
    assert upper == pytest.approx((radii[radii > 18] ** 2).sum() / (radii**2).sum(), abs=0.01)


def test_nothing_and_what_has_no_inside_or_no_dose_are_empty() -> None:
    hair = prism(box(0, 0, 20, 0.005), (0.0, 3.0), "Hair")
    for structure, volume in (
        (Structure("nothing", {}), 0),
        (hair, hair.volume_ml),
        (prism(boot(500, 0), PLANES, "Far"), 668 * 21 / 1000),
    ):
        h = dvh(structure, DOSE)
        assert (h.is_empty, h.covered_share, h.structure) == (True, 0, structure.name)
        assert h.volume_ml == pytest.approx(volume)
    assert grown_means(prism(boot(500, 0), PLANES), DOSE, dvh(prism(boot(500, 0), PLANES), DOSE)) == ()


def test_a_cone_that_grows_takes_in_the_dose_on_each_side_by_its_surface() -> None:
    """Truth: a cone whose surface is moved outward by g mm everywhere, sampled at random."""
    structure = cone(18, 0.4, PLANES, (3, 4))
    dose = field_dose(grid_of(), lambda xyz: 10 + 0.004 * (xyz[:, 0] - 3) ** 2 + 0.3 * xyz[:, 2])
    rng = np.random.default_rng(2)
    points = rng.uniform((-30, -30, -15), (36, 38, 15), (400_000, 3))
    r, z = np.hypot(points[:, 0] - 3, points[:, 1] - 4), points[:, 2]
    gy = 10 + 0.004 * (points[:, 0] - 3) ** 2 + 0.3 * z
    for grown in grown_means(structure, dose, dvh(structure, dose), (-2.0, 2.0)):
        g = grown.growth_mm
        # Of the wide end the field goes on as a cylinder, 1.5 mm.
        inside = (r - (18 + 0.4 * np.minimum(z, 9)) < g * np.hypot(1, 0.4)) & (np.abs(z) < 10.5 + g)
        assert grown.mean_gy == pytest.approx(gy[inside].mean(), abs=0.06)
        assert grown.volume_ml == pytest.approx(inside.mean() * 66 * 68 * 30 / 1000, rel=0.03)


def test_two_lobes_count_by_their_volume() -> None:
    lobes = {float(w): MultiPolygon([circle(-20, 3, 8), circle(18, -5, 12)]) for w in PLANES}
    h = dvh(stack(lobes), field_dose(grid_of(), lambda xyz: np.where(xyz[:, 0] < 0, 3.0, 11.0)))
    assert h.mean_gy == pytest.approx((3 * 64 + 11 * 144) / 208, abs=0.05)
    assert h.volume_at_dose_percent(7) == pytest.approx(100 * 144 / 208, abs=0.4)


def test_planes_of_zeros_next_to_a_dose_have_none_and_zeros_that_count_do() -> None:
    grid = Grid.regular((15, 20, 20), (3.0, 3.0, 3.0), (-28, -28, -21))
    gy = np.full(grid.shape, 6.0, np.float32)
    gy[:5] = 0
    dose, structure = Dose(grid, gy), prism(boot(-9, -12), PLANES)
    points = np.array([(0.0, 0.0, -12.0), (0.0, 0.0, -7.5), (0.0, 0.0, 3.0)])
    assert dose_at(points, structure, dose)[1:] == pytest.approx([3, 6])
    assert np.isnan(dose_at(points, structure, dose)[0])
    assert dose_at(points, structure, dose, zeros_count=True) == pytest.approx([0, 3, 6])
    # No dose at or below -9 mm: 1.5 of 21 mm.
    assert dvh(structure, dose).covered_share == pytest.approx(1 - 1.5 / 21, abs=0.01)
