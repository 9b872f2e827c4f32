"""What is logged as validation is what the model does when it is used, in whatever precision it was trained."""

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
from spondylo_ml.training.device import Compute
from spondylo_ml.training.fit import LAST, fit

SIDE_PX, TRAIN_FILMS = 64, 8


class KeepingCheckpoints(MemoryRunLog):
    """Keeps a copy of each epoch's checkpoint, which is saved before the epoch is reported."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    def metrics(self, values: Mapping[str, float], epoch: int) -> None:
        shutil.copyfile(self._folder / LAST, self._folder / f"{epoch}.ckpt")
        super().metrics(values, epoch)


def score_prepared(films: Sequence[PreparedFilm], predictions: Sequence[FilmPrediction]) -> dict[str, float]:
    return score(PredictionSet([film.film for film in films], predictions))


def restored(folder: Path, epoch: int, model: LandmarkModel) -> None:
    state = torch.load(folder / f"{epoch}.ckpt", map_location="cpu", weights_only=True)["state_dict"]
    model.load_state_dict({name.removeprefix("model."): value for name, value in state.items()})


@pytest.mark.parametrize(
    "changed",
    [
        {"training": {"batch_size": 3}},
        {"training": {"ema_decay": 0.5, "batch_size": 2}, "heatmap": {"levels": "slot", "flip_average": False}},
        {
            "model": {"encoder_dropout": [0.2] * 5},
            "uncertainty": {"source": "dropout", "dropout_passes": 5},
            "training": {"batch_size": 8},
        },
    ],
    ids=["chain and flip average", "mean weights", "dropout"],
)
def test_each_epoch_and_the_choice_of_the_best_one_are_those_of_the_model_in_use(
    tmp_path: Path, changed: dict[str, dict[str, Any]]
) -> None:
    made = phantom_films(TRAIN_FILMS + 9, 0, 96)
    config: Config = resolve_config({
        "preset": "smoke", "data": {"input_hw": [SIDE_PX, SIDE_PX]}, **changed,
        "training": {"epochs": 3, "workers": 0, "precision": "bf16", "scheduler": "constant",
                     "learning_rate": 3e-3, **changed["training"]},
        "tracking": {"panel_films": 0},
    })  # fmt: skip
    films = prepare_films(made.films, SLOTS, (SIDE_PX, SIDE_PX))
    train, val = films[:TRAIN_FILMS], films[TRAIN_FILMS:]
    model = build_model(config, SLOTS)
    result = fit(
        model,
        config,
        Compute("cpu", "bf16", "a test"),
        {"train": train, "val": val},
        score_prepared,
        KeepingCheckpoints(tmp_path),
        lambda *_: np.zeros((1, 1, 3), np.uint8),
        tmp_path,
    )
    bundle = Bundle(model, config, MeanShape.fit(made.films[:TRAIN_FILMS], SLOTS))

    def measured() -> dict[str, float]:
        return score(PredictionSet(made.films[TRAIN_FILMS:], Predictor(bundle).predict(made.films[TRAIN_FILMS:])))

    chosen = measured()
    for name, value in chosen.items():
        assert result.best[f"val/{name}"] == pytest.approx(value, rel=1e-3, nan_ok=True), name
    again = {}
    for row in result.history:
        restored(tmp_path, row["epoch"], model)
        again[row["epoch"]] = measured()["mre_px512"]
        assert row["val/mre_px512"] == pytest.approx(again[row["epoch"]], rel=1e-3)
    assert result.best_epoch == min(again, key=lambda epoch: again[epoch])
    assert chosen["mre_px512"] == pytest.approx(again[result.best_epoch], rel=1e-6)
