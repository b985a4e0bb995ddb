"""Dose constraints with either heart: met, exceeded, not known, or decided by whose contour is right."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from rtqc.core.assessment import ConstraintResult, Tier
from rtqc.dosimetry.dvh import DVH
from rtqc.dosimetry.metric import Metric

#: Part of a structure that must have a dose before a limit may be called met: the rest could hide a volume or dose above it.
#: (AAPM TG-275 asks that the dose grid cover the organs at risk; half a percent is the outermost cells of a coarse grid.)
FULL_COVERAGE = 0.995


class ConstraintLike(Protocol):
    """What is needed of a protocol's constraint (:class:`rtqc.qc.protocol.Constraint`)."""

    @property
    def id(self) -> str: ...
    @property
    def description(self) -> str: ...
    @property
    def structure(self) -> str: ...
    @property
    def metric(self) -> str: ...
    @property
    def eqd2(self) -> bool: ...
    @property
    def tier(self) -> Tier: ...
    @property
    def limit(self) -> float: ...
    @property
    def unit(self) -> str: ...
    @property
    def source(self) -> str: ...
    @property
    def converted_from(self) -> str: ...


@dataclass(frozen=True, eq=False)
class OrganDose:
    """A structure's dose.

    Attributes:
        physical: its DVH; None where the structure is not there.
        eqd2: the same in fractions of 2 Gy; None where the plan's fractions are unknown.
    """

    physical: DVH | None = None
    eqd2: DVH | None = None

    def value(self, metric: str, in_eqd2: bool = False) -> float | None:
        """A metric of it; None where it cannot be told."""
        histogram = self._histogram(in_eqd2)
        return Metric.named(metric).of(histogram) if histogram is not None else None

    def meets(self, metric: str, limit: float, in_eqd2: bool = False, by_proof: bool = False) -> bool | None:
        """Whether a metric is at most a limit; None where it is not known.

        A structure without dose in a part of it exceeds a limit for sure where it does so with that part counted as 0 Gy. It meets one for sure
        where it does so whatever dose that part has.

        Args:
            metric, limit: of the constraint.
            in_eqd2: whether in fractions of 2 Gy.
            by_proof: whether the latter counts: a lung may leave the dose grid, a heart may not.
        """
        histogram = self._histogram(in_eqd2)
        value = self.value(metric, in_eqd2)
        if histogram is None or value is None:
            return None
        if histogram.covered_share >= FULL_COVERAGE:
            return value <= limit
        least, most = (Metric.named(metric).of(histogram.with_uncovered(gy)) for gy in (0.0, math.inf))
        if least is not None and least > limit:
            return False
        return True if by_proof and most is not None and most <= limit else None

    def _histogram(self, in_eqd2: bool) -> DVH | None:
        return self.eqd2 if in_eqd2 else self.physical


def evaluate(
    constraints: Iterable[ConstraintLike],
    heart: OrganDose,
    draft: OrganDose,
    others: Mapping[str, OrganDose] | None = None,
    draft_errors: Mapping[str, float] | None = None,
) -> tuple[ConstraintResult, ...]:
    """Every constraint with both hearts; None where a value is unknown.

    An outcome flips where a limit is met with one heart and exceeded with the other, and the two values differ by more than the draft's own
    error. The question is whether the contour may be right: if it is, the draft lies within its error of it, wherever the limit
    is. Within the error nothing is said against the contour, however close the limit; beyond it the contour's value does not stand, and the
    best other one is on the other side of the limit.

    Args:
        constraints: of the protocol.
        heart, draft: dose to the contoured heart and to the draft.
        others: dose to the structures that constraints name, by that name; they have no draft.
        draft_errors: how far off the draft's values may be, by the constraint's id; none is known of one that is not there.
    """
    results = []
    for c in constraints:
        organs = (heart, draft) if not c.structure else ((others or {}).get(c.structure, OrganDose()), OrganDose())
        values = [organ.value(c.metric, c.eqd2) for organ in organs]
        met = [organ.meets(c.metric, c.limit, c.eqd2, by_proof=bool(c.structure)) for organ in organs]
        error = (draft_errors or {}).get(c.id) if not c.structure else None
        results.append(
            ConstraintResult(
                id=c.id,
                description=c.description,
                structure=c.structure,
                metric=c.metric,
                eqd2=c.eqd2,
                tier=c.tier,
                limit=c.limit,
                unit=c.unit,
                source=c.source,
                converted_from=c.converted_from,
                contoured=values[0],
                draft=values[1],
                draft_error=error,
                contoured_met=met[0],
                draft_met=met[1],
                outcome_flips=_opposed(met[0], met[1]) and _differ(values[0], values[1], error),
            )
        )
    return tuple(results)


def _differ(contoured: float | None, drafted: float | None, draft_error: float | None) -> bool:
    """Whether two values differ by more than the draft may be off."""
    return contoured is not None and drafted is not None and abs(contoured - drafted) > (draft_error or 0.0)


def _opposed(contoured_met: bool | None, draft_met: bool | None) -> bool:
    """Whether a limit is met with one heart and exceeded with the other; not where either is not known."""
    return contoured_met is not None and draft_met is not None and contoured_met != draft_met
