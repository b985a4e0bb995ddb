"""From logits to outlines: what is kept, to the pixel, and what is cleaned."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from scipy.ndimage import binary_fill_holes, gaussian_filter, label
from shapely.geometry import MultiPolygon, box

from rtqc.core import Grid, Structure
from rtqc.core.orientation import AXIAL
from rtqc.heart.looks import largest_piece
from rtqc.heart.outline import one_piece, traced, without_specks


def _pixels(structure: Structure, grid: Grid) -> np.ndarray:
    inside = np.zeros(grid.shape, bool)
    for w, area in structure.planes.items():
        k = int(np.abs(grid.positions_mm - w).argmin())
        inside[k] = shapely.contains_xy(area, *np.meshgrid(grid.columns_mm, grid.rows_mm))
    return inside


@pytest.mark.parametrize("pixel_mm", [0.7, 1.0, 2.5, 7.0])
@pytest.mark.parametrize("seed", range(4))
def test_an_outline_on_own_pixels_is_the_label_however_scattered_it_is(seed: int, pixel_mm: float) -> None:
    noise = np.random.default_rng(seed).normal(size=(20, 40, 44))
    logits = (30 * gaussian_filter(noise, 1.2)).astype(np.float32)
    logits[3:9, 10:20, 10:30] += 2.0
    # A label's border may lie a hair beside a pixel's centre.
    logits[np.abs(logits) < 0.3] *= 1e-4
    grid = Grid.regular(logits.shape, (3.0, pixel_mm, pixel_mm), (-31.3, 17.7, 5.1))
    labels, _ = label(logits > 0)
    piece = labels == np.bincount(labels.ravel())[1:].argmax() + 1
    expected = np.stack([binary_fill_holes(plane) for plane in binary_fill_holes(piece)])
    structure = traced(one_piece(logits, largest_piece(logits)), grid, grid, "Heart", own_pixels=True)
    assert any(len(area.geoms) > 3 for area in structure.planes.values())
    assert np.array_equal(_pixels(structure, grid), expected)


def test_a_slice_keeps_its_largest_piece_and_loses_specks_beside_it() -> None:
    # A cone's tip: slices of 20 mm² and 2 mm are 0.04 ml, less than a speck and more than nothing.
    areas = {0.0: (30.0, 4.0), 2.0: (90.0, 4.0), 4.0: (400.0, 250.0), 6.0: (900.0, 4.0), 8.0: (20.0,)}
    planes = {w: MultiPolygon([box(40 * k, 0, 40 * k + a / 10, 10) for k, a in enumerate(sizes)]) for w, sizes in areas.items()}
    kept = without_specks(Structure("Heart", planes, AXIAL, "ORGAN", 2.0))
    assert {w: [round(p.area) for p in area.geoms] for w, area in kept.planes.items()} == {
        0: [30],
        2: [90],
        4: [400, 250],
        6: [900],
    }


def test_specks_that_are_all_there_is_leave_the_last_one() -> None:
    planes = {float(w): MultiPolygon([box(0, 0, 0.1, 0.1)]) for w in range(3)}
    assert list(without_specks(Structure("Heart", planes, AXIAL, "ORGAN", 1.0)).planes) == [2.0]


def test_a_draft_is_as_thick_as_its_image_says_at_its_ends() -> None:
    # Slices 2 mm apart up to 20 mm, then 6 mm apart; the heart's last slice is where they change.
    heights = (*range(0, 21, 2), 26, 32, 38, 44)
    target = Grid(AXIAL, (0.0, 0.0), (1.0, 1.0), (60, 60), tuple(float(h) for h in heights))
    source = Grid.regular((23, 30, 30), (2.0, 2.0, 2.0))
    z, y, x = np.meshgrid(source.positions_mm, source.rows_mm, source.columns_mm, indexing="ij")
    logits = np.minimum(np.minimum(20 - np.hypot(x - 30, y - 30), z - 7), 21 - z).astype(np.float32)
    draft = traced(logits, source, target, "Heart")
    assert draft.positions_mm.tolist() == [8, 10, 12, 14, 16, 18, 20]
    assert draft.slab_bounds_mm[-1].tolist() == [19.0, 23.0]
    assert draft.slab_bounds_mm[0].tolist() == [7.0, 9.0]
