"""A structure and its dose, moved, stored, scaled and put together otherwise: the histogram stays or changes as it must."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shapely.geometry import MultiPolygon, box

from rtqc.core import Dose, Grid, Structure
from rtqc.dosimetry import DVH, dvh
from tests.blobs import FEW, MOVES, blobs, reordered, stored
from tests.shapes import FEET_FIRST, FEET_FIRST_PRONE, HEAD_FIRST_PRONE, OBLIQUE, field_dose


def hilly(xyz: np.ndarray) -> np.ndarray:
    """Rises and falls, otherwise along every axis."""
    x, y, z = np.asarray(xyz).T
    return 20 + 0.15 * x - 0.25 * y + 0.4 * z + 0.004 * x * y + 4 * np.exp(-((x - 9) ** 2 + (y + 4) ** 2) / 200)


def grid_of(orientation: object = None, spacing: tuple[float, float, float] = (2.0, 2.5, 1.5)) -> Grid:
    """Around the origin, 45 mm along every axis of its own."""
    frame = orientation or (MOVES and Grid.regular((1, 1, 1), (1, 1, 1)).orientation)
    count = [int(90 / s) + 1 for s in spacing]
    corner = -sum(
        (n - 1) / 2 * s * np.array(d) for n, s, d in zip(count, spacing, (frame.normal, frame.column, frame.row), strict=True)
    )  # type: ignore[union-attr]
    return Grid.regular(count, spacing, corner, frame)  # type: ignore[arg-type]


DOSE = field_dose(grid_of(), hilly)


def same(one: DVH, other: DVH, gy: float = 0.06, end_gy: float = 0.5) -> None:
    """To what samples of 0.7 mm tell: the mean of some cubic centimetres to 0.06 Gy, corners that they round to 0.5 Gy."""
    assert one.volume_ml == pytest.approx(other.volume_ml, rel=1e-9)
    assert one.covered_share == pytest.approx(other.covered_share, abs=0.01)
    assert one.mean_gy == pytest.approx(other.mean_gy, abs=gy)
    for percent in (10, 50, 90):
        assert one.dose_at_percent_gy(percent) == pytest.approx(other.dose_at_percent_gy(percent), abs=3 * gy), percent
    assert (one.min_gy, one.max_gy) == pytest.approx((other.min_gy, other.max_gy), abs=end_gy)


@pytest.mark.parametrize("how", MOVES)
@FEW
@given(blobs())
def test_a_patient_who_is_moved_with_the_dose_has_the_same_dose(how: str, structure: Structure) -> None:
    move = MOVES[how]
    grid = grid_of(spacing=(2.0, 1.5, 2.5))
    shifted = Grid.regular(grid.shape, (2.0, 1.5, 2.5), grid.patient_mm([(0, 0, 0)])[0] + move.shift)
    same(dvh(structure, DOSE), dvh(move.structure(structure), field_dose(shifted, lambda xyz: hilly(move.back(xyz)))))


@pytest.mark.parametrize(
    "orientation", [FEET_FIRST, FEET_FIRST_PRONE, HEAD_FIRST_PRONE, OBLIQUE], ids=["FFS", "FFP", "HFP", "oblique"]
)
@FEW
@given(blobs())
def test_how_dose_and_contours_are_stored_changes_nothing(orientation: object, structure: Structure) -> None:
    before = dvh(structure, DOSE)
    same(before, dvh(structure, field_dose(grid_of(orientation), hilly)))
    if orientation != OBLIQUE:
        same(before, dvh(stored(structure, orientation), DOSE))  # type: ignore[arg-type]


@FEW
@given(blobs(), st.floats(0.1, 3.0), st.floats(0.5, 9.0))
def test_more_dose_everywhere_is_more_dose_everywhere(structure: Structure, factor: float, added: float) -> None:
    before = dvh(structure, DOSE)
    after = dvh(structure, Dose(DOSE.grid, (factor * DOSE.gy + added).astype(np.float32)))
    assert np.abs(after.gy - (factor * before.gy + added)).max() < 2e-4
    # float32 may exchange cells of nearly one dose.
    assert np.abs(np.cumsum(after.ml) - np.cumsum(before.ml)).max() < 1e-3
    negative = dvh(structure, Dose(DOSE.grid, (50 - DOSE.gy).astype(np.float32)))
    assert negative.mean_gy == pytest.approx(50 - before.mean_gy, abs=0.02)
    assert (negative.min_gy, negative.max_gy) == pytest.approx((50 - before.max_gy, 50 - before.min_gy), abs=0.2)


@FEW
@given(blobs())
def test_a_dose_resampled_or_cut_to_the_structure_is_the_same_dose(structure: Structure) -> None:
    before = dvh(structure, DOSE)
    same(before, dvh(structure, field_dose(grid_of(spacing=(1.5, 1.5, 2.0)), hilly)), gy=0.02, end_gy=0.05)
    cut = DOSE.grid.crop(slice(10, 38), slice(2, 35), slice(3, 58))
    same(before, dvh(structure, Dose(cut, DOSE.gy[10:38, 2:35, 3:58])), gy=1e-6, end_gy=1e-6)


@FEW
@given(blobs())
def test_the_order_of_planes_and_points_changes_nothing(structure: Structure) -> None:
    one, other = dvh(structure, DOSE), dvh(reordered(structure), DOSE)
    same(one, other, gy=1e-3, end_gy=1e-2)


@FEW
@given(blobs())
def test_two_parts_have_the_mean_and_volumes_of_the_whole(structure: Structure) -> None:
    """Cut along a plane on the patient's left, and put together by their volumes."""
    left, right = (
        Structure("Part", {w: MultiPolygon([p for p in [area.intersection(half)] if p.geom_type == "Polygon"]) for w, area in structure.planes.items()}, slice_spacing_mm=3.0)
        for half in (box(-99, -99, 2, 99), box(2, -99, 99, 99))
    )  # fmt: skip
    if min(len(left.planes), len(right.planes)) < 4 or abs(left.volume_ml + right.volume_ml - structure.volume_ml) > 1e-6:
        return
    whole, parts = dvh(structure, DOSE), [dvh(left, DOSE), dvh(right, DOSE)]
    mean = sum(p.mean_gy * p.volume_ml for p in parts) / structure.volume_ml
    assert whole.mean_gy == pytest.approx(mean, abs=0.06)
    for gy in (15, 20, 25):
        assert whole.volume_at_dose_percent(gy) * whole.volume_ml == pytest.approx(
            sum(p.volume_at_dose_percent(gy) * p.volume_ml for p in parts), abs=2 * whole.volume_ml
        )
