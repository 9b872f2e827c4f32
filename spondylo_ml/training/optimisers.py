"""Optimisers and learning rate schedules by name."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingWarmRestarts, LambdaLR, ReduceLROnPlateau, StepLR

from spondylo_ml.config.optimisation import TrainingConfig
from spondylo_ml.errors import ConfigError
from spondylo_ml.models.base import LandmarkModel

Groups = list[dict[str, Any]]

MOMENTUM, RESTART_GROWTH = 0.9, 2

OPTIMIZERS: dict[str, Callable[[Groups, float], torch.optim.Optimizer]] = {
    "adam": lambda groups, rate: torch.optim.Adam(groups, lr=rate),
    "adamw": lambda groups, rate: torch.optim.AdamW(groups, lr=rate),
    "radam": lambda groups, rate: torch.optim.RAdam(groups, lr=rate, decoupled_weight_decay=True),
    "sgd": lambda groups, rate: torch.optim.SGD(groups, lr=rate, momentum=MOMENTUM, nesterov=True),
}


def build_optimizer(model: LandmarkModel, config: TrainingConfig) -> torch.optim.Optimizer:
    """The configured optimiser; normalisation weights and biases do not decay.

    A backbone with pretrained weights has a learning rate of its own. With random weights it has that of the rest.

    The first two groups are outside the backbone. Frozen parameters are included: without gradients the optimiser does
    not change them, and they are in place when they thaw.
    """
    backbone = {id(p) for p in backbone_parameters(model)}
    parts = [[p for p in model.parameters() if id(p) not in backbone], backbone_parameters(model)]
    groups: Groups = []
    of_backbone = 1.0 if model.pretrained == "none" else config.backbone_rate_ratio
    for parameters, ratio in zip(parts, (1.0, of_backbone), strict=True):
        rate = config.learning_rate * ratio
        groups += [
            {"params": [p for p in parameters if p.ndim > 1], "weight_decay": config.weight_decay, "lr": rate},
            {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0, "lr": rate},
        ]
    return OPTIMIZERS[config.optimizer]([group for group in groups if group["params"]], config.learning_rate)


def backbone_parameters(model: LandmarkModel) -> list[nn.Parameter]:
    """Parameters of the backbone; empty for a model without one."""
    return list(model.backbone_net.network.parameters()) if model.backbone_net else []


def build_scheduler(
    optimizer: torch.optim.Optimizer,
    config: TrainingConfig,
    steps: int,
    share_used: Callable[[], float] = lambda: 0.0,
) -> dict[str, Any] | None:
    """Lightning's description of the configured schedule over `steps` steps; None for a constant rate.

    Args:
        share_used: share of the training minutes that is used up, 0 to 1. A cosine follows the steps or the minutes,
            whichever are further, so that it has decayed when training ends.

    Raises:
        ConfigError: restarts to a lowest rate above that of the backbone.
    """
    if config.scheduler == "cosine":

        def factor(step: int) -> float:
            return cosine_factor(max(step, share_used() * steps), steps, config)

        return {"scheduler": LambdaLR(optimizer, factor), "interval": "step"}
    if config.scheduler == "restarts":
        lowest = min(group["lr"] for group in optimizer.param_groups)
        if config.min_learning_rate > lowest:
            raise ConfigError(
                f"training.min_learning_rate is {config.min_learning_rate:g}, above the backbone's highest rate of "
                f"{lowest:g} (learning_rate times backbone_rate_ratio), which would rise: give at most {lowest:g}"
            )
        restarts = CosineAnnealingWarmRestarts(
            optimizer, config.restart_epochs, RESTART_GROWTH, eta_min=config.min_learning_rate
        )
        return {"scheduler": restarts, "interval": "epoch"}
    if config.scheduler == "step":
        return {"scheduler": StepLR(optimizer, config.step_epochs, config.step_factor), "interval": "epoch"}
    if config.scheduler == "plateau":
        plateau = ReduceLROnPlateau(
            optimizer,
            factor=config.plateau_factor,
            patience=config.plateau_patience,
            min_lr=config.min_learning_rate,
        )
        return {"scheduler": plateau, "interval": "epoch", "monitor": "val/mre_px512"}
    return None


def cosine_factor(step: float, steps: int, config: TrainingConfig) -> float:
    """Share of the highest learning rate at `step`: a linear warm-up that starts above 0, then half a cosine."""
    warmup = round(config.warmup_fraction * steps)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    progress = min(1.0, (step - warmup) / max(1, steps - warmup))
    floor = min(1.0, config.min_learning_rate / config.learning_rate)
    return floor + (1 - floor) * (1 + math.cos(math.pi * progress)) / 2


def set_frozen(stages: Iterable[Iterable[nn.Module]], frozen: bool) -> None:
    """Freeze or thaw stages: their weights as well as their running statistics."""
    for stage in stages:
        for module in stage:
            module.requires_grad_(not frozen)
            module.train(not frozen)
