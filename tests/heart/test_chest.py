"""What shows no chest is refused with that reason, before a model may draw something on it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from rtqc.core import Case, Grid, Image
from rtqc.geometry import rasterize
from rtqc.heart import draft_heart
from rtqc.heart.chest import lung_share, lungs_of, why_no_heart
from rtqc.heart.resample import averaged, covering_grid
from rtqc.phantom import SyntheticPlan

GRID = Grid.regular((60, 90, 100), (4.0, 4.0, 4.0), (-200, -180, -120))
Volume = NDArray[np.float32]


def _mm() -> list[NDArray[np.float64]]:
    return list(np.meshgrid(GRID.positions_mm, GRID.rows_mm, GRID.columns_mm, indexing="ij"))


def _air() -> Volume:
    hu = np.full(GRID.shape, -1000, np.float32)
    return hu + np.random.default_rng(0).normal(0, 12, GRID.shape).astype(np.float32)


def _couch(hu: Volume | None = None) -> Volume:
    """A carbon plate 12 mm thick with foam under it."""
    hu = _air() if hu is None else hu
    _, y, x = _mm()
    hu[(np.abs(y - 150) < 8) & (np.abs(x) < 190)] = -100
    hu[(y > 158) & (y < 176) & (np.abs(x) < 190)] = -750
    return hu


def _head() -> Volume:
    """A skull with brain, sinuses of 40 ml and a foam cushion behind it."""
    z, y, x = _mm()
    hu = _couch()
    r = np.sqrt((x / 75) ** 2 + (y / 95) ** 2 + (z / 110) ** 2)
    hu[(r > 1) & (y > 40) & (y < 140) & (np.abs(x) < 110) & (np.abs(z) < 100)] = -950
    hu[r < 1.08] = 20
    hu[(r < 1) & (r > 0.92)] = 1000
    hu[r < 0.92] = 35
    hu[np.sqrt(x**2 + (y + 60) ** 2 + (z + 60) ** 2) < 21] = -1000
    return hu


def _abdomen() -> Volume:
    """A trunk with bowel gas, and fat around it."""
    z, y, x = _mm()
    hu = _couch()
    body = (x / 165) ** 2 + (y / 115) ** 2
    hu[body < 1] = -100
    hu[body < 0.8] = 45
    for centre in ((40, -50, 20), (-60, -40, -40), (10, -30, 70), (90, 0, -10)):
        hu[(x - centre[0]) ** 2 + (y - centre[1]) ** 2 + (z - centre[2]) ** 2 < 22**2] = -1000
    return hu


def _water() -> Volume:
    z, y, x = _mm()
    hu = _air()
    hu[(x**2 + y**2 < 100**2) & (np.abs(z) < 90)] = 0
    return hu


def _mr() -> Volume:
    """Signal of a chest in an MR image: air and lung 0, tissue hundreds."""
    _, y, x = _mm()
    signal = np.zeros(GRID.shape, np.float32)
    signal[(x / 165) ** 2 + (y / 115) ** 2 < 1] = 400
    for side in (-75, 75):
        signal[((x - side) / 55) ** 2 + (y / 80) ** 2 < 1] = 20
    return signal


NO_CHEST: dict[str, tuple[Callable[[], Volume], str]] = {
    "empty": (_air, "is empty"),
    "couch": (_couch, "no patient"),
    "head": (_head, "no lung"),
    "abdomen": (_abdomen, "no lung"),
    "water phantom": (_water, "no lung"),
    "MR": (_mr, "no lung"),
}


@pytest.mark.parametrize("name", NO_CHEST)
def test_what_is_no_chest_is_refused_with_that_reason(name: str) -> None:
    make, reason = NO_CHEST[name]
    draft = draft_heart(Image(GRID, make()), device="cpu")
    assert draft.structure.is_empty
    assert not draft.trusted
    assert draft.predicted_dice == 0
    assert reason in draft.doubts[0]


@pytest.mark.parametrize("kept", ["both", "left", "small field"])
def test_lungs_are_found_when_one_is_gone_or_cut_open(kept: str, clean_case: Case, clean_plan: SyntheticPlan) -> None:
    assert clean_case.image is not None
    grid = covering_grid(clean_case.image.grid, (4.0, 4.0, 4.0))
    hu = averaged(clean_case.image, grid)
    if kept == "left":
        hu[:, :, : grid.size[1] // 2] = np.where(hu < -400, 10, hu)[:, :, : grid.size[1] // 2]
    if kept == "small field":
        rows, columns = np.meshgrid(grid.rows_mm, grid.columns_mm, indexing="ij")
        hu = np.where(np.hypot(rows, columns) < 95, hu, np.float32(-1000))
    lungs = lungs_of(hu, grid)
    assert why_no_heart(hu, lungs, grid) is None
    heart = rasterize(clean_plan.structures["Heart"], grid).array
    assert lung_share(heart, lungs, 4.0) > 0.05


def test_what_lies_beside_no_lung_is_no_heart(monkeypatch: pytest.MonkeyPatch, clean_case: Case) -> None:
    """A model that draws the heart in the belly: the candidate is refused, whatever the model thinks of it."""
    assert clean_case.image is not None
    from rtqc.heart import draft as room
    from rtqc.heart.looks import Found

    def in_the_belly(hu: Volume, grid: Grid, *rest: object) -> Found:
        logits = np.full(hu.shape, -6, np.float32)
        logits[2:14, hu.shape[1] // 2 - 8 : hu.shape[1] // 2 + 8, hu.shape[2] // 2 - 8 : hu.shape[2] // 2 + 8] = 6
        return Found(logits, grid)

    monkeypatch.setattr(room, "look", in_the_belly)
    draft = draft_heart(clean_case.image, device="cpu")
    assert draft.structure.is_empty
    assert "does not lie beside a lung" in draft.doubts[0]
