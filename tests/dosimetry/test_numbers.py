"""Each dose metric on histograms that are written down: coverage, near-maximum, volumes, limits, risk and other programs' curves, with both signs."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from rtqc.core.assessment import ConstraintResult, DoseMetrics
from rtqc.core.case import Beam, Case, DoseAttributes, Plan, PlanningDvh
from rtqc.dosimetry import (
    DVH,
    Metric,
    OrganDose,
    difference,
    dose_type_of,
    dose_unit_of,
    eqd2_fractions,
    evaluate,
    mean_tolerance_gy,
    metrics_of,
    planning_metrics,
    relative_risk,
    second_calculation,
    second_check,
    slice_contributions,
    trapezoid_volume_ml,
    volume_agrees,
    why_no_eqd2,
)
from rtqc.dosimetry.constraints import FULL_COVERAGE
from rtqc.dosimetry.linear_quadratic import eqd2_gy, in_fractions_gy
from rtqc.qc.protocol import Constraint
from tests.shapes import box_dose, prism_of


def histogram(*cells: tuple[float, float], volume_ml: float | None = None, name: str = "Heart") -> DVH:
    """Cells as (Gy, ml), ascending, each 3 mm above the last; the rest of the volume has no dose."""
    gy, ml = (np.array(values, float) for values in zip(*cells, strict=True))
    whole = float(ml.sum()) if volume_ml is None else volume_ml
    return DVH(name, gy, ml, 3.0 * np.arange(gy.size), whole, float(ml.sum()) / whole)


#: 80 ml with a dose in a structure of 100 ml: 40 at 2 Gy, 30 at 7, 9.98 at 22, 0.02 at 41 Gy.
PARTLY = histogram((2, 40), (7, 30), (22, 9.98), (41, 0.02), volume_ml=100)
NOTHING = DVH("Heart", np.empty(0), np.empty(0), np.empty(0), 100.0, 0.0)


def test_metrics_are_of_what_has_a_dose_and_say_how_much_that_is() -> None:
    m = metrics_of(PARTLY)
    assert m.covered_percent == 80
    assert m.mean_gy == pytest.approx((80 + 210 + 9.98 * 22 + 0.82) / 80, abs=1e-4)
    assert (m.min_gy, m.max_gy, m.d0_03cc_gy) == (2, 41, 22)
    # Of 80 ml: 1.6 ml are 2 %, 40 ml are the half, 78.4 ml are 98 %.
    assert (m.d2_percent_gy, m.d50_percent_gy, m.d98_percent_gy) == (22, 7, 2)
    assert (m.v5_gy_percent, m.v10_gy_percent, m.v20_gy_percent) == (50, 12.5, 12.5)
    assert (m.v25_gy_percent, m.v35_gy_percent, m.v40_gy_percent) == (0.025, 0.025, 0.025)
    assert metrics_of(histogram((1, 10))).covered_percent == 100
    assert metrics_of(NOTHING) == DoseMetrics(covered_percent=0)


def test_a_dose_or_volume_on_a_cell_counts_that_cell() -> None:
    h = histogram((2, 40), (7, 30), (22, 10))
    assert [h.volume_at_dose_percent(x) for x in (0, 2, 2.001, 7, 7.001, 22, 22.001)] == pytest.approx(
        [100, 100, 50, 50, 12.5, 12.5, 0]
    )
    assert [h.dose_at_volume_gy(x) for x in (0, 10, 10.001, 40, 40.001, 80, 500)] == [22, 22, 7, 7, 2, 2, 2]
    assert [h.dose_at_percent_gy(x) for x in (12.5, 12.6, 50, 50.1, 100)] == [22, 7, 7, 2, 2]
    for number in (
        NOTHING.mean_gy,
        NOTHING.max_gy,
        NOTHING.min_gy,
        NOTHING.dose_at_volume_gy(1),
        NOTHING.dose_at_percent_gy(1),
        NOTHING.volume_at_dose_percent(1),
    ):
        assert np.isnan(number)


@pytest.mark.parametrize(("name", "value"), [
    ("mean_gy", 6.37975), ("max_gy", 41), ("min_gy", 2), ("v7_gy_percent", 50), ("v7_gy_ml", 40), ("v20_5_gy_ml", 10), ("d12_5_percent_gy", 22), ("d0_02cc_gy", 41),
    ("d0_03cc_gy", 22), ("d12_5cc_gy", 7),
])  # fmt: skip
def test_a_metric_by_name_is_the_histograms_number(name: str, value: float) -> None:
    assert Metric.named(name).of(PARTLY) == pytest.approx(value, abs=1e-4)
    assert Metric.named(name).of(NOTHING) is None


def test_draft_minus_contour_key_by_key() -> None:
    found = difference(
        DoseMetrics(mean_gy=3.0, max_gy=10.0, covered_percent=90, v5_gy_percent=20),
        DoseMetrics(mean_gy=4.5, max_gy=7.0, covered_percent=100),
    )
    assert found == DoseMetrics(mean_gy=-1.5, max_gy=3.0, covered_percent=-10)


def test_what_has_no_dose_is_assumed_at_either_end() -> None:
    low, high = PARTLY.with_uncovered(0.0), PARTLY.with_uncovered(np.inf)
    assert low.gy.tolist() == [0, 2, 7, 22, 41]
    assert low.ml.tolist() == [20, 40, 30, 9.98, 0.02]
    assert high.gy.tolist() == [2, 7, 22, 41, np.inf]
    assert high.ml.tolist() == [40, 30, 9.98, 0.02, 20]
    assert low.w_mm.tolist() == [4.5, 0, 3, 6, 9]
    assert high.w_mm.tolist() == [0, 3, 6, 9, 4.5]
    assert low.volume_at_dose_percent(7) == pytest.approx(40)
    assert high.volume_at_dose_percent(7) == pytest.approx(60)
    whole = histogram((2, 40))
    assert whole.with_uncovered(0.0) is whole
    assert NOTHING.with_uncovered(0.0) is NOTHING


def test_the_curve_is_cumulative_and_says_what_the_histogram_says() -> None:
    rng = np.random.default_rng(1)
    gy, ml = np.sort(rng.gamma(2.0, 4.0, 40_000)), rng.uniform(0.001, 0.02, 40_000)
    h = DVH("Heart", gy, ml, np.zeros(40_000), float(ml.sum()), 1.0)
    curve = h.curve()
    doses, volumes = np.array(curve.dose_gy), np.array(curve.volume_ml)
    assert (np.diff(doses) > 0).all()
    assert (np.diff(doses) <= 0.1001).all()
    assert (np.diff(volumes) <= 0).all()
    assert volumes[0] == pytest.approx(ml.sum(), abs=1e-4)
    assert volumes[-1] == 0
    assert doses[-1] > gy[-1]
    for at, volume in zip(doses[::23], volumes[::23], strict=True):
        assert volume == pytest.approx(ml[gy >= at - 1e-9].sum(), abs=1e-4)
    for percent in (2.5, 50, 95, 98):
        read = np.interp(-percent / 100 * ml.sum(), -volumes, doses)
        assert read == pytest.approx(h.dose_at_percent_gy(percent), abs=0.006)
    assert NOTHING.curve().dose_gy == (0.0,)
    assert NOTHING.curve().volume_ml == (0.0,)


# --- Limits ---


def constraint(metric: str, limit: float, **more: object) -> Constraint:
    fields = {
        "id": metric,
        "description": f"about {metric}",
        "metric": metric,
        "limit": limit,
        "unit": Metric.named(metric).unit,
        "source": "a source",
    }
    return Constraint.model_validate(fields | more)


def result(one: Constraint, heart: OrganDose, draft: OrganDose = OrganDose(), **more: object) -> ConstraintResult:
    (found,) = evaluate([one], heart, draft, **more)  # type: ignore[arg-type]
    return found


def organ(gy: float, eqd2: float | None = None) -> OrganDose:
    return OrganDose(histogram((gy, 10)), None if eqd2 is None else histogram((eqd2, 10)))


def test_a_limit_is_met_up_to_it_and_exceeded_above() -> None:
    found = result(constraint("mean_gy", 4.0), organ(4.0), organ(4.001))
    assert (found.contoured, found.draft, found.contoured_met, found.draft_met) == (4.0, 4.001, True, False)
    assert (found.id, found.description, found.limit, found.unit, found.source, found.tier, found.structure) == (
        "mean_gy",
        "about mean_gy",
        4.0,
        "Gy",
        "a source",
        "acceptable",
        "",
    )


@pytest.mark.parametrize(("contour", "draft", "error", "flips"), [
    (3, 5, None, True), (5, 3, None, True), (3, 5, 1.9, True), (3, 5, 2.0, False), (5, 3, 1.9, True), (5, 3, 2.0, False), (3, 3.9, None, False), (5, 9, None, False),
])  # fmt: skip
def test_an_outcome_flips_both_ways_and_only_beyond_the_drafts_error(
    contour: float, draft: float, error: float | None, flips: bool
) -> None:
    errors = {} if error is None else {"mean_gy": error, "max_gy": 99.0}
    found = result(constraint("mean_gy", 4.0), organ(contour), organ(draft), draft_errors=errors)
    assert (found.outcome_flips, found.draft_error) == (flips, error)


def test_another_organs_limit_is_held_against_that_organ_and_no_draft() -> None:
    lung = constraint("mean_gy", 4.0, structure="Lung_L")
    found = result(lung, organ(1), organ(2), others={"Lung_L": organ(7), "Lung_R": organ(3)}, draft_errors={"mean_gy": 1.0})
    assert (found.contoured, found.draft, found.contoured_met, found.draft_met) == (7, None, False, None)
    assert (found.outcome_flips, found.draft_error, found.structure) == (False, None, "Lung_L")
    assert result(lung, organ(1), organ(2)).contoured is None
    assert result(lung, organ(1), organ(2), others={"Lung_R": organ(3)}).contoured_met is None


def test_a_limit_in_fractions_of_two_gray_is_held_against_those() -> None:
    one = constraint("mean_gy", 4.0, eqd2=True, tier="ideal")
    found = result(one, organ(5, 3), organ(2, 6))
    assert (found.contoured, found.draft, found.contoured_met, found.draft_met, found.outcome_flips) == (
        3,
        6,
        True,
        False,
        True,
    )
    assert (found.eqd2, found.converted_from, found.tier) == (True, one.converted_from, "ideal")
    assert result(one, organ(5), organ(2)).contoured_met is None
    assert result(constraint("mean_gy", 4.0), organ(5, 3)).contoured_met is False


def test_half_a_percent_without_dose_counts_as_covered_and_no_more() -> None:
    for ml, known in ((99.5, True), (99.49, False)):
        found = OrganDose(histogram((3, ml), volume_ml=100)).meets("mean_gy", 4.0)
        assert found is (True if known else None), ml
    assert FULL_COVERAGE == 0.995
    partly = OrganDose(histogram((3, 50), volume_ml=100))
    # With the other half at nothing the mean is 1.5 Gy, V2Gy 50 %; with any dose V2Gy is 100 %.
    assert [partly.meets("mean_gy", x) for x in (1.49, 1.5)] == [False, None]
    assert [partly.meets("v2_gy_percent", x, by_proof=True) for x in (49.9, 50, 99.9, 100)] == [False, None, None, True]
    assert partly.meets("v2_gy_percent", 100) is None
    assert OrganDose().meets("mean_gy", 4.0) is None
    assert OrganDose(NOTHING).meets("mean_gy", 4.0) is None


# --- What a difference means ---


@pytest.mark.parametrize(("contour", "draft"), [(2.0, 5.0), (5.0, 2.0), (0.0, 1.0), (3.0, 3.0)])
def test_risk_rises_and_falls_with_the_drafts_dose(contour: float, draft: float) -> None:
    risk = relative_risk(contour, draft)
    assert risk is not None

    def linear(b: float) -> float:
        return 100 * ((1 + b * draft) / (1 + b * contour) - 1)

    def power(b: float) -> float:
        return 100 * ((1 + b) ** (draft - contour) - 1)

    assert risk.percent == pytest.approx(linear(0.074), abs=0.006)
    assert (risk.low_percent, risk.high_percent) == pytest.approx(sorted((linear(0.029), linear(0.145))), abs=0.006)
    assert risk.acute_percent == pytest.approx(power(0.165), abs=0.006)
    assert (risk.acute_low_percent, risk.acute_high_percent) == pytest.approx(sorted((power(0.006), power(0.35))), abs=0.006)
    assert np.sign(risk.percent) == np.sign(risk.acute_percent) == np.sign(draft - contour)


def test_slices_add_what_the_draft_has_more_and_take_what_it_has_less_largest_first() -> None:
    """Planes at 0, 3 and 6 mm. Contour: 10 ml at 2, 4 and 9 Gy; draft: 20 ml at 2 Gy on the first, 10 ml at 8 Gy on the last and 10 ml 4 mm above it."""
    planes = prism_of(0.0, 3.0, 6.0)
    contour = DVH("C", np.array([2.0, 4, 9]), np.full(3, 10.0), np.array([0.2, 2.9, 6.1]), 30.0, 1.0)
    draft = DVH("D", np.array([2.0, 8, 8]), np.array([20.0, 10, 10]), np.array([-0.4, 6.0, 10.0]), 40.0, 1.0)
    found = [(s.position_mm, s.mean_difference_gy) for s in slice_contributions(contour, draft, planes)]
    assert found == [(9.0, 2.0), (3.0, -1.3333), (6.0, -1.0), (0.0, 0.3333)]
    assert sum(change for _, change in found) == pytest.approx(draft.mean_gy - contour.mean_gy, abs=1e-3)
    for pair in ((NOTHING, draft), (contour, NOTHING)):
        assert slice_contributions(*pair, planes) == ()
    assert slice_contributions(contour, contour, planes) == ()


@pytest.mark.parametrize(
    ("dose", "fractions", "alpha_beta", "eqd2"),
    [(50, 25, 3, 50), (40, 15, 3, 40 * (40 / 15 + 3) / 5), (40, 15, 10, 40 * (40 / 15 + 10) / 12), (26, 5, 3, 42.64)],
)
def test_the_linear_quadratic_model_there_and_back(dose: float, fractions: int, alpha_beta: float, eqd2: float) -> None:
    assert eqd2_gy(float(dose), fractions, alpha_beta) == pytest.approx(eqd2)
    assert in_fractions_gy(eqd2, fractions, alpha_beta) == pytest.approx(dose)


# --- Fractions ---


def case(plan: Plan | None, dose_type: str = "PHYSICAL", summation: str = "PLAN") -> Case:
    return Case(plan=plan, dose=box_dose(), dose_attributes=DoseAttributes(dose_type, summation))


@pytest.mark.parametrize(("given", "fractions", "why"), [
    (case(Plan(fractions=15)), 15, ""),
    (case(Plan(fractions=15), dose_type=""), 15, ""),
    (case(None), None, "unknown without a plan"),
    (case(Plan(fractions=15), summation="MULTI_PLAN"), None, "a sum of several plans"),
    (case(Plan()), None, "no fractions"),
    (case(Plan(fractions=20, fraction_groups=2)), None, "2 fraction groups lie in one sum"),
    (case(Plan(fractions=15), "EFFECTIVE"), None, "the dose is EFFECTIVE"),
    (case(Plan(fractions=15, kind="ion"), "EFFECTIVE"), 15, ""),
    (case(Plan(fractions=15, kind="ion")), None, "physical, without a relative biological effectiveness"),
])  # fmt: skip
def test_a_dose_is_converted_with_alike_fractions_or_it_is_said_why_not(given: Case, fractions: int | None, why: str) -> None:
    assert eqd2_fractions(given) == fractions
    reason = why_no_eqd2(given)
    assert why in reason
    assert bool(reason) == (fractions is None)


def test_sources_are_converted_at_a_high_dose_rate_and_never_with_beams() -> None:
    from rtqc.core.case import ApplicationSetup

    setups = (ApplicationSetup(1, 1),)
    assert eqd2_fractions(case(Plan(fractions=3, application_setups=setups, brachy_type="HDR", kind="brachy"))) == 3
    assert "of type LDR does not" in why_no_eqd2(
        case(Plan(fractions=3, application_setups=setups, brachy_type="LDR", kind="brachy"))
    )
    assert "of type unknown" in why_no_eqd2(case(Plan(fractions=3, application_setups=setups, kind="brachy")))
    both = Plan(fractions=3, application_setups=setups, brachy_type="HDR", treatment_beams=(Beam(1),))
    assert "beams and brachytherapy lie in one dose" in why_no_eqd2(case(both))


def test_a_dose_has_a_type_and_that_a_unit() -> None:
    for stated, told, unit in (("EFFECTIVE", "EFFECTIVE", "Gy (RBE)"), ("PHYSICAL", "PHYSICAL", "Gy"), ("", "PHYSICAL", "Gy")):
        assert (dose_type_of(case(None, stated)), dose_unit_of(case(None, stated))) == (told, unit)
    assert dose_type_of(Case(dose_attributes=DoseAttributes("EFFECTIVE"))) == ""


# --- The planning system's curve ---

#: All of it up to 4 Gy, half up to 10 Gy, a hundredth of a per mille up to 50 Gy; 100 ml.
CURVE = PlanningDvh((0.0, 4.0, 10.0, 30.0, 50.0), (1.0, 1.0, 0.5, 0.02, 0.0), 100.0)


def test_the_planning_systems_curve_is_read_where_its_shares_are() -> None:
    m = planning_metrics(CURVE)
    # Trapezoids: 4 + 6 x 0.75 + 20 x 0.26 + 20 x 0.01.
    assert m.mean_gy == pytest.approx(13.9)
    assert (m.d50_percent_gy, m.d2_percent_gy) == (10, 30)
    assert m.d98_percent_gy == pytest.approx(4 + 6 * 0.02 / 0.5, abs=1e-4)
    assert m.d0_03cc_gy == pytest.approx(50 - 20 * 0.0003 / 0.02, abs=1e-4)
    expected = {5: 100 - 50 / 6, 10: 50, 15: 38, 20: 26, 25: 14, 30: 2, 35: 1.5, 40: 1}
    for gy, percent in expected.items():
        assert getattr(m, f"v{gy}_gy_percent") == pytest.approx(percent, abs=1e-3), gy
    assert (m.max_gy, m.min_gy, m.covered_percent) == (None, None, None)
    stated = planning_metrics(PlanningDvh(CURVE.gy, CURVE.share, 100.0, mean_gy=13.8, min_gy=3.9, max_gy=48.1))
    assert (stated.mean_gy, stated.min_gy, stated.max_gy) == (13.8, 3.9, 48.1)
    short = planning_metrics(PlanningDvh((0.0, 12.0), (1.0, 0.4), 0.03))
    assert (short.v15_gy_percent, short.v10_gy_percent, short.d0_03cc_gy) == (0, 50, None)
    assert planning_metrics(PlanningDvh((0.0, 12.0), (1.0, 0.0))).d0_03cc_gy is None


def test_a_mean_may_differ_by_three_percent_or_what_always_may_and_the_curves_own_error() -> None:
    exact, coarse = PlanningDvh((0.0, 1.0), (1.0, 0.0)), PlanningDvh((0.0, 1.0), (1.0, 0.0), mean_error_gy=0.4)
    assert mean_tolerance_gy(exact, 4.0, 0.15) == pytest.approx(0.15)
    assert mean_tolerance_gy(exact, 6.0, 0.15) == pytest.approx(0.18)
    assert mean_tolerance_gy(coarse, 6.0, 0.15) == pytest.approx(0.58)


def test_a_volume_agrees_between_both_conventions() -> None:
    """Planes of 100 mm² at 0, 3 and 6 mm: 0.6 ml from plane to plane, 0.9 ml with half a slice at either end; 3 % beyond."""
    planes = prism_of(0.0, 3.0, 6.0)
    assert trapezoid_volume_ml(planes) == pytest.approx(0.6)
    assert trapezoid_volume_ml(prism_of(0.0)) == 0
    for volume, agrees in ((0.581, False), (0.583, True), (0.75, True), (0.926, True), (0.928, False)):
        assert volume_agrees(PlanningDvh((0.0, 1.0), (1.0, 0.0), volume), planes) is agrees, volume
    assert volume_agrees(PlanningDvh((0.0, 1.0), (1.0, 0.0)), planes) is True


# --- dicompyler-core ---


def test_the_second_calculation_has_each_number_in_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """A histogram of which every number is another: 200 ml, of which 200 less 4 a gray receive each dose, up to 32 Gy."""
    asked: list[tuple[object, ...]] = []
    counts = 200 - 4 * np.arange(3201) / 100

    def fake(*arguments: object) -> SimpleNamespace:
        asked.append(arguments)
        values = {2: 31.0, 50: 17.0, 98: 1.5}
        return SimpleNamespace(
            volume=200.0,
            counts=counts,
            mean=16.25,
            max=32.5,
            min=0.125,
            dose_constraint=lambda percent: SimpleNamespace(value=values[percent]),
        )

    monkeypatch.setattr(second_check, "_histogram", fake)
    m = second_calculation(Path("s"), Path("d"), 4)
    assert asked == [(Path("s"), Path("d"), 4)]
    assert m is not None
    assert (m.mean_gy, m.max_gy, m.min_gy) == (16.25, 32.5, 0.125)
    assert (m.d2_percent_gy, m.d50_percent_gy, m.d98_percent_gy) == (31.0, 17.0, 1.5)
    for gy in range(5, 45, 5):
        assert getattr(m, f"v{gy}_gy_percent") == pytest.approx(100 - 2 * gy if gy <= 32 else 0), gy
    for broken in (SimpleNamespace(volume=0.0, counts=counts), SimpleNamespace(volume=5.0, counts=counts[:1]), None):
        monkeypatch.setattr(second_check, "_histogram", lambda *_, found=broken: found)
        assert second_calculation(Path("s"), Path("d"), 4) is None
