"""Between the ends that both have, cylinders of any length agree as their radii do."""

from __future__ import annotations

import numpy as np
import pytest
from shapely.geometry import MultiPolygon, Point

from rtqc.comparison import between_ends, compare
from rtqc.core import Structure
from rtqc.core.assessment import BetweenEnds


def cylinder(low: int, high: int, radius: float, step: int = 3) -> Structure:
    area = MultiPolygon([Point(0, 0).buffer(radius, 256)])
    return Structure("Heart", {float(z): area for z in range(low, high + 1, step)}, slice_spacing_mm=float(step))


def part(a: Structure, b: Structure) -> BetweenEnds | None:
    return between_ends(a, b, compare(a, b))


def test_a_cylinder_that_ends_elsewhere_agrees_perfectly_between_the_ends() -> None:
    a, b = cylinder(-60, 30, 40), cylinder(-48, 60, 40)
    assert compare(a, b).dice < 0.85
    found = part(a, b)
    assert found is not None
    assert (found.from_mm, found.to_mm) == (-48, 30)
    assert found.dice == pytest.approx(1.0, abs=1e-4)
    assert found.hausdorff95_mm == pytest.approx(0, abs=1e-6)
    assert found.volume_difference_percent == pytest.approx(0, abs=1e-6)


def test_radii_show_between_the_ends_as_by_the_formula() -> None:
    found = part(cylinder(-60, 30, 40), cylinder(-60, 60, 44))
    assert found is not None
    # Areas of circles: dice = 2 r² / (r² + R²), volume = (R² - r²) / r².
    assert found.dice == pytest.approx(2 * 40**2 / (40**2 + 44**2), abs=1e-3)
    assert found.volume_difference_percent == pytest.approx(100 * (44**2 / 40**2 - 1), abs=0.05)
    # The walls are 4 mm apart, the two caps lie on each other.
    wall, caps = 2 * np.pi * 40 * 93, 2 * np.pi * 40**2
    assert found.mean_surface_distance_mm == pytest.approx(4 * wall / (wall + caps), abs=0.15)


def test_equal_ends_are_not_compared_twice_and_give_the_same_numbers() -> None:
    a, b = cylinder(-60, 30, 40), cylinder(-60, 30, 42)
    whole = compare(a, b)
    found = between_ends(a, b, whole)
    assert found is not None
    assert (found.dice, found.hausdorff95_mm) == (whole.dice, whole.hausdorff95_mm)


def test_structures_that_share_less_than_two_planes_have_nothing_between_their_ends() -> None:
    assert part(cylinder(-60, -30, 40), cylinder(-30, 30, 40)) is None
    empty = Structure("Heart", {})
    assert between_ends(empty, cylinder(0, 30, 40), compare(empty, cylinder(0, 30, 40))) is None
