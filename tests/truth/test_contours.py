"""Shapes whose overlap and surface distances stand in a formula, on every slice spacing and at any place between the slices."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import shapely
from scipy.integrate import dblquad
from scipy.spatial import cKDTree
from shapely.geometry import MultiPolygon, box

from rtqc.comparison import compare
from rtqc.core import Agreement, Orientation, Structure
from tests.shapes import circle, cylinder, planes_of, sphere

SPACINGS = (1.0, 2.0, 3.0, 5.0)
#: Of Hausdorff distances, in mm: at the poles, where one sees least of a shape between its slices.
FURTHEST = {1.0: 0.1, 2.0: 0.15, 3.0: 0.2, 5.0: 0.5}


def _draws(spacing: float, count: int = 4) -> list[np.random.Generator]:
    return [np.random.default_rng([int(10 * spacing), n]) for n in range(count)]


def _close(g: Agreement, spacing: float, masd: float, hd95: float, hd: float, dice: float) -> None:
    assert g.mean_surface_distance_mm == pytest.approx(masd, abs=0.03)
    assert g.hausdorff95_mm == pytest.approx(hd95, abs=0.1)
    assert g.hausdorff_mm == pytest.approx(hd, abs=FURTHEST[spacing])
    assert g.dice == pytest.approx(dice, abs=0.003)


@pytest.mark.parametrize("spacing", SPACINGS)
def test_concentric_spheres(spacing: float) -> None:
    for rng in _draws(spacing):
        inner = rng.uniform(40, 50)
        outer = inner + rng.uniform(1, 6)
        centre, offset = tuple(rng.uniform(-1, 1, 3)), rng.uniform(0, spacing)
        a, b = sphere(inner, spacing, centre, offset=offset), sphere(outer, spacing, centre, offset=offset)
        assert a.volume_ml == pytest.approx(4 / 3 * np.pi * inner**3 / 1000, rel=0.005)
        gap = outer - inner
        g = compare(a, b, (gap - 0.3, gap + 0.3))
        _close(g, spacing, gap, gap, gap, 2 * inner**3 / (inner**3 + outer**3))
        assert g.signed_surface_distance_mm == pytest.approx(-gap, abs=0.03)
        assert [s.value for s in g.surface_dice] == pytest.approx([0, 1], abs=0.005)
        assert all(r.signed_distance_mm == pytest.approx(-gap, abs=0.1) for r in g.regions)
        assert sum(r.area_mm2 for r in g.regions[:6]) == pytest.approx(4 * np.pi * inner**2, rel=0.005)
        assert sum(r.area_mm2 for r in g.regions[6:]) == pytest.approx(4 * np.pi * inner**2, rel=0.005)


@pytest.mark.parametrize("spacing", SPACINGS)
def test_shifted_spheres(spacing: float) -> None:
    """A's point at angle t to the shift lies ``|sqrt(r² + d² - 2 r d cos t) - r|`` from B's surface; cos t is even on a sphere."""
    for rng in _draws(spacing):
        radius, length = rng.uniform(40, 50), rng.uniform(2, 10)
        way = rng.normal(size=3)
        shift = way / np.linalg.norm(way) * length
        centre, offset = rng.uniform(-1, 1, 3), rng.uniform(0, spacing)
        a, b = (
            sphere(radius, spacing, tuple(centre), offset=offset),
            sphere(radius, spacing, tuple(centre + shift), offset=offset),
        )
        cosine = np.linspace(-1, 1, 100_001)
        away = np.abs(np.sqrt(radius**2 + length**2 - 2 * radius * length * cosine) - radius)
        lens = np.pi * (4 * radius + length) * (2 * radius - length) ** 2 / 12
        g = compare(a, b)
        _close(g, spacing, away.mean(), np.percentile(away, 95), length, lens / (4 / 3 * np.pi * radius**3))
        for s in g.surface_dice:
            assert s.value == pytest.approx((away <= s.tolerance_mm).mean(), abs=0.01)
        assert g.centroid_shift_mm == pytest.approx(tuple(shift), abs=0.02 * spacing)
        ends = [centre - way / np.linalg.norm(way) * radius, centre + shift + way / np.linalg.norm(way) * radius]
        # Where the sphere bends away, a few mm beside the furthest point one is as far to a hundredth of a mm.
        assert min(np.linalg.norm(np.array(g.hausdorff_at_mm) - end) for end in ends) < 12


@pytest.mark.parametrize("spacing", SPACINGS)
def test_an_ellipsoid_and_a_larger_one(spacing: float) -> None:
    for rng in _draws(spacing, 2):
        axes, growth = np.array([rng.uniform(30, 40), rng.uniform(35, 50), rng.uniform(40, 60)]), rng.uniform(1.03, 1.1)
        offset = rng.uniform(0, spacing)
        a, b = (_ellipsoid(axes * k, spacing, offset) for k in (1.0, growth))
        near, weights = _points_of_ellipsoid(axes)
        far, far_weights = near * growth, weights
        out, back = cKDTree(far).query(near)[0], cKDTree(near).query(far)[0]
        masd = (np.average(out, weights=weights) + np.average(back, weights=far_weights)) / 2
        hd95 = max(_percentile(out, weights), _percentile(back, far_weights))
        g = compare(a, b)
        assert a.volume_ml == pytest.approx(4 / 3 * np.pi * axes.prod() / 1000, rel=0.005)
        # The longest axis' tips are furthest apart.
        _close(g, spacing, masd, hd95, (growth - 1) * axes.max(), 2 / (1 + growth**3))


def _ellipsoid(axes: np.ndarray, spacing: float, offset: float) -> Structure:
    planes = {}
    for w in planes_of(-axes[2], axes[2], spacing, offset):
        scale = np.sqrt(1 - (w / axes[2]) ** 2)
        planes[float(w)] = MultiPolygon([shapely.affinity.scale(circle(0, 0, 1), *(axes[:2] * scale), origin=(0, 0))])
    return Structure("Ellipsoid", planes, slice_spacing_mm=spacing)


def _points_of_ellipsoid(axes: np.ndarray, count: int = 200_000) -> tuple[np.ndarray, np.ndarray]:
    """Points on an ellipsoid (a Fibonacci sphere, stretched) and the area that each stands for."""
    n = np.arange(count) + 0.5
    z, angle = 1 - 2 * n / count, np.pi * (1 + np.sqrt(5)) * n
    ball = np.column_stack([np.sqrt(1 - z**2) * np.cos(angle), np.sqrt(1 - z**2) * np.sin(angle), z])
    return ball * axes, np.linalg.norm(ball / axes, axis=1)


def _percentile(values: np.ndarray, weights: np.ndarray) -> float:
    order = np.argsort(values)
    return float(values[order][np.searchsorted(np.cumsum(weights[order]), 0.95 * weights.sum())])


@pytest.mark.parametrize("spacing", SPACINGS)
def test_a_box_in_a_box(spacing: float) -> None:
    """With a margin m all round, A is m from B everywhere; B is m from A's faces and further from its edges and corners."""
    m, sides = 4 * spacing, np.array([60.0, 50.0, 12 * spacing])
    a, b = _box(sides / 2, spacing), _box(sides / 2 + m, spacing)
    whole = 0.0
    for axis in range(3):
        u, v = np.delete(sides, axis) / 2
        whole += (
            2
            * dblquad(lambda y, x, u=u, v=v: np.sqrt(m**2 + max(x - u, 0) ** 2 + max(y - v, 0) ** 2), 0, u + m, 0, v + m)[0]
            * 4
        )
    outer = sides + 2 * m
    area = 2 * (outer[0] * outer[1] + outer[1] * outer[2] + outer[2] * outer[0])
    g = compare(a, b)
    assert a.volume_ml == pytest.approx(sides.prod() / 1000, rel=1e-6)
    assert g.mean_surface_distance_mm == pytest.approx((m + whole / area) / 2, abs=0.1)
    # A lattice rounds corners off by a part of its step.
    assert g.hausdorff_mm == pytest.approx(np.sqrt(3) * m, abs=1.0)
    assert g.dice == pytest.approx(2 * sides.prod() / (sides.prod() + outer.prod()), abs=1e-4)


def _box(half: np.ndarray, spacing: float) -> Structure:
    area = MultiPolygon([box(-half[0], -half[1], half[0], half[1])])
    return Structure("Box", {float(w): area for w in np.arange(-half[2] + spacing / 2, half[2], spacing)})


@pytest.mark.parametrize("spacing", SPACINGS)
def test_cylinders_of_one_height(spacing: float) -> None:
    """The ends coincide: 0 for A's, ``r - r_A`` on the rim that only B has; near an end B's is nearer to A's side than B's side."""
    inner, outer, height = 31.3, 35.9, 60.0
    a, b = cylinder(inner, -30, 30, spacing), cylinder(outer, -30, 30, spacing)
    gap = outer - inner
    side = 2 * np.pi * inner * ((height - 2 * gap) * gap + gap**2)
    from_a = side / (2 * np.pi * inner * height + 2 * np.pi * inner**2)
    rim = 2 * np.pi * (outer**3 / 3 - inner * outer**2 / 2 + inner**3 / 6)
    from_b = (2 * np.pi * outer * height * gap + 2 * rim) / (2 * np.pi * outer * height + 2 * np.pi * outer**2)
    g = compare(a, b)
    assert g.mean_surface_distance_mm == pytest.approx((from_a + from_b) / 2, abs=0.05)
    assert g.hausdorff_mm == pytest.approx(gap, abs=0.1)
    assert g.hausdorff95_mm == pytest.approx(gap, abs=0.05)
    assert g.dice == pytest.approx(2 * inner**2 / (inner**2 + outer**2), abs=1e-4)


@pytest.mark.parametrize("spacing", SPACINGS)
def test_hollow_spheres_differ_inside(spacing: float) -> None:
    a, b = _shell(45, 32, spacing), _shell(45, 28, spacing)
    from_a = 32**2 * 4 / (45**2 + 32**2)
    from_b = 28**2 * 4 / (45**2 + 28**2)
    volumes = [45**3 - r**3 for r in (32, 28)]
    g = compare(a, b)
    _close(g, spacing, (from_a + from_b) / 2, 4.0, 4.0, 2 * volumes[0] / sum(volumes))


def _shell(outer: float, inner: float, spacing: float) -> Structure:
    holes = {round(w, 6): area for w, area in sphere(inner, spacing, offset=0.37).planes.items()}
    whole = sphere(outer, spacing, offset=0.37).planes.items()
    planes = {w: _as_multi(area - holes.get(round(w, 6), MultiPolygon())) for w, area in whole}
    return Structure("Shell", planes, slice_spacing_mm=spacing)


def _as_multi(area: shapely.Geometry) -> MultiPolygon:
    return area if isinstance(area, MultiPolygon) else MultiPolygon([area])


def test_a_second_piece_that_one_lacks_is_as_far_as_it_is() -> None:
    near, far = sphere(20, 2.0), sphere(10, 2.0, (60, 0, 0))
    both = Structure(
        "Two", {w: _as_multi(shapely.union(near.planes[w], far.planes.get(w, MultiPolygon()))) for w in near.planes}
    )
    g = compare(both, near)
    # From the far side of the second piece to the nearest point of the first.
    assert g.hausdorff_mm == pytest.approx(60 + 10 - 20, abs=0.15)
    assert g.dice == pytest.approx(2 * 20**3 / (2 * 20**3 + 10**3), abs=0.003)


@pytest.mark.parametrize("spacing", [(1.0, 3.0), (3.0, 5.0)])
def test_other_slices_and_other_spacings(spacing: tuple[float, float]) -> None:
    a, b = sphere(42.3, spacing[0], offset=0.41), sphere(45.8, spacing[1], offset=0.77)
    _close(compare(a, b), spacing[1], 3.5, 3.5, 3.5, 2 * 42.3**3 / (42.3**3 + 45.8**3))


@pytest.mark.parametrize("turn", [8.0, 30.0, 90.0])
def test_planes_that_are_not_parallel(turn: float) -> None:
    """A sphere is a sphere on whatever planes it was drawn."""
    c, s = np.cos(np.radians(turn)), np.sin(np.radians(turn))
    oblique = Orientation((1, 0, 0), (0, float(c), float(s)))
    a, b = sphere(42, 2.0, offset=0.3), sphere(45, 2.0, offset=0.9)
    turned = Structure(b.name, b.planes, oblique, slice_spacing_mm=2.0)
    _close(compare(a, turned), 2.0, 3, 3, 3, 2 * 42**3 / (42**3 + 45**3))
    _close(compare(turned, a), 2.0, 3, 3, 3, 2 * 42**3 / (42**3 + 45**3))


@pytest.mark.parametrize("move", [lambda s: s, lambda s: -s], ids=["up", "down"])
def test_no_number_depends_on_where_the_slices_lie(move: Callable[[float], float]) -> None:
    rows = []
    for shift in (0.0, 0.17, 0.43, 0.88):
        x = move(shift)
        a, b = sphere(40, 3.0, (x, -x, x), offset=x), sphere(43, 3.0, (3 + x, -x, 1 + x), offset=x)
        g = compare(a, b)
        rows.append([g.dice, g.hausdorff_mm, g.hausdorff95_mm, g.mean_surface_distance_mm, g.surface_dice_3mm])
    values = np.array(rows, float)
    assert (np.ptp(values, axis=0) < 0.01 * values.mean(axis=0)).all(), values


def test_a_hole_smaller_than_a_pixel_changes_nothing_that_can_be_seen() -> None:
    """Planning systems leave such slivers where two contours nearly touch."""
    whole = sphere(40, 3.0)
    pierced = Structure("Pierced", {w: _as_multi(a - circle(0.2, 0.1, 0.05)) for w, a in whole.planes.items()})
    g = compare(pierced, whole)
    assert g.dice == pytest.approx(1, abs=1e-4)
    assert g.mean_surface_distance_mm == pytest.approx(0, abs=0.01)
