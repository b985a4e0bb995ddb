"""CT -> heart: find it in the whole body, look again closely, keep one piece, say how sure we are."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_fill_holes, find_objects, gaussian_filter, label
from shapely.geometry import MultiPolygon, Polygon

from rtqc.core.grid import Grid
from rtqc.core.structure import Structure
from rtqc.core.volumes import Image, Mask
from rtqc.geometry.rasterize import rasterize
from rtqc.geometry.trace import trace_field
from rtqc.heart.engine import Device, Engine
from rtqc.heart.manifest import DEFAULT_MODEL, load_model
from rtqc.heart.resample import averaged, refined

Volume = NDArray[np.float32]

#: Name of every draft: nobody can take it for the approved ``Heart``.
DRAFT_NAME = "Heart_rtqc"

#: Smaller than any adult's heart (ICRP 89: 500 to 900 ml with blood) or even a newborn's part of one: nothing was found.
NO_HEART_ML = 60.0
#: Drafts outside this range are not trusted: children and cardiomyopathy lie within it.
PLAUSIBLE_ML = (150.0, 1800.0)

#: What is denser than this (HU) is body, couch or clothes; the largest piece of it is the body.
_BODY_HU = -400.0
#: Windows of the first look are at most this large, in voxels (slices, rows, columns); larger bodies take several.
_LARGEST_WINDOW = (112, 112, 128)
#: Pixel of the slices on which the outline is traced, in mm.
_TRACE_PIXEL_MM = 1.0
#: Standard deviation of the smoothing of the logits before they are traced, in model voxels.
_SMOOTHING = 0.5


@dataclass(frozen=True)
class Draft:
    """A heart, drawn by a model.

    Attributes:
        structure: on the slices of the image; empty where no heart was found.
        grid: the image's grid.
        model, model_version, model_hash: what drew it.
        device: what it ran on.
        predicted_dice: the Dice that the model expects of itself against a human's contour, 0 to 1.
        confidence: ``predicted_dice`` times how plausible the result is otherwise, 0 to 1.
        trusted: whether it may be used to judge a contour.
        doubts: why not, one sentence each.
        cut_off: sides at which the heart leaves the image (``superior``, ``inferior``, ``left`` ...).
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

    @cached_property
    def mask(self) -> Mask:
        """The draft's voxels on the image's grid."""
        return rasterize(self.structure, self.grid)


def draft_heart(image: Image, model: str = DEFAULT_MODEL, device: Device = "auto", threads: int = 0) -> Draft:
    """Draw the heart.

    Args:
        image: a CT of any orientation, spacing and size.
        model: a shipped model's name or a model folder.
        device: ``auto``, ``cpu`` or ``cuda``.
        threads: of inference on the CPU; 0: all cores.

    Raises:
        ModelError: the model cannot be used.
        DeviceError: ``cuda`` was asked for and is not there.
    """
    return draft_with(image, Engine(load_model(model), device, threads))


def draft_with(image: Image, engine: Engine) -> Draft:
    """Draw the heart with an engine that is loaded already."""
    spacing = engine.manifest.spacing_mm
    whole = _covering_grid(image.grid, spacing)
    hu = averaged(image, whole)
    box = _body_box(hu)
    hu, grid = hu[box], whole.crop(*box)
    first = _first_look(hu, engine)
    piece = _largest_piece(first)
    voxel_ml = spacing**3 / 1000
    if piece.sum() * voxel_ml < NO_HEART_ML:
        return _nothing(image.grid, engine, float(piece.sum() * voxel_ml))
    window = _close_box(piece, engine.manifest.patch, hu.shape)
    second = engine.logits(hu[window])
    logits = np.full(hu.shape, float(min(first.min(), second.min())), np.float32)
    logits[window] = second
    piece = _largest_piece(logits)
    if piece.sum() * voxel_ml < NO_HEART_ML:
        return _nothing(image.grid, engine, float(piece.sum() * voxel_ml))
    logits = _one_piece(logits, piece)
    structure = _traced(logits, grid, image.grid)
    return _judged(structure, image.grid, engine, logits, first)


def _covering_grid(grid: Grid, spacing_mm: float) -> Grid:
    """The axial grid of the model's spacing that holds every voxel of an image."""
    corners = grid.corners_mm()
    low, high = corners.min(axis=0), corners.max(axis=0)
    shape = np.maximum(np.ceil((high - low) / spacing_mm - 1e-3).astype(int) + 1, 1)
    start = (low + high) / 2 - (shape - 1) / 2 * spacing_mm
    return Grid.regular(shape[::-1], (spacing_mm,) * 3, start)


def _body_box(hu: Volume) -> tuple[slice, slice, slice]:
    """Where the body is; everything where nothing looks like one."""
    labels, count = label(hu > _BODY_HU)
    if count == 0:
        return (slice(0, hu.shape[0]), slice(0, hu.shape[1]), slice(0, hu.shape[2]))
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    box = find_objects((labels == sizes.argmax()).astype(np.int8))[0]
    rows, columns = (slice(max(s.start - 2, 0), min(s.stop + 2, n)) for s, n in zip(box[1:], hu.shape[1:], strict=True))
    return (slice(0, hu.shape[0]), rows, columns)


def _first_look(hu: Volume, engine: Engine) -> Volume:
    """Logits of the whole body, in overlapping windows where it is larger than one."""
    total = np.zeros(hu.shape, np.float32)
    weight = np.zeros(hu.shape, np.float32)
    starts = [_starts(n, w) for n, w in zip(hu.shape, _LARGEST_WINDOW, strict=True)]
    for k in starts[0]:
        for i in starts[1]:
            for j in starts[2]:
                window = tuple(slice(s, min(s + w, n)) for s, w, n in zip((k, i, j), _LARGEST_WINDOW, hu.shape, strict=True))
                total[window] += engine.logits(hu[window])
                weight[window] += 1
    return np.asarray(total / weight, np.float32)


def _starts(size: int, window: int) -> list[int]:
    """Starts of windows that overlap by at least a third."""
    if size <= window:
        return [0]
    count = int(np.ceil((size - window) / (window * 2 / 3))) + 1
    return [round(i * (size - window) / (count - 1)) for i in range(count)]


def _largest_piece(logits: Volume) -> NDArray[np.bool_]:
    labels, count = label(logits > 0)
    if count == 0:
        return np.zeros(logits.shape, bool)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return np.asarray(labels == sizes.argmax())


def _close_box(piece: NDArray[np.bool_], patch: int, shape: tuple[int, ...]) -> tuple[slice, slice, slice]:
    """A window of the training patch's size around what was found, larger where the piece is."""
    where = np.argwhere(piece)
    low, high = where.min(axis=0), where.max(axis=0) + 1
    middle = where.mean(axis=0)
    size = np.maximum(patch, high - low + 8)
    start = np.clip(np.round(middle - size / 2), 0, np.maximum(np.array(shape) - size, 0)).astype(int)
    start = np.minimum(start, low)
    stop = np.minimum(np.maximum(start + size, high), shape)
    k, i, j = (slice(int(a), int(b)) for a, b in zip(start, stop, strict=True))
    return (k, i, j)


def _one_piece(logits: Volume, piece: NDArray[np.bool_]) -> Volume:
    """Other pieces pushed below the level, holes lifted above it."""
    filled = binary_fill_holes(piece)
    result = np.where(~piece & (logits > 0) & ~filled, np.float32(-1.0), logits)
    return np.asarray(np.where(filled & (result <= 0), np.float32(1.0), result), np.float32)


def _traced(logits: Volume, source: Grid, target: Grid) -> Structure:
    """The zero level of the smooth logits on the image's slices, finer than the image's pixels where these are coarse."""
    smooth = gaussian_filter(np.clip(logits, -8, 8), _SMOOTHING)
    fine = _fine_grid(smooth, source, target)
    if fine is None:
        return Structure(DRAFT_NAME, {}, target.orientation.canonical(), "ORGAN", target.slice_spacing_mm)
    field = refined(smooth, source, fine)
    labels, count = label(field > 0)
    if count > 1:
        sizes = np.bincount(labels.ravel())
        sizes[0] = 0
        field = np.where((labels != sizes.argmax()) & (field > 0), np.float32(-0.1), field)
    traced = trace_field(field, fine, 0.0, DRAFT_NAME)
    solid = {w: MultiPolygon([Polygon(p.exterior) for p in area.geoms]) for w, area in traced.planes.items()}
    return Structure(DRAFT_NAME, solid, traced.orientation, "ORGAN", target.slice_spacing_mm)


def _fine_grid(logits: Volume, source: Grid, target: Grid) -> Grid | None:
    """The target's slices, 1 mm pixels, cropped to where the heart is."""
    where = np.argwhere(logits > -0.5)
    if where.size == 0:
        return None
    low, high = where.min(axis=0) - 2, where.max(axis=0) + 2
    ends = np.array([(k, i, j) for k in (low[0], high[0]) for i in (low[1], high[1]) for j in (low[2], high[2])])
    step = (source.slice_spacing_mm, *source.spacing_mm)
    patient = source.patient_mm([(0, 0, 0)])[0] + (ends * step)[:, ::-1]
    frame = target.orientation.to_frame(patient)
    bottom, top = frame.min(axis=0), frame.max(axis=0)
    edge = (np.array(target.spacing_mm) - _TRACE_PIXEL_MM) / 2
    limits = np.array([
        [target.columns_mm[0] - edge[1], target.columns_mm[-1] + edge[1]],
        [target.rows_mm[0] - edge[0], target.rows_mm[-1] + edge[0]],
    ])  # fmt: skip
    bottom[:2], top[:2] = np.maximum(bottom[:2], limits[:, 0]), np.minimum(top[:2], limits[:, 1])
    inside = [w for w in target.slice_positions_mm if bottom[2] <= w <= top[2]]
    if not inside or (top[:2] <= bottom[:2]).any():
        return None
    size = np.floor((top[:2] - bottom[:2]) / _TRACE_PIXEL_MM).astype(int) + 1
    return Grid(
        target.orientation,
        (float(bottom[0]), float(bottom[1])),
        (_TRACE_PIXEL_MM,) * 2,
        (int(size[1]), int(size[0])),
        tuple(inside),
        target.slice_spacing_mm,
    )


def _judged(structure: Structure, grid: Grid, engine: Engine, logits: Volume, first: Volume) -> Draft:
    manifest = engine.manifest
    probability = 1 / (1 + np.exp(-np.clip(logits, -30, 30)))
    inside = logits > 0
    expected = float(2 * probability[inside].sum() / (probability.sum() + inside.sum()))
    seen_first = first > 0
    agreement = float(2 * (inside & seen_first).sum() / max(inside.sum() + seen_first.sum(), 1))
    predicted = round(min(expected, 0.5 + agreement / 2), 3)
    volume = structure.volume_ml
    cut = _cut_off(structure, grid)
    doubts = []
    if predicted < manifest.trusted_dice:
        doubts.append(f"the model expects a Dice of {predicted:.2f} of itself, under its limit of {manifest.trusted_dice:.2f}")
    if not PLAUSIBLE_ML[0] <= volume <= PLAUSIBLE_ML[1]:
        doubts.append(f"its volume of {volume:.0f} ml is outside {PLAUSIBLE_ML[0]:.0f} to {PLAUSIBLE_ML[1]:.0f} ml")
    if cut:
        doubts.append(f"the heart leaves the image ({', '.join(cut)})")
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
        margin = 2 * _TRACE_PIXEL_MM
        if turned[0, axis] <= centres[0] + margin:
            sides.append(_direction(-np.array(direction)))
        if turned[1, axis] >= centres[-1] - margin:
            sides.append(_direction(np.array(direction)))
    return tuple(sides)


def _direction(vector: NDArray[np.float64]) -> str:
    axis = int(np.abs(vector).argmax())
    return (("right", "left"), ("anterior", "posterior"), ("inferior", "superior"))[axis][int(vector[axis] > 0)]


def _nothing(grid: Grid, engine: Engine, volume_ml: float) -> Draft:
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
        doubts=(f"no heart was found in the image (largest candidate {volume_ml:.0f} ml)",),
    )
