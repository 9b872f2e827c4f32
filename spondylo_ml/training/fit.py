"""One training run, from prepared films to the best weights."""

from __future__ import annotations

import logging
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from spondylo_ml.config.schema import Config
from spondylo_ml.data.prepare import PreparedFilm
from spondylo_ml.models.base import LandmarkModel
from spondylo_ml.training.callbacks import DrawPanel, Panel
from spondylo_ml.training.checkpoint_files import BEST
from spondylo_ml.training.checkpoints import prepare_to_resume, write_checkpoint
from spondylo_ml.training.cost import peak_gpu_memory_mb, peak_memory_mb
from spondylo_ml.training.device import Compute
from spondylo_ml.training.lightning_epochs import some_labelled, train_epochs
from spondylo_ml.training.module import Score
from spondylo_ml.training.resume_point import MONITOR, lost_best
from spondylo_ml.training.run_log import NoRunLog, RunLog

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FitResult:
    """The result of `fit`; the trained model itself holds the best epoch's weights.

    Attributes:
        best_epoch: epoch of the kept weights, from 1: the one with the lowest validation MRE, unless its weights were
            lost with a damaged checkpoint, see `lost_best`.
        history: metrics of each epoch.
        training_s: duration of the epochs with their validations, before a resume included.
        peak_memory_mb, peak_gpu_memory_mb: peak memory of this process, with loading films but without the loader's
            workers; NaN if no epoch was left to train, or there is no GPU.
    """

    best_epoch: int
    history: list[dict[str, Any]]
    training_s: float = math.nan
    peak_memory_mb: float = math.nan
    peak_gpu_memory_mb: float = math.nan

    @property
    def best(self) -> dict[str, Any]:
        """Metrics of the kept weights."""
        return next(row for row in self.history if row["epoch"] == self.best_epoch)

    @property
    def lost_best(self) -> Mapping[str, Any] | None:
        """Metrics of the epoch with the lowest validation error, if its weights were lost and others are kept."""
        return lost_best(self.history, self.best_epoch)

    @property
    def epoch_text(self) -> str:
        """The epoch of the kept weights and the number of epochs; also a better epoch whose weights were lost."""
        text = f"{self.best_epoch} of {self.history[-1]['epoch']}"
        if (lost := self.lost_best) is None:
            return text
        return f"{text}; the weights of the best, {lost['epoch']} with MRE {lost[MONITOR]:.2f} px512, were lost"

    @property
    def films_per_s(self) -> float:
        """Training films per second in the median epoch, without validation."""
        return statistics.median(float(row["time/films_per_s"]) for row in self.history)


def fit(
    model: LandmarkModel,
    config: Config,
    compute: Compute,
    films: Mapping[str, Sequence[PreparedFilm]],
    score: Score,
    run_log: RunLog,
    draw_panel: DrawPanel,
    folder: Path,
    resume_from: Path | None = None,
    learn_shapes: bool = True,
) -> FitResult:
    """Train on `films["train"]` and keep the epoch with the lowest error on `films["val"]`.

    Where several processes train, the first one calls this, and the others `fit_with_first`.

    Args:
        folder: for `last.ckpt`, written after each epoch, and `best.ckpt`, which in the end holds the weights alone;
            see `checkpoint_files` on how they are written.
        resume_from: a `last.ckpt` from which training continues; a damaged one is replaced by the one before it.
        learn_shapes: learn the shapes of vertebrae from these films; otherwise the model keeps those that it has.

    Raises:
        NonFiniteLossError: the loss became NaN or infinite.
        NonFiniteMetricError: the validation error became NaN or infinite.
        DataError: the checkpoints of the run to resume are damaged.
        LostProcessError: another process of the training run has ended.
        OutOfMemoryError: the device has too little memory for the batch size.
    """
    if learn_shapes:
        model.learn_shapes(torch.from_numpy(np.stack([film.corners_xy for film in films["train"]])))
    if resume_from is None:
        _warn_about_random_backbone(model, config)
    point = prepare_to_resume(resume_from, folder) if resume_from else None
    panel_films = some_labelled(films["val"], config.tracking.panel_films)
    panel = Panel(panel_films, draw_panel, run_log, config.tracking.panel_every_epochs) if panel_films else None
    trained = train_epochs(model, config, compute, films, score, run_log, panel, folder, resume_from, point)
    peak_memory = peak_memory_mb()
    best = torch.load(folder / BEST, map_location="cpu", weights_only=True)
    trained.module.load_state_dict(best["state_dict"])
    _keep_weights_only(folder / BEST, best)
    model.eval()
    trained_here = len(trained.history) > (point.epoch + 1 if point else 0)
    return FitResult(
        best_epoch=int(best["epoch"]) + 1,
        history=trained.history,
        training_s=trained.training_s,
        peak_memory_mb=peak_memory if trained_here else math.nan,
        peak_gpu_memory_mb=peak_gpu_memory_mb() if trained_here else math.nan,
    )


def fit_with_first(
    model: LandmarkModel,
    config: Config,
    compute: Compute,
    films: Mapping[str, Sequence[PreparedFilm]],
    resume_from: Path | None = None,
) -> None:
    """Train with the first process, which calls `fit` with the same arguments and alone scores, logs and saves.

    Args:
        model: starts from the weights of the first process, whatever its own.

    Raises:
        ConfigError: the films are not those of the first process, or there is no device for this one.
        LostProcessError: another process has ended.
        SpondyloError: as `fit`.
    """
    train_epochs(model, config, compute, films, lambda *_: {}, NoRunLog(), None, Path(), resume_from, None)


def _keep_weights_only(path: Path, checkpoint: Mapping[str, Any]) -> None:
    """Write the best checkpoint again without the state of optimiser and callbacks, which is twice the weights or more.

    Training goes on from the last one; the weights of the best epoch are all that anyone wants of this one.
    """
    smaller = {"epoch": checkpoint["epoch"], "state_dict": checkpoint["state_dict"]}
    write_checkpoint(smaller, path, keep_previous=False)


def _warn_about_random_backbone(model: LandmarkModel, config: Config) -> None:
    """Warn about values that only matter with a pretrained backbone, if there is none."""
    training = config.training
    random = model.backbone_net is not None and model.pretrained == "none"
    if training.frozen_stages and (random or model.backbone_net is None):
        why = "the backbone's weights are random" if random else f"{config.model.name} has no backbone"
        log.warning("training.frozen_stages=%d freezes nothing: %s", training.frozen_stages, why)
