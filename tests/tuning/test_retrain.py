"""Retraining a study's best point with several seeds gives the noise floor that `promote` compares a gain with."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import mlflow
import numpy as np
import pytest
from builders import plain_film, prediction_of, square
from mlflow.tracking import MlflowClient
from studies import RATE, space_of, study_in

from spondylo_ml.config import ClinicalConfig, MarginsConfig, PromoteConfig, validate
from spondylo_ml.errors import ConfigError, TrackingError
from spondylo_ml.evaluation.intervals import PatientBootstrap
from spondylo_ml.evaluation.paired import PairedValues, paired_differences, paired_values
from spondylo_ml.evaluation.prediction_set import PredictionSet
from spondylo_ml.evaluation.seed_noise import VALUES_FILE, values_text
from spondylo_ml.landmarks import SlotRange, Vertebra
from spondylo_ml.promotion.decision import Contender, decide, gain_of
from spondylo_ml.workflows.promote.candidates import noise_floor
from tuning.attempt import Attempt, TrialResult
from tuning.retrain import retrain

SLOTS = SlotRange(0, 2)
METRIC = "grade_accuracy_all"
NAMES = [f"film-{i:02d}" for i in range(40)]
LOWER = square(0, 100, 300, 50)
FILMS = [plain_film(n, (LOWER, Vertebra(1, LOWER.corners_xy - np.array([0.0, 80.0]))), (512, 400)) for n in NAMES]


def values_with(n_right: int) -> dict[str, PairedValues]:
    """Values of a model that finds the upper vertebra, and hence the right grade, only on the first `n_right` films."""
    presence = [(1.0, 1.0 if index < n_right else 0.0) for index in range(len(FILMS))]
    predicted = [prediction_of(film, SLOTS, presence=p) for film, p in zip(FILMS, presence, strict=True)]
    return paired_values(PredictionSet(FILMS, predicted), ClinicalConfig())


RIGHT_BY_SEED = {0: 20, 1: 22, 2: 24}  # 50, 55 and 60 % of the levels


def objective(attempt: Attempt) -> TrialResult:
    """Objective where each further seed is right on two films more."""
    values = values_with(RIGHT_BY_SEED[attempt.config.seed])
    return TrialResult([float(attempt.config.seed)], {}, {VALUES_FILE: values_text(values)})


def retrained_study(folder: Path, name: str = "floor", seeds: int = 3) -> str:
    """Run a study, retrain its best point with several seeds, and return the id of its run."""
    study = study_in(folder, name, space_of({"training.learning_rate": RATE}), trials=1, retrain_seeds=seeds)
    study.run(objective)
    retrain(study, objective, "test films val")
    return study.runs.parent_id


def verdict(n_right: int, n_before: int, run_id: str) -> str:
    """Decide on a model right on `n_right` films against a champion right on `n_before`, by the floor of a study."""
    config = validate(PromoteConfig, {"noise_floor_from": run_id})
    floor = noise_floor(config)
    patients = {film.film_id: film.patient for film in FILMS}
    bootstrap = PatientBootstrap(list(patients.values()), 500)
    values, before = ({METRIC: values_with(n)[METRIC]} for n in (n_right, n_before))
    (difference,) = paired_differences(values, before, patients, bootstrap)
    guards = {
        "detection_recall": 90.0,
        "listhesis_sensitivity_all": math.nan,
        "worst_source_px512": 5.0,
        "latency_ms": 1.0,
        "calibration_error": math.nan,
    }
    champion = Contender("version 1 (unet)", "a" * 64, "f" * 64, guards, 0, "r" * 64)
    candidate = replace(champion, name="better", weights_digest="b" * 64)
    gain = gain_of(difference)
    decision = decide(candidate, champion, gain, floor.value, MarginsConfig(), floor.source, over_mean_shape=gain)
    assert any("the noise floor between seeds (measured by study" in reason for reason in decision.reasons)
    return decision.verdict.value


@pytest.mark.slow
def test_promote_reads_the_floor_of_a_study_and_a_gain_above_it_makes_a_champion(tmp_path: Path) -> None:
    run_id = retrained_study(tmp_path)
    run = MlflowClient().get_run(run_id)
    # The means are 50, 55 and 60: a standard deviation of 5.
    assert run.data.metrics[f"noise_floor/{METRIC}"] == pytest.approx(1.96 * math.sqrt(2) * 5)
    assert run.data.metrics["seeds/n"] == 3
    assert run.data.tags["noise_floor_of"] == "unet 3 seeds; on test films val"
    assert noise_floor(validate(PromoteConfig, {"noise_floor_from": run_id})).value == pytest.approx(13.859, abs=1e-3)
    assert verdict(40, 20, run_id) == "champion", "the interval of 50 points lies above 13.9"
    assert verdict(26, 20, run_id) == "challenger", "the interval of 15 points does not"


def test_without_a_floor_the_runs_that_have_one_are_suggested(tmp_path: Path) -> None:
    run_id = retrained_study(tmp_path, "offered")
    floor = noise_floor(validate(PromoteConfig, {}))
    assert floor.value is None
    assert f"noise_floor_from={run_id} (13.9, unet 3 seeds; on test films val)" in floor.source
    assert noise_floor(validate(PromoteConfig, {"metric": "nothing_like_it"})).source == ""
    assert noise_floor(validate(PromoteConfig, {"noise_floor": 2.5})).value == 2.5


@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0])
def test_a_run_with_an_invalid_floor_is_rejected(value: float) -> None:
    run_id = _run_with(value)
    with pytest.raises(ConfigError, match=rf"noise_floor_from {run_id}, noise_floor/{METRIC}: .* is not a noise floor"):
        noise_floor(validate(PromoteConfig, {"noise_floor_from": run_id}))


def test_a_run_without_the_metric_is_an_error_that_lists_its_metrics() -> None:
    client = MlflowClient()
    run_id = _run_with(1.0)
    with pytest.raises(TrackingError, match=r"no metric 'noise_floor/mre_mm'; its noise floors: noise_floor/grade"):
        noise_floor(validate(PromoteConfig, {"noise_floor_from": run_id, "metric": "mre_mm"}))
    client.delete_run(run_id)


@pytest.mark.parametrize("value", ["nan", "inf", "-1"])
def test_an_invalid_configured_floor_is_rejected(value: str) -> None:
    with pytest.raises(ConfigError, match=r"noise_floor: given '.*'\. Input should be"):
        validate(PromoteConfig, {"noise_floor": value})


def test_one_seed_has_no_spread() -> None:
    with pytest.raises(ValueError, match="retrain_seeds: one seed has no spread; give 2 or more, or 0"):
        study_in(Path(), retrain_seeds=1)


def _run_with(value: float) -> str:
    client = MlflowClient()
    experiment = mlflow.get_experiment_by_name("studies of the tests")
    run = client.create_run(experiment.experiment_id)
    client.log_metric(run.info.run_id, f"noise_floor/{METRIC}", value)
    return str(run.info.run_id)
