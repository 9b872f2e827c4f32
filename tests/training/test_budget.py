"""A training run with a time budget: where it ends, its learning rate, and the time that a resumed run counts."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace

import pytest
from test_fit import RecordingModel, run
from torch import Tensor

from spondylo_ml.config.optimisation import TrainingConfig
from spondylo_ml.data.batches import FilmBatch
from spondylo_ml.models.base import Landmarks
from spondylo_ml.training.budget import Budget
from spondylo_ml.training.optimisers import cosine_factor

STEP_S = 10.0


class Clock:
    """A clock that tests advance."""

    def __init__(self, now: float = 100.0) -> None:
        self.now = now

    def monotonic(self) -> float:
        return self.now


class SlowModel(RecordingModel):
    """Takes ten seconds of the clock per step and `prediction_s` per prediction; raises at step `fails_at`."""

    def __init__(self, clock: Clock, prediction_s: float = 0.0, fails_at: int | None = None) -> None:
        super().__init__()
        self._clock, self._prediction_s, self._fails_at = clock, prediction_s, fails_at

    def losses(self, batch: FilmBatch) -> dict[str, Tensor]:
        if len(self.at_step) == self._fails_at:
            raise RuntimeError("killed")
        self._clock.now += STEP_S
        return super().losses(batch)

    def predict(self, images: Tensor) -> Landmarks:
        self._clock.now += self._prediction_s
        return super().predict(images)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("lightning.pytorch.callbacks.timer.time", SimpleNamespace(monotonic=clock.monotonic))
    return clock


def test_training_ends_when_its_minutes_are_used_and_is_validated(clock: Clock, tmp_path: Path) -> None:
    model = SlowModel(clock)
    # Two steps an epoch: the minute ends after the first step of the third.
    result = run(model, tmp_path, epochs=10, minutes=50 / 60, scheduler="cosine")
    assert len(model.at_step) == 5
    assert [row["epoch"] for row in result.history] == [1, 2, 3]
    assert "val/mre_px512" in result.history[-1]
    assert result.training_s == 50.0


def test_the_cosine_schedule_follows_the_share_of_the_minutes_used(clock: Clock, tmp_path: Path) -> None:
    result = run(SlowModel(clock), tmp_path, epochs=10, minutes=1, scheduler="cosine", warmup_fraction=0)
    config = TrainingConfig(scheduler="cosine", warmup_fraction=0, learning_rate=0.1)
    # The first epoch takes a third of the minute, the first two take two thirds.
    expected = [0.1 * cosine_factor(20 * share, 20, config) for share in (0, 1 / 3, 2 / 3)]
    assert [row["learning_rate"] for row in result.history] == pytest.approx(expected)


def test_minutes_that_are_not_used_up_change_nothing(clock: Clock, tmp_path: Path) -> None:
    free, limited = SlowModel(clock), SlowModel(clock)
    first = run(free, tmp_path / "free", epochs=2, scheduler="cosine")
    second = run(limited, tmp_path / "limited", epochs=2, minutes=100, scheduler="cosine")
    assert limited.at_step == free.at_step
    assert [row["learning_rate"] for row in second.history] == [row["learning_rate"] for row in first.history]


def test_no_epoch_starts_after_the_time_ran_out_in_validation(clock: Clock, tmp_path: Path) -> None:
    model = SlowModel(clock, prediction_s=35)
    result = run(model, tmp_path, epochs=10, minutes=1)
    assert len(model.at_step) == 2, "the picture of step 0 takes 35 s, two steps 20 s"
    assert len(result.history) == 1


def test_a_resumed_run_counts_the_time_already_used(clock: Clock, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="killed"):
        run(SlowModel(clock, fails_at=5), tmp_path, epochs=10, minutes=1)
    clock.now += 1e6  # the time between the two runs does not count
    resumed = SlowModel(clock)
    result = run(resumed, tmp_path, tmp_path / "last.ckpt", epochs=10, minutes=1)
    assert len(resumed.at_step) == 2, "two epochs used 40 s; the step after them was lost and does not count"
    assert [row["epoch"] for row in result.history] == [1, 2, 3]
    assert result.training_s == 60.0


def test_resuming_a_run_without_time_left_trains_no_further(clock: Clock, tmp_path: Path) -> None:
    run(SlowModel(clock), tmp_path, epochs=10, minutes=1)
    resumed = SlowModel(clock)
    result = run(resumed, tmp_path, tmp_path / "last.ckpt", epochs=10, minutes=1)
    assert resumed.at_step == []
    assert len(result.history) == 3
    assert math.isnan(result.peak_memory_mb), "a process that trained nothing has no peak"


def test_without_minutes_there_is_no_limit(clock: Clock) -> None:
    budget = Budget(None)
    assert budget.share_used() == 0.0
    assert budget.seconds_left() == float("inf")
