"""From a model's logits to a contour: one piece, without holes, smooth in three planes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_fill_holes, gaussian_filter, maximum_filter
from shapely.geometry import MultiPolygon, Polygon

from rtqc.core.grid import Grid
from rtqc.core.structure import Structure
from rtqc.geometry.pieces import piece_volume_ml, pieces_of
from rtqc.geometry.trace import SIMPLIFY_MM, trace_field
from rtqc.heart.looks import largest_piece
from rtqc.heart.resample import refined

Volume = NDArray[np.float32]

#: Pixel of the slices on which the outline is traced, in mm.
TRACE_PIXEL_MM = 1.0
#: Standard deviation of the smoothing of a coarse model's logits before they are traced, in voxels.
_SMOOTHING = 0.5
#: Pieces smaller than this are specks, and a last slice with less than this is no end of a heart, in ml.
_SPECK_ML, _LEAST_END_ML = 0.5, 0.05
#: A logit so far from 0 is certain; what is beyond would only make the outline's splines ring.
_CERTAIN = 8.0
#: An outline on an image's own pixels keeps so far from their centres, in mm and at most as a share of a pixel: twice what is lost when it is simplified.
_OFF_CENTRE_MM, _MOST_OFF_CENTRE = 2 * SIMPLIFY_MM, 0.3
#: Pushing the level off one pixel's centre moves it nearer to the next one's, each time by a small part of the last.
_ROUNDS_OFF_CENTRE = 3
#: Pixels that a slice's outline passes between.
_BESIDE = np.array([[[0, 1, 0], [1, 1, 1], [0, 1, 0]]], bool)


def one_piece(logits: Volume, piece: NDArray[np.bool_]) -> Volume:
    """Other pieces pushed below the level, holes lifted above it."""
    filled = binary_fill_holes(piece)
    result = np.where(~piece & (logits > 0) & ~filled, np.float32(-1.0), logits)
    return np.asarray(np.where(filled & (result <= 0), np.float32(1.0), result), np.float32)


def smoothed(logits: Volume) -> Volume:
    """What a coarse model's outline is traced on."""
    return np.asarray(gaussian_filter(np.clip(logits, -_CERTAIN, _CERTAIN), _SMOOTHING), np.float32)


def traced(logits: Volume, source: Grid, target: Grid, name: str, own_pixels: bool = False) -> Structure:
    """The zero level of smooth logits on an image's slices.

    Args:
        logits: shape ``source.shape``.
        source: an even axial grid.
        target: the image's grid.
        name: of the structure.
        own_pixels: trace on the image's own pixels, so that the outline holds just those pixel centres where the largest piece of the logits is
            above 0, and what it encloses on a slice, however small; instead of on pixels of 1 mm, without specks.
    """
    fine = _fine_grid(logits, source, target, own_pixels)
    if fine is None:
        return Structure(name, {}, target.orientation.canonical(), "ORGAN", target.slice_spacing_mm)
    field = refined(logits, source, fine)
    field = np.where(~largest_piece(field) & (field > 0), np.float32(-0.1), field)
    if own_pixels:
        field = _off_centres(_without_holes(field), min(fine.spacing_mm))
    outline = trace_field(field, fine, 0.0, name)
    solid = {w: MultiPolygon([Polygon(p.exterior) for p in area.geoms]) for w, area in outline.planes.items()}
    slices = tuple(target.canonical_positions_mm.tolist()) if len(target.slice_positions_mm) > 1 else None
    structure = Structure(name, solid, outline.orientation, "ORGAN", target.slice_spacing_mm, slices)
    # What another program's model found is that program's label, to the pixel; a coarse model's outline is ours to clean.
    return structure if own_pixels else without_specks(structure)


def _without_holes(field: Volume) -> Volume:
    """A field that is above 0 inside each slice's outlines, too."""
    filled = np.stack([binary_fill_holes(plane) for plane in field > 0])
    return np.where(filled & (field <= 0), np.float32(_CERTAIN), field)


def _off_centres(field: Volume, pixel_mm: float) -> Volume:
    """A field whose zero level keeps away from the pixels' centres by more than an outline is simplified and coordinates are rounded: none changes sides.

    Args:
        field: clipped to what is certain; only values next to the level are changed.
        pixel_mm: size of a pixel, in mm.
    """
    near = min(_OFF_CENTRE_MM / pixel_mm, _MOST_OFF_CENTRE)
    ratio = np.float32(near / (1 - near))
    inside = field > 0
    size = np.clip(np.abs(field), np.float32(1e-3), np.float32(_CERTAIN))
    for _ in range(_ROUNDS_OFF_CENTRE):
        for side, beyond in ((inside, _CERTAIN), (~inside, 0.0)):
            # Beyond the image there is surely no heart.
            across = maximum_filter(np.where(side, 0, size), footprint=_BESIDE, mode="constant", cval=beyond)
            size = np.where(side, np.maximum(size, ratio * across), size)
    return np.where(inside, size, -size)


def without_specks(structure: Structure) -> Structure:
    """What somebody would delete before editing, deleted: small pieces beside a larger one on a slice, and what then hangs in the air.

    A slice's largest piece stays, unless it is next to nothing at one of the two ends.
    """
    spacing = structure.usual_spacing_mm
    planes = {}
    for w, area in structure.planes.items():
        largest, *others = sorted(area.geoms, key=lambda p: -p.area)
        planes[w] = MultiPolygon([largest, *(p for p in others if p.area * spacing >= 1000 * _SPECK_ML)])
    for last in (False, True):
        for w in sorted(planes, reverse=last)[:-1]:
            if planes[w].area * spacing >= 1000 * _LEAST_END_ML:
                break
            del planes[w]
    kept: dict[float, list[Polygon]] = {}
    left = replace(structure, planes=planes)
    for piece in pieces_of(left):
        if not kept or piece_volume_ml(piece, left) >= _SPECK_ML:
            for w, polygon in piece:
                kept.setdefault(w, []).append(polygon)
    return replace(structure, planes={w: MultiPolygon(kept[w]) for w in sorted(kept)})


def _own_pixels(target: Grid, bottom: NDArray[np.float64], top: NDArray[np.float64], inside: list[float]) -> Grid | None:
    """The part of a grid between two corners of its own frame."""
    columns = np.flatnonzero((target.columns_mm >= bottom[0]) & (target.columns_mm <= top[0]))
    rows = np.flatnonzero((target.rows_mm >= bottom[1]) & (target.rows_mm <= top[1]))
    slices = [k for k, w in enumerate(target.slice_positions_mm) if w in inside]
    if not (columns.size and rows.size and slices):
        return None
    ends = [slice(int(part[0]), int(part[-1]) + 1) for part in (slices, rows, columns)]
    return target.crop(*ends)


def _fine_grid(logits: Volume, source: Grid, target: Grid, own_pixels: bool) -> Grid | None:
    """The target's slices, cropped to where the heart is."""
    where = np.argwhere(logits > -0.5)
    if where.size == 0:
        return None
    low, high = where.min(axis=0) - 2, where.max(axis=0) + 2
    ends = np.array([(k, i, j) for k in (low[0], high[0]) for i in (low[1], high[1]) for j in (low[2], high[2])])
    step = (source.slice_spacing_mm, *source.spacing_mm)
    patient = source.patient_mm([(0, 0, 0)])[0] + (ends * step)[:, ::-1]
    frame = target.orientation.to_frame(patient)
    bottom, top = frame.min(axis=0), frame.max(axis=0)
    inside = [w for w in target.slice_positions_mm if bottom[2] <= w <= top[2]]
    if own_pixels:
        return _own_pixels(target, bottom, top, inside)
    edge = (np.array(target.spacing_mm) - TRACE_PIXEL_MM) / 2
    limits = np.array([
        [target.columns_mm[0] - edge[1], target.columns_mm[-1] + edge[1]],
        [target.rows_mm[0] - edge[0], target.rows_mm[-1] + edge[0]],
    ])  # fmt: skip
    bottom[:2], top[:2] = np.maximum(bottom[:2], limits[:, 0]), np.minimum(top[:2], limits[:, 1])
    if not inside or (top[:2] <= bottom[:2]).any():
        return None
    size = np.floor((top[:2] - bottom[:2]) / TRACE_PIXEL_MM).astype(int) + 1
    return Grid(
        target.orientation,
        (float(bottom[0]), float(bottom[1])),
        (TRACE_PIXEL_MM,) * 2,
        (int(size[1]), int(size[0])),
        tuple(inside),
        target.slice_spacing_mm,
    )
