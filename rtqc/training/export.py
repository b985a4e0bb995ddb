"""A trained network -> a model folder that every command accepts: ONNX, manifest and card."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from rtqc.core.whole_file import whole_file, whole_path
from rtqc.heart.levels import LEVELS
from rtqc.heart.manifest import CARD_FILE, MANIFEST_FILE, WEIGHTS_FILE, Calibration, Manifest, file_hash, load_model
from rtqc.training.calibrate import BAD_DICE
from rtqc.training.network import SIZE_MULTIPLE, HeartNet
from rtqc.training.settings import Settings

#: Largest difference of a logit between ONNX Runtime and torch that is taken as the same network.
MAX_LOGIT_DIFFERENCE = 1e-3


def export_model(
    net: HeartNet,
    settings: Settings,
    folder: Path,
    *,
    training_data: tuple[str, ...],
    attribution: str,
    licence: str,
    created: str,
    card: str,
    calibration: Calibration | None = None,
    trusted_dice: float = BAD_DICE,
) -> Manifest:
    """Write ``model.onnx``, ``manifest.toml`` and ``MODEL_CARD.md``, and check that ONNX computes the same.

    Args:
        net: with averaged weights.
        settings: what it was trained with.
        folder: made where absent.
        training_data, attribution, licence, created: stand in the manifest.
        card: text of the model card.
        calibration: of the predicted Dice, where there is one.
        trusted_dice: predicted Dice under which a draft is not trusted.

    Raises:
        ValueError: ONNX Runtime and torch disagree.
    """
    folder.mkdir(parents=True, exist_ok=True)
    weights = folder / WEIGHTS_FILE
    example = torch.zeros(1, len(settings.windows), *(SIZE_MULTIPLE * 2,) * 3)
    axes = {2: "slices", 3: "rows", 4: "columns"}
    with whole_path(weights, weights.suffix) as part:
        torch.onnx.export(
            net.eval(), (example,), str(part), input_names=["hu_windows"], output_names=["logit"], opset_version=17,
            dynamic_axes={"hu_windows": axes, "logit": axes}, dynamo=False,
        )  # fmt: skip
    manifest = Manifest(
        name=settings.name,
        version="1",
        spacing_mm=settings.spacing_mm,
        size_multiple=SIZE_MULTIPLE,
        patch=settings.patch,
        windows=settings.windows,
        level_channels={name: 1 + number for number, name in enumerate(LEVELS)} if settings.heights else {},
        sha256=file_hash(weights),
        training_data=training_data,
        attribution=attribution,
        licence=licence,
        created=created,
        calibration=calibration,
        trusted_dice=trusted_dice,
    )
    for name, text in ((MANIFEST_FILE, manifest.toml()), (CARD_FILE, card)):
        with whole_file(folder / name) as file:
            file.write(text.encode("utf-8"))
    check_export(net, folder)
    return manifest


def check_export(net: HeartNet, folder: Path) -> float:
    """Largest difference of a channel between torch and the exported file.

    Raises:
        ValueError: it is above :data:`MAX_LOGIT_DIFFERENCE`.
    """
    from rtqc.heart.engine import Engine
    from rtqc.heart.intensity import scaled

    hu = np.random.default_rng(0).normal(0, 300, (SIZE_MULTIPLE * 2, SIZE_MULTIPLE * 3, SIZE_MULTIPLE * 2)).astype(np.float32)
    engine = Engine(load_model(folder), "cpu")
    windows = scaled(hu, engine.manifest)
    with torch.no_grad():
        expected = net.eval()(torch.from_numpy(windows[None]))[0].numpy()
    difference = float(np.abs(engine.outputs(hu) - expected).max())
    if difference > MAX_LOGIT_DIFFERENCE:
        raise ValueError(f"ONNX Runtime and torch disagree by {difference:.2g} in a logit (limit {MAX_LOGIT_DIFFERENCE:g})")
    return difference
