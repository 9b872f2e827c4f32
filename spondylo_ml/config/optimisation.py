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
    batch_size: int = Field(8, ge=1, le=1024, description="films per step")
    optimizer: Literal["adam", "adamw"] = Field("adamw", description="optimiser")
    learning_rate: float = Field(1e-3, gt=0, le=1, description="highest learning rate")
    weight_decay: float = Field(1e-4, ge=0, le=1, description="weight decay")
    scheduler: Literal["constant", "cosine", "plateau"] = Field("cosine", description="course of the learning rate")
    warmup_fraction: Fraction = Field(0.03, description="cosine: share of the steps spent warming up, never from 0")
    min_learning_rate: float = Field(1e-6, ge=0, le=1, description="cosine and plateau: lowest learning rate")
    plateau_factor: float = Field(0.5, gt=0, lt=1, description="plateau: factor of each decrease")
    plateau_patience: int = Field(15, ge=0, description="plateau: epochs without gain before a decrease")
    clip_norm: float = Field(1.0, ge=0, description="largest norm of the gradient; 0 for no clipping")
    early_stop_patience: int = Field(
        0, ge=0, description="stop after so many epochs without gain of val/mre_px512; 0 for never"
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = Field("auto", description="where to compute")
    precision: Literal["auto", "fp32", "bf16"] = Field("auto", description="auto: bf16 where the device gains by it")
    workers: int = Field(1, ge=0, le=64, description="processes that prepare films; 0 for none")
    train_metric_films: int = Field(
        32, ge=1, description="fixed films of the training part on which train/ metrics are measured each epoch"
    )
