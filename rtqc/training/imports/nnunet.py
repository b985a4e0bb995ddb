"""nnU-Net v2 result folders, TotalSegmentator's among them.

After nnU-Net v2's ``PlansManager`` and ``nnUNetPredictor`` (Apache-2.0); nnunetv2 itself is not needed, its architectures'
package ``dynamic_network_architectures`` is.
"""

from __future__ import annotations

import json
import math
import pydoc
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from rtqc.heart.manifest import ModelError
from rtqc.training.imports.export import Imported, heart_labels, load_weights

_CHECKPOINTS = ("checkpoint_final.pth", "checkpoint_best.pth")
_ARCHITECTURES = "dynamic_network_architectures."
_OLD_CLASSES = {
    "PlainConvUNet": ("dynamic_network_architectures.architectures.unet.PlainConvUNet", "n_conv_per_stage"),
    "ResidualEncoderUNet": (
        "dynamic_network_architectures.architectures.residual_unet.ResidualEncoderUNet",
        "n_blocks_per_stage",
    ),
}
_TOTAL_SEGMENTATOR = (
    "TotalSegmentator (Wasserthal et al., Radiol Artif Intell 2023): weights of the open tasks, 'total' among them, Apache-2.0; "
    "some subtasks, heart chambers in high resolution among them, need a licence of their own"
)


def find_results(source: Path) -> list[Path]:
    """Result folders at or below a folder: those with ``plans.json``, ``dataset.json`` and folds."""
    candidates = [p.parent for p in sorted(source.rglob("plans.json"))]
    return [c for c in candidates if (c / "dataset.json").is_file() and any(c.glob("fold_*"))]


def read_results(
    folder: Path,
    *,
    name: str,
    labels: Sequence[str] = (),
    folds: Sequence[str] = (),
    mirroring: bool = True,
    axes: str | None = None,
    licence: str = "",
    trust: bool = False,
) -> Imported:
    """Read a result folder (``Dataset…/trainer__plans__configuration``).

    Args:
        folder: one of :func:`find_results`.
        name: of the model.
        labels: that are heart; by default found by name.
        folds: ``0``, ``1`` … ``all``; by default every one that is there.
        mirroring: whether patches are mirrored as in training, as nnU-Net's predictor does; up to eight times slower.
        axes: where columns, rows and slices of the training images ran to; by default RAS for TotalSegmentator, else LPS, which
            is what images converted from axial DICOM have.
        licence: of the weights.
        trust: see :func:`load_weights`.

    Raises:
        ModelError: something is missing, unknown or does not fit; the message names it.
    """
    plans, dataset = _json(folder / "plans.json"), _json(folder / "dataset.json")
    checkpoints = _checkpoints(folder, folds)
    contents = [load_weights(path, trust) for path in checkpoints]
    try:
        configuration_name = contents[0]["init_args"]["configuration"]
        configuration = _configuration(plans, configuration_name)
        heads, manifest = _labels(dataset, tuple(labels))
        networks = [_network(configuration, heads, c["network_weights"], p) for c, p in zip(contents, checkpoints, strict=True)]
        manifest |= _geometry(plans, configuration) | _intensity(plans, configuration)
    except KeyError as error:
        raise ModelError(
            f"{folder} is not a complete nnU-Net v2 result: {error} is missing in plans, dataset or checkpoint"
        ) from error
    channels = dataset.get("channel_names") or dataset.get("modality") or {}
    if len(channels) != 1:
        raise ModelError(f"{folder / 'dataset.json'} has {len(channels)} input channels: a model for CT alone has one")
    mirror = contents[0].get("inference_allowed_mirroring_axes")
    dataset_name = str(plans.get("dataset_name", folder.parent.name))
    total = "totalsegmentator" in dataset_name.lower() or "totalsegmentator" in str(folder).lower()
    manifest |= {
        "name": name,
        "version": "1",
        "axes": axes or ("RAS" if total else "LPS"),
        "mirror_axes": tuple(mirror) if mirroring and mirror else (),
        "training_data": (dataset_name,),
        "attribution": "nnU-Net v2: Isensee et al., Nat Methods 18, 203 (2021).",
        "licence": licence or (_TOTAL_SEGMENTATOR if total else ""),
    }
    used = ", ".join(p.parent.name for p in checkpoints)
    notes = [
        f"nnU-Net v2, {dataset_name}, {contents[0].get('trainer_name', 'unknown trainer')}, configuration {configuration_name}, {used}.",
        f"Heart is: {', '.join(manifest['structure_labels'])}.",
        *(() if checkpoints[0].name == _CHECKPOINTS[0] else ("The final checkpoint is not there; the best one was taken.",)),
    ]
    if len(manifest.pop("structure_labels")) > 1:
        notes.append(
            "The union of chambers and muscle is less than the pericardial outline that is contoured as Heart (TG-263)."
        )
    resampling = configuration.get("resampling_fn_data", "resample_data_or_seg_to_shape")
    if resampling != "resample_data_or_seg_to_shape":
        notes.append(f"It was trained with {resampling}; rtqc resamples with splines, as nnU-Net does by default.")
    return Imported(tuple(networks), manifest, tuple(notes))


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise ModelError(f"{path} is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise ModelError(f"{path} is not what nnU-Net writes there")
    return content


def _checkpoints(folder: Path, folds: Sequence[str]) -> list[Path]:
    wanted = [folder / f"fold_{f}" for f in folds] or sorted(p for p in folder.glob("fold_*") if p.is_dir())
    found = []
    for fold in wanted:
        present = [fold / c for c in _CHECKPOINTS if (fold / c).is_file()]
        if present:
            found.append(present[0])
        elif folds:
            raise ModelError(f"{fold} has no {' or '.join(_CHECKPOINTS)}")
    if not found:
        raise ModelError(f"{folder} has no fold with {' or '.join(_CHECKPOINTS)}: its training has not ended")
    return found


def _configuration(plans: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A configuration with what it inherits."""
    configurations = plans["configurations"]
    chain = [name]
    while parent := configurations[chain[-1]].get("inherits_from"):
        if parent in chain:
            raise ModelError(f"the plans' configuration {name} inherits from itself")
        chain.append(parent)
    merged: dict[str, Any] = {}
    for part in reversed(chain):
        merged |= configurations[part]
    if merged.get("previous_stage"):
        raise ModelError(
            f"configuration {name} is the second stage of a cascade, which needs the first one's result: import the first or 3d_fullres"
        )
    if len(merged["patch_size"]) != 3:
        raise ModelError(f"configuration {name} works on single slices: import a 3d configuration")
    return merged


def _labels(dataset: Mapping[str, Any], wanted: tuple[str, ...]) -> tuple[int, dict[str, Any]]:
    """Number of output channels, and what is heart among them."""
    labels: dict[str, Any] = {n: v for n, v in dataset["labels"].items() if n not in ("background", "ignore")}
    chosen = heart_labels(labels, wanted)
    regions = any(isinstance(v, list | tuple) and len(v) > 1 for v in labels.values())
    if regions:
        order = list(labels)
        channels = tuple(order.index(n) for n in chosen)
        return len(order), {"output": "sigmoid", "channels": channels, "structure_labels": chosen}
    channels = tuple(int(labels[n]) for n in chosen)
    return len(labels) + 1, {"output": "classes", "channels": channels, "structure_labels": chosen}


def _geometry(plans: Mapping[str, Any], configuration: Mapping[str, Any]) -> dict[str, Any]:
    resampling = configuration.get("resampling_fn_data_kwargs", {})
    strides = _architecture(configuration)["arch_kwargs"]["strides"]
    per_axis = [math.prod(stage[axis] if isinstance(stage, list | tuple) else stage for stage in strides) for axis in range(3)]
    return {
        "inference": "sliding_window",
        "spacing_mm": tuple(float(s) for s in configuration["spacing"]),
        "patch": tuple(int(n) for n in configuration["patch_size"]),
        "size_multiple": math.lcm(*per_axis),
        "transpose": tuple(int(a) for a in plans.get("transpose_forward", (0, 1, 2))),
        "crop_nonzero": True,
        "order": int(resampling.get("order", 3)),
        "order_slices": int(resampling.get("order_z", 0)),
        "separate_slices": resampling.get("force_separate_z"),
    }


def _intensity(plans: Mapping[str, Any], configuration: Mapping[str, Any]) -> dict[str, Any]:
    scheme = configuration["normalization_schemes"][0]
    if scheme == "CTNormalization":
        p = plans["foreground_intensity_properties_per_channel"]["0"]
        steps = [
            {"step": "clip", "low": p["percentile_00_5"], "high": p["percentile_99_5"]},
            {"step": "standardize", "mean": p["mean"], "deviation": max(p["std"], 1e-8)},
        ]
    elif scheme == "ZScoreNormalization":
        steps = [{"step": "zscore", "nonzero": bool(configuration.get("use_mask_for_norm", [False])[0])}]
    elif scheme == "RescaleTo01Normalization":
        steps = [{"step": "minmax", "to_low": 0.0, "to_high": 1.0}]
    elif scheme == "NoNormalization":
        steps = [{"step": "standardize"}]
    else:
        raise ModelError(
            f"the plans' normalization {scheme} is not known to rtqc: export the network to ONNX and write a manifest by hand"
        )
    return {"intensity": steps}


def _architecture(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """Class and arguments of the network, also from plans written before nnU-Net 2.4."""
    if "architecture" in configuration:
        return dict(configuration["architecture"])
    c = configuration
    if c["UNet_class_name"] not in _OLD_CLASSES:
        raise ModelError(f"the plans' network {c['UNet_class_name']} is not known to rtqc: it knows {', '.join(_OLD_CLASSES)}")
    class_name, depth = _OLD_CLASSES[c["UNet_class_name"]]
    stages = len(c["n_conv_per_stage_encoder"])
    return {
        "network_class_name": class_name,
        "arch_kwargs": {
            "n_stages": stages,
            "features_per_stage": [min(c["UNet_base_num_features"] * 2**i, c["unet_max_num_features"]) for i in range(stages)],
            "conv_op": "torch.nn.modules.conv.Conv3d",
            "kernel_sizes": c["conv_kernel_sizes"],
            "strides": c["pool_op_kernel_sizes"],
            depth: c["n_conv_per_stage_encoder"],
            "n_conv_per_stage_decoder": c["n_conv_per_stage_decoder"],
            "conv_bias": True,
            "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
            "norm_op_kwargs": {"eps": 1e-05, "affine": True},
            "dropout_op": None,
            "dropout_op_kwargs": None,
            "nonlin": "torch.nn.LeakyReLU",
            "nonlin_kwargs": {"inplace": True},
        },
        "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
    }


def _network(configuration: Mapping[str, Any], heads: int, weights: Mapping[str, Any], path: Path) -> nn.Module:
    architecture = _architecture(configuration)
    class_name = str(architecture["network_class_name"])
    if not class_name.startswith(_ARCHITECTURES):
        raise ModelError(
            f"the plans' network {class_name} is not one of nnU-Net's own ({_ARCHITECTURES}*): export it to ONNX and write a manifest by hand"
        )
    arguments = dict(architecture["arch_kwargs"])
    for key in architecture.get("_kw_requires_import", ()):
        text = arguments.get(key)
        if text is not None:
            if not str(text).startswith("torch.nn."):
                raise ModelError(f"the plans ask for {text} as {key}, which is not part of torch.nn")
            arguments[key] = pydoc.locate(str(text))
    try:
        network_class: Any = pydoc.locate(class_name)
    except pydoc.ErrorDuringImport as error:
        raise ModelError(f"{class_name} cannot be imported: {error.value}") from error
    if network_class is None:
        raise ModelError(f"nnU-Net's network {class_name} is not installed: pip install dynamic-network-architectures")
    network: nn.Module = network_class(input_channels=1, num_classes=heads, deep_supervision=False, **arguments)
    bare = {key.removeprefix("module.").removeprefix("_orig_mod."): value for key, value in weights.items()}
    try:
        network.load_state_dict(bare)
    except RuntimeError as error:
        raise ModelError(
            f"the weights of {path} do not fit the plans' network: {' '.join(str(error).split())[:300]}"
        ) from error
    return network
