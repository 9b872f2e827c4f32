"""The real objective: a training run on films without a test part."""

from __future__ import annotations

import math
from dataclasses import fields, replace
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
from spondylo_ml.data.loading import audit_of, load_films
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


def test_development_films_have_no_test_part() -> None:
    films = tuple(plain_film(name, (square(1, 5, 5),), split=name) for name in ("train", "val", "test"))
    development = DevelopmentFilms.of(FilmSet("test", "test", films, SlotRange(0, 3)))
    names = {"kind", "name", "slots", "train", "val", "same", "unlabelled", "audit", "on_audit_error"}
    assert {field.name for field in fields(development)} == names
    assert [film.film_id for film in (*development.train, *development.val)] == ["train", "val"]
    assert [film.film_id for film in development.as_film_set().part("all")] == ["train", "val"]
    assert development.as_film_set().part("test") == ()


def test_folds_use_each_film_once_for_validation(films: DevelopmentFilms) -> None:
    folds = films.folds(3, 0)
    film_ids = sorted(film.film_id for film in (*films.train, *films.val))
    assert sorted(film.film_id for fold in folds for film in fold.val) == film_ids
    for fold in folds:
        assert {film.split for film in fold.train} == {"train"}
        assert not {film.patient for film in fold.train} & {film.patient for film in fold.val}


def test_folds_evaluate_impossible_corners_and_do_not_train_on_them() -> None:
    """As training with folds does: a value on the plausible corners alone would be too good."""
    crossed = square(1, 5, 30)
    crossed = Vertebra(1, crossed.corners_xy[[0, 1, 3, 2]])
    vertebrae = (square(0, 5, 45), crossed, square(2, 5, 15))
    films = tuple(plain_film(f"f{i}", vertebrae, patient=f"p{i}", split="train") for i in range(4))
    film_set = FilmSet("test", "test", films, SlotRange(0, 3))
    development = DevelopmentFilms.of(film_set, audit_of(film_set, None), "continue")
    for fold in development.folds(2, 0):
        assert [len(fold.train), len(fold.val)] == [2, 2]
        assert {sum(v.present.sum() for v in film.vertebrae or ()) for film in fold.val} == {12}
        assert {sum(v.present.sum() for v in film.vertebrae or ()) for film in fold.train} == {8}


def test_an_unlabelled_film_may_show_that_two_names_are_one_person(films: DevelopmentFilms) -> None:
    """The first film is there again without labels, under the name of the second one's patient."""
    first, second, *_ = films.train
    twin = replace(first, film_id="twin", vertebrae=None, patient=second.patient)
    together = replace(films, unlabelled=(twin,)).with_same_exposures()
    for seed in range(4):
        in_val = [{film.film_id for film in fold.val} for fold in together.folds(3, seed)]
        assert all((first.film_id in ids) == (second.film_id in ids) for ids in in_val)


@pytest.mark.slow
def test_a_trial_trains_reports_each_epoch_and_keeps_no_weights(films: DevelopmentFilms, tmp_path: Path) -> None:
    space = space_of({"training.learning_rate": RATE}, **SMOKE)
    study = study_in(tmp_path, "trained", space, trials=1, sampler="nsga2", objectives=("mre_px512", "latency_ms"))
    study.run(TrainingObjective(films, ("mre_px512", "latency_ms")))
    assert states(study) == ["COMPLETE"]
    (trial,) = study.study.get_trials()
    (run,) = children(study)
    assert run.data.metrics["val_best/mre_px512"] == pytest.approx(trial.values[0], abs=0.005)
    assert trial.values[1] > 0
    history = MlflowClient().get_metric_history(run.info.run_id, "val/mre_px512")
    assert [metric.step for metric in history] == [1, 2]
    assert trial.values[0] == pytest.approx(min(metric.value for metric in history), abs=0.005)
    assert not (tmp_path / "checkpoints").exists()


@pytest.mark.slow
def test_the_value_of_a_trial_with_folds_is_their_mean(films: DevelopmentFilms, tmp_path: Path) -> None:
    space = space_of({"training.learning_rate": RATE}, **{**SMOKE, "training.epochs": 1})
    study = study_in(tmp_path, "folded", space, trials=1, folds=2)
    study.run(TrainingObjective(films, ("mre_px512",), n_folds=2))
    (trial,) = study.study.get_trials()
    (run,) = children(study)
    folds = child_runs(run.info.run_id)
    values = [fold.data.metrics["val/mre_px512"] for fold in folds]
    assert len(values) == 2
    assert trial.value == pytest.approx(sum(values) / 2, abs=0.005)
    assert list(trial.intermediate_values.values()) == pytest.approx(values, abs=0.005)
    assert min(values) - 0.01 <= run.data.metrics["out_of_fold/mre_px512"] <= max(values) + 0.01
    rows = mlflow.artifacts.load_text(f"runs:/{run.info.run_id}/out_of_fold/folds.csv").splitlines()[1:]
    assert sorted(row.split(",")[0] for row in rows) == sorted(f.film_id for f in (*films.train, *films.val))


def test_a_withheld_slip_has_an_error_of_100_percent_and_a_correct_one_of_0() -> None:
    lower = np.array([[30.0, 80.0], [70.0, 80.0], [30.0, 110.0], [70.0, 110.0]])
    film = plain_film("a", (Vertebra(1, lower), Vertebra(2, lower - 40.0 * np.array([0.25, 1.0]))), (160, 120))
    slots = SlotRange(1, 2)
    prepared = PreparedFilm(
        film, Letterbox(film.size_hw, (160, 128)), film.image.read(), np.zeros((2, 4, 2)), np.ones(2, dtype=bool)
    )
    score = with_slip_error(ClinicalConfig())
    assert score([prepared], [prediction_of(film, slots)])["slip_error_percent"] == pytest.approx(0.0, abs=1e-9)
    withheld = prediction_of(film, slots, presence=(1.0, 0.0))
    assert score([prepared], [withheld])["slip_error_percent"] == 100.0
    assert math.isnan(score([], [])["slip_error_percent"])
