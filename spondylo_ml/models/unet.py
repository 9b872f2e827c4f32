"""U-Net with 8,650,192 parameters at 40 channels (the presence head not counted) and the default width.

Ronneberger et al., U-Net: Convolutional Networks for Biomedical Image Segmentation (MICCAI 2015), with batch
normalisation and six levels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spondylo_ml.config.schema import Config
from spondylo_ml.landmarks import SlotRange
from spondylo_ml.models.base import HeatmapModel, NetworkOutput, check_multiple, network_input, pooled
from spondylo_ml.models.convolutions import two_convolutions

WIDTHS = (36, 72, 144, 256, 256, 256)
"""Channels of each level, top first, at the default `model.unet.width`."""

SIZE_MULTIPLE = 2 ** (len(WIDTHS) - 1)


class UNet(HeatmapModel):
    """Heatmaps at the input's resolution; presence from the deepest level."""

    def __init__(self, config: Config, slots: SlotRange) -> None:
        super().__init__(config, slots, stride=1)
        widths = tuple(width * config.model.unet.width // WIDTHS[0] for width in WIDTHS)
        self.encoder = nn.ModuleList(
            two_convolutions(before, width) for before, width in zip((3, *widths[:-1]), widths, strict=True)
        )
        below, width = widths[:0:-1], widths[-2::-1]
        self.up = nn.ModuleList(nn.ConvTranspose2d(b, w, 2, stride=2) for b, w in zip(below, width, strict=True))
        self.decoder = nn.ModuleList(two_convolutions(2 * w, w) for w in width)
        self.heatmaps = self.heatmap_head(widths[0])
        self.presence = nn.Linear(2 * widths[-1], slots.count)
        self.encoder_dropout = nn.ModuleList(nn.Dropout2d(p) for p in config.model.encoder_dropout)
        self.decoder_dropout = nn.ModuleList(nn.Dropout2d(p) for p in config.model.decoder_dropout)

    def forward(self, images: Tensor) -> NetworkOutput:
        """See the base class.

        Raises:
            ValueError: height or width is not a multiple of 32.
        """
        check_multiple(images, SIZE_MULTIPLE, "U-Net")
        x = network_input(images, self.config.model.coordinate_channels)
        skips = [x := self.encoder[0](x)]
        for level, dropout in zip(self.encoder[1:], self.encoder_dropout, strict=True):
            skips.append(x := level(dropout(F.max_pool2d(x, 2))))
        deepest = skips.pop()
        for up, level, dropout in zip(self.up, self.decoder, self.decoder_dropout, strict=True):
            x = level(dropout(torch.cat([skips.pop(), up(x)], dim=1)))
        return NetworkOutput(self.heatmaps(x), self.presence(pooled(deepest)))
