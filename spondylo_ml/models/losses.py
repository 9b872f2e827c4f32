"""Losses on heatmaps and presence. Absent corners are masked: they are neither background nor target.

Shapes: N films, K corners, V slots, H x W cells.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def spatial_cross_entropy(logits: Tensor, target: Tensor, present: Tensor) -> Tensor:
    """Mean cross entropy between the target, as a distribution over the cells, and the softmax over the cells.

    Args:
        logits: (N, K, H, W).
        target: (N, K, H, W), not negative.
        present: (N, K) bool; the others do not count.
    """
    log_probability = logits.flatten(2)[present].float().log_softmax(dim=1)
    weight = target.flatten(2)[present]
    weight = weight / weight.sum(dim=1, keepdim=True).clamp_min(1e-12)
    return -(weight * log_probability).sum() / present.sum().clamp(min=1)


def weighted_mse(heatmaps: Tensor, target: Tensor, present: Tensor, keypoint_weight: float) -> Tensor:
    """Mean squared error over the cells of present corners, each cell weighted by 1 + keypoint_weight * target."""
    error = (heatmaps.float() - target) ** 2 * (1 + keypoint_weight * target)
    return (error.mean(dim=(2, 3)) * present).sum() / present.sum().clamp(min=1)


def presence_cross_entropy(logits: Tensor, present: Tensor, labelled: Tensor) -> Tensor:
    """Mean binary cross entropy of (N, V) presence logits over the labelled films."""
    loss = F.binary_cross_entropy_with_logits(logits.float(), present.float(), reduction="none")
    return (loss.mean(dim=1) * labelled).sum() / labelled.sum().clamp(min=1)
