"""Write rtqc/qc/populations/shipped.toml: ``python docs/make_population.py`` (a few minutes).

Hearts of synthetic patients with their true contours, and the three real ones of ../shared/data with those of their reader. Synthetic anatomy varies less
than people do, so every spread is widened until the three real hearts lie within two standard deviations, and by a half at least.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from rtqc.core.assessment import HeartShape
from rtqc.core.case import Case
from rtqc.dicom import read_case
from rtqc.heart import draft_heart
from rtqc.phantom import Anatomy, Resolution, synthetic_plan, write_plan
from rtqc.pipeline import choose_heart
from rtqc.qc import Measurements, load_protocol, population_of
from rtqc.qc.population import Population, Usual, numbers_of

TARGET = Path(__file__).parents[1] / "rtqc" / "qc" / "populations" / "shipped.toml"
SHARED = Path(__file__).parents[2] / "shared" / "data"
REAL = ("0187", "0506", "0909")
COUNT, FIRST = 60, 5000
SMALL = Resolution(pixels=128, slice_mm=3.0)
WIDEN, WITHIN = 1.5, 2.0


def shape_of(case: Case) -> HeartShape | None:
    """A case's heart in numbers."""
    assert case.image is not None
    _, roi = choose_heart(case, load_protocol("heart"))
    return Measurements(case, roi, draft=draft_heart(case.image, device="cpu")).shape


def synthetic_case(seed: int) -> Case:
    """A synthetic patient, read from files."""
    with tempfile.TemporaryDirectory() as folder:
        return read_case(write_plan(synthetic_plan(Anatomy.random(seed), SMALL, key=f"population{seed}"), Path(folder)))


def widened(population: Population, real: list[HeartShape]) -> Population:
    """With spreads that the real hearts fit in."""
    features = {}
    for name, usual in population.features.items():
        values = [value for shape in real for key, value in numbers_of(shape) if key == name]
        # Between the synthetic hearts and the real ones, and wide enough for both.
        centre = (usual.centre + sum(values)) / (1 + len(values)) if values else usual.centre
        furthest = max([abs(v - centre) for v in (*values, usual.centre)])
        features[name] = Usual(centre=round(centre, 4), sigma=round(max(WIDEN * usual.sigma, furthest / WITHIN), 4))
    return population.model_copy(update={"features": features})


def main() -> None:
    """Make it."""
    synthetic = [s for seed in range(FIRST, FIRST + COUNT) if (s := shape_of(synthetic_case(seed))) is not None]
    real = [s for name in REAL if (s := shape_of(read_case(SHARED / "heart-ct" / name))) is not None]
    name = "the reference that ships with rtqc"
    source = f"{len(synthetic)} synthetic patients and {len(real)} real ones (LIDC-IDRI, doi:10.7937/K9/TCIA.2015.LO9QL9SX, hearts of DeepCAC)"
    population = population_of(synthetic, name, source)
    assert population is not None
    made = widened(population, real).model_copy(update={"count": len(synthetic) + len(real)})
    lines = [
        "# Made by docs/make_population.py.",
        f"name = {json.dumps(made.name)}",
        f"count = {made.count}",
        f"source = {json.dumps(made.source)}",
    ]
    for key, usual in made.features.items():
        lines += ["", f"[features.{key}]", f"centre = {usual.centre}", f"sigma = {usual.sigma}"]
    TARGET.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
