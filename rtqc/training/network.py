"""The network: a small 3D U-Net, wide where it is coarse and thin where it is fine."""

from __future__ import annotations

import torch
from torch import nn

from rtqc.heart.levels import LEVELS
from rtqc.training.settings import Settings

#: In-plane and axial size of the input must be a multiple of this: four halvings.
SIZE_MULTIPLE = 16


def _block(inputs: int, outputs: int, convolutions: int = 2, stride: int = 1) -> nn.Sequential:
    layers: list[nn.Module] = []
    for number in range(convolutions):
        layers += [
            nn.Conv3d(inputs if number == 0 else outputs, outputs, 3, stride if number == 0 else 1, 1, bias=False),
            nn.InstanceNorm3d(outputs, affine=True),
            nn.LeakyReLU(0.01, inplace=True),
        ]
    return nn.Sequential(*layers)


class HeartNet(nn.Module):
    """Logits of "heart" for every voxel, and heights above levels of the chest where the recipe asks for them.

    Input (batch, windows, slices, rows, columns), output (batch, outputs, slices, rows, columns).

    Args:
        windows: number of intensity windows of the input.
        base: channels at full resolution.
        outputs: channels of the output; the first is the heart, others are heights (:mod:`rtqc.training.heights`).
        widest: no level has more channels than this; None: ten times ``base``.
    """

    def __init__(self, windows: int = 2, base: int = 12, outputs: int = 1, widest: int | None = None) -> None:
        super().__init__()
        widths = [min(base * factor, widest or base * 10) for factor in (1, 2, 4, 8, 10)]
        self.down = nn.ModuleList([_block(windows, widths[0], 1)])
        self.down.extend(_block(a, b, 2, 2) for a, b in zip(widths[:-1], widths[1:], strict=True))
        pairs = list(zip(widths[:-1], widths[1:], strict=True))
        self.up = nn.ModuleList(nn.ConvTranspose3d(b, a, 2, 2) for a, b in pairs)
        self.merge = nn.ModuleList(_block(2 * a, a, 1) for a, _ in pairs)
        self.head = nn.Conv3d(widths[0], outputs, 1)
        self.deep_head = nn.Conv3d(widths[1], outputs, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits at full resolution."""
        return self.both(x)[0]

    def both(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits at full and at half resolution (the second only for deep supervision)."""
        skips = []
        for block in self.down:
            x = block(x)
            skips.append(x)
        x = skips.pop()
        coarse = x
        for level in reversed(range(len(self.up))):
            x = self.merge[level](torch.cat([self.up[level](x), skips[level]], dim=1))
            if level == 1:
                coarse = x
        return self.head(x), self.deep_head(coarse)


def new_network(settings: Settings) -> HeartNet:
    """The network of a recipe, at random."""
    outputs = 1 + (len(LEVELS) if settings.heights else 0)
    return HeartNet(len(settings.windows), settings.base, outputs, settings.widest)
