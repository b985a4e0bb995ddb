"""A CT series -> Image: slices put in order by position, whatever their file names and instance numbers say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from scipy.ndimage import shift as shift_image

from rtqc.core.finding import Finding
from rtqc.core.grid import Grid
from rtqc.core.limits import LimitError, refuse_extent, refuse_matrix
from rtqc.core.slabs import BRIDGED_MM, MAX_BRIDGED_SPACINGS
from rtqc.core.volumes import Image
from rtqc.core.wording import listed
from rtqc.dicom.bounded import read_object
from rtqc.dicom.ct_choice import GAP_STEPS, of_one_geometry, one_a_position, without_copies
from rtqc.dicom.ct_slices import Slice, slice_of
from rtqc.dicom.decoder import DecoderDiedError
from rtqc.dicom.index import Header
from rtqc.dicom.notes import note
from rtqc.dicom.read_enhanced_ct import ENHANCED_CT_CLASSES, FramesError, absent_parts, flattened, slices_of_frames

#: Shift between first and last slice from which slices are straightened; below it is rounding.
TILT_SHIFT_MM = 1.0
#: So many slices of a series may bring their decoder down before the rest is not tried.
MOST_DEATHS = 5


@dataclass(frozen=True)
class Series:
    """A series as an image, with the slices' headers in the grid's order and the attributes that results copy."""

    image: Image | None
    slices: tuple[Header, ...]
    first: Dataset | None
    findings: tuple[Finding, ...]
    #: Number of each slice's frame, from 1; 0 for a file of its own.
    frames: tuple[int, ...] = ()


def read_series(headers: list[Header], referenced: Callable[[], frozenset[str]] | None = None) -> Series:
    """Decode a series.

    Args:
        headers: all its files; copies and strangers are told apart here.
        referenced: SOP Instance UIDs of the slices that the structure set was drawn on; asked for once.

    Returns:
        The image, or None where fewer than two slices could be used, and what was found.
    """
    findings: list[Finding] = []
    unique = without_copies(headers, findings)
    slices, first = _decoded(unique, findings)
    uids = _asked_once(referenced)
    slices = of_one_geometry(slices, uids, findings)
    slices = one_a_position(slices, uids, findings)
    if not slices:
        findings.append(note("ct.unusable", "No slice of the CT series could be read: export the series again."))
        return Series(None, (), first, tuple(findings))
    if not all(s.rescaled for s in slices):
        names = [s.name for s in slices if not s.rescaled]
        message = f"RescaleSlope or RescaleIntercept is absent in {len(names)} {'slice' if len(names) == 1 else 'slices'} ({listed(names)}): 1 and 0 were assumed, so the CT numbers may be off by 1024 HU."
        findings.append(note("ct.rescale_absent", message, files=names))
    try:
        image = _assemble(slices, findings)
    except LimitError as error:
        names = [slices[0].name, slices[-1].name]
        message = f"The CT series of {listed(names)} was not used: {error}. Export the series again."
        findings.append(note("file.beyond_limits", message, files=names))
        return Series(None, tuple(s.header for s in slices), first, tuple(findings))
    return Series(image, tuple(s.header for s in slices), first, tuple(findings), tuple(s.frame for s in slices))


def _decoded(headers: list[Header], findings: list[Finding]) -> tuple[list[Slice], Dataset | None]:
    """Slices of the files that can be decoded, and the first of these as it was read; what is wrong with the others is found."""
    slices: list[Slice] = []
    first: Dataset | None = None
    broken: list[str] = []
    refused: list[tuple[str, LimitError]] = []
    deadly: list[tuple[str, DecoderDiedError]] = []
    enhanced: list[tuple[Header, Dataset]] = []
    for header in headers:
        if len(deadly) >= MOST_DEATHS:
            # A series that was made to bring decoders down: it is no plan, and each costs up to half a minute.
            break
        try:
            dataset: Dataset = read_object(header.path)
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
        except LimitError as error:
            refused.append((header.name, error))
        except DecoderDiedError as error:
            deadly.append((header.name, error))
        except Exception:  # a damaged slice makes pydicom and its codecs raise nearly anything
            broken.append(header.name)
    findings += [_refused(refused)] if refused else []
    findings += [_deadly(deadly)] if deadly else []
    findings += absent_parts(enhanced)
    if broken:
        files = (
            "1 CT file could not be decoded and was"
            if len(broken) == 1
            else f"{len(broken)} CT files could not be decoded and were"
        )
        message = f"{files} left out ({listed(broken)}): export the series again."
        findings.append(note("file.unreadable", message, files=broken))
    return slices, first


def _refused(refused: list[tuple[str, LimitError]]) -> Finding:
    names = [name for name, _ in refused]
    were = "1 CT file was" if len(names) == 1 else f"{len(names)} CT files were"
    message = f"{were} left out ({listed(names)}): {refused[0][1]}. No CT of a patient has that: export the series again."
    return note("file.beyond_limits", message, files=names)


def _deadly(deadly: list[tuple[str, DecoderDiedError]]) -> Finding:
    names = [name for name, _ in deadly]
    were = "1 CT file was" if len(names) == 1 else f"{len(names)} CT files were"
    gave_up = "; the files behind them were not tried" if len(names) >= MOST_DEATHS else ""
    message = f"{were} left out ({listed(names)}): {deadly[0][1]}{gave_up}. Export the series again, uncompressed."
    return note("file.decoder_died", message, files=names)


def _asked_once(referenced: Callable[[], frozenset[str]] | None) -> Callable[[], frozenset[str]]:
    return cache(referenced) if referenced is not None else frozenset


def _assemble(slices: list[Slice], findings: list[Finding]) -> Image | None:
    orientation = slices[0].orientation
    corners = orientation.to_frame(np.array([s.corner for s in slices]))
    if len(slices) < 2:
        message = f"The CT series has a single usable slice ({slices[0].name}): no volume can be made of it."
        findings.append(note("ct.unusable", message, files=[slices[0].header.name]))
        return None
    rows, columns = slices[0].pixels.shape
    refuse_matrix(rows, columns, len(slices))
    heights = float(np.ptp(corners[:, 2]))
    refuse_extent((heights, 0.0, 0.0), "ImagePositionPatient")
    refuse_extent((heights, rows * slices[0].spacing[0], columns * slices[0].spacing[1]), "PixelSpacing")
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
    lacking = "About 1 CT slice is" if missing <= 1 else f"About {missing} CT slices are"
    message = f"{lacking} missing near {', '.join(f'{m:.1f}' for m in middles[:4])} mm (steps up to {steps[widest]:.1f} mm instead of {usual[widest]:.1f} mm){bridged}: export the series again."
    finding = note(
        "ct.slice_missing",
        message,
        positions_mm=middles,
        measured=round(float(steps[widest]), 2),
        limit=round(GAP_STEPS * float(usual[widest]), 2),
        unit="mm",
    )
    findings.append(finding)
