"""Archives of many small plans, made quickly: some patients rendered once, each planned many times by planners who differ a little.

What a planner draws is the true heart moved, scaled and grown by little and at random; dates run over the year; a share of the plans has an error
of the catalogue; from a known day on everybody draws a little less. ``python -m tests.archives FOLDER COUNT`` makes one by hand.
"""

from __future__ import annotations

import json
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from datetime import date, timedelta
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import shapely
from scipy.ndimage import map_coordinates
from shapely.geometry import MultiPolygon

from rtqc.core.grid import Grid
from rtqc.core.volumes import Dose
from rtqc.geometry.coverage import as_multipolygon
from rtqc.phantom import PLANTED, Anatomy, Resolution, SyntheticPlan, plant, synthetic_plan, write_plan

#: Small enough to be quick, fine enough for the model and for every rule.
TINY = Resolution(pixels=96, slice_mm=5.0)
#: Planners differ by so much: shift and growth, standard deviation, in mm.
_SHIFT_MM, _GROWTH_MM = 0.8, 0.35
#: Everybody draws so much less after the change, in mm.
DRIFT_MM = 1.0
_PLANNERS = ("ADAMS", "BAKER", "CLARK", "DAVIS", "EVANS", "FRANK")


@dataclass(frozen=True)
class Planned:
    """What the archive's maker knows of a plan: the truth for a test."""

    number: int
    folder: str
    patient_id: str
    day: str
    planner: str
    error: str
    rule: str
    drifted: bool


@dataclass(frozen=True)
class Recipe:
    """How to make an archive.

    Attributes:
        count: plans.
        bases: patients that are rendered.
        error_share: of the plans have a planted error.
        drift_from: day of the year (0 to 364) on which everybody begins to draw less; None: never.
        seed: of everything random.
        errors: names of the catalogue that are planted; empty: all that leave the CT as it is.
    """

    count: int
    bases: int = 12
    error_share: float = 0.04
    drift_from: int | None = None
    seed: int = 1
    errors: tuple[str, ...] = ()

    def plan(self) -> list[Planned]:
        """What is in it, in the order of days."""
        rng = np.random.default_rng(self.seed)
        names = self.errors or tuple(n for n, e in PLANTED.items() if not e.changes_ct and not e.adds_plans)
        found = []
        for number in range(self.count):
            day = int(number * 365 / self.count)
            error = str(rng.choice(names)) if rng.random() < self.error_share else ""
            when = (date(2026, 1, 1) + timedelta(days=day)).strftime("%Y%m%d")
            found.append(
                Planned(
                    number, f"{when[:6]}/P{number:05d}", f"P{number:05d}", when, str(rng.choice(_PLANNERS)), error,
                    PLANTED[error].rule if error else "", self.drift_from is not None and day >= self.drift_from,
                )
            )  # fmt: skip
        return found


@lru_cache(maxsize=64)
def base(seed: int) -> SyntheticPlan:
    """A patient whose clean plan passes, rendered once a process."""
    plan = synthetic_plan(Anatomy.random(seed), TINY, key=f"base{seed}")
    # Dose points 4 mm apart: a quarter of the bytes, and as far apart as the rules on dose grids let them be.
    assert plan.study.dose is not None
    dose = plan.study.dose.grid
    sides = [(n - 1) * step for n, step in zip(dose.shape, (dose.slice_spacing_mm, *dose.spacing_mm), strict=True)]
    corner = dose.patient_mm([(0, 0, 0)])[0]
    coarse = Grid.regular([int(side / 4.0) + 1 for side in sides], (4.0, 4.0, 4.0), (corner[0], corner[1], corner[2]))
    points = coarse.patient_mm(np.stack(np.meshgrid(*map(np.arange, coarse.shape), indexing="ij"), axis=-1).reshape(-1, 3))
    gy = map_coordinates(plan.study.dose.gy, dose.index_of_patient(points).T, order=1, mode="nearest")
    return plan.with_study(dose=Dose(coarse, gy.reshape(coarse.shape).astype(np.float32)))


def make(recipe: Recipe, root: Path, seeds: tuple[int, ...], workers: int = 2) -> list[Planned]:
    """Write the archive, and what is in it beside it (``ROOT.json``)."""
    planned = recipe.plan()
    chunks = [planned[k::workers] for k in range(workers)]
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        list(pool.map(_write_all, chunks, [recipe] * workers, [root] * workers, [seeds] * workers))
    root.with_suffix(".json").write_text(json.dumps([asdict(p) for p in planned]), encoding="utf-8")
    return planned


def _write_all(planned: list[Planned], recipe: Recipe, root: Path, seeds: tuple[int, ...]) -> None:
    for one in planned:
        write_one(one, recipe, root, seeds)


def write_one(one: Planned, recipe: Recipe, root: Path, seeds: tuple[int, ...]) -> Path:
    """Write one plan."""
    rng = np.random.default_rng([recipe.seed, one.number])
    plan = base(seeds[one.number % len(seeds)])
    plan = drawn_by_hand(plan, rng, DRIFT_MM if one.drifted else 0.0)
    plan = plan.with_study(
        key=f"{recipe.seed}-{one.number}", patient_id=one.patient_id, patient_name=f"Synthetic^{one.number}", date=one.day,
        operator=one.planner,
    )  # fmt: skip
    if one.error:
        plan = plant(plan, one.error)
    return write_plan(plan, root / one.folder)


def drawn_by_hand(plan: SyntheticPlan, rng: np.random.Generator, less_mm: float = 0.0) -> SyntheticPlan:
    """The heart as a planner draws it."""
    dx, dy = rng.normal(0, _SHIFT_MM, 2)
    grown = float(rng.normal(0, _GROWTH_MM)) - less_mm

    def draw(area: MultiPolygon) -> MultiPolygon:
        moved = shapely.transform(area, lambda xy: xy + (dx, dy))
        return as_multipolygon(moved.buffer(grown))

    planes = {w: area for w, a in plan.heart.planes.items() if not (area := draw(a)).is_empty}
    heart = replace(plan.heart, planes=planes)
    changed = replace(plan, structures={**plan.structures, "Heart": heart})
    return changed.with_structure(heart)


def passing_seeds(count: int, first: int = 100) -> tuple[int, ...]:
    """Patients whose clean plan passes with room to spare: what the archive then finds, somebody has planted."""
    import tempfile

    from rtqc.dicom import read_case
    from rtqc.pipeline import Options, assess

    found: list[int] = []
    seed = first
    while len(found) < count:
        with tempfile.TemporaryDirectory() as folder:
            write_plan(base(seed), Path(folder))
            a = assess(read_case(folder), Options(device="cpu", second_check=False))
        good = a.agreement is not None and a.agreement.dice > 0.92 and abs(a.agreement.volume_difference_ml) < 30
        met = [c for c in a.constraints if c.contoured is not None and c.contoured < 0.8 * c.limit]
        if a.verdict == "pass" and good and len(met) == len(a.constraints):
            found.append(seed)
        seed += 1
    return tuple(found)


if __name__ == "__main__":
    target, number = Path(sys.argv[1]), int(sys.argv[2])
    recipe = Recipe(number, drift_from=int(sys.argv[3]) if len(sys.argv) > 3 else None)
    make(recipe, target, passing_seeds(recipe.bases))
