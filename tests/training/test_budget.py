"""A training under minutes: where it ends, how the learning rate comes down, and what a restart counts."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace

import pytest
from test_fit import Counting, run
from torch import Tensor

from spondylo_ml.config.optimisation import TrainingConfig
from spondylo_ml.data.batches import FilmBatch
from spondylo_ml.models.base import Landmarks
from spondylo_ml.training.budget import Budget
from spondylo_ml.training.optimisers import cosine_factor

STEP_S = 10.0


class Clock:
    """A clock that moves when it is told to."""

    def __init__(self, now: float = 100.0) -> None:
        self.now = now

    def monotonic(self) -> float:
        return self.now


class Slow(Counting):
    """Takes ten seconds a step by the clock, and some a prediction; ends itself at a step where it is told to."""

    def __init__(self, clock: Clock, prediction_s: float = 0.0, fails_at: int | None = None) -> None:
        super().__init__()
        self._clock, self._prediction_s, self._fails_at = clock, prediction_s, fails_at

    def losses(self, batch: FilmBatch) -> dict[str, Tensor]:
        if len(self.at_step) == self._fails_at:
            raise RuntimeError("cut")
        self._clock.now += STEP_S
        return super().losses(batch)

    def predict(self, images: Tensor) -> Landmarks:
        self._clock.now += self._prediction_s
        return super().predict(images)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr("lightning.pytorch.callbacks.timer.time", SimpleNamespace(monotonic=made.monotonic))
    return made


def test_a_training_too_slow_for_its_epochs_ends_with_its_minutes_and_is_validated(
    clock: Clock, tmp_path: Path
) -> None:
    model = Slow(clock)
    # Two steps an epoch: the minute ends after the first step of the third.
    result = run(model, tmp_path, epochs=10, minutes=50 / 60, scheduler="cosine")
    assert len(model.at_step) == 5
    assert [row["epoch"] for row in result.history] == [1, 2, 3]
    assert "val/mre_px512" in result.history[-1]
    assert result.training_s == 50.0


def test_its_cosine_stands_where_the_minutes_are(clock: Clock, tmp_path: Path) -> None:
    result = run(Slow(clock), tmp_path, epochs=10, minutes=1, scheduler="cosine", warmup_fraction=0)
    config = TrainingConfig(scheduler="cosine", warmup_fraction=0, learning_rate=0.1)
    # Of 20 steps two are done in a third of the minute, four in two thirds.
    expected = [0.1 * cosine_factor(20 * share, 20, config) for share in (0, 1 / 3, 2 / 3)]
    assert [row["learning_rate"] for row in result.history] == pytest.approx(expected)


def test_a_training_that_has_time_left_is_as_one_without_minutes(clock: Clock, tmp_path: Path) -> None:
    free, limited = Slow(clock), Slow(clock)
    first = run(free, tmp_path / "free", epochs=2, scheduler="cosine")
    second = run(limited, tmp_path / "limited", epochs=2, minutes=100, scheduler="cosine")
    assert limited.at_step == free.at_step
    assert [row["learning_rate"] for row in second.history] == [row["learning_rate"] for row in first.history]


def test_time_that_runs_out_in_a_validation_costs_no_further_epoch(clock: Clock, tmp_path: Path) -> None:
    model = Slow(clock, prediction_s=50)
    result = run(model, tmp_path, epochs=10, minutes=1)
    assert len(model.at_step) == 2
    assert len(result.history) == 1


def test_a_resumed_training_counts_the_time_already_used(clock: Clock, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="cut"):
        run(Slow(clock, fails_at=5), tmp_path, epochs=10, minutes=1)
    clock.now += 1e6  # between the parts no time is used
    resumed = Slow(clock)
    result = run(resumed, tmp_path, tmp_path / "last.ckpt", epochs=10, minutes=1)
    assert len(resumed.at_step) == 2, "two epochs used 40 s; the step after them was lost, and costs nothing"
    assert [row["epoch"] for row in result.history] == [1, 2, 3]
    assert result.training_s == 60.0


def test_a_training_whose_minutes_were_used_is_not_trained_further(clock: Clock, tmp_path: Path) -> None:
    run(Slow(clock), tmp_path, epochs=10, minutes=1)
    resumed = Slow(clock)
    result = run(resumed, tmp_path, tmp_path / "last.ckpt", epochs=10, minutes=1)
    assert resumed.at_step == []
    assert len(result.history) == 3
    assert math.isnan(result.peak_memory_mb), "of a process that trained nothing there is none"


def test_without_minutes_there_is_no_limit(clock: Clock) -> None:
    budget = Budget(None)
    assert budget.share_used() == 0.0
    assert budget.seconds_left() == float("inf")
