"""The contract that every model obeys: losses for a batch, landmarks for images.

Shapes: N films, V slots, K = 4 V corners, H x W input px, h x w heatmap cells.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor, nn

from spondylo_ml.config.schema import Config
from spondylo_ml.data.batches import FilmBatch
from spondylo_ml.landmarks import MIRRORED_CORNERS, SlotRange
from spondylo_ml.models.codec import HeatmapCodec
from spondylo_ml.models.heat_spread import flip_spread, heat_spread
from spondylo_ml.models.level_chain import LevelChain
from spondylo_ml.models.losses import presence_cross_entropy, spatial_cross_entropy, weighted_mse

GREY_MEAN, GREY_STD = 127.5, 64.0


class Landmarks(NamedTuple):
    """What a model sees on films; corners are given for every slot, whether a vertebra is there or not.

    Attributes:
        corners_xy: (N, V, 4, 2) px of the input.
        corner_score: (N, V, 4) height of the decoded peak, 0 to 1.
        presence: (N, V) probability that the vertebra is on the film.
        covariance_px2: (N, V, 4, 2, 2) of each corner's x and y, squared px of the input; None where a model has none.
        heat_share: (N, V, 4) share of the map's heat round the corner, 0 to 1; None where there is no covariance.
    """

    corners_xy: Tensor
    corner_score: Tensor
    presence: Tensor
    covariance_px2: Tensor | None = None
    heat_share: Tensor | None = None


class LandmarkModel(nn.Module, ABC):
    """Base of all models.

    Attributes:
        slots: the levels for which the model has outputs.
    """

    def __init__(self, slots: SlotRange) -> None:
        super().__init__()
        self.slots = slots

    @abstractmethod
    def losses(self, batch: FilmBatch) -> dict[str, Tensor]:
        """Named, weighted parts of the loss; their sum is minimised."""

    @abstractmethod
    def predict(self, images: Tensor) -> Landmarks:
        """Landmarks for (N, 1, H, W) uint8 images."""

    def learn_shapes(self, corners_xy: Tensor) -> None:
        """Called once before training with the (N, V, 4, 2) input px of the training films, NaN where absent."""
        return None

    def heat(self, images: Tensor) -> Tensor | None:
        """(N, h, w) map from 0 to 1 of where the model sees corners, for display; None where it has no such map."""
        return None


class HeatmapModel(LandmarkModel):
    """A network of one heatmap per corner and slot, with a presence head beside it."""

    def __init__(self, config: Config, slots: SlotRange, stride: int) -> None:
        super().__init__(slots)
        self.config = config
        self.codec = HeatmapCodec(
            config.heatmap.sigma_cells, stride, config.heatmap.decoder, config.heatmap.blur_kernel
        )
        self.chain = LevelChain(slots.count)

    @abstractmethod
    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 1, H, W) uint8 images to (N, K, h, w) raw heatmaps and (N, V) presence logits."""

    def losses(self, batch: FilmBatch) -> dict[str, Tensor]:
        """Heatmap and presence loss, each weighted as configured."""
        heatmaps, presence = self(batch.images)
        corners = batch.corners_xy.flatten(1, 2)
        present = ~corners.isnan().any(dim=-1)
        target = self.codec.encode(corners, (heatmaps.shape[2], heatmaps.shape[3]))
        config = self.config.loss
        if config.heatmap == "cross_entropy":
            heatmap = spatial_cross_entropy(heatmaps, target, present)
        else:
            heatmap = weighted_mse(heatmaps, target, present, config.keypoint_weight)
        parts = {"heatmap": config.heatmap_weight * heatmap}
        if config.presence_weight > 0:
            parts["presence"] = config.presence_weight * presence_cross_entropy(presence, batch.present, batch.labelled)
        return parts

    @torch.no_grad()
    def predict(self, images: Tensor) -> Landmarks:
        """Landmarks decoded from the heatmaps, whatever the presence score."""
        maps, probability = self._maps(images)
        orientations = [maps]
        if self.config.heatmap.flip_average:
            mirrored_maps, mirrored_probability = self._maps(images.flip(3))
            orientations.append(mirrored_back(mirrored_maps))
            maps = (maps + orientations[1]) / 2
            probability = (probability + mirrored_probability) / 2
        if self.config.heatmap.levels == "chain" and self.chain.learned:
            corners, score = self.codec.refine(maps, self.chain.choose(maps, probability))
        else:
            corners, score = self.codec.decode(maps)
        shape = (len(images), self.slots.count, 4)
        landmarks = Landmarks(corners.reshape(*shape, 2), score.clamp(0, 1).reshape(shape), probability)
        window = self.config.uncertainty.window_sigmas
        if self.config.uncertainty.source == "flip":
            spread = flip_spread(orientations[0], orientations[-1], corners, self.codec, window)
        elif self.config.uncertainty.source == "heatmap":
            spread = heat_spread(maps, corners, self.codec, window)
        else:
            return landmarks
        covariance, share = spread.covariance_px2.reshape(*shape, 2, 2), spread.heat_share.reshape(shape)
        return landmarks._replace(covariance_px2=covariance, heat_share=share)

    def _maps(self, images: Tensor) -> tuple[Tensor, Tensor]:
        heatmaps, presence = self(images)
        return self.display_maps(heatmaps), presence.float().sigmoid()

    def learn_shapes(self, corners_xy: Tensor) -> None:
        """Shapes and steps for the chain of levels."""
        self.chain.learn(corners_xy)

    @torch.no_grad()
    def heat(self, images: Tensor) -> Tensor:
        """Maximum over the maps of the vertebrae said to be there, each scaled to its own peak."""
        heatmaps, presence = self(images)
        maps: Tensor = self.display_maps(heatmaps)
        maps = maps / maps.amax(dim=(2, 3), keepdim=True).clamp_min(1e-12)
        there = (presence > 0).repeat_interleave(4, dim=1)
        seen: Tensor = (maps * there[..., None, None]).amax(dim=1)
        return seen

    def display_maps(self, heatmaps: Tensor) -> Tensor:
        """Raw heatmaps as the non-negative maps that are decoded and shown."""
        if self.config.loss.heatmap == "cross_entropy":
            return heatmaps.float().flatten(2).softmax(dim=2).view_as(heatmaps)
        return heatmaps.float().clamp_min(0)


def mirrored_back(maps: Tensor) -> Tensor:
    """(N, K, h, w) maps of mirrored images as maps of the images: columns reversed, left and right exchanged."""
    count, channels, height, width = maps.shape
    by_slot = maps.flip(3).reshape(count, channels // 4, 4, height, width)
    return by_slot[:, :, list(MIRRORED_CORNERS)].reshape(maps.shape)


def scaled_grey(images: Tensor) -> Tensor:
    """uint8 grey levels as floats of about unit spread."""
    return (images.float() - GREY_MEAN) / GREY_STD


def with_coordinates(grey: Tensor) -> Tensor:
    """(N, 1, H, W) to (N, 3, H, W): grey, column and row, both from -1 to 1 along the longer side.

    Liu et al., An Intriguing Failing of Convolutional Neural Networks and the CoordConv Solution (NeurIPS 2018).
    """
    count, _, height, width = grey.shape
    longer = max(height, width)
    rows = torch.linspace(-height / longer, height / longer, height, device=grey.device)
    columns = torch.linspace(-width / longer, width / longer, width, device=grey.device)
    grid = torch.stack([columns.expand(height, width), rows[:, None].expand(height, width)])
    return torch.cat([grey, grid.expand(count, -1, -1, -1).to(grey.dtype)], dim=1)
