"""How small an error is still found: graded errors on hearts whose contour is good, and how many good ones are flagged."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from pathlib import Path

from rtqc.comparison import compare
from rtqc.core.assessment import Assessment
from rtqc.core.case import Case
from rtqc.core.structure import Structure
from rtqc.dicom import read_case
from rtqc.dosimetry import dvh, metrics_of
from rtqc.heart import draft_heart
from rtqc.nightly.cohort.errors import graded_errors
from rtqc.nightly.cohort.statistics import wilson
from rtqc.phantom import Anatomy, Resolution, synthetic_plan, write_plan
from rtqc.pipeline import Options, assess, choose_heart
from rtqc.qc import LEAST_HEARTS, Population, load_protocol, numbers_of_assessment, population_of

#: An error is major from here on: of the mean heart dose in Gy and percent, or in mm (the issue's own, after Hui et al. 2018).
MAJOR_GY, MAJOR_PERCENT, MAJOR_MM = 0.5, 10.0, 8.0
#: A change of less than this anywhere is none, in mm; and what counts as 8 mm after rounding by the surface's pieces.
NOTHING_MM, _ROUNDING_MM = 1.0, 0.1
#: Fine enough for errors of 2 mm.
RESOLUTION = Resolution(pixels=128, slice_mm=3.0)
#: "With certainty" means found so often.
CERTAIN = 0.9


@dataclass(frozen=True)
class Trial:
    """One contour, good or with an error, and what rtqc said of it.

    Attributes:
        patient: who.
        kind, size, unit: of the error; ``untouched``: of none.
        major: whether it is.
        dose_change_gy: of the mean heart dose; None without a dose.
        moved_mm: how far the contour is off at most (Hausdorff distance to the good one).
        rules: that ask for a look, worst first; empty: it was not found.
    """

    patient: str
    kind: str
    size: float
    unit: str
    major: bool
    dose_change_gy: float | None
    moved_mm: float
    rules: tuple[str, ...]

    @property
    def found(self) -> bool:
        """Whether a rule asked for a look."""
        return bool(self.rules)


@dataclass(frozen=True)
class DetectionRow:
    """An error of one size, over all hearts."""

    kind: str
    size: float
    unit: str
    trials: int
    found: int
    rule: str

    @property
    def share(self) -> float:
        """Part that was found."""
        return self.found / self.trials


@dataclass
class Detection:
    """The study's result."""

    trials: list[Trial] = field(default_factory=list)

    @property
    def errors(self) -> list[Trial]:
        """Contours with an error: what moved nothing by a millimetre is none."""
        return [t for t in self.trials if t.kind != UNTOUCHED and (t.moved_mm >= NOTHING_MM or t.unit == "slices")]

    def rate(self, major: bool) -> tuple[int, int]:
        """How many of the major (minor) errors were found, and how many there were."""
        those = [t for t in self.errors if t.major == major]
        return sum(t.found for t in those), len(those)

    @property
    def false_flags(self) -> tuple[int, int]:
        """How many good contours were flagged, and how many there were."""
        good = [t for t in self.trials if t.kind == UNTOUCHED]
        return sum(t.found for t in good), len(good)

    def rows(self) -> list[DetectionRow]:
        """By kind and size."""
        groups: dict[tuple[str, float, str], list[Trial]] = {}
        for t in self.errors:
            groups.setdefault((t.kind, t.size, t.unit), []).append(t)
        found = []
        for (kind, size, unit), trials in sorted(groups.items()):
            rules = Counter(t.rules[0] for t in trials if t.found)
            rule = rules.most_common(1)[0][0] if rules else ""
            found.append(DetectionRow(kind, size, unit, len(trials), sum(t.found for t in trials), rule))
        return found

    def smallest_certain(self) -> dict[str, str]:
        """By kind, the smallest size from which on at least nine of ten are found; empty where none is."""
        kinds: dict[str, list[DetectionRow]] = {}
        for row in self.rows():
            kinds.setdefault(row.kind, []).append(row)
        told = {}
        for kind, rows in kinds.items():
            certain = ""
            for row in sorted(rows, key=lambda r: -r.size):
                if row.share < CERTAIN:
                    break
                certain = f"{row.size:g} {row.unit}"
            told[kind] = certain
        return told

    def markdown(self) -> list[str]:
        """As a section of a page."""
        lines = ["| what | found | 95 % interval | target |", "| --- | --- | --- | --- |"]
        for name, (found, count), target in (
            (
                f"major errors (mean heart dose by ≥ {MAJOR_GY:g} Gy or {MAJOR_PERCENT:g} %, or ≥ {MAJOR_MM:g} mm)",
                self.rate(True),
                "≥ 95 %",
            ),
            ("minor errors", self.rate(False), "≥ 60 %"),
            ("untouched hearts flagged", self.false_flags, "≤ 5 %"),
        ):
            low, high = wilson(found, count)
            share = 100 * found / count if count else float("nan")
            lines.append(f"| {name} | {found} of {count}, {share:.1f} % | {100 * low:.1f} to {100 * high:.1f} % | {target} |")
        lines += [
            "",
            "| error | size | found | by, most often | from here on 90 % are found |",
            "| --- | --- | --- | --- | --- |",
        ]
        certain = self.smallest_certain()
        for row in self.rows():
            rule = f"`{row.rule}`" if row.rule else "–"
            lines.append(
                f"| {row.kind} | {row.size:g} {row.unit} | {row.found} of {row.trials} | {rule} | {certain[row.kind] or '–'} |"
            )
        return lines


UNTOUCHED = "untouched"


def run_detection(
    seeds: Sequence[int],
    real: Sequence[Path] = (),
    graded: int = 20,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Detection:
    """Run the study.

    Args:
        seeds: of synthetic patients; with more than fifty, each is held against the others as a clinic's own hearts.
        real: folders of patients with a good contour.
        graded: so many of the synthetic patients get errors, and every real one; the others show how many good hearts are flagged.
        workers: processes.
        progress: called with how many patients are done, and their number.
    """
    jobs: list[int | Path] = [*seeds, *real]
    detection = Detection()
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        hearts = list(pool.map(_numbers, seeds)) if len(seeds) > LEAST_HEARTS else []
        populations = [_others(hearts, k) for k in range(len(seeds))] if hearts else [None] * len(seeds)
        others: list[Population | None] = [*populations, *[None] * len(real)]
        wrong = [k < graded or isinstance(job, Path) for k, job in enumerate(jobs)]
        for number, trials in enumerate(pool.map(_patient, jobs, others, wrong), 1):
            detection.trials += trials
            if progress is not None:
                progress(number, len(jobs))
    return detection


def _others(hearts: Sequence[Mapping[str, float]], without: int) -> Population | None:
    return population_of((h for k, h in enumerate(hearts) if h and k != without), "this clinic", "detection study")


def _case(job: int | Path) -> Case:
    if isinstance(job, Path):
        return read_case(job)
    with tempfile.TemporaryDirectory() as folder:
        write_plan(synthetic_plan(Anatomy.random(job), RESOLUTION, key=f"detection{job}"), Path(folder))
        return read_case(folder)


def _numbers(seed: int) -> dict[str, float]:
    return numbers_of_assessment(assess(_case(seed), _options(None)))


def _options(population: Population | None) -> Options:
    names = ("breast", "breast-50-25", "breast-40-15", "breast-26-5", "heart")
    return Options(
        device="cpu", threads=1, second_check=False, populations=dict.fromkeys(names, population) if population else {}
    )


def _patient(job: int | Path, population: Population | None, graded: bool) -> list[Trial]:
    """All contours of one patient, the good one first; his CT is read and drafted once."""
    case = _case(job)
    assert case.image is not None
    _, roi = choose_heart(case, load_protocol("heart"))
    if roi is None or roi.structure.is_empty:
        return []
    draft = draft_heart(case.image, device="cpu", threads=1)
    options = _options(population)
    name = job.name if isinstance(job, Path) else f"synthetic {job}"
    good = roi.structure
    usual = _flags(assess(case, options, draft))
    trials = [Trial(name, UNTOUCHED, 0.0, "", False, 0.0, 0.0, tuple(usual))]
    if not graded:
        return trials
    seed = job if isinstance(job, int) else 1
    other = synthetic_plan(Anatomy.random(seed + 90_000), Resolution(96, 6.0), key="other").heart
    for error in graded_errors(good, other):
        changed = replace(
            case, rois=tuple(replace(r, structure=error.heart.renamed(r.structure.name)) if r is roi else r for r in case.rois)
        )
        rules = [r for r in _flags(assess(changed, options, draft)) if r not in usual]
        change, percent = _dose_change(case, good, error.heart)
        moved = compare(good, error.heart).hausdorff_mm or 0.0
        major = moved >= MAJOR_MM - _ROUNDING_MM or abs(change or 0.0) >= MAJOR_GY or percent >= MAJOR_PERCENT
        trials.append(Trial(name, error.kind, error.size, error.unit, major, change, round(moved, 2), tuple(rules)))
    return trials


def _flags(assessment: Assessment) -> list[str]:
    return list(dict.fromkeys(f.rule for f in assessment.findings if f.severity != "info"))


def _dose_change(case: Case, good: Structure, wrong: Structure) -> tuple[float | None, float]:
    """Of the mean heart dose, in Gy and in percent."""
    if case.dose is None:
        return None, 0.0
    means = [metrics_of(dvh(s, case.dose)).mean_gy for s in (good, wrong)]
    if means[0] is None or means[1] is None:
        return None, 0.0
    change = means[1] - means[0]
    return round(change, 4), 100 * abs(change) / max(means[0], 1e-9)
