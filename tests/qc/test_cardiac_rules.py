"""Calcium beside the dose."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rtqc.core import Case
from rtqc.core.assessment import ConstraintResult
from rtqc.core.cardiac import Calcium, Cardiac
from rtqc.heart import Draft
from rtqc.qc import Measurements, load_protocol, run_rules


def calcium(score: float, name: str) -> Cardiac:
    found = Calcium(
        agatston=score, volume_mm3=0, calcium_class=name, cac_drs="A3/N1", by_vessel={}, threshold_hu=130, kvp=120, noise_hu=10, smoothed_mm=0,
    )  # type: ignore[arg-type]  # fmt: skip
    return Cardiac(calcium=found)


def constraint(value: float, metric: str = "mean_gy", structure: str = "") -> ConstraintResult:
    return ConstraintResult(
        id="x",
        description="Mean heart dose",
        structure=structure,
        metric=metric,
        limit=4.0,
        unit="Gy",
        source="s",
        contoured=value,
    )


@pytest.mark.parametrize(
    ("cardiac", "result", "said"),
    [
        (calcium(450, ">300"), constraint(5.0), True),
        (calcium(450, ">300"), constraint(3.9), False),
        (calcium(300, "101-300"), constraint(5.0), False),
        (calcium(450, ">300"), constraint(50.0, "v25_gy_percent"), False),
        (calcium(450, ">300"), constraint(50.0, structure="Lungs"), False),
        (None, constraint(5.0), False),
    ],
)
def test_much_calcium_and_much_dose_are_said_together(
    cardiac: Cardiac | None, result: ConstraintResult, said: bool, clean_case: Case, clean_draft: Draft
) -> None:
    measurements = replace(Measurements(clean_case, draft=clean_draft), constraints=(result,), cardiac=cardiac)
    found = run_rules(measurements, load_protocol(), only=frozenset({"cardiac.calcium_and_dose"}))
    assert bool(found) == said
    if said:
        assert found[0].severity == "info"
        assert "450" in found[0].message
        assert "5.00 Gy" in found[0].message
