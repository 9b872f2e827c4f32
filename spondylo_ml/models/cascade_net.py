"""Cascade Net: which body is which level at stride 8, then the corners of each body from a grid laid over it.

Stage one gives each level a distribution over the cells of the film and "absent", and each cell size and tilt of the
body on it. `CentreChain` reads the whole spine from them. Stage two samples features of stride 4 under each body, all
turned and scaled alike, and finds the corners with one network for all bodies: a film of 17 vertebrae is 17 examples.
It runs more than once, each time on the boxes of the corners found before.

The close-up, if there is one, finds the corners again in the pixels under each body. All before it may see the input
reduced: which body is which level needs the whole film, but not its resolution.

The backbone is an EfficientNet-Lite, cheap on a processor. A transformer over its deepest features lets each place
see sacrum, pelvis and ribs. N films, V levels, H x W input px, h x w cells of stride 8.
"""

from __future__ import annotations

import logging
import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import Conv2dNormActivation

from spondylo_ml.config.schema import Config
from spondylo_ml.data.batches import FilmBatch
from spondylo_ml.landmarks import SlotRange
from spondylo_ml.models.backbones import as_backbone, grey_mean_std, timm_features
from spondylo_ml.models.base import LandmarkModel, Landmarks, check_multiple, network_input
from spondylo_ml.models.cascade_decoder import Decoder
from spondylo_ml.models.cascade_levels import (
    LEVEL_STRIDE,
    Levels,
    level_cross_entropy,
    mean_levels,
    mirrored_levels,
    shape_error,
)
from spondylo_ml.models.cascade_views import View, mean_corner_shares
from spondylo_ml.models.centre_chain import CentreChain
from spondylo_ml.models.close_up import CloseUp
from spondylo_ml.models.corner_grids import corner_cross_entropy
from spondylo_ml.models.found_corners import enlarged, found_on_boxes, to_reduced
from spondylo_ml.models.oriented_boxes import (
    boxes_of_bodies,
    grid_points,
    jittered_boxes,
    sample_boxes,
    to_frame,
)
from spondylo_ml.models.spine_gaps import read_spines

log = logging.getLogger(__name__)

TAPS = (1, 2, 3, 4)  # strides 4, 8, 16, 32
SIZE_MULTIPLE = 32
SHORTEST_STEP_PX = 2 * LEVEL_STRIDE  # from body to body: peaks of neighbouring cells would merge
START_SIDE_PX = 32.0  # of bodies, by an untrained network
CLOSE_UP_PASSES = 2


class CascadeNet(LandmarkModel):
    """Levels, then corners."""

    added_parts = ("close_up.",)

    def __init__(self, config: Config, slots: SlotRange) -> None:
        super().__init__(slots)
        self.config = config
        self.options = options = config.model.cascade_net
        self._trains_stages = config.training.parts != "close_up"
        self._trains_close_up = config.training.parts != "all_but_close_up"
        self.backbone = timm_features(options.backbone, TAPS)
        channels = self.backbone.feature_info.channels()  # type: ignore[operator, union-attr]
        self.decoder = Decoder(channels, options)
        self.levels = nn.Conv2d(options.width, slots.count, 1)
        self.absent = nn.Linear(options.token_width, slots.count)
        self.shapes = nn.Conv2d(options.width, 3, 1)
        self.corners = _corner_head(options.width)
        self.close_up = CloseUp(options.close_up_samples) if options.close_up_samples else None
        self.chain = CentreChain(slots.count)
        self.backbone_net = as_backbone(options.backbone, self.backbone)
        self._grey = grey_mean_std(options.backbone)
        with torch.no_grad():
            assert self.shapes.bias is not None
            self.shapes.bias.copy_(torch.tensor([math.log(START_SIDE_PX), math.log(START_SIDE_PX), 0.0]))

    def forward(self, images: Tensor) -> Levels:
        """Stage one on (N, 1, H, W) images of grey levels, reduced if the network reduces them.

        Raises:
            ValueError: height or width is not a multiple of 32.
        """
        check_multiple(images, SIZE_MULTIPLE, "Cascade Net")
        features = self.backbone(network_input(images, self.config.model.coordinate_channels, *self._grey))
        tokens, at_8, at_4 = self.decoder(features)
        logits = self.levels(at_8).float()
        log_share = torch.cat([logits.flatten(2), self.absent(tokens.mean(dim=1)).float()[..., None]], dim=2)
        log_share = log_share.log_softmax(dim=2)
        return Levels(log_share[..., :-1].view_as(logits), log_share[..., -1], self.shapes(at_8).float(), at_4)

    def losses(self, batch: FilmBatch) -> dict[str, Tensor]:
        """See the base class.

        A level counts in stage one if it is absent from a labelled film, or all its corners are on the image; in stage
        two and in the close-up in the latter case.
        """
        boxes = boxes_of_bodies(batch.corners_xy)
        complete = ~boxes.isnan().any(dim=-1)
        parts = self._stage_losses(batch, complete) if self._trains_stages else {}
        if self.close_up is not None and self._trains_close_up:
            error = self.close_up.loss(
                batch.images, boxes, batch.corners_xy, complete, self.options.corner_sigma_cells
            )  # fmt: skip
            parts["close_up"] = self.options.close_up_weight * error
        return parts

    def _stage_losses(self, batch: FilmBatch, complete: Tensor) -> dict[str, Tensor]:
        images, corners_xy = self._reduced(batch.images), to_reduced(batch.corners_xy, self.options.reduction)
        output, boxes = self(images), boxes_of_bodies(corners_xy)
        absent = ~batch.present & batch.labelled[:, None]
        return {
            "levels": level_cross_entropy(output, boxes, complete, absent),
            "shape": self.options.shape_weight * shape_error(output.shapes, boxes, complete),
            "corner": self.options.corner_weight * self._corner_loss(output, _size_hw(images), corners_xy, complete),
        }

    def _reduced(self, images: Tensor) -> Tensor:
        """The input as all but the close-up sees it."""
        factor = self.options.reduction
        return images if factor == 1 else F.avg_pool2d(images.float(), factor)

    def learn_shapes(self, corners_xy: Tensor) -> None:
        """Learn the steps from body to body, and warn if they are too short to tell neighbouring bodies apart."""
        if not self._trains_stages:
            return
        corners_xy = to_reduced(corners_xy, self.options.reduction)
        self.chain.learn(corners_xy)
        step_px = corners_xy.mean(dim=2).diff(dim=1).norm(dim=-1)
        median_px = float(step_px[step_px.isfinite()].median()) if step_px.isfinite().any() else math.nan
        if median_px < SHORTEST_STEP_PX:
            log.warning(
                "neighbouring vertebrae are %.1f px apart on the network's input (median), Cascade Net needs %d px: "
                "raise data.input_side_px or data.input_hw %.1f times",
                median_px, SHORTEST_STEP_PX, SHORTEST_STEP_PX / median_px,
            )  # fmt: skip

    def loss_heads(self) -> dict[str, str]:
        """See the base class."""
        stages = {"levels": "levels.", "shape": "shapes.", "corner": "corners."} if self._trains_stages else {}
        return stages | ({"close_up": "close_up."} if self.close_up is not None and self._trains_close_up else {})

    def unused_parameters(self) -> frozenset[str]:
        """All but those of the close-up, if it is trained alone; those of the close-up, if all else is."""
        if self._trains_stages and self._trains_close_up:
            return super().unused_parameters()
        names = {name for name, _ in self.named_parameters()}
        close_up = {name for name in names if name.startswith("close_up.")}
        return frozenset(close_up if self._trains_stages else names - close_up)

    def _corner_loss(self, output: Levels, size_hw: tuple[int, int], corners_xy: Tensor, complete: Tensor) -> Tensor:
        if not complete.any():
            return 0 * output.features.float().sum()
        boxes = boxes_of_bodies(corners_xy).nan_to_num()
        around = jittered_boxes(boxes) if self.training else boxes
        logits = self.corner_logits(output.features, around, size_hw, complete)
        target = to_frame(around, corners_xy)[complete]
        return corner_cross_entropy(logits, target, self.options.corner_sigma_cells)

    def corner_logits(
        self, features: Tensor, boxes: Tensor, size_hw: tuple[int, int], chosen: Tensor | None = None
    ) -> Tensor:
        """(M, 4, g, g) logits of the corners of the chosen of (N, V, 5) boxes; by default all of them."""
        cells = self.options.corner_cells
        sampled = sample_boxes(features, boxes, cells, size_hw)
        log_side = boxes[..., 2:4].mean(dim=-1).flatten() - math.log(START_SIDE_PX)
        if chosen is not None:
            sampled, log_side = sampled[chosen.flatten()], log_side[chosen.flatten()]
        place = grid_points(cells, boxes.device).permute(2, 0, 1).expand(len(sampled), -1, -1, -1)
        scale = log_side[:, None, None, None].expand(-1, 1, cells, cells)
        logits: Tensor = self.corners(torch.cat([sampled, place, scale], dim=1))
        return logits

    @torch.no_grad()
    def predict(self, images: Tensor) -> Landmarks:
        """Corners for all levels; those of an absent one continue the spine by mean steps."""
        reduced = self._reduced(images)
        levels, views = self._views(reduced)
        spine, size_hw = read_spines(self.chain, levels), _size_hw(reduced)
        found = found_on_boxes(lambda b: mean_corner_shares(views, b, size_hw), spine.boxes, self.options.corner_passes)
        found = enlarged(found, self.options.reduction)
        if self.close_up is not None:
            close_up, flip = self.close_up, self.config.heatmap.flip_average
            boxes = boxes_of_bodies(found.corners_xy)
            found = found_on_boxes(lambda b: close_up.shares(images, b, flip), boxes, CLOSE_UP_PASSES)
        share = found.share * spine.seen[..., None]
        limit = torch.tensor([images.shape[3] - 1, images.shape[2] - 1], device=images.device)
        # The edge of the image may cut a body: nothing is seen of a corner beyond it, which must not look definite.
        share = share * ((found.corners_xy >= 0) & (found.corners_xy <= limit)).all(dim=-1)
        landmarks = Landmarks(found.corners_xy, share, spine.presence, shift_scores=spine.shift_scores)
        if self.config.uncertainty.source != "heatmap":
            return landmarks
        return landmarks._replace(covariance_px2=found.covariance_px2, heat_share=share)

    @torch.no_grad()
    def heat(self, images: Tensor) -> Tensor:
        """Sum of the shares of all levels, scaled to its peak."""
        total = self._views(self._reduced(images))[0].log_share.exp().sum(dim=1)
        heat: Tensor = total / total.amax(dim=(1, 2), keepdim=True).clamp_min(1e-12)
        return heat

    def _views(self, images: Tensor) -> tuple[Levels, list[View]]:
        """Stage one, averaged over the film and, if configured, its mirror image; and the features of each."""
        output = self(images)
        several, views = [output], [View(self.corner_logits, output.features, mirrored=False)]
        if self.config.heatmap.flip_average:
            output = self(images.flip(3))
            several.append(mirrored_levels(output))
            views.append(View(self.corner_logits, output.features, mirrored=True))
        return mean_levels(several), views


def _corner_head(width: int) -> nn.Sequential:
    """Features with x, y and log size to the logits of four corners."""
    return nn.Sequential(
        Conv2dNormActivation(width + 3, width),
        Conv2dNormActivation(width, width),
        Conv2dNormActivation(width, width),
        nn.Conv2d(width, 4, 1),
    )


def _size_hw(images: Tensor) -> tuple[int, int]:
    return images.shape[2], images.shape[3]
