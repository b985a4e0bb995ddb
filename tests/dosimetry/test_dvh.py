"""Dose metrics against formulas: a structure of known shape in a dose that is known everywhere."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest

from rtqc.core import Dose, Grid, Orientation, Structure
from rtqc.core.assessment import DoseMetrics
from rtqc.dosimetry import DVH, Metric, OrganDose, difference, dvh, evaluate, metrics_of, second_calculation
from rtqc.qc import load_protocol
from rtqc.qc.protocol import Constraint
from tests.conftest import Path
from tests.shapes import cylinder, sphere


def wedge(gradient: float = 0.2, direction: int = 0, spacing: tuple[float, float, float] = (3.0, 2.5, 2.5)) -> Dose:
    """Dose that rises linearly along x, y or z (0, 1, 2), 20 Gy at the origin."""
    shape = [int(160 / s) + 1 for s in spacing]
    grid = Grid.regular(shape, spacing, (-79.3, -80.7, -78.9))
    axes = (grid.columns_mm[None, None, :], grid.rows_mm[None, :, None], grid.positions_mm[:, None, None])
    gy = 20 + gradient * np.broadcast_to(axes[direction], grid.shape)
    return Dose(grid, gy.astype(np.float32))


def _sphere_fraction_above(t: float, r: float) -> float:
    """Share of a sphere's volume at more than t from its centre along one direction."""
    return (r - t) ** 2 * (2 * r + t) / (4 * r**3)


@pytest.mark.parametrize("direction", [0, 1, 2])
def test_a_sphere_in_a_wedge_dose_has_the_formulas_dvh(direction: int) -> None:
    r, gradient = 48.5, 0.2
    h = dvh(sphere(r, 2.0), wedge(gradient, direction))
    assert h.volume_ml == pytest.approx(4 / 3 * np.pi * r**3 / 1000, rel=0.002)
    assert h.mean_gy == pytest.approx(20, abs=0.02)
    assert h.max_gy == pytest.approx(20 + gradient * r, abs=0.3)
    assert h.min_gy == pytest.approx(20 - gradient * r, abs=0.3)
    for gy in (12, 16, 20, 24, 28):
        expected = 100 * _sphere_fraction_above((gy - 20) / gradient, r)
        assert h.volume_at_dose_percent(gy) == pytest.approx(expected, abs=0.25)
    heights = np.linspace(-r, r, 20001)
    share = np.array([_sphere_fraction_above(t, r) for t in heights])
    for percent in (2, 50, 98):
        t = float(np.interp(-percent / 100, -share, heights))
        assert h.dose_at_percent_gy(percent) == pytest.approx(20 + gradient * t, abs=0.1)


def test_a_cylinder_in_a_dose_along_its_axis_has_a_straight_dvh() -> None:
    h = dvh(cylinder(20, -30, 30, 3.0), wedge(0.2, 2))
    assert h.mean_gy == pytest.approx(20, abs=0.01)
    for gy, share in ((15, 11 / 12), (20, 0.5), (25, 1 / 12)):
        assert h.volume_at_dose_percent(gy) == pytest.approx(100 * share, abs=0.5)
    assert h.dose_at_volume_gy(h.volume_ml / 2) == pytest.approx(20, abs=0.05)


def test_a_uniform_dose_is_itself_everywhere() -> None:
    grid = Grid.regular((50, 50, 50), (3, 3, 3), (-75, -75, -75))
    m = metrics_of(dvh(sphere(30, 3.0), Dose(grid, np.full(grid.shape, 7.5, np.float32))))
    assert (m.mean_gy, m.max_gy, m.min_gy, m.d0_03cc_gy, m.d2_percent_gy, m.d98_percent_gy) == (7.5,) * 6
    assert (m.v5_gy_percent, m.v10_gy_percent, m.covered_percent) == (100, 0, 100)


def test_a_dose_grid_stored_the_other_way_gives_the_same_dvh() -> None:
    dose = wedge(0.2, 0)
    grid = dose.grid
    corner = (grid.columns_mm[-1], grid.rows_mm[0], grid.positions_mm[-1])
    turned = Grid.regular(grid.shape, (3.0, 2.5, 2.5), corner, Orientation((-1, 0, 0), (0, 1, 0)))
    other = Dose(turned, np.ascontiguousarray(dose.gy[::-1, :, ::-1]))
    a, b = (metrics_of(dvh(sphere(30, 2.0, (5, 0, 0)), d)) for d in (dose, other))
    assert a.mean_gy == pytest.approx(b.mean_gy, abs=1e-3)
    assert a.d2_percent_gy == pytest.approx(b.d2_percent_gy, abs=1e-3)


def test_what_lies_outside_the_grid_is_left_out_and_said() -> None:
    h = dvh(cylinder(20, 60, 100, 2.0), wedge(0.2, 2))
    top = wedge().grid.positions_mm[-1]
    assert h.covered_share == pytest.approx((top - 60) / 40, abs=0.02)
    assert h.mean_gy == pytest.approx(20 + 0.2 * (60 + top) / 2, abs=0.05)
    assert dvh(sphere(10, 2.0, (500, 0, 0)), wedge()).is_empty
    assert metrics_of(dvh(sphere(10, 2.0, (500, 0, 0)), wedge())).mean_gy is None


def test_an_empty_structure_has_no_dose() -> None:
    assert dvh(Structure("nothing", {}), wedge()).is_empty


def test_the_curve_starts_with_the_whole_volume_and_falls_to_nothing() -> None:
    h = dvh(sphere(30, 2.0), wedge())
    curve = h.curve()
    assert curve.volume_ml[0] == pytest.approx(h.volume_ml, rel=1e-6)
    assert curve.volume_ml[-1] == 0
    assert list(curve.volume_ml) == sorted(curve.volume_ml, reverse=True)


@pytest.mark.parametrize("gradient", [0.2, 0.01])
@pytest.mark.parametrize("percent", [1, 2, 37.3, 50, 95, 98, 99])
def test_a_dose_read_off_the_curve_is_that_of_the_dvh(percent: float, gradient: float) -> None:
    h = dvh(sphere(30, 2.0), wedge(gradient))
    curve = h.curve()
    share = np.array(curve.volume_ml) / curve.volume_ml[0]
    assert np.interp(-percent / 100, -share, curve.dose_gy) == pytest.approx(h.dose_at_percent_gy(percent), abs=1e-3)
    assert max(np.diff(curve.dose_gy)) <= 0.1 + 1e-9
    assert list(curve.dose_gy) == sorted(set(curve.dose_gy))


def test_a_low_dose_read_off_the_curve_is_no_multiple_of_its_step() -> None:
    """Most of an organ far from the field has hundredths of a gray."""
    gy = np.sort(np.random.default_rng(0).gamma(2, 0.02, 20_000))
    h = DVH("Heart", gy, np.full(gy.size, 0.01), np.zeros(gy.size), 200.0, 1.0)
    curve = h.curve()
    d95 = np.interp(-0.95, -np.array(curve.volume_ml) / curve.volume_ml[0], curve.dose_gy)
    assert d95 == pytest.approx(np.quantile(gy, 0.05), abs=2e-4)


def test_an_empty_dvh_has_no_numbers() -> None:
    h = dvh(Structure("nothing", {}), wedge())
    numbers = [
        h.mean_gy, h.max_gy, h.min_gy, h.dose_at_volume_gy(0.03), h.dose_at_percent_gy(95), h.volume_at_dose_percent(20), h.eqd2(25, 3).mean_gy,
    ]  # fmt: skip
    assert np.isnan(numbers).all()
    assert (h.curve().dose_gy, h.curve().volume_ml) == ((0.0,), (0.0,))


def test_differences_are_draft_minus_contour_and_none_stays_none() -> None:
    change = difference(DoseMetrics(mean_gy=3.0, v5_gy_percent=10), DoseMetrics(mean_gy=2.0))
    assert change.mean_gy == 1.0
    assert change.v5_gy_percent is None


def test_a_constraint_flips_when_one_heart_keeps_it_and_the_other_does_not() -> None:
    constraints = load_protocol("breast-50-25").constraints
    # 6 and 7 % of the volume have 21 Gy; the rest makes the means 3.9 and 4.1 Gy.
    hearts = [OrganDose(_two_parts(share, mean)) for share, mean in ((0.06, 3.9), (0.07, 4.1))]
    results = {c.id: c for c in evaluate(constraints, *hearts)}
    mean = results["heart-mean-4gy"]
    assert (mean.contoured_met, mean.draft_met, mean.outcome_flips) == (True, False, True)
    v20 = results["heart-v20gy-5-left"]
    assert (v20.contoured_met, v20.draft_met, v20.outcome_flips) == (False, False, False)
    assert results["heart-v25gy-5-left"].outcome_flips is False
    # At the limit it is met.
    assert evaluate(constraints, OrganDose(_two_parts(0.0, 4.0)), OrganDose())[0].contoured_met is True


def _two_parts(share: float, mean_gy: float, hot_gy: float = 21.0) -> DVH:
    """100 ml, a share of which has one dose and the rest another, so that the mean is as asked."""
    rest = (mean_gy - share * hot_gy) / (1 - share)
    gy, ml = np.array([rest, hot_gy]), np.array([100 * (1 - share), 100 * share])
    kept = ml > 0
    return DVH("Heart", gy[kept], ml[kept], np.zeros(kept.sum()), 100.0, 1.0)


def test_constraints_limit_any_dose_volume_and_structure_in_either_fractionation() -> None:
    def constraint(metric: str, unit: str, **more: object) -> Constraint:
        return Constraint.model_validate(
            {"id": metric, "description": metric, "metric": metric, "limit": 10.0, "unit": unit, "source": "test"} | more
        )

    heart = _two_parts(0.25, 9.0)
    wanted = {
        "v1_5_gy_percent": 100.0,
        "v20_gy_percent": 25.0,
        "v20_gy_ml": 25.0,
        "d15cc_gy": 21.0,
        "d30cc_gy": 5.0,
        "d50_percent_gy": 5.0,
        "mean_gy": 9.0,
        "max_gy": 21.0,
    }
    results = evaluate([constraint(m, Metric.named(m).unit) for m in wanted], OrganDose(heart), OrganDose())
    assert {r.metric: r.contoured for r in results} == pytest.approx(wanted)
    # By hand: 21 Gy in 10 fractions are 21 x (2.1 + 3) / (2 + 3) Gy in fractions of 2 Gy.
    twos = OrganDose(heart, heart.eqd2(10, 3.0))
    assert evaluate([constraint("max_gy", "Gy", eqd2=True)], twos, OrganDose())[0].contoured == pytest.approx(21.42)
    assert evaluate([constraint("max_gy", "Gy", eqd2=True)], OrganDose(heart), OrganDose())[0].contoured is None
    lung = constraint("v20_gy_percent", "%", structure="Lung_L")
    there, absent = evaluate([lung], OrganDose(), OrganDose(), {"Lung_L": OrganDose(heart)})[0], evaluate([lung], twos, twos)[0]
    assert (there.contoured, there.draft, absent.contoured) == (25.0, None, None)
    with pytest.raises(ValueError, match="no dose metric 'v20'"):
        Metric.named("v20")


def test_the_second_calculation_is_dicompylers_and_agrees(clean_folder: Path, clean_case) -> None:  # type: ignore[no-untyped-def]
    roi = next(r for r in clean_case.rois if r.structure.name == "Heart")
    theirs = second_calculation(clean_folder / "RTSTRUCT.dcm", clean_folder / "RTDOSE.dcm", roi.number)
    ours = metrics_of(dvh(roi.structure, clean_case.dose))
    assert theirs is not None
    assert theirs.mean_gy == pytest.approx(ours.mean_gy, abs=0.05)
    assert theirs.v5_gy_percent == pytest.approx(ours.v5_gy_percent, abs=0.5)
    assert second_calculation(clean_folder / "CT.001.dcm", clean_folder / "RTDOSE.dcm", 1) is None


def test_the_second_calculation_is_not_asked_of_planes_at_absolute_positions(clean_folder: Path, tmp_path: Path) -> None:
    """PS3.3 C.8.8.3.2 allows offsets that are positions; dicompyler-core adds them to the first one's and gets another dose."""
    dataset = pydicom.dcmread(clean_folder / "RTDOSE.dcm")
    first = float(dataset.ImagePositionPatient[2])
    dataset.GridFrameOffsetVector = [f"{first + float(offset):.4f}" for offset in dataset.GridFrameOffsetVector]
    dataset.save_as(tmp_path / "RTDOSE.dcm")
    assert second_calculation(clean_folder / "RTSTRUCT.dcm", tmp_path / "RTDOSE.dcm", 2) is None
    assert second_calculation(clean_folder / "RTSTRUCT.dcm", clean_folder / "RTDOSE.dcm", 2) is not None
