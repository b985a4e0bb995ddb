"""CT -> heart: is there a chest, where is its heart, where does it end, how sure are we."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, binary_erosion, label

from rtqc.core.grid import Grid
from rtqc.core.repeatable import repeatable
from rtqc.core.structure import Structure
from rtqc.core.volumes import Image, Mask
from rtqc.defaults import DEFAULT_MODEL
from rtqc.geometry.rasterize import rasterize
from rtqc.heart.chest import lung_share, lungs_of, why_no_heart
from rtqc.heart.confidence import predicted_dice, signs_of
from rtqc.heart.ends import Ends, UpperEnd, contradictions, drawn_to_definition, scaled_ends
from rtqc.heart.engine import Device, Engine
from rtqc.heart.landmarks import Landmarks, landmarks_of
from rtqc.heart.looks import Found, body_box, largest_piece, look
from rtqc.heart.manifest import load_model
from rtqc.heart.outline import TRACE_PIXEL_MM, one_piece, smoothed, traced
from rtqc.heart.resample import averaged, covering_grid
from rtqc.heart.sliding_window import slide
from rtqc.heart.uncertainty import UncertaintyMap, uncertainty_of
from rtqc.heart.view import UNSEEN_HU, carried_on, narrow_view

Volume = NDArray[np.float32]

#: Name of every draft: nobody can take it for the approved ``Heart``.
DRAFT_NAME = "Heart_rtqc"

#: Smaller than any adult's heart (ICRP 89: 620 and 840 g with blood, about 585 and 790 ml) or even a newborn's part of one: nothing was found.
NO_HEART_ML = 60.0
#: Drafts outside this range are not trusted: children and cardiomyopathy lie within it.
PLAUSIBLE_ML = (150.0, 1800.0)
#: A heart lies between the lungs: less lung around it than this, as a part, and it is something else. The three real hearts
#: of the training data have 0.35 to 0.5; of 178 good drafts of difficult cases (blur, effusion) none had less than 0.05.
LEAST_LUNG_AROUND = 0.05

#: Voxel on which chest and lungs are looked for, in mm, where the model has none of its own.
_COARSE_MM = 4.0
#: So much heart beside what is not seen is more than a thin chest wall blurred, in mm².
_TOUCHING_MM2 = 600.0
#: Of what was carried on beyond the image's edge.
_UNSEEN_LOGIT = -8.0


@dataclass(frozen=True)
class Draft:
    """A heart, drawn by a model.

    Attributes:
        structure: on the slices of the image; empty where no heart was found.
        grid: the image's grid.
        model, model_version, model_hash: what drew it.
        device: what it ran on.
        predicted_dice: the Dice that is to be expected against a human's contour, 0 to 1 (:mod:`rtqc.heart.confidence`).
        confidence: ``predicted_dice`` times how plausible the result is otherwise, 0 to 1.
        trusted: whether it may be used to judge a contour.
        doubts: why not, one sentence each.
        cut_off: sides at which the heart leaves the image (``superior``, ``inferior``, ``left`` ...).
        signs: what ``predicted_dice`` was made from.
        uncertainty: of the surface's position; None where there is no surface.
        training_data: what the model has learnt from.
        landmarks: of the chest that it lies in; None where there are no lungs.
        ends: where it ends, by which definition, and how surely; None for models that look patch by patch.
    """

    structure: Structure
    grid: Grid
    model: str
    model_version: str
    model_hash: str
    device: str
    predicted_dice: float
    confidence: float
    trusted: bool
    doubts: tuple[str, ...] = ()
    cut_off: tuple[str, ...] = ()
    signs: Mapping[str, float] = field(default_factory=dict)
    uncertainty: UncertaintyMap | None = None
    training_data: str = ""
    landmarks: Landmarks | None = None
    ends: Ends | None = None

    @cached_property
    def mask(self) -> Mask:
        """The draft's voxels on the image's grid."""
        return rasterize(self.structure, self.grid)


def draft_heart(
    image: Image, model: str = DEFAULT_MODEL, device: Device = "auto", threads: int = 0, upper_end: UpperEnd = "feng2011"
) -> Draft:
    """Draw the heart.

    Args:
        image: a CT of any orientation, spacing and size.
        model: a shipped model's name or a model folder.
        device: ``auto``, ``cpu`` or ``cuda``.
        threads: of inference on the CPU; 0: as many as give every machine the same draft.
        upper_end: definition of the heart's upper end, followed where the model tells levels of the chest.

    Raises:
        ModelError: the model cannot be used.
        DeviceError: ``cuda`` was asked for and is not there.
    """
    return draft_with(image, Engine(load_model(model), device, threads), upper_end)


@repeatable
def draft_with(image: Image, engine: Engine, upper_end: UpperEnd = "feng2011") -> Draft:
    """Draw the heart with an engine that is loaded already.

    Args:
        image: a CT of any orientation, spacing and size.
        engine: any model.
        upper_end: definition of the heart's upper end, followed where the model tells levels of the chest.

    Raises:
        ModelError: the network does something else than its manifest says.
        DeviceError: the device's memory is too small.
    """
    engine = engine.for_one_case()
    manifest = engine.manifest
    own_grid = manifest.inference == "looks"
    grid = covering_grid(image.grid, manifest.spacing_mm if own_grid else (_COARSE_MM,) * 3)
    hu = averaged(image, grid)
    box = body_box(hu)
    hu, grid = hu[box], grid.crop(*box)
    lungs = lungs_of(hu, grid)
    reason = why_no_heart(hu, lungs, grid)
    if reason:
        return _nothing(image.grid, engine, reason)
    view = narrow_view(hu, grid) if own_grid else None
    if view is not None:
        hu, grid, view = carried_on(hu, grid, view)
        lungs = lungs_of(hu, grid)
    found = look(hu, grid, engine, NO_HEART_ML) if own_grid else slide(image, engine)
    if view is not None:
        found.logits[:, ~view] = np.minimum(found.logits[:, ~view], _UNSEEN_LOGIT)
    piece = largest_piece(found.logits)
    volume = float(piece.sum() * found.grid.voxel_volumes_ml[0])
    if volume < NO_HEART_ML:
        return _nothing(image.grid, engine, f"nothing in the image looks like a heart (largest candidate {volume:.0f} ml)")
    coarse = found if own_grid else _sampled(found, grid)
    coarse_piece = piece if own_grid else largest_piece(coarse.logits)
    if lung_share(coarse_piece, lungs, grid.slice_spacing_mm) < LEAST_LUNG_AROUND:
        return _nothing(
            image.grid, engine, f"what the model found ({volume:.0f} ml) does not lie beside a lung, so it is no heart"
        )
    ended, ends = drawn_to_definition(found, piece, upper_end) if own_grid else (found, None)
    solid = one_piece(ended.logits, largest_piece(ended.logits))
    smooth = smoothed(solid) if own_grid else solid
    structure = traced(smooth, found.grid, image.grid, DRAFT_NAME, own_pixels=not own_grid)
    factor = manifest.calibration.surface_factor if manifest.calibration else 1.0
    uncertainty = uncertainty_of(
        smooth if own_grid else smoothed(coarse.logits), ended.looks if own_grid else coarse.looks, coarse.grid, factor
    )
    edge = coarse_piece & ~binary_erosion(coarse_piece)
    surface_mm = float(np.median(uncertainty.mm[edge])) / factor if edge.any() else 0.0
    signs = signs_of(coarse, coarse_piece, hu, lungs, surface_mm, ends)
    beyond = _beside_nothing(coarse_piece, _outside(hu) if view is None else np.broadcast_to(~view, hu.shape), grid)
    ends = scaled_ends(ends, manifest.calibration.ends_factor) if ends is not None and manifest.calibration else ends
    # Half a chest has no landmarks.
    landmarks = landmarks_of(hu, lungs, grid) if view is None else None
    odd = contradictions(coarse_piece, grid, ends, landmarks)
    draft = _judged(structure, image.grid, engine, signs, uncertainty, beyond, odd)
    return replace(draft, landmarks=landmarks, ends=ends)


def _outside(hu: NDArray[np.float32]) -> NDArray[np.bool_]:
    """What lies around the body or outside a round field of view: scanners fill what they did not see with the least of all values, darker than any lung."""
    unseen, _ = label(hu < UNSEEN_HU)
    rim = np.unique(
        np.concatenate([unseen[:, side].ravel() for side in (0, -1)] + [unseen[:, :, side].ravel() for side in (0, -1)])
    )
    return np.isin(unseen, rim[rim > 0])


def _beside_nothing(piece: NDArray[np.bool_], outside: NDArray[np.bool_], grid: Grid) -> tuple[str, ...]:
    """The side at which the heart borders on what the image does not show; there is a chest wall at every other."""
    touching = np.argwhere(piece & binary_dilation(outside, iterations=2))
    if len(touching) * grid.spacing_mm[0] * grid.slice_spacing_mm < _TOUCHING_MM2:
        return ()
    way = (grid.patient_mm(touching).mean(axis=0) - grid.patient_mm(np.argwhere(piece)).mean(axis=0))[:2]
    axis = int(np.abs(way).argmax())
    return ((("right", "left"), ("anterior", "posterior"))[axis][int(way[axis] > 0)],)


def _sampled(found: Found, grid: Grid) -> Found:
    """The logits at the voxels of another axial grid that lies within the first, give or take its rim."""
    pairs = (
        (found.grid.positions_mm, grid.positions_mm),
        (found.grid.rows_mm, grid.rows_mm),
        (found.grid.columns_mm, grid.columns_mm),
    )
    index = [np.round(np.interp(other, own, np.arange(own.size))).astype(int) for own, other in pairs]
    return Found(found.logits[np.ix_(*index)], grid)


def _judged(
    structure: Structure,
    grid: Grid,
    engine: Engine,
    signs: Mapping[str, float],
    uncertainty: UncertaintyMap,
    beyond: tuple[str, ...],
    odd: tuple[str, ...],
) -> Draft:
    manifest = engine.manifest
    predicted = predicted_dice(signs, manifest.calibration)
    volume = structure.volume_ml
    cut = tuple(dict.fromkeys(_cut_off(structure, grid) + beyond))
    doubts = []
    if predicted < manifest.trusted_dice:
        doubts.append(f"the expected Dice is {predicted:.2f}, under the model's limit of {manifest.trusted_dice:.2f}")
    if not PLAUSIBLE_ML[0] <= volume <= PLAUSIBLE_ML[1]:
        doubts.append(f"its volume of {volume:.0f} ml is outside {PLAUSIBLE_ML[0]:.0f} to {PLAUSIBLE_ML[1]:.0f} ml")
    doubts += odd
    return Draft(
        structure=structure,
        grid=grid,
        model=manifest.name,
        model_version=manifest.version,
        model_hash=manifest.sha256,
        device=engine.device,
        predicted_dice=predicted,
        confidence=round(predicted * (0.5 if doubts else 1.0), 3),
        trusted=not doubts,
        doubts=tuple(doubts),
        cut_off=cut,
        signs=dict(signs),
        uncertainty=uncertainty,
        training_data=", ".join(manifest.training_data),
    )


def _cut_off(structure: Structure, grid: Grid) -> tuple[str, ...]:
    """Sides at which the structure reaches the image's border, in the patient's words."""
    if structure.is_empty:
        return ()
    matrix = structure.orientation.transform_to(grid.orientation)
    sides = []
    heights = structure.positions_mm * matrix[2, 2]
    normal = np.array(grid.orientation.normal)
    if heights.min() <= grid.positions_mm[0] + 1e-3:
        sides.append(_direction(-normal))
    if heights.max() >= grid.positions_mm[-1] - 1e-3:
        sides.append(_direction(normal))
    bounds = np.array([a.bounds for a in structure.planes.values()])
    corners = np.array([[bounds[:, 0].min(), bounds[:, 1].min()], [bounds[:, 2].max(), bounds[:, 3].max()]])
    turned = np.sort(corners @ matrix[:2, :2].T, axis=0)
    for axis, (direction, centres) in enumerate(
        ((grid.orientation.row, grid.columns_mm), (grid.orientation.column, grid.rows_mm))
    ):
        margin = 2 * TRACE_PIXEL_MM
        if turned[0, axis] <= centres[0] + margin:
            sides.append(_direction(-np.array(direction)))
        if turned[1, axis] >= centres[-1] - margin:
            sides.append(_direction(np.array(direction)))
    return tuple(sides)


def _direction(vector: NDArray[np.float64]) -> str:
    axis = int(np.abs(vector).argmax())
    return (("right", "left"), ("anterior", "posterior"), ("inferior", "superior"))[axis][int(vector[axis] > 0)]


def _nothing(grid: Grid, engine: Engine, reason: str) -> Draft:
    manifest = engine.manifest
    empty = Structure(DRAFT_NAME, {}, grid.orientation.canonical(), "ORGAN", grid.slice_spacing_mm)
    return Draft(
        structure=empty,
        grid=grid,
        model=manifest.name,
        model_version=manifest.version,
        model_hash=manifest.sha256,
        device=engine.device,
        predicted_dice=0.0,
        confidence=0.0,
        trusted=False,
        doubts=(reason,),
    )
