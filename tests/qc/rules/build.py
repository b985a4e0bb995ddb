"""The smallest plans that rules can look at: boxes whose volumes are products, on grids of a few slices, in doses of one value."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
from shapely.geometry import MultiPolygon, Polygon, box

from rtqc.core import Case, Dose, Grid, Image, Structure
from rtqc.core.assessment import Agreement, ConstraintResult, DoseComparison, DoseMetrics, SliceAgreement
from rtqc.core.case import Plan, Prescription, Roi
from rtqc.heart import Draft
from rtqc.qc import Measurements

#: Slices of the CT, and those that the heart is on: not the same distance from the CT's two ends, so that up and down differ.
SLICES = tuple(float(z) for z in range(-60, 91, 3))
HEIGHTS = tuple(float(z) for z in range(-30, 31, 3))
#: 80 mm to the side, 60 mm from front to back, 21 planes of 3 mm: 302.4 ml, and its middle is left and in front of the origin.
BOX = (-20.0, -40.0, 60.0, 20.0)
HEART_ML = 80 * 60 * 63 / 1000
GRID = Grid.regular((len(SLICES), 60, 80), (3.0, 4.0, 3.0), (-118.5, -118.0, -60.0))
IMAGE = Image(GRID, np.full(GRID.shape, 40.0, np.float32))


def area(x0: float, y0: float, x1: float, y1: float) -> MultiPolygon:
    """A rectangle."""
    return MultiPolygon([box(x0, y0, x1, y1)])


def block(
    name: str = "Heart",
    heights: Iterable[float] = HEIGHTS,
    corners: tuple[float, float, float, float] = BOX,
    kind: str = "ORGAN",
    **more: Any,
) -> Structure:
    """A box on planes of 3 mm."""
    return Structure(name, dict.fromkeys(heights, area(*corners)), kind=kind, slice_spacing_mm=3.0, **more)


def frustum(change_mm: float = 0.5, heights: Iterable[float] = HEIGHTS, name: str = "Heart") -> Structure:
    """A box that grows by a little on each plane on every side, so that no two outlines are alike."""
    x0, y0, x1, y1 = BOX
    planes = {w: area(x0 - k * change_mm, y0, x1 + k * change_mm, y1) for k, w in enumerate(heights)}
    return Structure(name, planes, kind="ORGAN", slice_spacing_mm=3.0)


def with_plane(structure: Structure, w: float, *polygons: Polygon) -> Structure:
    """With another area on one plane; without polygons nothing is there."""
    return replace(structure, planes={**structure.planes, w: MultiPolygon(list(polygons))})


def without(structure: Structure, *heights: float) -> Structure:
    """Without some planes."""
    return replace(structure, planes={w: a for w, a in structure.planes.items() if w not in heights})


def draft(structure: Structure | None = None, **more: Any) -> Draft:
    """A draft that is trusted."""
    values: dict[str, Any] = {"predicted_dice": 0.93, "confidence": 0.9, "trusted": True, **more}
    drawn = structure if structure is not None else block("Heart_rtqc")
    return Draft(drawn, GRID, "test", "1", "", "cpu", **values)


def slice_of(position: float, only_a: float = 0.0, only_b: float = 0.0) -> SliceAgreement:
    """A slice on which the contour (a) and the draft (b) have some area for themselves."""
    return SliceAgreement(
        position_mm=position, dice=0.9, hausdorff_mm=3.0, area_a_mm2=4800.0, area_b_mm2=4800.0, only_a_mm2=only_a, only_b_mm2=only_b,
    )  # fmt: skip


#: By what only one of both has: 12 mm (1000), -9 mm (900), 3 mm (850), 6 mm (840), 0 mm (10): neither the order of slices nor that of either alone.
WORST = (12.0, -9.0, 3.0)
SLICE_TABLE = (
    slice_of(-9.0, 900.0, 0.0), slice_of(0.0, 5.0, 5.0), slice_of(3.0, 0.0, 850.0), slice_of(6.0, 840.0, 0.0), slice_of(12.0, 500.0, 500.0),
)  # fmt: skip


def agreement(**values: Any) -> Agreement:
    """Contour and draft that agree, but for what is given."""
    usual: dict[str, Any] = {
        "dice": 0.95, "jaccard": 0.9, "hausdorff95_mm": 4.0, "mean_surface_distance_mm": 1.0, "volume_difference_ml": 0.0,
        "added_path_length_mm": 0.0, "slices": SLICE_TABLE,
    }  # fmt: skip
    return Agreement(**{**usual, **values})


def result(contoured: float | None, drafted: float | None = None, limit: float = 4.0, **more: Any) -> ConstraintResult:
    """A constraint on the mean heart dose with its two values."""
    values: dict[str, Any] = {
        "id": "mean", "description": "Mean heart dose", "metric": "mean_gy", "tier": "acceptable", "unit": "Gy", "source": "of the test",
        "contoured_met": None if contoured is None else contoured <= limit, "draft_met": None if drafted is None else drafted <= limit,
    }  # fmt: skip
    return ConstraintResult(**{**values, "contoured": contoured, "draft": drafted, "limit": limit, **more})


def uniform(gy: float = 10.0, grid: Grid = GRID) -> Dose:
    """One dose everywhere."""
    return Dose(grid, np.full(grid.shape, gy, np.float32))


def plan(*prescriptions: Prescription, fractions: int | None = 25, **more: Any) -> Plan:
    """A plan; 50 Gy to the left breast in 25 fractions where nothing else is said."""
    given = prescriptions or (Prescription(50.0, "PTV_Breast"),)
    return Plan(**{"label": "Breast", "prescriptions": given, "fractions": fractions, **more})


def case(*structures: Structure, **more: Any) -> Case:
    """A case of structures, numbered from 1, and what is given."""
    rois = tuple(Roi(number, s) for number, s in enumerate(structures, 1))
    return Case(**{"rois": rois, "has_structure_set": bool(structures), **more})


def measured(*structures: Structure, of: Case | None = None, **more: Any) -> Measurements:
    """Measurements of a case whose heart is the structure that is called so.

    Args:
        structures: of the case; none: the box.
        of: a case by itself.
        more: attributes of the measurements, and of the case.
    """
    # ``dose`` is the grid of a case, and of measurements the doses of both hearts.
    own = {
        key: more.pop(key)
        for key in list(more)
        if key in Case.__dataclass_fields__ and not isinstance(more[key], DoseComparison)
    }
    made = of if of is not None else case(*(structures or (block(),)), **own)
    roi = next((r for r in made.rois if r.structure.name == "Heart"), None)
    return Measurements(made, **{"roi": roi, "candidates": ("Heart",) if roi else (), **more})


def doses(contoured: float | None = 5.0, drafted: float | None = None, **more: Any) -> DoseComparison:
    """Mean heart doses with contour and draft, and draft minus contour."""
    values: dict[str, Any] = {"contoured": None if contoured is None else DoseMetrics(mean_gy=contoured, covered_percent=100.0)}
    if drafted is not None and contoured is not None:
        values |= {"draft": DoseMetrics(mean_gy=drafted), "difference": DoseMetrics(mean_gy=round(drafted - contoured, 6))}
    return DoseComparison(**{**values, **more})
