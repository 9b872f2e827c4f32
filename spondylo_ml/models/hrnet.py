"""HRNet-W32 with 31,777,896 parameters at 40 channels (the presence head not counted).

Wang et al., Deep High-Resolution Representation Learning for Visual Recognition (TPAMI 2020). The backbone is timm's.
Only its finest features, 128 channels at stride 4, are used. The layers of the coarser ones are kept so that ImageNet
weights fit, and are named by `unused_parameters`.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torchvision.ops import Conv2dNormActivation

from spondylo_ml.config.schema import Config
from spondylo_ml.landmarks import SlotRange
from spondylo_ml.models.backbones import as_backbone, grey_mean_std, timm_features
from spondylo_ml.models.base import HeatmapModel, NetworkOutput, check_multiple, network_input, pooled

BACKBONE = "hrnet_w32"
FEATURES, HEAD_WIDTH, SIZE_MULTIPLE = 128, 256, 32
COARSER_TAPS = tuple(f"backbone.incre_modules.{i}." for i in (1, 2, 3))


class HRNetW32(HeatmapModel):
    """Heatmaps at stride 4; presence from the finest features."""

    def __init__(self, config: Config, slots: SlotRange) -> None:
        super().__init__(config, slots, stride=4)
        self.backbone = timm_features(BACKBONE, [1])
        self.head = nn.Sequential(
            *Conv2dNormActivation(FEATURES, HEAD_WIDTH),
            nn.Dropout2d(config.model.hrnet_w32.dropout),
            *Conv2dNormActivation(HEAD_WIDTH, HEAD_WIDTH),
        )
        self.heatmaps = self.heatmap_head(HEAD_WIDTH)
        self.presence = nn.Linear(2 * FEATURES, slots.count)
        self.backbone_net = as_backbone(BACKBONE, self.backbone)
        self._grey = grey_mean_std(BACKBONE)

    def forward(self, images: Tensor) -> NetworkOutput:
        """See the base class.

        Raises:
            ValueError: height or width is not a multiple of 32.
        """
        check_multiple(images, SIZE_MULTIPLE, "HRNet-W32")
        features = self._finest(network_input(images, self.config.model.coordinate_channels, *self._grey))
        return NetworkOutput(self.heatmaps(self.head(features)), self.presence(pooled(features)))

    def unused_parameters(self) -> frozenset[str]:
        """Those of the base class, and the layers of the coarser features."""
        unused = {name for name, _ in self.named_parameters() if name.startswith(COARSER_TAPS)}
        return super().unused_parameters() | unused | self._last_fusion()

    def _finest(self, x: Tensor) -> Tensor:
        """The finest features, computed in timm's order without the coarser ones."""
        net: Any = self.backbone
        x = net.act2(net.bn2(net.conv2(net.act1(net.bn1(net.conv1(x))))))
        finest: Tensor = net.incre_modules[0](net.stages(x)[0])
        return finest

    def _last_fusion(self) -> frozenset[str]:
        """Parameters of the last exchange between resolutions that only affect the coarser ones."""
        net: Any = self.backbone
        last = len(net.stage4) - 1
        coarser = tuple(f"backbone.stage4.{last}.fuse_layers.{i}." for i in (1, 2, 3))
        return frozenset(name for name, _ in self.named_parameters() if name.startswith(coarser))
