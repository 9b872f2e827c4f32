"""Monte Carlo dropout: several predictions per film, each with other units dropped."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from spondylo_ml.config.uncertainty import UncertaintyConfig
from spondylo_ml.errors import ConfigError
from spondylo_ml.models.base import HeatmapModel, LandmarkModel, Landmarks
from spondylo_ml.models.heat_spread import FLOOR_CELLS

LEAST_PASSES = 2
AT_ONCE = 8
"""Passes in one batch, each with its own dropout mask."""


@contextmanager
def dropout_active(model: nn.Module) -> Iterator[None]:
    """Context with dropout active and everything else, such as batch norm, in eval mode; restores modes afterwards.

    Attention applies dropout by its own mode; a transformer layer in eval mode has a fast path without dropout.
    """
    modes = {module: module.training for module in model.modules()}
    model.eval()
    for module in model.modules():
        if isinstance(module, _DropoutNd | nn.MultiheadAttention | nn.TransformerEncoderLayer):
            module.training = True
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def landmark_predictor(model: LandmarkModel, config: UncertaintyConfig) -> Callable[[Tensor], Landmarks]:
    """The function from images to landmarks for the configured source of uncertainty.

    Raises:
        ConfigError: the source is dropout, but the model has no dropout or no heatmaps.
    """
    if config.source != "dropout":
        return model.predict
    if not isinstance(model, HeatmapModel) or not has_dropout(model):
        raise ConfigError("uncertainty.source=dropout needs a heatmap model that was configured with dropout")
    reach_cells = math.ceil(config.window_sigmas * model.codec.sigma_cells)
    return partial(
        monte_carlo_landmarks,
        model,
        passes=config.dropout_passes,
        reach_px=float(reach_cells * model.codec.stride),
        floor_px=FLOOR_CELLS * model.codec.stride,
    )


def monte_carlo_landmarks(
    model: LandmarkModel, images: Tensor, passes: int, reach_px: float, floor_px: float, seed: int = 0
) -> Landmarks:
    """The model's prediction without dropout, with the spread of `passes` predictions with dropout around it.

    Gal and Ghahramani, Dropout as a Bayesian Approximation (ICML 2016). As with heatmaps, moments are taken about the
    corner itself. A pass whose corner is further than `reach_px` away in x or y is on another vertebra: it lowers the
    share instead of widening the spread; where all are, the spread is the reach. All films see the same dropout masks,
    regardless of their batch.

    Args:
        floor_px: standard deviation that is added to every spread.

    Raises:
        ValueError: fewer than two passes, or a model without dropout, whose passes would all be equal.
    """
    if passes < LEAST_PASSES:
        raise ValueError(f"a spread needs at least {LEAST_PASSES} passes; given {passes}")
    if not has_dropout(model):
        raise ValueError("Monte Carlo dropout needs a model that was configured with dropout; this one has none")
    predicted = model.predict(images)
    with dropout_active(model):
        dropped = torch.stack([_dropped_corners(model, image, passes, seed) for image in images])
    step = dropped - predicted.corners_xy[:, None]
    near = (step.abs() <= reach_px).all(dim=-1)  # never for a corner without a prediction, which is NaN
    step = torch.where(near[..., None], step, 0.0)
    count = near.sum(dim=1)
    # Not einsum: under autocast it computes in bf16, too coarse for a positive definite covariance.
    moments = (step[..., :, None] * step[..., None, :]).sum(dim=1) / count.clamp(min=1)[..., None, None]
    identity = torch.eye(2, device=moments.device)
    # Where no pass agrees, the corner may be off by the reach at least: an empty sum would make it the surest of all.
    moments = torch.where((count == 0)[..., None, None], reach_px**2 * identity, moments)
    floor = floor_px**2 * identity
    covariance = torch.where(predicted.corners_xy.isnan().any(dim=-1)[..., None, None], torch.nan, moments + floor)
    return predicted._replace(covariance_px2=covariance, heat_share=count / passes)


def _dropped_corners(model: LandmarkModel, image: Tensor, passes: int, seed: int) -> Tensor:
    """(P, V, 4, 2) corners of one film in input px, with dropout masks that depend only on the seed."""
    with torch.random.fork_rng(devices=[image.device] if image.is_cuda else []):
        torch.manual_seed(seed)
        sizes = [min(AT_ONCE, passes - start) for start in range(0, passes, AT_ONCE)]
        corners = [model.predict(image.expand(size, *image.shape).contiguous()).corners_xy for size in sizes]
    return torch.cat(corners)


def has_dropout(model: nn.Module) -> bool:
    """Whether any layer of the model has a dropout probability above 0."""
    return any(
        (isinstance(module, _DropoutNd) and module.p > 0)
        or (isinstance(module, nn.MultiheadAttention) and module.dropout > 0)
        for module in model.modules()
    )
