"""Focal, adaptive wing and CornerNet losses on heatmaps: hand calculations, and no effect of missing corners."""

from __future__ import annotations

import math

import pytest
import torch

from spondylo_ml.config.network import LossConfig
from spondylo_ml.models.codec import HeatmapCodec
from spondylo_ml.models.losses import HEATMAP_LOSSES, adaptive_wing, cornernet_focal, focal_mse, weighted_mse

PRESENT = torch.tensor([[True]])
CONFIG = LossConfig()


def cells(*values: float) -> torch.Tensor:
    """(1, 1, 1, n) map."""
    return torch.tensor([[[list(values)]]])


def test_focal_squared_error_matches_a_hand_calculation() -> None:
    # Errors 0, 0.5, 1, 2 (its weight clamped to 1) with weights 1, 1 + 3, 1, 1.
    output, target = cells(0.0, 0.5, 1.0, 2.0), cells(0.0, 1.0, 0.0, 0.0)
    assert float(focal_mse(output, target, PRESENT, 3.0, 2.0)) == pytest.approx((4 * 0.25 * 0.25 + 1 + 4) / 4)
    assert float(focal_mse(output, target, PRESENT, 3.0, 0.0)) == pytest.approx(
        float(weighted_mse(output, target, PRESENT, 3.0))
    )
    assert float(focal_mse(target, target, PRESENT, 3.0, 2.0)) == 0.0


def test_adaptive_wing_matches_a_hand_calculation_on_both_sides_of_its_threshold() -> None:
    # Background, so the power is 2.1: near, 14 ln(1 + 0.25^2.1); far, A - C with A and C from the threshold at 0.5.
    at_threshold = 0.5**2.1
    slope = 14 * 2.1 * 0.5**1.1 / (1 + at_threshold)
    offset = 0.5 * slope - 14 * math.log1p(at_threshold)
    near, far = 14 * math.log1p(0.25**2.1), slope * 1.0 - offset
    assert float(adaptive_wing(cells(0.25), cells(0.0), PRESENT, 10.0)) == pytest.approx(near, rel=1e-5)
    assert float(adaptive_wing(cells(1.0), cells(0.0), PRESENT, 10.0)) == pytest.approx(far, rel=1e-5)
    # On the peak the power is 1.1, and the cell weighs 1 + 10.
    peak = 11 * 14 * math.log1p(0.25**1.1)
    assert float(adaptive_wing(cells(0.75), cells(1.0), PRESENT, 10.0)) == pytest.approx(peak, rel=1e-5)


def test_adaptive_wing_is_continuous_at_its_threshold_and_weights_cells_beside_a_peak() -> None:
    below, above = (float(adaptive_wing(cells(x), cells(0.0), PRESENT, 0.0)) for x in (0.49999, 0.50001))
    assert above == pytest.approx(below, abs=1e-3)
    # The second cell touches the peak, the fourth does not.
    target = cells(1.0, 0.0, 0.0, 0.0)
    beside, apart = (
        float(adaptive_wing(target + cells(*error), target, PRESENT, 9.0)) for error in ((0, 1, 0, 0), (0, 0, 0, 1))
    )
    assert beside == pytest.approx(10 * apart, rel=1e-4)


def test_the_focal_loss_matches_a_hand_calculation() -> None:
    # Probabilities 3/4 on the positive, 1/4 on a neighbour of target 1/2, 1/2 on the background.
    output, target = cells(math.log(3), -math.log(3), 0.0), cells(1.0, 0.5, 0.0)
    hit = -(0.25**2) * math.log(0.75)
    miss = -(0.5**4) * 0.25**2 * math.log(0.75) - 0.5**2 * math.log(0.5)
    assert float(cornernet_focal(output, target, PRESENT)) == pytest.approx(hit + miss, rel=1e-5)


def test_the_positive_of_the_focal_loss_is_the_highest_cell_even_when_below_1() -> None:
    output = torch.full((1, 1, 1, 3), -20.0)
    target = cells(0.2, 0.9, 0.3)
    all_negative = float(cornernet_focal(output, target, PRESENT))
    assert all_negative == pytest.approx(20.0, rel=1e-3)
    output[..., 1] = 20.0
    assert float(cornernet_focal(output, target, PRESENT)) == pytest.approx(0.0, abs=1e-5)


@pytest.mark.parametrize("name", HEATMAP_LOSSES)
def test_maps_of_missing_corners_have_no_loss_and_no_gradient(name: str) -> None:
    generator = torch.Generator().manual_seed(0)
    target = torch.rand(2, 3, 4, 4, generator=generator)
    output = torch.randn(2, 3, 4, 4, generator=generator)
    present = torch.tensor([[True, False, True], [False, False, True]])
    other = torch.where(present[..., None, None], output, 100 * torch.randn(2, 3, 4, 4, generator=generator))
    loss = HEATMAP_LOSSES[name].loss
    assert float(loss(output, target, present, CONFIG)) == pytest.approx(float(loss(other, target, present, CONFIG)))
    output.requires_grad_()
    loss(output, target, present, CONFIG).backward()
    assert output.grad is not None
    assert output.grad.isfinite().all()
    size = output.grad.abs().amax(dim=(2, 3))
    assert (size[~present] == 0).all()
    assert (size[present] > 0).all()
    none = loss(output, torch.zeros_like(target), torch.zeros_like(present), CONFIG)
    assert float(none.detach()) == 0.0


@pytest.mark.parametrize("name", ["weighted_mse", "focal_mse", "adaptive_wing"])
def test_a_perfect_map_has_zero_loss_and_a_finite_gradient(name: str) -> None:
    target = HeatmapCodec(1.0).encode(torch.tensor([[[5.3, 6.1]]]), (12, 12))
    output = target.clone().requires_grad_()
    loss = HEATMAP_LOSSES[name].loss(output, target, PRESENT, CONFIG)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(0.0, abs=1e-4)
    assert output.grad is not None
    assert output.grad.isfinite().all()


@pytest.mark.parametrize(("name", "stride"), [("weighted_mse", 1), ("adaptive_wing", 4), ("cornernet_focal", 2)])
def test_the_mean_coordinates_of_perfect_maps_are_the_corners(name: str, stride: int) -> None:
    points = torch.tensor([[[40.0, 61.3], [90.2, 30.9]]])
    codec = HeatmapCodec(1.5, stride)
    target = codec.encode(points, (128 // stride, 128 // stride))
    output = torch.logit(target, eps=1e-6) if name == "cornernet_focal" else target
    mean = codec.mean_points(HEATMAP_LOSSES[name].log_weights(output))
    torch.testing.assert_close(mean, points, atol=0.1 * stride, rtol=0)


def test_mean_points_match_a_hand_calculation() -> None:
    # Weights 1/4 and 3/4 on columns 0 and 2 of row 1; a cell is 4 px wide, its centre at 1.5 px.
    log_weights = torch.full((1, 1, 3, 4), -torch.inf)
    log_weights[0, 0, 1, 0], log_weights[0, 0, 1, 2] = 0.0, math.log(3)
    mean = HeatmapCodec(1.0, stride=4).mean_points(log_weights)
    torch.testing.assert_close(mean, torch.tensor([[[1.5 * 4 + 1.5, 1 * 4 + 1.5]]]))


@pytest.mark.parametrize("name", HEATMAP_LOSSES)
def test_maps_lie_between_0_and_1(name: str) -> None:
    maps = HEATMAP_LOSSES[name].maps(torch.tensor([[[[-5.0, 0.5], [1.0, 0.0]]]]))
    assert float(maps.min()) >= 0
    assert float(maps.max()) <= 1
