"""From a case's grid to the model's and back, whatever the case's orientation, spacing and gaps.

The way in averages (a triangle filter as wide as the coarser spacing, weighted by slab thickness), so that noise and
thin slices do not alias into the model's coarse voxels. The way out is a cubic spline of the smooth logits.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import make_interp_spline
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.sparse import csr_array

from rtqc.core.grid import Grid
from rtqc.core.orientation import AXIAL
from rtqc.core.volumes import Image

Volume = NDArray[np.float32]

#: What lies outside the image: air.
OUTSIDE_HU = -1000.0


def to_axial(image: Image) -> Image | None:
    """The image with its axes flipped and permuted to LPS order, or None where its axes are oblique."""
    grid = image.grid
    axes = np.array([grid.orientation.normal, grid.orientation.column, grid.orientation.row])
    main = np.abs(axes).argmax(axis=1)
    if (np.abs(axes).max(axis=1) < 1 - 1e-3).any() or sorted(main) != [0, 1, 2]:
        return None
    if grid.orientation == AXIAL:
        return image
    centres = [grid.positions_mm, grid.rows_mm, grid.columns_mm]
    signs = [np.sign(axes[i, main[i]]) for i in range(3)]
    order = [int(np.flatnonzero(main == patient_axis)[0]) for patient_axis in (2, 1, 0)]
    hu = np.transpose(image.hu, order)
    coordinates = [centres[i] * signs[i] for i in order]
    for axis, i in enumerate(order):
        if signs[i] < 0:
            hu, coordinates[axis] = np.flip(hu, axis), coordinates[axis][::-1]
    z, y, x = coordinates
    even = all(np.ptp(np.diff(c)) < 1e-3 if c.size > 2 else True for c in (y, x))
    if not even:
        return None
    spacing = tuple(float(np.diff(c).mean()) if c.size > 1 else 1.0 for c in (y, x))
    turned = Grid(
        AXIAL,
        (float(x[0]), float(y[0])),
        (spacing[0], spacing[1]),
        (y.size, x.size),
        tuple(float(v) for v in z),
        grid.slice_spacing_mm,
    )
    return Image(turned, np.ascontiguousarray(hu))


def covering_grid(grid: Grid, spacing_mm: tuple[float, float, float]) -> Grid:
    """The axial grid of a spacing (slices, rows, columns) that holds every voxel centre of another grid."""
    corners = grid.corners_mm()
    low, high = corners.min(axis=0), corners.max(axis=0)
    step = np.array(spacing_mm)[::-1]
    shape = np.maximum(np.ceil((high - low) / step - 1e-3).astype(int) + 1, 1)
    start = (low + high) / 2 - (shape - 1) / 2 * step
    return Grid.regular(shape[::-1], spacing_mm, start)


def averaged(image: Image, target: Grid) -> Volume:
    """The image's mean around each voxel of a coarse axial target grid; air outside the image.

    Args:
        image: any orientation.
        target: an evenly spaced axial grid.
    """
    axial = to_axial(image)
    if axial is None:
        return _averaged_oblique(image, target)
    source = axial.grid
    slab = source.slab_bounds_mm[:, 1] - source.slab_bounds_mm[:, 0]
    result: NDArray[np.float32] = np.asarray(axial.hu, np.float32)
    inside = np.ones((1, 1, 1), np.float32)
    for axis, (to, at, width) in enumerate(
        (
            (target.positions_mm, source.positions_mm, slab),
            (target.rows_mm, source.rows_mm, np.full(source.size[0], source.spacing_mm[0])),
            (target.columns_mm, source.columns_mm, np.full(source.size[1], source.spacing_mm[1])),
        )
    ):
        step = (target.slice_spacing_mm, *target.spacing_mm)[axis]
        weights = _triangle_weights(at, width, to, step)
        result = _along(axis, weights, result)
        inside = inside * np.expand_dims(weights.sum(axis=1), tuple({0, 1, 2} - {axis}))
    return np.asarray(result + np.float32(OUTSIDE_HU) * (1 - inside), np.float32)


def _along(axis: int, weights: Volume, values: Volume) -> Volume:
    """Each line of values along an axis times a matrix, most of which is 0 where the axis is long."""
    if axis == 2:
        # One large product: many small ones take ten times as long.
        return np.asarray((values.reshape(-1, values.shape[2]) @ weights.T).reshape(*values.shape[:2], -1))
    few = csr_array(weights)
    if axis == 0:
        return np.asarray((few @ values.reshape(len(values), -1)).reshape(-1, *values.shape[1:]))
    return np.stack([few @ plane for plane in values])


def _triangle_weights(at: NDArray[np.float64], width: NDArray[np.float64], to: NDArray[np.float64], step: float) -> Volume:
    """Rows: target samples; columns: source samples; a row sums to 1 inside the image and to 0 outside."""
    reach = np.maximum(step, width)[None, :]
    weights = np.clip(1 - np.abs(to[:, None] - at[None, :]) / reach, 0, None) * width[None, :]
    total = weights.sum(axis=1, keepdims=True)
    inside = (to >= at[0] - width[0] / 2 - step / 2) & (to <= at[-1] + width[-1] / 2 + step / 2)
    return np.where((total > 1e-9) & inside[:, None], weights / np.maximum(total, 1e-9), 0).astype(np.float32)


def _averaged_oblique(image: Image, target: Grid) -> Volume:
    grid = image.grid
    step = np.array([grid.slice_spacing_mm, *grid.spacing_mm])
    wanted = np.array([target.slice_spacing_mm, *target.spacing_mm])
    smooth = gaussian_filter(image.hu, np.sqrt(np.maximum(wanted**2 - step**2, 0)) * 0.35 / step)
    result = np.empty(target.shape, np.float32)
    for k in range(target.shape[0]):
        index = np.stack(np.meshgrid([k], *(np.arange(n) for n in target.size), indexing="ij"), -1).reshape(-1, 3)
        where = grid.index_of_patient(target.patient_mm(index))
        result[k] = map_coordinates(smooth, where.T, order=1, cval=OUTSIDE_HU).reshape(target.size)
    return result


def refined(field: Volume, source: Grid, target: Grid) -> Volume:
    """A smooth field on an even axial grid, sampled on another grid by cubic splines.

    Args:
        field: shape ``source.shape``.
        source: an even axial grid.
        target: any grid; points outside the source get the field's lowest value.
    """
    low = float(field.min())
    axes = np.array([target.orientation.normal, target.orientation.column, target.orientation.row])
    main = np.abs(axes).argmax(axis=1)
    aligned = (np.abs(axes).max(axis=1) > 1 - 1e-3).all()
    if not aligned:
        index = np.stack(np.meshgrid(*(np.arange(n) for n in target.shape), indexing="ij"), -1).reshape(-1, 3)
        where = source.index_of_patient(target.patient_mm(index))
        return np.asarray(map_coordinates(field, where.T, order=3, cval=low).reshape(target.shape), np.float32)
    own = {2: source.positions_mm, 1: source.rows_mm, 0: source.columns_mm}
    centres = (target.positions_mm, target.rows_mm, target.columns_mm)
    order = [{2: 0, 1: 1, 0: 2}[int(m)] for m in main]
    result = np.transpose(field, order)
    for axis in range(3):
        patient_axis = int(main[axis])
        at, to = own[patient_axis], centres[axis] * np.sign(axes[axis, patient_axis])
        # A spline is linear in its values: what it makes of single ones is a matrix, and a product of matrices is ten times as fast.
        single = make_interp_spline(at, np.eye(at.size), k=min(3, at.size - 1))
        weights = np.asarray(single(np.clip(to, at[0], at[-1])), np.float32)
        result = np.moveaxis(np.tensordot(weights, result, axes=(1, axis)), 0, axis)
        outside = (to < at[0] - 1e-6) | (to > at[-1] + 1e-6)
        if outside.any():
            np.moveaxis(result, axis, 0)[outside] = low
    return result
