"""The time budget of a training run."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Timer

from spondylo_ml.training.distributed import broadcast_from_rank0, this_process


class Budget(Timer):
    """Lightning's timer of epochs and validations, which stops training when its minutes are used up.

    Training stops after the current step or the current validation. The validation that follows the last step is not
    counted. Checkpoints store the elapsed time, so that a resumed run continues the count. Where several processes
    train, the clock of the first one counts for all.
    """

    def __init__(self, minutes: float | None) -> None:
        """Args: minutes: None for no limit."""
        super().__init__(None if minutes is None else timedelta(minutes=minutes), verbose=False)
        self._seconds = math.inf if minutes is None else 60 * minutes
        self._agreed = 0.0

    def share_used(self) -> float:
        """Share of the minutes that is used up, 0 to 1; 0 without a limit. In several processes: at the last step."""
        return self._share_used_here() if this_process().count == 1 else self._agreed

    def seconds_left(self) -> float:
        """Seconds left; infinite without a limit."""
        return max(0.0, self._seconds - self.time_elapsed())

    def on_train_batch_start(self, trainer: L.Trainer, *args: Any, **kwargs: Any) -> None:
        """Agree on the time, by which the learning rate decays: it must be the same in all processes."""
        self._agree()

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Stop now if time ran out during validation: one more step would need another validation."""
        self._agree()
        if self.share_used() >= 1:
            trainer.should_stop = True

    def _agree(self) -> None:
        if math.isfinite(self._seconds):
            self._agreed = broadcast_from_rank0(self._share_used_here())

    def _share_used_here(self) -> float:
        return min(1.0, self.time_elapsed() / self._seconds)
