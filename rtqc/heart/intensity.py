"""HU -> what a network takes in."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rtqc.heart.manifest import Manifest, Step

Volume = NDArray[np.float32]


def scaled(hu: Volume, manifest: Manifest) -> Volume:
    """The channels of a model's input.

    Args:
        hu: (slices, rows, columns), in HU.

    Returns:
        float32, (channels, slices, rows, columns).
    """
    if manifest.windows:
        return np.stack([np.clip((hu - low) / (high - low) * 2 - 1, -1, 1) for low, high in manifest.windows]).astype(
            np.float32
        )
    values = np.array(hu, np.float32)
    for step in manifest.intensity:
        values = _applied(values, step)
    return values[None]


def _applied(values: Volume, step: Step) -> Volume:
    match step.step:
        case "clip":
            result = np.clip(values, step.low, step.high)
        case "window":
            share = (np.clip(values, step.low, step.high) - step.low) / (step.high - step.low)
            result = step.to_low + share * (step.to_high - step.to_low)
        case "standardize":
            result = (values - step.mean) / step.deviation
        case "zscore":
            inside = values != 0 if step.nonzero else np.ones(values.shape, bool)
            result = values.copy()
            result[inside] = (values[inside] - values[inside].mean()) / max(float(values[inside].std()), 1e-8)
        case "minmax":
            share = (values - values.min()) / max(float(np.ptp(values)), 1e-8)
            result = step.to_low + share * (step.to_high - step.to_low)
    return np.asarray(result, np.float32)
