"""What other hospitals' chests have and few training patients do: contrast agent in single chambers, masses and collapsed lung beside the heart, tubes, hernias, a full stomach.

Each changes the image and leaves the heart's label as it is: none of them is heart.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from rtqc.training.samples import Sample

Box = tuple[slice, slice, slice]

#: Middles of right atrium, right ventricle, left atrium, left ventricle and root of the great vessels within the box around a heart,
#: as parts of its height (from below), depth (from the front) and width (from the right). After the textbook's four-chamber view.
_CHAMBERS = ((0.45, 0.50, 0.15), (0.30, 0.25, 0.50), (0.60, 0.85, 0.42), (0.35, 0.60, 0.78), (0.90, 0.35, 0.40))
#: Wall and pericardial fat take this part of a chamber's contrast agent.
_WALL_SHARE = 0.3
#: Blood and muscle without contrast agent, smoothed (HU).
_SOFT_HU = (-10.0, 120.0)
#: Darker than this is lung or air (HU).
_LUNG_HU = -400.0
#: Gas in stomach, hernia or tube (HU).
_GAS_HU = -950.0


@dataclass(frozen=True)
class Disturbances:
    """How often each is planted; probabilities, all 0 by default.

    Attributes:
        chambers: chambers and great vessels brighter, each by itself.
        mass: tumour or collapsed lung in the lung beside the heart.
        hernia: fluid and gas between heart and spine.
        tube: a feeding tube or line, bright or full of gas, behind the heart or in it.
        stomach: a full stomach under the heart.
        board: couch or breast board behind the patient.
    """

    chambers: float = 0.0
    mass: float = 0.0
    hernia: float = 0.0
    tube: float = 0.0
    stomach: float = 0.0
    board: float = 0.0


def disturbed(
    hu: torch.Tensor, heart: torch.Tensor, sample: Sample, often: Disturbances, rng: np.random.Generator
) -> torch.Tensor:
    """The image with some of what few training patients have.

    Args:
        hu: (z, y, x) on the sample's grid, in HU.
        heart: share of each voxel that is heart, 0 to 1.
        sample: whose they are.
        often: probability of each.
        rng: of everything random.
    """
    place = _Place.of(heart, sample)
    if place is None:
        return hu
    for probability, change in (
        (often.chambers, _chambers),
        (often.mass, _mass),
        (often.hernia, _hernia),
        (often.stomach, _stomach),
        (often.tube, _tube),
        (often.board, _board),
    ):
        if probability and rng.random() < probability:
            hu = change(hu, heart, place, rng)
    return hu


@dataclass(frozen=True, eq=False)
class _Place:
    """Box around the heart in voxels (z, y, x), and the voxel's side."""

    low: np.ndarray
    high: np.ndarray
    spacing_mm: float

    @classmethod
    def of(cls, heart: torch.Tensor, sample: Sample) -> _Place | None:
        inside = heart > 0.5
        if not bool(inside.any()):
            return None
        ends = [torch.nonzero(inside.any(dim=a).any(dim=b)).flatten() for a, b in ((2, 1), (2, 0), (1, 0))]
        low, high = (np.array([float(e[k]) for e in ends]) for k in (0, -1))
        return cls(low, high, sample.grid.slice_spacing_mm)

    def at(self, part: tuple[float, float, float]) -> np.ndarray:
        """The voxel at parts of the box's height, depth and width."""
        return np.asarray(self.low + np.array(part) * (self.high - self.low))

    def voxels(self, mm: float) -> float:
        return mm / self.spacing_mm


def _blob(
    shape: torch.Size, middle: np.ndarray, radii: np.ndarray, roughness: float, rng: np.random.Generator
) -> tuple[Box, torch.Tensor] | None:
    """A lump with a rough surface: the box that it lies in, and the share of each voxel in it; None where it lies outside."""
    reach = np.ceil(radii * (1 + 2 * roughness)).astype(int) + 1
    low = np.maximum(np.round(middle).astype(int) - reach, 0)
    high = np.minimum(np.round(middle).astype(int) + reach + 1, shape)
    if (high - low < 2).any():
        return None
    lines = [
        (torch.arange(int(a), int(b), dtype=torch.float32) - float(m)) / float(r)
        for a, b, m, r in zip(low, high, middle, radii, strict=True)
    ]
    z, y, x = torch.meshgrid(*lines, indexing="ij")
    distance = torch.sqrt(z * z + y * y + x * x)
    if roughness:
        bumps = torch.from_numpy(rng.normal(0, roughness, (1, 1, 4, 4, 4)).astype(np.float32))
        distance = distance + F.interpolate(bumps, size=tuple(distance.shape), mode="trilinear", align_corners=True)[0, 0]
    share = (0.5 + (1 - distance) * float(radii.mean())).clamp(0, 1)
    box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    return (box[0], box[1], box[2]), share


def _filled(hu: torch.Tensor, box: Box, share: torch.Tensor, value: torch.Tensor | float) -> torch.Tensor:
    result = hu.clone()
    part = result[box]
    result[box] = part + share * (value - part)
    return result


def _texture(shape: torch.Size, sigma: float, rng: np.random.Generator) -> torch.Tensor:
    """Smooth values of a standard deviation around 0."""
    coarse = [max(int(n) // 2, 2) for n in shape]
    values = torch.from_numpy(rng.normal(0, sigma, (1, 1, *coarse)).astype(np.float32))
    return F.interpolate(values, size=tuple(shape), mode="trilinear", align_corners=True)[0, 0]


def _chambers(hu: torch.Tensor, heart: torch.Tensor, place: _Place, rng: np.random.Generator) -> torch.Tensor:
    """Contrast agent of a phase: each chamber by itself, the vessels above as the chambers that they leave."""
    pad = np.array([place.voxels(90.0), place.voxels(15.0), place.voxels(25.0)])
    low = np.maximum(np.floor(place.low - np.array([2, *pad[1:]])), 0).astype(int)
    high = np.minimum(np.ceil(place.high + pad), np.array(hu.shape) - 1).astype(int) + 1
    box: Box = (slice(low[0], high[0]), slice(low[1], high[1]), slice(low[2], high[2]))
    z, y, x = torch.meshgrid(
        *(torch.arange(int(a), int(b), dtype=torch.float32) for a, b in zip(low, high, strict=True)), indexing="ij"
    )
    phase = float(rng.uniform(60, 260)) if rng.random() < 0.8 else float(rng.uniform(260, 450))
    right, left = ((1.0, 1.0), (1.0, float(rng.uniform(0, 0.5))), (float(rng.uniform(0.1, 0.6)), 1.0))[int(rng.integers(3))]
    added = [
        phase * side * float(rng.uniform(0.7, 1.1)) for side in (right, right, left, left, float(rng.choice([left, right])))
    ]
    nearest = torch.full(z.shape, 1e9)
    bright = torch.zeros_like(z)
    size = place.high - place.low
    for part, value in zip(_CHAMBERS, added, strict=True):
        middle = place.at(part) + rng.normal(0, 0.04, 3) * size
        # Above the heart each chamber goes on as a vessel: height counts little there.
        away = (((y - float(middle[1])) / float(size[1])) ** 2 + ((x - float(middle[2])) / float(size[2])) ** 2) + (
            (z.clamp(max=float(place.high[0])) - float(middle[0])) / float(size[0])
        ) ** 2
        closer = away < nearest
        nearest = torch.where(closer, away, nearest)
        bright = torch.where(closer, torch.full_like(bright, value), bright)
    part_hu, part_heart = hu[box], heart[box]
    smooth = F.avg_pool3d(part_hu[None, None], 3, 1, 1)[0, 0]
    blood = ((smooth > _SOFT_HU[0]) & (smooth < _SOFT_HU[1])).float()
    inner = F.avg_pool3d((part_heart * blood)[None, None], 5, 1, 2)[0, 0].clamp(0, 1)
    inside = part_heart * (_WALL_SHARE + (1 - _WALL_SHARE) * (inner > 0.85).float()) * blood
    above = ((z > float(place.high[0]) - 1) & (x > float(place.low[2]) - 3)).float() * (1 - part_heart) * blood
    bright = F.avg_pool3d((bright * (inside + above))[None, None], 3, 1, 1)[0, 0]
    result = hu.clone()
    result[box] = part_hu + bright * (part_hu > -150).float()
    return result


def _mass(hu: torch.Tensor, heart: torch.Tensor, place: _Place, rng: np.random.Generator) -> torch.Tensor:
    """A tumour or collapsed lung that touches the heart or lies near it: takes the lung's room, nothing else's."""
    way = rng.normal(0, 1, 3) * (0.8, 0.8, 1.2)
    way /= max(float(np.linalg.norm(way)), 1e-3)
    radii = np.array([place.voxels(float(rng.uniform(8, 38))) for _ in range(3)])
    surface = (place.low + place.high) / 2 + way * (place.high - place.low) / 2
    blob = _blob(hu.shape, surface + way * radii * float(rng.uniform(-0.3, 1.2)), radii, float(rng.uniform(0.05, 0.35)), rng)
    if blob is None:
        return hu
    box, share = blob
    lung = (hu[box] < _LUNG_HU).float() * (1 - heart[box])
    return _filled(hu, box, share * lung, float(rng.uniform(5, 70)) + _texture(share.shape, float(rng.uniform(2, 15)), rng))


def _hernia(hu: torch.Tensor, heart: torch.Tensor, place: _Place, rng: np.random.Generator) -> torch.Tensor:
    """Stomach in the chest, behind the heart: fluid with gas in front of it, as in a patient who lies on the back."""
    radii = np.array([place.voxels(float(rng.uniform(*r))) for r in ((15, 45), (12, 30), (15, 40))])
    middle = place.at((float(rng.uniform(-0.1, 0.5)), 1.0, float(rng.uniform(0.3, 0.75))))
    middle[1] += radii[1] * float(rng.uniform(0.5, 1.0))
    return _hollow(hu, heart, middle, radii, float(rng.choice([1.0, rng.uniform(-0.8, 0.9)])), rng)


def _stomach(hu: torch.Tensor, heart: torch.Tensor, place: _Place, rng: np.random.Generator) -> torch.Tensor:
    """A full stomach under the left dome: food, fluid, gas in front."""
    radii = np.array([place.voxels(float(rng.uniform(*r))) for r in ((18, 45), (30, 55), (25, 55))])
    middle = place.at((0.0, float(rng.uniform(0.2, 0.9)), float(rng.uniform(0.6, 1.1))))
    middle[0] -= radii[0] * float(rng.uniform(0.85, 1.2))
    return _hollow(hu, heart, middle, radii, float(rng.uniform(-0.9, 1.0)), rng, in_lung=False)


def _hollow(
    hu: torch.Tensor,
    heart: torch.Tensor,
    middle: np.ndarray,
    radii: np.ndarray,
    level: float,
    rng: np.random.Generator,
    in_lung: bool = True,
) -> torch.Tensor:
    """A hollow organ with fluid, and gas in front of a level (parts of its half depth)."""
    blob = _blob(hu.shape, middle, radii, 0.12, rng)
    if blob is None:
        return hu
    box, share = blob
    free = 1 - heart[box]
    if not in_lung:
        free = free * (hu[box] > _LUNG_HU).float()
    fluid = float(rng.uniform(-5, 60)) + _texture(share.shape, float(rng.uniform(2, 40)), rng)
    rows = (torch.arange(box[1].start, box[1].stop, dtype=torch.float32) - float(middle[1])) / float(radii[1])
    gas = ((rows < -level).float()[None, :, None] * (share > 0.85)).expand(share.shape)
    return _filled(hu, box, share * free, torch.where(gas > 0, torch.full_like(fluid, _GAS_HU), fluid))


def _tube(hu: torch.Tensor, heart: torch.Tensor, place: _Place, rng: np.random.Generator) -> torch.Tensor:
    """A feeding tube in the oesophagus behind the heart, or a line in the right atrium."""
    line = bool(rng.random() < 0.4)
    y, x = place.at((0.5, 0.5, 0.2) if line else (0.5, 1.03, 0.5))[1:] + rng.normal(0, place.voxels(6), 2)
    low = int(place.at((0.3 if line else -1.0, 0, 0))[0])
    z = torch.arange(hu.shape[0], dtype=torch.float32)
    path_y = y + place.voxels(5) * torch.sin(z * float(rng.uniform(0.02, 0.12)) + float(rng.uniform(0, 6)))
    path_x = x + place.voxels(5) * torch.sin(z * float(rng.uniform(0.02, 0.12)) + float(rng.uniform(0, 6)))
    rows = torch.arange(hu.shape[1], dtype=torch.float32)[None, :, None] - path_y[:, None, None]
    columns = torch.arange(hu.shape[2], dtype=torch.float32)[None, None, :] - path_x[:, None, None]
    share = (float(rng.uniform(0.5, 1.2)) + 0.5 - torch.hypot(rows, columns)).clamp(0, 1) * (z >= low).float()[:, None, None]
    # A tube is thinner than a voxel: partial volume takes most of its brightness.
    value = float(rng.uniform(120, 900)) if rng.random() < 0.75 else -400.0
    return hu + share * (hu > -300).float() * value


def _board(hu: torch.Tensor, heart: torch.Tensor, place: _Place, rng: np.random.Generator) -> torch.Tensor:
    """A couch or breast board: a plate, level or sloping, where there is air behind the patient."""
    body_rows = torch.nonzero((hu > -300).any(dim=2).any(dim=0)).flatten()
    start = float(body_rows[-1]) - place.voxels(float(rng.uniform(0, 25)))
    slope = float(rng.choice([0.0, rng.uniform(0, 0.25)]))
    z = torch.arange(hu.shape[0], dtype=torch.float32)
    surface = start + slope * (float(place.at((0.5, 0, 0))[0]) - z)
    depth = torch.arange(hu.shape[1], dtype=torch.float32)[None, :] - surface[:, None]
    thick = place.voxels(float(rng.uniform(3, 12)))
    plate = ((depth > 0) & (depth < thick))[:, :, None] & (hu < -850)
    foam = ((depth >= thick) & (depth < thick + place.voxels(40)))[:, :, None] & (hu < -850)
    hu = torch.where(plate, torch.full_like(hu, float(rng.uniform(-700, 150))), hu)
    return torch.where(foam, torch.full_like(hu, float(rng.uniform(-980, -850))), hu)
