"""The contract of all models: losses for a batch, landmarks for images.

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
from spondylo_ml.models.backbones import Backbone
from spondylo_ml.models.codec import HeatmapCodec
from spondylo_ml.models.coordinate_losses import REFERENCE_SIDE_PX, coordinate_parts
from spondylo_ml.models.heat_spread import flip_spread, heat_spread
from spondylo_ml.models.level_chain import LevelChain
from spondylo_ml.models.losses import HEATMAP_LOSSES, presence_cross_entropy

GREY_MEAN, GREY_STD = 127.5, 64.0


class Landmarks(NamedTuple):
    """What a model predicts for a batch of films.

    Attributes:
        corners_xy: (N, V, 4, 2) px of the input. Heatmap models predict corners for every slot, whether there is a
            vertebra or not; Keypoint R-CNN returns NaN for slots without a detection.
        corner_score: (N, V, 4) height of the decoded peak, 0 to 1.
        presence: (N, V) probability that the vertebra is on the film.
        covariance_px2: (N, V, 4, 2, 2) of each corner's x and y, squared px of the input; None if not estimated.
        heat_share: (N, V, 4) share of the map's heat, or of the dropout passes, around the corner, 0 to 1; None without
            covariance.
        shift_scores: (N, 2 S + 1) logarithm of the evidence for the same vertebrae S levels lower, ..., as named, ...,
            S levels higher; None if the model does not weigh other readings.
    """

    corners_xy: Tensor
    corner_score: Tensor
    presence: Tensor
    covariance_px2: Tensor | None = None
    heat_share: Tensor | None = None
    shift_scores: Tensor | None = None


class LandmarkModel(nn.Module, ABC):
    """Base of all models.

    Attributes:
        slots: the levels for which the model has outputs.
        backbone_net: the part that can load ImageNet weights; None if the network has none.
        pretrained: source of the weights that training starts from, or "none".
        added_parts: prefixes of the weights that a trained model may lack when training goes on from it.
    """

    added_parts: tuple[str, ...] = ()

    def __init__(self, slots: SlotRange) -> None:
        super().__init__()
        self.slots = slots
        self.backbone_net: Backbone | None = None
        self.pretrained = "none"

    @abstractmethod
    def losses(self, batch: FilmBatch) -> dict[str, Tensor]:
        """The weighted parts of the loss, by name; training minimises their sum."""

    @abstractmethod
    def predict(self, images: Tensor) -> Landmarks:
        """Landmarks for (N, 1, H, W) uint8 images."""

    def unused_parameters(self) -> frozenset[str]:
        """Names of the parameters that get no gradient from the configured loss."""
        return frozenset()

    def loss_heads(self) -> dict[str, str]:
        """The configured parts of the loss, each with the prefix of the parameters that must get its gradient."""
        return {}

    def attention(self, images: Tensor) -> Tensor | None:
        """(N, h, w) map from 0 to 1 of the model's attention, for display; None if it has none."""
        return None

    def learn_shapes(self, corners_xy: Tensor) -> None:
        """Learn from (N, V, 4, 2) corners of the training films, input px, NaN where absent; called before training."""
        return None

    def heat(self, images: Tensor) -> Tensor | None:
        """(N, h, w) map from 0 to 1 of where the model sees corners, for display; None if it has no heatmaps."""
        return None


class NetworkOutput(NamedTuple):
    """Raw output of a heatmap network.

    Attributes:
        heatmaps: (N, K, h, w) raw.
        presence: (N, V) logits.
        spread_px512: (N, K, 2) standard deviation of each corner; None if the network does not predict it.
    """

    heatmaps: Tensor
    presence: Tensor
    spread_px512: Tensor | None = None


class HeatmapModel(LandmarkModel):
    """A network with one heatmap per corner and slot, and a presence head."""

    def __init__(self, config: Config, slots: SlotRange, stride: int) -> None:
        super().__init__(slots)
        self.config = config
        self.codec = HeatmapCodec(
            config.heatmap.sigma_cells, stride, config.heatmap.decoder, config.heatmap.blur_kernel
        )
        self.chain = LevelChain(slots.count)
        self.heatmap_loss = HEATMAP_LOSSES[config.loss.heatmap]

    @abstractmethod
    def forward(self, images: Tensor) -> NetworkOutput:
        """The network's output for (N, 1, H, W) uint8 images."""

    def losses(self, batch: FilmBatch) -> dict[str, Tensor]:
        """See the base class."""
        output, config = self(batch.images), self.config.loss
        corners = batch.corners_xy.flatten(1, 2)
        present = ~corners.isnan().any(dim=-1)
        target = self.codec.encode(corners, (output.heatmaps.shape[2], output.heatmaps.shape[3]))
        heatmap = self.heatmap_loss.loss(output.heatmaps, target, present, config)
        parts = {"heatmap": config.heatmap_weight * heatmap}
        if config.presence_weight > 0:
            presence = presence_cross_entropy(output.presence, batch.present, batch.labelled)
            parts["presence"] = config.presence_weight * presence
        if config.coordinate_weight + config.anatomical_weight + config.uncertainty_weight > 0:
            scale = px512_per_px(batch.images)
            predicted = self.codec.mean_points(self.heatmap_loss.log_weights(output.heatmaps))
            parts |= coordinate_parts(predicted * scale, corners * scale, present, output.spread_px512, config)
        return parts

    def loss_heads(self) -> dict[str, str]:
        """See the base class."""
        config = self.config.loss
        heads = {
            "presence": (config.presence_weight, "presence."),
            "coordinate": (config.coordinate_weight, "heatmaps."),
            "anatomical": (config.anatomical_weight, "heatmaps."),
            "uncertainty": (config.uncertainty_weight, "spread."),
        }
        return {"heatmap": "heatmaps."} | {part: head for part, (weight, head) in heads.items() if weight > 0}

    def unused_parameters(self) -> frozenset[str]:
        """See the base class."""
        if self.config.loss.presence_weight > 0:
            return frozenset()
        return frozenset(name for name, _ in self.named_parameters() if name.startswith("presence."))

    @torch.no_grad()
    def predict(self, images: Tensor) -> Landmarks:
        """Landmarks decoded from the heatmaps, for all slots regardless of presence."""
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
            heat = flip_spread(orientations[0], orientations[-1], corners, self.codec, window)
        elif self.config.uncertainty.source == "heatmap":
            heat = heat_spread(maps, corners, self.codec, window)
        else:
            return landmarks
        covariance, share = heat.covariance_px2.reshape(*shape, 2, 2), heat.heat_share.reshape(shape)
        return landmarks._replace(covariance_px2=covariance, heat_share=share)

    def _maps(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Maps (N, K, h, w) and presence (N, V)."""
        heatmaps, presence, _ = self(images)
        return self.display_maps(heatmaps), presence.float().sigmoid()

    def learn_shapes(self, corners_xy: Tensor) -> None:
        """Learn the chain of levels."""
        self.chain.learn(corners_xy)

    @torch.no_grad()
    def heat(self, images: Tensor) -> Tensor:
        """Maximum over the maps of the vertebrae predicted present, each scaled to its peak."""
        heatmaps, presence, _ = self(images)
        maps = self.display_maps(heatmaps)
        maps = maps / maps.amax(dim=(2, 3), keepdim=True).clamp_min(1e-12)
        present = (presence > 0).repeat_interleave(4, dim=1)
        heat: Tensor = (maps * present[..., None, None]).amax(dim=1)
        return heat

    def display_maps(self, heatmaps: Tensor) -> Tensor:
        """Raw heatmaps to the non-negative maps that are decoded and shown."""
        return self.heatmap_loss.maps(heatmaps)

    def heatmap_head(self, width: int) -> nn.Conv2d:
        """The 1x1 convolution to the raw heatmaps, with the initial bias of the loss."""
        head = nn.Conv2d(width, 4 * self.slots.count, 1)
        if self.heatmap_loss.start_bias is not None and head.bias is not None:
            nn.init.constant_(head.bias, self.heatmap_loss.start_bias)
        return head


def mirrored_back(maps: Tensor) -> Tensor:
    """(N, K, h, w) maps of mirrored images to maps of the images: columns reversed, left and right exchanged."""
    count, channels, height, width = maps.shape
    by_slot = maps.flip(3).reshape(count, channels // 4, 4, height, width)
    return by_slot[:, :, list(MIRRORED_CORNERS)].reshape(maps.shape)


def px512_per_px(images: Tensor) -> float:
    """Size of a px of (N, 1, H, W) images in px512."""
    return REFERENCE_SIDE_PX / max(images.shape[2:])


def check_multiple(images: Tensor, multiple: int, name: str) -> None:
    """Raise `ValueError` if height or width is not a multiple; the message states a size that is."""
    height, width = images.shape[2:]
    if height % multiple or width % multiple:
        fitting = tuple(-(-side // multiple) * multiple for side in (height, width))
        raise ValueError(f"input of {height} x {width} px: {name} needs multiples of {multiple}; pad to {fitting}")


def network_input(images: Tensor, coordinates: bool, mean: float = GREY_MEAN, std: float = GREY_STD) -> Tensor:
    """(N, 1, H, W) uint8 images to (N, 3, H, W): grey, x and y (column and row), or grey three times."""
    grey = scaled_grey(images, mean, std)
    x = with_coordinates(grey) if coordinates else grey.expand(-1, 3, -1, -1)
    return x.contiguous(memory_format=torch.channels_last)


def pooled(features: Tensor) -> Tensor:
    """(N, C, h, w) to (N, 2 C): mean and maximum over the cells."""
    return torch.cat([features.mean(dim=(2, 3)), features.amax(dim=(2, 3))], dim=1)


def scaled_grey(images: Tensor, mean: float = GREY_MEAN, std: float = GREY_STD) -> Tensor:
    """uint8 grey levels to floats of about unit standard deviation."""
    return (images.float() - mean) / std


def with_coordinates(grey: Tensor) -> Tensor:
    """(N, 1, H, W) to (N, 3, H, W): grey, x (column) and y (row), both from -1 to 1 along the longer side.

    Liu et al., An Intriguing Failing of Convolutional Neural Networks and the CoordConv Solution (NeurIPS 2018).
    """
    count, _, height, width = grey.shape
    longer = max(height, width)
    rows = torch.linspace(-height / longer, height / longer, height, device=grey.device)
    columns = torch.linspace(-width / longer, width / longer, width, device=grey.device)
    grid = torch.stack([columns.expand(height, width), rows[:, None].expand(height, width)])
    return torch.cat([grey, grid.expand(count, -1, -1, -1).to(grey.dtype)], dim=1)
