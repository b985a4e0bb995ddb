"""A first measure of a network on patients that it has not seen, on its own voxels, while it still learns."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from rtqc.heart.levels import LEVELS, level_of
from rtqc.heart.looks import largest_piece
from rtqc.training.augment import windowed
from rtqc.training.network import SIZE_MULTIPLE, HeartNet
from rtqc.training.samples import Sample
from rtqc.training.settings import Settings


def outputs_of(net: HeartNet, sample: Sample, settings: Settings, device: str) -> NDArray[np.float32]:
    """Everything that the network says of a whole sample, (outputs, z, y, x)."""
    hu = torch.from_numpy(sample.hu.astype(np.float32))
    padding = [v for n in reversed(hu.shape) for v in (0, -n % SIZE_MULTIPLE)]
    hu = torch.nn.functional.pad(hu, padding, value=-1000.0)
    with torch.no_grad(), torch.autocast(device, dtype=torch.bfloat16, enabled=settings.mixed_precision and device != "cpu"):
        output = net(windowed(hu, settings.windows)[None].to(device))[0].float().cpu().numpy()
    z, y, x = sample.hu.shape
    return np.asarray(output[:, :z, :y, :x], np.float32)


def quick_measure(net: HeartNet, sample: Sample, settings: Settings, device: str) -> dict[str, float]:
    """Dice of the largest piece on the model's voxels, its ends and the levels, minus what was drawn or read, in mm."""
    output = outputs_of(net, sample, settings, device)
    piece, drawn = largest_piece(output[0]), sample.heart > 0.5
    asked = sample.heart >= 0
    overlap = 2 * float((piece & drawn).sum()) / max(float((piece & asked).sum() + drawn.sum()), 1.0)
    result = {"dice": round(overlap, 4)}
    spacing = sample.grid.slice_spacing_mm
    ends = [np.flatnonzero(v.any(axis=(1, 2))) for v in (piece, drawn)]
    if all(e.size for e in ends):
        result |= {"upper_mm": float(ends[0][-1] - ends[1][-1]) * spacing, "lower_mm": float(ends[0][0] - ends[1][0]) * spacing}
    if settings.heights and piece.any():
        columns = np.broadcast_to(piece.any(axis=0), piece.shape)
        for number, name in enumerate(LEVELS):
            level = level_of(output[1 + number], sample.grid, columns)
            read = float(sample.grid.positions_mm[0]) + sample.levels[number] * spacing
            if level is not None and np.isfinite(read):
                result[name] = round(level.z_mm - read, 1)
                result[f"{name}_spread"] = round(level.spread_mm, 1)
    return result
