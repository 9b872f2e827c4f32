"""ResNet-50 with three transposed convolutions; 30,788,712 parameters at 40 channels (the presence head not counted).

Xiao et al., Simple Baselines for Human Pose Estimation and Tracking (ECCV 2018), with narrower transposed convolutions.
"""

from __future__ import annotations

from torch import Tensor, nn

from spondylo_ml.config.schema import Config
from spondylo_ml.landmarks import SlotRange
from spondylo_ml.models.backbones import as_backbone, grey_mean_std, timm_features
from spondylo_ml.models.base import HeatmapModel, NetworkOutput, check_multiple, network_input, pooled

BACKBONE = "resnet50"
DEEPEST, DEEPEST_CHANNELS, SIZE_MULTIPLE = 4, 2048, 32
WIDTHS = (192, 192, 128)


class ResNet50(HeatmapModel):
    """Heatmaps at stride 4; presence from the deepest features."""

    def __init__(self, config: Config, slots: SlotRange) -> None:
        super().__init__(config, slots, stride=4)
        self.backbone = timm_features(BACKBONE, [DEEPEST])
        layers: list[nn.Module] = []
        before = (DEEPEST_CHANNELS, *WIDTHS[:-1])
        for channels, width, dropout in zip(before, WIDTHS, config.model.resnet50.dropout, strict=True):
            layers += [
                nn.ConvTranspose2d(channels, width, 4, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(inplace=True),
                nn.Dropout2d(dropout),
            ]
        self.up = nn.Sequential(*layers)
        self.heatmaps = self.heatmap_head(WIDTHS[-1])
        self.presence = nn.Linear(2 * DEEPEST_CHANNELS, slots.count)
        self.backbone_net = as_backbone(BACKBONE, self.backbone)
        self._grey = grey_mean_std(BACKBONE)

    def forward(self, images: Tensor) -> NetworkOutput:
        """See the base class.

        Raises:
            ValueError: height or width is not a multiple of 32.
        """
        check_multiple(images, SIZE_MULTIPLE, "ResNet-50")
        (deepest,) = self.backbone(network_input(images, self.config.model.coordinate_channels, *self._grey))
        return NetworkOutput(self.heatmaps(self.up(deepest)), self.presence(pooled(deepest)))
