"""One training run, from prepared films to the best weights."""

from __future__ import annotations

import logging
import math
import signal
import statistics
import sys
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, EMAWeightAveraging
from lightning.pytorch.utilities.exceptions import SIGTERMException

from spondylo_ml.config.schema import Config
from spondylo_ml.data.batches import plain_loader, train_loader
from spondylo_ml.data.prepare import PreparedFilm
from spondylo_ml.data.sampling import evenly_spaced
from spondylo_ml.models.base import LandmarkModel
from spondylo_ml.termination import Terminated
from spondylo_ml.training.budget import Budget
from spondylo_ml.training.callbacks import DrawPanel, EpochReport, FrozenStages, Panel, ProgressLines, TrainingBar
from spondylo_ml.training.checkpoint_files import BEST, LAST
from spondylo_ml.training.checkpoints import MovableCheckpoint, SafeCheckpointIO, prepare_to_resume, write_checkpoint
from spondylo_ml.training.cost import peak_gpu_memory_mb, peak_memory_mb
from spondylo_ml.training.device import Compute
from spondylo_ml.training.inference import FILMS_AT_ONCE
from spondylo_ml.training.module import LandmarkTraining, Score
from spondylo_ml.training.out_of_memory import naming_batch_size
from spondylo_ml.training.resume_point import MONITOR, ResumePoint, lost_best
from spondylo_ml.training.run_log import RunLog

log = logging.getLogger(__name__)

LIGHTNING_HINTS = (
    ".*does not have many workers.*",
    ".*number of training batches.*",
    ".*exists and is not empty.*",
    ".*LeafSpec.*",
)


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

    Args:
        folder: for `last.ckpt`, written after each epoch, and `best.ckpt`, which in the end holds the weights alone;
            see `checkpoint_files` on how they are written.
        resume_from: a `last.ckpt` from which training continues; a damaged one is replaced by the one before it.
        learn_shapes: learn the shapes of vertebrae from these films; otherwise the model keeps those that it has.

    Raises:
        NonFiniteLossError: the loss became NaN or infinite.
        NonFiniteMetricError: the validation error became NaN or infinite.
        DataError: the checkpoints of the run to resume are damaged.
        OutOfMemoryError: the device has too little memory for the batch size.
    """
    training = config.training
    torch.manual_seed(config.seed)
    if learn_shapes:
        model.learn_shapes(torch.from_numpy(np.stack([film.corners_xy for film in films["train"]])))
    evaluated = {"val": films["val"], "train": _some_labelled(films["train"], training.train_metric_films)}
    budget = Budget(training.minutes)
    module = LandmarkTraining(model, training, config.seed, evaluated, score, compute, budget.share_used)
    report = EpochReport(run_log, budget.seconds_left)
    panel_films = _some_labelled(films["val"], config.tracking.panel_films)
    panel = Panel(panel_films, draw_panel, run_log, config.tracking.panel_every_epochs)
    if resume_from is None:
        _warn_about_random_backbone(model, config)
    progress = TrainingBar(refresh_rate=10) if sys.stderr.isatty() else ProgressLines(seconds_left=budget.seconds_left)
    point = prepare_to_resume(resume_from, folder) if resume_from else None
    first_epoch = point.epoch + 1 if point else 0
    callbacks = [budget, progress, *_callbacks(model, config, folder, report, panel if panel_films else None, point)]
    trainer = _trainer(config, compute, callbacks, folder)
    loader = train_loader(
        films["train"], config.augmentation, training.batch_size, config.seed, training.workers, first_epoch,
        training.shown_per_epoch(len(films["train"])),
    )  # fmt: skip
    val_loaders = [plain_loader(part, FILMS_AT_ONCE) for part in evaluated.values()]
    with _without_lightning_hints(), _interruptible(), naming_batch_size(training, compute.device):
        trainer.fit(module, loader, val_loaders, ckpt_path=resume_from, weights_only=True)
    peak_memory = peak_memory_mb()
    best = torch.load(folder / BEST, map_location="cpu", weights_only=True)
    module.load_state_dict(best["state_dict"])
    _keep_weights_only(folder / BEST, best)
    model.eval()
    trained_here = len(report.history) > first_epoch
    return FitResult(
        best_epoch=int(best["epoch"]) + 1,
        history=report.history,
        training_s=budget.time_elapsed(),
        peak_memory_mb=peak_memory if trained_here else math.nan,
        peak_gpu_memory_mb=peak_gpu_memory_mb() if trained_here else math.nan,
    )


def _keep_weights_only(path: Path, checkpoint: Mapping[str, Any]) -> None:
    """Write the best checkpoint again without the state of optimiser and callbacks, which is twice the weights or more.

    Training goes on from the last one; the weights of the best epoch are all that anyone wants of this one.
    """
    smaller = {"epoch": checkpoint["epoch"], "state_dict": checkpoint["state_dict"]}
    write_checkpoint(smaller, path, keep_previous=False)


def _callbacks(
    model: LandmarkModel,
    config: Config,
    folder: Path,
    report: EpochReport,
    panel: Panel | None,
    point: ResumePoint | None,
) -> list[Callback]:
    """The callbacks in Lightning's order: an epoch is reported once its checkpoint is safe."""
    training = config.training
    best = MovableCheckpoint(folder, Path(BEST).stem, MONITOR, mode="min", enable_version_counter=False)
    best.kept_error = point.best_error if point and point.lost_best else None
    callbacks: list[Callback] = [
        best,
        MovableCheckpoint(folder, Path(LAST).stem, save_on_train_epoch_end=True, enable_version_counter=False),
        report,
    ]
    if training.early_stop_patience:
        callbacks.append(EarlyStopping(MONITOR, patience=training.early_stop_patience, mode="min"))
    if panel:
        callbacks.append(panel)
    if training.frozen_stages:
        callbacks.append(FrozenStages(model, training.frozen_stages, training.thaw_epoch))
    if training.ema_decay:
        callbacks.append(EMAWeightAveraging(decay=training.ema_decay))
    return callbacks


def _trainer(config: Config, compute: Compute, callbacks: list[Callback], folder: Path) -> L.Trainer:
    training = config.training
    if training.epochs is None:
        raise ValueError("the configuration must be resolved: training.epochs is not set")
    return L.Trainer(
        accelerator=compute.device if compute.device != "cuda" else "gpu",
        devices=1,
        precision=compute.lightning_precision,
        max_epochs=training.epochs,
        gradient_clip_val=training.clip_norm or None,
        accumulate_grad_batches=training.accumulate_batches,
        callbacks=callbacks,
        logger=False,
        enable_progress_bar=any(isinstance(callback, TrainingBar) for callback in callbacks),
        num_sanity_val_steps=0,
        enable_model_summary=False,
        default_root_dir=folder,
        deterministic="warn",
        plugins=[SafeCheckpointIO()],
    )


def _warn_about_random_backbone(model: LandmarkModel, config: Config) -> None:
    """Warn about values that only matter with a pretrained backbone, if there is none."""
    training = config.training
    random = model.backbone_net is not None and model.pretrained == "none"
    if training.frozen_stages and (random or model.backbone_net is None):
        why = "the backbone's weights are random" if random else f"{config.model.name} has no backbone"
        log.warning("training.frozen_stages=%d freezes nothing: %s", training.frozen_stages, why)
    if random and training.backbone_rate_ratio < 1:
        log.warning(
            "training.backbone_rate_ratio=%g slows down a backbone that starts from random weights: give weights, or 1",
            training.backbone_rate_ratio,
        )


@contextmanager
def _without_lightning_hints() -> Iterator[None]:
    """Hide Lightning's warnings that do not apply here."""
    with warnings.catch_warnings():
        for hint in LIGHTNING_HINTS:
            warnings.filterwarnings("ignore", message=hint)
        yield


@contextmanager
def _interruptible() -> Iterator[None]:
    """Raise KeyboardInterrupt on Ctrl-C, and its subclass on SIGTERM, where Lightning would exit the program.

    After Ctrl-C Lightning ignores further ones and exits with code 1; after SIGTERM it exits with code 0.
    """
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SIGTERMException:
        raise Terminated from None
    except SystemExit as exit_request:
        interrupt = exit_request.__context__
        if not isinstance(interrupt, KeyboardInterrupt):
            raise
        if handler is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, handler)
        raise type(interrupt) from None


def _some_labelled(films: Sequence[PreparedFilm], count: int) -> list[PreparedFilm]:
    """Up to `count` labelled films, the same each time."""
    return evenly_spaced([film for film in films if film.film.labelled], count)
