"""A training's wall-clock budget."""

from __future__ import annotations

import math
from datetime import timedelta

import lightning as L
from lightning.pytorch.callbacks import Timer


class Budget(Timer):
    """Lightning's timer of the epochs and their validations: ends the training when its minutes are used.

    It stops after the step in which they end, or after the validation in which they do. The validation that follows the
    last step is outside the budget. A checkpoint takes the time along, so that a resumed training counts what was used.
    """

    def __init__(self, minutes: float | None) -> None:
        """Args: minutes: None for no limit."""
        super().__init__(None if minutes is None else timedelta(minutes=minutes), verbose=False)
        self._seconds = math.inf if minutes is None else 60 * minutes

    def share_used(self) -> float:
        """Share of the minutes that is used, 0 to 1; 0 where there is no limit."""
        return min(1.0, self.time_elapsed() / self._seconds)

    def seconds_left(self) -> float:
        """Until the minutes are used; infinite where there is no limit."""
        return max(0.0, self._seconds - self.time_elapsed())

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """End here where the time ran out in the validation: an epoch of one more step would cost another one."""
        if self.share_used() >= 1:
            trainer.should_stop = True
