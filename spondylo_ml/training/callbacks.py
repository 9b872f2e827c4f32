"""Callbacks of a training run: the report of each epoch, frozen stages, the panel of overlays."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, Checkpoint, EarlyStopping, TQDMProgressBar
from lightning.pytorch.callbacks.progress.tqdm_progress import Tqdm
from tqdm import tqdm

from spondylo_ml.data.batches import plain_loader
from spondylo_ml.data.prepare import PreparedFilm
from spondylo_ml.landmarks import FilmPrediction, FloatArray
from spondylo_ml.models.base import LandmarkModel
from spondylo_ml.training.inference import FILMS_AT_ONCE, to_film_predictions
from spondylo_ml.training.module import LandmarkTraining
from spondylo_ml.training.optimisers import set_frozen
from spondylo_ml.training.run_log import ColourImage, RunLog

DrawPanel = Callable[[Sequence[PreparedFilm], Sequence[FilmPrediction], Sequence[FloatArray | None], str], ColourImage]
"""Draws films with predictions and maps; the last argument says what the maps are, such as "heatmaps"."""


PROGRESS_EVERY_S = 20.0
"""Seconds without a line after which one says that training goes on."""

PANEL, ATTENTION = "val/panel", "val/panel_attention"
"""Keys of the pictures. MLflow sorts charts by the part before the slash: so they stand with the validation error."""


class EpochReport(Checkpoint):
    """Sends each epoch's metrics to the run log, and keeps the history across a resume.

    It is a `Checkpoint` so that Lightning calls it after the checkpoints before it in the list: an epoch is reported
    after it is saved, and `RunLog.restore` sends one that was saved but not reported.
    """

    def __init__(self, run_log: RunLog, seconds_left: Callable[[], float] = lambda: math.inf) -> None:
        """Args: seconds_left: time left in the budget."""
        self._run_log, self._seconds_left = run_log, seconds_left
        self.history: list[dict[str, Any]] = []
        self._epoch_started = self._validation_started = 0.0

    def state_dict(self) -> dict[str, Any]:
        """The history, saved in checkpoints."""
        return {"history": self.history}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the history from before a resume."""
        self.history = list(state_dict["history"])

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Send epochs that the run log missed before a resume."""
        self._run_log.restore(self.history)

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the clock."""
        self._epoch_started = time.monotonic()

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Stop the clock of the training steps."""
        self._validation_started = time.monotonic()

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Add the epoch to the history before the checkpoints are saved."""
        assert isinstance(pl_module, LandmarkTraining)
        now = time.monotonic()
        films = pl_module.films_seen
        pl_module.epoch_metrics |= {
            "time/epoch_s": now - self._epoch_started,
            "time/films_per_s": films / max(1e-9, self._validation_started - self._epoch_started),
        }
        self.history.append({"epoch": trainer.current_epoch + 1, **pl_module.epoch_metrics})

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Report the epoch to the run log and the terminal."""
        row = self.history[-1]
        self._run_log.metrics({k: v for k, v in row.items() if k != "epoch"}, row["epoch"])
        epochs_left = (trainer.max_epochs or 0) - row["epoch"]
        left_s = max(0.0, min(epochs_left * row["time/epoch_s"], self._seconds_left()))
        tqdm.write(
            f"epoch {row['epoch']}/{trainer.max_epochs}  loss {row['train/loss']:.3f}  "
            f"val MRE {row['val/mre_px512']:.1f} px512  SDR@24 {row['val/sdr_24px']:.0f} %  "
            f"{row['time/epoch_s']:.0f} s{_time_to_go(left_s)}"
        )
        sys.stdout.flush()  # so that a log file shows each epoch as it ends


def _time_to_go(left_s: float) -> str:
    """The time that is left, in minutes from two of them on; nothing after the last epoch."""
    if left_s < 1:
        return ""
    return f", {left_s:.0f} s to go" if left_s < 120 else f", {left_s / 60:.0f} min to go"


class FrozenStages(Callback):
    """Freezes the first stages of a pretrained backbone until an epoch; random weights are never frozen."""

    def __init__(self, model: LandmarkModel, count: int, thaw_epoch: int | None) -> None:
        self._stages = model.backbone_net.stages[:count] if model.backbone_net else []
        self._thaw_epoch, self._active = thaw_epoch, model.pretrained != "none"
        self._frozen = False

    def state_dict(self) -> dict[str, Any]:
        """Whether there were pretrained weights, which a resumed run does not load again."""
        return {"active": self._active}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state from before a resume."""
        self._active = state_dict["active"]

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Freeze the stages, or thaw them at the configured epoch."""
        due = self._active and (self._thaw_epoch is None or trainer.current_epoch + 1 < self._thaw_epoch)
        if due or self._frozen:
            set_frozen(self._stages, due)
        self._frozen = due


class EarlyStop(EarlyStopping):
    """Early stopping that also holds for a run that was killed after it and is resumed."""

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Train nothing more if the epochs before the resume have used up the patience."""
        if self.wait_count >= self.patience:
            trainer.should_stop = True


class TrainingBar(TQDMProgressBar):
    """Lightning's progress bar of the training steps, without one for validation, which takes seconds."""

    def init_validation_tqdm(self) -> Tqdm:
        """A hidden bar."""
        return Tqdm(disable=True)


class ProgressLines(Callback):
    """A line every 20 s within an epoch, where the output is no terminal and there is no progress bar."""

    def __init__(
        self,
        every_s: float = PROGRESS_EVERY_S,
        seconds_left: Callable[[], float] = lambda: math.inf,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Args: seconds_left: time left in the budget, which may end the epoch early. clock: the time in seconds."""
        self._every_s, self._seconds_left, self._clock = every_s, seconds_left, clock
        self._started = self._last = 0.0

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the clock."""
        self._started = self._last = self._clock()

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Say how far the epoch is, if that was not said for a while."""
        now, done, count = self._clock(), batch_idx + 1, int(trainer.num_training_batches)
        if now - self._last < self._every_s or done == count:
            return
        self._last = now
        left_s = max(0.0, min((now - self._started) / done * (count - done), self._seconds_left()))
        tqdm.write(
            f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}  step {done}/{count}  {left_s:.0f} s to its end"
        )
        sys.stdout.flush()


class Panel(Callback):
    """Draws the same validation films with predictions and attention before training, every few epochs, and at the end.

    It comes before the callback that swaps in averaged weights for validation, and so draws with those weights.
    """

    def __init__(self, films: Sequence[PreparedFilm], draw: DrawPanel, run_log: RunLog, every_epochs: int) -> None:
        self._films, self._draw, self._run_log, self._every = films, draw, run_log, every_epochs

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Draw step 0 of a new run, which shows what training changes."""
        assert isinstance(pl_module, LandmarkTraining)
        if trainer.global_step:
            return
        modes = [(module, module.training) for module in pl_module.modules()]
        pl_module.eval()
        self._draw_all(pl_module, 0)
        for module, mode in modes:
            module.training = mode

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Draw and send the panel if it is due."""
        assert isinstance(pl_module, LandmarkTraining)
        epoch = trainer.current_epoch + 1
        if epoch % self._every == 0 or epoch == trainer.max_epochs or trainer.should_stop:
            self._draw_all(pl_module, epoch)

    def _draw_all(self, pl_module: LandmarkTraining, epoch: int) -> None:
        images = torch.cat([batch.images for batch in plain_loader(self._films, FILMS_AT_ONCE)]).to(pl_module.device)
        with pl_module.inference():
            predictions = to_film_predictions(self._films, pl_module.model.predict(images), pl_module.model)
            heat, attention = pl_module.model.heat(images), pl_module.model.attention(images)
        for key, name, maps in ((PANEL, "heatmaps", heat), (ATTENTION, "attention", attention)):
            if maps is None and key != PANEL:
                continue
            each: list[FloatArray | None] = [None] * len(self._films)
            if maps is not None:
                each = list(maps.cpu().double().numpy())
            self._run_log.image(self._draw(self._films, predictions, each, name), key, epoch)
