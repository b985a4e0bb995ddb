"""Training and drafting the networks of a study: one a fold, each tried on patients that it has not seen, and the final one."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper

from rtqc.comparison import compare
from rtqc.core import Agreement, Image
from rtqc.heart import Draft, Engine, Model, draft_with, load_model
from rtqc.training.calibrate import Trial, read_trials, tried, write_trials
from rtqc.training.curate import Patient
from rtqc.training.export import export_model
from rtqc.training.learn import has_checkpoint, learn
from rtqc.training.network import HeartNet, new_network
from rtqc.training.samples import Sample, chest_sample, real_sample, synthetic_sample
from rtqc.training.settings import Settings
from rtqc.training.stress import hard_cases
from rtqc.training.together import Pace, learn_together, read_network

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
    wanted = new_network(settings).state_dict()
    fitting = {k: v for k, v in weights.items() if k in wanted and v.shape == wanted[k].shape}
    same_input = (model.manifest.spacing_mm, model.manifest.windows) == ((settings.spacing_mm,) * 3, settings.windows)
    if len(fitting) < len(wanted) - 2 or not same_input:
        raise StudyError(
            f"{model.manifest.name} cannot be trained further with these settings: base, spacing_mm and windows must be those that it was made with"
        )
    return fitting


class Runner:
    """Trains the networks of a study, one after the other or in lockstep, within a budget; keeps the learning curves."""

    def __init__(
        self,
        settings: Settings,
        work: Path,
        budget: Budget,
        start: Mapping[str, torch.Tensor] | None,
        progress: Progress | None,
        parts: Sequence[set[str]],
    ) -> None:
        self._settings = settings
        self._work = work
        self._budget = budget
        self._start = start
        self._progress = progress
        self._parts = parts
        self.curves: dict[str, list[tuple[int, float]]] = {}

    def networks(self, patients: Sequence[Patient], samples: Sequence[Sample]) -> tuple[HeartNet, list[LeftOut]]:
        """The final network, and each patient as drafted by a network that has not seen him."""
        hidden = {
            _name_of(n, part, patients): frozenset(p.name for p in patients if p.id in part)
            for n, part in enumerate(self._parts)
        }
        # In lockstep all are there at once; one after the other each fold is drafted as soon as it can be.
        nets = self._together(samples, hidden) if self._settings.together else {}
        left_out: list[LeftOut] = []
        for number, (name, unseen) in enumerate(hidden.items()):
            net = nets[name] if nets else self._fold(name, [s for s in samples if s.name not in unseen])
            left_out += self._drafted(net, number, patients)
        if nets:
            return nets["final"], left_out
        net, self.curves["final"] = self._trained("final", samples, self._settings, _FINAL_SHARE if hidden else 1.0)
        return net, left_out

    def _together(self, samples: Sequence[Sample], hidden: Mapping[str, frozenset[str]]) -> dict[str, HeartNet]:
        settings, budget = self._settings, self._budget
        if self._start is not None:
            raise StudyError("networks in lockstep begin at random: leave --from out, or set together = false in the recipe")
        every = {**hidden, "final": frozenset[str]()}
        if budget.resume:
            return self._kept(list(every))
        pace = Pace(
            device=budget.device,
            seconds=budget.minutes * 60 if budget.minutes is not None else None,
            # Beside a CPU that learns, workers would only take its cores.
            workers=max((os.cpu_count() or 1) - 1, 1) if budget.device == "cuda" else 0,
            channels_last=budget.device != "cuda",
        )

        def step(update: int, done: float, losses: Mapping[str, float]) -> None:
            if self._progress:
                self._progress("all networks", round(done * settings.iterations), settings.iterations, losses["final"])

        nets, self.curves, _ = learn_together(samples, every, settings, self._work, pace, step)
        return nets

    def _kept(self, names: Sequence[str]) -> dict[str, HeartNet]:
        """Networks of a joint training that came to its end."""
        nets = {}
        for name in names:
            path = self._work / f"{name}.pt"
            net, updates = read_network(path, self._settings) if path.is_file() else (None, 0)
            if net is None or updates < self._settings.iterations:
                raise StudyError(
                    f"{self._work} holds {name} after {updates} of {self._settings.iterations} updates: training in lockstep cannot go on, "
                    "start again in another --out"
                )
            nets[name] = net
        return nets

    def _trained(
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

    def _fold(self, name: str, samples: Sequence[Sample]) -> HeartNet:
        settings = self._settings.model_copy(update={"iterations": self._settings.fold_iterations or self._settings.iterations})
        net, self.curves[name] = self._trained(name, samples, settings, (1 - _FINAL_SHARE) / len(self._parts))
        return net

    def _drafted(self, net: HeartNet, number: int, patients: Sequence[Patient]) -> list[LeftOut]:
        """The patients of a part, by the network that has not seen them."""
        part = self._parts[number]
        unseen = [p for p in patients if p.id in part]
        folder = self._folder_of(number, part, patients)
        seen = tuple(p.name for p in patients if p.id not in part)
        export_model(net, self._settings, folder, training_data=seen, attribution="", licence="", created="", card="")
        engine = Engine(load_model(folder), "cpu")
        results = []
        for patient in unseen:
            assert patient.case.image is not None
            draft = draft_with(patient.case.image, engine)
            results.append(LeftOut(patient, draft, compare(patient.heart, draft.structure)))
        return results

    def _folder_of(self, number: int, part: set[str], patients: Sequence[Patient]) -> Path:
        return self._work / _name_of(number, part, patients) / self._settings.name

    def trials(self, patients: Sequence[Patient], final: HeartNet) -> list[Trial]:
        """Difficult cases, each drafted by a model that has not seen its patient; kept in the work folder."""
        kept = self._work / _TRIALS
        if self._budget.resume and kept.is_file():
            return read_trials(kept)
        parts = self._parts
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
        synthetic = chest_sample if settings.phantom == "chest" and number % 2 else synthetic_sample
        sample = partial(synthetic, seed, _STRESS_SPACING_MM)
        jobs.append((number % max(len(parts), 1), f"synthetic-{seed}", sample, count))
    return jobs
