"""Plans without a CT, made of a cylinder that gets an even dose: what the dose checks look at, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from shapely.geometry import MultiPolygon, Point, box

from rtqc.core import Case, Finding, Grid, Structure
from rtqc.core.case import Plan, Prescription, Roi
from rtqc.core.volumes import Dose
from rtqc.qc import Measurements, load_protocol, run_rules

#: Planes of all structures, in mm.
HEIGHTS = tuple(float(z) for z in range(-30, 31, 3))


def dose(
    inside_gy: float,
    x_mm: float = 90.0,
    radius_mm: float = 40.0,
    spacing_mm: float = 3.0,
    outside_gy: float = 0.1,
    grid_mm: float = 150.0,
) -> Dose:
    """An even dose in a cylinder along z around ``(x_mm, 0)``, which falls to nearly nothing outside."""
    count = int(2 * grid_mm / spacing_mm) + 1
    grid = Grid.regular((31, count, count), (3.0, spacing_mm, spacing_mm), (-grid_mm, -grid_mm, -45.0))
    distance = np.hypot(grid.columns_mm[None, :] - x_mm, grid.rows_mm[:, None])
    plane = np.where(distance <= radius_mm, inside_gy, outside_gy).astype(np.float32)
    gy = np.broadcast_to(plane, grid.shape).copy()
    gy[[0, -1]] = outside_gy
    return Dose(grid, gy)


def cylinder(name: str, x_mm: float, radius_mm: float, kind: str = "ORGAN", y_mm: float = 0.0) -> Structure:
    """A cylinder along z as contours."""
    area = MultiPolygon([Point(x_mm, y_mm).buffer(radius_mm, 64)])
    return Structure(name, dict.fromkeys(HEIGHTS, area), kind=kind, slice_spacing_mm=3.0)


def body() -> Structure:
    """The patient's outline, with its middle at x = 0."""
    return Structure(
        "BODY", dict.fromkeys(HEIGHTS, MultiPolygon([box(-170, -110, 170, 110)])), kind="EXTERNAL", slice_spacing_mm=3.0
    )


def case(
    given: Dose | None,
    *prescriptions: Prescription,
    fractions: int | None = 15,
    label: str = "",
    structures: tuple[Structure, ...] = (),
    **plan: object,
) -> Case:
    """A case of a plan, a dose and structures beside the body."""
    rois = tuple(Roi(n, s) for n, s in enumerate((body(), *structures), 1))
    made = replace(Plan(label, "", prescriptions, fractions), **plan)  # type: ignore[arg-type]
    return Case(plan=made, dose=given, rois=rois, has_structure_set=True)


def found(of: Case, *prefixes: str, heart: str = "Heart") -> dict[str, Finding]:
    """Findings of the rules whose ids begin with one of the prefixes, by rule."""
    roi = next((r for r in of.rois if r.structure.name == heart), None)
    findings = run_rules(Measurements(of, roi), load_protocol("heart"))
    return {f.rule: f for f in findings if f.rule.startswith(prefixes)}
