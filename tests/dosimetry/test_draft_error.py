"""The draft's own dose error against formulas, and what it does to flips."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import erf

from rtqc.core import Case, Dose, Grid, Structure
from rtqc.core.assessment import ConstraintResult, DoseComparison, DoseMetrics
from rtqc.core.finding import Finding
from rtqc.dosimetry import DVH, Metric, MovedDoses, MovedSurface, OrganDose, SurfaceBand, difference, dvh, evaluate, moved_doses
from rtqc.dosimetry.draft_error import CALIBRATION, CORRELATION_MM, LEVEL_95
from rtqc.dosimetry.dvh import dose_at
from rtqc.heart import Draft
from rtqc.pipeline import surface_band
from rtqc.qc import Measurements, load_protocol, run_rules
from rtqc.qc.protocol import Constraint
from tests.shapes import cylinder, sphere

Floats = NDArray[np.float64]
MEAN = Metric.named("mean_gy")
V20 = Metric.named("v20_gy_percent")
GRID = Grid.regular((80, 80, 80), (2.0, 2.0, 2.0), (-79, -79, -79))


def _along(direction: str, gy: Callable[[Floats], Floats]) -> Dose:
    """A dose that depends on one coordinate."""
    axis = "zyx".index(direction)
    shape = [1, 1, 1]
    shape[axis] = -1
    values = gy((GRID.positions_mm, GRID.rows_mm, GRID.columns_mm)[axis]).reshape(shape)
    return Dose(GRID, np.ascontiguousarray(np.broadcast_to(values, GRID.shape), np.float32))


def _sure_to(mm: float) -> Callable[[Floats], Floats]:
    return lambda points: np.full(len(points), mm)


def _moved(structure: Structure, dose: Dose, band: SurfaceBand) -> MovedDoses:
    moved = moved_doses(structure, dose, dvh(structure, dose), band)
    assert moved is not None
    return moved


def _tube() -> Structure:
    """60 mm long, 30 mm in radius, with flat ends at 30 mm below and above the middle."""
    return cylinder(30, -30, 30, 2.0)


def test_an_even_dose_has_no_error_however_unsure_the_surface() -> None:
    moved = _moved(sphere(40, 2.0), _along("x", lambda x: np.full(x.size, 7.0)), SurfaceBand(_sure_to(5.0), 12.0, 6.0))
    errors = moved.metrics()
    # Bins of dose are 0.02 Gy wide here.
    assert errors.mean_gy == pytest.approx(0, abs=0.01)
    assert errors.d2_percent_gy == pytest.approx(0, abs=0.02)
    assert (errors.v5_gy_percent, errors.v20_gy_percent) == (0.0, 0.0)
    assert errors.covered_percent is None


def test_a_sure_surface_has_no_error_however_steep_the_dose() -> None:
    moved = _moved(sphere(40, 2.0), _along("x", lambda x: 20 + 0.4 * x), SurfaceBand(_sure_to(0.0)))
    assert moved.metrics().mean_gy == 0.0
    assert moved.error(V20) == 0.0


@pytest.mark.parametrize(("ends_mm", "expected_mm"), [((4.0, 0.0), 2.0), ((0.0, 3.0), 1.5), ((4.0, 3.0), 2.5)])
def test_an_end_that_moves_along_the_gradient_changes_the_mean_by_half_its_way(
    ends_mm: tuple[float, float], expected_mm: float
) -> None:
    """A tube's mean height is the middle of its ends, so with independent ends the error is gradient times the root of both squares over 2."""
    moved = _moved(_tube(), _along("z", lambda z: 20 + 0.2 * z), SurfaceBand(_sure_to(0.0), *ends_mm))
    assert moved.standard_deviation(MEAN) == pytest.approx(0.2 * expected_mm, rel=0.06)
    assert moved.error(MEAN) == pytest.approx(CALIBRATION * LEVEL_95 * 0.2 * expected_mm, rel=0.06)


def test_ends_that_move_across_the_gradient_change_nothing() -> None:
    moved = _moved(_tube(), _along("x", lambda x: 20 + 0.2 * x), SurfaceBand(_sure_to(0.0), 4.0, 3.0))
    assert moved.standard_deviation(MEAN) == pytest.approx(0, abs=0.01)


def test_a_ball_in_an_even_gradient_has_the_error_of_its_double_integral() -> None:
    """The mean moves by 3 g / (4 pi) times the integral of s cos over the sphere; with correlations exp(-d / L) its variance is an integral over the angle (Funk, Hecke)."""
    radius, sd, gradient = 40.0, 2.0, 0.2
    t = np.linspace(-1, 1, 200_001)
    correlation = np.exp(-radius * np.sqrt(np.maximum(2 - 2 * t, 0)) / CORRELATION_MM)
    eigenvalue = 2 * np.pi * float(np.trapezoid(correlation * t, t))
    expected = gradient * sd * np.sqrt(3 / (4 * np.pi) * eigenvalue)
    for direction in "xz":
        moved = _moved(
            sphere(radius, 2.0, offset=0.3), _along(direction, lambda x: 20 + gradient * x), SurfaceBand(_sure_to(sd))
        )
        assert moved.standard_deviation(MEAN) == pytest.approx(expected, rel=0.08)


def test_a_step_inside_the_end_changes_the_volume_in_proportion_and_one_beyond_it_not_at_all() -> None:
    """10 of 60 mm lie in the field; if the end moves by e, (10 + e) / (60 + e) do: 100 (60 - 10) / 60² percent per mm."""

    def step(at_mm: float) -> Dose:
        return _along("z", lambda z: 40 * (1 + erf((z - at_mm) / 1.4)) / 2)

    band = SurfaceBand(_sure_to(0.0), 1.5)
    assert _moved(_tube(), step(20.0), band).standard_deviation(V20) == pytest.approx(1.5 * 100 * 50 / 60**2, rel=0.1)
    assert _moved(_tube(), step(60.0), band).standard_deviation(V20) == 0.0


def test_a_field_that_just_misses_the_draft_still_has_an_error() -> None:
    """None of the draft lies in the field, but of the true heart some may: V20Gy is 0 and its error is not."""
    dose = _along("z", lambda z: 40 * (1 + erf((z - 33.0) / 1.4)) / 2)
    assert V20.of(dvh(_tube(), dose)) == 0.0
    inside, missed = (
        _moved(_tube(), d, SurfaceBand(_sure_to(0.0), 3.0)).standard_deviation(V20)
        for d in (_along("z", lambda z: 40 * (1 + erf((z - 20.0) / 1.4)) / 2), dose)
    )
    assert inside is not None
    assert missed is not None
    assert 0 < missed < inside


def test_hottest_dose_moves_with_the_end_along_the_gradient() -> None:
    """2 % of a tube of 60 mm are its last 1.2 mm: their dose changes by the gradient times the end's way, less 2 % of it."""
    moved = _moved(_tube(), _along("z", lambda z: 20 + 0.2 * z), SurfaceBand(_sure_to(0.0), 3.0))
    assert moved.standard_deviation(Metric.named("d2_percent_gy")) == pytest.approx(0.98 * 0.2 * 3.0, rel=0.1)


def test_errors_of_converted_doses_are_those_of_the_converted_metric() -> None:
    """Twice the dose: twice the error of the mean, and V40 has the error that V20 had."""
    moved = _moved(_tube(), _along("z", lambda z: 20 + 0.2 * z), SurfaceBand(_sure_to(2.0), 3.0))
    mean, v20 = moved.standard_deviation(MEAN), moved.standard_deviation(V20)
    assert mean is not None
    assert moved.standard_deviation(MEAN, lambda gy: 2 * gy) == pytest.approx(2 * mean)
    assert moved.standard_deviation(Metric.named("v40_gy_percent"), lambda gy: 2 * gy) == pytest.approx(v20)


def test_two_plans_whose_gradients_cancel_have_no_error_together() -> None:
    tube, band = _tube(), SurfaceBand(_sure_to(2.0), 4.0, 4.0)
    rising, falling = _along("z", lambda z: 20 + 0.2 * z), _along("z", lambda z: 20 - 0.2 * z)
    surface = MovedSurface.of(tube, band)
    alone = surface.doses(partial(dose_at, structure=tube, dose=rising), dvh(tube, rising))
    even = _along("z", lambda z: np.full(z.size, 40.0))
    both = surface.doses(lambda p: dose_at(p, tube, rising) + dose_at(p, tube, falling), dvh(tube, even))
    assert (alone.error(MEAN) or 0.0) > 1.0
    assert both.error(MEAN) == pytest.approx(0, abs=0.05)


def test_there_is_no_error_of_nothing() -> None:
    dose = _along("x", lambda x: 20 + 0.2 * x)
    band = SurfaceBand(_sure_to(2.0))
    for structure in (Structure("nothing", {}), sphere(10, 2.0, (500, 0, 0))):
        assert moved_doses(structure, dose, dvh(structure, dose), band) is None


def test_the_same_draft_has_the_same_error_every_time() -> None:
    dose, band = _along("x", lambda x: 20 + 0.2 * x), SurfaceBand(_sure_to(2.0), 3.0, 3.0)
    assert _moved(_tube(), dose, band).metrics() == _moved(_tube(), dose, band).metrics()


# --- Flips ---


def _constraint(metric: str, limit: float, unit: str) -> Constraint:
    return Constraint(id=metric, description=metric, metric=metric, limit=limit, unit=unit, source="the test")


def _half_space(contoured_mm: float) -> tuple[Structure, Structure, Dose]:
    """A heart-sized ball as contour and as draft, the latter nearer to a field edge by some mm, in which it has about 5 % of its volume."""
    dose = _along("x", lambda x: 50 * (1 + erf((x - 33.0) / (np.sqrt(2) * 4.0))) / 2)
    return sphere(45, 2.0, (-contoured_mm, 0, 0)), sphere(45, 2.0), dose


def _judged(contoured_mm: float, sd_mm: float) -> ConstraintResult:
    contour, draft, dose = _half_space(contoured_mm)
    heart, drafted = OrganDose(dvh(contour, dose)), OrganDose(dvh(draft, dose))
    values = [organ.value("v20_gy_percent") or 0.0 for organ in (heart, drafted)]
    limit = sum(values) / 2
    error = _moved(draft, dose, SurfaceBand(_sure_to(sd_mm))).error(V20)
    assert error is not None
    (result,) = evaluate([_constraint("v20_gy_percent", limit, "%")], heart, drafted, draft_errors={"v20_gy_percent": error})
    assert (result.contoured_met, result.draft_met, result.draft_error) == (True, False, error)
    return result


def test_a_limit_between_two_hearts_half_a_millimetre_apart_does_not_flip() -> None:
    """As V20Gy of 4.94 and 5.23 % with a limit of 5 %: with a draft that is sure to 2.5 mm that is nothing."""
    result = _judged(0.4, 2.5)
    assert result.contoured is not None
    assert result.draft is not None
    assert 0.1 < result.draft - result.contoured < 0.5
    assert not result.outcome_flips


def test_a_limit_between_two_hearts_a_centimetre_apart_flips() -> None:
    assert _judged(10.0, 2.5).outcome_flips


def test_a_limit_between_hearts_a_millimetre_apart_flips_when_the_draft_is_sure() -> None:
    assert _judged(1.0, 0.1).outcome_flips


@pytest.mark.parametrize(("error", "flips"), [(0.289, True), (0.291, False), (None, True)])
def test_an_outcome_flips_only_beyond_the_error(error: float | None, flips: bool) -> None:
    """V20Gy of 4.94 % with the contour and 5.23 % with the draft, limit 5 %: 0.29 points apart."""
    errors = {} if error is None else {"v20_gy_percent": error}
    heart, draft = (OrganDose(_with_v20(percent)) for percent in (4.94, 5.23))
    (result,) = evaluate([_constraint("v20_gy_percent", 5.0, "%")], heart, draft, draft_errors=errors)
    assert (result.outcome_flips, result.draft_error) == (flips, error)
    # A structure that has no draft has no draft's error.
    organ = _constraint("v20_gy_percent", 5.0, "%").model_copy(update={"structure": "Lung_L"})
    (other,) = evaluate([organ], heart, draft, {"Lung_L": heart}, errors)
    assert (other.outcome_flips, other.draft_error) == (False, None)


def _with_v20(percent: float) -> DVH:
    """100 ml, so much of which has 25 Gy and the rest 1 Gy."""
    return DVH("Heart", np.array([1.0, 25.0]), np.array([100 - percent, percent]), np.zeros(2), 100.0, 1.0)


def _spoken(case: Case, draft: Draft, constraint: ConstraintResult | None, dose: DoseComparison | None) -> dict[str, Finding]:
    measurements = Measurements(case, draft=draft, dose=dose, constraints=(constraint,) if constraint is not None else ())
    rules = frozenset({"constraint.flips", "constraint.near_limit", "dose.mean_difference"})
    return {f.rule: f for f in run_rules(measurements, load_protocol(), rules)}


def test_within_the_error_both_numbers_and_the_error_are_told_as_an_info(clean_case: Case, clean_draft: Draft) -> None:
    near = ConstraintResult(
        id="v20", description="Heart V20Gy", metric="v20_gy_percent", limit=5.0, unit="%", source="the test",
        contoured=4.94, draft=5.23, draft_error=1.9, contoured_met=True, draft_met=False, outcome_flips=False,
    )  # fmt: skip
    found = _spoken(clean_case, clean_draft, near, None)
    assert set(found) == {"constraint.near_limit"}
    assert found["constraint.near_limit"].severity == "info"
    assert all(part in found["constraint.near_limit"].message for part in ("4.94 %", "5.23 ± 1.90 %", "5 %"))
    beyond = near.model_copy(update={"draft_error": 0.2, "outcome_flips": True})
    assert set(_spoken(clean_case, clean_draft, beyond, None)) == {"constraint.flips"}
    same = near.model_copy(update={"draft": 4.99, "draft_met": True})
    assert _spoken(clean_case, clean_draft, same, None) == {}


def test_a_mean_that_differs_by_less_than_the_error_is_no_difference(clean_case: Case, clean_draft: Draft) -> None:
    limit = load_protocol().limits.dose_mean_difference.value
    contoured, drafted = DoseMetrics(mean_gy=2.0), DoseMetrics(mean_gy=2.0 + 2 * limit)
    for error, fires in ((1.99 * limit, True), (2.01 * limit, False), (None, True)):
        dose = DoseComparison(
            contoured=contoured,
            draft=drafted,
            difference=difference(drafted, contoured),
            draft_error=DoseMetrics(mean_gy=error),
        )
        assert ("dose.mean_difference" in _spoken(clean_case, clean_draft, None, dose)) is fires


def test_a_draft_that_does_not_say_how_sure_it_is_has_no_band(clean_draft: Draft) -> None:
    assert surface_band(None) is None
    assert surface_band(replace(clean_draft, uncertainty=None)) is None
    assert surface_band(clean_draft) is not None
