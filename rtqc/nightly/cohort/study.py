"""The study of the thesis on a clinic's own store: how well contours and drafts agree, how often they do not, and whose fault it is.

After Zeleznik et al. (npj Digit Med 4, 43, 2021): median Dice with quartiles, failures (Dice under 0.85), volume and mean heart dose against each
other, and the failures sorted by what a reviewer found.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from rtqc.nightly.cohort.statistics import BlandAltman, bland_altman, wilson
from rtqc.nightly.store import Acknowledgement, Row

#: Failure limit of the study.
FAILURE_DICE = 0.85
#: What reviewers say -> what it is called.
OUTCOMES = {"contour": "contour error", "model": "model failure", "accepted": "both acceptable", "": "reviewed, not said"}


@dataclass(frozen=True)
class CohortStudy:
    """The numbers.

    Attributes:
        plans: in the store, without repeats.
        compared: of them with a Dice.
        dice: lower quartile, median, upper quartile; None of none.
        failures, failure_interval: number under the limit, and the 95 % interval of their share.
        volume, mean_dose: contour against draft, in ml and Gy.
        reviewed: failures by what their reviewer found; ``not reviewed``: nobody has looked.
        not_compared: why there is no Dice, and how often.
        values: what plots are made of: Dice; volume and mean dose of contour and draft.
    """

    plans: int
    compared: int
    dice: tuple[float, float, float] | None
    failures: int
    failure_interval: tuple[float, float]
    volume: BlandAltman | None
    mean_dose: BlandAltman | None
    reviewed: dict[str, int]
    not_compared: dict[str, int]
    values: dict[str, list[tuple[float, ...]]]


def study_of(rows: Iterable[Row], reviews: dict[str, list[Acknowledgement]]) -> CohortStudy:
    """Work out the study.

    Args:
        rows: current results.
        reviews: of them.
    """
    plans = [r for r in rows if not r.repeats]
    compared = [r for r in plans if r.dice is not None]
    dice = np.array([r.dice for r in compared], float)
    failures = [r for r in compared if r.dice is not None and r.dice < FAILURE_DICE]
    quartiles = np.percentile(dice, (25, 50, 75)) if dice.size else None
    volumes = [
        (r.volume_ml, r.volume_ml * (1 + r.size_difference_percent / 100))
        for r in compared
        if r.volume_ml is not None and r.size_difference_percent is not None
    ]
    doses = [
        (r.mean_dose_gy, r.mean_dose_gy + r.mean_dose_difference_gy)
        for r in compared
        if r.mean_dose_gy is not None and r.mean_dose_difference_gy is not None
    ]
    outcomes = Counter(
        OUTCOMES.get(reviews[r.key][-1].outcome, reviews[r.key][-1].outcome) if r.key in reviews else "not reviewed"
        for r in failures
    )
    return CohortStudy(
        plans=len(plans),
        compared=len(compared),
        dice=(float(quartiles[0]), float(quartiles[1]), float(quartiles[2])) if quartiles is not None else None,
        failures=len(failures),
        failure_interval=wilson(len(failures), len(compared)),
        volume=_agreement(volumes),
        mean_dose=_agreement(doses),
        reviewed=dict(outcomes.most_common()),
        not_compared=dict(Counter(_why(r) for r in plans if r.dice is None).most_common()),
        values={"dice": [(float(d),) for d in dice], "volume": [*volumes], "mean_dose": [*doses]},
    )


def _agreement(pairs: list[tuple[float, float]]) -> BlandAltman | None:
    values = np.array(pairs, float).reshape(-1, 2)
    return bland_altman(values[:, 0], values[:, 1])


def _why(row: Row) -> str:
    return row.reason or row.headline
