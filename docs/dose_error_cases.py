"""The cases of docs/make_dose_error.py: synthetic patients and real hearts, each with its draft and tangential fields at any depth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_fill_holes, distance_transform_edt, label, map_coordinates

from rtqc.core.grid import Grid
from rtqc.core.structure import Structure
from rtqc.core.volumes import Dose, Image
from rtqc.dicom import read_case
from rtqc.heart import Draft, Engine
from rtqc.heart.draft import draft_with
from rtqc.phantom import Anatomy, Resolution, Tangents, synthetic_plan, tangential_dose, tangents_for
from rtqc.phantom.anatomy import organs_at
from rtqc.phantom.beams import Body, tangential_dose_in
from rtqc.phantom.shapes import Field, Points

#: Prescription of every plan of the sweep: that of the phantom, 40.05 Gy in 15.
DOSE_GY, FRACTIONS = 40.05, 15
#: Ends of the fields above and below the heart's middle, and how deep below the skin the prescription point lies at least, in mm.
_LOWER_MM, _UPPER_MM, _LEAST_DEPTH_MM = -78.0, 72.0, 15.0
#: What is denser is body, in HU.
_BODY_HU = -400.0


@dataclass(frozen=True)
class Patient:
    """A heart whose outline is known, its draft, and its dose with the field edge so many mm inside the heart."""

    name: str
    truth: Structure
    draft: Draft
    dose: Callable[[float], Dose]


def synthetic_patient(seed: int, engine: Engine) -> Patient:
    """A synthetic patient treated on the left, where the heart is."""
    anatomy = replace(Anatomy.random(seed), side="left")
    plan = synthetic_plan(anatomy, Resolution(128), key=f"dose-error-{seed}")
    assert plan.study.dose is not None
    grid = plan.study.dose.grid

    def dose(edge_mm: float) -> Dose:
        return tangential_dose(anatomy, tangents_for(anatomy, edge_mm), grid)

    return Patient(f"seed {seed}", plan.heart, draft_with(plan.study.image, engine), dose)


def beyond_chest_wall_mm(seed: int) -> float:
    """How far a synthetic heart pierces the chest wall, in mm: the phantom does not hinder it, and where it does nobody can see its outline."""
    line = np.arange(-120.0, 121.0, 4.0, dtype=np.float32)
    organs = organs_at(Anatomy.random(seed), Points(line[None, None, :], line[None, :, None], line[:, None, None]))
    return max(float(np.broadcast_to(organs.cavity, organs.heart.shape)[organs.heart < 0].max()), 0.0)


def real_patient(folder: Path, engine: Engine) -> Patient:
    """A real CT and heart under the phantom's beams, laid by the phantom's rule on the body that the CT shows."""
    case = read_case(folder)
    assert case.image is not None
    image, truth = case.image, case.structures["Heart"]
    inside = _body(image)
    skin = _signed_distance(inside, image.grid)

    def dose(edge_mm: float) -> Dose:
        return tangential_dose_in(skin, _tangents(truth, inside, image.grid, skin, edge_mm), image.grid)

    return Patient(folder.name, truth, draft_with(image, engine), dose)


def _body(image: Image) -> NDArray[np.bool_]:
    """The largest piece denser than lung, with its holes filled slice by slice."""
    pieces, _ = label(image.hu > _BODY_HU)
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    return np.stack([binary_fill_holes(plane) for plane in pieces == sizes.argmax()])


def _signed_distance(inside: NDArray[np.bool_], grid: Grid) -> Body:
    """Distance to the skin in the plane of a slice, negative inside; beyond the image's edge there is air."""
    step = grid.spacing_mm
    field = np.stack(
        [distance_transform_edt(~plane, sampling=step) - distance_transform_edt(plane, sampling=step) for plane in inside]
    )

    def skin(p: Points) -> Field:
        x, y, z = np.broadcast_arrays(*p)
        patient = np.column_stack([x.ravel(), y.ravel(), z.ravel()]).astype(float)
        index = grid.index_of_patient(patient)
        return np.asarray(map_coordinates(field, index.T, order=1, cval=50.0).reshape(x.shape), np.float32)

    return skin


def _tangents(truth: Structure, inside: NDArray[np.bool_], grid: Grid, skin: Body, edge_mm: float) -> Tangents:
    """As :func:`rtqc.phantom.tangents_for`, with the body's box on the heart's middle slice in place of the phantom's trunk."""
    outline = np.concatenate(
        [
            truth.orientation.to_patient(np.column_stack([ring[:, :2], np.full(len(ring), w)]))
            for w, area in truth.planes.items()
            for ring in (np.asarray(p.exterior.coords) for p in area.geoms)
        ]
    )
    middle = float(outline[:, 2].min() + outline[:, 2].max()) / 2
    plane = inside[int(np.abs(grid.positions_mm - middle).argmin())]
    columns, rows = grid.columns_mm[plane.any(axis=0)], grid.rows_mm[plane.any(axis=1)]
    centre = np.array([columns.min() + columns.max(), rows.min() + rows.max()]) / 2
    half = np.array([np.ptp(columns), np.ptp(rows)]) / 2
    medial = centre + (8.0, -0.93 * half[1])
    lateral = centre + (0.93 * half[0], -0.05 * half[1])
    along = (lateral - medial) / np.linalg.norm(lateral - medial)
    inward = np.array([along[1], -along[0]])
    lower, upper = middle + _LOWER_MM, middle + _UPPER_MM
    in_length = (outline[:, 2] > lower) & (outline[:, 2] < upper)
    edge_height = float((outline[in_length, :2] @ inward).max()) - edge_mm
    edge = inward * edge_height + along * float(medial @ along)
    point = (medial + lateral) / 2
    point = point + inward * (edge_height - float(point @ inward) + 28.0)
    height = middle - 8.0
    # People without a breast: the point of prescription goes back until it lies in them.
    while _at(skin, point, height) > -_LEAST_DEPTH_MM:
        point = point - 2.0 * inward
    return Tangents(
        DOSE_GY, FRACTIONS, (float(edge[0]), float(edge[1])), (float(along[0]), float(along[1])),
        (float(inward[0]), float(inward[1])), lower, upper, (float(point[0]), float(point[1]), height),
    )  # fmt: skip


def _at(skin: Body, point: NDArray[np.float64], height: float) -> float:
    x, y, z = (np.full((1, 1, 1), v, np.float32) for v in (*point, height))
    return float(skin(Points(x, y, z)).ravel()[0])
