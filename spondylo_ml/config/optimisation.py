"""Configuration of the optimisation."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field

from spondylo_ml.config.section import Fraction, Section

MOST_EPOCHS = 10_000


class TrainingConfig(Section):
    """Length, optimiser, schedule and device of a training run."""

    epochs: int | None = Field(None, ge=1, le=MOST_EPOCHS, description="epochs; unset: from film_passes")
    film_passes: int | None = Field(
        None, ge=1, description="training films shown in total, repeats counted; sets the epochs if they are unset"
    )
    minutes: float | None = Field(
        None,
        gt=0,
        description="wall-clock minutes for the epochs and their validations; the cosine schedule is fitted into them",
    )
    least_epoch_films: int = Field(
        0,
        ge=0,
        le=10000,
        description="films that an epoch shows at least: fewer training films are shown several times, so that less of "
        "the time goes into validation; 0: each film once",
    )
    batch_size: int = Field(8, ge=1, le=1024, description="films per step")
    optimizer: Literal["adam", "adamw", "radam", "sgd"] = Field(
        "adamw", description="optimiser; sgd uses Nesterov momentum 0.9, radam decoupled weight decay"
    )
    learning_rate: float = Field(1e-3, gt=0, le=1, description="highest learning rate")
    backbone_rate_ratio: float = Field(
        1.0, gt=0, le=1, description="learning rate of a pretrained backbone as a fraction of learning_rate"
    )
    weight_decay: float = Field(1e-4, ge=0, le=1, description="weight decay")
    parts: Literal["all", "close_up", "all_but_close_up"] = Field(
        "all",
        description="what is trained: all, the close-up of Cascade Net alone, or all but it; the rest stays as it was",
    )
    frozen_stages: int = Field(
        0, ge=0, le=10, description="stages of a pretrained backbone, counted from the input, that are frozen at first"
    )
    thaw_epoch: int | None = Field(None, ge=2, description="epoch from which frozen stages are trained; unset: never")
    scheduler: Literal["constant", "cosine", "restarts", "step", "plateau"] = Field(
        "cosine", description="learning rate schedule"
    )
    warmup_fraction: Fraction = Field(0.03, description="cosine: fraction of the steps spent warming up")
    min_learning_rate: float = Field(1e-6, ge=0, le=1, description="cosine, restarts, plateau: lowest rate")
    restart_epochs: int = Field(
        10, ge=1, description="restarts: epochs of the first cosine; each later one is twice as long"
    )
    step_epochs: int = Field(30, ge=1, description="step: epochs between two decreases")
    step_factor: float = Field(0.1, gt=0, lt=1, description="step: factor of each decrease")
    plateau_factor: float = Field(0.5, gt=0, lt=1, description="plateau: factor of each decrease")
    plateau_patience: int = Field(15, ge=0, description="plateau: epochs without improvement before a decrease")
    clip_norm: float = Field(1.0, ge=0, description="largest norm of the gradient; 0: no clipping")
    accumulate_batches: int = Field(1, ge=1, le=1024, description="batches whose mean gradient makes one step")
    ema_decay: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="decay per step of a running mean of the weights, which is then evaluated and kept; 0: none",
    )
    early_stop_patience: int = Field(
        0, ge=0, description="stop after this many epochs without improvement of val/mre_px512; 0: never"
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = Field("auto", description="device to compute on")
    precision: Literal["auto", "fp32", "bf16"] = Field("auto", description="auto: bf16 if the device gains from it")
    workers: int = Field(1, ge=0, le=64, description="processes that prepare films; 0: none")
    preflight: bool = Field(
        True,
        description="check losses, targets, inputs, first learning rate, flip and memory before the first epoch, "
        "and stop if a check fails",
    )
    train_metric_films: int = Field(
        32, ge=1, description="fixed training films on which the train/ metrics are measured each epoch"
    )

    def shown_per_epoch(self, n_films: int) -> int:
        """How often an epoch shows each of `n_films` training films."""
        return max(1, math.ceil(self.least_epoch_films / n_films))
