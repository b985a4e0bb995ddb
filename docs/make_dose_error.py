"""Write docs/dose-error.md: how far off the draft's doses are, what it says of it, and what the dose rules then say of true contours.

``python docs/make_dose_error.py`` (a quarter of an hour on two cores). What is done is kept in a folder (``--work``, by default among the temporary files) and taken
up again after an interruption; another model or another version of the error is another folder.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from dose_error_cases import DOSE_GY, FRACTIONS, Patient, real_patient, synthetic_patient

from rtqc.core.assessment import DoseComparison
from rtqc.core.case import Case, Plan, Prescription, Roi
from rtqc.dosimetry import AlphaBeta, BothHearts, Metric, MovedSurface, difference, evaluate, metrics_of, organ_dose
from rtqc.dosimetry.draft_error import CALIBRATION
from rtqc.heart import DEFAULT_MODEL, Engine, load_model
from rtqc.pipeline import surface_band
from rtqc.qc import RULES, Measurements, applicable_constraints, load_protocol, named_choice, run_rules

_TARGET = Path(__file__).with_name("dose-error.md")
_REAL = Path(__file__).resolve().parents[2] / "shared" / "data" / "heart-ct"
#: Seeds that no model was trained on; on the first ones the factor of the stated error was chosen, on the others it is judged.
SEEDS, CHOSEN_ON = range(1, 57), range(1, 21)
#: How far the field's edge lies inside the heart, in mm; negative: outside.
EDGES_MM = (-4.0, 2.0, 8.0, 14.0, 20.0, 26.0)
METRICS = ("mean_gy", "v17_gy_percent", "v20_gy_percent", "v25_gy_percent")
#: Real hearts that the shipped model was trained on.
_SEEN = ("0187", "0506", "0909")
PROTOCOL = "breast-40-15"


@dataclass(frozen=True)
class Row:
    """One plan: the field's edge in mm; draft, truth and stated error by metric; the dose rules that speak, with their severity."""

    patient: str
    edge_mm: float
    draft: dict[str, float]
    truth: dict[str, float]
    error: dict[str, float]
    rules: dict[str, str]


def rows_of(patient: Patient) -> Iterator[Row]:
    """A patient with the field at every depth, the true contour being the plan's."""
    protocol = load_protocol(PROTOCOL)
    alpha_beta = AlphaBeta(protocol.alpha_beta.value, protocol.alpha_beta.source)
    plan = Plan(label="Breast_L", prescriptions=(Prescription(DOSE_GY),), fractions=FRACTIONS)
    roi = Roi(1, patient.truth)
    band = surface_band(patient.draft)
    assert band is not None
    surface = MovedSurface.of(patient.draft.structure, band)
    for edge in EDGES_MM:
        case = Case(dose=patient.dose(edge), rois=(roi,), plan=plan)
        own, drafted = (organ_dose(case, s, alpha_beta) for s in (patient.truth, patient.draft.structure))
        assert case.dose is not None
        assert own.physical is not None
        assert drafted.physical is not None
        moved = surface.doses(case.dose, drafted.physical)
        hearts = BothHearts(case, roi, patient.truth, patient.draft.structure, own, drafted, alpha_beta, moved)
        applicable = applicable_constraints(named_choice(protocol, case), case)
        results = evaluate(applicable, own, drafted, draft_errors=hearts.draft_errors(applicable))
        both = metrics_of(own.physical), metrics_of(drafted.physical)
        dose = DoseComparison(
            contoured=both[0], draft=both[1], difference=difference(both[1], both[0]), draft_error=moved.metrics()
        )
        measurements = Measurements(case, roi, (patient.truth.name,), patient.draft, dose=dose, constraints=results)
        rules = frozenset(r for r in RULES if r.startswith(("constraint.", "dose.")))
        found = run_rules(measurements, protocol, rules)
        metrics = [Metric.named(name) for name in METRICS]
        yield Row(
            patient.name,
            edge,
            {m.name: float(m.of(drafted.physical) or 0.0) for m in metrics},
            {m.name: float(m.of(own.physical) or 0.0) for m in metrics},
            {m.name: float(moved.error(m) or 0.0) for m in metrics},
            {f.rule: f.severity for f in found},
        )


def sweep(work: Path, engine: Engine) -> list[Row]:
    """Every patient's rows; those that are in the folder already are not made anew."""
    names = [f"seed-{seed}" for seed in SEEDS]
    real = sorted(_REAL.iterdir()) if _REAL.exists() else []
    rows = []
    for name in [*names, *(folder.name for folder in real)]:
        kept = work / f"{name}.json"
        if not kept.exists():
            seed = name.removeprefix("seed-")
            patient = synthetic_patient(int(seed), engine) if seed != name else real_patient(_REAL / name, engine)
            unfinished = kept.with_suffix(".part")
            unfinished.write_text(json.dumps([vars(row) for row in rows_of(patient)]))
            unfinished.replace(kept)
            print(name, flush=True)
        rows += [Row(**row) for row in json.loads(kept.read_text())]
    return rows


def page(rows: list[Row], engine: Engine) -> list[str]:
    """The page."""
    made = [r for r in rows if r.patient.startswith("seed")]
    chosen = {f"seed {seed}" for seed in CHOSEN_ON}
    return [
        "# The draft's dose error",
        "",
        f"Made by `python docs/make_dose_error.py` with {engine.manifest.name} (SHA-256 `{engine.manifest.sha256[:16]}`): draft minus truth, in dose, of {len(SEEDS)} synthetic patients (`Anatomy.random`, seeds",
        f"{SEEDS[0]} to {SEEDS[-1]}, all treated on the left, CT of 128 pixels and 3 mm slices) under two tangents of {DOSE_GY:g} Gy in {FRACTIONS} whose edge lies {EDGES_MM[0]:g} to {EDGES_MM[-1]:g} mm inside the heart (`rtqc.phantom.beams`).",
        "Synthetic people vary less than people do: other hospitals' patients will be further off than these, at the upper end above all.",
        "",
        "| edge in the heart | metric | truth, mean | draft − truth, mean | sd | largest | stated error, mean | within the stated error |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
        *_by_edge(made),
        "",
        *_coverage(made, chosen),
        "",
        *_real(rows),
        *_rules(made, [r for r in rows if r not in made]),
    ]


def _by_edge(rows: list[Row]) -> Iterator[str]:
    for edge in EDGES_MM:
        for name in METRICS:
            metric = Metric.named(name)
            some = [r for r in rows if r.edge_mm == edge]
            off = np.array([r.draft[name] - r.truth[name] for r in some])
            cells = (
                f"{np.mean([r.truth[name] for r in some]):.2f} {metric.unit}", _signed(off.mean()), f"{off.std(ddof=1):.2f}",
                _signed(off[np.abs(off).argmax()]), f"{np.mean([r.error[name] for r in some]):.2f}", _share(some, name),
            )  # fmt: skip
            yield f"| {edge:+g} mm | {metric.label} | " + " | ".join(cells) + " |"


def _coverage(rows: list[Row], chosen: set[str]) -> list[str]:
    lines = [
        f"The stated error is the 95 % level: 1.96 standard deviations of the metric with the surface moved within its band, times {CALIBRATION:g}, chosen on seeds {CHOSEN_ON[0]} to {CHOSEN_ON[-1]}. How",
        "often the truth lies within it, all edges from +2 mm together (of one patient they are not independent):",
        "",
        "| patients | " + " | ".join(Metric.named(name).label for name in METRICS) + " |",
        "| --- |" + " --- |" * len(METRICS),
    ]
    for words, some in (
        (f"seeds {CHOSEN_ON[0]} to {CHOSEN_ON[-1]}, chosen on", [r for r in rows if r.patient in chosen]),
        (f"seeds {CHOSEN_ON[-1] + 1} to {SEEDS[-1]}, never used", [r for r in rows if r.patient not in chosen]),
    ):
        inside = [r for r in some if r.edge_mm > 0]
        lines.append(f"| {words} | " + " | ".join(_share(inside, name) for name in METRICS) + " |")
    return lines


def _real(rows: list[Row]) -> list[str]:
    real = [r for r in rows if not r.patient.startswith("seed")]
    if not real:
        return ["Real hearts were not at hand when this page was made.", ""]
    lines = [
        "## Real hearts under the same beams",
        "",
        "Real chest CTs with a contour drawn by hand have no plan, so the phantom's beam model is laid on them: the body is what is denser than -400 HU (largest piece, holes filled), the",
        "box around it on the heart's middle slice takes the place of the phantom's trunk in the rule that places the tangents, the field reaches from 78 mm below to 72 mm above the heart's",
        "middle, depths are traced through the body as water, and the point of prescription, 28 mm inside the edge in the phantom, goes back until it lies 15 mm deep where there is no breast.",
        "",
        "| patient | edge in the heart | "
        + " | ".join(f"{Metric.named(n).label}: truth, draft ± stated" for n in METRICS)
        + " | within |",
        "| --- | --- |" + " --- |" * len(METRICS) + " --- |",
    ]
    for r in real:
        cells = [f"{r.truth[n]:.2f}, {r.draft[n]:.2f} ± {r.error[n]:.2f}" for n in METRICS]
        inside = sum(_within(r, n) for n in METRICS)
        seen = "seen" if r.patient in _SEEN else "**not seen**"
        lines.append(
            f"| {r.patient} ({seen} in training) | {r.edge_mm:+g} mm | {' | '.join(cells)} | {inside} of {len(METRICS)} |"
        )
    return [*lines, ""]


def _rules(made: list[Row], real: list[Row]) -> list[str]:
    lines = [
        "## What the dose rules say of true contours",
        "",
        f"The same plans with the true contour as the plan's, judged by `{PROTOCOL}`. A flip or a difference is a false alarm here; that a true contour exceeds a limit is not.",
        "",
        f"| rule | severity | of {len(made)} synthetic plans | of {len(real)} plans on real hearts |",
        "| --- | --- | --- | --- |",
    ]
    for name, entry in RULES.items():
        if not name.startswith(("constraint.", "dose.")):
            continue
        counts = [sum(name in r.rules for r in rows) for rows in (made, real)]
        true = " (each truly exceeded)" if name in ("constraint.exceeded", "constraint.above_ideal") else ""
        lines.append(f"| `{name}` | {entry.severity} | {counts[0]}{true} | {counts[1]} |")
    return [*lines, ""]


def _within(row: Row, name: str) -> bool:
    # Half a unit of the last digit that is reported: 0.00 and 0.00 are the same.
    return abs(row.draft[name] - row.truth[name]) <= row.error[name] + 0.005


def _share(rows: Iterable[Row], name: str) -> str:
    inside = [_within(r, name) for r in rows]
    return f"{100 * np.mean(inside):.0f} % of {len(inside)}"


def _signed(value: float) -> str:
    text = f"{value:+.2f}"
    return text if float(text) else "0.00"


def main() -> None:
    """Run what is missing and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, help="folder in which finished patients are kept")
    parser.add_argument("--threads", type=int, default=0, help="of the model; 0: all cores")
    options = parser.parse_args()
    engine = Engine(load_model(DEFAULT_MODEL), "cpu", options.threads)
    version = f"{engine.manifest.sha256[:12]}-{CALIBRATION:g}"
    work = options.work or Path(tempfile.gettempdir()) / "rtqc-dose-error" / version
    work.mkdir(parents=True, exist_ok=True)
    _TARGET.write_text("\n".join(page(sweep(work, engine), engine)).rstrip() + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
