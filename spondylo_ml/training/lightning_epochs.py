"""The epochs of a training run in Lightning, which every process of the run goes through."""

from __future__ import annotations

import logging
import signal
import sys
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning.pytorch.callbacks import Callback, EMAWeightAveraging
from lightning.pytorch.strategies import DDPStrategy
from lightning.pytorch.utilities.exceptions import SIGTERMException

from spondylo_ml.config.schema import Config
from spondylo_ml.data.batches import plain_loader, train_loader
from spondylo_ml.data.epochs import EpochSampler, SharedBatches
from spondylo_ml.data.prepare import PreparedFilm
from spondylo_ml.data.sampling import evenly_spaced
from spondylo_ml.models.base import LandmarkModel
from spondylo_ml.termination import Terminated
from spondylo_ml.training.budget import Budget
from spondylo_ml.training.callbacks import EarlyStop, EpochReport, FrozenStages, Panel, ProgressLines, TrainingBar
from spondylo_ml.training.checkpoint_files import BEST, LAST
from spondylo_ml.training.checkpoints import MovableCheckpoint, SafeCheckpointIO
from spondylo_ml.training.device import Compute
from spondylo_ml.training.distributed import (
    OwnSigterm,
    broadcast_from_rank0,
    naming_lost_process,
    require_device_each,
    require_same_films,
    this_process,
)
from spondylo_ml.training.inference import FILMS_AT_ONCE
from spondylo_ml.training.module import LandmarkTraining, Score
from spondylo_ml.training.out_of_memory import naming_batch_size
from spondylo_ml.training.resume_point import MONITOR, ResumePoint
from spondylo_ml.training.run_log import RunLog

log = logging.getLogger(__name__)

LIGHTNING_HINTS = (
    ".*does not have many workers.*",
    ".*number of training batches.*",
    ".*exists and is not empty.*",
    ".*LeafSpec.*",
    ".*sync_dist=True.*",  # all processes have the same value
    ".*did not find any unused parameters.*",
)


@dataclass(frozen=True)
class TrainedEpochs:
    """The result of `train_epochs`."""

    module: LandmarkTraining
    history: list[dict[str, Any]]
    training_s: float


def train_epochs(
    model: LandmarkModel,
    config: Config,
    compute: Compute,
    films: Mapping[str, Sequence[PreparedFilm]],
    score: Score,
    run_log: RunLog,
    panel: Panel | None,
    folder: Path,
    resume_from: Path | None,
    point: ResumePoint | None,
) -> TrainedEpochs:
    """Train all epochs; in each process of the training run. Folder and point are those of the first one."""
    training, process = config.training, this_process()
    torch.manual_seed(config.seed)
    require_device_each(compute)
    require_same_films(films)
    point, folder, model.pretrained = broadcast_from_rank0((point, folder, model.pretrained))
    first_epoch = point.epoch + 1 if point else 0
    evaluated = {"val": films["val"], "train": some_labelled(films["train"], training.train_metric_films)}
    shown = training.shown_per_epoch(len(films["train"]))
    batches = SharedBatches(
        EpochSampler(len(films["train"]), config.seed, first_epoch, shown), training.batch_size, process
    )
    budget = Budget(training.minutes)
    module = LandmarkTraining(model, training, config.seed, evaluated, score, compute, batches.share, budget.share_used)
    report = EpochReport(run_log, budget.seconds_left)
    progress = TrainingBar(refresh_rate=10) if sys.stderr.isatty() else ProgressLines(seconds_left=budget.seconds_left)
    callbacks = [budget, progress, *_callbacks(model, config, folder, report, panel, point)]
    trainer = _trainer(config, compute, callbacks, folder)
    loader = train_loader(films["train"], config.augmentation, batches, config.seed, training.workers)
    val_loaders = [plain_loader(part, FILMS_AT_ONCE, process) for part in evaluated.values()]
    with (
        _without_lightning_hints(),
        _interruptible(),
        naming_batch_size(training, compute.device),
        naming_lost_process(),
    ):
        trainer.fit(module, loader, val_loaders, ckpt_path=resume_from, weights_only=True)
    return TrainedEpochs(module, report.history, budget.time_elapsed())


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
        callbacks.append(EarlyStop(MONITOR, patience=training.early_stop_patience, mode="min"))
    if panel:
        callbacks.append(panel)
    if training.frozen_stages:
        callbacks.append(FrozenStages(model, training.frozen_stages, training.thaw_epoch))
    if training.ema_decay:
        callbacks.append(EMAWeightAveraging(decay=training.ema_decay))
    if this_process().count > 1:
        callbacks.append(OwnSigterm())
    return callbacks


def _trainer(config: Config, compute: Compute, callbacks: list[Callback], folder: Path) -> L.Trainer:
    training, process = config.training, this_process()
    if training.epochs is None:
        raise ValueError("the configuration must be resolved: training.epochs is not set")
    several = process.count > 1
    return L.Trainer(
        accelerator=compute.device if compute.device != "cuda" else "gpu",
        devices=process.per_machine,
        num_nodes=process.count // process.per_machine,
        # A loss may leave out parameters, such as those of a frozen stage: without a search DDP would wait for them.
        strategy=DDPStrategy(find_unused_parameters=True) if several else "auto",
        use_distributed_sampler=False,
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
        plugins=[SafeCheckpointIO(), *([TorchElasticEnvironment()] if several else [])],
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


def some_labelled(films: Sequence[PreparedFilm], count: int) -> list[PreparedFilm]:
    """Up to `count` labelled films, the same each time."""
    return evenly_spaced([film for film in films if film.film.labelled], count)
