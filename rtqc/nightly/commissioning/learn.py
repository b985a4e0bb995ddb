"""Measured contours -> what the clinic always does, what can be flagged, and whether rtqc is fit for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from rtqc.core.assessment import Assessment
from rtqc.nightly.cohort.statistics import bland_altman, wilson
from rtqc.nightly.commissioning.criteria import HABITS_APART_MM, criteria_of
from rtqc.nightly.commissioning.limits import LEAST_CASES, Rules, left_out_flags, proposed, rate, rules_of
from rtqc.nightly.commissioning.result import (
    Agreement,
    CaseLeftOut,
    CaseMeasured,
    CommissioningReport,
    Distribution,
    Precision,
    TwoHabits,
)
from rtqc.nightly.commissioning.statistics import (
    Values,
    median_half_width,
    median_interval,
    qn,
    spread_in_slices,
    two_habits,
    widened,
)
from rtqc.qc import Population, numbers_of_assessment, population_of
from rtqc.qc.protocol import Protocol

GUIDANCE = (
    "Vandewinckele L. et al., Overview of artificial intelligence-based applications in radiotherapy: recommendations for implementation and quality "
    "assurance, Radiother Oncol 153:55 (2020), doi:10.1016/j.radonc.2020.09.008: commissioning on the clinic's own data before use, case-specific and "
    "routine quality assurance after it, both repeated after each update (abstract read; details from knowledge)",
    "Hurkmans C. et al., A joint ESTRO and AAPM guideline for development, clinical validation and reporting of artificial intelligence models in "
    "radiation therapy, Radiother Oncol 197:110345 (2024), doi:10.1016/j.radonc.2024.110345 (from knowledge: the text could not be had)",
    "Bland J.M., Altman D.G., Lancet 1:307 (1986) and Stat Methods Med Res 8:135 (1999): limits of agreement and their intervals (from knowledge)",
)
#: Numbers of cases that the table of precision tells of.
_CASES = (5, 10, 20, 30, 50, 100)
#: Of a protocol's z-limit for the clinic's hearts, when it was chosen: with few hearts the spread is widened to keep its meaning.
_POPULATION_SIGMAS = 5.5
_FALSE_FLAGS = 0.05
_ENDS: tuple[Literal["upper", "lower"], ...] = ("upper", "lower")
_DISTRIBUTIONS: tuple[tuple[str, str, str], ...] = (
    ("Dice between the ends", "", "dice"), ("Dice of the whole", "", "whole_dice"), ("HD95 between the ends", "mm", "hausdorff95_mm"),
    ("Mean surface distance between the ends", "mm", "mean_surface_distance_mm"), ("Volume between the ends, contour over draft", "%", "volume_percent"),
    ("Upper end, contour minus draft", "mm", "upper_end_mm"), ("Lower end, contour minus draft", "mm", "lower_end_mm"),
)  # fmt: skip


@dataclass(frozen=True)
class Archive:
    """What was commissioned on, beside the contours themselves.

    Attributes:
        date: ISO.
        folder: as it was given.
        model, model_hash, device, host, rtqc_version: what drew the drafts, and where.
        base: the protocol that the new one extends.
        protocols: how many contours were judged by which.
    """

    date: str
    folder: str
    model: str
    model_hash: str
    device: str
    host: str
    rtqc_version: str
    base: Protocol
    protocols: Counter[str]


def learned(cases: Sequence[CaseMeasured], left: Sequence[CaseLeftOut], archive: Archive) -> tuple[CommissioningReport, Rules]:
    """The report, and the limits for the protocol.

    Args:
        cases: contours that count.
        left: plans that do not, and why.
        archive: what they come from.
    """
    habits = tuple(h for end in _ENDS if (h := _two_habits(cases, end)) is not None)
    one = (not any(h.end == "upper" for h in habits), not any(h.end == "lower" for h in habits))
    rules = rules_of(cases, one)
    flags = left_out_flags(cases, one)
    flagged = tuple(case.model_copy(update={"flagged_by": f}) for case, f in zip(cases, flags, strict=True))
    n = len(cases)
    untrusted = sum(c.kind == "untrusted" for c in left)
    report = CommissioningReport(
        accepted=False,
        headline="",
        date=archive.date,
        archive=archive.folder,
        plans=n + len(left),
        base_protocol=archive.base.name,
        other_protocols={name: count for name, count in archive.protocols.items() if name != archive.base.name},
        upper_end=archive.base.heart.upper_end,
        drawn_to=dict(Counter(c.upper_end_definition or "model" for c in cases)),
        model=archive.model,
        model_hash=archive.model_hash,
        rtqc_version=archive.rtqc_version,
        device=archive.device,
        host=archive.host,
        cases=flagged,
        left_out=tuple(left),
        untrusted=rate(untrusted, n + untrusted),
        flagged_now=rate(sum(c.verdict == "flag" for c in cases), n),
        flagged_with_proposal=rate(sum(bool(f) for f in flags), n),
        distributions=_distributions(cases),
        mean_dose=_mean_dose(cases),
        upper_end_habit=rules.upper_end,
        lower_end_habit=rules.lower_end,
        volume_habit=rules.volume,
        two_habits=habits,
        limits=proposed(cases, rules, flags, archive.base.limits),
        precision=_precision(cases),
        guidance=GUIDANCE,
    )
    criteria = criteria_of(report, archive.base.limits)
    accepted = all(c.met for c in criteria)
    missed = [c for c in criteria if not c.met]
    headline = (
        "All criteria of acceptance are met."
        if accepted
        else "Not accepted: " + "; ".join(c.about.lower() for c in missed) + "."
    )
    return report.model_copy(
        update={"criteria": criteria, "accepted": accepted, "headline": headline, "notes": _notes(report)}
    ), rules


def clinic_population(assessments: Sequence[Assessment], date: str) -> Population | None:
    """The clinic's own hearts, for the rules ``population.*``; None of too few.

    Ends have rules of their own. Spreads of few hearts are widened (:func:`widened`), so that a limit of 5.5 of them is passed by chance as rarely as with many.
    """
    numbers = [{k: v for k, v in numbers_of_assessment(a).items() if not k.endswith("_end_mm")} for a in assessments]
    found = population_of(numbers, "this clinic", f"rtqc commission, {date}", LEAST_CASES)
    if found is None:
        return None
    factor = widened(found.count, _POPULATION_SIGMAS)
    features = {k: u.model_copy(update={"sigma": round(u.sigma * factor, 4)}) for k, u in found.features.items()}
    return found.model_copy(update={"features": features})


def _ends(cases: Sequence[CaseMeasured], end: Literal["upper", "lower"]) -> Values:
    return np.array([c.upper_end_mm if end == "upper" else c.lower_end_mm for c in cases], float)


def _two_habits(cases: Sequence[CaseMeasured], end: Literal["upper", "lower"]) -> TwoHabits | None:
    split = two_habits(_ends(cases, end), HABITS_APART_MM)
    if split is None:
        return None
    keys = [c.key for c in cases]
    return TwoHabits(
        end=end,
        lower_mm=round(split.lower, 1),
        upper_mm=round(split.upper, 1),
        chance=round(split.chance, 4),
        lower_keys=tuple(k for k, b in zip(keys, split.below, strict=True) if b),
        upper_keys=tuple(k for k, b in zip(keys, split.below, strict=True) if not b),
    )


def _distributions(cases: Sequence[CaseMeasured]) -> tuple[Distribution, ...]:
    found = [
        _distribution(name, unit, np.array([v for c in cases if (v := getattr(c, key)) is not None]))
        for name, unit, key in _DISTRIBUTIONS
    ]
    for side in ("right", "left", "anterior", "posterior", "inferior", "superior"):
        values = np.array([c.sides_mm[side] for c in cases if side in c.sides_mm])
        found.append(_distribution(f"Contour outside the draft, {side}", "mm", values))
    return tuple(d for d in found if d is not None)


def _distribution(name: str, unit: str, values: Values) -> Distribution | None:
    if values.size < 2:
        return None
    low, high = median_interval(values)
    quarters = np.percentile(values, (25, 75))
    digits = 3 if not unit else 2
    return Distribution(
        name=name,
        unit=unit,
        count=values.size,
        median=round(float(np.median(values)), digits),
        low=round(low, digits),
        high=round(high, digits),
        deviation=round(qn(values), digits),
        quartiles=(round(float(quarters[0]), digits), round(float(quarters[1]), digits)),
        least=round(float(values.min()), digits),
        greatest=round(float(values.max()), digits),
    )


def _mean_dose(cases: Sequence[CaseMeasured]) -> Agreement | None:
    pairs = np.array(
        [(c.contoured_mean_gy, c.draft_mean_gy) for c in cases if None not in (c.contoured_mean_gy, c.draft_mean_gy)], float
    )
    found = bland_altman(*pairs.T) if len(pairs) else None
    if found is None:
        return None
    values = {name: round(getattr(found, name), 4) for name in Agreement.model_fields if name != "count"}
    return Agreement(count=found.count, **values)


def _precision(cases: Sequence[CaseMeasured]) -> tuple[Precision, ...]:
    slice_mm = float(np.median([c.slice_spacing_mm for c in cases])) if cases else 0.0
    ends = [_ends(cases, end) for end in _ENDS]
    spreads = [qn(spread_in_slices(e, slice_mm)) if len(cases) >= 3 else None for e in ends]
    found = []
    for n in _CASES:
        low, high = wilson(_FALSE_FLAGS * n, n)
        upper, lower = (None if s is None else round(median_half_width(s, n), 1) for s in spreads)
        found.append(
            Precision(
                cases=n, upper_end_mm=upper, lower_end_mm=lower,
                false_flags_low_percent=round(100 * low, 1), false_flags_high_percent=round(100 * high, 1),
            )
        )  # fmt: skip
    return tuple(found)


def _notes(report: CommissioningReport) -> tuple[str, ...]:
    """What a reader must know that no table says."""
    notes = []
    n = len(report.cases)
    if n < LEAST_CASES:
        notes.append(
            f"{n} contours are too few for a habit or for limits: at least {LEAST_CASES} with a trusted draft are needed. The protocol that was "
            "written keeps the limits that ship, and ends are judged by what schools differ."
        )
    notes += [
        f"The {habit.end} end follows two habits: {len(habit.lower_keys)} contours end {habit.lower_mm:+.0f} mm and {len(habit.upper_keys)} end "
        f"{habit.upper_mm:+.0f} mm from the draft (one habit splits so clearly {100 * habit.chance:.1f} % of the time). No habit was written for "
        "it. Find out what tells them apart (planner, date, site), and commission each part by itself with --only or --without."
        for habit in report.two_habits
    ]
    own = sum(c.kind == "own_draft" for c in report.left_out)
    if own:
        notes.append(
            f"{own} contours were drawn by rtqc itself and left out: agreement with oneself is no evidence. Commission on contours from before its use."
        )
    if report.other_protocols:
        others = ", ".join(f"{name} ({count})" for name, count in report.other_protocols.items())
        notes.append(
            f"The protocol extends {report.base_protocol}; other plans of the archive are judged by {others} when nobody names a protocol. "
            f"Its dose constraints are those of {report.base_protocol}: for the other sites commission with --protocol."
        )
    return tuple(notes)
