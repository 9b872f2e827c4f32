"""Monte Carlo dropout: many predictions of one film by networks that each drop other parts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from spondylo_ml.models.base import LandmarkModel, Landmarks

LEAST_PASSES = 2


@contextmanager
def dropout_active(model: nn.Module) -> Iterator[None]:
    """Dropout as in training, everything else (batch norm above all) as in prediction; afterwards as it was.

    Attention drops by its own mode; a transformer layer in eval mode takes a short cut that drops nothing.
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


def monte_carlo_landmarks(model: LandmarkModel, images: Tensor, passes: int, seed: int = 0) -> Landmarks:
    """Mean of `passes` predictions with dropout, and their standard deviation as the spread.

    Gal and Ghahramani, Dropout as a Bayesian Approximation (ICML 2016). A corner that a pass did not find is left out
    of its mean; one that no pass found is NaN, and its spread is NaN where fewer than two did.

    Raises:
        ValueError: fewer than two passes, or a model without dropout, whose passes would all be equal.
    """
    if passes < LEAST_PASSES:
        raise ValueError(f"a spread needs at least {LEAST_PASSES} passes; given {passes}")
    if not has_dropout(model):
        raise ValueError("Monte Carlo dropout needs a model that was configured with dropout; this one has none")
    with torch.random.fork_rng(devices=[images.device] if images.is_cuda else []), dropout_active(model):
        torch.manual_seed(seed)
        seen = [model.predict(images) for _ in range(passes)]
    corners = torch.stack([one.corners_xy for one in seen])
    found = ~corners.isnan()
    count = found.sum(dim=0)
    mean = corners.nanmean(dim=0)
    squares = torch.where(found, (corners - mean) ** 2, 0.0).sum(dim=0)
    spread = torch.where(count > 1, (squares / (count - 1).clamp(min=1)).sqrt(), torch.nan)
    score = torch.stack([one.corner_score for one in seen]).mean(dim=0)
    presence = torch.stack([one.presence for one in seen]).mean(dim=0)
    return Landmarks(mean, score, presence, spread_px=spread)


def has_dropout(model: nn.Module) -> bool:
    """Whether any part of the model drops anything in training."""
    return any(
        (isinstance(module, _DropoutNd) and module.p > 0)
        or (isinstance(module, nn.MultiheadAttention) and module.dropout > 0)
        for module in model.modules()
    )
