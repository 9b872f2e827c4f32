"""timm networks as backbones: features, stages, and the grey levels that their weights expect."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import timm
import torch
from timm.models import get_pretrained_cfg
from torch import nn

GREY_LEVELS = 255


@dataclass(frozen=True)
class Backbone:
    """A timm network without its classifier.

    Attributes:
        name: timm's name.
        network: returns a list of features for (N, 3, H, W) inputs.
        stages: its parts, from the input on.
    """

    name: str
    network: nn.Module
    stages: list[list[nn.Module]]

    @property
    def first_convolution(self) -> nn.Conv2d:
        """The convolution applied to the image."""
        return next(module for module in self.network.modules() if isinstance(module, nn.Conv2d))


def timm_features(name: str, taps: Sequence[int]) -> nn.Module:
    """A timm network with random weights that returns the features at `taps`; 0 is stride 2, 4 is stride 32."""
    features: nn.Module = timm.create_model(name, features_only=True, pretrained=False, out_indices=tuple(taps))
    return features


def as_backbone(name: str, network: nn.Module) -> Backbone:
    """The network with its stages, recognised by the names that timm (and torchvision) give them.

    Raises:
        ValueError: not an EfficientNet, HRNet or ResNet.
    """
    parts = dict(network.named_children())
    if "conv_stem" in parts:  # EfficientNet
        blocks = [[block] for block in parts["blocks"].children()]
        return Backbone(name, network, [[parts["conv_stem"], parts["bn1"]], *blocks])
    if "stage4" in parts:  # HRNet
        stem = [parts[key] for key in ("conv1", "bn1", "conv2", "bn2")]
        later = [("layer1", "transition1"), ("stage2", "transition2"), ("stage3", "transition3")]
        last = [parts["stage4"], parts["incre_modules"]]
        return Backbone(name, network, [stem, *([parts[key] for key in pair] for pair in later), last])
    if "layer4" in parts:  # ResNet
        layers = [[parts[f"layer{i}"]] for i in range(1, 5)]
        return Backbone(name, network, [[parts["conv1"], parts["bn1"]], *layers])
    raise ValueError(f"{name}: neither an EfficientNet, nor an HRNet, nor a ResNet")


def grey_mean_std(name: str) -> tuple[float, float]:
    """Mean and spread of the grey levels, 0 to 255, that a timm network's ImageNet weights expect."""
    config = get_pretrained_cfg(name)
    if config is None:
        raise ValueError(f"timm has no weights for {name!r}")
    return GREY_LEVELS * sum(config.mean) / 3, GREY_LEVELS * sum(config.std) / 3


@torch.no_grad()
def see_grey_in_the_first_channel(convolution: nn.Conv2d) -> None:
    """Adapt a convolution trained on red, green and blue to the channels (grey, column, row).

    Grey gets the sum of the weights, the coordinates get zero.
    """
    weight = convolution.weight
    weight[:, 0] = weight.sum(dim=1)
    weight[:, 1:] = 0
