"""Rules about dose constraints: an acceptable limit exceeded is a fail, an ideal one a warning, one that depends on the contour a question."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rtqc.core.assessment import ConstraintResult
from rtqc.core.substructures import resolved
from rtqc.core.wording import listed
from rtqc.dosimetry import FULL_COVERAGE, Metric, why_no_eqd2
from rtqc.qc.agreement_rules import worst_slices
from rtqc.qc.measurements import Measurements
from rtqc.qc.protocol import Limit, Limits
from rtqc.qc.rule import Hit, rule, with_error


def _limit(c: ConstraintResult) -> Limit:
    return Limit(value=c.limit, unit=c.unit, source=c.source)


def _structures(c: ConstraintResult) -> tuple[str, ...]:
    return (c.structure,) if c.structure else ()


def _flipping(m: Measurements, tier: str) -> Iterator[Hit]:
    where = worst_slices(m.agreement) if m.agreement is not None else ()
    for c in m.constraints:
        if c.outcome_flips and c.tier == tier and c.contoured is not None and c.draft is not None:
            words = ("met", "exceeded") if c.contoured_met else ("exceeded", "met")
            yield Hit(
                f"{c.description}: the {tier} limit of {c.limit:g} {c.unit} is {words[0]} with the contour ({c.contoured:.2f} {c.unit}) but {words[1]} with the draft ({with_error(c.draft, c.draft_error, c.unit)}).",
                where,
                c.draft,
                _limit(c),
            )


@rule(
    "constraint.flips",
    "fail",
    "estimate",
    "An acceptable dose limit is met with one heart and exceeded with the other, and the draft's own error does not explain it.",
    "trusted_draft",
)
def constraint_flips(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """The contour decides about the plan."""
    return _flipping(m, "acceptable")


@rule(
    "constraint.flips_ideal",
    "warning",
    "estimate",
    "An ideal dose limit is met with one heart and exceeded with the other, and the draft's own error does not explain it.",
    "trusted_draft",
)
def constraint_flips_ideal(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """The contour decides whether somebody must look."""
    return _flipping(m, "ideal")


@rule(
    "constraint.near_limit",
    "info",
    "estimate",
    "A dose limit is met with one heart and exceeded with the other, but they differ by no more than the draft's own error.",
    "trusted_draft",
)
def constraint_near_limit(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """What would be a flip if the draft were exact; the contour's value stands."""
    for c in m.constraints:
        if c.outcome_flips or c.contoured is None or c.draft is None or None in (c.contoured_met, c.draft_met):
            continue
        if c.contoured_met != c.draft_met:
            yield Hit(
                f"{c.description} is near its {c.tier} limit of {c.limit:g} {c.unit}: {c.contoured:.2f} {c.unit} with the contour, {with_error(c.draft, c.draft_error, c.unit)} with the draft. The draft's error explains the difference.",
                measured=c.draft,
                limit=_limit(c),
            )


@rule("constraint.exceeded", "fail", "fact", "An acceptable dose limit is exceeded with the contour.")
def constraint_exceeded(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """The plan by its own contour."""
    for c in m.constraints:
        if c.tier == "acceptable" and c.contoured_met is False and c.contoured is not None:
            yield _above(c, "acceptable")


@rule("constraint.above_ideal", "warning", "fact", "An ideal dose limit is exceeded with the contour, and no acceptable one.")
def constraint_above_ideal(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """Between the two limits, or where there is only an ideal one."""
    failed = [c for c in m.constraints if c.tier == "acceptable" and c.contoured_met is False]
    for c in m.constraints:
        if (
            c.tier == "ideal"
            and c.contoured_met is False
            and c.contoured is not None
            and not any(implies(f, c) for f in failed)
        ):
            yield _above(c, "ideal")


def _above(c: ConstraintResult, tier: str) -> Hit:
    return Hit(
        f"{c.description} is {c.contoured:.2f} {c.unit} with the contour, above the {tier} limit of {c.limit:g} {c.unit}.",
        measured=c.contoured,
        limit=_limit(c),
        structures=_structures(c),
    )


def implies(failed: ConstraintResult, ideal: ConstraintResult) -> bool:
    """Whether whoever exceeds the one limit must exceed the other too: then the other is not worth a sentence of its own.

    More than 5 % at 25 Gy is more than 5 % at 20 Gy.
    """
    if (failed.structure, failed.eqd2) != (ideal.structure, ideal.eqd2) or ideal.limit > failed.limit:
        return False
    one, other = Metric.named(failed.metric), Metric.named(ideal.metric)
    if failed.metric == ideal.metric:
        return True
    volumes = one.unit == other.unit and one.unit in ("%", "ml") and one.at is not None and other.at is not None
    return volumes and one.at is not None and other.at is not None and other.at <= one.at


@rule("constraint.not_assessed", "warning", "fact", "A dose constraint could not be checked.")
def constraint_not_assessed(m: Measurements, limits: Limits) -> Iterable[Hit]:
    """A structure that is not there, or a dose that cannot be told. Without a heart or a dose, and of a heart without dose in a part of it, other findings say so."""
    seen: set[str] = set()
    for c in m.constraints:
        if c.contoured_met is not None or (not c.structure and (m.heart is None or c.contoured is not None)):
            continue
        why = _why_not(c, m)
        # One sentence for all limits of a structure that cannot be checked for one reason.
        if f"{c.structure} {why}" in seen:
            continue
        seen.add(f"{c.structure} {why}")
        yield Hit(f"{c.description} could not be checked: {why}.", limit=_limit(c), structures=_structures(c))


def _why_not(c: ConstraintResult, m: Measurements) -> str:
    structures = m.case.structures
    there = resolved(c.structure, structures) if c.structure else None
    if c.structure and there is None:
        names = listed(sorted(structures), most=12) or "none"
        return (
            f"there is no structure '{c.structure}' (the structures: {names}). Contour it, or change its name in the protocol"
        )
    if there is not None and structures[there].is_empty:
        return f"'{there}' has no contours. Contour it"
    if c.contoured is not None:
        return f"less than {100 * FULL_COVERAGE:g} % of '{there}' has a dose, and the rest may decide. Calculate the dose on a larger grid"
    if c.eqd2:
        return f"it is in fractions of 2 Gy, and {why_no_eqd2(m.case) or 'there is no dose'}"
    return "no part of the structure has a dose. Calculate the dose on a larger grid"
