"""A small nnU-Net v2 result folder, trained here for a minute, for the tests of importing and evaluating models."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from dynamic_network_architectures.architectures.unet import PlainConvUNet
from numpy.typing import NDArray

from rtqc.core import Image, Mask
from rtqc.geometry import rasterize
from rtqc.phantom import SyntheticPlan

LABELS = {"background": 0, "lung": 1, "heart": 2}
INTENSITY = {"mean": -150.0, "std": 320.0, "percentile_00_5": -950.0, "percentile_99_5": 500.0}
ARCHITECTURE = {
    "n_stages": 3,
    "features_per_stage": [8, 16, 32],
    "conv_op": "torch.nn.modules.conv.Conv3d",
    "kernel_sizes": [[3, 3, 3]] * 3,
    "strides": [[1, 1, 1], [2, 2, 2], [2, 2, 2]],
    "n_conv_per_stage": [1, 1, 1],
    "n_conv_per_stage_decoder": [1, 1],
    "conv_bias": True,
    "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
    "norm_op_kwargs": {"eps": 1e-05, "affine": True},
    "dropout_op": None,
    "dropout_op_kwargs": None,
    "nonlin": "torch.nn.LeakyReLU",
    "nonlin_kwargs": {"inplace": True},
}


def network() -> PlainConvUNet:
    return PlainConvUNet(
        1, n_stages=3, features_per_stage=[8, 16, 32], conv_op=torch.nn.Conv3d, kernel_sizes=3, strides=[1, 2, 2], n_conv_per_stage=1,
        num_classes=3, n_conv_per_stage_decoder=1, conv_bias=True, norm_op=torch.nn.InstanceNorm3d,
        norm_op_kwargs={"eps": 1e-5, "affine": True}, nonlin=torch.nn.LeakyReLU, nonlin_kwargs={"inplace": True}, deep_supervision=False,
    )  # fmt: skip


def trained(
    plan: SyntheticPlan, iterations: int = 160, seed: int = 0, start: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Weights of a network that knows heart and lung of one synthetic patient; ``start``: of one that already does."""
    image = plan.study.image
    heart = rasterize(plan.structures["Heart"], image.grid)
    step = (1, 3, 3)
    hu, labels = _coarse(image, heart, step)
    x = torch.from_numpy((np.clip(hu, -950, 500) + 150) / 320).float()
    y = torch.from_numpy(labels).long()
    torch.manual_seed(seed)
    net = network()
    if start is not None:
        net.load_state_dict(start)
    optimizer = torch.optim.Adam(net.parameters(), 3e-3)
    rng = np.random.default_rng(seed)
    for _ in range(iterations):
        window = tuple(slice(s, s + 32) for s in (int(rng.integers(max(n - 32, 0) + 1)) for n in x.shape))
        flip = [axis for axis in range(3) if rng.random() < 0.5]
        part, truth = x[window].flip(flip), y[window].flip(flip)
        loss = F.cross_entropy(net(part[None, None]), truth[None], torch.tensor([1.0, 1.0, 3.0]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return {name: values.clone() for name, values in net.state_dict().items()}


def _coarse(image: Image, heart: Mask, step: Sequence[int]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    part = tuple(slice(None, None, s) for s in step)
    hu = image.hu[part]
    return hu, np.where(heart.array[part], 2, np.where((hu < -500) & (hu > -950), 1, 0))


def write_results(
    folder: Path,
    weights: Sequence[dict[str, Any]],
    spacing: Sequence[float],
    *,
    patch: Sequence[int] = (32, 32, 32),
    mirror: Sequence[int] | None = None,
    transpose: Sequence[int] = (0, 1, 2),
    old_plans: bool = False,
) -> Path:
    """The folder as nnU-Net v2 leaves it."""
    result = folder / "Dataset900_Chest" / "nnUNetTrainer__nnUNetPlans__3d_fullres"
    configuration: dict[str, Any] = {
        "data_identifier": "nnUNetPlans_3d_fullres",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 2,
        "patch_size": list(patch),
        "spacing": list(spacing),
        "normalization_schemes": ["CTNormalization"],
        "use_mask_for_norm": [False],
        "resampling_fn_data": "resample_data_or_seg_to_shape",
        "resampling_fn_seg": "resample_data_or_seg_to_shape",
        "resampling_fn_data_kwargs": {"is_seg": False, "order": 3, "order_z": 0, "force_separate_z": None},
        "resampling_fn_seg_kwargs": {"is_seg": True, "order": 1, "order_z": 0, "force_separate_z": None},
        "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
        "resampling_fn_probabilities_kwargs": {"is_seg": False, "order": 1, "order_z": 0, "force_separate_z": None},
    }
    if old_plans:
        configuration |= {
            "UNet_class_name": "PlainConvUNet",
            "UNet_base_num_features": 8,
            "unet_max_num_features": 32,
            "n_conv_per_stage_encoder": [1, 1, 1],
            "n_conv_per_stage_decoder": [1, 1],
            "num_pool_per_axis": [2, 2, 2],
            "pool_op_kernel_sizes": ARCHITECTURE["strides"],
            "conv_kernel_sizes": ARCHITECTURE["kernel_sizes"],
        }
    else:
        configuration["architecture"] = {
            "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
            "arch_kwargs": ARCHITECTURE,
            "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
        }
    plans = {
        "dataset_name": "Dataset900_Chest",
        "plans_name": "nnUNetPlans",
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": list(transpose),
        "transpose_backward": [int(a) for a in np.argsort(transpose)],
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {"0": INTENSITY},
        "configurations": {"3d_fullres": configuration},
    }
    dataset = {"channel_names": {"0": "CT"}, "labels": LABELS, "numTraining": 1, "file_ending": ".nii.gz"}
    result.mkdir(parents=True)
    (result / "plans.json").write_text(json.dumps(plans))
    (result / "dataset.json").write_text(json.dumps(dataset))
    for number, state in enumerate(weights):
        fold = result / f"fold_{number}"
        fold.mkdir()
        content = {
            "network_weights": state,
            "optimizer_state": None,
            "logging": {"ema_fg_dice": [np.float64(0.5), np.float32(0.6)]},
            "_best_ema": np.float64(0.5),
            "current_epoch": 1,
            "init_args": {"configuration": "3d_fullres", "plans": plans, "fold": number, "dataset_json": dataset},
            "trainer_name": "nnUNetTrainer",
            "inference_allowed_mirroring_axes": tuple(mirror) if mirror else None,
        }
        torch.save(content, fold / "checkpoint_final.pth")
    return result
