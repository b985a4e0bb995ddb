"""Cardiac scans: a field of view of 180 to 250 mm, round or square, in pixels of 0.4 mm."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import binary_dilation

from rtqc.core import Case, Grid, Image, Structure
from rtqc.dicom import read_case
from rtqc.geometry import rasterize
from rtqc.heart import Draft, draft_heart
from rtqc.heart.resample import averaged, covering_grid
from rtqc.heart.view import carried_on, narrow_view
from rtqc.phantom import SyntheticPlan
from tests.conftest import HEARTS, real
from tests.heart.test_draft import resampled

#: The issue's limit.
LOSS = 0.02


def scanned(
    image: Image, heart: Structure, width_mm: float, round_view: bool, pixel_mm: float = 0.8
) -> tuple[Image, np.ndarray]:  # type: ignore[type-arg]
    """What a scanner would have made of the same patient, 15 mm above and below the heart, and which pixels it shows."""
    mask = rasterize(heart, image.grid)
    points = image.grid.patient_mm(np.argwhere(mask.array))
    low, high = points.min(axis=0), points.max(axis=0)
    middle = (low + high) / 2
    n = round(width_mm / pixel_mm)
    origin = (middle[0] - width_mm / 2, middle[1] - width_mm / 2, low[2] - 15)
    grid = Grid.regular((int((high[2] - low[2] + 30) / 3) + 1, n, n), (3.0, pixel_mm, pixel_mm), origin)
    seen = np.ones(grid.size, bool)
    if round_view:
        seen = np.hypot(*np.meshgrid(grid.rows_mm - middle[1], grid.columns_mm - middle[0], indexing="ij")) <= width_mm / 2
    hu = resampled(image, grid).hu
    hu[:, ~seen] = -1024
    return Image(grid, hu), seen


def dice_in_view(draft: Draft, heart: Structure, image: Image, seen: np.ndarray) -> float:  # type: ignore[type-arg]
    truth, drawn = rasterize(heart, image.grid).array & seen, draft.mask.array
    return float(2 * (truth & drawn).sum() / (truth.sum() + drawn.sum()))


def test_a_synthetic_heart_is_found_in_a_narrow_view(clean_plan: SyntheticPlan, clean_case: Case) -> None:
    assert clean_case.image is not None
    heart = clean_plan.structures["Heart"]
    everything, all_seen = scanned(clean_case.image, heart, 336, False)
    whole = dice_in_view(draft_heart(everything, device="cpu"), heart, everything, all_seen)
    for width, round_view, loss in ((200, False, LOSS), (250, True, 2 * LOSS), (180, True, 2 * LOSS)):
        image, seen = scanned(clean_case.image, heart, width, round_view)
        draft = draft_heart(image, device="cpu")
        assert dice_in_view(draft, heart, image, seen) > whole - loss
        assert draft.trusted
        assert draft.landmarks is None


@pytest.mark.parametrize("patient", HEARTS)
@pytest.mark.parametrize("width", [220, 180])
def test_a_real_heart_is_found_as_well_as_in_a_whole_chest_of_the_same_pixels(patient: str, width: float) -> None:
    case = read_case(real("heart-ct", patient))
    assert case.image is not None
    heart = case.structures["Heart"]
    image, seen = scanned(case.image, heart, width, True)
    everything, all_seen = scanned(case.image, heart, 336, False)
    whole = dice_in_view(draft_heart(everything, device="cpu"), heart, everything, all_seen)
    assert dice_in_view(draft_heart(image, device="cpu"), heart, image, seen) > whole - LOSS


def test_nothing_is_drawn_where_the_image_shows_nothing(clean_plan: SyntheticPlan, clean_case: Case) -> None:
    assert clean_case.image is not None
    heart = clean_plan.structures["Heart"]
    image, seen = scanned(clean_case.image, heart, 100, True)
    draft = draft_heart(image, device="cpu")
    if draft.structure.is_empty:
        assert draft.doubts
        return
    assert draft.cut_off
    assert (draft.mask.array & ~seen).sum() < 0.01 * draft.mask.array.sum()


def test_a_whole_chest_is_not_narrow_and_a_narrow_one_is_carried_on(clean_plan: SyntheticPlan, clean_case: Case) -> None:
    assert clean_case.image is not None
    grid = covering_grid(clean_case.image.grid, (4.0,) * 3)
    assert narrow_view(averaged(clean_case.image, grid), grid) is None
    image, _ = scanned(clean_case.image, clean_plan.structures["Heart"], 200, True)
    grid = covering_grid(image.grid, (4.0,) * 3)
    hu = averaged(image, grid)
    seen = narrow_view(hu, grid)
    assert seen is not None
    assert 0.6 < seen.mean() < 0.8
    wide, wide_grid, wide_seen = carried_on(hu, grid, seen)
    assert wide.shape == wide_grid.shape
    np.testing.assert_array_equal(wide[:, wide_seen], hu[:, seen])
    index = np.argwhere(seen)[0]
    there = grid.patient_mm([(0, *index)])
    np.testing.assert_allclose(wide_grid.patient_mm([(0, *np.argwhere(wide_seen)[0])]), there)
    near = binary_dilation(wide_seen, iterations=8) & ~wide_seen
    assert (wide[:, near] > -950).mean() > 0.5
    assert (wide[:, 0, 0] == -1000).all()
