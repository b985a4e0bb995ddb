"""The dose of several plans together, against formulas: uniform and linear doses on grids of different spacing and orientation."""

from __future__ import annotations

import numpy as np
import pytest

from rtqc.core import Dose, Grid, Orientation
from rtqc.core.volumes import Dose as AnyDose
from rtqc.dosimetry import (
    DVH,
    DoseOfPlan,
    MovedSurface,
    OrganDose,
    SurfaceBand,
    converted_dose_gy,
    course_dose,
    course_draft_errors,
    dvh,
    in_fractions,
)
from rtqc.dosimetry.draft_error import CALIBRATION, LEVEL_95
from rtqc.qc.protocol import Constraint
from tests.shapes import cylinder, sphere

SAGITTAL = Orientation((0.0, 1.0, 0.0), (0.0, 0.0, -1.0))
CORONAL = Orientation((1.0, 0.0, 0.0), (0.0, 0.0, -1.0))


def linear_dose(
    gradient: tuple[float, float, float],
    at_origin_gy: float = 20.0,
    spacing_mm: float = 2.5,
    orientation: Orientation | None = None,
) -> Dose:
    """A dose that rises along a direction of the patient, on a grid of its own."""
    count = int(170 / spacing_mm)
    axes = orientation or Orientation((1.0, 0.0, 0.0), (0.0, 1.0, 0.0))
    half = spacing_mm * (count - 1) / 2
    corner = -half * (np.array(axes.row) + np.array(axes.column) + np.array(axes.normal))
    grid = Grid.regular((count, count, count), (spacing_mm,) * 3, corner, axes)
    index = np.stack(np.meshgrid(*(np.arange(count),) * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    gy = at_origin_gy + grid.patient_mm(index) @ np.array(gradient)
    return Dose(grid, gy.reshape(grid.shape).astype(np.float32))


def uniform(gy: float, spacing_mm: float = 3.0) -> Dose:
    return linear_dose((0.0, 0.0, 0.0), gy, spacing_mm)


def physical(*doses: AnyDose) -> DVH:
    h = course_dose(sphere(40, 2.5), [DoseOfPlan(d) for d in doses], 3.0).physical
    assert h is not None
    return h


def test_uniform_doses_on_different_grids_add_up() -> None:
    h = physical(uniform(2.34, 2.5), uniform(2.28, 4.1))
    assert h.mean_gy == pytest.approx(4.62, abs=1e-5)
    assert h.max_gy - h.min_gy < 1e-5


@pytest.mark.parametrize("orientation", [SAGITTAL, CORONAL, None])
def test_the_sum_of_linear_doses_is_the_linear_dose_of_the_summed_gradients(orientation: Orientation | None) -> None:
    one, other = linear_dose((0.1, 0.0, 0.05)), linear_dose((0.0, 0.12, 0.05), 10.0, 3.3, orientation)
    both = linear_dose((0.1, 0.12, 0.1), 30.0)
    summed, truth = physical(one, other), physical(both)
    assert summed.mean_gy == pytest.approx(30.0, abs=0.02)
    assert np.allclose(summed.gy, truth.gy, atol=1e-3)
    slope = float(np.linalg.norm([0.1, 0.12, 0.1]))
    assert summed.max_gy == pytest.approx(30 + 40 * slope, abs=0.2)


def test_the_mean_of_the_sum_is_the_sum_of_the_means() -> None:
    structure = cylinder(25, -30, 30, 3.0)
    doses = [linear_dose((0.1, 0.0, 0.0), 12.0), linear_dose((0.0, 0.05, 0.1), 7.0, 4.0, SAGITTAL), uniform(1.5)]
    summed = course_dose(structure, [DoseOfPlan(d) for d in doses], 3.0).physical
    assert summed is not None
    assert summed.mean_gy == pytest.approx(sum(dvh(structure, d).mean_gy for d in doses), abs=0.005)


def test_opposed_gradients_cancel_so_that_the_sum_is_no_sum_of_dvhs() -> None:
    h = physical(linear_dose((0.2, 0.0, 0.0)), linear_dose((-0.2, 0.0, 0.0)))
    assert h.max_gy == pytest.approx(40.0, abs=1e-3)
    assert h.min_gy == pytest.approx(40.0, abs=1e-3)


def test_eqd2_is_added_plan_by_plan_with_each_ones_fractions() -> None:
    def mean_eqd2(whole_gy: float, boost_gy: float) -> float:
        parts = [DoseOfPlan(uniform(whole_gy), 25), DoseOfPlan(uniform(boost_gy, 4.0), 8)]
        eqd2 = course_dose(sphere(40, 2.5), parts, 3.0).eqd2
        assert eqd2 is not None
        return eqd2.mean_gy

    # In the target both give 2 Gy a fraction: 50 + 16 Gy are EQD2 66 Gy.
    assert mean_eqd2(50.0, 16.0) == pytest.approx(66.0, abs=1e-3)
    # In the heart by hand: 2.34 (2.34/25 + 3) / 5 + 2.28 (2.28/8 + 3) / 5 = 1.4478 + 1.4980.
    assert mean_eqd2(2.34, 2.28) == pytest.approx(2.9458, abs=1e-4)


def test_eqd2_is_unknown_where_the_fractions_of_one_plan_are() -> None:
    organ = course_dose(sphere(40, 2.5), [DoseOfPlan(uniform(50.0), 25), DoseOfPlan(uniform(16.0))], 3.0)
    assert organ.eqd2 is None
    assert organ.physical is not None


def test_what_lies_outside_one_of_the_grids_is_not_covered() -> None:
    whole = uniform(10.0)
    upper = whole.grid.crop(slice(int(np.searchsorted(whole.grid.positions_mm, 0.0)), None), slice(None), slice(None))
    half = Dose(upper, np.full(upper.shape, 5.0, np.float32))
    structure = cylinder(25, -30, 30, 3.0)
    h = course_dose(structure, [DoseOfPlan(whole), DoseOfPlan(half)], 3.0).physical
    assert h is not None
    assert h.covered_share == pytest.approx((30 - float(upper.positions_mm[0])) / 60, abs=0.01)
    assert h.mean_gy == pytest.approx(15.0, abs=1e-4)


def test_a_plan_alone_expressed_in_its_own_fractions_is_its_physical_dose() -> None:
    h = dvh(sphere(40, 2.5), linear_dose((0.2, 0.0, 0.0)))
    assert np.allclose(in_fractions(h.eqd2(15, 3.0), 15, 3.0).gy, h.gy, atol=1e-9)


def test_a_dose_expressed_in_other_fractions_is_the_one_that_limits_are_converted_to() -> None:
    h = dvh(sphere(40, 2.5), uniform(26.0))
    assert in_fractions(h.eqd2(5, 3.0), 25, 3.0).mean_gy == pytest.approx(converted_dose_gy(26.0, 5, 25, 3.0), abs=1e-6)


# --- The draft's error in the sum ---

MEAN = Constraint(id="mean", description="mean", metric="mean_gy", limit=1.0, unit="Gy", source="the test")
MEAN_EQD2 = MEAN.model_copy(update={"id": "eqd2", "eqd2": True})


@pytest.fixture(scope="module")
def tube() -> MovedSurface:
    """60 mm long, its upper end sure to 4 mm: the mean height is sure to 2 mm."""
    return MovedSurface.of(cylinder(30, -30, 30, 2.0), SurfaceBand(lambda points: np.zeros(len(points)), 4.0))


def errors_of(tube: MovedSurface, *parts: DoseOfPlan, fractions: int | None = None) -> dict[str, float]:
    judged = course_dose(tube.structure, parts, 3.0)
    if fractions is not None:
        assert judged.eqd2 is not None
        judged = OrganDose(in_fractions(judged.eqd2, fractions, 3.0), judged.eqd2)
    lungs = MEAN.model_copy(update={"id": "lung", "structure": "Lung_L"})
    return course_draft_errors(tube, parts, judged, (MEAN, MEAN_EQD2, lungs), 3.0, fractions)


@pytest.mark.parametrize(("first", "second"), [(0.2, -0.2), (0.2, 0.1), (0.2, 0.0)])
def test_the_drafts_error_in_a_sum_is_that_of_the_summed_gradients(tube: MovedSurface, first: float, second: float) -> None:
    """Two plans whose gradients cancel leave no error, though each has one."""
    errors = errors_of(tube, *(DoseOfPlan(linear_dose((0.0, 0.0, g), 20.0, s)) for g, s in ((first, 2.5), (second, 3.3))))
    assert set(errors) == {"mean"}
    expected = CALIBRATION * LEVEL_95 * abs(first + second) * 2.0
    assert errors["mean"] == pytest.approx(expected, rel=0.06, abs=0.01)


def test_the_error_of_eqd2_in_a_sum_is_that_of_each_plans_own_fractions(tube: MovedSurface) -> None:
    """EQD2 = D (D / n + 3) / 5: with 1000 fractions it grows by 0.6 Gy for each Gy, but for 20 Gy / 1000."""
    steep, even = linear_dose((0.0, 0.0, 0.2)), uniform(5.0)
    errors = errors_of(tube, DoseOfPlan(steep, 1000), DoseOfPlan(even, 5))
    assert errors["eqd2"] == pytest.approx(0.6 * errors["mean"], rel=0.03)


def test_a_plan_alone_expressed_in_its_own_fractions_has_the_error_of_its_physical_dose(tube: MovedSurface) -> None:
    part = DoseOfPlan(linear_dose((0.0, 0.0, 0.2)), 15)
    assert errors_of(tube, part, fractions=15)["mean"] == pytest.approx(errors_of(tube, part)["mean"], rel=0.01)


def test_no_plan_and_no_alpha_beta_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one plan"):
        course_dose(sphere(40, 2.5), [], 3.0)
    with pytest.raises(ValueError, match="alpha/beta"):
        course_dose(sphere(40, 2.5), [DoseOfPlan(uniform(1.0))], 0.0)
    with pytest.raises(ValueError, match="fraction"):
        in_fractions(dvh(sphere(40, 2.5), uniform(1.0)), 0, 3.0)
