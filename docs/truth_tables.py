"""The part of docs/validation.md that has formulas on the other side: contours and doses whose numbers are known."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from rtqc import compare
from rtqc.core.assessment import DoseMetrics
from rtqc.dosimetry import dvh, metrics_of, second_calculation
from tests import shapes
from tests.truth.doses import LARGE, SMALL, Truth
from tests.truth.files import write_dose, write_structure

#: Where the first plane lies, in slices from the shape's lower end: half, so that a flat end is where its slab ends.
_OFFSET = 0.5


def contours() -> list[str]:
    """Two balls, one inside the other, and one beside the other, on every slice spacing: largest error of 20 draws."""
    lines = [
        "## Contours against formulas",
        "",
        "Largest error of 20 pairs of balls (radius 40 to 50 mm, concentric or shifted by 2 to 10 mm, slices anywhere), `rtqc.compare`:",
        "",
        "| slices | HD (mm) | HD95 (mm) | MASD (mm) | surface Dice at 3 mm | Dice | volume (%) |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for spacing in (1.0, 2.0, 3.0, 5.0):
        errors = np.abs([_ball_errors(spacing, seed) for seed in range(20)]).max(axis=0)
        lines.append(f"| {spacing:g} mm | " + " | ".join(f"{e:.3f}" for e in errors) + " |")
    return [*lines, ""]


def _ball_errors(spacing: float, seed: int) -> list[float]:
    rng = np.random.default_rng([2, int(spacing), seed])
    radius, offset, centre = rng.uniform(40, 50), rng.uniform(0, spacing), rng.uniform(-1, 1, 3)
    if seed % 2:
        other = radius + rng.uniform(1, 6)
        a, b = (shapes.sphere(r, spacing, tuple(centre), offset=offset) for r in (radius, other))
        gap, tolerant = other - radius, float(other - radius <= 3)
        truth = [gap, gap, gap, tolerant, 2 * radius**3 / (radius**3 + other**3)]
    else:
        way = rng.normal(size=3)
        shift = way / np.linalg.norm(way) * rng.uniform(2, 10)
        length = float(np.linalg.norm(shift))
        a, b = (shapes.sphere(radius, spacing, tuple(c), offset=offset) for c in (centre, centre + shift))
        away = np.abs(np.sqrt(radius**2 + length**2 - 2 * radius * length * np.linspace(-1, 1, 100_001)) - radius)
        lens = np.pi * (4 * radius + length) * (2 * radius - length) ** 2 / 12
        truth = [length, np.percentile(away, 95), away.mean(), (away <= 3).mean(), lens / (4 / 3 * np.pi * radius**3)]
    g = compare(a, b)
    found = [g.hausdorff_mm, g.hausdorff95_mm, g.mean_surface_distance_mm, g.surface_dice_3mm, g.dice]
    volume = 100 * (1000 * a.volume_ml / (4 / 3 * np.pi * radius**3) - 1)
    return [*(float(f or 0) - float(t) for f, t in zip(found, truth, strict=True)), volume]


def doses() -> list[str]:
    """Small and heart-sized shapes in a dose that rises along one axis, ours and dicompyler-core's errors side by side."""
    lines = [
        "## Doses against formulas",
        "",
        "Shapes after Nelms et al. (Med Phys 42(8):4435, 2015) in a dose that rises linearly along y or z, 1 Gy/mm for the small ones and 0.2 Gy/mm for",
        "the large ones, slices and dose grid of one spacing. Errors of rtqc, behind the stroke those of dicompyler-core 0.5.6 in its default mode from the same",
        "files. Doses in Gy.",
        "",
        "| shape | spacing | along | volume (%) | mean | D2% | D50% | D98% | V half (points) |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    with tempfile.TemporaryDirectory() as folder:
        for group, gradient, middle in ((SMALL, 1.0, 16.0), (LARGE, 0.2, 20.0)):
            for shape in group:
                for spacing in (1.0, 3.0) if group is SMALL else (2.0,):
                    for direction in "yz":
                        truth = Truth(shape, direction, gradient, middle)
                        lines.append(_dose_row(truth, spacing, Path(folder)))
                        print(lines[-1], flush=True)
    return [*lines, ""]


def _dose_row(truth: Truth, spacing: float, folder: Path) -> str:
    low = truth.shape.reach("z")[0]
    drawn = truth.shape.drawn(spacing, low + _OFFSET * spacing)
    dose = truth.dose(spacing)
    ours = dvh(drawn, dose)
    theirs = (
        second_calculation(write_structure(drawn, folder / "s.dcm"), write_dose(dose, folder / "d.dcm"), 1) or DoseMetrics()
    )
    metrics = metrics_of(ours)
    half = 5 * round(truth.middle / 5)  # the nearest of the doses that both tell a volume for
    key = f"v{half}_gy_percent"
    exact = {
        "mean_gy": truth.mean_gy,
        **{f"d{x}_percent_gy": truth.dose_at_percent_gy(x) for x in (2, 50, 98)},
        key: truth.volume_at_dose_percent(half),
    }
    cells = [f"{100 * (ours.volume_ml / truth.shape.volume_ml - 1):+.2f}"]
    for name, value in exact.items():
        pair = [getattr(m, name) for m in (metrics, theirs)]
        cells.append(" / ".join("–" if p is None else f"{p - value:+.2f}" for p in pair))
    return f"| {truth.shape.name} | {spacing:g} mm | {truth.direction} | " + " | ".join(cells) + " |"
