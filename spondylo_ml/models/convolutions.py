"""A block that several decoders are made of."""

from __future__ import annotations

from torch import nn


def two_convolutions(before: int, width: int) -> nn.Sequential:
    """3x3 convolution, batch norm and ReLU, twice: (N, before, h, w) to (N, width, h, w)."""
    layers: list[nn.Module] = []
    for channels in (before, width):
        layers += [
            nn.Conv2d(channels, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers)
