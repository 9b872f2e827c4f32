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
from spondylo_ml.data.epochs import Share
from spondylo_ml.data.prepare import PreparedFilm
from spondylo_ml.errors import NonFiniteLossError, NonFiniteMetricError
from spondylo_ml.landmarks import FilmPrediction
from spondylo_ml.models.base import LandmarkModel
from spondylo_ml.training.device import Compute
from spondylo_ml.training.distributed import (
    broadcast_buffers,
    broadcast_from_rank0,
    gather_at_rank0,
    sum_over_ranks,
    this_process,
)
from spondylo_ml.training.inference import inference, predict_batch, to_film_predictions
from spondylo_ml.training.optimisers import build_optimizer, build_scheduler

Score = Callable[[Sequence[PreparedFilm], Sequence[FilmPrediction]], Mapping[str, float]]


class LandmarkTraining(L.LightningModule):
    """Trains any `LandmarkModel`.

    Attributes:
        epoch_metrics: metrics of the current epoch, set during validation and read by callbacks.
        films_seen: number of training films of the current epoch so far, in all processes.
    """

    def __init__(
        self,
        model: LandmarkModel,
        config: TrainingConfig,
        seed: int,
        parts: Mapping[str, Sequence[PreparedFilm]],
        score: Score,
        compute: Compute,
        share: Callable[[int], Share],
        share_used: Callable[[], float] = lambda: 0.0,
    ) -> None:
        """Args:
        parts: films evaluated after each epoch, by part name, in the order of the loaders.
        compute: device and precision of the training steps; predictions are always in single precision.
        share: this process's share of the training batch of a step.
        share_used: share of the training minutes that is used up.
        """
        super().__init__()
        self.model = model
        self.epoch_metrics: dict[str, float] = {}
        self._config, self._seed, self._parts, self._score = config, seed, parts, score
        self._compute, self._share, self._share_used = compute, share, share_used
        self.films_seen = 0
        self._sums: dict[str, float] = {}
        self._seen: dict[str, dict[int, FilmPrediction]] = {}

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
        """The sum of the model's losses, weighted so that its mean over the processes is that over the whole batch.

        Raises:
            NonFiniteLossError: the sum is NaN or infinite.
        """
        # Seed dropout by seed, epoch and step, so that a resumed run draws the same as an uninterrupted one.
        process, share = this_process(), self._share(step)
        seeds = [self._seed, self.current_epoch, step] + ([] if process.is_first else [process.rank])
        torch.manual_seed(int(np.random.SeedSequence(seeds).generate_state(1)[0]))
        parts = self.model.losses(batch)
        total = torch.stack(list(parts.values())).sum()
        values = sum_over_ranks({name: share.fraction * float(value.detach()) for name, value in parts.items()})
        whole = sum(values.values())
        if not math.isfinite(whole):
            raise NonFiniteLossError(self.current_epoch + 1, step + 1, values)
        self.films_seen += share.n_films
        for name, value in {**values, "total": whole}.items():
            self._sums[name] = self._sums.get(name, 0.0) + value * share.n_films
        self.log("loss", whole, prog_bar=True, logger=False)
        return share.fraction * process.count * total

    def on_validation_epoch_start(self) -> None:
        """Forget the predictions of the last epoch."""
        self._seen = {part: {} for part in self._parts}
        broadcast_buffers(self.model)  # as DDP does at each step, but not within one of several batches

    def validation_step(self, batch: FilmBatch, step: int, dataloader_idx: int = 0) -> None:
        """Predict the films, each in one pass of the network, and keep the predictions by their places in the part."""
        part, rows = list(self._parts)[dataloader_idx], batch.row.tolist()
        films = [self._parts[part][row] for row in rows]
        landmarks = predict_batch(self.model.predict, batch.images, self._compute)
        self._seen[part] |= zip(rows, to_film_predictions(films, landmarks, self.model), strict=True)

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
        seen = gather_at_rank0(self._seen)
        self.epoch_metrics |= broadcast_from_rank0({} if seen is None else self._scores(seen))
        mre = self.epoch_metrics["val/mre_px512"]
        if not math.isfinite(mre):
            raise NonFiniteMetricError(self.current_epoch + 1, "val/mre_px512", mre)
        self.log("val/mre_px512", torch.tensor(mre), prog_bar=True, logger=False)

    def _scores(self, seen: Sequence[Mapping[str, Mapping[int, FilmPrediction]]]) -> dict[str, float]:
        """Metrics of all parts, each film counted once.

        Args:
            seen: what each process has predicted; several may have predicted a film.
        """
        scores: dict[str, float] = {}
        for part, films in self._parts.items():
            by_row = {row: prediction for of_process in seen for row, prediction in of_process[part].items()}
            numbers = self._score(films, [by_row[row] for row in range(len(films))])
            scores |= {f"{part}/{name}": float(value) for name, value in numbers.items()}
        return scores
