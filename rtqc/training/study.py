"""The study behind a shipped model: each real patient drafted by a model that has not seen him, then one model of all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rtqc.comparison import compare
from rtqc.core import Agreement, Case, Structure
from rtqc.core.names import find_hearts
from rtqc.dicom import read_cases
from rtqc.heart import Draft, Engine, draft_with, load_model
from rtqc.heart.manifest import Manifest
from rtqc.training.export import export_model
from rtqc.training.learn import learn
from rtqc.training.network import HeartNet
from rtqc.training.samples import Sample, real_sample, synthetic_sample
from rtqc.training.settings import Settings

#: Seeds of the synthetic patients that are trained on; tests and demo use none of them.
FIRST_SEED = 1000
Say = Callable[[str], None]


@dataclass(frozen=True)
class Patient:
    """A real patient with a contoured heart."""

    name: str
    case: Case
    heart: Structure


@dataclass(frozen=True)
class LeftOut:
    """A patient drafted by a model that has not seen him."""

    name: str
    heart: Structure
    draft: Draft
    agreement: Agreement


def read_patients(folders: Sequence[Path], say: Say = print) -> list[Patient]:
    """Every case with CT and heart below the folders; others are named and left out."""
    patients = []
    for folder in folders:
        for case in read_cases(folder):
            name = case.provenance.patient_id or folder.name
            hearts = [n for n in find_hearts(case.structures) if not case.structures[n].is_empty]
            if case.image is None or not hearts:
                say(f"{name}: left out, it has no {'CT' if case.image is None else 'heart'}")
                continue
            patients.append(Patient(name, case, case.structures[hearts[0]]))
    return patients


def make_samples(patients: Sequence[Patient], settings: Settings) -> list[Sample]:
    """Real samples, then synthetic ones, on the model's grid."""
    real = [real_sample(p.name, p.case.image, p.heart, settings.spacing_mm) for p in patients if p.case.image is not None]
    return real + [synthetic_sample(FIRST_SEED + n, settings.spacing_mm) for n in range(settings.synthetic)]


def leave_one_out(
    patients: Sequence[Patient], samples: Sequence[Sample], settings: Settings, work: Path, say: Say = print
) -> list[LeftOut]:
    """Train as many models as there are patients, each without one, and draft that one with it.

    Args:
        patients, samples: of :func:`read_patients` and :func:`make_samples`.
        settings: recipe of each fold.
        work: checkpoints and fold models; a run that was stopped goes on from there.
        say: called with a line on each step.
    """
    results = []
    for patient in patients:
        folder = work / f"loo-{patient.name}"
        net = _trained([s for s in samples if s.name != patient.name], settings, folder, say)
        names = tuple(p.name for p in patients if p is not patient)
        export_model(
            net, settings, folder / settings.name, training_data=names, attribution="", licence="", created="", card=""
        )
        assert patient.case.image is not None
        draft = draft_with(patient.case.image, Engine(load_model(folder / settings.name), "cpu"))
        agreement = compare(patient.heart, draft.structure)
        say(f"{patient.name}: Dice {agreement.dice:.3f} by a model that has not seen him")
        results.append(LeftOut(patient.name, patient.heart, draft, agreement))
    return results


def train_final(
    patients: Sequence[Patient], samples: Sequence[Sample], settings: Settings, work: Path, say: Say = print
) -> HeartNet:
    """One model of all patients."""
    return _trained(samples, settings, work / "final", say)


def _trained(samples: Sequence[Sample], settings: Settings, folder: Path, say: Say) -> HeartNet:
    def progress(iteration: int, total: int, loss: float) -> None:
        if iteration % 100 == 0 or iteration == total:
            say(f"{folder.name}: {iteration} of {total}, loss {loss:.3f}")

    resume = (folder / "checkpoint.pt").is_file()
    return learn(samples, settings, folder, resume=resume, progress=progress)[0]


def loo_table(results: Sequence[LeftOut]) -> str:
    """The leave-one-out table in Markdown."""
    rows = [
        "| patient | Dice | HD95 (mm) | mean surface distance (mm) | volume, human / draft (ml) | upper end (mm) | lower end (mm) | expected Dice |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for r in results:
        a, human, drawn = r.agreement, r.heart, r.draft.structure
        ends = (drawn.positions_mm[-1] - human.positions_mm[-1], drawn.positions_mm[0] - human.positions_mm[0])
        rows.append(
            f"| {r.name} | {a.dice:.3f} | {a.hausdorff95_mm:.1f} | {a.mean_surface_distance_mm:.2f} | "
            f"{human.volume_ml:.0f} / {drawn.volume_ml:.0f} | {ends[0]:+.0f} | {ends[1]:+.0f} | {r.draft.predicted_dice:.2f} |"
        )
    return "\n".join(rows)


def export_final(
    net: HeartNet, settings: Settings, folder: Path, patients: Sequence[Patient], created: str, card: str
) -> Manifest:
    """The model folder that ships; attribution as the data's licence asks for."""
    data = tuple(p.name for p in patients) + (f"{settings.synthetic} synthetic patients (rtqc.phantom)",)
    return export_model(
        net, settings, folder, training_data=data, attribution=ATTRIBUTION, licence="Apache-2.0; training data CC BY 3.0",
        created=created, card=card,
    )  # fmt: skip


ATTRIBUTION = (
    "LIDC-IDRI, The Cancer Imaging Archive, doi:10.7937/K9/TCIA.2015.LO9QL9SX (CC BY 3.0). Manual heart segmentations and "
    "the 3 mm resampling: DeepCAC, Zeleznik et al., Nat Commun 12, 715 (2021), doi:10.1038/s41467-021-20966-2."
)
