"""RTDOSE -> a dose grid with what it says of itself, or a reason why not."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from rtqc.core.case import DoseAttributes
from rtqc.core.grid import EVEN_STEP_TOLERANCE_MM, Grid
from rtqc.core.limits import MOST_DOSE_GY, LimitError, refuse_extent, refuse_matrix, refuse_places, refuse_spacing
from rtqc.core.orientation import Orientation
from rtqc.core.volumes import Dose
from rtqc.core.wording import counted
from rtqc.dicom.bounded import read_object
from rtqc.dicom.decoder import DecoderDiedError, pixels_of
from rtqc.dicom.elements import get, is_cut_off, items, number, numbers, text
from rtqc.dicom.read_plan import date_time

#: Dose Types (PS3.3 C.8.8.3) that are doses; ERROR is a difference, CODED whatever a code says.
_DOSE_TYPES = {"", "PHYSICAL", "EFFECTIVE"}
#: Direction cosines of an axial plane's normal may be off the patient's axis by this much.
_AXIAL_TOLERANCE = 1e-3


class NoGridError(ValueError):
    """A dose object without a dose grid: it holds DVHs or doses of points only, which is no mistake."""


class DoseError(ValueError):
    """A dose object that cannot be used; the message says why and what to do."""


@dataclass(frozen=True)
class ReferencedPlan:
    """What a dose object says that it is the dose of (Referenced RT Plan Sequence).

    Attributes:
        uid: Referenced SOP Instance UID of the plan.
        parts: a fraction group's number with a beam's or an application setup's; ``(1, "beam", 2)``. A group of which neither is named
            is ``(1, "group", 0)``.
    """

    uid: str
    parts: tuple[tuple[int, str, int], ...]


@dataclass(frozen=True)
class DoseObject:
    """A dose object that could be decoded.

    Attributes:
        dose: in Gy.
        attributes: what it says of itself.
        plans: what it is the dose of.
        fractions_included: Number of Fractions Included of a plan overview; None where absent.
    """

    dose: Dose
    attributes: DoseAttributes
    plans: tuple[ReferencedPlan, ...]
    fractions_included: int | None = None


def read_dose_object(path: Path) -> DoseObject:
    """Decode one RTDOSE.

    Raises:
        NoGridError: it holds no dose grid.
        DoseError: it is no absolute dose on a grid of its own; the message says why and what to do.
        Exception: whatever pydicom and numpy raise on a damaged file.
    """
    dataset = read_object(path)
    if is_cut_off(dataset):
        raise DoseError("the file is cut off: export it again.")
    if "FloatPixelData" in dataset or "DoubleFloatPixelData" in dataset:
        raise DoseError(
            "its doses are floating-point pixels, which RT Dose does not have: export them as integers with DoseGridScaling."
        )
    if "SOPClassUID" in dataset and "PixelData" not in dataset:
        raise NoGridError("it holds no dose grid, DVHs or doses of points only: export the plan's dose on a grid.")
    units, kind = text(dataset, "DoseUnits").upper(), text(dataset, "DoseType").upper()
    if units != "GY":
        raise DoseError(f"its DoseUnits are {units or 'absent'}, not GY, so no dose can be told: export absolute dose.")
    if kind not in _DOSE_TYPES:
        raise DoseError(f"its DoseType is {kind}: export the physical dose.")
    overview = items(dataset, "PlanOverviewSequence")
    included = number(overview[0], "NumberOfFractionsIncluded") if len(overview) == 1 else None
    try:
        dose = _decode(dataset)
    except (LimitError, DecoderDiedError) as error:
        raise DoseError(f"it was not used, because {error}: export it again.") from error
    return DoseObject(dose, _attributes(dataset), _plans(dataset), None if included is None else int(included))


def _attributes(dataset: Dataset) -> DoseAttributes:
    correction = get(dataset, "TissueHeterogeneityCorrection") or ""
    return DoseAttributes(
        dose_type=text(dataset, "DoseType").upper(),
        summation_type=text(dataset, "DoseSummationType").upper(),
        heterogeneity=(correction if isinstance(correction, str) else "\\".join(map(str, correction))).upper(),
        created_at=date_time(dataset, "InstanceCreationDate", "InstanceCreationTime"),
    )


def _plans(dataset: Dataset) -> tuple[ReferencedPlan, ...]:
    found: dict[str, tuple[tuple[int, str, int], ...]] = {}
    for plan in items(dataset, "ReferencedRTPlanSequence"):
        uid = text(plan, "ReferencedSOPInstanceUID")
        found[uid] = (*found.get(uid, ()), *(p for g in items(plan, "ReferencedFractionGroupSequence") for p in _parts(g)))
    return tuple(ReferencedPlan(uid, parts) for uid, parts in found.items())


def _parts(group: Dataset) -> list[tuple[int, str, int]]:
    group_number = int(number(group, "ReferencedFractionGroupNumber") or 0)
    named = [
        (group_number, part, int(number(item, keyword) or 0))
        for part, sequence, keyword in (
            ("beam", "ReferencedBeamSequence", "ReferencedBeamNumber"),
            ("setup", "ReferencedBrachyApplicationSetupSequence", "ReferencedBrachyApplicationSetupNumber"),
        )
        for item in items(group, sequence)
    ]
    return named or [(group_number, "group", 0)]


def _decode(dataset: Dataset) -> Dose:
    """The dose grid.

    Raises:
        DoseError: attributes that place or scale the grid are absent or contradict each other.
        LimitError: the grid is larger than a patient, or further away than a room is wide; nothing was decoded.
        DecoderDiedError: its compressed pixels brought the decoder down.
    """
    directions = numbers(dataset, "ImageOrientationPatient", 6)
    corner = numbers(dataset, "ImagePositionPatient", 3)
    spacing = numbers(dataset, "PixelSpacing", 2)
    scaling = number(dataset, "DoseGridScaling")
    if directions is None or corner is None or spacing is None:
        raise DoseError("its Image Plane attributes are absent, so it has no place: export it again.")
    if scaling is None or scaling <= 0:
        raise DoseError("its DoseGridScaling is absent or not positive: export it again.")
    rows, columns, frames = (number(dataset, k) for k in ("Rows", "Columns", "NumberOfFrames"))
    refuse_matrix(rows, columns, frames)
    refuse_spacing(spacing)
    refuse_places(corner)
    offsets = numbers(dataset, "GridFrameOffsetVector") or (0.0,)
    extent = ((rows or 1) * spacing[0], (columns or 1) * spacing[1], max(offsets) - min(offsets))
    refuse_extent(extent, "GridFrameOffsetVector" if extent[2] > max(extent[:2]) else "PixelSpacing")
    _refuse_hidden_bits(dataset)
    pixels = pixels_of(dataset)
    pixels = pixels[None] if pixels.ndim == 2 else pixels
    if pixels.shape[0] == 1:
        raise DoseError("it has a single plane, which gives no volume a dose: export the dose on a grid of several planes.")
    orientation = Orientation((directions[0], directions[1], directions[2]), (directions[3], directions[4], directions[5]))
    u, v, _ = orientation.to_frame(np.array([corner]))[0]
    positions = _positions_mm(dataset, orientation, corner, pixels.shape[0])
    order = np.argsort(positions, kind="stable")
    gy = pixels[order].astype(np.float32) * np.float32(scaling)
    if not np.isfinite(gy).all():
        raise DoseError("its doses are not numbers: export it again.")
    if float(gy.max()) > MOST_DOSE_GY:
        raise DoseError(
            f"its DoseGridScaling makes a dose of {float(gy.max()):g} Gy, which nobody plans (the limit is {MOST_DOSE_GY:g} Gy): export it again."
        )
    if float(gy.min()) < 0:
        raise DoseError(
            f"it holds negative doses, down to {float(gy.min()):.2f} Gy: export the dose of the plan, not a difference."
        )
    grid = Grid(
        orientation,
        (float(u), float(v)),
        (spacing[0], spacing[1]),
        (pixels.shape[1], pixels.shape[2]),
        tuple(float(p) for p in positions[order]),
        number(dataset, "SliceThickness"),
    )
    return Dose(grid, gy)


def _refuse_hidden_bits(dataset: Dataset) -> None:
    """RT Dose has Bits Stored equal to Bits Allocated and High Bit one less (PS3.3 C.8.8.3): where they differ, bits above Bits Stored are cut away.

    Raises:
        DoseError: such bits are set, so that the doses are others than those that are read; or nobody can see whether they are.
    """
    allocated, stored, high = (number(dataset, k) for k in ("BitsAllocated", "BitsStored", "HighBit"))
    if allocated is None or (stored == allocated and high in (None, allocated - 1)):
        return
    said = f"its BitsStored is {_shown(stored)} and its HighBit {_shown(high)}, where {allocated:g} BitsAllocated need {allocated:g} and {allocated - 1:g}"
    syntax = getattr(getattr(dataset, "file_meta", None), "TransferSyntaxUID", None)
    order = ">" if syntax is not None and not syntax.is_little_endian else "<"
    plain = (
        (syntax is None or not syntax.is_compressed) and stored is not None and high == stored - 1 and 0 < stored < allocated
    )
    if not plain or allocated not in (8, 16, 32):
        raise DoseError(f"{said}, so its values cannot be told: export it again.")
    width = int(allocated) // 8
    content = dataset.PixelData
    values = np.frombuffer(content[: len(content) // width * width], f"{order}u{width}")
    if values.size and int(values.max()) >> int(stored or 0):
        raise DoseError(f"{said}, and bits above them are set, so its values cannot be told: export it again.")


def _shown(value: float | None) -> str:
    return "absent" if value is None else f"{value:g}"


def _positions_mm(dataset: Dataset, orientation: Orientation, corner: tuple[float, ...], frames: int) -> NDArray[np.float64]:
    """Positions of the planes along the normal, by PS3.3 C.8.8.3.2, in mm.

    Offsets begin with 0 and count from Image Position along the normal (a), or they are the planes' z and begin with that of Image
    Position (b). The standard has (b) for the orientation 1, 0, 0, 0, 1, 0 only; on every axial plane it can mean one thing only, and
    planning systems write it for prone patients.

    Raises:
        DoseError: they are of neither kind, of another number, or do not vary monotonically.
    """
    offsets = np.asarray(numbers(dataset, "GridFrameOffsetVector") or (), float)
    if offsets.size != frames:
        raise DoseError(
            f"its GridFrameOffsetVector has {counted(offsets.size, 'value')} for {counted(frames, 'frame')}: export it again."
        )
    steps = np.diff(offsets)
    if not ((steps > 0).all() or (steps < 0).all()):
        raise DoseError("its GridFrameOffsetVector does not vary monotonically, so its planes have no place: export it again.")
    first_mm = float(orientation.to_frame(np.array([corner]))[0, 2])
    axial = abs(abs(orientation.normal[2]) - 1) < _AXIAL_TOLERANCE
    if abs(offsets[0]) < EVEN_STEP_TOLERANCE_MM:
        sign = 1.0
    elif axial and abs(offsets[0] - corner[2]) < EVEN_STEP_TOLERANCE_MM:
        sign = float(np.sign(orientation.normal[2]))
    else:
        raise DoseError(
            f"its GridFrameOffsetVector begins with {offsets[0]:g} mm, which is neither 0 nor the z of its Image Position ({corner[2]:g} mm), so its planes have no place: export it again."
        )
    return np.asarray(first_mm + sign * (offsets - offsets[0]), np.float64)
