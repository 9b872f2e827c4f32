"""A model trained in two processes equals one trained in one, and each film counts once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from memory_run_log import MemoryRunLog
from processes import in_processes
from small_net import SmallNet
from torch import Tensor

from spondylo_ml.config import Config, resolve_config
from spondylo_ml.data.batches import FilmBatch, plain_loader
from spondylo_ml.data.prepare import PreparedFilm, prepare_films
from spondylo_ml.data.synthetic import SLOTS, phantom_films
from spondylo_ml.errors import ConfigError, LostProcessError, NonFiniteLossError
from spondylo_ml.evaluation.metrics import score
from spondylo_ml.evaluation.prediction_set import PredictionSet
from spondylo_ml.landmarks import FilmPrediction
from spondylo_ml.training.checkpoint_files import LAST
from spondylo_ml.training.device import Compute
from spondylo_ml.training.fit import fit, fit_with_first
from spondylo_ml.training.inference import FILMS_AT_ONCE, predict_batch, to_film_predictions

CPU = Compute("cpu", "fp32", "a test")
TOLERANCE = 1e-5
"""Relative; sums over the films of a batch are rounded in another order."""

N_TRAIN, N_VAL = 11, 9
"""Batches of 6 and 5 films, of which two processes have 3 and 2; or of 4, 4 and 3, the last too small for two of them.

Validation batches of 8 and 1.
"""


@dataclass(frozen=True)
class Outcome:
    """What a process knows after a training run."""

    weights: dict[str, Tensor]
    history: list[dict[str, Any]]
    logged: list[dict[str, Any]]


@pytest.fixture(scope="module")
def films() -> dict[str, list[PreparedFilm]]:
    film_set = phantom_films(N_TRAIN + N_VAL, 0, 64)
    prepared = prepare_films(film_set.films, SLOTS, (64, 64))
    return {"train": prepared[:N_TRAIN], "val": prepared[N_TRAIN:]}


def score_once(films: Sequence[PreparedFilm], predictions: Sequence[FilmPrediction]) -> dict[str, float]:
    assert [film.film.film_id for film in films] == [prediction.film_id for prediction in predictions]
    return score(PredictionSet([film.film for film in films], predictions))


def config_of(**training: Any) -> Config:
    return resolve_config(
        {
            "training": {
                "epochs": 2, "batch_size": 4, "scheduler": "constant", "optimizer": "sgd", "learning_rate": 0.01,
                "workers": 0, "train_metric_films": 3, **training,
            },
            "tracking": {"panel_films": 1},
        }
    )  # fmt: skip


def train(
    films: dict[str, list[PreparedFilm]],
    folder: Path,
    model: SmallNet | None = None,
    resume_from: Path | None = None,
    **training: Any,
) -> Outcome:
    """Train as the first process."""
    torch.manual_seed(7)
    model, run_log = model or SmallNet(SLOTS), MemoryRunLog()
    result = fit(
        model, config_of(**training), CPU, films, score_once, run_log,
        lambda *_: np.zeros((1, 1, 3), np.uint8), folder, resume_from,
    )  # fmt: skip
    return Outcome(model.state_dict(), result.history, run_log.history)


def train_in_two(
    films: dict[str, list[PreparedFilm]], folder: Path, resume_from: Path | None = None, **training: Any
) -> Outcome:
    """Train in two processes, of which the second starts from other weights."""

    def work(rank: int) -> Any:
        if rank == 0:
            return train(films, folder, None, resume_from, **training)
        model = SmallNet(SLOTS)
        fit_with_first(model, config_of(**training), CPU, films, resume_from)
        return model.state_dict()

    first, weights_of_second = in_processes(work)
    assert isinstance(first, Outcome), first
    last = torch.load(folder / LAST, weights_only=True)["state_dict"]
    for name, weights in weights_of_second.items():
        assert torch.equal(weights, last[f"model.{name}"]), "the processes have different weights"
    return first


def assert_same(one: Outcome, other: Outcome) -> None:
    for name, weights in one.weights.items():
        torch.testing.assert_close(weights, other.weights[name], rtol=TOLERANCE, atol=TOLERANCE)
    assert len(one.history) == len(other.history)
    for row, same in zip(one.history, other.history, strict=True):
        assert row.keys() == same.keys()
        for name in (name for name in row if not name.startswith("time/")):
            assert row[name] == pytest.approx(same[name], rel=TOLERANCE, nan_ok=True), name


def test_two_processes_equal_one_and_runs_resume_in_either_number(
    films: dict[str, list[PreparedFilm]], tmp_path: Path
) -> None:
    alone = train(films, tmp_path / "alone", batch_size=6)
    assert alone.history[1]["val/mre_px512"] < alone.history[0]["val/mre_px512"]
    together = train_in_two(films, tmp_path / "together", batch_size=6)
    assert [row["epoch"] for row in together.logged] == [1, 2]
    assert_same(alone, together)

    alone = train(films, tmp_path / "alone_by_four")
    train(films, tmp_path / "grows", epochs=1)
    grown = train_in_two(films, tmp_path / "grows", tmp_path / "grows" / LAST)
    train_in_two(films, tmp_path / "shrinks", epochs=1)
    shrunk = train(films, tmp_path / "shrinks", None, tmp_path / "shrinks" / LAST)
    assert_same(alone, grown)
    assert_same(alone, shrunk)


@pytest.mark.slow
def test_validation_uses_batch_norm_and_mean_weights_as_they_are_saved(
    films: dict[str, list[PreparedFilm]], tmp_path: Path
) -> None:
    def work(rank: int) -> Any:
        model, settings = SmallNet(SLOTS, batch_norm=True), {"ema_decay": 0.5, "accumulate_batches": 2}
        if rank:
            return fit_with_first(model, config_of(**settings), CPU, films)
        history = train(films, tmp_path, model, **settings).history
        return history, validated(model, films["val"])

    (history, expected), _ = in_processes(work)
    best = min(history, key=lambda row: row["val/mre_px512"])
    assert best["val/mre_px512"] == pytest.approx(expected["mre_px512"], rel=1e-9)


def validated(model: SmallNet, films: Sequence[PreparedFilm]) -> dict[str, float]:
    """Metrics of a model as `evaluate` computes them, in this process alone."""
    predictions: list[FilmPrediction] = []
    for batch in plain_loader(films, FILMS_AT_ONCE):
        landmarks = predict_batch(model.predict, batch.images, CPU)
        predictions += to_film_predictions([films[row] for row in batch.row.tolist()], landmarks, model)
    return score_once(films, predictions)


@pytest.mark.slow
def test_the_clock_of_the_first_process_ends_the_training_of_all(
    films: dict[str, list[PreparedFilm]], tmp_path: Path
) -> None:
    outcome = train_in_two(films, tmp_path, epochs=10_000, minutes=0.01, scheduler="cosine")
    assert 1 <= len(outcome.history) < 10_000
    assert outcome.history[-1]["learning_rate"] < 0.01


class BreaksInSecond(SmallNet):
    """Its loss is NaN in the second process."""

    rank = 0

    def losses(self, batch: FilmBatch) -> dict[str, Tensor]:
        return {name: loss * (math.nan if self.rank else 1) for name, loss in super().losses(batch).items()}


def test_an_error_of_one_process_ends_all_with_its_reason(films: dict[str, list[PreparedFilm]], tmp_path: Path) -> None:
    def with_nan(rank: int) -> Any:
        model = BreaksInSecond(SLOTS)
        model.rank = rank
        return train(films, tmp_path, model) if rank == 0 else fit_with_first(model, config_of(), CPU, films)

    failures = in_processes(with_nan)
    assert [failure.kind for failure in failures] == [NonFiniteLossError] * 2
    assert "epoch 1, step 1: corners=nan" in failures[0].message

    def with_other_films(rank: int) -> Any:
        if rank == 0:
            return train(films, tmp_path)
        other = [replace(film, image=255 - film.image) for film in films["val"]]
        return fit_with_first(SmallNet(SLOTS), config_of(), CPU, {**films, "val": other})

    first, second = in_processes(with_other_films)
    assert first.kind is LostProcessError
    assert second.kind is ConfigError
    assert "the films differ from those of the first process" in second.message
