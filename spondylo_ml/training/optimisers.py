"""Optimisers and courses of the learning rate by name."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau

from spondylo_ml.config.optimisation import TrainingConfig

OPTIMIZERS: dict[str, type[torch.optim.Optimizer]] = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}


def build_optimizer(model: nn.Module, config: TrainingConfig) -> torch.optim.Optimizer:
    """The configured optimiser; normalisation weights and biases do not decay."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return OPTIMIZERS[config.optimizer](groups, lr=config.learning_rate)  # type: ignore[call-arg]


def build_scheduler(optimizer: torch.optim.Optimizer, config: TrainingConfig, steps: int) -> dict[str, Any] | None:
    """Lightning's description of the configured course over `steps` steps; None for a constant rate."""
    if config.scheduler == "cosine":
        return {"scheduler": LambdaLR(optimizer, lambda step: cosine_factor(step, steps, config)), "interval": "step"}
    if config.scheduler == "plateau":
        plateau = ReduceLROnPlateau(
            optimizer,
            factor=config.plateau_factor,
            patience=config.plateau_patience,
            min_lr=config.min_learning_rate,
        )
        return {"scheduler": plateau, "interval": "epoch", "monitor": "val/mre_px512"}
    return None


def cosine_factor(step: int, steps: int, config: TrainingConfig) -> float:
    """Share of the highest learning rate at `step`: a linear rise that starts above 0, then half a cosine."""
    warmup = round(config.warmup_fraction * steps)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    progress = min(1.0, (step - warmup) / max(1, steps - warmup))
    floor = min(1.0, config.min_learning_rate / config.learning_rate)
    return floor + (1 - floor) * (1 + math.cos(math.pi * progress)) / 2
