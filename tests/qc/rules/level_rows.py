"""The level of the dose: too high and too low, in the grid and in targets, and on which side it is."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from rtqc.core import Case
from rtqc.core.case import Beam, Prescription
from rtqc.qc import Measurements
from tests.qc.plans import case, cylinder, dose
from tests.qc.rules.table import Fires, Silent

_BREAST = Prescription(40.05, "PTV")
_OF_DOSE, _NEAR_MAXIMUM, _MEDIAN = (
    "% of the prescribed dose",
    "% of the prescribed dose, near-maximum",
    "% of the prescribed dose in the target's median",
)


def _level(share: float, **more: Any) -> Measurements:
    """A dose of a part of what is prescribed in a cylinder of 40 mm around the left breast."""
    return Measurements(case(dose(share * 40.05, **more), _BREAST))


def _target(share: float, around: float = 1.0) -> Measurements:
    """A target of 20 mm that gets a part of its prescription evenly, within a region that gets another part."""
    given = dose(around * 40.05)
    inner = dose(share * 40.05, radius_mm=26.0)
    gy = given.gy.copy()
    gy[inner.gy > 1] = inner.gy[inner.gy > 1]
    return Measurements(case(type(given)(given.grid, gy), _BREAST, structures=(cylinder("PTV", 90.0, 20.0, "PTV"),)))


def _beside(y_mm: float) -> Measurements:
    """A target of 20 mm, so far in front of or behind the middle of the dose, of 40 mm."""
    return Measurements(case(dose(42.0), _BREAST, structures=(cylinder("PTV", 90.0, 20.0, "PTV", y_mm),)))


def _side(
    label: str, x_mm: float | None, target: str = "", *targets: tuple[str, float], isocentre: float | None = None
) -> Measurements:
    given = dose(42.0, x_mm=x_mm) if x_mm is not None else None
    beams = () if isocentre is None else (Beam(1, isocentre_mm=(isocentre, 0.0, 0.0)),)
    structures = tuple(cylinder(name, x, 30.0, "PTV") for name, x in targets)
    of: Case = case(given, Prescription(40.05, target), label=label, structures=structures, treatment_beams=beams)
    return Measurements(of)


def _both_sides() -> Measurements:
    """A plan of both, with a dose of 42 Gy on either side."""
    left, right = dose(42.0, x_mm=_LEFT), dose(42.0, x_mm=_RIGHT)
    given = type(left)(left.grid, np.maximum(left.gy, right.gy))
    return Measurements(case(given, Prescription(40.05, "PTV both"), label="Breast_bilat"))


_OFF = "mm from the midline"
#: The middle of the dose points of the cylinder lies at 90 mm to half a point.
_LEFT, _RIGHT = 90.0, -90.0

ROWS: tuple[Fires | Silent, ...] = (
    Fires(
        "dose.level", "94.9 % at most", lambda: _level(0.949),
        ("The dose reaches at most 38.01 Gy, 95 % of the prescribed 40.05 Gy: it is normalised to another prescription (one of about 33 to 38 Gy would fit)",), (), 94.9, 95.0, _OF_DOSE,
    ),
    Fires(
        "dose.level", "141 %", lambda: _level(1.41),
        ("The dose has a near-maximum of 56.47 Gy, 141 % of the prescribed 40.05 Gy", "(one of about 49 to 56 Gy would fit)"), (), 141.0, 140.0, _NEAR_MAXIMUM,
    ),
    Fires(
        "dose.level", "one fraction", lambda: _level(1.05 / 15),
        ("reaches at most 2.80 Gy, 7.0 % of the prescribed 40.05 Gy: it is the dose of one fraction (2.67 Gy), not of all 15",), (), 7.0, 95.0, _OF_DOSE,
    ),
    Fires(
        "dose.level", "multiplied by the fractions", lambda: _level(1.05 * 15),
        ("16 times the prescribed 40.05 Gy: it was multiplied by the 15 fractions once too often",), (), 1575.0, 140.0, _NEAR_MAXIMUM,
    ),
    Fires("dose.level", "in cGy", lambda: _level(105.0), ("105 times the prescribed 40.05 Gy: it is in cGy, written as Gy",), (), 10500.0, 140.0, _NEAR_MAXIMUM),
    Fires("dose.level", "divided by 100", lambda: _level(0.0105), ("it was divided by 100, or the prescription is in cGy",), (), 1.05, 95.0, _OF_DOSE),
    Fires(
        "dose.level", "92 % in the target, 100 % beside it", lambda: _target(0.92),
        ("PTV is covered evenly with 36.8", "(D50%), 92 % of the prescribed 40.05 Gy"), (), 92.0, 93.0, _MEDIAN, structures=("PTV",),
    ),
    Fires(
        "dose.level", "119 % in the target", lambda: _target(1.19, 1.19),
        ("PTV is covered evenly with 47.6", "(D50%), 119 % of the prescribed"), (), 119.0, 118.0, _MEDIAN, structures=("PTV",),
    ),
    Silent("dose.level", "95.1 %", lambda: _level(0.951)),
    Silent("dose.level", "139 %", lambda: _level(1.39)),
    Silent("dose.level", "94 % in the target", lambda: _target(0.94)),
    Silent("dose.level", "117 % in the target", lambda: _target(1.17, 1.17)),
    Fires(
        "dose.level_unusual", "97.5 % at most", lambda: _level(0.975),
        ("No point of the dose grid reaches the prescribed 40.05 Gy; the highest has 39.05 Gy (98 %)",), (), 97.5, 98.0, _OF_DOSE,
    ),
    Fires(
        "dose.level_unusual", "121 %", lambda: _level(1.21),
        ("The near-maximum dose is 48.46 Gy, 121 % of the prescribed 40.05 Gy",), (), 121.0, 120.0, _NEAR_MAXIMUM,
    ),
    Fires(
        "dose.level_unusual", "111 % in the target", lambda: _target(1.11, 1.11),
        ("PTV is covered evenly with 44.4", "111 % of the prescribed 40.05 Gy: check the normalisation"), (), 111.0, 110.0, _MEDIAN, structures=("PTV",),
    ),
    Silent("dose.level_unusual", "98.5 %", lambda: _level(0.985)),
    Silent("dose.level_unusual", "119 %", lambda: _level(1.19)),
    Silent("dose.level_unusual", "109 % in the target", lambda: _target(1.09, 1.09)),
    Silent("dose.level_unusual", "a fail, of which dose.level speaks", lambda: _level(1.41)),
    *(
        Fires(
            "dose.level_not_checked", f"cut off on the {where}", partial(_level, 25 / 40.05, x_mm=x),
            ("The highest dose, 25.00 Gy, lies on the edge of the dose grid, so its level was not held against the prescribed 40.05 Gy",), (), 100 * 25 / 40.05, 95.0, _OF_DOSE,
        )
        for where, x in (("left", 150.0), ("right", -150.0))
    ),
    Silent("dose.level_not_checked", "cut off, and high enough", lambda: _level(42 / 40.05, x_mm=150.0)),
    Silent("dose.level_not_checked", "whole", lambda: _level(1.0)),
    *(
        Fires(
            "dose.target_coverage", f"a target {where} the dose", partial(_beside, y),
            ("D95% of PTV is 0.10 Gy, 0.2 % of the prescribed 40.05 Gy",), (), 100 * 0.1 / 40.05, 80.0, "% of the prescribed dose in D95%", structures=("PTV",),
        )
        for where, y in (("behind", 70.0), ("in front of", -70.0))
    ),
    Silent("dose.target_coverage", "in the dose", lambda: _beside(0.0)),
    Silent("dose.target_coverage", "no target", lambda: _level(1.0)),
    # What says left against what says right, both ways.
    Fires(
        "side.contradiction", "a left name, a dose on the right", lambda: _side("Breast_L", _RIGHT),
        ("The plan 'Breast_L' says left, but the dose (90 mm off the midline) lies on the right: check which side",), (), _RIGHT, 30.0, _OFF,
    ),
    Fires(
        "side.contradiction", "a right name, a dose on the left", lambda: _side("Breast_R", _LEFT),
        ("The plan 'Breast_R' says right, but the dose (90 mm off the midline) lies on the left",), (), _LEFT, 30.0, _OFF,
    ),
    Fires(
        "side.contradiction", "plan and target on the left, isocentre on the right", lambda: _side("Breast_L", None, "", ("PTV", 80.0), isocentre=-75.0),
        ("the isocentre (75 mm off the midline)", "right"), (), -75.0, 30.0, _OFF, structures=("PTV",),
    ),
    Fires(
        "side.contradiction", "a plan for the left and a prescription to the right", lambda: _side("Breast_L", None, "PTV_Breast_R"),
        ("The plan 'Breast_L' says left, but the target 'PTV_Breast_R' says right",),
    ),
    Silent("side.contradiction", "left and left", lambda: _side("Breast_L", _LEFT)),
    Silent("side.contradiction", "right and right", lambda: _side("Breast_R", _RIGHT)),
    Silent("side.contradiction", "a left name and a dose 29 mm to the right", lambda: _side("Breast_L", -29.0)),
    Silent("side.contradiction", "no name", lambda: _side("Breast", _RIGHT)),
    Silent("side.contradiction", "both breasts", lambda: _side("Bilateral breasts", _RIGHT)),
    Fires(
        "side.contradiction", "a right name, a target of both, a dose on the left", lambda: _side("Breast_R", _LEFT, "PTV both"),
        ("The plan 'Breast_R' says right, but the dose (90 mm off the midline) lies on the left",), (), _LEFT, 30.0, _OFF,
    ),
    *(
        Fires(
            "side.one_side_of_both", f"both names, a dose on the {side}", partial(_side, "Breast_bilat", x, "PTV both"),
            (f"The plan 'Breast_bilat' and the target 'PTV both' say both sides, but the dose (90 mm off the midline) lies on the {side} alone", f"the {other} side"), (), x, 30.0, _OFF,
        )
        for side, other, x in (("left", "right", _LEFT), ("right", "left", _RIGHT))
    ),
    Silent("side.one_side_of_both", "a dose on both", _both_sides),
    Silent("side.one_side_of_both", "no dose", lambda: _side("Breast_bilat", None, "PTV both")),
    Silent("side.one_side_of_both", "a left plan of a target of both", lambda: _side("Breast_L", _LEFT, "PTV both")),
    Silent("side.one_side_of_both", "no side", lambda: _side("Breast", _LEFT, "PTV")),
)  # fmt: skip
