"""A clinic with a habit of its own: small plans whose hearts begin lower and are drawn larger than they are, by as much as is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from shapely.affinity import scale

from rtqc.core.structure import Structure
from rtqc.geometry.coverage import as_multipolygon
from rtqc.phantom import SyntheticPlan, write_plan
from tests.archives import base

#: Patients whose clean plan passes (tests/archives.py).
SEEDS = (100, 102)


@dataclass(frozen=True)
class Clinic:
    """How its hearts are drawn.

    Attributes:
        upper_mm: the upper end, from the true one; ``scatter_mm``: its standard deviation.
        volume_percent: larger than the truth all along, by drawing each slice larger.
        seed: of the scatter.
    """

    upper_mm: float = 0.0
    scatter_mm: float = 0.0
    volume_percent: float = 0.0
    seed: int = 1

    def ends(self, count: int) -> np.ndarray:
        """Where each contour begins from the truth, in mm: scattered so that mean and standard deviation are just those asked for."""
        if count < 2 or not self.scatter_mm:
            return np.full(count, self.upper_mm)
        drawn = np.random.default_rng(self.seed).normal(size=count)
        return self.upper_mm + self.scatter_mm * (drawn - drawn.mean()) / drawn.std(ddof=1)


def drawn(heart: Structure, upper_mm: float, volume_percent: float) -> Structure:
    """The heart as this clinic draws it."""
    top = max(heart.planes) + upper_mm
    factor = float(np.sqrt(1 + volume_percent / 100))
    planes = {
        w: as_multipolygon(scale(area, factor, factor, origin=area.centroid))
        for w, area in heart.planes.items()
        if w <= top + 1e-6
    }
    return replace(heart, planes=planes)


def write_clinic(root: Path, clinic: Clinic, count: int, first: int = 0, seeds: Sequence[int] = SEEDS) -> np.ndarray:
    """Write plans, one a folder; returns where each contour begins from the truth, in mm, as far as its slices allow."""
    ends = []
    for number, upper in enumerate(clinic.ends(count), first):
        plan = base(seeds[number % len(seeds)])
        heart = drawn(plan.heart, float(upper), clinic.volume_percent)
        ends.append(max(heart.planes) - max(plan.heart.planes))
        write_plan(with_heart(plan, heart, number), root / f"P{number:02d}")
    return np.array(ends)


def with_heart(plan: SyntheticPlan, heart: Structure, number: int) -> SyntheticPlan:
    """A plan of another patient with this heart."""
    patient = plan.with_study(
        key=f"clinic-{number}", patient_id=f"P{number:02d}", patient_name=f"Synthetic^{number}", date="20260901"
    )
    return replace(patient, structures={**plan.structures, "Heart": heart}).with_structure(heart)
