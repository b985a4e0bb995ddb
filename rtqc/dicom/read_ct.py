"""A CT series -> Image: slices put in order by position, whatever their file names and instance numbers say."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from scipy.ndimage import shift as shift_image

from rtqc.core.finding import Finding
from rtqc.core.grid import Grid
from rtqc.core.orientation import Orientation
from rtqc.core.slabs import MAX_BRIDGED_SPACINGS
from rtqc.core.volumes import Image
from rtqc.dicom.elements import number, numbers
from rtqc.dicom.index import Header
from rtqc.dicom.notes import named, note

#: Slices nearer than this are at one position: coordinates are written to 0.01 mm.
SAME_POSITION_MM = 0.02
#: A step this many times the usual one is a missing slice.
GAP_STEPS = 1.5
#: Shift between first and last slice from which slices are straightened; below it is rounding.
TILT_SHIFT_MM = 1.0


@dataclass(frozen=True)
class Slice:
    """One slice, decoded; stored pixel values, which slope and intercept make CT numbers of."""

    header: Header
    orientation: Orientation
    corner: tuple[float, float, float]
    spacing: tuple[float, float]
    pixels: NDArray[np.integer]
    slope: float | None
    intercept: float | None
    tilt_deg: float

    @property
    def rescaled(self) -> bool:
        """Whether the file says how stored values become CT numbers."""
        return self.slope is not None and self.intercept is not None


@dataclass(frozen=True)
class Series:
    """A series as an image, with the slices' headers in the grid's order and the attributes that results copy."""

    image: Image | None
    slices: tuple[Header, ...]
    first: Dataset | None
    findings: tuple[Finding, ...]


def read_series(headers: list[Header]) -> Series:
    """Decode a series.

    Args:
        headers: all its files; copies and strangers are told apart here.

    Returns:
        The image, or None where fewer than two slices could be used, and what was found.
    """
    findings: list[Finding] = []
    unique = _without_copies(headers, findings)
    slices: list[Slice] = []
    first: Dataset | None = None
    broken: list[str] = []
    for header in unique:
        try:
            dataset = pydicom.dcmread(header.path, force=True)
            slices.append(_decode(header, dataset))
            first = first if first is not None else dataset
        except Exception:  # a damaged slice makes pydicom and its codecs raise nearly anything
            broken.append(header.name)
    if broken:
        message = f"{len(broken)} CT file(s) could not be decoded and were left out ({named(broken)}): export the series again."
        findings.append(note("file.unreadable", message, files=broken))
    slices = _of_one_geometry(slices, findings)
    slices = _one_a_position(slices, findings)
    if not slices:
        findings.append(note("ct.unusable", "No slice of the CT series could be read: export the series again."))
        return Series(None, (), first, tuple(findings))
    if not all(s.rescaled for s in slices):
        names = [s.header.name for s in slices if not s.rescaled]
        message = f"RescaleSlope or RescaleIntercept is absent in {len(names)} slice(s) ({named(names)}): 1 and 0 were assumed, so the CT numbers may be off by 1024 HU."
        findings.append(note("ct.rescale_absent", message, files=names))
    image = _assemble(slices, findings)
    return Series(image, tuple(s.header for s in slices), first, tuple(findings))


def _without_copies(headers: list[Header], findings: list[Finding]) -> list[Header]:
    seen: dict[str, Header] = {}
    copies = [h.name for h in headers if seen.setdefault(h.uid, h) is not h]
    if copies:
        message = f"{len(copies)} CT slice(s) are there more than once ({named(copies)}); each was used once."
        findings.append(note("ct.exported_twice", message, files=copies))
    return list(seen.values())


def _decode(header: Header, dataset: Dataset) -> Slice:
    directions = numbers(dataset, "ImageOrientationPatient", 6)
    corner = numbers(dataset, "ImagePositionPatient", 3)
    spacing = numbers(dataset, "PixelSpacing", 2)
    if directions is None or corner is None or spacing is None or min(spacing) <= 0:
        raise ValueError("no usable Image Plane attributes")
    slope, intercept = number(dataset, "RescaleSlope"), number(dataset, "RescaleIntercept")
    pixels = dataset.pixel_array
    if pixels.ndim != 2:
        raise ValueError("not a single-frame grey-scale image")
    return Slice(
        header,
        Orientation((directions[0], directions[1], directions[2]), (directions[3], directions[4], directions[5])),
        (corner[0], corner[1], corner[2]),
        (spacing[0], spacing[1]),
        pixels,
        slope,
        intercept,
        number(dataset, "GantryDetectorTilt") or 0.0,
    )


def _of_one_geometry(slices: list[Slice], findings: list[Finding]) -> list[Slice]:
    """The largest group of slices of one size, spacing and direction."""
    groups: dict[tuple[object, ...], list[Slice]] = defaultdict(list)
    for s in slices:
        direction = tuple(round(v, 3) for v in (*s.orientation.row, *s.orientation.column))
        groups[(s.pixels.shape, tuple(round(v, 4) for v in s.spacing), direction)].append(s)
    if len(groups) < 2:
        return slices
    kept = max(groups.values(), key=len)
    left = [s.header.name for group in groups.values() if group is not kept for s in group]
    message = (
        f"{len(left)} slice(s) of another size, spacing or direction lie in the CT series and were left out ({named(left)})."
    )
    findings.append(note("ct.mixed", message, files=left))
    return kept


def _one_a_position(slices: list[Slice], findings: list[Finding]) -> list[Slice]:
    """Ascending along the normal; of slices at one position the first by name stays."""
    if not slices:
        return []
    orientation = slices[0].orientation
    placed = sorted(slices, key=lambda s: (_height(s, orientation), s.header.name))
    kept: list[Slice] = []
    doubled: list[Slice] = []
    for s in placed:
        if kept and abs(_height(s, orientation) - _height(kept[-1], orientation)) < SAME_POSITION_MM:
            doubled.append(s)
        else:
            kept.append(s)
    if doubled:
        names = [s.header.name for s in doubled]
        # Half of the slices doubled means that two series carry one UID; a few mean that slices were exported again.
        rule = "ct.mixed" if len(doubled) > len(kept) / 2 else "ct.slice_duplicated"
        message = f"{len(doubled)} CT slice(s) lie at a position that another slice already has ({named(names)}); the first by name was used: export the series again."
        positions = [_patient_height(s) for s in doubled]
        findings.append(note(rule, message, files=names, positions_mm=sorted(positions)[:20]))
    return kept


def _height(s: Slice, orientation: Orientation) -> float:
    return float(orientation.to_frame(np.array([s.corner]))[0, 2])


def _patient_height(s: Slice) -> float:
    """Position along the canonical normal, as findings give it (axial: z)."""
    return float(s.orientation.canonical().to_frame(np.array([s.corner]))[0, 2])


def _assemble(slices: list[Slice], findings: list[Finding]) -> Image | None:
    orientation = slices[0].orientation
    corners = orientation.to_frame(np.array([s.corner for s in slices]))
    if len(slices) < 2:
        message = f"The CT series has a single usable slice ({slices[0].header.name}): no volume can be made of it."
        findings.append(note("ct.unusable", message, files=[slices[0].header.name]))
        return None
    hu = _straightened(slices, corners, findings)
    grid = Grid(
        orientation,
        (float(corners[0, 0]), float(corners[0, 1])),
        slices[0].spacing,
        (slices[0].pixels.shape[0], slices[0].pixels.shape[1]),
        tuple(float(w) for w in corners[:, 2]),
    )
    _note_gaps(grid, findings)
    return Image(grid, hu)


def _hounsfield(slices: list[Slice]) -> NDArray[np.float32]:
    """CT numbers of all slices, each made in its place: no copy of the whole image on the way."""
    hu = np.empty((len(slices), *slices[0].pixels.shape), np.float32)
    for k, s in enumerate(slices):
        slope = 1.0 if s.slope is None else s.slope
        np.multiply(s.pixels, np.float32(slope), out=hu[k], casting="unsafe", dtype=np.float32)
        if s.intercept:
            hu[k] += np.float32(s.intercept)
    return hu


def _straightened(slices: list[Slice], corners: NDArray[np.float64], findings: list[Finding]) -> NDArray[np.float32]:
    """Slices of a tilted gantry start at different in-plane positions; shift them to the first one's."""
    offsets = corners[:, :2] - corners[0, :2]
    hu = _hounsfield(slices)
    tilt = Counter(round(s.tilt_deg, 1) for s in slices).most_common(1)[0][0]
    if float(np.abs(offsets).max()) <= TILT_SHIFT_MM:
        return hu
    message = f"The slices are not stacked at a right angle (they shift by {np.abs(offsets).max():.0f} mm, gantry tilt {tilt:g} degrees); they were straightened for the draft."
    findings.append(
        note("ct.gantry_tilt", message, measured=round(float(np.abs(offsets).max()), 1), limit=TILT_SHIFT_MM, unit="mm")
    )
    spacing = slices[0].spacing
    for k, (u, v) in enumerate(offsets):
        hu[k] = shift_image(hu[k], (v / spacing[0], u / spacing[1]), order=1, cval=-1000.0)
    return hu


def _note_gaps(grid: Grid, findings: list[Finding]) -> None:
    steps = np.diff(grid.positions_mm)
    wide = np.flatnonzero(steps > GAP_STEPS * grid.slice_spacing_mm)
    if wide.size == 0:
        return
    sign = float(grid.orientation.transform_to(grid.orientation.canonical())[2, 2])
    middles = sorted(float(sign * (grid.positions_mm[k] + grid.positions_mm[k + 1]) / 2) for k in wide)
    missing = int(sum(round(steps[k] / grid.slice_spacing_mm) - 1 for k in wide))
    bridged = "" if steps.max() > MAX_BRIDGED_SPACINGS * grid.slice_spacing_mm else "; the gap was interpolated"
    message = f"About {max(missing, 1)} CT slice(s) are missing near {', '.join(f'{m:.1f}' for m in middles[:4])} mm (steps up to {steps.max():.1f} mm instead of {grid.slice_spacing_mm:.1f} mm){bridged}: export the series again."
    finding = note(
        "ct.slice_missing",
        message,
        positions_mm=middles,
        measured=round(float(steps.max()), 2),
        limit=round(GAP_STEPS * grid.slice_spacing_mm, 2),
        unit="mm",
    )
    findings.append(finding)
