"""Dose constraints with either heart: met, exceeded, or decided by whose contour is right."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from rtqc.core.assessment import ConstraintResult, DoseMetrics


class ConstraintLike(Protocol):
    """What is needed of a protocol's constraint (:class:`rtqc.qc.protocol.Constraint`)."""

    @property
    def id(self) -> str: ...
    @property
    def description(self) -> str: ...
    @property
    def metric(self) -> str: ...
    @property
    def limit(self) -> float: ...
    @property
    def unit(self) -> str: ...
    @property
    def source(self) -> str: ...


def evaluate(
    constraints: Iterable[ConstraintLike], contoured: DoseMetrics | None, draft: DoseMetrics | None
) -> tuple[ConstraintResult, ...]:
    """Every constraint with both hearts; None where a value is unknown."""
    results = []
    for c in constraints:
        values = [getattr(metrics, c.metric) if metrics is not None else None for metrics in (contoured, draft)]
        met = [None if v is None else v <= c.limit for v in values]
        results.append(
            ConstraintResult(
                id=c.id,
                description=c.description,
                metric=c.metric,
                limit=c.limit,
                unit=c.unit,
                source=c.source,
                contoured=values[0],
                draft=values[1],
                contoured_met=met[0],
                draft_met=met[1],
                outcome_flips=None not in met and met[0] != met[1],
            )
        )
    return tuple(results)
