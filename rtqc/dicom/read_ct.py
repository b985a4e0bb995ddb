"""A CT series -> Image: slices put in order by position, whatever their file names and instance numbers say."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from scipy.ndimage import shift as shift_image

from rtqc.core.finding import Finding
from rtqc.core.grid import Grid
from rtqc.core.orientation import PARALLEL_TOLERANCE, Orientation
from rtqc.core.slabs import BRIDGED_MM, MAX_BRIDGED_SPACINGS, local_spacings_mm
from rtqc.core.volumes import Image
from rtqc.dicom.ct_slices import Slice, slice_of
from rtqc.dicom.index import Header
from rtqc.dicom.notes import named, note
from rtqc.dicom.read_enhanced_ct import ENHANCED_CT_CLASSES, FramesError, absent_parts, flattened, slices_of_frames

#: Slices nearer than this are at one position: coordinates are written to 0.01 mm.
SAME_POSITION_MM = 0.02
#: Rank of slices that belong to another acquisition than the one that is used.
_OTHER_ACQUISITION = 2
#: Slices whose far corners differ by less than this many pixels are of one geometry: headers are rounded differently from file to file.
SAME_PIXELS = 0.1
#: A step this many times the usual one is a missing slice.
GAP_STEPS = 1.5
#: Shift between first and last slice from which slices are straightened; below it is rounding.
TILT_SHIFT_MM = 1.0


@dataclass(frozen=True)
class Series:
    """A series as an image, with the slices' headers in the grid's order and the attributes that results copy."""

    image: Image | None
    slices: tuple[Header, ...]
    first: Dataset | None
    findings: tuple[Finding, ...]


def read_series(headers: list[Header], referenced: Callable[[], frozenset[str]] | None = None) -> Series:
    """Decode a series.

    Args:
        headers: all its files; copies and strangers are told apart here.
        referenced: SOP Instance UIDs of the slices that the structure set was drawn on; asked for only where slices compete for a place.

    Returns:
        The image, or None where fewer than two slices could be used, and what was found.
    """
    findings: list[Finding] = []
    unique = _without_copies(headers, findings)
    slices: list[Slice] = []
    first: Dataset | None = None
    broken: list[str] = []
    enhanced: list[tuple[Header, Dataset]] = []
    for header in unique:
        try:
            dataset: Dataset = pydicom.dcmread(header.path, force=True)
            if header.sop_class in ENHANCED_CT_CLASSES:
                slices += slices_of_frames(header, dataset)
                dataset = flattened(dataset)
                enhanced.append((header, dataset))
            else:
                slices.append(slice_of(header, dataset))
            first = first if first is not None else dataset
        except FramesError as error:
            message = f"{header.name} is an Enhanced (multi-frame) CT that {error}: export it as single slices, or with its functional groups."
            findings.append(note("ct.frames_unusable", message, files=[header.name]))
        except Exception:  # a damaged slice makes pydicom and its codecs raise nearly anything
            broken.append(header.name)
    findings += absent_parts(enhanced)
    if broken:
        message = f"{len(broken)} CT file(s) could not be decoded and were left out ({named(broken)}): export the series again."
        findings.append(note("file.unreadable", message, files=broken))
    uids = _asked_once(referenced)
    slices = _of_one_geometry(slices, uids, findings)
    slices = _one_a_position(slices, uids, findings)
    if not slices:
        findings.append(note("ct.unusable", "No slice of the CT series could be read: export the series again."))
        return Series(None, (), first, tuple(findings))
    if not all(s.rescaled for s in slices):
        names = [s.name for s in slices if not s.rescaled]
        message = f"RescaleSlope or RescaleIntercept is absent in {len(names)} slice(s) ({named(names)}): 1 and 0 were assumed, so the CT numbers may be off by 1024 HU."
        findings.append(note("ct.rescale_absent", message, files=names))
    image = _assemble(slices, findings)
    return Series(image, tuple(s.header for s in slices), first, tuple(findings))


def _asked_once(referenced: Callable[[], frozenset[str]] | None) -> Callable[[], frozenset[str]]:
    return cache(referenced) if referenced is not None else frozenset


def _without_copies(headers: list[Header], findings: list[Finding]) -> list[Header]:
    seen: dict[str, Header] = {}
    copies = [h.name for h in headers if seen.setdefault(h.uid, h) is not h]
    if copies:
        message = f"{len(copies)} CT slice(s) are there more than once ({named(copies)}); each was used once."
        findings.append(note("ct.exported_twice", message, files=copies))
    return list(seen.values())


def _of_one_geometry(slices: list[Slice], referenced: Callable[[], frozenset[str]], findings: list[Finding]) -> list[Slice]:
    """Slices of one size, spacing and direction, within tolerances: the group that the structure set refers to most, else the largest."""
    groups: list[list[Slice]] = []
    for s in slices:
        home = next((g for g in groups if _alike(s, g[0])), None)
        if home is None:
            groups.append([s])
        else:
            home.append(s)
    if len(groups) < 2:
        return slices
    uids = referenced()
    kept = max(groups, key=lambda g: (sum(s.header.uid in uids for s in g), len(g)))
    left = [s.name for group in groups if group is not kept for s in group]
    message = (
        f"{len(left)} slice(s) of another size, spacing or direction lie in the CT series and were left out ({named(left)})."
    )
    findings.append(note("ct.mixed", message, files=left))
    return kept


def _alike(a: Slice, b: Slice) -> bool:
    """Whether two slices fit into one stack: what differs is under a tenth of a pixel over the whole image."""
    if a.pixels.shape != b.pixels.shape:
        return False
    spacing = np.array(b.spacing)
    if (np.abs(np.array(a.spacing) - spacing) * max(a.pixels.shape) > SAME_PIXELS * spacing).any():
        return False
    return bool(np.abs(a.orientation.matrix - b.orientation.matrix).max() < PARALLEL_TOLERANCE)


def _one_a_position(slices: list[Slice], referenced: Callable[[], frozenset[str]], findings: list[Finding]) -> list[Slice]:
    """Ascending along the normal, one slice a position.

    Slices that the structure set refers to come before others of their acquisition, and these before those of another acquisition. Of the latter none stays
    between two neighbours of the former either.
    """
    if not slices:
        return []
    placed = [(_height(s, slices[0].orientation), s) for s in slices]
    placed.sort(key=lambda p: (p[0], p[1].name))
    uids = referenced()
    ranks = {id(s): rank for s, rank in zip(slices, _ranks(slices, uids), strict=True)}
    if len(set(ranks.values())) == 1 and all(b[0] - a[0] >= SAME_POSITION_MM for a, b in pairwise(placed)):
        return [s for _, s in placed]
    stack = np.unique([h for h, s in placed if ranks[id(s)] < _OTHER_ACQUISITION])
    kept: list[tuple[float, Slice]] = []
    doubled: list[Slice] = []
    for h, s in sorted(placed, key=lambda p: ranks[id(p[1])]):
        there = any(abs(h - other) < SAME_POSITION_MM for other, _ in kept)
        if there or (ranks[id(s)] == _OTHER_ACQUISITION and _lies_between(h, stack)):
            doubled.append(s)
        else:
            kept.append((h, s))
    if doubled:
        findings.append(_doubled(doubled, len(kept), any(s.header.uid in uids for _, s in kept)))
    return [s for _, s in sorted(kept, key=lambda p: p[0])]


def _ranks(slices: list[Slice], uids: frozenset[str]) -> list[int]:
    """0 for slices that are meant, 1 for others of their acquisition, :data:`_OTHER_ACQUISITION` for those of another.

    Meant is what the structure set refers to. Where it refers to nothing, all slices are of one rank unless acquisitions overlap: then the one with the
    most positions is meant.
    """
    meant = [s for s in slices if s.header.uid in uids]
    if not meant:
        main = _main_acquisition(slices)
        return [0 if main is None or s.acquisition == main else _OTHER_ACQUISITION for s in slices]
    acquisitions = {s.acquisition for s in meant}
    instances = {s.instance for s in meant} - {None}
    return [
        0
        if s.header.uid in uids
        else 1
        if s.acquisition in acquisitions and s.instance not in instances
        else _OTHER_ACQUISITION
        for s in slices
    ]


def _main_acquisition(slices: list[Slice]) -> str | None:
    """The acquisition with the most positions; None where acquisitions only follow each other, as those of an axial scan do."""
    heights: dict[str, set[float]] = defaultdict(set)
    for s in slices:
        heights[s.acquisition].add(round(_height(s, slices[0].orientation), 1))
    extents = sorted((min(h), max(h)) for h in heights.values())
    if all(b[0] > a[1] for a, b in pairwise(extents)):
        return None
    return max(heights, key=lambda a: len(heights[a]))


def _lies_between(height: float, stack: NDArray[np.float64]) -> bool:
    """Whether a height lies between two neighbouring slices of a stack that lacks none there."""
    above = int(np.searchsorted(stack, height))
    if stack.size < 3 or not 0 < above < stack.size:
        return False
    step = stack[above] - stack[above - 1]
    return bool(step <= GAP_STEPS * local_spacings_mm(stack)[above - 1])


def _doubled(doubled: list[Slice], kept: int, meant: bool) -> Finding:
    names = [s.name for s in doubled]
    # Half of the slices doubled means that two series carry one UID; a few mean that slices were exported again.
    rule = "ct.mixed" if len(doubled) > kept / 2 else "ct.slice_duplicated"
    used = (
        "those that the structure set refers to were used"
        if meant
        else "the first by name, of the acquisition with most slices, was used"
    )
    message = f"{len(doubled)} CT slice(s) lie at or between positions that other slices already have ({named(names)}); {used}: export the series again."
    return note(rule, message, files=names, positions_mm=sorted(_patient_height(s) for s in doubled)[:20])


def _height(s: Slice, orientation: Orientation) -> float:
    return float(orientation.to_frame(np.array([s.corner]))[0, 2])


def _patient_height(s: Slice) -> float:
    """Position along the canonical normal, as findings give it (axial: z)."""
    return float(s.orientation.canonical().to_frame(np.array([s.corner]))[0, 2])


def _assemble(slices: list[Slice], findings: list[Finding]) -> Image | None:
    orientation = slices[0].orientation
    corners = orientation.to_frame(np.array([s.corner for s in slices]))
    if len(slices) < 2:
        message = f"The CT series has a single usable slice ({slices[0].name}): no volume can be made of it."
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
    steps, usual = np.diff(grid.positions_mm), grid.local_spacings_mm
    wide = np.flatnonzero(steps > GAP_STEPS * usual)
    if wide.size == 0:
        return
    sign = float(grid.orientation.transform_to(grid.orientation.canonical())[2, 2])
    middles = sorted(float(sign * (grid.positions_mm[k] + grid.positions_mm[k + 1]) / 2) for k in wide)
    missing = int(sum(round(steps[k] / usual[k]) - 1 for k in wide))
    widest = int(wide[np.argmax(steps[wide])])
    parted = steps[wide] > np.maximum(MAX_BRIDGED_SPACINGS * usual[wide], BRIDGED_MM)
    bridged = "" if parted.any() else "; the gap was interpolated"
    message = f"About {max(missing, 1)} CT slice(s) are missing near {', '.join(f'{m:.1f}' for m in middles[:4])} mm (steps up to {steps[widest]:.1f} mm instead of {usual[widest]:.1f} mm){bridged}: export the series again."
    finding = note(
        "ct.slice_missing",
        message,
        positions_mm=middles,
        measured=round(float(steps[widest]), 2),
        limit=round(GAP_STEPS * float(usual[widest]), 2),
        unit="mm",
    )
    findings.append(finding)
