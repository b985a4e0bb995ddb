"""The heart's dose: rises and falls, what the grid does not hold, other programs' doses, and what kind of dose it is."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from rtqc.core import Dose, Finding, Grid
from rtqc.core.assessment import DoseComparison, DoseMetrics
from rtqc.core.case import ApplicationSetup, Beam, Case, DoseAttributes, PlanningDvh, Prescription
from rtqc.qc import Measurements
from tests.qc.rules.build import HEIGHTS, WORST, agreement, block, case, doses, draft, measured, plan, uniform
from tests.qc.rules.table import Fires, Silent


def _change(contoured: float, drafted: float, error: float | None = None) -> Measurements:
    more: dict[str, Any] = {} if error is None else {"draft_error": DoseMetrics(mean_gy=error)}
    return measured(draft=draft(), agreement=agreement(), dose=doses(contoured, drafted, **more))


def _covered(percent: float, of: Dose | None = None, contoured: bool = True) -> Measurements:
    """A heart of which a part has a dose; the grid ends above 24 mm where none is given."""
    given = of or uniform(grid=Grid.regular((29, 60, 80), (3.0, 4.0, 3.0), (-118.5, -118.0, -60.0)))
    metrics = DoseMetrics(mean_gy=5.0, covered_percent=percent)
    return measured(dose=DoseComparison(contoured=metrics) if contoured else None, of=case(block(), dose=given))


def _zero_above_24() -> Dose:
    """10 Gy up to 24 mm and exactly nothing from 27 mm on, where nothing was calculated: 4.5 of the heart's 63 mm lie there."""
    given = uniform()
    gy = given.gy.copy()
    gy[given.grid.positions_mm > 25] = 0.0
    return Dose(given.grid, gy)


def _tiny(voxels: float) -> Measurements:
    """A heart of so many dose voxels of 3 x 4 x 3 mm, on five planes."""
    side = voxels * 36 / 15 / 8
    return measured(of=case(block(heights=HEIGHTS[:5], corners=(0.0, 0.0, 8.0, side)), dose=uniform()))


def _second(own: float, second: float, covered: float = 100.0, highest: float | None = None) -> Measurements:
    return measured(dose=DoseComparison(contoured=DoseMetrics(mean_gy=own, max_gy=highest, covered_percent=covered), second_calculation=DoseMetrics(mean_gy=second)))  # fmt: skip


def _stated(own: float, stated: float, curve: PlanningDvh | None = None, number: int = 1) -> Measurements:
    """The planning system's mean dose of the heart, which is ROI 1."""
    of = case(block(), planning_dvhs={} if curve is None else {number: curve})
    return measured(of=of, dose=DoseComparison(contoured=DoseMetrics(mean_gy=own, covered_percent=100.0), planning_system=DoseMetrics(mean_gy=stated)))  # fmt: skip


def _curve(volume_ml: float | None = None, error: float = 0.0) -> PlanningDvh:
    return PlanningDvh((0.0, 10.0), (1.0, 0.0), volume_ml, mean_error_gy=error)


def _of(plan_: Any = None, dose_type: str = "", heterogeneity: str = "", given: Dose | None = None) -> Measurements:
    attributes = DoseAttributes(dose_type=dose_type, heterogeneity=heterogeneity)
    return measured(of=case(block(), plan=plan_ or plan(), dose=given or uniform(), dose_attributes=attributes))


def _ion(dose_type: str) -> Measurements:
    return _of(plan(kind="ion", treatment_beams=(Beam(1, radiation_type="PROTON"),)), dose_type)


def _spaced(slices: float, rows: float, columns: float, *, stereotactic: bool = False) -> Measurements:
    grid = Grid.regular((12, 12, 12), (slices, rows, columns), (-20.0, -40.0, -20.0))
    of = plan(Prescription(54.0, "PTV"), fractions=3) if stereotactic else plan()
    return _of(of, given=Dose(grid, np.full(grid.shape, 10.0, np.float32)))


def _without_dose(scope: Any = "plan", *findings: Finding) -> Measurements:
    return measured(of=Case(plan=plan(), findings=findings), scope=scope)


def _refused(rule: str) -> Finding:
    return Finding(rule=rule, severity="fail", certainty="fact", message="It is a test.")


_GY, _MEAN, _HEART_SHARE = "Gy", "Gy in the mean", "% of the heart's volume"
_SOURCES = (ApplicationSetup(1, 1), ApplicationSetup(2, 1), ApplicationSetup(1, 2))

ROWS: tuple[Fires | Silent, ...] = (
    Fires(
        "dose.mean_difference", "0.6 Gy more with the draft", lambda: _change(5.0, 5.6),
        ("With the draft, the mean heart dose is 5.60 Gy instead of 5.00 Gy (+0.60 Gy).",), (), 0.6, 0.5, _GY, WORST,
    ),
    Fires(
        "dose.mean_difference", "0.7 Gy less with the draft", lambda: _change(5.0, 4.3),
        ("the mean heart dose is 4.30 Gy instead of 5.00 Gy (-0.70 Gy).",), (), 0.7, 0.5, _GY, WORST,
    ),
    Fires(
        "dose.mean_difference", "more than the draft may be off", lambda: _change(5.0, 4.1, 0.8),
        ("4.10 ± 0.80 Gy instead of 5.00 Gy (-0.90 Gy)",), (), 0.9, 0.5, _GY, WORST,
    ),
    Silent("dose.mean_difference", "half a Gy more", lambda: _change(5.0, 5.5)),
    Silent("dose.mean_difference", "half a Gy less", lambda: _change(5.0, 4.5)),
    Silent("dose.mean_difference", "0.7 Gy more, where the draft may be 0.8 Gy off", lambda: _change(5.0, 5.7, 0.8)),
    Silent("dose.mean_difference", "0.7 Gy less, where the draft may be 0.8 Gy off", lambda: _change(5.0, 4.3, 0.8)),
    Silent("dose.mean_difference", "no draft's dose", lambda: measured(draft=draft(), dose=doses(5.0))),
    Fires(
        "dose.outside_grid", "a grid that ends below the heart's upper end", lambda: _covered(97.0),
        ("3.0 % of Heart lies outside the dose grid: mean and volumes are those of the rest", "on a larger grid"), ("exactly 0 Gy",), 3.0, 2.0, _HEART_SHARE, (27.0, 30.0), ("Heart",),
    ),
    Fires(
        "dose.outside_grid", "a region that was not calculated", lambda: _covered(100 * (1 - 4.5 / 63), _zero_above_24()),
        ("7.1 % of Heart has no dose; no dose was calculated there (exactly 0 Gy)", "in a larger region"), ("outside the dose grid",), 100 * 4.5 / 63, 2.0, _HEART_SHARE, (27.0, 30.0), ("Heart",),
    ),
    Fires(
        "dose.outside_grid", "both", lambda: _covered(80.0, _zero_above_24()),
        ("20.0 % of Heart lies outside the dose grid, or no dose was calculated there (exactly 0 Gy)",), (), 20.0, 2.0, _HEART_SHARE, (27.0, 30.0), ("Heart",),
    ),
    Fires(
        "dose.outside_grid", "no dose at all", lambda: _covered(0.0, uniform(grid=Grid.regular((5, 60, 80), (3.0, 4.0, 3.0), (-118.5, -118.0, 60.0)))),
        ("100.0 % of Heart lies outside the dose grid: no part of it has a dose",), (), 100.0, 2.0, _HEART_SHARE, HEIGHTS, ("Heart",),
    ),
    Silent("dose.outside_grid", "2 % outside", lambda: _covered(98.0)),
    Silent("dose.outside_grid", "no dose", lambda: _covered(50.0, contoured=False)),
    Fires(
        "dose.outside_grid_edge", "1 % outside", lambda: _covered(99.0),
        ("1.0 % of Heart lies outside the dose grid: limits are called exceeded where the rest suffices for it, never met",), (), 1.0, 0.5, _HEART_SHARE, (27.0, 30.0), ("Heart",),
    ),
    Fires("dose.outside_grid_edge", "2 % outside", lambda: _covered(98.0), ("2.0 % of Heart",), (), 2.0, 0.5, _HEART_SHARE, (27.0, 30.0), ("Heart",)),
    Silent("dose.outside_grid_edge", "half a percent outside", lambda: _covered(99.5)),
    Silent("dose.outside_grid_edge", "more, of which dose.outside_grid speaks", lambda: _covered(97.9)),
    Fires(
        "dose.small_structure", "26 voxels", lambda: _tiny(26.0),
        ("Heart has 0.936 ml, 26.0 voxels of the dose grid",), (), 26.0, 27.0, "voxels of the dose grid", structures=("Heart",),
    ),
    Silent("dose.small_structure", "27.1 voxels", lambda: _tiny(27.1)),
    Silent("dose.small_structure", "no dose", lambda: measured(block(corners=(0.0, 0.0, 1.0, 1.0)))),
    Fires(
        "dose.second_calculation", "more", lambda: _second(2.0, 2.16),
        ("dicompyler-core gets a mean heart dose of 2.16 Gy where rtqc gets 2.00 Gy",), (), 0.16, 0.15, _MEAN,
    ),
    Fires("dose.second_calculation", "less", lambda: _second(2.0, 1.84, 99.6), ("of 1.84 Gy where rtqc gets 2.00 Gy",), (), 0.16, 0.15, _MEAN),
    Silent("dose.second_calculation", "0.149 Gy more", lambda: _second(2.0, 2.149)),
    Silent("dose.second_calculation", "0.149 Gy less", lambda: _second(2.0, 1.851)),
    Silent("dose.second_calculation", "0.149 Gy of a heart with 30 Gy at most", lambda: _second(2.0, 2.149, highest=30.0)),
    Fires("dose.second_calculation", "0.16 Gy of a heart with 30 Gy at most", lambda: _second(2.0, 2.16, highest=30.0), ("of 2.16 Gy where rtqc gets 2.00 Gy",), (), 0.16, 0.15, _MEAN),
    Silent("dose.second_calculation", "0.37 Gy of 2000", lambda: _second(2000.0, 2000.37, highest=2000.0)),
    Fires("dose.second_calculation", "over 0.5 % of 2000 Gy", lambda: _second(2000.0, 2010.1, highest=2000.0), ("of 2010.10 Gy",), (), 10.1, 10.0, _MEAN),
    Silent("dose.second_calculation", "a heart that is not wholly in the grid", lambda: _second(2.0, 3.0, 99.5)),
    Fires(
        "dose.planning_system", "more", lambda: _stated(2.0, 2.16),
        ("has a mean heart dose of 2.16 Gy where rtqc gets 2.00 Gy",), (), 0.16, 0.15, _MEAN,
    ),
    Fires("dose.planning_system", "less", lambda: _stated(2.0, 1.84, _curve()), ("of 1.84 Gy where rtqc gets 2.00 Gy",), (), 0.16, 0.15, _MEAN),
    Fires("dose.planning_system", "more than 3 % of a large mean", lambda: _stated(20.0, 20.61, _curve()), ("20.61 Gy where rtqc gets 20.00 Gy",), (), 0.61, 0.15, _MEAN),
    Fires("dose.planning_system", "another ROI's curve", lambda: _stated(20.0, 20.5, _curve(), 2), ("20.50 Gy",), (), 0.5, 0.15, _MEAN),
    Silent("dose.planning_system", "0.149 Gy more", lambda: _stated(2.0, 2.149)),
    Silent("dose.planning_system", "0.149 Gy less", lambda: _stated(2.0, 1.851)),
    Silent("dose.planning_system", "3 % of a large mean", lambda: _stated(20.0, 19.41, _curve())),
    Silent("dose.planning_system", "bins so wide that its mean is unsure", lambda: _stated(2.0, 2.39, _curve(error=0.25))),
    Fires("dose.absent", "no dose", _without_dose, ("There is no dose in the folder", "--scope contour")),
    Silent("dose.absent", "a dose", _of),
    Silent("dose.absent", "the contour only", lambda: _without_dose("contour")),
    Silent("dose.absent", "a dose that was refused", lambda: _without_dose("plan", _refused("dose.unusable"))),
    Silent("dose.absent", "a dose of another plan", lambda: _without_dose("plan", _refused("reference.dose_plan"))),
    # Largest of the three spacings.
    *(
        Fires(
            "dose.grid_spacing", f"4.5 mm between {which}", partial(_spaced, *steps),
            ("Dose points are 4.5 mm apart, too coarse for the heart's border (limit 4 mm)",), ("stereotactic",), 4.5, 4.0, "mm", structures=("Heart",),
        )
        for which, steps in (("slices", (4.5, 3.0, 2.0)), ("rows", (3.0, 4.5, 2.0)), ("columns", (3.0, 2.0, 4.5)))
    ),
    Fires(
        "dose.grid_spacing", "3.5 mm in a stereotactic plan", lambda: _spaced(3.5, 2.0, 3.0, stereotactic=True),
        ("3.5 mm apart, too coarse for a stereotactic plan (limit 3 mm)",), (), 3.5, 3.0, "mm", structures=("Heart",),
    ),
    Silent("dose.grid_spacing", "4 mm", lambda: _spaced(4.0, 4.0, 3.0)),
    Silent("dose.grid_spacing", "3 mm in a stereotactic plan", lambda: _spaced(3.0, 2.0, 3.0, stereotactic=True)),
    Fires("dose.heterogeneity", "water", lambda: _of(heterogeneity="WATER"), ("without heterogeneity correction, as if lung were water",), measured="WATER"),
    Silent("dose.heterogeneity", "the image", lambda: _of(heterogeneity="IMAGE")),
    Silent("dose.heterogeneity", "both", lambda: _of(heterogeneity="WATER\\IMAGE")),
    Fires("dose.effective", "photons", lambda: _of(dose_type="EFFECTIVE"), ("The dose is EFFECTIVE (DoseType), not physical",), measured="EFFECTIVE"),
    Silent("dose.effective", "physical", lambda: _of(dose_type="PHYSICAL")),
    Silent("dose.effective", "ions", lambda: _ion("EFFECTIVE")),
    Fires("dose.rbe_weighted", "ions", lambda: _ion("EFFECTIVE"), ("The ion plan's dose is EFFECTIVE", "Gy (RBE)"), measured="EFFECTIVE"),
    Silent("dose.rbe_weighted", "photons", lambda: _of(dose_type="EFFECTIVE")),
    Silent("dose.rbe_weighted", "a physical dose of ions", lambda: _ion("PHYSICAL")),
    Fires("dose.ion_physical", "physical", lambda: _ion("PHYSICAL"), ("not RBE-weighted (DoseType PHYSICAL)", "look lower than they count"), measured="PHYSICAL"),
    Fires("dose.ion_physical", "not said", lambda: _ion(""), ("(DoseType absent)",), measured="absent"),
    Silent("dose.ion_physical", "effective", lambda: _ion("EFFECTIVE")),
    Silent("dose.ion_physical", "photons", lambda: _of(dose_type="PHYSICAL")),
    Fires(
        "plan.brachytherapy", "two application setups, one of them in two fraction groups", lambda: _of(plan(application_setups=_SOURCES, brachy_type="HDR")),
        ("The plan has brachytherapy (HDR) with 2 application setups.",), measured=2.0,
    ),
    Fires("plan.brachytherapy", "one", lambda: _of(plan(application_setups=_SOURCES[:1])), ("The plan has brachytherapy with 1 application setup.",), measured=1.0),
    Silent("plan.brachytherapy", "beams", _of),
    # Half a slice more or less at either end is a convention, 302.4 or 288 ml; 3 % beyond that is another heart.
    Fires(
        "dose.planning_system_volume", "smaller", lambda: _stated(2.0, 2.0, _curve(279.0)),
        ("for a heart of 279.0 ml, but the contour has 302.4 ml (288.0 ml by trapezoids)",), measured=279.0, structures=("Heart",),
    ),
    Fires("dose.planning_system_volume", "larger", lambda: _stated(2.0, 2.0, _curve(312.0)), ("for a heart of 312.0 ml, but",), measured=312.0, structures=("Heart",)),
    Silent("dose.planning_system_volume", "280 ml", lambda: _stated(2.0, 2.0, _curve(280.0))),
    Silent("dose.planning_system_volume", "311 ml", lambda: _stated(2.0, 2.0, _curve(311.0))),
    Silent("dose.planning_system_volume", "not said", lambda: _stated(2.0, 2.0, _curve())),
    Silent("dose.planning_system_volume", "another ROI's", lambda: _stated(2.0, 2.0, _curve(100.0), 2)),
)  # fmt: skip
