"""How high a dose is, against what the plan prescribes.

Which level a dose should have, the plan says only roughly: a simultaneous integrated boost has two levels at once, a sequential boost
the sum of two, a prescription to a point or to an isodose any relation to the maximum that the planner likes. What holds for all of
them: somewhere the prescribed dose is reached (:attr:`Level.maximum_gy`), and not much more than that is given to a sizeable
volume (:attr:`Level.near_maximum_gy`). Where a target is contoured and covered evenly, its median dose says more (ICRU Report 83: D50%).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from rtqc.core.case import Case, Plan, Prescription
from rtqc.core.structure import Structure
from rtqc.core.volumes import Dose
from rtqc.dosimetry.dvh import dose_at, dvh_of_points
from rtqc.qc.protocol import Limits
from rtqc.qc.targets import contoured_targets, targets_of

#: A dose a fraction and a total from which a treatment is stereotactic: AAPM TG-101 (Benedict et al., Med Phys 37:4078, 2010), Table I:
#: 6 to 30 Gy a fraction. A single palliative fraction of 8 Gy is not; 24 Gy is the lowest total of the trials (from knowledge).
STEREOTACTIC_GY_A_FRACTION, STEREOTACTIC_GY = 6.0, 24.0
#: A sum of prescriptions is one course only in fractions up to this, in Gy: boosts are given in usual ones (from knowledge).
_LARGEST_FRACTION_OF_A_SUM_GY = 3.0
#: Relative biological effectiveness by which prescriptions of protons are higher than their physical dose (ICRU Report 78).
PROTON_RBE = 1.1
#: A target is covered evenly where its near-minimum is at least this part of its near-maximum (D98% and D2%, ICRU Report 83).
_EVEN_SHARE = 0.6
#: A target lies in the region treated where its near-minimum is at least this part of the grid's near-maximum.
_TREATED_SHARE = 0.5
#: Part of a target that must lie in the dose grid, for its doses to be those of the target.
_COVERED_SHARE = 0.98
#: Doses within this part of the maximum on the grid's outer faces say that the region treated goes on beyond the grid.
_CUT_SHARE = 0.95


@dataclass(frozen=True)
class Level:
    """The level of a dose grid.

    Attributes:
        maximum_gy: highest dose of the grid, in Gy.
        near_maximum_gy: D2% of the region that gets at least half of the maximum, in Gy.
        cut: whether the maximum lies on the grid's outer faces: the region treated goes on beyond it.
    """

    maximum_gy: float
    near_maximum_gy: float
    cut: bool


@dataclass(frozen=True)
class TargetLevel:
    """The dose of a contoured target that a prescription is for.

    Attributes:
        name: of the target.
        prescription: for it.
        mean_gy, d50_gy, d95_gy: its mean, median and D95%, in Gy.
        even: whether the whole target is in the region treated and covered evenly (:data:`_EVEN_SHARE`).
    """

    name: str
    prescription: Prescription
    mean_gy: float
    d50_gy: float
    d95_gy: float
    even: bool


@dataclass(frozen=True)
class Expected:
    """Levels that a plan's dose may have.

    Attributes:
        levels_gy: of which the maximum must fit one, ascending, in Gy.
        highest_gy: highest single prescription, in Gy.
        lowest_maximum_gy: what the maximum reaches at least, for plans whose prescriptions are sums over beams, in Gy.
    """

    levels_gy: tuple[float, ...]
    highest_gy: float
    lowest_maximum_gy: float


def level_of(dose: Dose) -> Level:
    """The level of a dose grid."""
    gy = dose.gy
    maximum = float(gy.max())
    high = gy[gy >= maximum / 2]
    faces = [gy[:, 0], gy[:, -1], gy[:, :, 0], gy[:, :, -1]]
    faces += [gy[0], gy[-1]] if gy.shape[0] > 1 else [gy[0]]
    cut = any(float(face.max()) >= _CUT_SHARE * maximum for face in faces)
    return Level(maximum, float(np.percentile(high, 98)), cut)


def expected_of(plan: Plan) -> Expected | None:
    """What a plan's dose should be; None where nothing is prescribed."""
    targets = [p.dose_gy for p in plan.prescriptions if p.stated_for == "target"]
    doses = sorted(set(targets or [p.dose_gy for p in plan.prescriptions]))
    if not doses:
        return None
    if all(p.stated_for == "beams" for p in plan.prescriptions):
        return Expected(tuple(doses), doses[-1], _largest_beam_gy(plan, doses[-1]))
    total = float(sum(doses))
    levels = (*doses, total) if len(doses) > 1 and _may_be_summed(plan, total) else tuple(doses)
    return Expected(levels, doses[-1], doses[0])


def _may_be_summed(plan: Plan, total_gy: float) -> bool:
    if plan.fraction_groups > 1 or not plan.fractions:
        return True
    return total_gy / plan.fractions <= _LARGEST_FRACTION_OF_A_SUM_GY


def _largest_beam_gy(plan: Plan, total_gy: float) -> float:
    """Beams that abut each give their dose to a point of their own: the maximum is at least that of the largest."""
    doses = [b.dose_gy for b in plan.treatment_beams if b.dose_gy]
    if doses and plan.fractions and plan.fraction_groups == 1:
        return min(total_gy, max(doses) * plan.fractions)
    return total_gy / max(plan.beams, 1)


def is_stereotactic(plan: Plan | None) -> bool:
    """Whether dose and fractions are those of a stereotactic treatment, which is prescribed to an isodose of 50 to 90 % of the maximum."""
    if plan is None or not plan.fractions or plan.fraction_groups > 1 or not plan.prescriptions:
        return False
    total = plan.prescriptions[0].dose_gy
    return total >= STEREOTACTIC_GY and total / plan.fractions >= STEREOTACTIC_GY_A_FRACTION


def target_levels(case: Case) -> tuple[TargetLevel, ...]:
    """Doses of the contoured targets that prescriptions are for, best covered first.

    A single prescription that names no contoured target is held against the only PTV, where there is one.
    """
    plan, dose = case.plan, case.dose
    if plan is None or dose is None:
        return ()
    treated_gy = level_of(dose).near_maximum_gy
    levels = []
    for prescription in plan.prescriptions:
        if prescription.stated_for != "target":
            continue
        rois = targets_of(prescription, case)
        if not rois and len(plan.prescriptions) == 1:
            ptvs = [r for r in contoured_targets(case) if r.structure.kind.upper() == "PTV"]
            rois = tuple(ptvs) if len(ptvs) == 1 else ()
        for roi in rois:
            # A target may reach beyond the skin, where a dose of exactly zero is right.
            histogram = dvh_of_points(roi.structure, partial(_dose_at, roi.structure, dose))
            if histogram.is_empty or histogram.covered_share < _COVERED_SHARE:
                continue
            near_minimum, d95, d50, near_maximum = (histogram.dose_at_percent_gy(x) for x in (98, 95, 50, 2))
            even = near_minimum >= max(_EVEN_SHARE * near_maximum, _TREATED_SHARE * treated_gy)
            levels.append(TargetLevel(roi.structure.name, prescription, histogram.mean_gy, d50, d95, even))
    return tuple(sorted(levels, key=lambda t: -t.d95_gy / t.prescription.dose_gy))


def _dose_at(structure: Structure, dose: Dose, points: NDArray[np.float64]) -> NDArray[np.float64]:
    return dose_at(points, structure, dose, zeros_count=True)


def cause_of(
    ratio: float, low: float, high: float, fractions: int | None, prescribed_gy: float, usual: tuple[float, float]
) -> str:
    """What makes a dose too high or too low by a factor, for a sentence.

    Args:
        ratio: the dose that was found over the one prescribed.
        low, high: range of that ratio in plans with nothing wrong.
        fractions: of the plan; None where unknown.
        prescribed_gy: prescribed dose, in Gy.
        usual: range of that ratio in plans of one prescription, by which the range of prescriptions that would fit is found.
    """
    n = fractions or 1
    causes: list[tuple[float, str]] = []
    if n > 1:
        each = prescribed_gy / n
        causes.append((1 / n, f"it is the dose of one fraction ({each:.2f} Gy), not of all {n}. Export the plan's dose"))
        causes.append((n, f"it was multiplied by the {n} fractions once too often. Export the plan's dose again"))
    causes.append((100.0, "it is in cGy, written as Gy. Export it in Gy"))
    causes.append((0.01, "it was divided by 100, or the prescription is in cGy. Make both Gy"))
    if n > 1:
        causes.append((100.0 / n, "it is the dose of one fraction, in cGy written as Gy. Export the plan's dose in Gy"))
        causes.append((0.01 / n, "it is one fraction's dose, and dose or prescription is in cGy. Export the plan's dose in Gy"))
    fitting = [(abs(np.log(ratio / factor)), words) for factor, words in causes if low <= ratio / factor <= high]
    if fitting:
        return min(fitting)[1]
    return f"it is normalised to another prescription ({_fitting(ratio * prescribed_gy, usual)} would fit), or another plan's. Export the dose of this plan"


#: A target's median over its prescription in plans with nothing wrong (ICRU Report 50, from knowledge).
USUAL_MEDIAN = (0.985, 1.07)
#: The same of the highest and the near-maximum dose: RTOG 1005 accepts maxima of up to 115 % for a breast (from knowledge).
USUAL_MAXIMUM = (1.0, 1.15)
#: The same of plans that are prescribed to an isodose: that of 50 % is the lowest in use (AAPM TG-101).
USUAL_STEREOTACTIC = (1.0, 2.0)
#: From this dose on, in Gy, a range of prescriptions has no decimals.
_NO_DECIMALS_GY = 10.0


def _fitting(gy: float, usual: tuple[float, float]) -> str:
    """The prescriptions that a dose would fit, for a sentence: a range, because plans of one prescription differ by as much."""
    ends = [f"{end:.0f}" if end >= _NO_DECIMALS_GY else f"{end:.1f}" for end in (gy / usual[1], gy / usual[0])]
    return f"one of about {ends[0]} to {ends[1]} Gy" if ends[0] != ends[1] else f"one of about {ends[0]} Gy"


def is_direct(plan: Plan) -> bool:
    """Whether depth doses alone decide how hot a plan is: one photon beam, or electrons only."""
    beams = plan.treatment_beams
    return len(beams) == 1 or (bool(beams) and all(b.radiation_type.upper() == "ELECTRON" for b in beams))


def is_implausible(plan: Plan, limits: Limits) -> bool:
    """Whether a prescription of a plan is larger than any treatment's, so that nothing can be held against it."""
    return plan.kind != "brachy" and any(p.dose_gy > limits.prescription_total.value for p in plan.prescriptions)
