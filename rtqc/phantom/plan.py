"""A synthetic patient's whole breast plan: CT, contours, beams and dose, with nothing wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from rtqc.core.grid import Grid
from rtqc.core.structure import Structure
from rtqc.core.volumes import Dose, Image
from rtqc.dicom.study import DrawnRoi, Study
from rtqc.dicom.write_study import write_study
from rtqc.phantom.anatomy import Anatomy
from rtqc.phantom.beams import Tangents, tangential_dose, tangents_for
from rtqc.phantom.render import contours, render_ct
from rtqc.phantom.target import breast_target

#: TG-263 names of the structure set -> field of :class:`~rtqc.phantom.anatomy.Organs`.
STRUCTURES: Mapping[str, str] = {
    "External": "body",
    "Heart": "heart",
    "Lung_L": "lung_left",
    "Lung_R": "lung_right",
    "SpinalCord": "cord",
}
#: Ends of the scan along z, in mm; the heart's middle is near 0.
SCAN_MM = (-150.0, 170.0)
#: Width of the scan's field of view, in mm.
FIELD_MM = 450.0
#: Spacing of the dose points, in mm (slice, row, column), and how far the grid's corner is off the CT's.
DOSE_SPACING_MM = (3.0, 2.5, 2.5)


@dataclass(frozen=True)
class Resolution:
    """Of the CT.

    Attributes:
        pixels: rows and columns.
        slice_mm: slice spacing, in mm.
        noise_hu: standard deviation of the noise.
    """

    pixels: int = 256
    slice_mm: float = 3.0
    noise_hu: float = 12.0


@dataclass(frozen=True, eq=False)
class SyntheticPlan:
    """A plan and the truth behind it.

    Attributes:
        anatomy, beams: what it was made from.
        structures: true contours by TG-263 name.
        study: what goes into the files.
    """

    anatomy: Anatomy
    beams: Tangents
    structures: Mapping[str, Structure]
    study: Study

    @property
    def heart(self) -> Structure:
        """The true heart."""
        return self.structures["Heart"]

    def with_study(self, **changes: object) -> SyntheticPlan:
        """The same plan with other contents of its files."""
        return replace(self, study=replace(self.study, **changes))  # type: ignore[arg-type]

    def redrawn(self, name: str, change: Callable[[DrawnRoi], DrawnRoi]) -> SyntheticPlan:
        """The same plan with one ROI drawn otherwise."""
        return self.with_study(rois=tuple(change(r) if r.name == name else r for r in self.study.rois))

    def with_structure(self, structure: Structure, name: str = "Heart") -> SyntheticPlan:
        """The same plan with another region in place of one of its ROIs."""
        return self.redrawn(name, lambda roi: replace(DrawnRoi.of(structure), name=name, kind=roi.kind))


def synthetic_plan(
    anatomy: Anatomy,
    resolution: Resolution = Resolution(),
    key: str = "demo",
    heart_in_field_mm: float = -4.0,
    target: bool = False,
) -> SyntheticPlan:
    """Render a patient and plan a breast treatment.

    Args:
        anatomy: the patient.
        resolution: of the CT.
        key: UIDs are made of it; plans with different keys have nothing in common.
        heart_in_field_mm: how far the heart reaches into the field; see :func:`~rtqc.phantom.beams.tangents_for`.
        target: whether the treated breast is contoured (``PTV_Breast_L`` or ``PTV_Breast_R``) and prescribed to.
    """
    grid = ct_grid(resolution)
    image = render_ct(anatomy, grid, resolution.noise_hu)
    structures = contours(anatomy, grid, dict(STRUCTURES))
    beams = tangents_for(anatomy, heart_in_field_mm)
    plan = SyntheticPlan(anatomy, beams, structures, _study(key, anatomy, image, structures, beams))
    return with_target(plan) if target else plan


def with_target(plan: SyntheticPlan) -> SyntheticPlan:
    """The same plan with its treated breast contoured and prescribed to; see :mod:`rtqc.phantom.target`."""
    ptv = breast_target(plan.anatomy, plan.beams, plan.study.image.grid)
    contoured = plan.with_study(rois=(*plan.study.rois, DrawnRoi.of(ptv)), target=ptv.name)
    return replace(contoured, structures={**plan.structures, ptv.name: ptv})


def _study(key: str, anatomy: Anatomy, image: Image, structures: Mapping[str, Structure], beams: Tangents) -> Study:
    return Study(
        key=key,
        image=image,
        rois=tuple(DrawnRoi.of(s) for s in structures.values()),
        dose=tangential_dose(anatomy, beams, dose_grid(anatomy)),
        patient_id=f"RTQC-{key.upper()}",
        patient_sex="F" if anatomy.breast_mm > 15 else "M",
        plan_label="Breast_L" if anatomy.side == "left" else "Breast_R",
        prescription_gy=beams.prescription_gy,
        fractions=beams.fractions,
        gantry_deg=beams.gantry_deg,
        isocentre_mm=beams.centre_mm,
    )


def ct_grid(resolution: Resolution) -> Grid:
    """The CT's grid."""
    spacing = FIELD_MM / resolution.pixels
    count = int((SCAN_MM[1] - SCAN_MM[0]) / resolution.slice_mm) + 1
    first = -(FIELD_MM - spacing) / 2
    steps = (resolution.slice_mm, spacing, spacing)
    return Grid.regular((count, resolution.pixels, resolution.pixels), steps, (first, first - 10.0, SCAN_MM[0]))


def dose_grid(anatomy: Anatomy, spacing_mm: tuple[float, float, float] = DOSE_SPACING_MM) -> Grid:
    """The dose's own grid, which shares no point with the CT's.

    Args:
        anatomy: the patient that it covers.
        spacing_mm: distance of dose points, in mm (slice, row, column).
    """
    half_x = anatomy.half_width_mm * 1.05 + 20
    front, back = -anatomy.half_depth_mm - anatomy.breast_mm - 25, anatomy.half_depth_mm + 15
    extent = (250.0, back - front, 2 * half_x)
    shape = [int(e / s) + 1 for e, s in zip(extent, spacing_mm, strict=True)]
    return Grid.regular(shape, spacing_mm, (-half_x + 0.7, front + 0.9, -128.6))


def dose_cropped(dose: Dose, lower_mm: float) -> Dose:
    """The dose above a height only."""
    first = int(np.searchsorted(dose.grid.positions_mm, lower_mm))
    rows, columns = slice(0, dose.grid.size[0]), slice(0, dose.grid.size[1])
    return Dose(dose.grid.crop(slice(first, None), rows, columns), dose.gy[first:])


def write_plan(plan: SyntheticPlan, folder: Path, progress: Callable[[int, int], None] | None = None) -> Path:
    """Write the plan's DICOM files; see :func:`rtqc.dicom.write_study.write_study`."""
    return write_study(plan.study, folder, progress)
