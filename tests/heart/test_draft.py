"""The draft: on any grid, in any orientation, and silent about nothing that is wrong with it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from rtqc.comparison import compare
from rtqc.core import AXIAL, Case, Grid, Image, Orientation
from rtqc.dicom import read_case
from rtqc.geometry import rasterize
from rtqc.heart import Draft, ModelError, draft_heart, list_models, load_model
from rtqc.phantom import SyntheticPlan
from tests.conftest import HEARTS, real


def resampled(image: Image, grid: Grid) -> Image:
    """The same patient on another grid, by linear interpolation."""
    hu = np.empty(grid.shape, np.float32)
    for k in range(grid.shape[0]):
        index = np.stack(np.meshgrid([k], *(np.arange(n) for n in grid.size), indexing="ij"), -1).reshape(-1, 3)
        where = image.grid.index_of_patient(grid.patient_mm(index))
        hu[k] = map_coordinates(image.hu, where.T, order=1, cval=-1000).reshape(grid.size)
    return Image(grid, hu)


def _dice(draft: Draft, plan: SyntheticPlan) -> float:
    return compare(plan.structures["Heart"], draft.structure).dice


def test_the_draft_finds_the_heart(clean_draft: Draft, clean_plan: SyntheticPlan) -> None:
    assert _dice(clean_draft, clean_plan) > 0.88
    assert clean_draft.trusted
    assert clean_draft.doubts == ()
    assert 0.85 < clean_draft.predicted_dice <= 1


def test_the_same_image_gives_the_same_draft(clean_case: Case, clean_draft: Draft) -> None:
    assert clean_case.image is not None
    assert draft_heart(clean_case.image, device="cpu").structure.planes == clean_draft.structure.planes


def _grid_of(plan: SyntheticPlan, slice_mm: float, pixel_mm: float) -> Grid:
    low, high = plan.study.image.grid.corners_mm()[[0, -1]]
    shape = [int((high[2] - low[2]) / slice_mm) + 1, *(int((high[a] - low[a]) / pixel_mm) + 1 for a in (1, 0))]
    return Grid.regular(shape, (slice_mm, pixel_mm, pixel_mm), low)


@pytest.mark.parametrize(("slice_mm", "pixel_mm"), [(1.0, 2.0), (2.5, 1.2), (5.0, 0.9), (4.0, 3.9)])
def test_any_spacing_gives_nearly_the_same_heart(
    slice_mm: float, pixel_mm: float, clean_plan: SyntheticPlan, clean_case: Case, clean_draft: Draft
) -> None:
    assert clean_case.image is not None
    image = resampled(clean_case.image, _grid_of(clean_plan, slice_mm, pixel_mm))
    draft = draft_heart(image, device="cpu")
    assert _dice(draft, clean_plan) > 0.85
    assert draft.structure.volume_ml == pytest.approx(clean_draft.structure.volume_ml, rel=0.08)


TURNED = {
    "feet first": Orientation((-1, 0, 0), (0, 1, 0)),
    "prone": Orientation((-1, 0, 0), (0, -1, 0)),
    "coronal": Orientation((1, 0, 0), (0, 0, -1)),
    "oblique": Orientation(
        (np.cos(0.3), np.sin(0.3), 0.0), (-np.sin(0.3) * np.cos(0.2), np.cos(0.3) * np.cos(0.2), np.sin(0.2))
    ),
}


@pytest.mark.parametrize("name", TURNED)
def test_any_orientation_gives_nearly_the_same_heart(name: str, clean_plan: SyntheticPlan, clean_case: Case) -> None:
    assert clean_case.image is not None
    orientation = TURNED[name]
    corners = orientation.to_frame(clean_case.image.grid.corners_mm())
    low, high = corners.min(axis=0), corners.max(axis=0)
    spacing = 3.0
    shape = ((high - low) / spacing).astype(int)[::-1] + 1
    grid = Grid.regular(shape, (spacing,) * 3, orientation.to_patient(low[None])[0], orientation)
    draft = draft_heart(resampled(clean_case.image, grid), device="cpu")
    assert draft.structure.orientation == orientation.canonical()
    axial = Grid.regular((80, 120, 120), (3.0, 2.0, 2.0), (-120, -130, -120))
    truth = rasterize(clean_plan.structures["Heart"], axial).array
    drawn = rasterize(draft.structure, axial).array
    assert 2 * (truth & drawn).sum() / (truth.sum() + drawn.sum()) > 0.85


def test_missing_slices_are_bridged(clean_plan: SyntheticPlan, clean_case: Case, clean_draft: Draft) -> None:
    assert clean_case.image is not None
    image = clean_case.image
    kept = [k for k in range(image.grid.shape[0]) if k not in (48, 57)]
    grid = replace(image.grid, slice_positions_mm=tuple(image.grid.slice_positions_mm[k] for k in kept))
    draft = draft_heart(Image(grid, image.hu[kept]), device="cpu")
    assert draft.structure.volume_ml == pytest.approx(clean_draft.structure.volume_ml, rel=0.05)
    assert _dice(draft, clean_plan) > 0.86


def test_an_image_without_a_heart_gives_no_heart(clean_case: Case) -> None:
    assert clean_case.image is not None
    grid = clean_case.image.grid
    for hu in (np.full(grid.shape, -1000, np.float32), np.zeros(grid.shape, np.float32)):
        draft = draft_heart(Image(grid, hu), device="cpu")
        assert not draft.trusted
        assert draft.doubts


def test_a_heart_that_leaves_the_image_is_said(clean_case: Case, clean_draft: Draft) -> None:
    assert clean_case.image is not None
    first = int(np.searchsorted(clean_case.image.grid.positions_mm, -20))
    grid = clean_case.image.grid.crop(slice(first, None), slice(None), slice(None))
    draft = draft_heart(Image(grid, clean_case.image.hu[first:]), device="cpu")
    assert draft.cut_off == ("inferior",)
    assert not draft.structure.is_empty


@pytest.mark.parametrize(("side", "middle"), [("left", (-70.0, 0.0)), ("anterior", (0.0, 70.0)), (None, (0.0, 0.0))])
@pytest.mark.real
def test_a_heart_that_leaves_a_round_field_of_view_is_said(side: str | None, middle: tuple[float, float]) -> None:
    """What the scanner did not see is filled with its least value; a circle around the whole heart cuts nothing."""
    case = read_case(real("heart-ct", "0187"))
    assert case.image is not None
    grid, hu = case.image.grid, case.image.hu.copy()
    x, y, _ = case.structures["Heart"].centroid_mm + np.array([*middle, 0])
    away = np.hypot(grid.columns_mm[None, :] - x, grid.rows_mm[:, None] - y)
    hu[:, away > (95 if side else 130)] = -1024
    draft = draft_heart(Image(grid, hu), device="cpu")
    assert draft.cut_off == (() if side is None else (side,))


def test_a_tiny_image_is_no_accident() -> None:
    grid = Grid.regular((2, 3, 4), (3, 1, 1))
    draft = draft_heart(Image(grid, np.zeros(grid.shape, np.float32)), device="cpu")
    assert draft.structure.is_empty
    assert not draft.trusted


def test_the_outline_is_smooth_and_in_one_piece(clean_draft: Draft) -> None:
    areas = clean_draft.structure.areas_mm2
    for area in clean_draft.structure.planes.values():
        assert all(not p.interiors for p in area.geoms)
        perimeter = sum(p.exterior.length for p in area.geoms)
        # A staircase of pixels is 4/pi longer than the smooth line.
        assert perimeter < 1.35 * np.sqrt(4 * np.pi * area.area) * len(area.geoms)
    assert np.abs(np.diff(areas)).max() < 0.35 * areas.max()


def test_a_model_is_verified_against_its_manifest(tmp_path: Path) -> None:
    import shutil

    shipped = load_model("heart-v1").folder
    shutil.copytree(shipped, tmp_path / "m")
    assert load_model(tmp_path / "m").manifest.name == "heart-v1"
    weights = tmp_path / "m" / "model.onnx"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\0")
    with pytest.raises(ModelError, match="SHA-256 differs"):
        load_model(tmp_path / "m")
    weights.unlink()
    with pytest.raises(ModelError, match="missing"):
        load_model(tmp_path / "m")
    (tmp_path / "m" / "manifest.toml").write_text("name = ")
    with pytest.raises(ModelError, match="not a valid manifest"):
        load_model(tmp_path / "m")
    with pytest.raises(ModelError, match="heart-v1"):
        load_model("no-such-model")
    assert "heart-v1" in list_models()


def test_the_shipped_model_names_its_data_and_has_a_card_with_the_leave_one_out_table() -> None:
    model = load_model("heart-v1")
    card = (model.folder / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "10.7937/K9/TCIA.2015.LO9QL9SX" in model.manifest.attribution
    assert "CC BY 3.0" in card
    rows = [line.split("|") for line in card.splitlines() if line.startswith("| LIDC-")]
    assert len(rows) == 3
    assert all(float(row[2]) >= 0.80 for row in rows)


@pytest.mark.real
@pytest.mark.parametrize("patient", HEARTS)
def test_real_hearts_are_drafted(patient: str) -> None:
    case = read_case(real("heart-ct", patient))
    assert case.image is not None
    draft = draft_heart(case.image, device="cpu")
    assert draft.trusted, draft.doubts
    assert compare(case.structures["Heart"], draft.structure).dice >= 0.90


@pytest.mark.real
def test_a_real_planning_ct_without_ground_truth_gets_a_plausible_heart_or_a_doubt() -> None:
    case = read_case(real("lung-gtv", "pat_2"))
    assert case.image is not None
    draft = draft_heart(case.image, device="cpu")
    assert draft.doubts or 300 < draft.structure.volume_ml < 1300


def test_axial_is_the_frame_of_axial_images(clean_draft: Draft) -> None:
    assert clean_draft.structure.orientation == AXIAL
    assert clean_draft.mask.volume_ml == pytest.approx(clean_draft.structure.volume_ml, rel=0.02)


REAL_CHANGES = ("noise", "prone", "every second slice", "cut sides")


@pytest.mark.parametrize("change", REAL_CHANGES)
def test_a_real_heart_stays_the_same_however_it_was_scanned_and_stored(change: str) -> None:
    """Against the radiologists' contour, on the slices that are there; the model has seen this patient."""
    case = read_case(real("heart-ct", "0506"))
    assert case.image is not None
    image, human = case.image, case.structures["Heart"]
    grid = image.grid
    if change == "noise":
        changed = Image(grid, image.hu + np.random.default_rng(0).normal(0, 80, grid.shape).astype(np.float32))
    elif change == "prone":
        orientation = Orientation((-1, 0, 0), (0, -1, 0))
        low = orientation.to_frame(grid.corners_mm()).min(axis=0)
        turned = Grid.regular(grid.shape, (3.0, 3.0, 3.0), orientation.to_patient(low[None])[0], orientation)
        changed = resampled(image, turned)
    elif change == "every second slice":
        half = Grid(grid.orientation, grid.origin_mm, grid.spacing_mm, grid.size, grid.slice_positions_mm[::2])
        changed = Image(half, np.ascontiguousarray(image.hu[::2]))
    else:
        sides = (slice(None), slice(None), slice(12, -12))
        changed = Image(grid.crop(*sides), np.ascontiguousarray(image.hu[sides]))

    def dice(of: Image) -> float:
        drawn = draft_heart(of, device="cpu")
        axial = Grid.regular(of.grid.shape, (of.grid.slice_spacing_mm, 3.0, 3.0), of.grid.corners_mm().min(axis=0))
        a, b = rasterize(human, axial).array, rasterize(drawn.structure, axial).array
        return float(2 * (a & b).sum() / (a.sum() + b.sum()))

    assert dice(changed) == pytest.approx(dice(image), abs=0.02)
