"""Few patients made many: space, scanner and field of view change, the anatomy's meaning does not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from rtqc.training.samples import Sample


@dataclass(frozen=True)
class Augmentation:
    """How strongly a sample is varied; standard deviations and probabilities.

    Attributes:
        rotation_deg: about each axis.
        scale: relative, all axes together and each by half of it.
        shift_mm: of the crop's centre.
        elastic_mm: of a smooth displacement field of 60 mm grain.
        contrast_probability: that the blood is made brighter.
        cut_probability: that part of the field of view is missing.
        noise_hu: upper bound.
        blur_mm: upper bound.
        thick_probability: that the image is made of thick slices.
    """

    rotation_deg: float = 8.0
    scale: float = 0.12
    shift_mm: float = 24.0
    elastic_mm: float = 5.0
    contrast_probability: float = 0.3
    cut_probability: float = 0.3
    noise_hu: float = 25.0
    blur_mm: float = 4.0
    thick_probability: float = 0.25


def windowed(hu: torch.Tensor, windows: Sequence[tuple[float, float]]) -> torch.Tensor:
    """(…, z, y, x) HU to (windows, z, y, x), each window scaled to -1..1 and clipped."""
    return torch.stack([((hu - low) / (high - low) * 2 - 1).clamp(-1, 1) for low, high in windows])


def augmented(
    sample: Sample, patch: int, spacing_mm: float, options: Augmentation, rng: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """A varied crop around the heart.

    Returns:
        HU (z, y, x) and heart share (z, y, x), both of ``patch`` voxels a side.
    """
    hu = torch.from_numpy(sample.hu.astype(np.float32))
    heart = torch.from_numpy(sample.heart.astype(np.float32))
    if rng.random() < options.contrast_probability:
        hu = _contrast(hu, heart, rng)
    grid = _sampling_grid(sample, patch, spacing_mm, options, rng)
    both = torch.stack([hu + 1000.0, heart])[None]
    moved = F.grid_sample(both, grid, mode="bilinear", padding_mode="zeros", align_corners=True)[0]
    hu, heart = moved[0] - 1000.0, moved[1]
    if rng.random() < options.cut_probability:
        hu = _cut_field(hu, rng)
    return _scanner(hu, spacing_mm, options, rng), heart


def _sampling_grid(
    sample: Sample, patch: int, spacing_mm: float, options: Augmentation, rng: np.random.Generator
) -> torch.Tensor:
    angles = np.radians(rng.normal(0, options.rotation_deg, 3))
    scales = np.exp(rng.normal(0, options.scale) + rng.normal(0, options.scale / 2, 3))
    (ca, sa), (cb, sb), (cg, sg) = ((math.cos(v), math.sin(v)) for v in angles)
    turn = (
        np.array([[1, 0, 0], [0, ca, -sa], [0, sa, ca]])
        @ np.array([[cb, 0, sb], [0, 1, 0], [-sb, 0, cb]])
        @ np.array([[cg, -sg, 0], [sg, cg, 0], [0, 0, 1]])
    )
    matrix = turn @ np.diag(scales)
    where = np.argwhere(sample.heart > 0.5)
    middle = where.mean(axis=0) if where.size else np.array(sample.heart.shape) / 2
    middle = middle + rng.normal(0, options.shift_mm / spacing_mm, 3)
    line = torch.arange(patch, dtype=torch.float32) - (patch - 1) / 2
    z, y, x = torch.meshgrid(line, line, line, indexing="ij")
    offsets = torch.stack([z, y, x], dim=-1) @ torch.from_numpy(matrix.T.astype(np.float32))
    grain = max(int(patch * spacing_mm / 60.0), 2)
    bumps = torch.from_numpy(rng.normal(0, options.elastic_mm / spacing_mm, (1, 3, grain, grain, grain)).astype(np.float32))
    offsets = offsets + F.interpolate(bumps, size=(patch,) * 3, mode="trilinear", align_corners=True)[0].permute(1, 2, 3, 0)
    position = offsets + torch.from_numpy(middle.astype(np.float32))
    size = torch.tensor(sample.heart.shape, dtype=torch.float32) - 1
    return (position / size * 2 - 1).flip(-1)[None]


def _contrast(hu: torch.Tensor, heart: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Blood pool or whole heart brighter or darker, sometimes the soft tissue around it too."""
    depth = F.avg_pool3d(heart[None, None], 5, 1, 2)[0, 0] if rng.random() < 0.5 else heart
    added = float(rng.uniform(-25, 200)) * depth.clamp(0, 1) ** (2 if rng.random() < 0.5 else 1)
    soft = ((hu > 0) & (hu < 120)).float() * float(rng.uniform(-10, 60) if rng.random() < 0.4 else 0)
    return hu + added + soft


def _cut_field(hu: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """The image ends early on some sides, or is a cylinder."""
    hu = hu.clone()
    n = hu.shape[0]
    for axis in range(3):
        for side in (0, 1):
            if rng.random() < 0.35:
                width = int(rng.integers(1, max(n // 4, 2)))
                hu.narrow(axis, 0 if side == 0 else n - width, width).fill_(-1000.0)
    if rng.random() < 0.3:
        line = torch.arange(n, dtype=torch.float32) - n / 2
        radius = n * float(rng.uniform(0.33, 0.5))
        outside = line[:, None] ** 2 + line[None, :] ** 2 > radius**2
        hu[:, outside] = -1000.0
    return hu


def _scanner(hu: torch.Tensor, spacing_mm: float, options: Augmentation, rng: np.random.Generator) -> torch.Tensor:
    if rng.random() < options.thick_probability:
        factor = int(rng.integers(2, 4))
        thick = F.avg_pool3d(hu[None, None], (factor, 1, 1), ceil_mode=True)
        hu = F.interpolate(thick, size=tuple(hu.shape), mode="trilinear")[0, 0]
    if rng.random() < 0.3:
        hu = _blurred(hu, float(rng.uniform(0.2, options.blur_mm)) / spacing_mm)
    hu = hu * float(rng.normal(1, 0.04)) + float(rng.normal(0, 12))
    if rng.random() < 0.7:
        noise = torch.from_numpy(rng.standard_normal(tuple(hu.shape), dtype=np.float32))
        hu = hu + float(rng.uniform(0, options.noise_hu)) * noise
    return hu


def _blurred(hu: torch.Tensor, sigma: float) -> torch.Tensor:
    line = torch.arange(-3, 4, dtype=torch.float32)
    kernel = torch.exp(-0.5 * (line / max(sigma, 0.1)) ** 2)
    kernel = kernel / kernel.sum()
    field = F.pad(hu[None, None], (3,) * 6, mode="replicate")
    for axis in range(3):
        shape = [1, 1, 1, 1, 1]
        shape[2 + axis] = 7
        field = F.conv3d(field, kernel.reshape(shape))
    return field[0, 0]
