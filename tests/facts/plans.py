"""Plans whose numbers are formulas: hearts of rectangles that grow from plane to plane, in a dose that rises along all three axes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from shapely.geometry import MultiPolygon, box

from rtqc.core import Dose, Grid, Image, Structure
from rtqc.core.case import Case
from rtqc.dicom import read_case
from rtqc.dicom.study import Contour, DrawnRoi, Study
from rtqc.dicom.write_study import write_study
from rtqc.heart import Draft
from rtqc.pipeline import Assessed, Options, assess_fully
from rtqc.qc import Population, list_protocols

#: 41 slices of 3 mm; pixels of 4 mm along the columns and 3 mm along the rows; the patient fills the image.
GRID = Grid.regular((41, 48, 64), (3.0, 4.0, 3.0), (-94.5, -94.0, -60.0))
IMAGE = Image(GRID, np.full(GRID.shape, 40.0, np.float32))
POINTS = Grid.regular((31, 48, 64), (4.0, 4.0, 3.0), (-94.5, -94.0, -60.0))
#: No heart of rectangles is like others: nobody holds these against any.
NOBODY = {name: Population(name="nobody", count=0, features={}) for name in list_protocols()}
#: Gy a millimetre to the left, to the back and upward.
SLOPE = (0.03, -0.02, 0.03)
Rectangle = tuple[float, float, float, float]


@dataclass(frozen=True)
class Blocks:
    """Rectangles on planes of 3 mm: the left side moves by half a millimetre from plane to plane, so that no two are alike.

    Attributes:
        right, front, left, back: sides on the plane at z = 0, in mm.
        low, high: first and last plane, in mm.
        without: planes that are not drawn.
    """

    right: float = -30.0
    front: float = -35.0
    left: float = 45.0
    back: float = 30.0
    low: float = -33.0
    high: float = 27.0
    without: tuple[float, ...] = ()

    @property
    def planes(self) -> dict[float, Rectangle]:
        """Corners (x0, y0, x1, y1) by height."""
        heights = np.arange(self.low, self.high + 1.5, 3.0)
        return {float(z): (self.right, self.front, self.left + z / 6, self.back) for z in heights if z not in self.without}

    @property
    def volume_ml(self) -> float:
        """Area times 3 mm; across one plane that is missing its neighbours reach to each other."""
        return sum(_area(r) * self.thickness(z) for z, r in self.planes.items()) / 1000

    def thickness(self, z: float) -> float:
        """Half of the way to either neighbour."""
        return 3.0 + sum(1.5 for gone in self.without if abs(gone - z) == 3.0)

    @property
    def middle_mm(self) -> tuple[float, float, float]:
        """Centre of volume."""
        parts = [(_area(r) * self.thickness(z), (r[0] + r[2]) / 2, (r[1] + r[3]) / 2, z + _off(z, self.without)) for z, r in self.planes.items()]  # fmt: skip
        total = sum(p[0] for p in parts)
        return tuple(sum(p[0] * p[k] for p in parts) / total for k in (1, 2, 3))  # type: ignore[return-value]

    def structure(self, name: str) -> Structure:
        """As contours."""
        planes = {z: MultiPolygon([box(*r)]) for z, r in self.planes.items()}
        return Structure(name, planes, kind="ORGAN", slices_mm=tuple(GRID.slice_positions_mm), slice_spacing_mm=3.0)

    def moved(self, **by: float) -> Blocks:
        """With some sides or ends moved."""
        return replace(self, **{key: getattr(self, key) + value for key, value in by.items()})


def _area(r: Rectangle) -> float:
    return max(r[2] - r[0], 0.0) * max(r[3] - r[1], 0.0)


def _off(z: float, without: tuple[float, ...]) -> float:
    """How far the middle of a plane's slab lies above it, where a neighbour is missing."""
    return sum(0.75 if gone > z else -0.75 for gone in without if abs(gone - z) == 3.0)


def dice_of(a: Blocks, b: Blocks) -> float:
    """Twice the common volume over both volumes."""
    common = 0.0
    for z, r in a.planes.items():
        if z in b.planes:
            o = b.planes[z]
            common += _area((max(r[0], o[0]), max(r[1], o[1]), min(r[2], o[2]), min(r[3], o[3]))) * 3.0
    return 2 * common / 1000 / (a.volume_ml + b.volume_ml)


@dataclass(frozen=True)
class Known:
    """A plan and what must come of it.

    Attributes:
        heart, draft: contour and draft.
        verdict: of the plan.
        rules: every finding but those of the dose's level and of calcium, which these plans are not about.
        base_gy: dose at the origin.
        words: parts of the headline.
        study: attributes of the files.
        scope: asked for.
    """

    heart: Blocks = Blocks()
    draft: Blocks = Blocks().moved(left=1.0)
    verdict: str = "pass"
    rules: frozenset[str] = frozenset()
    base_gy: float = 3.4
    words: tuple[str, ...] = ()
    study: Mapping[str, Any] = field(default_factory=dict)
    scope: Any = "plan"

    def mean_gy(self, of: Blocks) -> float:
        """The mean of a dose that rises evenly is that of the middle."""
        return self.base_gy + float(np.dot(SLOPE, of.middle_mm))


def dose_of(base_gy: float) -> Dose:
    """The dose around the heart, and 50 Gy in the left breast, far from it."""
    x, y, z = POINTS.columns_mm[None, None, :], POINTS.rows_mm[None, :, None], POINTS.positions_mm[:, None, None]
    gy = base_gy + SLOPE[0] * x + SLOPE[1] * y + SLOPE[2] * z
    treated = (x > 62) & (y < -50) & (np.abs(z) < 40)
    return Dose(POINTS, np.where(treated, 51.0, np.maximum(gy, 0.2)).astype(np.float32))


def _square(x0: float, x1: float, y0: float, y1: float, z: float) -> Contour:
    return Contour(np.array([(x0, y0, z), (x1, y0, z), (x1, y1, z), (x0, y1, z)], float))


#: The target in the left breast, which the dose of 50 Gy covers.
TREATED = DrawnRoi("PTV_Breast_L", "PTV", tuple(_square(66, 90, -90, -54, z) for z in np.arange(-36.0, 37.0, 3.0)))


def write(known: Known, folder: Path, **changes: Any) -> Path:
    """Its files: CT, structure set, plan and dose."""
    values: dict[str, Any] = {
        "image": IMAGE, "rois": (DrawnRoi.of(known.heart.structure("Heart")), TREATED), "dose": dose_of(known.base_gy), "patient_id": "F1",
        "patient_name": "Fact^Known", "plan_label": "Breast_L", "target": "PTV_Breast_L", "prescription_gy": 50.0, "fractions": 25,
        "isocentre_mm": (78.0, -72.0, 0.0), **known.study, **changes,
    }  # fmt: skip
    return write_study(Study(key="facts", **values), folder)


def draft_of(structure: Structure, case: Case) -> Draft:
    """A draft that is trusted, on the case's own slices."""
    assert case.image is not None
    return Draft(structure, case.image.grid, "by construction", "1", "", "cpu", 0.93, 0.9, True)


def assessed(known: Known, folder: Path, draft: Structure | None = None) -> Assessed:
    """The files, assessed with a draft; None: that of the plan."""
    read = read_case(folder)
    options = Options(device="cpu", second_check=False, populations=NOBODY, scope=known.scope)
    return assess_fully(read, options, draft_of(draft if draft is not None else known.draft.structure("Heart_rtqc"), read))
