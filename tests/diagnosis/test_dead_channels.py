"""Dead channels, counted on a network whose dead channels are known."""

from __future__ import annotations

import pytest
import torch
from planted import batch, model_of
from torch import Tensor, nn

from spondylo_ml.config.network import MODEL_NAMES
from spondylo_ml.data.batches import FilmBatch
from spondylo_ml.diagnosis.dead_channels import dead_channels
from spondylo_ml.landmarks import SlotRange
from spondylo_ml.models.base import LandmarkModel, Landmarks

ALIVE, ZERO, CONSTANT, NEGATIVE, RARE, FAINT = range(6)


class SixChannels(LandmarkModel):
    """A convolution with six channels, of which one is alive, and a ReLU that is used again on two numbers per film."""

    def __init__(self) -> None:
        super().__init__(SlotRange(0, 1))
        self.convolution = nn.Conv2d(1, 6, 1)
        self.activation = nn.ReLU(inplace=True)
        self.dropout = nn.Dropout(0.5)
        weight, bias = self.convolution.weight, self.convolution.bias
        assert bias is not None
        with torch.no_grad():
            weight.zero_()
            bias.zero_()
            weight[ALIVE] = 1
            bias[CONSTANT] = 3
            weight[NEGATIVE], bias[NEGATIVE] = -1, -1
            weight[RARE], bias[RARE] = 1, -254  # above 0 where the film is white
            weight[FAINT] = 1e-9

    def losses(self, batch: FilmBatch) -> dict[str, Tensor]:
        raise NotImplementedError

    def predict(self, images: Tensor) -> Landmarks:
        maps = self.activation(self.convolution(images.float()))
        vector = torch.tensor([[1.0, 0.0]]).expand(len(images), -1)
        self.activation(vector.clone())
        return Landmarks(maps, maps, maps)


def images(white: int) -> Tensor:
    """Two films of 50 x 40 px with grey levels from 0 to 199, and `white` px of the second at 255."""
    grey = (torch.arange(2 * 50 * 40) % 200).to(torch.uint8).view(2, 1, 50, 40)
    grey[1].view(-1)[:white] = 255
    return grey


def test_known_dead_channels_are_counted_layer_by_layer() -> None:
    convolution, activation, vector = dead_channels(SixChannels(), [images(3)])
    assert (convolution.layer, convolution.kind, convolution.channels) == ("convolution", "Conv2d", 6)
    # Before the ReLU, RARE varies below zero and NEGATIVE is alive.
    assert convolution.zero == (ZERO, FAINT)
    assert convolution.constant == (CONSTANT,)
    assert (activation.layer, activation.kind) == ("activation", "ReLU")
    assert activation.zero == (ZERO, NEGATIVE, RARE, FAINT)  # 3 of 4,000 values are less than a thousandth
    assert activation.constant == (CONSTANT,)
    assert activation.dead == 5
    assert activation.dead_percent == pytest.approx(500 / 6)
    # The second use of the ReLU has another width: always 1 and 0.
    assert (vector.layer, vector.channels, vector.zero, vector.constant) == ("activation", 2, (1,), (0,))


def test_a_rarely_active_channel_is_alive() -> None:
    _, activation, _ = dead_channels(SixChannels(), [images(0), images(9)])  # 9 of 8,000 values
    assert activation.zero == (ZERO, NEGATIVE, FAINT)


def test_a_channel_that_is_active_on_any_batch_is_alive() -> None:
    black = torch.zeros(2, 1, 50, 40, dtype=torch.uint8)
    convolution, *_ = dead_channels(SixChannels(), [black])
    assert set(convolution.zero) == {ALIVE, ZERO, FAINT}
    assert set(convolution.constant) == {CONSTANT, NEGATIVE, RARE}
    convolution, *_ = dead_channels(SixChannels(), [black, images(3)])
    assert convolution.constant == (CONSTANT,)


@pytest.mark.parametrize("name", MODEL_NAMES)
def test_every_model_can_be_examined_and_is_left_unchanged(name: str) -> None:
    model = model_of(name).train()
    layers = dead_channels(model, [batch().images])
    convolutions = {n for n, m in model.named_modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)}
    examined = {layer.layer for layer in layers}
    # Detectors may propose no region for their heads; HRNet does not use every layer that timm builds.
    assert len(examined & convolutions) > 0.8 * len(convolutions)
    assert all(0 <= layer.dead <= layer.channels for layer in layers)
    assert not set(layers[0].zero) & set(layers[0].constant)
    assert all(module.training for module in model.modules())
    assert all(not module._forward_hooks for module in model.modules())


def test_a_channel_disabled_in_a_real_network_is_named() -> None:
    model = model_of("unet")
    first = model.get_submodule("encoder.0.1")
    with torch.no_grad():
        first.weight[5] = 0  # type: ignore[index]
        first.bias[5] = -1  # type: ignore[index]
    layers = {layer.layer: layer for layer in dead_channels(model, [batch().images])}
    assert 5 in layers["encoder.0.2"].zero
    assert 5 not in layers["encoder.0.0"].zero
