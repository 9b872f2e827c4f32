"""Check that the first step moves every parameter."""

from __future__ import annotations

import math

from spondylo_ml.config.optimisation import TrainingConfig
from spondylo_ml.diagnosis.results import CheckResult, check_result
from spondylo_ml.models.base import LandmarkModel
from spondylo_ml.training.optimisers import build_optimizer, build_scheduler

NAME = "first rate"


def check_learning_rate(model: LandmarkModel, config: TrainingConfig, n_films: int) -> CheckResult:
    """Check that the scheduled learning rate of step 1 is positive in every group of parameters."""
    rates = first_rates(model, config, n_films)
    least = min(rates)
    return check_result(
        NAME,
        least > 0,
        f"the first step has learning rates from {least:.3g} to {max(rates):.3g}",
        least,
        0.0,
        "",
        "The first step would do nothing, or the backbone would never learn: raise training.learning_rate or "
        "training.backbone_rate_ratio, or start the warm-up above 0 (training.warmup_fraction).",
    )


def first_rates(model: LandmarkModel, config: TrainingConfig, n_films: int) -> list[float]:
    """Learning rate of each group of parameters before the first step."""
    optimizer = build_optimizer(model, config)
    batches = math.ceil(n_films * config.shown_per_epoch(n_films) / config.batch_size)
    steps = math.ceil(batches / config.accumulate_batches) * (config.epochs or 1)
    build_scheduler(optimizer, config, steps)  # the constructor sets the rates
    return [float(group["lr"]) for group in optimizer.param_groups]
