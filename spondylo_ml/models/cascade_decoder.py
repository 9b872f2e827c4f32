"""From the features of the backbone to those of the stages of Cascade Net."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from spondylo_ml.config.network import CascadeNetConfig
from spondylo_ml.models.anatomical_attention import PositionCode
from spondylo_ml.models.convolutions import doubled, merging

FEED_FORWARD = 4
DECODER_16_WIDTH = 96


class Decoder(nn.Module):
    """Transformer over the deepest features, then features upsampled to strides 16, 8 and 4."""

    def __init__(self, channels: list[int], options: CascadeNetConfig) -> None:
        super().__init__()
        at_4, at_8, at_16, at_32 = channels
        width, tokens = options.width, options.token_width
        self.project = nn.Conv2d(at_32, tokens, 1)
        self.position = PositionCode(tokens)
        layer = nn.TransformerEncoderLayer(
            tokens, options.heads, FEED_FORWARD * tokens, 0.0, "gelu", batch_first=True, norm_first=True
        )
        self.bridge = nn.TransformerEncoder(
            layer, options.bridge_layers, nn.LayerNorm(tokens), enable_nested_tensor=False
        )
        self.to_16 = merging(at_16 + tokens, DECODER_16_WIDTH)
        self.to_8 = merging(at_8 + DECODER_16_WIDTH, width)
        self.to_4 = merging(at_4 + width, width)

    def forward(self, features: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Features at strides 4 to 32 to (N, T, d) tokens and features at strides 8 and 4."""
        at_4, at_8, at_16, at_32 = features
        grid = self.project(at_32)
        height, width = grid.shape[2:]
        tokens = self.bridge(grid.flatten(2).transpose(1, 2) + self.position(height, width))
        grid = tokens.transpose(1, 2).unflatten(2, (height, width))
        x = self.to_16(torch.cat([at_16, doubled(grid)], dim=1))
        x = self.to_8(torch.cat([at_8, doubled(x)], dim=1))
        return tokens, x, self.to_4(torch.cat([at_4, doubled(x)], dim=1))
