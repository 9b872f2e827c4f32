"""Channels that carry nothing: always zero, or the same value wherever one looks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from spondylo_ml.diagnosis.untouched import untouched
from spondylo_ml.models.base import LandmarkModel

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.ConvTranspose2d)
ACTIVATIONS = (
    nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.SiLU, nn.GELU, nn.Mish, nn.Hardswish, nn.Sigmoid,
)  # fmt: skip
NONZERO_SHARE = 1e-3
"""A channel that is anything but zero in fewer of its values than this is nearly always zero."""
SMALLEST = 1e-6
"""So is one whose largest value is smaller than this share of its layer's."""
CONSTANT_SHARE = 1e-3
"""A channel whose standard deviation is below this share of the middle one of its layer is constant."""


@dataclass(frozen=True)
class LayerChannels:
    """The dead channels of one layer.

    Attributes:
        channels: how many it has.
        zero: places of those that are (nearly) always zero.
        constant: places of those that are constant, but not zero.
    """

    layer: str
    kind: str
    channels: int
    zero: tuple[int, ...]
    constant: tuple[int, ...]

    @property
    def dead(self) -> int:
        """Number of channels that carry nothing."""
        return len(self.zero) + len(self.constant)

    @property
    def dead_percent(self) -> float:
        """Share of the layer's channels."""
        return 100 * self.dead / self.channels

    def to_json(self) -> dict[str, object]:
        """All of it."""
        return {
            "layer": self.layer, "kind": self.kind, "channels": self.channels,
            "zero": list(self.zero), "constant": list(self.constant),
        }  # fmt: skip


class _Values:
    """Running numbers of each channel of a layer, in double precision."""

    def __init__(self, kind: str, channels: int) -> None:
        self.kind, self.count = kind, 0
        self.sum, self.squares, self.nonzero, self.largest = torch.zeros(4, channels, dtype=torch.float64)

    def add(self, values: Tensor) -> None:
        """(M, C) values."""
        values = values.detach().double().cpu()
        self.count += len(values)
        self.sum += values.sum(dim=0)
        self.squares += values.square().sum(dim=0)
        self.nonzero += (values != 0).sum(dim=0)
        self.largest = torch.maximum(self.largest, values.abs().amax(dim=0))

    def judged(self, layer: str) -> LayerChannels:
        mean = self.sum / self.count
        spread = (self.squares / self.count - mean.square()).clamp(min=0).sqrt()
        zero = (self.nonzero < NONZERO_SHARE * self.count) | (self.largest <= SMALLEST * self.largest.max())
        moving = spread[spread > 0]
        usual = moving.median() if len(moving) else torch.tensor(0.0)
        constant = ~zero & (spread <= CONSTANT_SHARE * usual)
        places = [tuple(int(i) for i in which.nonzero()[:, 0]) for which in (zero, constant)]
        return LayerChannels(layer, self.kind, len(zero), *places)


def dead_channels(model: LandmarkModel, batches: Iterable[Tensor]) -> tuple[LayerChannels, ...]:
    """Every convolution and activation that predicting (N, 1, H, W) uint8 images goes through, in their order.

    What is called as a function instead of a module is not seen, such as the activations inside torch's transformer
    layers. An activation that serves layers of different width stands there once for each width.
    """
    seen: dict[tuple[str, int], _Values] = {}
    handles = [
        module.register_forward_hook(partial(_look, seen, name))
        for name, module in model.named_modules()
        if isinstance(module, CONVOLUTIONS + ACTIVATIONS)
    ]
    try:
        with untouched(model), torch.no_grad():
            model.eval()
            for images in batches:
                model.predict(images)
    finally:
        _remove(handles)
    return tuple(values.judged(name) for (name, _), values in seen.items())


def _look(seen: dict[tuple[str, int], _Values], name: str, module: nn.Module, given: object, output: Tensor) -> None:
    """Hook of a layer; channels are the second axis of maps and the last one of tokens and vectors."""
    values = (output.movedim(1, -1) if output.dim() == 4 else output).flatten(0, -2)
    if not len(values):  # a detector that proposes nothing
        return
    key = name, values.shape[1]
    if key not in seen:
        seen[key] = _Values(type(module).__name__, values.shape[1])
    seen[key].add(values)


def _remove(handles: Iterable[RemovableHandle]) -> None:
    for handle in handles:
        handle.remove()
