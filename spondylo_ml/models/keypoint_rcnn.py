"""Keypoint R-CNN: vertebrae as instances, their levels by order from the sacrum up. 59,083,869 parameters by default.

He et al., Mask R-CNN (ICCV 2017). Heads, losses and non-maximum suppression are torchvision's; the backbone is timm's,
with trainable batch norm. Images are not resized or normalised a second time, and there are only as many proposals as a
spine needs.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models import detection
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.keypoint_rcnn import KeypointRCNNHeads, KeypointRCNNPredictor
from torchvision.models.detection.rpn import AnchorGenerator
from torchvision.models.detection.transform import GeneralizedRCNNTransform
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from spondylo_ml.config.network import KeypointRCNNConfig
from spondylo_ml.config.schema import Config
from spondylo_ml.data.batches import FilmBatch
from spondylo_ml.landmarks import SlotRange
from spondylo_ml.models.backbones import as_backbone, grey_mean_std, timm_features
from spondylo_ml.models.base import LandmarkModel, Landmarks, check_multiple, network_input

TAPS = (1, 2, 3, 4)  # strides 4, 8, 16, 32
BOX_CELLS = 7  # along each side of a region, of torchvision's pooling for boxes
CLASSES, VERTEBRA = 2, 1
KEYPOINTS = 4
BOX_MARGIN = 0.1  # of the body's size on each side: corners on the edge of a region are hard to locate
LEAST_SIDE_PX = 2.0
ASPECT_RATIOS = (0.5, 1.0, 2.0)
SIZE_MULTIPLE = 32
HEADS = {
    "classifier": "network.roi_heads.box_predictor.cls_score.",
    "box_reg": "network.roi_heads.box_predictor.bbox_pred.",
    "keypoint": "network.roi_heads.keypoint_predictor.",
    "objectness": "network.rpn.head.cls_logits.",
    "rpn_box_reg": "network.rpn.head.bbox_pred.",
}


class SameSize(GeneralizedRCNNTransform):  # type: ignore[misc]
    """Batches the images unchanged: torchvision would resize them to 800 px."""

    def resize(self, image: Tensor, target: dict[str, Tensor] | None = None) -> tuple[Tensor, dict[str, Tensor] | None]:
        """Image and target unchanged."""
        return image, target


class Pyramid(nn.Module):
    """A timm network and a feature pyramid on it.

    Attributes:
        out_channels: channels of each level; torchvision reads it.
    """

    def __init__(self, options: KeypointRCNNConfig) -> None:
        super().__init__()
        self.body = timm_features(options.backbone, TAPS)
        channels = self.body.feature_info.channels()  # type: ignore[operator, union-attr]
        self.fpn = FeaturePyramidNetwork(channels, options.pyramid_width, extra_blocks=LastLevelMaxPool())
        self.out_channels = options.pyramid_width

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """(N, 3, H, W) images to the levels, finest first."""
        images = images.contiguous(memory_format=torch.channels_last)  # torchvision has copied them
        levels: dict[str, Tensor] = self.fpn({str(i): level for i, level in enumerate(self.body(images))})
        return levels


class KeypointRCNN(LandmarkModel):
    """Instances of one class with four keypoints; the lowest on the film gets the lowest slot."""

    def __init__(self, config: Config, slots: SlotRange) -> None:
        super().__init__(slots)
        self.config = config
        options = config.model.keypoint_rcnn
        backbone = Pyramid(options)
        width = options.pyramid_width
        self.network = detection.KeypointRCNN(
            backbone,
            box_head=TwoMLPHead(width * BOX_CELLS**2, options.box_width),
            box_predictor=FastRCNNPredictor(options.box_width, CLASSES),
            keypoint_head=KeypointRCNNHeads(width, [options.keypoint_width] * options.keypoint_layers),
            keypoint_predictor=KeypointRCNNPredictor(options.keypoint_width, KEYPOINTS),
            rpn_anchor_generator=AnchorGenerator(
                tuple((size,) for size in options.anchor_sizes_px), (ASPECT_RATIOS,) * len(options.anchor_sizes_px)
            ),
            rpn_pre_nms_top_n_train=4 * options.proposals,
            rpn_pre_nms_top_n_test=4 * options.proposals,
            rpn_post_nms_top_n_train=options.proposals,
            rpn_post_nms_top_n_test=options.proposals,
            rpn_batch_size_per_image=4 * options.sampled_proposals,
            box_batch_size_per_image=options.sampled_proposals,
            box_score_thresh=options.score_threshold,
            box_nms_thresh=options.nms_threshold,
            box_detections_per_img=slots.count,
        )
        self.network.transform = SameSize(0, 0, [0.0] * 3, [1.0] * 3, size_divisible=SIZE_MULTIPLE)
        self.backbone_net = as_backbone(options.backbone, backbone.body)
        self._grey = grey_mean_std(options.backbone)

    def losses(self, batch: FilmBatch) -> dict[str, Tensor]:
        """torchvision's five losses over the labelled films.

        A vertebra without labelled corners is not learned, and may count as background.
        """
        labelled = batch.labelled.nonzero()[:, 0]
        if not len(labelled):
            return {"none": 0 * sum((p.sum() for p in self.parameters()), torch.zeros((), device=batch.images.device))}
        images = self._images(batch.images[labelled])
        parts = self.network(images, [instances(batch.corners_xy[i]) for i in labelled.tolist()])
        return {name.removeprefix("loss_"): part for name, part in parts.items()}

    def loss_heads(self) -> dict[str, str]:
        """See the base class."""
        return dict(HEADS)

    @torch.no_grad()
    def predict(self, images: Tensor) -> Landmarks:
        """Instances above the score threshold, named from the lowest on the film up; NaN for the remaining slots.

        Only in eval mode: in training mode torchvision's network requires targets.
        """
        detections = self.network(self._images(images))
        count, slots = len(images), self.slots.count
        corners = torch.full((count, slots, KEYPOINTS, 2), torch.nan, device=images.device)
        scores = torch.zeros(count, slots, KEYPOINTS, device=images.device)
        presence = torch.zeros(count, slots, device=images.device)
        for i, found in enumerate(detections):
            points = found["keypoints"][..., :2].float()
            order = points[..., 1].mean(dim=1).argsort(descending=True)
            slot = slots_from_lowest(points[order].mean(dim=1))
            order, slot = order[slot < slots], slot[slot < slots]
            corners[i, slot] = points[order]
            scores[i, slot] = found["keypoints_scores"][order].float().sigmoid()
            presence[i, slot] = found["scores"][order].float()
        return Landmarks(corners, scores, presence)

    def _images(self, images: Tensor) -> list[Tensor]:
        check_multiple(images, SIZE_MULTIPLE, "Keypoint R-CNN")
        return list(network_input(images, self.config.model.coordinate_channels, *self._grey))


def slots_from_lowest(centres_xy: Tensor) -> Tensor:
    """(M,) slots of bodies whose (M, 2) centres are ordered from the lowest up, which gets slot 0.

    A step that is nearer to twice the median step than to once passes over a body that was not found, and so on.
    """
    if len(centres_xy) < 2:
        return torch.zeros(len(centres_xy), dtype=torch.int64, device=centres_xy.device)
    steps = centres_xy.diff(dim=0).norm(dim=1)
    levels = (steps / steps.median().clamp_min(1e-6)).round().clamp_min(1).long()
    return torch.cat([levels.new_zeros(1), levels.cumsum(dim=0)])


def instances(corners_xy: Tensor) -> dict[str, Any]:
    """torchvision's target for the (V, 4, 2) corners of a film: boxes, labels and keypoints of its vertebrae.

    A body with fewer than two corners, or too thin for a region, is left out; other absent corners are not visible.
    """
    present = ~corners_xy.isnan().any(dim=-1)
    low = torch.where(present[..., None], corners_xy, torch.inf).amin(dim=1)
    high = torch.where(present[..., None], corners_xy, -torch.inf).amax(dim=1)
    size = high - low
    usable = (present.sum(dim=1) >= 2) & (size >= LEAST_SIDE_PX).all(dim=1)
    boxes = torch.cat([low - BOX_MARGIN * size, high + BOX_MARGIN * size], dim=1)[usable]
    keypoints = torch.cat([corners_xy.nan_to_num(), present[..., None].to(corners_xy.dtype)], dim=-1)[usable]
    return {
        "boxes": boxes,
        "labels": torch.full((int(usable.sum()),), VERTEBRA, dtype=torch.int64, device=corners_xy.device),
        "keypoints": keypoints,
    }
