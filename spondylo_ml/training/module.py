"""The Lightning module: training steps, and validation with an injected score."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import lightning as L
import numpy as np
import torch
from torch import Tensor

from spondylo_ml.config.optimisation import TrainingConfig
from spondylo_ml.data.batches import FilmBatch
from spondylo_ml.data.prepare import PreparedFilm
from spondylo_ml.errors import NonFiniteLossError, NonFiniteMetricError
from spondylo_ml.landmarks import FilmPrediction
from spondylo_ml.models.base import LandmarkModel
from spondylo_ml.training.device import Compute
from spondylo_ml.training.inference import inference, predict_batch, to_film_predictions
from spondylo_ml.training.optimisers import build_optimizer, build_scheduler

Score = Callable[[Sequence[PreparedFilm], Sequence[FilmPrediction]], Mapping[str, float]]


class LandmarkTraining(L.LightningModule):
    """Trains any `LandmarkModel`.

    Attributes:
        epoch_metrics: metrics of the current epoch, set during validation and read by callbacks.
        films_seen: number of training films of the current epoch so far.
    """

    def __init__(
        self,
        model: LandmarkModel,
        config: TrainingConfig,
        seed: int,
        parts: Mapping[str, Sequence[PreparedFilm]],
        score: Score,
        compute: Compute,
        share_used: Callable[[], float] = lambda: 0.0,
    ) -> None:
        """Args:
        parts: films evaluated after each epoch, by part name, in the order of the loaders.
        compute: device and precision of the training steps; predictions are always in single precision.
        share_used: share of the training minutes that is used up.
        """
        super().__init__()
        self.model = model
        self.epoch_metrics: dict[str, float] = {}
        self._config, self._seed, self._parts, self._score = config, seed, parts, score
        self._compute, self._share_used = compute, share_used
        self.films_seen = 0
        self._sums: dict[str, float] = {}
        self._seen: dict[str, list[FilmPrediction]] = {}

    def configure_optimizers(self) -> Any:
        """Build the configured optimiser and schedule."""
        optimizer = build_optimizer(self.model, self._config)
        steps = int(self.trainer.estimated_stepping_batches)
        scheduler = build_scheduler(optimizer, self._config, steps, self._share_used)
        return {"optimizer": optimizer} | ({"lr_scheduler": scheduler} if scheduler else {})

    def on_train_epoch_start(self) -> None:
        """Reset the sums of the epoch."""
        self._sums, self.films_seen = {}, 0
        rate = self.trainer.optimizers[0].param_groups[0]["lr"]
        self.epoch_metrics = {"learning_rate": float(rate)}

    def training_step(self, batch: FilmBatch, step: int) -> Tensor:
        """The sum of the model's losses.

        Raises:
            NonFiniteLossError: the sum is NaN or infinite.
        """
        # Seed dropout by seed, epoch and step, so that a resumed run draws the same as an uninterrupted one.
        torch.manual_seed(int(np.random.SeedSequence([self._seed, self.current_epoch, step]).generate_state(1)[0]))
        parts = self.model.losses(batch)
        total = torch.stack(list(parts.values())).sum()
        values = {name: float(value.detach()) for name, value in parts.items()}
        if not math.isfinite(sum(values.values())):
            raise NonFiniteLossError(self.current_epoch + 1, step + 1, values)
        count = len(batch.images)
        self.films_seen += count
        for name, value in {**values, "total": sum(values.values())}.items():
            self._sums[name] = self._sums.get(name, 0.0) + value * count
        self.log("loss", total.detach(), prog_bar=True, logger=False)
        return total

    def on_validation_epoch_start(self) -> None:
        """Forget the predictions of the last epoch."""
        self._seen = {part: [] for part in self._parts}

    def validation_step(self, batch: FilmBatch, step: int, dataloader_idx: int = 0) -> None:
        """Predict the films as `evaluate` and `predict` will, and keep the predictions."""
        part = list(self._parts)[dataloader_idx]
        films = [self._parts[part][i] for i in batch.row.tolist()]
        self._seen[part] += to_film_predictions(
            films, predict_batch(self.model.predict, batch.images, self._compute), self.model
        )

    def inference(self) -> AbstractContextManager[None]:
        """Context manager in which predictions are computed as in `evaluate` and `predict`, not as in training."""
        return inference(self._compute)

    def on_validation_epoch_end(self) -> None:
        """Score the predictions; `val/mre_px512` decides which checkpoint is best.

        Raises:
            NonFiniteMetricError: the validation error is NaN or infinite.
        """
        for name, value in self._sums.items():
            self.epoch_metrics["train/loss" if name == "total" else f"train/loss_{name}"] = value / self.films_seen
        for part, predictions in self._seen.items():
            numbers = self._score(self._parts[part], predictions)
            self.epoch_metrics |= {f"{part}/{name}": float(value) for name, value in numbers.items()}
        mre = self.epoch_metrics["val/mre_px512"]
        if not math.isfinite(mre):
            raise NonFiniteMetricError(self.current_epoch + 1, "val/mre_px512", mre)
        self.log("val/mre_px512", torch.tensor(mre), prog_bar=True, logger=False)
