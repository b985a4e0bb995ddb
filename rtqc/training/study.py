"""From curated patients to a model: cross-validation by patient, then one network of all, then the model folder."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rtqc.core.whole_file import whole_file
from rtqc.heart.confidence import predicted_dice
from rtqc.heart.manifest import Calibration, Manifest
from rtqc.training.calibrate import BAD_DICE, calibrated
from rtqc.training.card import card_text
from rtqc.training.curate import Patient, SetAside
from rtqc.training.export import export_model
from rtqc.training.judged import Judgements, with_levels
from rtqc.training.pictures import learning_curves, worst_cases
from rtqc.training.runner import Budget, LeftOut, Progress, Runner, StudyError, fold_parts, weights_of
from rtqc.training.samples import Sample, chest_sample, real_sample, synthetic_sample
from rtqc.training.settings import Settings

__all__ = [
    "FIRST_SEED",
    "Budget",
    "LeftOut",
    "Origin",
    "StudyError",
    "fold_parts",
    "make_samples",
    "train_model",
    "weights_of",
]

#: Seeds of the synthetic patients that are trained on; tests and demo use none of them.
FIRST_SEED = 1000


@dataclass(frozen=True)
class Origin:
    """What a model folder must say about where it comes from.

    Attributes:
        attribution, licence: as the data's licences ask for.
        created: date, ISO.
    """

    attribution: str = ""
    licence: str = ""
    created: str = ""


def train_model(
    patients: Sequence[Patient],
    aside: Sequence[SetAside],
    settings: Settings,
    work: Path,
    out: Path,
    *,
    budget: Budget = Budget(),
    origin: Origin = Origin(),
    judgements: Judgements = Judgements(),
    progress: Progress | None = None,
) -> tuple[Manifest, list[LeftOut]]:
    """Cross-validate, train the final network, and write the model folder.

    Args:
        patients: that may teach; none is allowed where there are synthetic ones.
        aside: cases that may not; they stand in the card.
        settings: the recipe.
        work: checkpoints, fold models, learning curves and pictures of the worst cases; never part of the model.
        out: the model folder.
        budget, origin: see there.
        judgements: what was read by eye in these and other patients.
        progress: called with what is trained, iteration, total and smoothed loss.

    Returns:
        The manifest, and each patient as drafted by a model that has not seen him.

    Raises:
        StudyError: nothing to learn from, or a work folder of another study.
    """
    if not patients and not settings.synthetic:
        raise StudyError(
            "there is nothing to learn from: no plan with a usable heart contour was found; add some, or --synthetic N"
        )
    _same_study(work, settings, [*(p.name for p in patients), *(s.name for s in judgements.samples)], budget.resume)
    start = weights_of(budget.start, settings) if budget.start is not None else None
    samples = make_samples(patients, settings, judgements)
    parts = fold_parts(patients, settings.folds)
    run = Runner(settings, work, budget, start, progress, parts)
    net, left_out = run.networks(patients, samples)
    trials = run.trials(patients, net)
    calibration, limit, reliability = calibrated(trials) if trials else (None, BAD_DICE, None)
    if calibration is not None:
        left_out = [_recalibrated(r, calibration) for r in left_out]
    worst_cases([(r.patient, r.draft, r.agreement) for r in left_out], work)
    learning_curves(run.curves, work / "learning-curves.svg")
    names = tuple(p.name for p in patients)
    names += tuple(f"{s.name} (no contour: a draft that was judged by eye)" for s in judgements.samples)
    names += (f"{settings.synthetic} synthetic patients (rtqc.phantom)",) if settings.synthetic else ()
    card = card_text(settings, left_out, aside, origin.attribution, FIRST_SEED, [p.name for p in patients], reliability)
    manifest = export_model(
        net, settings, out, training_data=names, attribution=origin.attribution, licence=origin.licence, created=origin.created, card=card,
        calibration=calibration, trusted_dice=limit,
    )  # fmt: skip
    return manifest, left_out


def _recalibrated(result: LeftOut, calibration: Calibration) -> LeftOut:
    """What the finished model would expect of the draft: the fold's own model had no calibration yet."""
    if not result.draft.signs:
        return result
    return replace(result, draft=replace(result.draft, predicted_dice=predicted_dice(result.draft.signs, calibration)))


def _same_study(work: Path, settings: Settings, names: Sequence[str], resume: bool) -> None:
    """A work folder belongs to one recipe and one set of patients: mixing checkpoints of two would show patients to their own test."""
    described = json.dumps({"settings": settings.model_dump(mode="json"), "patients": list(names)}, indent=1, default=str)
    path = work / "study.json"
    if resume:
        if not path.is_file():
            raise StudyError(f"there is nothing to resume in {work}: start without --resume")
        if path.read_text(encoding="utf-8") != described:
            raise StudyError(
                f"{work} holds a study with other settings or other patients: start without --resume, or in another --out"
            )
    elif work.exists() and (any(work.glob("*/checkpoint.pt")) or (work / "final.pt").exists()):
        raise StudyError(f"{work} holds an earlier study: go on with --resume, or remove it")
    with whole_file(path) as file:
        file.write(described.encode("utf-8"))


def make_samples(patients: Sequence[Patient], settings: Settings, judgements: Judgements = Judgements()) -> list[Sample]:
    """Real samples, then judged, then synthetic ones, on the model's grid."""
    real = [real_sample(p.name, p.case.image, p.heart, settings.spacing_mm) for p in patients if p.case.image is not None]
    if settings.heights:
        real = [with_levels(s, judgements.readings.get(s.name)) for s in real]
    synthetic = chest_sample if settings.phantom == "chest" else synthetic_sample
    made = [synthetic(FIRST_SEED + n, settings.spacing_mm) for n in range(settings.synthetic)]
    return [*real, *judgements.samples, *made]
