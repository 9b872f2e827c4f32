"""Logged validation metrics equal those of the saved model in use, whatever the training precision."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from memory_run_log import MemoryRunLog

from spondylo_ml.config import Config, resolve_config
from spondylo_ml.data.prepare import PreparedFilm, prepare_films
from spondylo_ml.data.synthetic import SLOTS, phantom_films
from spondylo_ml.evaluation.mean_shape import MeanShape
from spondylo_ml.evaluation.metrics import score
from spondylo_ml.evaluation.prediction_set import PredictionSet
from spondylo_ml.landmarks import FilmPrediction
from spondylo_ml.models.base import LandmarkModel
from spondylo_ml.models.zoo import build_model
from spondylo_ml.serving.bundle import Bundle
from spondylo_ml.serving.predictor import Predictor
from spondylo_ml.training.checkpoint_files import LAST
from spondylo_ml.training.device import Compute
from spondylo_ml.training.fit import fit

SIDE_PX, TRAIN_FILMS = 64, 4  # few, because most processors take a second per film in bf16


class CheckpointRunLog(MemoryRunLog):
    """Keeps a copy of the checkpoint of each epoch, which is saved before the epoch is logged."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    def metrics(self, values: Mapping[str, float], epoch: int) -> None:
        shutil.copyfile(self._folder / LAST, self._folder / f"{epoch}.ckpt")
        super().metrics(values, epoch)


def score_prepared(films: Sequence[PreparedFilm], predictions: Sequence[FilmPrediction]) -> dict[str, float]:
    return score(PredictionSet([film.film for film in films], predictions))


def restore_checkpoint(folder: Path, epoch: int, model: LandmarkModel) -> None:
    state = torch.load(folder / f"{epoch}.ckpt", map_location="cpu", weights_only=True)["state_dict"]
    model.load_state_dict({name.removeprefix("model."): value for name, value in state.items()})


@pytest.mark.parametrize(
    "settings",
    [
        {"training": {"batch_size": 3}},
        pytest.param(
            {"training": {"ema_decay": 0.5, "batch_size": 2}, "heatmap": {"levels": "slot", "flip_average": False}},
            marks=pytest.mark.slow,
        ),
        pytest.param(
            {
                "model": {"encoder_dropout": [0.2] * 5},
                "uncertainty": {"source": "dropout", "dropout_passes": 5},
                "training": {"batch_size": 4},
            },
            marks=pytest.mark.slow,
        ),
    ],
    ids=["chain and flip average", "mean weights", "dropout"],
)
def test_metrics_of_each_epoch_and_the_best_epoch_match_the_model_in_use(
    tmp_path: Path, settings: dict[str, dict[str, Any]]
) -> None:
    film_set = phantom_films(TRAIN_FILMS + 9, 0, 96)
    config: Config = resolve_config({
        "preset": "smoke", "data": {"input_hw": [SIDE_PX, SIDE_PX]}, **settings,
        "training": {"epochs": 3, "workers": 0, "precision": "bf16", "scheduler": "constant",
                     "learning_rate": 3e-3, **settings["training"]},
        "tracking": {"panel_films": 0},
    })  # fmt: skip
    films = prepare_films(film_set.films, SLOTS, (SIDE_PX, SIDE_PX))
    train, val = films[:TRAIN_FILMS], films[TRAIN_FILMS:]
    model = build_model(config, SLOTS)
    result = fit(
        model,
        config,
        Compute("cpu", "bf16", "a test"),
        {"train": train, "val": val},
        score_prepared,
        CheckpointRunLog(tmp_path),
        lambda *_: np.zeros((1, 1, 3), np.uint8),
        tmp_path,
    )
    bundle = Bundle(model, config, MeanShape.fit(film_set.films[:TRAIN_FILMS], SLOTS))

    def evaluate() -> dict[str, float]:
        return score(
            PredictionSet(film_set.films[TRAIN_FILMS:], Predictor(bundle).predict(film_set.films[TRAIN_FILMS:]))
        )

    best = evaluate()
    for name, value in best.items():
        assert result.best[f"val/{name}"] == pytest.approx(value, rel=1e-3, nan_ok=True), name
    by_epoch = {}
    for row in result.history:
        restore_checkpoint(tmp_path, row["epoch"], model)
        by_epoch[row["epoch"]] = evaluate()["mre_px512"]
        assert row["val/mre_px512"] == pytest.approx(by_epoch[row["epoch"]], rel=1e-3)
    assert result.best_epoch == min(by_epoch, key=lambda epoch: by_epoch[epoch])
    assert best["mre_px512"] == pytest.approx(by_epoch[result.best_epoch], rel=1e-6)
