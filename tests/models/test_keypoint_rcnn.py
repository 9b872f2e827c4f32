"""Keypoint R-CNN: training targets, and how instances become levels."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torchvision.models.detection import keypointrcnn_resnet50_fpn

from spondylo_ml.config import Config, resolve_config
from spondylo_ml.landmarks import SlotRange
from spondylo_ml.models.keypoint_rcnn import KeypointRCNN, instances, slots_from_lowest
from spondylo_ml.models.zoo import parameter_count

NAN = float("nan")


def square(x: float, y: float, side: float = 10.0) -> list[list[float]]:
    return [[x, y], [x + side, y], [x, y + side], [x + side, y + side]]


def model_of(slots: int = 3) -> KeypointRCNN:
    return KeypointRCNN(
        Config.model_validate({"model": {"name": "keypoint_rcnn"}, "training": {"epochs": 1}}), SlotRange(0, slots)
    )


def test_the_target_of_a_body_is_a_box_with_a_10_percent_margin_and_four_visible_keypoints() -> None:
    target = instances(torch.tensor([square(10, 20)]))
    assert target["boxes"].tolist() == [[9.0, 19.0, 21.0, 31.0]]
    assert target["labels"].tolist() == [1]
    assert target["keypoints"].tolist() == [[[10, 20, 1], [20, 20, 1], [10, 30, 1], [20, 30, 1]]]


def test_missing_corners_are_not_visible_and_missing_or_degenerate_bodies_are_left_out() -> None:
    incomplete = square(10, 20)
    incomplete[1] = [NAN, NAN]
    edge_only = [[0.0, 5.0], [9.0, 5.0], [NAN, NAN], [NAN, NAN]]
    corner_only = [[0.0, 5.0], [NAN, NAN], [NAN, NAN], [NAN, NAN]]
    target = instances(torch.tensor([incomplete, [[NAN, NAN]] * 4, edge_only, corner_only]))
    assert target["boxes"].tolist() == [[9.0, 19.0, 21.0, 31.0]]
    assert target["keypoints"][0, :, 2].tolist() == [1, 0, 1, 1]
    assert bool(target["keypoints"].isfinite().all())


def test_a_film_without_vertebrae_has_a_target_without_boxes() -> None:
    target = instances(torch.full((2, 4, 2), NAN))
    assert target["boxes"].shape == (0, 4)
    assert target["keypoints"].shape == (0, 4, 3)


class StubNetwork(nn.Module):
    """A network that detects the given bodies in this order with these scores."""

    def __init__(self, bodies: list[list[list[float]]], scores: list[float]) -> None:
        super().__init__()
        self.bodies, self.scores = bodies, scores

    def forward(self, images: list[Tensor]) -> list[dict[str, Tensor]]:
        points = torch.tensor(self.bodies).reshape(-1, 4, 2)
        keypoints = torch.cat([points, torch.ones(len(points), 4, 1)], dim=-1)
        detections = {
            "keypoints": keypoints,
            "keypoints_scores": torch.arange(4 * len(points)).reshape(-1, 4).float(),
            "scores": torch.tensor(self.scores),
        }
        return [detections for _ in images]


def test_instances_are_ordered_from_the_sacrum_up_and_keep_their_scores() -> None:
    model = model_of().eval()
    model.network = StubNetwork([square(5, 30), square(7, 50), square(6, 10)], [0.9, 0.8, 0.7])
    landmarks = model.predict(torch.zeros(1, 1, 64, 64, dtype=torch.uint8))
    assert landmarks.corners_xy[0].tolist() == [square(7, 50), square(5, 30), square(6, 10)]
    torch.testing.assert_close(landmarks.presence[0], torch.tensor([0.8, 0.9, 0.7]))
    torch.testing.assert_close(landmarks.corner_score[0, 1], torch.arange(4.0).sigmoid())


@pytest.mark.parametrize(
    ("heights", "slots"),
    [
        ([], []),
        ([50], [0]),
        ([50, 30], [0, 1]),
        ([90, 70, 50, 30], [0, 1, 2, 3]),
        ([90, 70, 30, 10], [0, 1, 3, 4]),  # one body was not found
        ([90, 70, 50, 30, -30], [0, 1, 2, 3, 6]),  # two were not found
        ([90, 70, 50, 21], [0, 1, 2, 3]),  # 1.45 times the usual step: a higher body
        ([90, 70, 50, 49], [0, 1, 2, 3]),  # two boxes on one body
        ([50, 50, 50], [0, 1, 2]),
    ],
)
def test_levels_are_counted_from_the_lowest_body_with_room_for_those_not_found(
    heights: list[float], slots: list[int]
) -> None:
    centres = torch.tensor([[100.0, y] for y in heights]).reshape(-1, 2)
    assert slots_from_lowest(centres).tolist() == slots


def test_slots_without_an_instance_are_nan_with_presence_0() -> None:
    model = model_of().eval()
    model.network = StubNetwork([square(5, 30)], [0.9])
    landmarks = model.predict(torch.zeros(2, 1, 64, 64, dtype=torch.uint8))
    assert landmarks.corners_xy[1, 0].tolist() == square(5, 30)
    assert bool(landmarks.corners_xy[:, 1:].isnan().all())
    assert landmarks.presence.tolist()[0][1:] == [0.0, 0.0]


def test_a_body_that_was_not_found_leaves_its_slot_empty() -> None:
    model = model_of(5).eval()
    model.network = StubNetwork([square(5, 90), square(5, 70), square(5, 30), square(5, 10)], [0.9, 0.8, 0.7, 0.6])
    landmarks = model.predict(torch.zeros(1, 1, 128, 64, dtype=torch.uint8))
    torch.testing.assert_close(landmarks.presence[0], torch.tensor([0.9, 0.8, 0.0, 0.7, 0.6]))
    assert landmarks.corners_xy[0, 3].tolist() == square(5, 30)
    assert bool(landmarks.corners_xy[0, 2].isnan().all())


def test_instances_above_the_topmost_slot_are_left_out() -> None:
    model = model_of(2).eval()
    model.network = StubNetwork([square(5, 10), square(5, 30), square(5, 50)], [0.9, 0.9, 0.9])
    landmarks = model.predict(torch.zeros(1, 1, 64, 64, dtype=torch.uint8))
    assert landmarks.corners_xy[0].tolist() == [square(5, 50), square(5, 30)]


def test_the_network_neither_resizes_nor_normalises_again() -> None:
    model = model_of().eval()
    image = torch.randn(3, 32, 96)
    batched, _ = model.network.transform([image])
    assert batched.image_sizes == [(32, 96)]
    assert torch.equal(batched.tensors[0], image)


def test_the_network_keeps_no_more_regions_than_configured() -> None:
    rpn, heads = model_of(3).network.rpn, model_of(3).network.roi_heads
    assert rpn.post_nms_top_n() == 100
    assert heads.fg_bg_sampler.batch_size_per_image == 64
    assert heads.detections_per_img == 3


def test_the_default_network_has_the_weights_of_torchvisions() -> None:
    with torch.device("meta"):
        theirs = keypointrcnn_resnet50_fpn(weights=None, weights_backbone=None, num_classes=2, num_keypoints=4)
        ours = model_of().network
    shapes = {name: tuple(weight.shape) for name, weight in theirs.state_dict().items() if ".fc." not in name}
    assert {name: tuple(weight.shape) for name, weight in ours.state_dict().items()} == shapes


def test_the_quick_recipe_has_a_network_of_four_million_parameters() -> None:
    config = resolve_config({"model": {"name": "keypoint_rcnn"}, "preset": "quick"})
    model = KeypointRCNN(config, SlotRange(0, 10))
    assert parameter_count(model) == 4_199_709
    assert model.network.backbone.out_channels == 64
    assert model.backbone_net is not None
    assert model.backbone_net.name == "tf_efficientnet_lite0"
    assert model.network.roi_heads.keypoint_head[-2].out_channels == 64
