"""An Enhanced (multi-frame) CT -> slices: what stands in each frame's functional groups, or in those that all share (PS3.3 C.7.6.16)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from pydicom.dataset import Dataset

from rtqc.core.finding import Finding
from rtqc.core.limits import LimitError
from rtqc.dicom.ct_slices import Slice, plane_of, refuse_plane
from rtqc.dicom.decoder import pixels_of
from rtqc.dicom.elements import items, number, text
from rtqc.dicom.index import Header
from rtqc.dicom.notes import note

#: Enhanced CT Image Storage and Legacy Converted Enhanced CT Image Storage.
ENHANCED_CT_CLASSES = frozenset({"1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.2.2"})
#: Attributes of the acquisition that a single-frame CT has at its top level, by the functional group that holds them here.
_FLATTENED = {
    "PixelMeasuresSequence": ("SliceThickness",),
    "CTReconstructionSequence": ("ConvolutionKernel", "ReconstructionDiameter", "ReconstructionAlgorithm"),
    "CTXRayDetailsSequence": ("KVP", "FocalSpots", "FilterType"),
    "CTAcquisitionDetailsSequence": ("GantryDetectorTilt",),
    "CTExposureSequence": ("ExposureTimeInms", "XRayTubeCurrentInmA"),
}


class FramesError(ValueError):
    """A multi-frame CT whose frames cannot be placed; the message says what is absent."""


def slices_of_frames(header: Header, dataset: Dataset) -> list[Slice]:
    """The frames of an Enhanced CT as slices; scout views are left out.

    Raises:
        FramesError: the functional groups that place the frames are absent.
        Exception: whatever pydicom and its codecs raise on damaged pixels.
    """
    count = int(number(dataset, "NumberOfFrames") or 1)
    frames = items(dataset, "PerFrameFunctionalGroupsSequence")
    shared = next(iter(items(dataset, "SharedFunctionalGroupsSequence")), Dataset())
    if len(frames) != count:
        raise FramesError(f"describes {len(frames)} of its {count} frames (Per-Frame Functional Groups Sequence)")
    pixels = pixels_of(dataset)
    if count == 1 and pixels.ndim == 2:
        pixels = pixels[None]
    if pixels.ndim != 3 or pixels.shape[0] != count:
        raise FramesError("is not a stack of grey-scale frames")
    slices = []
    for index, frame in enumerate(frames):
        kind = text(_group("CTImageFrameTypeSequence", frame, shared), "FrameType")
        if "LOCALIZER" in kind.upper():
            continue
        try:
            orientation, corner, spacing = plane_of(
                _group("PlanePositionSequence", frame, shared),
                _group("PlaneOrientationSequence", frame, shared),
                _group("PixelMeasuresSequence", frame, shared),
            )
        except LimitError:
            raise
        except ValueError as error:
            raise FramesError(
                f"does not say where frame {index + 1} lies (plane position, orientation, pixel measures)"
            ) from error
        refuse_plane(dataset, spacing)
        rescale = _group("PixelValueTransformationSequence", frame, shared)
        slices.append(
            Slice(
                header,
                orientation,
                corner,
                spacing,
                pixels[index],
                number(rescale, "RescaleSlope"),
                number(rescale, "RescaleIntercept"),
                number(_group("CTAcquisitionDetailsSequence", frame, shared), "GantryDetectorTilt") or 0.0,
                _acquisition(_group("FrameContentSequence", frame, shared)),
                frame=index + 1,
            )
        )
    return slices


def flattened(dataset: Dataset) -> Dataset:
    """The object with what its frames share at the top level, as a single-frame CT has it, for whoever asks how the CT was made."""
    flat = Dataset()
    flat.update(dataset)
    groups = [*items(dataset, "SharedFunctionalGroupsSequence")[:1], *items(dataset, "PerFrameFunctionalGroupsSequence")[:1]]
    for sequence, keywords in _FLATTENED.items():
        for keyword in keywords:
            holder = next((g[0] for g in (items(group, sequence) for group in groups) if g and keyword in g[0]), None)
            if holder is not None and keyword not in flat:
                flat[keyword] = holder[keyword]
    return flat


def absent_parts(parts: Iterable[tuple[Header, Dataset]]) -> list[Finding]:
    """What is missing of concatenations: one image in several objects (PS3.3 C.7.6.16.2.2.4)."""
    seen: dict[str, list[tuple[Header, Dataset]]] = defaultdict(list)
    for header, dataset in parts:
        uid = text(dataset, "ConcatenationUID")
        if uid:
            seen[uid].append((header, dataset))
    findings = []
    for members in seen.values():
        total = max(int(number(d, "InConcatenationTotalNumber") or 0) for _, d in members)
        there = {int(number(d, "InConcatenationNumber") or 0) for _, d in members}
        if total > len(there):
            names = [h.name for h, _ in members]
            message = f"Of the {total} parts of the multi-frame CT of {names[0]} only {len(there)} are here: its other slices are absent. Export all parts."
            findings.append(note("ct.frames_unusable", message, files=names, measured=float(len(there)), limit=float(total)))
    return findings


def _group(sequence: str, frame: Dataset, shared: Dataset) -> Dataset:
    """The item of a functional group: the frame's own, else the shared one; an empty one where it is absent."""
    return next(iter(items(frame, sequence) or items(shared, sequence)), Dataset())


def _acquisition(content: Dataset) -> str:
    """What tells stacks and phases apart; frames of one volume have it in common."""
    keys = ("FrameAcquisitionNumber", "StackID", "TemporalPositionIndex")
    return "/".join(text(content, key) for key in keys).strip("/")
