"""Limits in two tiers, and what is known of a structure that has no dose in a part of it."""

from __future__ import annotations

import numpy as np
import pytest

from rtqc.dosimetry import DVH, Metric, OrganDose, evaluate
from rtqc.qc.protocol import Constraint


def heart(*parts: tuple[float, float], volume_ml: float = 100.0) -> OrganDose:
    """Parts of a heart as (dose in Gy, ml), ascending; the rest of its volume has no dose."""
    gy, ml = (np.array(values) for values in zip(*parts, strict=True))
    return OrganDose(DVH("Heart", gy, ml, np.zeros(len(parts)), volume_ml, float(ml.sum()) / volume_ml))


def constraint(metric: str, limit: float, **more: object) -> Constraint:
    unit = Metric.named(metric).unit
    return Constraint.model_validate(
        {"id": metric, "description": metric, "metric": metric, "limit": limit, "unit": unit, "source": "test"} | more
    )


def outcome(organ: OrganDose, metric: str, limit: float) -> bool | None:
    return evaluate([constraint(metric, limit)], organ, OrganDose())[0].contoured_met


def test_a_heart_without_dose_in_a_quarter_of_it_meets_no_limit() -> None:
    """24 ml without dose: they may have any."""
    organ = heart((1.0, 70.0), (30.0, 6.0))
    for metric, limit in (
        ("mean_gy", 4.0),
        ("v20_gy_percent", 10.0),
        ("v30_gy_percent", 50.0),
        ("d0_03cc_gy", 40.0),
        ("v20_gy_ml", 30.0),
    ):
        assert outcome(organ, metric, limit) is None, metric


@pytest.mark.parametrize(
    ("metric", "surely"),
    [
        # With 24 ml at 0 Gy: (70 x 1 + 6 x 30) / 100 Gy, 6 of 100 ml, 6 ml, and the hottest 0.03 ml that are known.
        ("mean_gy", 2.5),
        ("v20_gy_percent", 6.0),
        ("v20_gy_ml", 6.0),
        ("d0_03cc_gy", 30.0),
        ("max_gy", 30.0),
        # The hottest 6 of 100 ml, not of 76.
        ("d6_percent_gy", 30.0),
        ("d7_percent_gy", 1.0),
    ],
)
def test_what_exceeds_a_limit_with_the_rest_at_nothing_exceeds_it_for_sure(metric: str, surely: float) -> None:
    organ = heart((1.0, 70.0), (30.0, 6.0))
    assert outcome(organ, metric, surely - 0.01) is False
    assert outcome(organ, metric, surely + 0.01) is None


def test_half_a_percent_without_dose_is_the_edge_of_a_grid() -> None:
    assert outcome(heart((1.0, 99.6)), "mean_gy", 4.0) is True
    assert outcome(heart((1.0, 99.4)), "mean_gy", 4.0) is None


def test_a_lung_that_leaves_the_grid_meets_a_limit_that_the_rest_cannot_decide() -> None:
    """20 ml of 100 without dose and 5 ml above 20 Gy: at most 25 %."""
    lung = heart((1.0, 75.0), (30.0, 5.0))
    results = [
        evaluate([constraint("v20_gy_percent", limit, structure="Lung_L")], OrganDose(), OrganDose(), {"Lung_L": lung})[0]
        for limit in (25.1, 24.9, 4.9)
    ]
    assert [r.contoured_met for r in results] == [True, None, False]
    mean = evaluate([constraint("mean_gy", 50.0, structure="Lung_L")], OrganDose(), OrganDose(), {"Lung_L": lung})[0]
    assert mean.contoured_met is None


def test_an_outcome_that_is_not_known_does_not_flip() -> None:
    partly, whole = heart((1.0, 70.0)), heart((5.0, 100.0))
    result = evaluate([constraint("mean_gy", 4.0)], partly, whole)[0]
    assert (result.contoured_met, result.draft_met, result.outcome_flips) == (None, False, False)
    assert evaluate([constraint("mean_gy", 4.0)], heart((1.0, 100.0)), whole)[0].outcome_flips is True


def test_a_result_says_its_tier() -> None:
    results = evaluate([constraint("mean_gy", 4.0, tier="ideal"), constraint("max_gy", 4.0)], OrganDose(), OrganDose())
    assert [r.tier for r in results] == ["ideal", "acceptable"]
    assert [r.contoured_met for r in results] == [None, None]
