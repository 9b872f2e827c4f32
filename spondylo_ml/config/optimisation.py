"""How a training proceeds."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from spondylo_ml.config.section import Fraction, Section


class TrainingConfig(Section):
    """Optimisation."""

    epochs: int | None = Field(None, ge=1, le=10000, description="epochs; absent: from film_passes")
    film_passes: int | None = Field(
        None, ge=1, description="training films to show in all, repeats counted; gives the epochs where they are absent"
    )
    minutes: float | None = Field(
        None,
        gt=0,
        description="wall-clock minutes for the epochs, with their validations; the cosine is fitted into them",
    )
    batch_size: int = Field(8, ge=1, le=1024, description="films per step")
    optimizer: Literal["adam", "adamw", "radam", "sgd"] = Field(
        "adamw", description="optimiser; sgd is with Nesterov momentum 0.9, radam with decoupled weight decay"
    )
    learning_rate: float = Field(1e-3, gt=0, le=1, description="highest learning rate")
    backbone_rate_ratio: float = Field(
        1.0, gt=0, le=1, description="learning rate of the backbone, as a share of the learning rate"
    )
    weight_decay: float = Field(1e-4, ge=0, le=1, description="weight decay")
    frozen_stages: int = Field(
        0, ge=0, le=10, description="stages of a pretrained backbone, from the input on, that do not learn at first"
    )
    thaw_epoch: int | None = Field(None, ge=2, description="epoch from which they learn too, from 2; absent: never")
    scheduler: Literal["constant", "cosine", "restarts", "step", "plateau"] = Field(
        "cosine", description="course of the learning rate"
    )
    warmup_fraction: Fraction = Field(0.03, description="cosine: share of the steps spent warming up, never from 0")
    min_learning_rate: float = Field(1e-6, ge=0, le=1, description="cosine, restarts, plateau: lowest rate")
    restart_epochs: int = Field(10, ge=1, description="restarts: epochs of the first cosine; each later one is twice")
    step_epochs: int = Field(30, ge=1, description="step: epochs between two decreases")
    step_factor: float = Field(0.1, gt=0, lt=1, description="step: factor of each decrease")
    plateau_factor: float = Field(0.5, gt=0, lt=1, description="plateau: factor of each decrease")
    plateau_patience: int = Field(15, ge=0, description="plateau: epochs without gain before a decrease")
    clip_norm: float = Field(1.0, ge=0, description="largest norm of the gradient; 0 for no clipping")
    accumulate_batches: int = Field(1, ge=1, le=1024, description="batches whose gradients are added up for a step")
    ema_decay: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="evaluate and keep a running mean of the weights with this decay a step; 0 for none",
    )
    early_stop_patience: int = Field(
        0, ge=0, description="stop after so many epochs without gain of val/mre_px512; 0 for never"
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = Field("auto", description="where to compute")
    precision: Literal["auto", "fp32", "bf16"] = Field("auto", description="auto: bf16 where the device gains by it")
    workers: int = Field(1, ge=0, le=64, description="processes that prepare films; 0 for none")
    preflight: bool = Field(
        True,
        description="check losses, targets, inputs, first learning rate, flip and memory before the first epoch, in "
        "seconds, and stop on a fault",
    )
    train_metric_films: int = Field(
        32, ge=1, description="fixed films of the training part on which train/ metrics are measured each epoch"
    )
