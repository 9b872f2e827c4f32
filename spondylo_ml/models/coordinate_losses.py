"""Losses on the coordinates of heatmaps, in px512: px of the input scaled to 512 on its longer side.

This unit makes one set of loss weights fit all input sizes; each loss is of the order of 1 for errors of
`LENGTH_PX512`. Absent corners are masked.

Shapes: N films, V slots, K = 4 V corners.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from spondylo_ml.config.network import LossConfig
from spondylo_ml.models.losses import masked_mean

REFERENCE_SIDE_PX = 512
LENGTH_PX512 = 10.0
ORDER_WEIGHT, PARALLEL_WEIGHT, PROPORTION_WEIGHT = 1.0, 0.1, 0.1
PARALLEL_DEG = 15.0
# 99.5 % of the bodies of synthetic lateral films, and over 90 % of those of the AP films of SpineWeb-16, are within.
LEAST_PROPORTION, GREATEST_PROPORTION = 0.8, 3.0


def wing(predicted: Tensor, true: Tensor, present: Tensor, width: float, curvature: float) -> Tensor:
    """Mean over the present corners and both axes of the Wing loss, in units of its width.

    Feng et al., Wing Loss for Robust Facial Landmark Localisation with Convolutional Neural Networks (CVPR 2018):
    w ln(1 + |e| / c) for errors below w, |e| less a constant above.

    Args:
        predicted: (N, K, 2) px512.
        true: (N, K, 2) px512, any value where a corner is absent.
        present: (N, K) bool.
    """
    error = _error(predicted, true, present).abs()
    offset = width - width * math.log1p(width / curvature)
    loss = torch.where(error < width, width * torch.log1p(error / curvature), error - offset)
    return loss.sum() / (2 * present.sum()).clamp(min=1) / width


def gaussian_nll(predicted: Tensor, true: Tensor, present: Tensor, spread: Tensor) -> Tensor:
    """Mean over the present corners and both axes of ln(spread) + (error / spread)^2 / 2.

    Nix and Weigend, Estimating the Mean and Variance of the Target Probability Distribution (ICNN 1994). No gradient
    goes to the coordinates: a network that may widen the spread where it is hard learns the hard corners less (Seitzer
    et al., On the Pitfalls of Heteroscedastic Uncertainty Estimation, ICLR 2022).

    Args:
        spread: (N, K, 2) standard deviation, px512.
    """
    error = _error(predicted.detach(), true, present)
    loss = F.gaussian_nll_loss(error, torch.zeros_like(error), spread.float() ** 2, reduction="none")
    return (loss * present[..., None]).sum() / (2 * present.sum()).clamp(min=1)


def anatomical(corners: Tensor, present: Tensor) -> Tensor:
    """Penalty on anatomically impossible corners: wrong order, endplates that are not parallel, wrong proportions.

    Order: how far a superior corner lies below the inferior one, a left one to the right of the right one, or a level
    below the level under it. Parallel: the angle beyond 15 degrees between the endplates of a body, in radians.
    Proportion: how far the logarithm of width over height is outside its usual range.

    Args:
        corners: (N, V, 4, 2) px512.
        present: (N, V, 4) bool; bodies with an absent corner do not count.
    """
    whole = present.all(dim=-1)
    superior_left, superior_right, inferior_left, inferior_right = corners.float().unbind(dim=2)
    superior, inferior = superior_right - superior_left, inferior_right - inferior_left
    left, right = inferior_left - superior_left, inferior_right - superior_right
    swapped = torch.stack([-superior[..., 0], -inferior[..., 0], -left[..., 1], -right[..., 1]], dim=-1)
    centre = corners.float().mean(dim=2)
    sunk = centre[:, 1:, 1] - centre[:, :-1, 1]
    order = masked_mean(swapped.relu().mean(dim=-1), whole) + masked_mean(sunk.relu(), whole[:, 1:] & whole[:, :-1])
    cross = superior[..., 0] * inferior[..., 1] - superior[..., 1] * inferior[..., 0]
    dot = (superior * inferior).sum(dim=-1)
    # An edge of length zero has no direction, and atan2 has no gradient there.
    bent = torch.atan2(cross, torch.where(dot.abs() + cross.abs() > 1e-6, dot, 1.0)).abs()
    parallel = masked_mean((bent - math.radians(PARALLEL_DEG)).relu(), whole)
    width, height = _length(superior) + _length(inferior), _length(left) + _length(right)
    proportion = (width / height).log()
    beyond = (proportion - math.log(GREATEST_PROPORTION)).relu() + (math.log(LEAST_PROPORTION) - proportion).relu()
    return (
        ORDER_WEIGHT * order / LENGTH_PX512
        + PARALLEL_WEIGHT * parallel
        + PROPORTION_WEIGHT * masked_mean(beyond, whole)
    )


def coordinate_parts(
    predicted: Tensor, true: Tensor, present: Tensor, spread: Tensor | None, config: LossConfig
) -> dict[str, Tensor]:
    """The losses of this module with a weight above 0, weighted; arguments as above."""
    parts = {}
    if config.coordinate_weight > 0:
        loss = wing(predicted, true, present, config.wing_width_px512, config.wing_curvature_px512)
        parts["coordinate"] = config.coordinate_weight * loss
    if config.anatomical_weight > 0:
        loss = anatomical(by_slot(predicted), by_slot(present))
        parts["anatomical"] = config.anatomical_weight * loss
    if config.uncertainty_weight > 0 and spread is not None:
        parts["uncertainty"] = config.uncertainty_weight * gaussian_nll(predicted, true, present, spread)
    return parts


def _error(predicted: Tensor, true: Tensor, present: Tensor) -> Tensor:
    return torch.where(present[..., None], predicted.float() - true.nan_to_num(), 0.0)


def _length(edge: Tensor) -> Tensor:
    return (edge.square().sum(dim=-1) + 1e-6).sqrt()


def by_slot(values: Tensor) -> Tensor:
    """(N, K, ...) to (N, V, 4, ...)."""
    return values.reshape(len(values), -1, 4, *values.shape[2:])
