"""Building block of several decoders."""

from __future__ import annotations

from torch import nn
from torchvision.ops import Conv2dNormActivation


def two_convolutions(in_channels: int, width: int) -> nn.Sequential:
    """3x3 convolution, batch norm and ReLU, twice: (N, in_channels, h, w) to (N, width, h, w).

    One flat sequence, because saved weights name its layers by their place in it.
    """
    return nn.Sequential(*Conv2dNormActivation(in_channels, width), *Conv2dNormActivation(width, width))
