"""One and the same region keeps its volume however its contours are written: in any order, split, repeated, at heights that wobble."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import Polygon

from rtqc.core import AXIAL
from rtqc.dicom import read_structure_set
from tests.dicom.boxes import Contour, write_structures

SPACINGS = st.sampled_from([0.6, 1.0, 1.25, 2.0, 2.5, 3.0, 5.0])


def _ring(radius: float, x: float, z: float, points: int = 40) -> Contour:
    angle = 2 * np.pi * np.arange(points) / points
    return ("CLOSED_PLANAR", [(x + radius * np.cos(a), radius * np.sin(a), z) for a in angle])


def _area(contour: Contour) -> float:
    return float(Polygon([p[:2] for p in contour[1]]).area)


def _volume_ml(contours: list[Contour], slices: np.ndarray | None, spacing: float) -> float:
    with tempfile.TemporaryDirectory() as folder:
        path = write_structures(Path(folder), [(1, "Heart", contours)])
        return read_structure_set(path, AXIAL, spacing, slices).rois[0].structure.volume_ml


@settings(max_examples=25, deadline=None)
@given(spacing=SPACINGS, seed=st.integers(0, 10_000), repeated=st.booleans(), known=st.booleans())
def test_volume_does_not_change_with_order_wobble_repetition_and_splitting(
    spacing: float, seed: int, repeated: bool, known: bool
) -> None:
    """A ring with a hole and a piece beside it on 12 slices; heights wobble by a third of the spacing, or 0.1 mm where no CT is known."""
    rng = np.random.default_rng(seed)
    slices = spacing * np.arange(-12, 13)
    wobble = spacing / 3 if known else min(0.1, spacing / 10)
    contours, expected = [], 0.0
    for z in slices[6:18]:
        outer, hole, beside = _ring(30 - 0.3 * abs(z), 0, z), _ring(8, 3, z), _ring(5, 60, z)
        expected += (_area(outer) - _area(hole) + _area(beside)) * spacing / 1000
        pieces = [outer, hole, beside] + ([outer, beside] if repeated else [])
        contours += [(kind, [(x, y, w + shift) for x, y, w in points]) for (kind, points), shift in zip(pieces, rng.uniform(-wobble, wobble, 5), strict=False)]  # fmt: skip
    shuffled = [contours[k] for k in rng.permutation(len(contours))]
    # Without a CT each end is known to the wobble only, and what lies beyond it is half a step between two planes that both wobble.
    tolerance = 1e-3 if known else 1e-3 + 4 * wobble / (12 * spacing)
    assert _volume_ml(shuffled, slices if known else None, spacing) == pytest.approx(expected, rel=tolerance)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), cuts=st.integers(1, 5))
def test_a_region_drawn_in_overlapping_parts_is_the_region(seed: int, cuts: int) -> None:
    rng = np.random.default_rng(seed)
    slices = 3.0 * np.arange(-6, 7)
    edges = np.sort(rng.uniform(-29, 29, cuts))
    parts = list(zip([-30.0, *(edges - 1)], [*(edges + 1), 30.0], strict=True))
    contours: list[Contour] = []
    for z in slices:
        for k in rng.permutation(len(parts)):
            low, high = max(parts[k][0], -30.0), min(parts[k][1], 30.0)
            contours.append(("CLOSED_PLANAR", [(low, -20, z), (high, -20, z), (high, 20, z), (low, 20, z)]))
    contained = any(a != b and a[0] >= b[0] and a[1] <= b[1] for a in parts for b in parts)
    if not contained:
        assert _volume_ml(contours, slices, 3.0) == pytest.approx(60 * 40 * 39 / 1000, rel=1e-3)


@settings(max_examples=20, deadline=None)
@given(steps=st.lists(st.sampled_from([1.0, 2.0, 3.0, 5.0]), min_size=1, max_size=3), seed=st.integers(0, 1000))
def test_slices_of_any_spacings_are_as_thick_as_the_ct_says(steps: list[float], seed: int) -> None:
    slices = np.cumsum([0.0, *np.repeat(steps, 6)])
    rng = np.random.default_rng(seed)
    first, last = 2, slices.size - 3
    half = np.diff(slices) / 2
    thickness = [half[k - 1] + half[k] for k in range(first, last + 1)]
    contours = [_ring(20, 0, float(slices[k]) + rng.uniform(-0.3, 0.3)) for k in range(first, last + 1)]
    assert _volume_ml(contours, slices, 3.0) == pytest.approx(sum(thickness) * _area(contours[0]) / 1000, rel=1e-3)
