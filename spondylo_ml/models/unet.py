"""U-Net with 8,650,192 parameters at 40 channels (the presence head not counted).

Ronneberger et al., U-Net: Convolutional Networks for Biomedical Image Segmentation (MICCAI 2015), with batch
normalisation, six levels and the widths below.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spondylo_ml.config.schema import Config
from spondylo_ml.landmarks import SlotRange
from spondylo_ml.models.base import HeatmapModel, scaled_grey, with_coordinates

WIDTHS = (36, 72, 144, 256, 256, 256)
SIZE_MULTIPLE = 2 ** (len(WIDTHS) - 1)


class UNet(HeatmapModel):
    """Heatmaps at the input's resolution; presence from the deepest level."""

    def __init__(self, config: Config, slots: SlotRange) -> None:
        super().__init__(config, slots, stride=1)
        self.encoder = nn.ModuleList(
            _two_convolutions(before, width) for before, width in zip((3, *WIDTHS[:-1]), WIDTHS, strict=True)
        )
        below, width = WIDTHS[:0:-1], WIDTHS[-2::-1]
        self.up = nn.ModuleList(nn.ConvTranspose2d(b, w, 2, stride=2) for b, w in zip(below, width, strict=True))
        self.decoder = nn.ModuleList(_two_convolutions(2 * w, w) for w in width)
        self.heatmaps = nn.Conv2d(WIDTHS[0], 4 * slots.count, 1)
        self.presence = nn.Linear(2 * WIDTHS[-1], slots.count)
        self.encoder_dropout = nn.ModuleList(nn.Dropout2d(p) for p in config.model.encoder_dropout)
        self.decoder_dropout = nn.ModuleList(nn.Dropout2d(p) for p in config.model.decoder_dropout)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """See the base class; height and width are multiples of 32.

        Raises:
            ValueError: they are not; says which size would do.
        """
        height, width = images.shape[2:]
        if height % SIZE_MULTIPLE or width % SIZE_MULTIPLE:
            fitting = tuple(-(-side // SIZE_MULTIPLE) * SIZE_MULTIPLE for side in (height, width))
            raise ValueError(
                f"input of {height} x {width} px: U-Net needs multiples of {SIZE_MULTIPLE}; pad to {fitting}"
            )
        grey = scaled_grey(images)
        x = with_coordinates(grey) if self.config.model.coordinate_channels else grey.expand(-1, 3, -1, -1)
        x = x.contiguous(memory_format=torch.channels_last)
        skips = [x := self.encoder[0](x)]
        for level, dropout in zip(self.encoder[1:], self.encoder_dropout, strict=True):
            skips.append(x := level(dropout(F.max_pool2d(x, 2))))
        deepest = skips.pop()
        for up, level, dropout in zip(self.up, self.decoder, self.decoder_dropout, strict=True):
            x = level(dropout(torch.cat([skips.pop(), up(x)], dim=1)))
        pooled = torch.cat([deepest.mean(dim=(2, 3)), deepest.amax(dim=(2, 3))], dim=1)
        return self.heatmaps(x), self.presence(pooled)


def _two_convolutions(before: int, width: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (before, width):
        layers += [
            nn.Conv2d(channels, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers)
