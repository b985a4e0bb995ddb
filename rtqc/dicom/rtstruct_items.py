"""Structures as the items that they have in the three sequences of a structure set, with their contours as they are written."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

import numpy as np
import shapely
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as DicomSequence
from shapely.geometry import Polygon

from rtqc.core.case import Case, Provenance
from rtqc.core.names import words
from rtqc.core.structure import Structure
from rtqc.dicom.contour_hash import contour_hash
from rtqc.dicom.elements import decimal_string, numbers
from rtqc.dicom.objects import DrawnBy, ascii_text, image_reference, set_contour_data

#: Coordinates are written to 0.01 mm, as planning systems do; far within DS's 16 characters.
COORDINATE_DECIMALS = 2
#: Contours are thinned until they deviate by this much at most, in mm: about 200 points for a heart's slice.
SIMPLIFY_MM = 0.08
#: Points nearer than this would be one after rounding, in mm.
_SHORTEST_EDGE_MM = 0.02
#: Colours of drafts: orange first, which no planning system gives the heart; the others where that is taken.
DRAFT_COLOURS = ((255, 140, 0), (255, 0, 200), (0, 220, 220), (170, 255, 0), (160, 90, 255))


@dataclass(frozen=True)
class Writing:
    """How a structure set is written.

    Attributes:
        holes: ``keyhole``: one contour that walks to the hole and back (PS3.3 C.8.8.6.3, read by everything); ``xor``: a contour of
            its own, all of the ROI's marked CLOSEDPLANAR_XOR.
        replace: whether an existing file may be replaced.
        now: time of writing; None: the present.
    """

    holes: Literal["keyhole", "xor"] = "keyhole"
    replace: bool = False
    now: datetime | None = None

    @property
    def moment(self) -> datetime:
        """Time of writing."""
        return self.now or datetime.now(UTC).astimezone()


@dataclass(frozen=True)
class Placed:
    """A structure with the numbers and the colour that it has in the file."""

    structure: Structure
    number: int
    observation: int
    colour: tuple[int, int, int]


def colour_of(item: Dataset) -> tuple[int, ...]:
    """ROI Display Color of an item; empty where absent."""
    return tuple(int(v) for v in numbers(item, "ROIDisplayColor") or ())


def placed_in(
    drafts: list[Structure], names: set[str], colours: set[tuple[int, ...]], number: int, observation: int
) -> list[Placed]:
    """Drafts with names, numbers and colours that nothing else in the file has."""
    placed: list[Placed] = []
    for k, structure in enumerate(drafts):
        name = next(n for n in (structure.name, *(f"{structure.name}_{i}" for i in range(2, 1000))) if n not in names)
        colour = next((c for c in DRAFT_COLOURS if c not in colours), DRAFT_COLOURS[0])
        names, colours = names | {name}, colours | {colour}
        placed.append(Placed(structure.renamed(name), number + k, observation + k, colour))
    return placed


def sequences_of(placed: list[Placed], case: Case, drawn_by: DrawnBy, how: Writing) -> dict[str, list[Dataset]]:
    """The items that the structures have in the three sequences of a structure set."""
    contours = [_contours(p, case, how.holes) for p in placed]
    return {
        "StructureSetROISequence": [_roi(p, c, case.provenance, drawn_by, how) for p, c in zip(placed, contours, strict=True)],
        "ROIContourSequence": contours,
        "RTROIObservationsSequence": [_observation(p) for p in placed],
    }


def _roi(placed: Placed, contours: Dataset, provenance: Provenance, drawn_by: DrawnBy, how: Writing) -> Dataset:
    roi = Dataset()
    structure = placed.structure
    roi.ROINumber = placed.number
    roi.ReferencedFrameOfReferenceUID = provenance.frame_of_reference_uid
    roi.ROIName = structure.name
    roi.ROIVolume = f"{structure.volume_ml:.3f}"
    if drawn_by.converted_from:
        roi.ROIGenerationAlgorithm = ""
        roi.ROIDescription = ascii_text(f"Converted from {drawn_by.converted_from} by {drawn_by.software}, not approved")
        return roi
    roi.ROIGenerationAlgorithm = "AUTOMATIC"
    roi.ROIGenerationDescription = ascii_text(f"{drawn_by.name} {drawn_by.version} {drawn_by.digest[:12]}", 64)
    points = [decimal_string(c, "ContourData").values.reshape(-1, 3) for c in contours.ContourSequence]
    told = [
        f"Draft by {drawn_by.software}, not approved",
        f"model {drawn_by.name} {drawn_by.version} sha256:{drawn_by.digest}",
        f"contours sha256:{contour_hash(points)}",
        f"drawn {how.moment.isoformat(timespec='seconds')}" + (f" on {drawn_by.device}" if drawn_by.device else ""),
        f"trained on {drawn_by.training}" if drawn_by.training else "",
    ]
    roi.ROIDescription = ascii_text("; ".join(t for t in told if t), 1024)
    return roi


def _observation(placed: Placed) -> Dataset:
    observation = Dataset()
    structure = placed.structure
    observation.ObservationNumber = placed.observation
    observation.ReferencedROINumber = placed.number
    observation.RTROIInterpretedType = structure.kind or "ORGAN"
    observation.ROIInterpreter = ""
    if "heart" in words(structure.name):
        code = Dataset()
        code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "80891009", "SCT", "Heart"
        observation.RTROIIdentificationCodeSequence = DicomSequence([code])
    return observation


def _contours(placed: Placed, case: Case, holes: Literal["keyhole", "xor"]) -> Dataset:
    assert case.image is not None
    structure = placed.structure
    grid = case.image.grid
    sign = round(float(grid.orientation.transform_to(structure.orientation)[2, 2]))
    heights = grid.positions_mm * sign
    drawn = []
    kind = "CLOSEDPLANAR_XOR" if holes == "xor" and _has_holes(structure) else "CLOSED_PLANAR"
    for w, area in structure.planes.items():
        nearest = int(np.abs(heights - w).argmin())
        for ring in (ring for polygon in area.geoms for ring in _written_rings(polygon, holes)):
            frame = np.column_stack([ring, np.full(len(ring), w)])
            points = np.round(structure.orientation.to_patient(frame), COORDINATE_DECIMALS) + 0.0
            contour = Dataset()
            contour.ContourImageSequence = DicomSequence([_slice_reference(case.provenance, nearest)])
            contour.ContourGeometricType = kind
            contour.NumberOfContourPoints = len(points)
            set_contour_data(contour, points, COORDINATE_DECIMALS)
            drawn.append(contour)
    result = Dataset()
    result.ROIDisplayColor = list(placed.colour)
    result.ReferencedROINumber = placed.number
    result.ContourSequence = DicomSequence(drawn)
    return result


def _slice_reference(provenance: Provenance, number: int) -> Dataset:
    frames = provenance.slice_frames
    return image_reference(*provenance.slice_uids[number], frame=frames[number] if frames else 0)


def _has_holes(structure: Structure) -> bool:
    return any(len(p.interiors) > 0 for area in structure.planes.values() for p in area.geoms)


def _written_rings(polygon: Polygon, holes: Literal["keyhole", "xor"]) -> list[NDArray[np.float64]]:
    """A polygon's rings as they are written: thinned, rounded, no repeats, not crossing themselves, outer ones counter-clockwise."""
    thin = polygon.simplify(SIMPLIFY_MM, preserve_topology=True)
    shape = shapely.set_precision(thin, 10.0**-COORDINATE_DECIMALS)
    if not isinstance(shape, Polygon) or shape.is_empty or shape.area < 0.1:
        parts = [p for p in getattr(shape, "geoms", []) if isinstance(p, Polygon)]
        if not parts:
            return []
        shape = max(parts, key=lambda p: p.area)
    oriented = shapely.geometry.polygon.orient(shape)
    ring, *inner = (shapely.get_coordinates(r)[:-1] for r in (oriented.exterior, *oriented.interiors))
    rings = [ring, *inner]
    if holes == "keyhole":
        for hole in inner:
            ring = _with_keyhole(ring, hole)
        rings = [ring]
    thinned = (r[np.r_[True, np.linalg.norm(np.diff(r, axis=0), axis=1) >= _SHORTEST_EDGE_MM / 2]] for r in rings)
    return [r for r in thinned if len(r) >= 3]


def _with_keyhole(ring: NDArray[np.float64], hole: NDArray[np.float64]) -> NDArray[np.float64]:
    """Walk to the hole along the shortest bridge, around it, and back."""
    distances = np.linalg.norm(ring[:, None] - hole[None], axis=2)
    i, j = np.unravel_index(int(distances.argmin()), distances.shape)
    around = np.roll(hole, -int(j), axis=0)
    return np.vstack([ring[: i + 1], around, around[:1], ring[i:]])
