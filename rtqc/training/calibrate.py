"""What a model's signs are worth: fitted on drafts of difficult cases that it has not seen, judged by leaving patients out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion, distance_transform_edt
from scipy.stats import spearmanr

from rtqc.core.grid import Grid
from rtqc.core.whole_file import whole_file
from rtqc.heart import Draft, Engine, draft_with
from rtqc.heart.confidence import SIGNS, logit, predicted_dice
from rtqc.heart.manifest import Calibration
from rtqc.training.stress import AND, GROUPS, Hard

#: A draft with a lower Dice than this must not be trusted.
BAD_DICE = 0.85
#: Part of the bad drafts that must be caught.
_CAUGHT = 0.95
#: A lower Dice than this is as bad as this one: how bad exactly must not bend the fit.
_HOPELESS = 0.5
#: Strength of the ridge that keeps weights of related signs small.
_RIDGE = 1.0
_LIMITS = (0.75, 0.95)
#: Ends that a factor is measured on, at least.
_LEAST_ENDS = 20


@dataclass(frozen=True)
class Trial:
    """One difficult case, drafted.

    Attributes:
        patient: whose case it is; trials of one patient are never parted between fitting and judging.
        kind: what was done to it.
        dice: true Dice; 0 where no heart was drawn.
        signs: of the draft; empty where no heart was drawn.
        doubtful: whether the draft is not trusted for another reason than its predicted Dice.
        surface: true distance over estimated uncertainty, at points of the draft's surface.
        ends: true distance over estimated deviation of upper and lower end; None where the image cuts one off.
    """

    patient: str
    kind: str
    dice: float
    signs: dict[str, float]
    doubtful: bool
    surface: NDArray[np.float32]
    ends: tuple[float | None, float | None] = (None, None)


@dataclass(frozen=True)
class Reliability:
    """How well the predicted Dice tells good drafts from bad ones.

    Attributes:
        cases, bad: number of trials, and of those with a Dice under :data:`BAD_DICE`.
        correlation: Spearman's, of predicted and true Dice.
        caught: part of the bad drafts that are not trusted.
        false_alarms: part of the good drafts that are not trusted.
        mean_error: of the predicted Dice, over drafts that exist.
        across: the same with synthetic cases judged by a fit on real ones only, and the other way round; None without both.
    """

    cases: int
    bad: int
    correlation: float
    caught: float
    false_alarms: float
    mean_error: float
    across: Reliability | None = None


def tried(patient: str, hard: Hard, engine: Engine) -> Trial:
    """Draft a difficult case and measure the draft."""
    draft = draft_with(hard.image, engine)
    if draft.structure.is_empty:
        return Trial(patient, hard.kind, 0.0 if hard.heart.any() else 1.0, {}, True, np.zeros(0, np.float32))
    drawn = draft.mask.array
    dice = float(2 * (drawn & hard.heart).sum() / (drawn.sum() + hard.heart.sum()))
    others = [d for d in draft.doubts if not d.startswith("the expected Dice")]
    return Trial(patient, hard.kind, dice, dict(draft.signs), bool(others), _surface(draft, hard), _ends(draft, hard))


def _ends(draft: Draft, hard: Hard) -> tuple[float | None, float | None]:
    inside = np.flatnonzero(hard.heart.any(axis=(1, 2)))
    if draft.ends is None or not inside.size:
        return None, None
    slabs = hard.image.grid.slab_bounds_mm
    true = (float(slabs[inside[-1], 1]), float(slabs[inside[0], 0]))
    seen = (inside[-1] < len(slabs) - 1, inside[0] > 0)
    found = (draft.ends.upper, draft.ends.lower)
    upper, lower = (
        round(abs(end.z_mm - z) / end.deviation_mm, 3) if end is not None and s else None
        for end, z, s in zip(found, true, seen, strict=True)
    )
    return upper, lower


def _surface(draft: Draft, hard: Hard, points: int = 200) -> NDArray[np.float32]:
    """Distance to the true surface over the uncertainty, at some voxels of the draft's surface."""
    drawn = draft.mask.array
    if not hard.heart.any() or draft.uncertainty is None:
        return np.zeros(0, np.float32)
    grid: Grid = hard.image.grid
    step = (grid.slice_spacing_mm, *grid.spacing_mm)
    distance = np.where(hard.heart, distance_transform_edt(hard.heart, step), distance_transform_edt(~hard.heart, step))
    edge = np.argwhere(drawn & ~binary_erosion(drawn))
    edge = edge[np.linspace(0, len(edge) - 1, min(points, len(edge))).astype(int)]
    # Both surfaces lie half a voxel beside their voxels' centres.
    away = np.maximum(distance[tuple(edge.T)] - min(step) / 2, 0)
    return np.asarray(away / draft.uncertainty.at(grid.patient_mm(edge)), np.float32)


def write_trials(trials: Sequence[Trial], path: Path) -> None:
    """Keep trials as JSON."""
    rows = [{**t.__dict__, "surface": [round(float(v), 4) for v in t.surface]} for t in trials]
    with whole_file(path) as file:
        file.write(json.dumps(rows).encode("utf-8"))


def read_trials(path: Path) -> list[Trial]:
    """Trials as :func:`write_trials` kept them."""
    rows = json.loads(path.read_text(encoding="utf-8"))
    return [
        Trial(**{**row, "surface": np.array(row["surface"], np.float32), "ends": tuple(row.get("ends", (None, None)))})
        for row in rows
    ]


def calibrated(trials: Sequence[Trial], factor: float = 1.0) -> tuple[Calibration, float, Reliability]:
    """Fit the weights of the signs, and the limit under which a draft is not trusted.

    Args:
        trials: of cases that the model had not seen.
        factor: surface factor that the trials were made with.

    Returns:
        The calibration, the limit, and how well both do on patients and kinds of difficulty that were both left out of the fit.
    """
    unseen = _predicted_elsewhere(trials)
    limit = _limit(trials, unseen)
    surface = np.concatenate([t.surface for t in trials if t.dice > 0.5] or [np.zeros(0, np.float32)])
    measured = float(np.percentile(surface, 68)) * factor if surface.size else 1.0
    calibration = _fitted(trials).model_copy(
        update={
            "surface_factor": round(max(measured, 0.05), 3),
            "ends_factor": (_end_factor(trials, 0), _end_factor(trials, 1)),
            "cases": len(trials),
        }
    )
    judged = reliability(trials, unseen, limit)
    sources = [_is_synthetic(t) for t in trials]
    if all(sources) or not any(sources):
        return calibration, limit, judged
    other = np.zeros(len(trials))
    for synthetic in (False, True):
        fit = _fitted([t for t in trials if _is_synthetic(t) != synthetic])
        _predict([t if _is_synthetic(t) == synthetic else None for t in trials], fit, other)
    return calibration, limit, replace(judged, across=reliability(trials, other, limit))


def _is_synthetic(trial: Trial) -> bool:
    return trial.patient.startswith("synthetic-")


def _predict(trials: Sequence[Trial | None], fit: Calibration, predicted: NDArray[np.float64]) -> None:
    for number, trial in enumerate(trials):
        if trial is not None and trial.signs:
            predicted[number] = predicted_dice(trial.signs, fit)


def _predicted_elsewhere(trials: Sequence[Trial]) -> NDArray[np.float64]:
    """The Dice to be expected of each trial, by a fit that saw neither its patient nor a difficulty like its first one."""
    groups = {t.kind: _group_of(t.kind.split(AND)[0]) for t in trials}
    several = len(set(groups.values())) > 1
    predicted = np.zeros(len(trials))
    for part in _parts(list(dict.fromkeys(t.patient for t in trials))):
        for group in set(groups.values()):
            others = [t for t in trials if t.patient not in part and not (several and group & set(t.kind.split(AND)))]
            judged = [t if t.patient in part and groups[t.kind] == group else None for t in trials]
            if any(judged):
                _predict(judged, _fitted(others), predicted)
    return predicted


def _group_of(kind: str) -> frozenset[str]:
    return next((group for group in GROUPS if kind in group), frozenset({kind}))


def _end_factor(trials: Sequence[Trial], side: int) -> float:
    """True distance over estimated deviation of an end, 68 % of cases within; 1 where there are too few."""
    told = [t.ends[side] for t in trials if t.dice > 0.5]
    ratios = [r for r in told if r is not None]
    return round(max(float(np.percentile(ratios, 68)), 0.3), 2) if len(ratios) >= _LEAST_ENDS else 1.0


def reliability(trials: Sequence[Trial], predicted: NDArray[np.float64], limit: float) -> Reliability:
    """Judge predicted Dice values of trials."""
    dice = np.array([t.dice for t in trials])
    trusted = (predicted >= limit) & ~np.array([t.doubtful for t in trials])
    bad = dice < BAD_DICE
    exists = np.array([bool(t.signs) for t in trials])
    return Reliability(
        cases=len(trials),
        bad=int(bad.sum()),
        correlation=round(float(spearmanr(predicted, dice).statistic), 3) if len(trials) > 2 else float("nan"),
        caught=round(float((bad & ~trusted).sum() / max(int(bad.sum()), 1)), 3),
        false_alarms=round(float((~bad & ~trusted).sum() / max(int((~bad).sum()), 1)), 3),
        mean_error=round(float(np.abs(predicted - dice)[exists].mean()), 3) if exists.any() else float("nan"),
    )


def _parts(patients: Sequence[str], count: int = 5) -> Iterable[set[str]]:
    number = min(count, len(patients))
    return [set(patients[k::number]) for k in range(number)]


def _fitted(trials: Sequence[Trial]) -> Calibration:
    """Ridge regression of the Dice's logit on the signs and their squares."""
    drawn = [t for t in trials if t.signs]
    count = len(SIGNS)
    if len(drawn) < 2:
        own = [1.0 if name == "probabilities" else 0.0 for name in SIGNS]
        return Calibration(signs=SIGNS, ranges=((-10.0, 10.0),) * count, weights=(*own, *[0.0] * (count + 1)))
    signs = np.array([[t.signs[name] for name in SIGNS] for t in drawn])
    x = np.concatenate([signs, signs**2], axis=1)
    y = np.array([logit(max(t.dice, _HOPELESS)) for t in drawn])
    middle, scale = x.mean(axis=0), np.maximum(x.std(axis=0), 1e-3)
    z = (x - middle) / scale
    slope = np.linalg.solve(z.T @ z + _RIDGE * np.eye(2 * count), z.T @ (y - y.mean())) / scale
    ranges = tuple((round(float(low), 4), round(float(high), 4)) for low, high in zip(signs.min(0), signs.max(0), strict=True))
    weights = (*slope, y.mean() - slope @ middle)
    return Calibration(signs=SIGNS, ranges=ranges, weights=tuple(round(float(w), 5) for w in weights))


def _limit(trials: Sequence[Trial], predicted: NDArray[np.float64]) -> float:
    """The lowest limit that catches enough of the bad drafts that nothing else catches."""
    left = np.sort([p for t, p in zip(trials, predicted, strict=True) if t.dice < BAD_DICE and not t.doubtful])
    bad = sum(t.dice < BAD_DICE for t in trials)
    allowed = int(bad * (1 - _CAUGHT))
    if left.size <= allowed:
        return _LIMITS[0]
    return float(np.clip(round(left[left.size - 1 - allowed] + 0.001, 3), *_LIMITS))
