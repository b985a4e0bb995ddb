"""Write docs/dose-error.md and its section of the model card: how far off the draft's doses are, what it says of it, and what the dose rules then say of true contours.

``python docs/make_dose_error.py`` (a quarter of an hour on two cores). What is done is kept in a folder (``--work``, by default among the temporary files) and taken
up again after an interruption; another model or another version of the error is another folder.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from hashlib import sha256
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from dose_error_cases import DOSE_GY, FRACTIONS, Patient, real_patient, synthetic_patient
from dose_error_page import EDGES_MM, METRICS, PROTOCOL, SEEDS, Row, card_with, page

from rtqc.core.assessment import DoseComparison
from rtqc.core.case import Case, Plan, Prescription, Roi
from rtqc.dosimetry import (
    AlphaBeta,
    BothHearts,
    Metric,
    MovedSurface,
    difference,
    draft_error,
    evaluate,
    metrics_of,
    organ_dose,
)
from rtqc.dosimetry.dvh import dose_at
from rtqc.heart import DEFAULT_MODEL, Engine, load_model
from rtqc.pipeline import surface_band
from rtqc.qc import RULES, Measurements, applicable_constraints, load_protocol, named_choice, run_rules

_TARGET = Path(__file__).with_name("dose-error.md")
_CARD = Path(__file__).resolve().parents[1] / "models" / DEFAULT_MODEL / "MODEL_CARD.md"
_REAL = Path(__file__).resolve().parents[2] / "shared" / "data" / "heart-ct"


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
        moved = surface.doses(partial(dose_at, structure=patient.draft.structure, dose=case.dose), drafted.physical)
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


def main() -> None:
    """Run what is missing and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, help="folder in which finished patients are kept")
    parser.add_argument("--threads", type=int, default=0, help="of the model; 0: as many as everywhere")
    options = parser.parse_args()
    engine = Engine(load_model(DEFAULT_MODEL), "cpu", options.threads)
    version = f"{engine.manifest.sha256[:12]}-{sha256(Path(draft_error.__file__).read_bytes()).hexdigest()[:12]}"
    work = options.work or Path(tempfile.gettempdir()) / "rtqc-dose-error" / version
    work.mkdir(parents=True, exist_ok=True)
    rows = sweep(work, engine)
    _TARGET.write_text(page(rows, engine.manifest), encoding="utf-8")
    _CARD.write_text(card_with(rows, _CARD.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
