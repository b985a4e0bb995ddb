"""EQD2, grown contours and risk against formulas."""

from __future__ import annotations

import numpy as np
import pytest

from rtqc.core import Dose, Grid, Structure
from rtqc.dosimetry import converted_dose_gy, dvh, grown_means, metrics_of, relative_risk, slice_contributions
from tests.shapes import cylinder, sphere


def _bowl(per_mm2: float = 0.004, base: float = 1.0) -> Dose:
    """Dose that grows with the squared distance from the origin."""
    grid = Grid.regular((141, 141, 141), (1.0, 1.0, 1.0), (-70, -70, -70))
    axes = (grid.positions_mm[:, None, None], grid.rows_mm[None, :, None], grid.columns_mm[None, None, :])
    return Dose(grid, (base + per_mm2 * sum(a**2 for a in axes)).astype(np.float32))


def test_a_ball_that_grows_has_the_larger_balls_mean_and_volume() -> None:
    radius, dose = 45.0, _bowl()
    ball = sphere(radius, 2.0, offset=0.3)
    for grown in grown_means(ball, dose, dvh(ball, dose), (-2.0, -1.0, 1.0, 2.0)):
        r = radius + grown.growth_mm
        assert grown.volume_ml == pytest.approx(4 / 3 * np.pi * r**3 / 1000, rel=0.003)
        assert grown.mean_gy == pytest.approx(1 + 0.004 * 0.6 * r**2, abs=0.02)


def test_nothing_does_not_grow() -> None:
    nothing = Structure("nothing", {})
    assert grown_means(nothing, _bowl(), dvh(nothing, _bowl())) == ()


@pytest.mark.parametrize(("total", "fractions", "expected"), [(50.0, 25, 50.0), (40.0, 15, 45.333), (26.0, 5, 42.64)])
def test_prescribed_doses_in_fractions_of_two_gray(total: float, fractions: int, expected: float) -> None:
    """26 Gy in 5 with a/b 3 Gy: 26 (5.2 + 3) / 5 = 42.64 Gy."""
    grid = Grid.regular((40, 40, 40), (3, 3, 3), (-60, -60, -60))
    h = dvh(sphere(30, 3.0), Dose(grid, np.full(grid.shape, total, np.float32)))
    m = metrics_of(h.eqd2(fractions, 3.0))
    assert m.mean_gy == pytest.approx(expected, abs=0.01)
    assert m.d2_percent_gy == pytest.approx(expected, abs=0.01)
    with pytest.raises(ValueError, match="at least one fraction"):
        h.eqd2(0, 3.0)


def test_eqd2_is_taken_point_by_point_not_of_the_mean() -> None:
    h = dvh(sphere(45, 2.0), _bowl(0.02, 0.0))
    gy = h.gy * (h.gy / 15 + 3) / 5
    assert h.eqd2(15, 3.0).mean_gy == pytest.approx(float(gy @ h.ml / h.ml.sum()), rel=1e-9)
    assert h.eqd2(15, 3.0).mean_gy > h.mean_gy * (h.mean_gy / 15 + 3) / 5


def test_slices_add_up_to_the_difference_and_the_missing_ones_come_first() -> None:
    """A cylinder whose upper 12 mm were forgotten, in 2 Gy below and 10 Gy above: the four slices bring it all."""
    grid = Grid.regular((100, 60, 60), (1.0, 2.0, 2.0), (-59, -59, -20))
    gy = np.where(grid.positions_mm >= 47.5, 10.0, 2.0).astype(np.float32)
    dose = Dose(grid, np.ascontiguousarray(np.broadcast_to(gy[:, None, None], grid.shape)))
    cut, whole = cylinder(30, 0, 48, 3.0), cylinder(30, 0, 60, 3.0)
    histograms = dvh(cut, dose), dvh(whole, dose)
    parts = slice_contributions(*histograms, cut)
    assert sum(p.mean_difference_gy for p in parts) == pytest.approx(histograms[1].mean_gy - histograms[0].mean_gy, abs=2e-3)
    assert sorted(p.position_mm for p in parts[:4]) == [49.5, 52.5, 55.5, 58.5]
    assert parts[0].mean_difference_gy == pytest.approx(10 * 3 / 60, abs=0.02)


def test_coronary_risk_is_a_ratio_of_two_exposed_hearts() -> None:
    """2.44 to 4.60 Gy: 1.3404 / 1.18056 = 1.1354, not 1 + 0.074 x 2.16; and 1.165 to the power of 2.16."""
    risk = relative_risk(2.44, 4.60)
    assert risk is not None
    assert risk.percent == pytest.approx(100 * (1.3404 / 1.18056 - 1), abs=0.005)
    assert risk.low_percent == pytest.approx(100 * (1.1334 / 1.07076 - 1), abs=0.005)
    assert risk.high_percent == pytest.approx(100 * (1.667 / 1.3538 - 1), abs=0.005)
    assert risk.acute_percent == pytest.approx(100 * (np.exp(2.16 * np.log(1.165)) - 1), abs=0.005)
    assert risk.population == "women after radiotherapy for breast cancer"


def test_less_dose_is_less_risk_with_its_interval_in_order() -> None:
    risk, none = relative_risk(4.60, 2.44), relative_risk(3.0, 3.0)
    assert risk is not None
    assert none is not None
    assert risk.low_percent < risk.percent < risk.high_percent < 0
    assert risk.acute_low_percent is not None
    assert risk.acute_percent is not None
    assert risk.acute_low_percent < risk.acute_percent < 0
    assert (none.percent, none.acute_percent) == (0, 0)
    assert relative_risk(None, 3.0) is relative_risk(3.0, None) is None


@pytest.mark.parametrize(
    ("dose", "fractions", "to", "expected"),
    [
        # D' (D' / n' + 3) = D (D / n + 3), solved by hand.
        (50.0, 25, 25, 50.0),
        (20.0, 25, 15, (-45 + np.sqrt(45**2 + 4 * 15 * 20 * 3.8)) / 2),
        (20.0, 30, 3, (-9 + np.sqrt(81 + 12 * 20 * (20 / 30 + 3))) / 2),
        (0.0, 25, 5, 0.0),
    ],
)
def test_a_dose_in_other_fractions_does_as_much(dose: float, fractions: int, to: int, expected: float) -> None:
    converted = converted_dose_gy(dose, fractions, to, 3.0)
    assert converted == pytest.approx(expected)
    assert converted * (converted / to + 3) == pytest.approx(dose * (dose / fractions + 3))


@pytest.mark.parametrize(("dose", "fractions", "to", "alpha_beta"), [(1, 0, 5, 3), (1, 5, 0, 3), (-1, 5, 5, 3), (1, 5, 5, 0)])
def test_what_cannot_be_converted_is_refused(dose: float, fractions: int, to: int, alpha_beta: float) -> None:
    with pytest.raises(ValueError, match="at least one fraction"):
        converted_dose_gy(dose, fractions, to, alpha_beta)
