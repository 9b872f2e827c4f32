"""Losses on heatmaps and presence. Absent corners are masked: they count neither as background nor as target.

Shapes: N films, K corners, V slots, H x W cells.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from spondylo_ml.config.network import LOSS_NAMES, LossConfig

# Adaptive Wing's own constants; its weight map covers cells beside a target of at least AWING_NEAR.
AWING_ALPHA, AWING_OMEGA, AWING_EPSILON, AWING_THETA, AWING_NEAR = 2.1, 14.0, 1.0, 0.5, 0.2
FOCAL_ALPHA, FOCAL_BETA = 2, 4
FOCAL_START = 0.1  # initial probability of a sigmoid map, as in CornerNet
# Heights 0 to 1 are raised to this power to weight a mean coordinate: a power of a Gaussian is a narrower Gaussian, so
# the mean stays on the peak and the background does not pull it to the centre. The floor keeps the gradient finite.
MEAN_POWER, MEAN_FLOOR = 5.0, 0.02


def spatial_cross_entropy(logits: Tensor, target: Tensor, present: Tensor) -> Tensor:
    """Mean cross entropy between the target, as a distribution over the cells, and the softmax over the cells.

    Args:
        logits: (N, K, H, W).
        target: (N, K, H, W), not negative.
        present: (N, K) bool; absent corners are ignored.
    """
    log_probability = logits.flatten(2)[present].float().log_softmax(dim=1)
    weight = target.flatten(2)[present]
    weight = weight / weight.sum(dim=1, keepdim=True).clamp_min(1e-12)
    return -(weight * log_probability).sum() / present.sum().clamp(min=1)


def weighted_mse(heatmaps: Tensor, target: Tensor, present: Tensor, keypoint_weight: float) -> Tensor:
    """Mean squared error over the cells of present corners, each cell weighted by 1 + keypoint_weight * target."""
    error = (heatmaps.float() - target) ** 2 * (1 + keypoint_weight * target)
    return masked_mean(error.mean(dim=(2, 3)), present)


def focal_mse(heatmaps: Tensor, target: Tensor, present: Tensor, keypoint_weight: float, gamma: float) -> Tensor:
    """`weighted_mse` with each cell's error also weighted by its size, at most 1, to the power of gamma.

    After Focal-R in Yang et al., Delving into Deep Imbalanced Regression (ICML 2021); heights are 0 to 1, so that the
    error itself serves where they squash it.
    """
    error = (heatmaps.float() - target).abs()
    weighted = error.clamp(max=1) ** gamma * error**2 * (1 + keypoint_weight * target)
    return masked_mean(weighted.mean(dim=(2, 3)), present)


def adaptive_wing(heatmaps: Tensor, target: Tensor, present: Tensor, keypoint_weight: float) -> Tensor:
    """Steep for small errors near a peak, lenient on the background; cells near a peak weigh 1 + keypoint_weight.

    Wang, Bo and Fuxin, Adaptive Wing Loss for Robust Face Alignment via Heatmap Regression (ICCV 2019).
    """
    power = AWING_ALPHA - target
    error = (heatmaps.float() - target).abs()
    bend = torch.full_like(power, AWING_THETA / AWING_EPSILON)
    slope = AWING_OMEGA * power * bend ** (power - 1) / (1 + bend**power) / AWING_EPSILON
    offset = AWING_THETA * slope - AWING_OMEGA * torch.log1p(bend**power)
    # The clamp keeps the unused branch's gradient finite: powers below 2 of an error of 0 would have none.
    near = AWING_OMEGA * torch.log1p((error.clamp(1e-6, AWING_THETA) / AWING_EPSILON) ** power)
    loss = torch.where(error < AWING_THETA, near, slope * error - offset)
    beside_peak = F.max_pool2d(target, 3, 1, 1) >= AWING_NEAR
    return masked_mean((loss * (1 + keypoint_weight * beside_peak)).mean(dim=(2, 3)), present)


def cornernet_focal(logits: Tensor, target: Tensor, present: Tensor) -> Tensor:
    """Focal loss over the cells, lenient near the peak, per present corner; the target's highest cell is the positive.

    Law and Deng, CornerNet: Detecting Objects as Paired Keypoints (ECCV 2018), alpha 2 and beta 4.
    """
    logits = logits.float()
    probability = logits.sigmoid()
    positive = (target == target.amax(dim=(2, 3), keepdim=True)) & (target > 0)
    hit = (1 - probability) ** FOCAL_ALPHA * F.logsigmoid(logits)
    miss = (1 - target) ** FOCAL_BETA * probability**FOCAL_ALPHA * F.logsigmoid(-logits)
    return masked_mean(-torch.where(positive, hit, miss).sum(dim=(2, 3)), present)


def presence_cross_entropy(logits: Tensor, present: Tensor, labelled: Tensor) -> Tensor:
    """Mean binary cross entropy of (N, V) presence logits over the labelled films."""
    loss = F.binary_cross_entropy_with_logits(logits.float(), present.float(), reduction="none")
    return (loss.mean(dim=1) * labelled).sum() / labelled.sum().clamp(min=1)


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of the values where the mask is true; 0 if it is nowhere."""
    return torch.where(mask, values, 0.0).sum() / mask.sum().clamp(min=1)


def heights(output: Tensor) -> Tensor:
    """Heights of the maps, not negative."""
    return output.float().clamp_min(0)


def log_power(output: Tensor) -> Tensor:
    """Logarithm of the weights that heights give to a mean coordinate."""
    return MEAN_POWER * (output.float().clamp_min(0) + MEAN_FLOOR).log()


def _distribution(output: Tensor) -> Tensor:
    return output.float().flatten(2).softmax(dim=2).view_as(output)


@dataclass(frozen=True)
class HeatmapLoss:
    """A loss, and how the network's output is interpreted with it.

    Attributes:
        loss: function of output, target (both (N, K, H, W)), present (N, K), and the configuration.
        maps: converts output to the non-negative maps, 0 to 1, that are decoded.
        log_weights: converts output to logits whose softmax over the cells weights a mean coordinate.
        start_bias: initial bias of the output layer; None for the layer's default.
    """

    loss: Callable[[Tensor, Tensor, Tensor, LossConfig], Tensor]
    maps: Callable[[Tensor], Tensor] = heights
    log_weights: Callable[[Tensor], Tensor] = log_power
    start_bias: float | None = None


HEATMAP_LOSSES: dict[str, HeatmapLoss] = {
    "cross_entropy": HeatmapLoss(lambda o, t, p, c: spatial_cross_entropy(o, t, p), _distribution, Tensor.float),
    "weighted_mse": HeatmapLoss(lambda o, t, p, c: weighted_mse(o, t, p, c.keypoint_weight)),
    "focal_mse": HeatmapLoss(lambda o, t, p, c: focal_mse(o, t, p, c.keypoint_weight, c.focal_gamma)),
    "adaptive_wing": HeatmapLoss(lambda o, t, p, c: adaptive_wing(o, t, p, c.keypoint_weight)),
    "cornernet_focal": HeatmapLoss(
        lambda o, t, p, c: cornernet_focal(o, t, p),
        lambda o: o.float().sigmoid(),
        lambda o: log_power(o.float().sigmoid()),
        start_bias=math.log(FOCAL_START / (1 - FOCAL_START)),
    ),
}


def register_loss(name: str, loss: HeatmapLoss) -> None:
    """Add a heatmap loss, which `loss.heatmap` may then name.

    Raises:
        ConfigError: the name is taken.

    >>> import spondylo_ml
    >>> from spondylo_ml.models.losses import HeatmapLoss
    >>> squared = HeatmapLoss(lambda output, target, present, config: (output - target).square().mean())
    >>> spondylo_ml.register_loss("squared", squared)
    >>> spondylo_ml.create_model("unet", loss={"heatmap": "squared"}).config.loss.heatmap
    'squared'
    """
    LOSS_NAMES.register(name)
    HEATMAP_LOSSES[name] = loss
