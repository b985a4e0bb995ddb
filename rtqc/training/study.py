"""From curated patients to a model: cross-validation by patient, then one network of all, then the model folder."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper

from rtqc.comparison import compare
from rtqc.core import Agreement, Image
from rtqc.core.whole_file import whole_file
from rtqc.heart import Draft, Engine, Model, draft_with, load_model
from rtqc.heart.confidence import predicted_dice
from rtqc.heart.manifest import Calibration, Manifest
from rtqc.training.calibrate import BAD_DICE, Trial, calibrated, read_trials, tried, write_trials
from rtqc.training.card import card_text
from rtqc.training.curate import Patient, SetAside
from rtqc.training.export import export_model
from rtqc.training.learn import has_checkpoint, learn
from rtqc.training.network import HeartNet
from rtqc.training.pictures import learning_curves, worst_cases
from rtqc.training.samples import Sample, real_sample, synthetic_sample
from rtqc.training.settings import Settings
from rtqc.training.stress import hard_cases

#: Seeds of the synthetic patients that are trained on; tests and demo use none of them.
FIRST_SEED = 1000
#: Seeds of the synthetic patients that the confidence is fitted on.
_STRESS_SEED = 7000
#: Difficult cases made of one synthetic patient.
_CASES_A_SYNTHETIC = 5
#: Voxel of the difficult cases, in mm.
_STRESS_SPACING_MM = 3.0
_TRIALS = "trials.json"
#: Part of a time budget that the final model gets; the folds share the rest.
_FINAL_SHARE = 0.6
Progress = Callable[[str, int, int, float], None]


class StudyError(Exception):
    """A study that cannot begin or go on; the message says what to do."""


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


@dataclass(frozen=True)
class LeftOut:
    """A patient drafted by a model that has not seen him."""

    patient: Patient
    draft: Draft
    agreement: Agreement


@dataclass(frozen=True)
class Budget:
    """How the study runs.

    Attributes:
        device: ``cpu`` or ``cuda``.
        minutes: for everything together; None: as long as it takes.
        resume: whether to go on from what the work folder holds.
        start: a model to begin with; None: at random.
        say: called with a sentence where training goes on in another way than the settings say.
    """

    device: str = "cpu"
    minutes: float | None = None
    resume: bool = False
    start: Model | None = None
    say: Callable[[str], None] | None = None


def train_model(
    patients: Sequence[Patient],
    aside: Sequence[SetAside],
    settings: Settings,
    work: Path,
    out: Path,
    *,
    budget: Budget = Budget(),
    origin: Origin = Origin(),
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
    _same_study(work, settings, patients, budget.resume)
    start = weights_of(budget.start, settings) if budget.start is not None else None
    samples = make_samples(patients, settings)
    parts = fold_parts(patients, settings.folds)
    run = _Runner(settings, work, budget, start, progress, len(parts))
    left_out: list[LeftOut] = []
    for number, part in enumerate(parts):
        left_out += run.fold(number, part, patients, samples)
    net, curve = run.trained("final", samples, settings, _FINAL_SHARE if parts else 1.0)
    run.curves["final"] = curve
    trials = run.trials(parts, patients, net)
    calibration, limit, reliability = calibrated(trials) if trials else (None, BAD_DICE, None)
    if calibration is not None:
        left_out = [_recalibrated(r, calibration) for r in left_out]
    worst_cases([(r.patient, r.draft, r.agreement) for r in left_out], work)
    learning_curves(run.curves, work / "learning-curves.svg")
    names = tuple(p.name for p in patients) + (
        (f"{settings.synthetic} synthetic patients (rtqc.phantom)",) if settings.synthetic else ()
    )
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


def _same_study(work: Path, settings: Settings, patients: Sequence[Patient], resume: bool) -> None:
    """A work folder belongs to one recipe and one set of patients: mixing checkpoints of two would show patients to their own test."""
    described = json.dumps(
        {"settings": settings.model_dump(mode="json"), "patients": [p.name for p in patients]}, indent=1, default=str
    )
    path = work / "study.json"
    if resume:
        if not path.is_file():
            raise StudyError(f"there is nothing to resume in {work}: start without --resume")
        if path.read_text(encoding="utf-8") != described:
            raise StudyError(
                f"{work} holds a study with other settings or other patients: start without --resume, or in another --out"
            )
    elif work.exists() and any(work.glob("*/checkpoint.pt")):
        raise StudyError(f"{work} holds an earlier study: go on with --resume, or remove it")
    with whole_file(path) as file:
        file.write(described.encode("utf-8"))


def make_samples(patients: Sequence[Patient], settings: Settings) -> list[Sample]:
    """Real samples, then synthetic ones, on the model's grid."""
    real = [real_sample(p.name, p.case.image, p.heart, settings.spacing_mm) for p in patients if p.case.image is not None]
    return real + [synthetic_sample(FIRST_SEED + n, settings.spacing_mm) for n in range(settings.synthetic)]


def fold_parts(patients: Sequence[Patient], folds: int) -> list[set[str]]:
    """Patient IDs left out together; none where there are fewer than two patients.

    >>> fold_parts([], 5)
    []
    """
    ids = list(dict.fromkeys(p.id for p in patients))
    count = min(folds, len(ids))
    return [set(ids[k::count]) for k in range(count)] if count > 1 else []


def weights_of(model: Model, settings: Settings) -> dict[str, torch.Tensor]:
    """The weights of a model that this room exported, by name.

    Raises:
        StudyError: a model of another network, spacing or window.
    """
    graph = onnx.load(str(model.weights)).graph
    weights = {i.name: torch.from_numpy(np.array(numpy_helper.to_array(i))) for i in graph.initializer}
    wanted = HeartNet(len(settings.windows), settings.base).state_dict()
    fitting = {k: v for k, v in weights.items() if k in wanted and v.shape == wanted[k].shape}
    same_input = (model.manifest.spacing_mm, model.manifest.windows) == ((settings.spacing_mm,) * 3, settings.windows)
    if len(fitting) < len(wanted) - 2 or not same_input:
        raise StudyError(
            f"{model.manifest.name} cannot be trained further with these settings: base, spacing_mm and windows must be those that it was made with"
        )
    return fitting


class _Runner:
    """Trains one network after the other within a budget; keeps the learning curves."""

    def __init__(
        self,
        settings: Settings,
        work: Path,
        budget: Budget,
        start: Mapping[str, torch.Tensor] | None,
        progress: Progress | None,
        folds: int,
    ) -> None:
        self._settings = settings
        self._work = work
        self._budget = budget
        self._start = start
        self._progress = progress
        self._folds = folds
        self.curves: dict[str, list[tuple[int, float]]] = {}

    def trained(
        self, name: str, samples: Sequence[Sample], settings: Settings, share: float
    ) -> tuple[HeartNet, list[tuple[int, float]]]:
        """One network, from where its checkpoint is."""
        folder = self._work / name
        minutes = self._budget.minutes * share if self._budget.minutes is not None else None

        def step(iteration: int, total: int, loss: float) -> None:
            if self._progress:
                self._progress(name, iteration, total, loss)

        return learn(
            samples, settings, folder, device=self._budget.device, minutes=minutes,
            resume=self._budget.resume and has_checkpoint(folder), start=self._start, progress=step, say=self._budget.say,
        )  # fmt: skip

    def fold(self, number: int, part: set[str], patients: Sequence[Patient], samples: Sequence[Sample]) -> list[LeftOut]:
        """Train without some patients and draft them."""
        settings = self._settings.model_copy(update={"iterations": self._settings.fold_iterations or self._settings.iterations})
        unseen = [p for p in patients if p.id in part]
        hidden = {p.name for p in unseen}
        name = _name_of(number, part, patients)
        share = (1 - _FINAL_SHARE) / self._folds
        net, self.curves[name] = self.trained(name, [s for s in samples if s.name not in hidden], settings, share)
        folder = self._folder_of(number, part, patients)
        seen = tuple(p.name for p in patients if p.id not in part)
        export_model(net, settings, folder, training_data=seen, attribution="", licence="", created="", card="")
        engine = Engine(load_model(folder), "cpu")
        results = []
        for patient in unseen:
            assert patient.case.image is not None
            draft = draft_with(patient.case.image, engine)
            results.append(LeftOut(patient, draft, compare(patient.heart, draft.structure)))
        return results

    def _folder_of(self, number: int, part: set[str], patients: Sequence[Patient]) -> Path:
        return self._work / _name_of(number, part, patients) / self._settings.name

    def trials(self, parts: Sequence[set[str]], patients: Sequence[Patient], final: HeartNet) -> list[Trial]:
        """Difficult cases, each drafted by a model that has not seen its patient; kept in the work folder."""
        kept = self._work / _TRIALS
        if self._budget.resume and kept.is_file():
            return read_trials(kept)
        engines = [Engine(load_model(self._folder_of(n, part, patients)), "cpu") for n, part in enumerate(parts)]
        if not engines:
            folder = self._work / "final" / self._settings.name
            export_model(final, self._settings, folder, training_data=(), attribution="", licence="", created="", card="")
            engines = [Engine(load_model(folder), "cpu")]
        jobs = _stress_plan(self._settings, parts, patients)
        trials: list[Trial] = []
        for fold, name, sample, count in jobs:
            made = sample()
            for hard in hard_cases(
                Image(made.grid, made.hu.astype(np.float32)), made.heart.astype(np.float32), count, len(trials)
            ):
                trials.append(tried(name, hard, engines[fold]))
                if self._progress:
                    self._progress("difficult cases", len(trials), self._settings.stress, trials[-1].dice)
        if trials:
            write_trials(trials, kept)
        return trials


def _name_of(number: int, part: set[str], patients: Sequence[Patient]) -> str:
    unseen = [p for p in patients if p.id in part]
    return f"without-{unseen[0].name}" if len(unseen) == 1 else f"fold-{number + 1}"


def _stress_plan(
    settings: Settings, parts: Sequence[set[str]], patients: Sequence[Patient]
) -> list[tuple[int, str, Callable[[], Sample], int]]:
    """Fold, patient's name, the patient, and how many difficult cases are made of him."""
    jobs: list[tuple[int, str, Callable[[], Sample], int]] = []
    tested = [(n, p) for n, part in enumerate(parts) for p in patients if p.id in part and p.case.image is not None]
    each = settings.stress // 2 // max(len(tested), 1)
    for fold, patient in tested[: settings.stress]:
        image, heart = patient.case.image, patient.heart
        assert image is not None
        jobs.append((fold, patient.name, partial(real_sample, patient.name, image, heart, _STRESS_SPACING_MM), max(each, 1)))
    left = settings.stress - sum(job[3] for job in jobs)
    for number in range(-(-left // _CASES_A_SYNTHETIC)):
        seed = _STRESS_SEED + number
        count = min(_CASES_A_SYNTHETIC, left - number * _CASES_A_SYNTHETIC)
        sample = partial(synthetic_sample, seed, _STRESS_SPACING_MM)
        jobs.append((number % max(len(parts), 1), f"synthetic-{seed}", sample, count))
    return jobs
