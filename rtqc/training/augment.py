"""Few patients made many: space, scanner and field of view change, the anatomy's meaning does not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from rtqc.training.disturb import Disturbances, disturbed
from rtqc.training.samples import UNKNOWN, UNSEEN, Sample


@dataclass(frozen=True)
class Augmentation:
    """How strongly a sample is varied; standard deviations and probabilities.

    Attributes:
        rotation_deg: about each axis.
        scale: relative, all axes together and each by half of it.
        shift_mm: of the crop's centre.
        elsewhere_probability: that the crop is centred anywhere in the patient: what no heart looks like.
        elastic_mm: of a smooth displacement field of 60 mm grain; a third of it again with half the grain.
        heart_scale, heart_shift_mm: of the heart and its neighbourhood within the thorax, which stays.
        contrast_probability: that the blood is made brighter.
        liver_probability, liver_hu: that what lies beside and below the heart is made brighter or darker: where heart and
            liver touch, the outline is a step of -10 to 30 HU (anaemia and steatosis shift either).
        cut_probability: that part of the field of view is missing.
        noise_hu: upper bound; little noise is more frequent than much.
        blur_mm: upper bound.
        thick_probability: that the image is made of thick slices.
        effusion_probability: that fluid stands in the back of the lungs.
        streak_probability: that metal in or near the heart throws streaks.
        slab_probability: that slices are 5 to 10 mm thick, whatever their distance.
        quantised_probability: that the grey values come in steps of up to 16 HU.
        steps_probability: that breathing moved the patient between groups of slices, by up to ``steps_mm``.
        disturbances: see :class:`~rtqc.training.disturb.Disturbances`.
    """

    rotation_deg: float = 8.0
    scale: float = 0.12
    shift_mm: float = 24.0
    elsewhere_probability: float = 0.08
    elastic_mm: float = 5.0
    heart_scale: float = 0.07
    heart_shift_mm: float = 5.0
    contrast_probability: float = 0.3
    liver_probability: float = 0.6
    liver_hu: float = 22.0
    cut_probability: float = 0.3
    noise_hu: float = 40.0
    blur_mm: float = 4.0
    thick_probability: float = 0.25
    effusion_probability: float = 0.08
    streak_probability: float = 0.08
    slab_probability: float = 0.0
    quantised_probability: float = 0.0
    steps_probability: float = 0.0
    steps_mm: float = 5.0
    disturbances: Disturbances = field(default_factory=Disturbances)


@dataclass(frozen=True, eq=False)
class Crop:
    """A varied crop around the heart; (z, y, x), ``patch`` voxels a side.

    Attributes:
        hu: in HU.
        heart: share of each voxel that is heart; :data:`UNSEEN` where the field of view does not reach, :data:`UNKNOWN` where
            nobody knows.
        height: slice index of the sample that each voxel comes from, with fractions.
    """

    hu: torch.Tensor
    heart: torch.Tensor
    height: torch.Tensor


def windowed(hu: torch.Tensor, windows: Sequence[tuple[float, float]]) -> torch.Tensor:
    """(…, z, y, x) HU to (windows, z, y, x), each window scaled to -1..1 and clipped."""
    return torch.stack([((hu - low) / (high - low) * 2 - 1).clamp(-1, 1) for low, high in windows])


def augmented(
    sample: Sample, patch: int, spacing_mm: float, options: Augmentation, rng: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """HU and heart share of :func:`varied`."""
    crop = varied(sample, patch, spacing_mm, options, rng)
    return crop.hu, crop.heart


def varied(sample: Sample, patch: int, spacing_mm: float, options: Augmentation, rng: np.random.Generator) -> Crop:
    """A varied crop around the heart."""
    hu = torch.from_numpy(sample.hu.astype(np.float32))
    known = torch.from_numpy(sample.heart.astype(np.float32))
    heart = known.clamp(min=0)
    if rng.random() < options.contrast_probability:
        hu = _contrast(hu, heart, rng)
    if rng.random() < options.liver_probability:
        hu = _liver(hu, heart, sample, float(rng.normal(8, options.liver_hu)))
    if rng.random() < options.effusion_probability:
        hu = _effusion(hu, sample, rng)
    if rng.random() < options.streak_probability:
        hu = _streaks(hu, sample, rng)
    hu = disturbed(hu, heart, sample, options.disturbances, rng)
    grid = _sampling_grid(sample, patch, spacing_mm, options, rng)
    channels = [hu + 1000.0, heart]
    if bool((known < 0).any()):
        channels.append((known < 0).float())
    moved = F.grid_sample(torch.stack(channels)[None], grid, mode="bilinear", padding_mode="zeros", align_corners=True)[0]
    hu, heart = moved[0] - 1000.0, moved[1]
    seen = (grid[0].abs() <= 1).all(dim=-1)
    if rng.random() < options.cut_probability:
        seen &= _cut_field(seen.shape[0], rng)
    hu = torch.where(seen, hu, torch.full_like(hu, -1000.0))
    if len(channels) > 2:
        heart = torch.where(moved[2] < 0.05, heart, torch.full_like(heart, UNKNOWN))
    height = (grid[0, ..., 2] + 1) / 2 * (sample.heart.shape[0] - 1)
    return Crop(_scanner(hu, spacing_mm, options, rng), torch.where(seen, heart, torch.full_like(heart, UNSEEN)), height)


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
    heart = sample.middle
    middle = heart + rng.normal(0, options.shift_mm / spacing_mm, 3)
    if rng.random() < options.elsewhere_probability:
        middle = rng.uniform(0, 1, 3) * sample.heart.shape
    line = torch.arange(patch, dtype=torch.float32) - (patch - 1) / 2
    z, y, x = torch.meshgrid(line, line, line, indexing="ij")
    offsets = torch.stack([z, y, x], dim=-1) @ torch.from_numpy(matrix.T.astype(np.float32))
    for grain_mm, strength in ((60.0, 1.0), (30.0, 1 / 3)):
        offsets = offsets + _bumps(patch, spacing_mm, grain_mm, strength * options.elastic_mm, rng)
    if options.steps_probability and rng.random() < options.steps_probability:
        offsets = offsets + _steps(patch, options.steps_mm / spacing_mm, rng)[:, None, None]
    position = offsets + torch.from_numpy(middle.astype(np.float32))
    position = position + _heart_moved(position, heart, spacing_mm, options, rng)
    size = torch.tensor(sample.heart.shape, dtype=torch.float32) - 1
    return (position / size * 2 - 1).flip(-1)[None]


def _steps(patch: int, most: float, rng: np.random.Generator) -> torch.Tensor:
    """Displacement (z, 3) in voxels that jumps every few slices, as where couch positions were scanned in different breaths."""
    group = int(rng.integers(2, 9))
    jumps = rng.normal(0, most / 2, (patch // group + 1, 3)) * (1.0, 0.6, 0.4)
    return torch.from_numpy(np.repeat(jumps, group, axis=0)[:patch].astype(np.float32))


def _bumps(patch: int, spacing_mm: float, grain_mm: float, sigma_mm: float, rng: np.random.Generator) -> torch.Tensor:
    """A smooth displacement (z, y, x, 3) in voxels."""
    grain = max(int(patch * spacing_mm / grain_mm), 2)
    bumps = torch.from_numpy(rng.normal(0, sigma_mm / spacing_mm, (1, 3, grain, grain, grain)).astype(np.float32))
    return F.interpolate(bumps, size=(patch,) * 3, mode="trilinear", align_corners=True)[0].permute(1, 2, 3, 0)


def _heart_moved(
    position: torch.Tensor, heart: NDArray[np.float64], spacing_mm: float, options: Augmentation, rng: np.random.Generator
) -> torch.Tensor:
    """Another heart in the same thorax: scaled and moved around its centre, fading out 100 mm from it."""
    scale = torch.from_numpy(
        (rng.normal(0, options.heart_scale) + rng.normal(0, options.heart_scale / 2, 3)).astype(np.float32)
    )
    shift = torch.from_numpy(rng.normal(0, options.heart_shift_mm / spacing_mm, 3).astype(np.float32))
    away = position - torch.from_numpy(heart.astype(np.float32))
    reach = torch.linalg.vector_norm(away, dim=-1, keepdim=True) * spacing_mm / 100.0
    weight = (1 - reach.clamp(0, 1) ** 2) ** 2
    moved: torch.Tensor = weight * (away * scale + shift)
    return moved


def _liver(hu: torch.Tensor, heart: torch.Tensor, sample: Sample, added: float) -> torch.Tensor:
    """Soft tissue other than heart, below the heart's middle and fading out above it, brighter or darker."""
    above_mm = (torch.arange(hu.shape[0]) - float(sample.middle[0])) * sample.grid.slice_spacing_mm
    weight = (1 - above_mm / 30).clamp(0, 1)[:, None, None] * (1 - heart)
    return hu + added * weight * ((hu > -20) & (hu < 130)).float()


def _effusion(hu: torch.Tensor, sample: Sample, rng: np.random.Generator) -> torch.Tensor:
    """Fluid of 0 to 30 HU up to a level, in the back of one or both lungs of a patient who lies on it."""
    lungs = torch.from_numpy(sample.lungs)
    rows = torch.nonzero(lungs.any(dim=2).any(dim=0)).flatten()
    if not rows.numel():
        return hu
    level = int(rows[-1] - (rows[-1] - rows[0]) * float(rng.uniform(0.05, 0.4)))
    fluid = lungs.clone()
    fluid[:, :level] = False
    side = int(rng.integers(3))
    middle = round(float(sample.middle[2]))
    if side == 0:
        fluid[:, :, middle:] = False
    elif side == 1:
        fluid[:, :, :middle] = False
    return torch.where(fluid, torch.full_like(hu, float(rng.uniform(0, 30))), hu)


def _streaks(hu: torch.Tensor, sample: Sample, rng: np.random.Generator) -> torch.Tensor:
    """A metal object (lead, clip, generator) with bright and dark rays in its slices."""
    hu = hu.clone()
    z, y, x = (round(float(v)) for v in sample.middle + rng.normal(0, 8, 3))
    rows, columns = torch.meshgrid(torch.arange(hu.shape[1]) - y, torch.arange(hu.shape[2]) - x, indexing="ij")
    distance = torch.hypot(rows.float(), columns.float())
    angle = torch.atan2(rows.float(), columns.float())
    rays = torch.cos(int(rng.integers(3, 9)) * angle + float(rng.uniform(0, 6.3)))
    pattern = float(rng.uniform(60, 400)) * rays * torch.exp(-distance / float(rng.uniform(4, 12)))
    pattern[distance < float(rng.uniform(0.8, 2.0))] = 2500.0
    low = max(z - int(rng.integers(0, 4)), 0)
    hu[low : max(z + int(rng.integers(1, 5)), 0)] += pattern
    return hu


def _contrast(hu: torch.Tensor, heart: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Blood pool or whole heart brighter or darker, sometimes the soft tissue around it too."""
    depth = F.avg_pool3d(heart[None, None], 5, 1, 2)[0, 0] if rng.random() < 0.5 else heart
    added = float(rng.uniform(-25, 200)) * depth.clamp(0, 1) ** (2 if rng.random() < 0.5 else 1)
    soft = ((hu > 0) & (hu < 120)).float() * float(rng.uniform(-10, 60) if rng.random() < 0.4 else 0)
    return hu + added + soft


def _cut_field(n: int, rng: np.random.Generator) -> torch.Tensor:
    """What is left where the image ends early on some sides, or is a cylinder; shape (n, n, n)."""
    seen = torch.ones((n, n, n), dtype=torch.bool)
    for axis in range(3):
        for side in (0, 1):
            if rng.random() < 0.35:
                width = int(rng.integers(1, max(n // 4, 2)))
                seen.narrow(axis, 0 if side == 0 else n - width, width).fill_(False)
    if rng.random() < 0.3:
        line = torch.arange(n, dtype=torch.float32) - n / 2
        radius = n * float(rng.uniform(0.33, 0.5))
        seen[:, line[:, None] ** 2 + line[None, :] ** 2 > radius**2] = False
    return seen


def _scanner(hu: torch.Tensor, spacing_mm: float, options: Augmentation, rng: np.random.Generator) -> torch.Tensor:
    if rng.random() < options.thick_probability:
        factor = int(rng.integers(2, 4))
        thick = F.avg_pool3d(hu[None, None], (factor, 1, 1), ceil_mode=True)
        hu = F.interpolate(thick, size=tuple(hu.shape), mode="trilinear")[0, 0]
    if options.slab_probability and rng.random() < options.slab_probability:
        hu = _slab(hu, float(rng.uniform(5, 10)) / spacing_mm)
    if rng.random() < 0.3:
        hu = _blurred(hu, float(rng.uniform(0.2, options.blur_mm)) / spacing_mm)
    hu = hu * float(rng.normal(1, 0.04)) + float(rng.normal(0, 12))
    if rng.random() < 0.7:
        noise = torch.from_numpy(rng.standard_normal(tuple(hu.shape), dtype=np.float32))
        hu = hu + float(rng.uniform() ** 2 * options.noise_hu) * noise
    if options.quantised_probability and rng.random() < options.quantised_probability:
        step = float(rng.uniform(4, 16))
        hu = torch.round(hu / step) * step
    return hu


def _slab(hu: torch.Tensor, width: float) -> torch.Tensor:
    """Every slice the mean over a width in voxels, which need not be whole."""
    half = math.ceil((width - 1) / 2)
    kernel = (width / 2 - (torch.arange(-half, half + 1, dtype=torch.float32).abs() - 0.5)).clamp(0, 1)
    kernel = (kernel / kernel.sum()).reshape(1, 1, -1, 1, 1)
    padded = F.pad(hu[None, None], (0, 0, 0, 0, half, half), mode="replicate")
    return F.conv3d(padded, kernel)[0, 0]


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
