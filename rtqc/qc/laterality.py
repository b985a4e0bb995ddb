"""Which side a plan treats, and what says so: its texts, its contoured targets, its isocentres and its dose.

Texts are read by :mod:`rtqc.core.side_words`. Places are held against the patient's midline in patient coordinates, where left is +x
whatever the patient's position (PS3.3 C.7.6.2.1.1): feet first and prone need no exception. The dose speaks for the region that gets
at least half of its maximum, which is the region of half the prescription whatever the dose's level.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from rtqc.core.case import Case
from rtqc.core.names import is_body, lung_side, words
from rtqc.core.organ_names import organ_of
from rtqc.core.side_words import side_of_text
from rtqc.core.structure import Structure
from rtqc.core.volumes import Dose, Image
from rtqc.qc.dose_level import level_of
from rtqc.qc.protocol import load_protocol
from rtqc.qc.targets import contoured_targets, is_target

Laterality = Literal["left", "right", "both", "midline", "unknown"]
EvidenceKind = Literal["plan", "prescription", "target_name", "target", "isocentre", "dose"]

#: Nearer to the midline than this a dose or a target is of the middle, in mm (from knowledge: width of the sternum, 40 mm).
_MIDDLE_MM = 20.0
#: Part of a volume beyond the limit ``side_offset`` on either side that makes a treatment of both.
_BOTH_SHARE = 0.25
#: Rows run along the patient's x where the other axes have less of it than this (direction cosines).
_ALONG_ROWS = 1e-6
#: Below this a voxel is lung or air, in HU.
_AIR_HU = -400.0
#: Widths under which a row of a CT slice is no trunk (arms, couch), in mm.
_TRUNK_MM = 150.0


@dataclass(frozen=True)
class SideEvidence:
    """One thing that speaks for a side.

    Attributes:
        kind: text (``plan``, ``prescription``, ``target_name``) or place (``target``, ``isocentre``, ``dose``).
        what: the text, or the name of the target.
        side: what it says.
        offset_mm: distance from the midline, positive to the patient's left, in mm; None of texts.
    """

    kind: EvidenceKind
    what: str
    side: Laterality
    offset_mm: float | None = None


def laterality_of(case: Case) -> Laterality:
    """The side that a plan treats; ``unknown`` where nothing says it, or where texts and dose contradict each other.

    Args:
        case: as read; organs at risk say nothing, whatever side they lie on.
    """
    evidence = side_evidence(case, *_shipped_limits())
    texts = {e.side for e in evidence if e.kind in ("plan", "prescription", "target_name") and e.side != "unknown"}
    places = [e.side for kind in ("dose", "target") for e in evidence if e.kind == kind and e.side != "unknown"]
    sides = texts & {"left", "right"}
    if "both" in texts or len(sides) == 2:
        return "both"
    if sides:
        named: Laterality = "left" if "left" in sides else "right"
        opposite = "right" if named == "left" else "left"
        return "unknown" if opposite in places else named
    if places:
        return places[0]
    return "midline" if "midline" in texts else "unknown"


@cache
def _shipped_limits() -> tuple[float, float]:
    """The limits ``side_offset``, in mm, and ``side_share``, 0 to 1, of the protocol that all others extend: the side is asked for before a protocol is chosen."""
    limits = load_protocol().limits
    return limits.side_offset.value, limits.side_share.value / 100


def side_evidence(case: Case, offset_mm: float, share: float) -> tuple[SideEvidence, ...]:
    """Everything that says which side is treated, texts before places.

    Args:
        case: as read.
        offset_mm: how far off the midline the centre of a side's volume lies at least, in mm.
        share: part of the volume that must lie on that side, 0 to 1.
    """
    return (*_texts(case), *_places(case, offset_mm, share))


def _texts(case: Case) -> Iterator[SideEvidence]:
    plan = case.plan
    texts: list[tuple[EvidenceKind, str]] = []
    if plan is not None:
        # Each text by itself: "Breast right" as name beside "left" as description is no plan for both.
        texts += [("plan", t) for t in (plan.label, *(plan.description_parts or (plan.description,)))]
        texts += [("prescription", p.target) for p in plan.prescriptions]
    texts += [("target_name", roi.structure.name) for roi in case.rois if is_target(roi)]
    context = " ".join(text for _, text in texts)
    levels = _names_levels([text for kind, text in texts if kind == "target_name"])
    for kind, text in dict.fromkeys(texts):
        # "PTV_L" beside "PTV_H" is a level of dose.
        side = side_of_text(text, "" if levels else context)
        if side is not None:
            yield SideEvidence(kind, text, side)


def _names_levels(names: list[str]) -> bool:
    last = {w for name in names for w in words(name)[-1:]}
    return bool(last & {"h", "m", "high", "mid", "low", "hr", "lr", "ir"})


def _places(case: Case, offset_mm: float, share: float) -> Iterator[SideEvidence]:
    middle = midline_mm(case)
    if middle is None:
        return
    for roi in contoured_targets(case):
        x, volume = _x_and_volume(roi.structure)
        yield _evidence("target", roi.structure.name, x - middle, volume, offset_mm, share)
    beams = case.plan.treatment_beams if case.plan is not None else ()
    for off in sorted({round(b.isocentre_mm[0] - middle, 1) for b in beams if b.isocentre_mm is not None}):
        side: Laterality = "unknown" if abs(off) < offset_mm else "left" if off > 0 else "right"
        yield SideEvidence("isocentre", "isocentre", side, off)
    if case.dose is not None and float(case.dose.gy.max()) > 0:
        x, weights = _x_and_weights(case.dose)
        evidence = _evidence("dose", "dose", x - middle, weights, offset_mm, share)
        # A region that goes on beyond the grid may have its middle anywhere; only what lies far to one side is sure to be of it.
        unsure = level_of(case.dose).cut and evidence.side in ("both", "midline")
        yield replace(evidence, side="unknown") if unsure else evidence


def _evidence(
    kind: EvidenceKind, what: str, x: NDArray[np.float64], weights: NDArray[np.float64], offset_mm: float, share: float
) -> SideEvidence:
    """The side of a volume, as slabs across the patient: their distances from the midline and their volumes."""
    total = float(weights.sum())
    centre = float(x @ weights / total)
    left = float(weights[x > 0].sum() / total)
    far = [float(weights[outside].sum() / total) for outside in (x > offset_mm, x < -offset_mm)]
    side: Laterality = "unknown"
    if abs(centre) >= offset_mm and max(left, 1 - left) >= share:
        side = "left" if centre > 0 else "right"
    elif min(far) >= _BOTH_SHARE:
        side = "both"
    elif abs(centre) < _MIDDLE_MM:
        side = "midline"
    return SideEvidence(kind, what, side, round(centre, 1))


def _x_and_volume(structure: Structure) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Patient x and volume of pieces of a structure: each polygon cut into strips along x."""
    heights = structure.slab_bounds_mm[:, 1] - structure.slab_bounds_mm[:, 0]
    xs: list[float] = []
    volumes: list[float] = []
    for (w, area), height in zip(structure.planes.items(), heights, strict=True):
        for polygon in area.geoms:
            low, front, high, back = polygon.bounds
            corners = structure.orientation.to_patient(
                np.array([[low, front, w], [high, front, w], [low, back, w], [high, back, w]])
            )
            centre = structure.orientation.to_patient(np.array([[polygon.centroid.x, polygon.centroid.y, w]]))[0, 0]
            # A polygon is as wide as it is: half of it lies on either side of its centre.
            half = float(np.ptp(corners[:, 0])) / 4
            xs += [float(centre) - half, float(centre) + half]
            volumes += [polygon.area * float(height) / 2] * 2
    return np.array(xs), np.array(volumes)


def _x_and_weights(dose: Dose) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Patient x, in mm, and number of the dose points there that get at least half of the maximum."""
    treated = dose.gy >= dose.gy.max() / 2
    grid = dose.grid
    if abs(grid.orientation.column[0]) + abs(grid.orientation.normal[0]) < _ALONG_ROWS:
        # x depends on the column alone: a large field is tens of millions of points.
        x = grid.patient_mm([(0, 0, k) for k in range(grid.size[1])])[:, 0]
        return x, treated.sum(axis=(0, 1)).astype(np.float64)
    x = grid.patient_mm(np.argwhere(treated))[:, 0]
    return x, np.ones(x.size)


def midline_mm(case: Case) -> float | None:
    """Patient x of the midline, in mm; None where nothing shows it.

    The spinal cord or canal where it is contoured, else the middle of the body's outline, of both lungs, or of the body on the CT.
    """
    rois = [roi.structure for roi in case.rois if not roi.structure.is_empty]
    for structure in rois:
        if organ_of(structure.name) in ("cord", "canal"):
            return float(structure.centroid_mm[0])
    kinds = {id(roi.structure): roi.structure.kind for roi in case.rois}
    for structure in rois:
        if is_body(structure.name, kinds.get(id(structure), "")):
            return _middle_of(structure)
    lungs: dict[str, Structure] = {}
    for structure in rois:
        side = lung_side(structure.name)
        if side:
            lungs.setdefault(side, structure)
    if len(lungs) == 2:
        inner = [_x_range(lung) for lung in lungs.values()]
        return (min(low for low, _ in inner) + max(high for _, high in inner)) / 2
    return _middle_of_image(case.image) if case.image is not None else None


def _x_range(structure: Structure) -> tuple[float, float]:
    middles = [_x_bounds(structure, w) for w in structure.planes]
    return min(low for low, _ in middles), max(high for _, high in middles)


def _x_bounds(structure: Structure, w: float) -> tuple[float, float]:
    low, front, high, back = structure.planes[w].bounds
    corners = structure.orientation.to_patient(np.array([[low, front, w], [high, front, w], [low, back, w], [high, back, w]]))
    return float(corners[:, 0].min()), float(corners[:, 0].max())


def _middle_of(structure: Structure) -> float:
    """Median over the planes, so that one arm on a few of them does not count."""
    return float(np.median([sum(_x_bounds(structure, w)) / 2 for w in structure.planes]))


def _middle_of_image(image: Image) -> float | None:
    """Median over slices of the middle of the tissue in the rows that are as wide as a trunk."""
    grid = image.grid
    row = np.array(grid.orientation.row)
    if abs(row[0]) < 0.9:
        return None
    middles = []
    for k in range(0, grid.shape[0], max(1, grid.shape[0] // 20)):
        tissue = image.hu[k] > _AIR_HU
        wide = tissue.sum(axis=1) * grid.spacing_mm[1] >= _TRUNK_MM
        if not wide.any():
            continue
        columns = np.arange(grid.size[1])
        counts = tissue[wide].sum(axis=0)
        # The median of the tissue along x: a couch is symmetric, and a breast more or an arm moves it little.
        column = float(np.interp(counts.sum() / 2, np.cumsum(counts), columns))
        middles.append(grid.patient_mm([(k, grid.size[0] // 2, column)])[0, 0])
    return float(np.median(middles)) if middles else None
