"""Models of other programs, judged by those programs' own predictions."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
import torch
from scipy.ndimage import binary_fill_holes, label

from rtqc.core import AXIAL, Grid, Image, Orientation
from rtqc.heart import Engine, ModelError, draft_heart, load_model
from rtqc.heart.sliding_window import slide
from rtqc.phantom import SyntheticPlan
from rtqc.training.imports import read_bundle, read_results, write_imported
from tests.cli.run import rtqc
from tests.training.nnunet_results import trained, write_results


@pytest.fixture(scope="module")
def weights(clean_plan: SyntheticPlan) -> list[dict[str, Any]]:
    first = trained(clean_plan, seed=0)
    return [first, trained(clean_plan, iterations=20, seed=1, start=first)]


def _coarse(plan: SyntheticPlan) -> Image:
    """The chest in pixels twice as large: a minute's work less."""
    own = plan.study.image.grid
    hu = np.ascontiguousarray(plan.study.image.hu[20:80, ::2, ::2])
    spacing = (2 * own.spacing_mm[0], 2 * own.spacing_mm[1])
    return Image(Grid(own.orientation, own.origin_mm, spacing, hu.shape[1:], own.slice_positions_mm[20:80]), hu)


def _of_nnunet(results: Path, image: Image) -> np.ndarray:
    """nnU-Net's own labels."""
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    predictor = nnUNetPredictor(device=torch.device("cpu"), allow_tqdm=False)
    predictor.initialize_from_trained_model_folder(str(results), None)
    spacing = [image.grid.slice_spacing_mm, *image.grid.spacing_mm]
    return predictor.predict_single_npy_array(image.hu[None], {"spacing": spacing}, None, None, False)


def _dice(a: np.ndarray, b: np.ndarray) -> float:
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


@pytest.mark.parametrize(
    ("spacing", "folds", "options"),
    [
        ((3.0, 3.6, 3.6), 1, {}),
        ((4.0, 4.0, 4.0), 2, {"mirror": (0,), "patch": (48, 64, 64)}),
        ((9.0, 2.4, 2.4), 1, {"patch": (16, 48, 32)}),
        ((3.6, 3.6, 3.0), 1, {"transpose": (2, 1, 0), "old_plans": True}),
    ],
)
def test_an_nnunet_draws_the_same_here_as_there(
    spacing: tuple[float, ...],
    folds: int,
    options: dict[str, Any],
    weights: list[dict[str, Any]],
    clean_plan: SyntheticPlan,
    tmp_path: Path,
) -> None:
    image = _coarse(clean_plan)
    results = write_results(tmp_path, weights[:folds], spacing, **options)
    theirs = _of_nnunet(results, image) == 2
    write_imported(read_results(results, name="nn"), tmp_path / "nn")
    engine = Engine(load_model(tmp_path / "nn"), "cpu")
    ours = slide(image, engine).logits > 0
    assert theirs.sum() > 300
    assert _dice(ours, theirs) >= 0.999


def _imported(weights: list[dict[str, Any]], folder: Path, **options: Any) -> Path:
    results = write_results(folder, weights[:1], (4.0, 4.0, 4.0), patch=(48, 64, 64), **options)
    write_imported(read_results(results, name="nn"), folder / "nn")
    return folder / "nn"


def test_an_imported_model_draws_a_draft_that_is_its_label(
    weights: list[dict[str, Any]], clean_plan: SyntheticPlan, tmp_path: Path
) -> None:
    image = _coarse(clean_plan)
    model = _imported(weights, tmp_path)
    found = slide(image, Engine(load_model(model), "cpu"))
    draft = draft_heart(image, model, "cpu")
    labels, _ = label(found.logits > 0)
    largest = labels == np.bincount(labels.ravel())[1:].argmax() + 1
    solid = np.stack([binary_fill_holes(plane) for plane in binary_fill_holes(largest)])
    g = image.grid
    inside = np.zeros(g.shape, bool)
    for w, area in draft.structure.planes.items():
        k = int(np.abs(g.positions_mm - w).argmin())
        inside[k] = shapely.contains_xy(area, *np.meshgrid(g.columns_mm, g.rows_mm))
    assert np.array_equal(inside, solid)
    assert draft.uncertainty is not None


def test_large_outputs_go_through_a_file(
    weights: list[dict[str, Any]], clean_plan: SyntheticPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = _coarse(clean_plan)
    engine = Engine(load_model(_imported(weights, tmp_path)), "cpu")
    in_memory = slide(image, engine).logits
    monkeypatch.setattr("rtqc.heart.sliding_window._IN_MEMORY_BYTES", 1000)
    assert np.array_equal(slide(image, engine).logits, in_memory)


def test_the_same_heart_however_the_image_lies(
    weights: list[dict[str, Any]], clean_plan: SyntheticPlan, tmp_path: Path
) -> None:
    image = _coarse(clean_plan)
    engine = Engine(load_model(_imported(weights, tmp_path)), "cpu")
    g = image.grid
    turned = Grid(
        Orientation((-1, 0, 0), (0, -1, 0)),
        (-float(g.columns_mm[-1]), -float(g.rows_mm[-1])),
        g.spacing_mm,
        g.size,
        g.slice_positions_mm,
    )
    prone = Image(turned, np.ascontiguousarray(image.hu[:, ::-1, ::-1]))
    assert np.allclose(slide(prone, engine).logits, slide(image, engine).logits, atol=1e-3)
    assert slide(prone, engine).grid.orientation == AXIAL


def test_short_memory_makes_the_patches_smaller_and_is_said(
    weights: list[dict[str, Any]], clean_plan: SyntheticPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rtqc.heart.engine import DeviceError, MemoryShortageError

    image = _coarse(clean_plan)
    engine = Engine(load_model(_imported(weights, tmp_path)), "cpu")
    run = Engine.run

    def short(self: Engine, channels: np.ndarray) -> np.ndarray:
        if channels.size > limit:
            raise MemoryShortageError("Failed to allocate memory")
        return run(self, channels)

    monkeypatch.setattr(Engine, "run", short)
    limit = 24 * 32 * 32
    found = slide(image, engine)
    assert (found.logits > 0).sum() > 1000
    assert engine.device == "cpu (patches of 24 x 32 x 32: its memory is short)"
    limit = 10
    with pytest.raises(DeviceError, match="not enough memory"):
        slide(image, engine)


def test_import_on_the_command_line(weights: list[dict[str, Any]], tmp_path: Path) -> None:
    results = write_results(tmp_path, weights[:1], (4.0, 4.0, 4.0))
    run = rtqc("model", "import", tmp_path, "--out", tmp_path / "mine", "--licence", "CC BY 4.0")
    assert run.status == 0, run.out + run.err
    assert "CC BY 4.0" in (run.out + run.err)
    model = load_model(tmp_path / "mine")
    assert model.manifest.channels == (2,)
    assert "Dataset900_Chest" in (tmp_path / "mine" / "MODEL_CARD.md").read_text()
    again = rtqc("model", "import", results, "--out", tmp_path / "mine")
    assert again.status == 2
    assert "holds a model already" in (again.out + again.err)


def _spoilt(results: Path, file: str, change: Any) -> None:
    content = json.loads((results / file).read_text())
    change(content)
    (results / file).write_text(json.dumps(content))


BROKEN = {
    "no heart": (
        "dataset.json",
        lambda d: d.update(labels={"background": 0, "lung": 1, "liver": 2}),
        "none of the model's labels",
    ),
    "two channels": ("dataset.json", lambda d: d.update(channel_names={"0": "CT", "1": "PET"}), "2 input channels"),
    "another network": (
        "plans.json",
        lambda p: p["configurations"]["3d_fullres"]["architecture"].update(network_class_name="os.system"),
        "not one of nnU-Net's own",
    ),
    "another size": (
        "plans.json",
        lambda p: p["configurations"]["3d_fullres"]["architecture"]["arch_kwargs"].update(features_per_stage=[4, 8, 16]),
        "do not fit",
    ),
    "cascade": ("plans.json", lambda p: p["configurations"]["3d_fullres"].update(previous_stage="3d_lowres"), "cascade"),
    "2d": ("plans.json", lambda p: p["configurations"]["3d_fullres"].update(patch_size=[64, 64]), "single slices"),
    "normalization": ("plans.json", lambda p: p["configurations"]["3d_fullres"].update(normalization_schemes=["Foo"]), "Foo"),
    "nothing there": ("plans.json", lambda p: p.pop("configurations"), "not a complete nnU-Net"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_cannot_be_imported_is_said(name: str, weights: list[dict[str, Any]], tmp_path: Path) -> None:
    file, change, words = BROKEN[name]
    results = write_results(tmp_path, weights[:1], (4.0, 4.0, 4.0))
    _spoilt(results, file, change)
    with pytest.raises(ModelError, match=words):
        read_results(results, name="nn")


def test_a_checkpoint_that_could_run_code_is_not_loaded(weights: list[dict[str, Any]], tmp_path: Path) -> None:
    results = write_results(tmp_path, weights[:1], (4.0, 4.0, 4.0))
    checkpoint = results / "fold_0" / "checkpoint_final.pth"
    content = torch.load(checkpoint, weights_only=False)
    torch.save({**content, "extra": Path("x")}, checkpoint)
    with pytest.raises(ModelError, match="--trust"):
        read_results(results, name="nn")
    assert read_results(results, name="nn", trust=True).networks
    checkpoint.write_bytes(b"not a checkpoint")
    with pytest.raises(ModelError, match="not a torch checkpoint"):
        read_results(results, name="nn")


def _bundle(folder: Path) -> Path:
    from monai.networks.nets import UNet

    torch.manual_seed(0)
    network = {
        "spatial_dims": 3,
        "in_channels": 1,
        "out_channels": 2,
        "channels": [4, 8, 16],
        "strides": [2, 2],
        "norm": "batch",
    }
    for sub in ("configs", "models"):
        (folder / sub).mkdir(parents=True)
    torch.save(UNet(**network).state_dict(), folder / "models" / "model.pt")
    metadata = {
        "name": "Whole heart",
        "version": "0.1.0",
        "copyright": "Copyright (c) MONAI Consortium",
        "network_data_format": {"outputs": {"pred": {"channel_def": {"0": "background", "1": "heart"}}}},
    }
    inference = {
        "pixdim": [2.0, 3.0, 4.0],
        "network_def": {"_target_": "UNet", **network},
        "preprocessing": {
            "_target_": "Compose",
            "transforms": [
                {"_target_": "LoadImaged", "keys": "image"},
                {"_target_": "Orientationd", "keys": "image", "axcodes": "RAS"},
                {"_target_": "Spacingd", "keys": "image", "pixdim": "@pixdim", "mode": "bilinear"},
                {
                    "_target_": "ScaleIntensityRanged",
                    "keys": "image",
                    "a_min": -500,
                    "a_max": 500,
                    "b_min": 0,
                    "b_max": 1,
                    "clip": True,
                },
            ],
        },
        "inferer": {"_target_": "SlidingWindowInferer", "roi_size": [32, 48, 16], "overlap": 0.5, "mode": "gaussian"},
    }
    (folder / "configs" / "metadata.json").write_text(json.dumps(metadata))
    (folder / "configs" / "inference.json").write_text(json.dumps(inference))
    return folder


def test_a_monai_bundle_gives_what_monai_gives(tmp_path: Path) -> None:
    """On an image that has the bundle's own spacing, so that only axes, scaling, tiles and weights are compared."""
    from monai.inferers import SlidingWindowInferer

    bundle = _bundle(tmp_path / "bundle")
    imported = read_bundle(bundle, name="heart")
    write_imported(imported, tmp_path / "m")
    rng = np.random.default_rng(0)
    grid = Grid.regular((20, 52, 40), (4.0, 3.0, 2.0))
    hu = rng.normal(0, 400, grid.shape).astype(np.float32)
    ours = slide(Image(grid, hu), Engine(load_model(tmp_path / "m"), "cpu")).logits
    # LPS (z, y, x) to RAS (x, y, z), the scaling, MONAI's own windows.
    x = torch.from_numpy(np.ascontiguousarray(np.clip((hu[:, ::-1, ::-1].transpose(2, 1, 0) + 500) / 1000, 0, 1)))[None, None]
    with torch.no_grad():
        theirs = SlidingWindowInferer((32, 48, 16), overlap=0.5, mode="gaussian")(x, imported.networks[0].eval())[0].numpy()
    margin = (theirs[1] - theirs[0]).transpose(2, 1, 0)[:, ::-1, ::-1]
    near = np.abs(margin) < 1
    assert near.sum() > 1000
    assert _dice(ours > 0, margin > 0) >= 0.999


def test_what_a_bundle_asks_beyond_what_is_known_is_refused(tmp_path: Path) -> None:
    bundle = _bundle(tmp_path / "bundle")
    path = bundle / "configs" / "inference.json"
    good = json.loads(path.read_text())
    for change, words in (
        ({"pixdim": "$[1] * 3"}, "expression"),
        ({"network_def": {"_target_": "os.system", "command": "true"}}, "not one of MONAI's own"),
        ({"inferer": {}}, "roi_size"),
    ):
        path.write_text(json.dumps(good | change))
        with pytest.raises(ModelError, match=words):
            read_bundle(bundle, name="heart")
    good["preprocessing"]["transforms"].append({"_target_": "HistogramNormalized", "keys": "image"})
    path.write_text(json.dumps(good))
    with pytest.raises(ModelError, match="HistogramNormalized"):
        read_bundle(bundle, name="heart")


def test_an_onnx_file_with_a_manifest_written_by_hand(tmp_path: Path) -> None:
    shipped = load_model().weights
    shutil.copy(shipped, tmp_path / "net.onnx")
    windows = [list(w) for w in load_model().manifest.windows]
    (tmp_path / "m.toml").write_text(f'name = "mine"\nversion = "3"\nspacing_mm = 4.0\npatch = 80\nwindows = {windows}\n')
    arguments = [
        "model",
        "import",
        str(tmp_path / "net.onnx"),
        "--manifest",
        str(tmp_path / "m.toml"),
        "--out",
        str(tmp_path / "m"),
    ]
    run = rtqc(*arguments)
    assert run.status == 0, run.out + run.err
    assert load_model(tmp_path / "m").manifest.version == "3"


@pytest.mark.parametrize(
    ("manifest", "words"),
    [
        ("spacing_mm = [4.0", "not a valid manifest"),
        ('name = "a"\nversion = "1"\nspacing_mm = 4.0\npatch = 80\nwindow = [[-160, 240]]\n', "window"),
        ('name = "a"\nversion = "1"\nspacing_mm = 4.0\npatch = 80\n', "either windows or intensity"),
        ('name = "a"\nversion = "1"\nspacing_mm = 0.0\npatch = 80\nwindows = [[-160, 240]]\n', "positive"),
        ('name = "a"\nversion = "1"\nspacing_mm = 4.0\npatch = 80\nwindows = [[-160, 240]]\n', "does not fit its manifest"),
        ('name = "a"\nversion = "1"\nspacing_mm = 4.0\npatch = 80\nwindows = [[0, 1]]\nsha256 = "00"\n', "SHA-256 differs"),
    ],
)
def test_a_manifest_that_does_not_fit_leaves_nothing(manifest: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "m.toml").write_text(manifest)
    arguments = [
        "model",
        "import",
        str(load_model().weights),
        "--manifest",
        str(tmp_path / "m.toml"),
        "--out",
        str(tmp_path / "m"),
    ]
    run = rtqc(*arguments)
    assert run.status == 2
    assert words in " ".join((run.out + run.err).split())
    assert not (tmp_path / "m").exists()


def test_an_operator_that_the_runtime_does_not_know(tmp_path: Path) -> None:
    import onnx

    model = onnx.load(str(load_model().weights))
    model.graph.node[0].op_type = "HeartFinder"
    onnx.save(model, str(tmp_path / "net.onnx"))
    windows = [list(w) for w in load_model().manifest.windows]
    (tmp_path / "manifest.toml").write_text(
        f'name = "mine"\nversion = "3"\nspacing_mm = 4.0\npatch = 80\nwindows = {windows}\n'
    )
    run = rtqc("model", "import", tmp_path / "net.onnx", "--out", tmp_path / "m")
    assert run.status == 2
    assert "HeartFinder" in (run.out + run.err)
    assert not (tmp_path / "m").exists()


def test_neither_of_them(tmp_path: Path) -> None:
    run = rtqc("model", "import", tmp_path, "--out", tmp_path / "m")
    assert run.status == 2
    assert "neither an nnU-Net" in (run.out + run.err)
