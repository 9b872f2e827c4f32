"""MAHT-Net, a multi-scale anatomical heatmap transformer: 27,416,954 parameters as configured by default, at 40
channels, the presence head not counted.

Convolutional features, a transformer over the deepest of them, one query per corner that attends to the film and to the
other corners, a map of each query over the tokens, and a decoder that upsamples the maps to stride 2.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spondylo_ml.config.network import MAHTNetConfig
from spondylo_ml.config.schema import Config
from spondylo_ml.landmarks import SlotRange
from spondylo_ml.models.anatomical_attention import PositionCode, VertebralAttention
from spondylo_ml.models.backbones import as_backbone, grey_mean_std, timm_features
from spondylo_ml.models.base import HeatmapModel, NetworkOutput, check_multiple, network_input, pooled
from spondylo_ml.models.convolutions import two_convolutions

TAPS = (1, 2, 3, 4)  # strides 4, 8, 16, 32
SIZE_MULTIPLE = 32
DECODER_WIDTHS = (128, 128, 64, 32)
DECODER_INPUT = 256
FEED_FORWARD = 4
SPREAD_HIDDEN = 128
LEAST_SPREAD_PX512, GREATEST_SPREAD_PX512, START_SPREAD_PX512 = 0.5, 50.0, 10.0


class MAHTNet(HeatmapModel):
    """Heatmaps at stride 2; presence and spread from the queries, if there are any."""

    def __init__(self, config: Config, slots: SlotRange) -> None:
        super().__init__(config, slots, stride=2)
        options = config.model.maht_net
        self.options = options
        self.backbone = timm_features(options.backbone, TAPS)
        *skips, deepest = self.backbone.feature_info.channels()  # type: ignore[operator, union-attr]
        self.project = nn.Conv2d(deepest, options.width, 1) if deepest != options.width else nn.Identity()
        self.position = PositionCode(options.width) if options.bridge_layers + options.attention_layers else None
        self.bridge = _bridge(options) if options.bridge_layers else None
        self.vertebral: VertebralAttention | None = None
        self.spread: nn.Sequential | None = None
        if options.attention_layers:
            self.vertebral = VertebralAttention(
                slots.count,
                options.width,
                options.heads,
                options.attention_layers,
                options.dropout,
                options.anatomical_bias,
            )
            self.spread = _spread_head(options.width)
        by_query = options.attention_layers > 0 and options.maps == "per_query"
        self.widen = nn.Conv2d(4 * slots.count if by_query else options.width, DECODER_INPUT, 1)
        self.decoder = Decoder([*skips[::-1], 0])
        self.heatmaps = self.heatmap_head(DECODER_WIDTHS[-1])
        self.presence = nn.Linear(options.width, 1) if self.vertebral else nn.Linear(2 * options.width, slots.count)
        self.backbone_net = as_backbone(options.backbone, self.backbone)
        self._grey = grey_mean_std(options.backbone)

    def forward(self, images: Tensor) -> NetworkOutput:
        """See the base class.

        Raises:
            ValueError: height or width is not a multiple of 32.
        """
        check_multiple(images, SIZE_MULTIPLE, "MAHT-Net")
        skips, grid = self._features(images)
        if self.vertebral is None or self.spread is None:
            maps = self.decoder(self.widen(grid), skips)
            return NetworkOutput(self.heatmaps(maps), self.presence(pooled(grid)))
        tokens = grid.flatten(2).transpose(1, 2)
        queries, _ = self.vertebral(tokens)
        maps = self.decoder(self.widen(self._query_maps(queries, grid)), skips)
        presence = self.presence(queries.unflatten(1, (-1, 4)).mean(dim=2))[..., 0]
        log_spread = self.spread(queries).float()
        limits = math.log(LEAST_SPREAD_PX512), math.log(GREATEST_SPREAD_PX512)
        return NetworkOutput(self.heatmaps(maps), presence, log_spread.clamp(*limits).exp())

    @torch.no_grad()
    def attention(self, images: Tensor) -> Tensor | None:
        """Maximum over the corners of the last layer's attention to the film, each scaled to its peak."""
        by_corner = self.corner_attention(images)
        if by_corner is None:
            return None
        combined: Tensor = (by_corner / by_corner.amax(dim=(2, 3), keepdim=True).clamp_min(1e-12)).amax(dim=1)
        return combined

    @torch.no_grad()
    def corner_attention(self, images: Tensor) -> Tensor | None:
        """(N, K, h, w) attention of each corner's query to the film at stride 32, mean over the heads; sums to 1."""
        if self.vertebral is None:
            return None
        _, grid = self._features(images)
        _, weights = self.vertebral(grid.flatten(2).transpose(1, 2))
        by_corner: Tensor = weights.float().view(*weights.shape[:2], *grid.shape[2:])
        return by_corner

    def unused_parameters(self) -> frozenset[str]:
        """Those of the base class, and the spread head if its loss has no weight."""
        unused = set(super().unused_parameters())
        if self.config.loss.uncertainty_weight == 0:
            unused |= {name for name, _ in self.named_parameters() if name.startswith("spread.")}
        return frozenset(unused)

    def _features(self, images: Tensor) -> tuple[list[Tensor], Tensor]:
        """Features at strides 16, 8 and 4, and the (N, d, h, w) tokens at stride 32 after the bridge."""
        x = network_input(images, self.config.model.coordinate_channels, *self._grey)
        *skips, deepest = self.backbone(x)
        grid = self.project(deepest)
        height, width = grid.shape[2:]
        if self.position is not None:
            tokens = grid.flatten(2).transpose(1, 2) + self.position(height, width)
            tokens = tokens if self.bridge is None else self.bridge(tokens)
            grid = tokens.transpose(1, 2).unflatten(2, (height, width))
        return skips[::-1], grid

    def _query_maps(self, queries: Tensor, grid: Tensor) -> Tensor:
        """(N, K, h, w) similarity of each query and token; if pooled, the tokens weighted by the mean query."""
        if self.options.maps == "pooled":
            return grid * queries.mean(dim=1)[..., None, None]
        return torch.einsum("nkd,ndhw->nkhw", queries, grid) / math.sqrt(grid.shape[1])


class Decoder(nn.Module):
    """Four stages: upsample by 2, concatenate the features of that size, two convolutions."""

    def __init__(self, skip_channels: list[int]) -> None:
        super().__init__()
        widths = (DECODER_INPUT, *DECODER_WIDTHS)
        self.stages = nn.ModuleList(
            two_convolutions(before + skip, width)
            for (before, width), skip in zip(pairwise(widths), skip_channels, strict=True)
        )

    def forward(self, x: Tensor, skips: list[Tensor]) -> Tensor:
        """(N, C, h, w) at stride 32 and the features at strides 16, 8 and 4, to (N, 32, 16 h, 16 w)."""
        x = x.contiguous(memory_format=torch.channels_last)
        for i, stage in enumerate(self.stages):
            x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
            x = stage(torch.cat([x, skips[i]], dim=1) if i < len(skips) else x)
        return x


def _bridge(options: MAHTNetConfig) -> nn.TransformerEncoder:
    layer = nn.TransformerEncoderLayer(
        options.width,
        options.heads,
        FEED_FORWARD * options.width,
        options.dropout,
        "gelu",
        batch_first=True,
        norm_first=True,
    )
    return nn.TransformerEncoder(layer, options.bridge_layers, nn.LayerNorm(options.width), enable_nested_tensor=False)


def _spread_head(width: int) -> nn.Sequential:
    last = nn.Linear(SPREAD_HIDDEN, 2)
    nn.init.constant_(last.bias, math.log(START_SPREAD_PX512))
    return nn.Sequential(
        nn.Linear(width, SPREAD_HIDDEN), nn.GELU(), nn.Linear(SPREAD_HIDDEN, SPREAD_HIDDEN), nn.GELU(), last
    )
