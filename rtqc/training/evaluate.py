"""How good a model is on plans with a contoured heart, alone or beside another one."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict
from scipy.stats import spearmanr, t

from rtqc.comparison import compare
from rtqc.core import Structure
from rtqc.core.whole_file import whole_file
from rtqc.dosimetry import dvh, metrics_of
from rtqc.heart import Engine, draft_with
from rtqc.training.curate import Patient, SetAside

#: Confidence of the intervals.
_LEVEL = 0.95
#: Directions from the human heart's middle, as columns, rows, slices of the patient (LPS).
_REGIONS = ("right", "left", "anterior", "posterior", "inferior", "superior")


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True)


class CaseResult(_Model):
    """One patient, drafted and compared with his contour; differences are draft minus contour.

    Attributes:
        name: of the patient.
        dice, hausdorff95_mm, mean_surface_distance_mm, surface_dice_3mm: as in ``rtqc compare``; distances are null where no heart was drawn.
        contoured_ml, drafted_ml: volumes.
        upper_end_mm, lower_end_mm: of the draft's last and first slice, positive is higher.
        bias_mm: mean distance of the draft's surface from the contour's, positive outside, by direction from the heart's middle.
        mean_dose_difference_gy: of the mean heart dose; null without a dose.
        predicted_dice: as the model expects it.
        trusted: whether the draft is trusted.
        doubts: why not.
        seconds: for the draft, without loading the model.
    """

    name: str
    dice: float
    hausdorff95_mm: float | None
    mean_surface_distance_mm: float | None
    surface_dice_3mm: float | None
    contoured_ml: float
    drafted_ml: float
    upper_end_mm: float | None
    lower_end_mm: float | None
    bias_mm: dict[str, float]
    mean_dose_difference_gy: float | None
    predicted_dice: float
    trusted: bool
    doubts: tuple[str, ...]
    seconds: float


class ModelResult(_Model):
    """A model on all patients.

    Attributes:
        model, sha256, device: what drew.
        cases: in the order of the patients.
        dice_mean, dice_median, dice_worst, hausdorff95_median_mm: summary; patients without a draft count with Dice 0.
        expected_dice_error: mean of predicted minus true Dice.
        expected_dice_correlation: Spearman's, of predicted and true Dice; null with fewer than three patients or without spread.
    """

    model: str
    sha256: str
    device: str
    cases: tuple[CaseResult, ...]
    dice_mean: float
    dice_median: float
    dice_worst: float
    hausdorff95_median_mm: float | None
    expected_dice_error: float
    expected_dice_correlation: float | None


class Difference(_Model):
    """A metric of the second model minus the first's, paired by patient.

    Attributes:
        metric: name.
        mean: of the differences.
        low, high: 95 % confidence interval of the mean (Student's t); null with fewer than two patients.
        patients: that both models have a value for.
        better: patients with whom the second model is better.
    """

    metric: str
    mean: float
    low: float | None
    high: float | None
    patients: int
    better: int


class Evaluation(_Model):
    """One model, or two side by side."""

    models: tuple[ModelResult, ...]
    differences: tuple[Difference, ...] = ()
    set_aside: tuple[tuple[str, str], ...] = ()


def evaluate_models(
    engines: Sequence[Engine],
    patients: Sequence[Patient],
    aside: Sequence[SetAside] = (),
    progress: Callable[[str, int, int], None] | None = None,
) -> Evaluation:
    """Draft every patient with every model and compare.

    Args:
        engines: one or two loaded models.
        patients: with contoured hearts.
        aside: cases that are no truth, to be listed.
        progress: called with the patient's name, how many drafts are made, and how many there will be.

    Raises:
        ValueError: no patients.
    """
    if not patients:
        raise ValueError("there is no plan with a usable heart contour to measure on")
    results: list[list[CaseResult]] = [[] for _ in engines]
    total = len(engines) * len(patients)
    for patient in patients:
        for number, engine in enumerate(engines):
            if progress:
                progress(patient.name, sum(len(r) for r in results), total)
            results[number].append(_measured(patient, engine))
    models = tuple(_summary(engine, cases) for engine, cases in zip(engines, results, strict=True))
    differences = _differences(models[0], models[1]) if len(models) == 2 else ()
    return Evaluation(models=models, differences=differences, set_aside=tuple((s.name, " ".join(s.reasons)) for s in aside))


def _measured(patient: Patient, engine: Engine) -> CaseResult:
    assert patient.case.image is not None
    began = time.perf_counter()
    draft = draft_with(patient.case.image, engine)
    seconds = time.perf_counter() - began
    human, drawn = patient.heart, draft.structure
    # The draft first: signed distances are of the first one's surface.
    agreement = compare(drawn, human)
    ends: tuple[float | None, float | None] = (None, None)
    if not drawn.is_empty:
        ends = (
            round(float(drawn.positions_mm[-1] - human.positions_mm[-1]), 2),
            round(float(drawn.positions_mm[0] - human.positions_mm[0]), 2),
        )
    return CaseResult(
        name=patient.name,
        dice=agreement.dice,
        hausdorff95_mm=agreement.hausdorff95_mm,
        mean_surface_distance_mm=agreement.mean_surface_distance_mm,
        surface_dice_3mm=agreement.surface_dice_3mm,
        contoured_ml=round(human.volume_ml, 1),
        drafted_ml=round(drawn.volume_ml, 1),
        upper_end_mm=ends[0],
        lower_end_mm=ends[1],
        bias_mm={r.name: round(r.signed_distance_mm, 2) for r in agreement.regions if r.name in _REGIONS},
        mean_dose_difference_gy=_mean_dose_difference(patient, drawn),
        predicted_dice=draft.predicted_dice,
        trusted=draft.trusted,
        doubts=draft.doubts,
        seconds=round(seconds, 2),
    )


def _mean_dose_difference(patient: Patient, drawn: Structure) -> float | None:
    dose = patient.case.dose
    if dose is None or drawn.is_empty:
        return None
    with_draft, with_contour = (metrics_of(dvh(s, dose)).mean_gy for s in (drawn, patient.heart))
    return None if with_draft is None or with_contour is None else round(with_draft - with_contour, 3)


def _summary(engine: Engine, cases: Sequence[CaseResult]) -> ModelResult:
    dice = np.array([c.dice for c in cases])
    predicted = np.array([c.predicted_dice for c in cases])
    distances = [c.hausdorff95_mm for c in cases if c.hausdorff95_mm is not None]
    spread = len(cases) > 2 and np.ptp(dice) > 0 and np.ptp(predicted) > 0
    return ModelResult(
        model=engine.manifest.name,
        sha256=engine.manifest.sha256,
        device=engine.device,
        cases=tuple(cases),
        dice_mean=round(float(dice.mean()), 4),
        dice_median=round(float(np.median(dice)), 4),
        dice_worst=round(float(dice.min()), 4),
        hausdorff95_median_mm=round(float(np.median(distances)), 2) if distances else None,
        expected_dice_error=round(float((predicted - dice).mean()), 4),
        expected_dice_correlation=round(float(spearmanr(predicted, dice).statistic), 3) if spread else None,
    )


def _differences(first: ModelResult, second: ModelResult) -> tuple[Difference, ...]:
    found = []
    for metric, larger_is_better in (
        ("dice", True),
        ("surface_dice_3mm", True),
        ("hausdorff95_mm", False),
        ("mean_surface_distance_mm", False),
        ("seconds", False),
    ):
        pairs = [(getattr(a, metric), getattr(b, metric)) for a, b in zip(first.cases, second.cases, strict=True)]
        values = np.array([b - a for a, b in pairs if a is not None and b is not None])
        if not values.size:
            continue
        low, high = confidence_interval(values)
        better = int((values > 0).sum() if larger_is_better else (values < 0).sum())
        found.append(
            Difference(
                metric=metric, mean=round(float(values.mean()), 4), low=low, high=high, patients=values.size, better=better
            )
        )
    return tuple(found)


def confidence_interval(values: np.ndarray) -> tuple[float | None, float | None]:
    """95 % confidence interval of a mean, by Student's t.

    >>> confidence_interval(np.array([1.0, 2.0, 3.0, 4.0, 5.0]))
    (1.0368, 4.9632)
    """
    if values.size < 2:
        return None, None
    half = float(t.ppf((1 + _LEVEL) / 2, values.size - 1) * values.std(ddof=1) / np.sqrt(values.size))
    return round(float(values.mean()) - half, 4), round(float(values.mean()) + half, 4)


def plot(evaluation: Evaluation, path: Path) -> None:
    """Predicted against true Dice, and the bias by region, as SVG.

    Args:
        evaluation: of one or two models.
        path: written whole.
    """
    colours = ("#0b57a4", "#b3261e")
    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="-60 -40 1000 460" font-family="sans-serif" font-size="13">',
        '<rect x="-60" y="-40" width="1000" height="460" fill="#fff"/>',
        '<path d="M0 0v360h360M0 360L360 0" fill="none" stroke="#57606a"/>',
        '<text x="180" y="400" text-anchor="middle">true Dice</text>',
        '<text x="-44" y="180" text-anchor="middle" transform="rotate(-90 -44 180)">predicted Dice</text>',
        '<path d="M480 180h440M480 0v360" fill="none" stroke="#57606a"/>',
        '<text x="700" y="400" text-anchor="middle">draft outside (+) or inside (−) the contour, mm</text>',
    ]
    least = min(0.8, *(min(c.dice, c.predicted_dice) for m in evaluation.models for c in m.cases))
    for tick in (least, 1.0):
        at = 360 * (tick - least) / (1 - least)
        parts.append(f'<text x="{at:.0f}" y="378" text-anchor="middle">{tick:.2f}</text>')
        parts.append(f'<text x="-6" y="{364 - at:.0f}" text-anchor="end">{tick:.2f}</text>')
    every = [abs(v) for m in evaluation.models for c in m.cases for v in c.bias_mm.values()]
    reach = max([*every, 1.0])
    parts += [f'<text x="474" y="{184 - 176 * v / reach:.0f}" text-anchor="end">{v:+.1f}</text>' for v in (reach, -reach)]
    for number, model in enumerate(evaluation.models):
        colour = colours[number]
        label = model.model.replace("&", "&amp;").replace("<", "&lt;")
        parts.append(f'<text x="10" y="{-22 + 16 * number}" fill="{colour}">{"●◆"[number]} {label}</text>')
        for case in model.cases:
            x, y = (360 * (v - least) / (1 - least) for v in (case.dice, case.predicted_dice))
            parts.append(f'<circle cx="{x:.1f}" cy="{360 - y:.1f}" r="5" fill="none" stroke="{colour}" stroke-width="2"/>')
            for n, region in enumerate(_REGIONS):
                if region in case.bias_mm:
                    height = 180 - 176 * case.bias_mm[region] / reach
                    x = 520 + 70 * n + 16 * number
                    parts.append(f'<circle cx="{x}" cy="{height:.1f}" r="5" fill="none" stroke="{colour}" stroke-width="2"/>')
    parts += [f'<text x="{528 + 70 * n}" y="378" text-anchor="middle">{region}</text>' for n, region in enumerate(_REGIONS)]
    with whole_file(path) as file:
        file.write(("\n".join([*parts, "</svg>"]) + "\n").encode("utf-8"))
