"""Heights above levels of the chest, as a network learns them beside the heart."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from rtqc.heart.levels import HEIGHT_SCALE_MM


def heights(slices: torch.Tensor, levels: torch.Tensor, spacing_mm: float) -> torch.Tensor:
    """Targets of the height channels.

    Args:
        slices: (batch, z, y, x), slice index of the sample that each voxel comes from.
        levels: (batch, levels), slice index of each level; NaN where nobody has read it.
        spacing_mm: of the sample's slices.

    Returns:
        (batch, levels, z, y, x), -1 to 1; NaN where the level is not known.
    """
    above = (slices[:, None] - levels[:, :, None, None, None]) * (spacing_mm / HEIGHT_SCALE_MM)
    return above.clamp(-1, 1)


def height_loss(predicted: torch.Tensor, target: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
    """Mean absolute error, rounded off near 0, where a level is known and the image shows something.

    Args:
        predicted, target: (batch, levels, z, y, x); the target is NaN where it is not known.
        seen: (batch, 1, z, y, x), whether the image shows something.
    """
    known = torch.isfinite(target) & seen
    error = F.smooth_l1_loss(predicted, torch.where(known, target, predicted.detach()), reduction="none", beta=0.1)
    return error.sum() / known.sum().clamp(min=1)
