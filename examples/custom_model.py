"""Train a custom network: everything but its layers is there already.

`HeatmapModel` brings the losses, the decoding of heatmaps and the prediction; a subclass says how films become
heatmaps. A network without heatmaps is a subclass of `LandmarkModel`, with its own `losses` and `predict`.
"""

from torch import Tensor, nn

import spondylo_ml
from spondylo_ml.config import Config
from spondylo_ml.landmarks import SlotRange
from spondylo_ml.models.base import HeatmapModel, NetworkOutput, network_input, pooled


class SmallNet(HeatmapModel):
    """Three strided convolutions and one back up: heatmaps at a quarter of the input's resolution."""

    def __init__(self, config: Config, slots: SlotRange) -> None:
        super().__init__(config, slots, stride=4)
        self.down = nn.Sequential(block(3, 32, stride=2), block(32, 64, stride=2), block(64, 128, stride=2))
        self.up = nn.Sequential(nn.Upsample(scale_factor=2), block(128, 64))
        self.heatmaps = self.heatmap_head(64)
        self.presence = nn.Linear(2 * 128, slots.count)

    def forward(self, images: Tensor) -> NetworkOutput:
        features = self.down(network_input(images, self.config.model.coordinate_channels))
        return NetworkOutput(self.heatmaps(self.up(features)), self.presence(pooled(features)))


def block(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU())


spondylo_ml.register_model("small_net", SmallNet)  # trained by U-Net's recipes unless recipes_of names another

if __name__ == "__main__":
    run = spondylo_ml.train("small_net", "smoke")  # "quick" takes minutes and learns
    print(f"MRE {run.metrics['mre_px512']:.1f} px512; run {run.run_id}")
    (result,) = spondylo_ml.predict(spondylo_ml.draw_phantoms(1), run.run_id)  # needs the registration above
    print(f"{result.model}: {sum(result.prediction.presence >= 0.5)} vertebrae on {result.film_id}")
