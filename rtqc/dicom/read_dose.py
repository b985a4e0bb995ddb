"""RTDOSE -> Dose: absolute dose of the whole plan, or a reason why not."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import pydicom
from pydicom.dataset import Dataset

from rtqc.core.case import DoseAttributes, Plan
from rtqc.core.finding import Finding
from rtqc.core.grid import EVEN_STEP_TOLERANCE_MM, Grid
from rtqc.core.orientation import Orientation
from rtqc.core.volumes import Dose
from rtqc.dicom.elements import get, number, numbers, text
from rtqc.dicom.index import Header
from rtqc.dicom.notes import named, note
from rtqc.dicom.read_plan import date_time

#: Summation types that are the dose of the whole plan (PS3.3 C.8.8.3).
_WHOLE = {"PLAN", "MULTI_PLAN", "PLAN_OVERVIEW"}
#: Summation types that are parts to be added up.
_PARTS = {"BEAM", "FRACTION"}


@dataclass(frozen=True)
class PlanDose:
    """The dose of one plan as its dose objects hold it.

    Attributes:
        dose: in Gy; None where there is none that can be used.
        headers: the objects used.
        attributes: what they say of themselves.
        findings: what was wrong with them.
    """

    dose: Dose | None
    headers: tuple[Header, ...]
    attributes: DoseAttributes
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class _Object:
    """A dose object that could be decoded."""

    header: Header
    summation: str
    dose: Dose
    attributes: DoseAttributes


def read_doses(headers: list[Header], plan: Plan | None) -> PlanDose:
    """The plan's dose from its dose objects.

    Args:
        headers: dose objects that belong to one plan, in the order of their creation.
        plan: its beams say which beam doses make a plan dose; None: unknown.
    """
    findings: list[Finding] = []
    read: list[_Object] = []
    for header in headers:
        try:
            dataset = pydicom.dcmread(header.path, force=True)
            refused = _refusal(dataset)
            if refused:
                findings.append(note("dose.unusable", f"{header.name}: {refused}", files=[header.name]))
                continue
            read.append(
                _Object(header, text(dataset, "DoseSummationType").upper() or "PLAN", _decode(dataset), _attributes(dataset))
            )
        except Exception as error:  # a damaged dose makes pydicom and numpy raise nearly anything
            message = f"{header.name} could not be read as a dose grid ({error}): export it again."
            findings.append(note("dose.unusable", message, files=[header.name]))
    dose, used = _whole_dose([(o.header, o.summation, o.dose) for o in read], plan.beams if plan else 0, findings)
    attributes = _together(o.attributes for o in read if o.header in used) if dose is not None else DoseAttributes()
    return PlanDose(dose, used, attributes, tuple(findings))


def _attributes(dataset: Dataset) -> DoseAttributes:
    correction = get(dataset, "TissueHeterogeneityCorrection") or ""
    return DoseAttributes(
        dose_type=text(dataset, "DoseType").upper(),
        summation_type=text(dataset, "DoseSummationType").upper(),
        heterogeneity=(correction if isinstance(correction, str) else "\\".join(map(str, correction))).upper(),
        created_at=date_time(dataset, "InstanceCreationDate", "InstanceCreationTime"),
    )


def _together(found: Iterable[DoseAttributes]) -> DoseAttributes:
    """What several objects of one plan say together."""
    every = tuple(found)
    return DoseAttributes(
        dose_type=next((a.dose_type for a in every if a.dose_type != "PHYSICAL"), "PHYSICAL"),
        summation_type=every[0].summation_type,
        heterogeneity=every[0].heterogeneity,
        created_at=max(a.created_at for a in every),
    )


def _refusal(dataset: Dataset) -> str:
    units = text(dataset, "DoseUnits").upper()
    if units != "GY":
        return f"its DoseUnits are {units or 'absent'}, not GY, so no dose can be told: export absolute dose."
    if text(dataset, "DoseType").upper() == "ERROR":
        return "its DoseType is ERROR: export the physical dose."
    return ""


def _decode(dataset: Dataset) -> Dose:
    """One dose object as a grid.

    Raises:
        ValueError: attributes that place or scale the grid are absent or contradict each other.
    """
    directions = numbers(dataset, "ImageOrientationPatient", 6)
    corner = numbers(dataset, "ImagePositionPatient", 3)
    spacing = numbers(dataset, "PixelSpacing", 2)
    scaling = number(dataset, "DoseGridScaling")
    if directions is None or corner is None or spacing is None:
        raise ValueError("Image Plane attributes are absent")
    if scaling is None or scaling <= 0:
        raise ValueError("DoseGridScaling is absent or not positive")
    pixels = dataset.pixel_array
    pixels = pixels[None] if pixels.ndim == 2 else pixels
    orientation = Orientation((directions[0], directions[1], directions[2]), (directions[3], directions[4], directions[5]))
    u, v, w = orientation.to_frame(np.array([corner]))[0]
    offsets = np.asarray(numbers(dataset, "GridFrameOffsetVector") or (0.0,), float)
    if offsets.size != pixels.shape[0]:
        raise ValueError(f"GridFrameOffsetVector has {offsets.size} values for {pixels.shape[0]} frames")
    # PS3.3 C.8.8.3.2: the first value is 0 for offsets from the corner, else the values are positions along z.
    positions = w + offsets if abs(offsets[0]) < 1e-6 else offsets * (1 if orientation.normal[2] > 0 else -1)
    order = np.argsort(positions, kind="stable")
    gy = pixels[order].astype(np.float32) * np.float32(scaling)
    if not np.isfinite(gy).all():
        raise ValueError("doses are not numbers")
    if float(gy.min()) < 0:
        raise ValueError(f"it holds negative doses, down to {float(gy.min()):.2f} Gy")
    if float(gy.max()) <= 0:
        raise ValueError("the dose is zero everywhere")
    grid = Grid(
        orientation,
        (float(u), float(v)),
        (spacing[0], spacing[1]),
        (pixels.shape[1], pixels.shape[2]),
        tuple(float(p) for p in positions[order]),
        number(dataset, "SliceThickness"),
    )
    return Dose(grid, gy)


def _whole_dose(
    read: list[tuple[Header, str, Dose]], beams: int, findings: list[Finding]
) -> tuple[Dose | None, tuple[Header, ...]]:
    whole = [(h, d) for h, kind, d in read if kind in _WHOLE]
    if whole:
        if len(whole) > 1:
            names = [h.name for h, _ in whole]
            message = f"{len(whole)} dose objects claim to be the whole plan's dose ({named(names)}); the last one by creation time, {names[-1]}, was used."
            findings.append(note("dose.summation", message, files=names))
        header, dose = whole[-1]
        return dose, (header,)
    parts = [(h, kind, d) for h, kind, d in read if kind in _PARTS]
    names = [h.name for h, _, _ in parts]
    other = [(h, kind) for h, kind, _ in read if kind not in _PARTS]
    if other:
        message = f"{named([h.name for h, _ in other])}: DoseSummationType {other[0][1]} is not the dose of a plan: export the plan's dose (PLAN)."
        findings.append(note("dose.summation", message, files=[h.name for h, _ in other]))
    if not parts:
        return None, ()
    kinds = {kind for _, kind, _ in parts}
    if len(kinds) > 1:
        findings.append(
            note(
                "dose.summation",
                f"Beam and fraction doses lie together ({named(names)}): export the plan's dose (PLAN).",
                files=names,
            )
        )
        return None, ()
    if kinds == {"BEAM"} and beams != len(parts):
        message = f"There are {len(parts)} beam doses ({named(names)}) for {beams or 'an unknown number of'} beams: export all of them, or the plan's dose (PLAN)."
        findings.append(
            note("dose.summation", message, files=names, measured=float(len(parts)), limit=float(beams), unit="beams")
        )
        return None, ()
    return _sum(parts, names, findings)


def _sum(
    parts: list[tuple[Header, str, Dose]], names: list[str], findings: list[Finding]
) -> tuple[Dose | None, tuple[Header, ...]]:
    first = parts[0][2]
    for _, _, dose in parts[1:]:
        if not _same_grid(first.grid, dose.grid):
            message = f"The doses of single beams or fraction groups ({named(names)}) lie on different grids and were not added: export the plan's dose (PLAN)."
            findings.append(note("dose.summation", message, files=names))
            return None, ()
    total = np.asarray(np.sum([dose.gy for _, _, dose in parts], axis=0), np.float32)
    return replace(first, gy=total), tuple(h for h, _, _ in parts)


def _same_grid(a: Grid, b: Grid) -> bool:
    if a.shape != b.shape or a.orientation != b.orientation:
        return False
    pairs = ((a.origin_mm, b.origin_mm), (a.spacing_mm, b.spacing_mm), (a.slice_positions_mm, b.slice_positions_mm))
    return all(np.allclose(x, y, atol=EVEN_STEP_TOLERANCE_MM) for x, y in pairs)
