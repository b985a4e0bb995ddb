"""Dose limits: met and exceeded, with the contour and with the draft, ideal and acceptable, and not known."""

from __future__ import annotations

from functools import partial
from typing import Any, Literal

from rtqc.core import Structure
from rtqc.core.assessment import ConstraintResult
from rtqc.core.cardiac import Calcium, CalciumClass, Cardiac
from rtqc.core.case import Case
from rtqc.qc import Measurements
from tests.qc.rules.build import WORST, agreement, block, case, draft, measured, plan, result, uniform
from tests.qc.rules.table import Fires, Silent


def _held(*results: ConstraintResult, of: Case | None = None) -> Measurements:
    return measured(draft=draft(), agreement=agreement(), constraints=results, of=of)


def _flip(contoured: float, drafted: float, tier: Any, *, flips: bool = True) -> Measurements:
    return _held(result(contoured, drafted, tier=tier, outcome_flips=flips, draft_error=0.2))


def _artery(contoured: float | None, *structures: Structure, **more: Any) -> Measurements:
    values = {"structure": "A_LAD", "description": "Mean dose of the artery", **more}
    return _held(result(contoured, limit=10.0, **values), of=case(block(), *structures))


def _whole_heart(**of: Any) -> Measurements:
    return _held(result(None, eqd2=True), of=case(block(), **of))


def _v(gy: int, limit: float, value: float, tier: Literal["ideal", "acceptable"], **more: Any) -> ConstraintResult:
    return result(value, limit=limit, metric=f"v{gy}_gy_percent", unit="%", tier=tier, description=f"Heart volume receiving {gy} Gy", id=f"v{gy}", **more)  # fmt: skip


def _calcium(agatston: float, of_class: CalciumClass, *results: ConstraintResult) -> Measurements:
    calcium = Calcium(
        agatston=agatston, volume_mm3=1.0, calcium_class=of_class, cac_drs="A3/N1", by_vessel={}, threshold_hu=130.0, kvp=120.0, noise_hu=5.0, smoothed_mm=0.0,
    )  # fmt: skip
    return measured(draft=draft(), constraints=results, cardiac=Cardiac(calcium=calcium))


_LIMITS = (result(4.6, limit=4.0, tier="ideal", id="a"), result(4.6, limit=4.5, id="b"), result(4.6, limit=5.0, id="c"))
_PARTLY: dict[str, Any] = {"contoured_met": None}

ROWS: tuple[Fires | Silent, ...] = (
    *(
        row
        for rule, tier in (("constraint.flips", "acceptable"), ("constraint.flips_ideal", "ideal"))
        for row in (
            Fires(
                rule, "exceeded with the draft", partial(_flip, 3.9, 4.3, tier),
                (f"Mean heart dose: the {tier} limit of 4 Gy is met with the contour (3.90 Gy) but exceeded with the draft (4.30 ± 0.20 Gy).",), (), 4.3, 4.0, "Gy", WORST,
            ),
            Fires(
                rule, "exceeded with the contour", partial(_flip, 4.3, 3.9, tier),
                (f"Mean heart dose: the {tier} limit of 4 Gy is exceeded with the contour (4.30 Gy) but met with the draft (3.90 ± 0.20 Gy).",), (), 3.9, 4.0, "Gy", WORST,
            ),
            Silent(rule, "the draft's error explains it", partial(_flip, 3.9, 4.1, tier, flips=False)),
            Silent(rule, "the other tier", partial(_flip, 3.9, 4.3, "ideal" if tier == "acceptable" else "acceptable")),
        )
    ),
    Fires(
        "constraint.near_limit", "just met with the contour", lambda: _flip(3.9, 4.1, "acceptable", flips=False),
        ("Mean heart dose is near its acceptable limit of 4 Gy: 3.90 Gy with the contour, 4.10 ± 0.20 Gy with the draft.",), (), 4.1, 4.0, "Gy",
    ),
    Fires(
        "constraint.near_limit", "just exceeded with the contour", lambda: _flip(4.1, 3.9, "ideal", flips=False),
        ("near its ideal limit of 4 Gy: 4.10 Gy with the contour, 3.90 ± 0.20 Gy with the draft",), (), 3.9, 4.0, "Gy",
    ),
    Silent("constraint.near_limit", "a flip", lambda: _flip(3.9, 4.3, "acceptable")),
    Silent("constraint.near_limit", "both met", lambda: _flip(3.8, 3.9, "acceptable", flips=False)),
    Silent("constraint.near_limit", "both exceeded", lambda: _flip(4.1, 4.2, "acceptable", flips=False)),
    Silent("constraint.near_limit", "not known with the contour", lambda: _held(result(3.9, 4.1, **_PARTLY))),
    Fires("constraint.exceeded", "4.1 of 4 Gy", lambda: _held(result(4.1)), ("Mean heart dose is 4.10 Gy with the contour, above the acceptable limit of 4 Gy.",), (), 4.1, 4.0, "Gy"),
    Fires(
        "constraint.exceeded", "the artery's", lambda: _artery(10.5, block("A_LAD")),
        ("Mean dose of the artery is 10.50 Gy with the contour, above the acceptable limit of 10 Gy.",), (), 10.5, 10.0, "Gy", structures=("A_LAD",),
    ),
    Silent("constraint.exceeded", "4.0 of 4 Gy", lambda: _held(result(4.0))),
    Silent("constraint.exceeded", "an ideal limit", lambda: _held(result(4.1, tier="ideal"))),
    Silent("constraint.exceeded", "with the draft only", lambda: _held(result(3.9, 4.5))),
    Silent("constraint.exceeded", "not known", lambda: _held(result(4.1, **_PARTLY))),
    Fires("constraint.above_ideal", "4.1 of 4 Gy", lambda: _held(result(4.1, tier="ideal")), ("is 4.10 Gy with the contour, above the ideal limit of 4 Gy.",), (), 4.1, 4.0, "Gy"),
    Fires(
        "constraint.above_ideal", "an acceptable limit of another dose is exceeded", lambda: _held(_v(25, 5.0, 7.0, "acceptable"), _v(30, 5.0, 6.0, "ideal")),
        ("Heart volume receiving 30 Gy is 6.00 % with the contour, above the ideal limit of 5 %",), (), 6.0, 5.0, "%",
    ),
    Silent("constraint.above_ideal", "4.0 of 4 Gy", lambda: _held(result(4.0, tier="ideal"))),
    Silent("constraint.above_ideal", "an acceptable limit", lambda: _held(result(4.1))),
    Silent("constraint.above_ideal", "implied by the one that failed", lambda: _held(_v(25, 5.0, 7.0, "acceptable"), _v(20, 5.0, 9.0, "ideal"))),
    Fires(
        "constraint.not_assessed", "no such structure", lambda: _artery(None, block("Liver")),
        ("Mean dose of the artery could not be checked: there is no structure 'A_LAD' (the structures: Heart, Liver).",), (), None, 10.0, "Gy", structures=("A_LAD",),
    ),
    Fires(
        "constraint.not_assessed", "a structure without contours, under another spelling", lambda: _artery(None, block("LAD_artery", heights=())),
        ("'LAD_artery' has no contours. Contour it",), (), None, 10.0, "Gy", structures=("A_LAD",),
    ),
    Fires(
        "constraint.not_assessed", "a part without dose", lambda: _artery(9.0, block("A_LAD"), **_PARTLY),
        ("less than 99.5 % of 'A_LAD' has a dose, and the rest may decide",), (), None, 10.0, "Gy", structures=("A_LAD",),
    ),
    Fires("constraint.not_assessed", "no dose in it", lambda: _artery(None, block("A_LAD")), ("no part of the structure has a dose",), (), None, 10.0, "Gy", structures=("A_LAD",)),
    Fires(
        "constraint.not_assessed", "fractions that are not known", lambda: _whole_heart(plan=plan(fractions=None), dose=uniform()),
        ("it is in fractions of 2 Gy, and the plan has no fractions",), (), None, 4.0, "Gy",
    ),
    Fires("constraint.not_assessed", "two limits of one structure, one sentence", lambda: _held(*(result(None, limit=x, structure="A_LAD") for x in (10.0, 12.0))), ("'A_LAD'",), (), None, 10.0, "Gy", structures=("A_LAD",)),
    Silent("constraint.not_assessed", "met", lambda: _held(result(3.9))),
    Silent("constraint.not_assessed", "exceeded", lambda: _held(result(4.1))),
    Silent("constraint.not_assessed", "a heart of which a part has no dose", lambda: _held(result(3.9, **_PARTLY))),
    Silent("constraint.not_assessed", "no heart", lambda: _held(result(None), of=case(block("Liver")))),
    # Much calcium beside a dose that exceeds: of two limits that are exceeded the higher one is named.
    Fires(
        "cardiac.calcium_and_dose", "Agatston 412 and 4.6 Gy", lambda: _calcium(412.0, ">300", *_LIMITS),
        ("Coronary calcium is 412 (Agatston, class >300), and the mean heart dose of 4.60 Gy exceeds 4.5 Gy",), measured=4.6,
    ),
    Fires("cardiac.calcium_and_dose", "without a contour the draft's dose", lambda: _calcium(301.0, ">300", result(None, 4.2)), ("calcium is 301", "of 4.20 Gy exceeds 4 Gy"), measured=4.2),
    Silent("cardiac.calcium_and_dose", "Agatston 300", lambda: _calcium(300.0, "101-300", *_LIMITS)),
    Silent("cardiac.calcium_and_dose", "a dose at its limit", lambda: _calcium(412.0, ">300", result(4.0))),
    Silent("cardiac.calcium_and_dose", "another structure's mean", lambda: _calcium(412.0, ">300", result(9.0, structure="A_LAD"))),
    Silent("cardiac.calcium_and_dose", "a volume, not a mean", lambda: _calcium(412.0, ">300", _v(20, 5.0, 9.0, "acceptable"))),
)  # fmt: skip
