"""Building blocks of several decoders."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import Conv2dNormActivation


def two_convolutions(in_channels: int, width: int) -> nn.Sequential:
    """3x3 convolution, batch norm and ReLU, twice: (N, in_channels, h, w) to (N, width, h, w).

    One flat sequence, because saved weights name its layers by their place in it.
    """
    return nn.Sequential(*Conv2dNormActivation(in_channels, width), *Conv2dNormActivation(width, width))


def merging(in_channels: int, width: int) -> nn.Sequential:
    """1x1 and 3x3 convolution, each with batch norm and ReLU: (N, in_channels, h, w) to (N, width, h, w)."""
    return nn.Sequential(Conv2dNormActivation(in_channels, width, 1), Conv2dNormActivation(width, width))


def doubled(features: Tensor) -> Tensor:
    """(N, C, h, w) to (N, C, 2 h, 2 w), bilinear."""
    return F.interpolate(features, scale_factor=2, mode="bilinear", align_corners=False)
