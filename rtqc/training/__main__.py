"""Make the shipped model: leave-one-out study, final model, card. Resumable: run it again after a stop."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from pathlib import Path

from rtqc.training.card import card_text
from rtqc.training.settings import Settings, read_settings
from rtqc.training.study import FIRST_SEED, export_final, leave_one_out, make_samples, read_patients, train_final


def main(arguments: list[str] | None = None) -> None:
    """Run the study."""
    parser = argparse.ArgumentParser(prog="python -m rtqc.training", description=__doc__)
    parser.add_argument("data", nargs="+", type=Path, help="folders of plans with a CT and a contoured heart")
    parser.add_argument("--work", type=Path, required=True, help="checkpoints and fold models")
    parser.add_argument("--out", type=Path, required=True, help="the model folder")
    parser.add_argument("--settings", type=Path, help="recipe (TOML)")
    parser.add_argument("--fold-iterations", type=int, default=1200, help="updates of each leave-one-out model")
    options = parser.parse_args(arguments)
    settings = read_settings(options.settings) if options.settings else Settings()
    patients = read_patients(options.data)
    samples = make_samples(patients, settings)
    folds = settings.model_copy(update={"iterations": options.fold_iterations})
    results = leave_one_out(patients, samples, folds, options.work)
    net = train_final(patients, samples, settings, options.work)
    card = card_text(settings, options.fold_iterations, results, FIRST_SEED)
    created = datetime.now(UTC).date().isoformat()
    manifest = export_final(net, settings, options.out, patients, created, card)
    print(f"{options.out}: {manifest.name}, SHA-256 {manifest.sha256[:16]}")


if __name__ == "__main__":
    main()
