"""Dead channels of a network: those that are always zero or constant."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from spondylo_ml.diagnosis.preserve_state import preserve_state
from spondylo_ml.models.base import LandmarkModel

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.ConvTranspose2d)
ACTIVATIONS = (
    nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.SiLU, nn.GELU, nn.Mish, nn.Hardswish, nn.Sigmoid,
)  # fmt: skip
NONZERO_SHARE = 1e-3
"""A channel counts as zero if fewer of its values than this share are nonzero."""
SMALLEST = 1e-6
"""A channel also counts as zero if its largest value is below this share of the largest in its layer."""
CONSTANT_SHARE = 1e-3
"""A channel is constant if its standard deviation is below this share of the median in its layer."""


@dataclass(frozen=True)
class LayerChannels:
    """The dead channels of one layer.

    Attributes:
        channels: number of channels.
        zero: indices of channels that are (almost) always zero.
        constant: indices of channels that are constant but not zero.
    """

    layer: str
    kind: str
    channels: int
    zero: tuple[int, ...]
    constant: tuple[int, ...]

    @property
    def dead(self) -> int:
        """Number of dead channels."""
        return len(self.zero) + len(self.constant)

    @property
    def dead_percent(self) -> float:
        """Dead channels in percent of the layer's channels."""
        return 100 * self.dead / self.channels

    def to_json(self) -> dict[str, object]:
        """The fields as JSON values."""
        return {
            "layer": self.layer,
            "kind": self.kind,
            "channels": self.channels,
            "zero": list(self.zero),
            "constant": list(self.constant),
        }


class _Values:
    """Running statistics of each channel of a layer, in double precision."""

    def __init__(self, kind: str, channels: int) -> None:
        self.kind, self.count = kind, 0
        self.sum, self.squares, self.nonzero, self.largest = torch.zeros(4, channels, dtype=torch.float64)

    def add(self, values: Tensor) -> None:
        """Update with (M, C) values."""
        values = values.detach().double().cpu()
        self.count += len(values)
        self.sum += values.sum(dim=0)
        self.squares += values.square().sum(dim=0)
        self.nonzero += (values != 0).sum(dim=0)
        self.largest = torch.maximum(self.largest, values.abs().amax(dim=0))

    def result(self, layer: str) -> LayerChannels:
        mean = self.sum / self.count
        spread = (self.squares / self.count - mean.square()).clamp(min=0).sqrt()
        zero = (self.nonzero < NONZERO_SHARE * self.count) | (self.largest <= SMALLEST * self.largest.max())
        positive = spread[spread > 0]
        median = positive.median() if len(positive) else torch.tensor(0.0)
        constant = ~zero & (spread <= CONSTANT_SHARE * median)
        indices = [tuple(int(i) for i in mask.nonzero()[:, 0]) for mask in (zero, constant)]
        return LayerChannels(layer, self.kind, len(zero), *indices)


def dead_channels(model: LandmarkModel, batches: Iterable[Tensor]) -> tuple[LayerChannels, ...]:
    """Dead channels of every convolution and activation used to predict (N, 1, H, W) uint8 images, in call order.

    Functional calls, such as the activations inside torch's transformer layers, are not seen. An activation module
    shared by layers of different width is listed once per width.
    """
    statistics: dict[tuple[str, int], _Values] = {}
    handles = [
        module.register_forward_hook(partial(_record, statistics, name))
        for name, module in model.named_modules()
        if isinstance(module, CONVOLUTIONS + ACTIVATIONS)
    ]
    try:
        with preserve_state(model), torch.no_grad():
            model.eval()
            for images in batches:
                model.predict(images)
    finally:
        _remove(handles)
    return tuple(values.result(name) for (name, _), values in statistics.items())


def _record(
    statistics: dict[tuple[str, int], _Values], name: str, module: nn.Module, inputs: object, output: Tensor
) -> None:
    """Forward hook; channels are the second axis of maps and the last axis of tokens and vectors."""
    values = (output.movedim(1, -1) if output.dim() == 4 else output).flatten(0, -2)
    if not len(values):  # a detector without proposals
        return
    key = name, values.shape[1]
    if key not in statistics:
        statistics[key] = _Values(type(module).__name__, values.shape[1])
    statistics[key].add(values)


def _remove(handles: Iterable[RemovableHandle]) -> None:
    for handle in handles:
        handle.remove()
