"""The real objective: a training on films without a test part."""

from __future__ import annotations

import math
from dataclasses import fields
from pathlib import Path

import mlflow
import numpy as np
import pytest
from builders import plain_film, prediction_of, square
from mlflow.tracking import MlflowClient
from studies import RATE, child_runs, children, space_of, states, study_in

from spondylo_ml.config import ClinicalConfig, resolve_config
from spondylo_ml.data.films import FilmSet
from spondylo_ml.data.letterbox import Letterbox
from spondylo_ml.data.loading import load_films
from spondylo_ml.data.prepare import PreparedFilm
from spondylo_ml.landmarks import SlotRange, Vertebra
from tuning.films import DevelopmentFilms
from tuning.objective import TrainingObjective, with_slip_error

SMOKE = {"preset": "smoke", "data.phantom_films": 12, "data.max_films": 12, "training.epochs": 2}


@pytest.fixture(scope="module")
def films() -> DevelopmentFilms:
    config = resolve_config(
        {"preset": "smoke", "data": {"phantom_films": 12, "max_films": 12}},
    )
    return DevelopmentFilms.of(load_films(config.data))


def test_the_view_has_no_test_part() -> None:
    made = tuple(plain_film(name, (square(1, 5, 5),), split=name) for name in ("train", "val", "test"))
    view = DevelopmentFilms.of(FilmSet("made", "made", made, SlotRange(0, 3)))
    assert {field.name for field in fields(view)} == {"kind", "name", "slots", "train", "val", "same"}
    assert [film.film_id for film in (*view.train, *view.val)] == ["train", "val"]
    assert [film.film_id for film in view.as_film_set().part("all")] == ["train", "val"]
    assert view.as_film_set().part("test") == ()


def test_folds_use_each_film_once_for_validation(films: DevelopmentFilms) -> None:
    dealt = films.folds(3, 0)
    everything = sorted(film.film_id for film in (*films.train, *films.val))
    assert sorted(film.film_id for fold in dealt for film in fold.val) == everything
    for fold in dealt:
        assert {film.split for film in fold.train} == {"train"}
        assert not {film.patient for film in fold.train} & {film.patient for film in fold.val}


def test_a_trial_trains_reports_each_epoch_and_keeps_no_weights(films: DevelopmentFilms, tmp_path: Path) -> None:
    space = space_of({"training.learning_rate": RATE}, **SMOKE)
    study = study_in(tmp_path, "trained", space, trials=1, sampler="nsga2", objectives=("mre_px512", "latency_ms"))
    study.run(TrainingObjective(films, ("mre_px512", "latency_ms")))
    assert states(study) == ["COMPLETE"]
    (trial,) = study.study.get_trials()
    (run,) = children(study)
    assert run.data.metrics["val_best/mre_px512"] == trial.values[0]
    assert trial.values[1] > 0
    history = MlflowClient().get_metric_history(run.info.run_id, "val/mre_px512")
    assert [metric.step for metric in history] == [1, 2]
    assert trial.values[0] == pytest.approx(min(metric.value for metric in history))
    assert not (tmp_path / "checkpoints").exists()


def test_folds_give_their_mean(films: DevelopmentFilms, tmp_path: Path) -> None:
    space = space_of({"training.learning_rate": RATE}, **{**SMOKE, "training.epochs": 1})
    study = study_in(tmp_path, "folded", space, trials=1, folds=2)
    study.run(TrainingObjective(films, ("mre_px512",), n_folds=2))
    (trial,) = study.study.get_trials()
    (run,) = children(study)
    folds = child_runs(run.info.run_id)
    values = [fold.data.metrics["val/mre_px512"] for fold in folds]
    assert len(values) == 2
    assert trial.value == pytest.approx(sum(values) / 2)
    assert list(trial.intermediate_values.values()) == pytest.approx(values)
    pooled = run.data.metrics
    assert (
        pooled["out_of_fold/mre_px512_low"] <= pooled["out_of_fold/mre_px512"] <= pooled["out_of_fold/mre_px512_high"]
    )
    rows = mlflow.artifacts.load_text(f"runs:/{run.info.run_id}/out_of_fold/folds.csv").splitlines()[1:]
    assert sorted(row.split(",")[0] for row in rows) == sorted(f.film_id for f in (*films.train, *films.val))


def test_a_withheld_slip_is_charged_and_a_right_one_is_not() -> None:
    lower = np.array([[30.0, 80.0], [70.0, 80.0], [30.0, 110.0], [70.0, 110.0]])
    film = plain_film("a", (Vertebra(1, lower), Vertebra(2, lower - 40.0 * np.array([0.25, 1.0]))), (160, 120))
    slots = SlotRange(1, 2)
    prepared = PreparedFilm(
        film, Letterbox(film.size_hw, (160, 128)), film.image.read(), np.zeros((2, 4, 2)), np.ones(2, dtype=bool)
    )
    score = with_slip_error(ClinicalConfig())
    assert score([prepared], [prediction_of(film, slots)])["slip_error_percent"] == pytest.approx(0.0, abs=1e-9)
    unseen = prediction_of(film, slots, presence=(1.0, 0.0))
    assert score([prepared], [unseen])["slip_error_percent"] == 100.0
    assert math.isnan(score([], [])["slip_error_percent"])
