"""Uncertainty in runs of a real store: fitted and logged, or withheld with a reason."""

from __future__ import annotations

import json
from pathlib import Path

import mlflow
import pandas as pd
import pytest
from commands import TINY, run
from mlflow.entities import Run
from mlflow.tracking import MlflowClient
from stores import store_in
from uncertain_films import films_with_noise

from spondylo_ml.config import Config, resolve_config
from spondylo_ml.evaluation.intervals import PatientBootstrap
from spondylo_ml.evaluation.mean_shape import MeanShape
from spondylo_ml.evaluation.prediction_set import PredictionSet
from spondylo_ml.evaluation.uncertainty import PROBABILITIES, UncertaintyModel, level_table
from spondylo_ml.evaluation.uncertainty_numbers import by_group, uncertainty_estimates
from spondylo_ml.models.zoo import build_model
from spondylo_ml.serving.bundle import Bundle, load_bundle, save_bundle
from spondylo_ml.workflows.shared.uncertainty import (
    UncertaintyReport,
    evaluate_uncertainty,
    fit_uncertainty,
    warn_if_less_accurate,
)


def _config(**uncertainty: object) -> Config:
    return resolve_config({"training": {"epochs": 1}, "uncertainty": {"samples": 100, **uncertainty}})


def _fit(folder: Path, films: int, **uncertainty: object) -> tuple[UncertaintyModel | None, Run]:
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(store_in(folder))
    try:
        experiment = mlflow.create_experiment("made", artifact_location=(folder / "artifacts").as_uri())
        with mlflow.start_run(experiment_id=experiment) as active:
            model = fit_uncertainty(PredictionSet(*films_with_noise(films, 1)), _config(**uncertainty))
        return model, MlflowClient().get_run(active.info.run_id)
    finally:
        mlflow.set_tracking_uri(before)


@pytest.fixture(scope="module")
def fit_result(tmp_path_factory: pytest.TempPathFactory) -> tuple[UncertaintyModel, Run, Path]:
    folder = tmp_path_factory.mktemp("fitted")
    model, fit_run = _fit(folder, 60)
    assert model is not None
    return model, fit_run, folder


def test_a_fit_logs_coverage_before_and_after_as_metrics_and_curves(
    fit_result: tuple[UncertaintyModel, Run, Path],
) -> None:
    _, fit_run, folder = fit_result
    metrics, client = fit_run.data.metrics, MlflowClient(f"sqlite:///{folder}/mlflow.db")
    assert metrics["val_uncertainty/corner_coverage_90_after"] == pytest.approx(90, abs=4)
    assert metrics["val_uncertainty/slip_set_coverage"] == pytest.approx(90, abs=5)
    assert set(metrics) == {
        f"val_uncertainty/{name}" for name in ("corner_coverage_90_after", "slip_set_coverage", "referred_percent")
    }
    (numbers_file,) = (folder / "artifacts").rglob("numbers.json")
    numbers = json.loads(numbers_file.read_text(encoding="utf-8"))
    assert numbers["corner_coverage_90_before"] < 70
    assert {"L5-S1/slip_set_coverage", "grade_0/referred_percent"} <= numbers.keys()
    (curves_file,) = (folder / "artifacts").rglob("curves.csv")
    curves = pd.read_csv(curves_file).groupby("curve")["at_percent"].agg(list)
    assert curves["corner_coverage_curve_after"] == [50, 80, 90, 95]
    assert curves["referral_curve"] == list(range(10, 101, 10))
    files = {item.path for item in client.list_artifacts(fit_run.info.run_id, "uncertainty")}
    assert files == {
        f"uncertainty/{name}" for name in ("curves.csv", "curves.png", "levels.csv", "model.json", "numbers.json")
    }
    (levels,) = (folder / "artifacts").rglob("levels.csv")
    table = pd.read_csv(levels)
    assert "patient" not in table.columns
    assert {"low_percent", "high_percent", "probability_I", "grade_set", "verdict"} <= set(table.columns)


def test_training_warns_if_the_levels_not_referred_cannot_be_as_accurate_as_asked(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Of 200 levels not referred, 160 are right: 80 %, and certainly not 95 %, but possibly 85 %."""
    rows = [
        {"film_id": f"f{i}", "patient": f"f{i}", "level": "L5/S1", "upper_slot": 1.0, "true_slip_percent": 0.0,
         "true_grade": 0.0, "pred_grade": float(i % 5 == 0), "refer": False, "in_set": 1.0, "in_interval": 1.0,
         "in_grade_set": 1.0, "low_percent": -1.0, "high_percent": 1.0, "set_width_percent": 2.0,
         **dict.fromkeys(PROBABILITIES, 0.5)}
        for i in range(200)
    ]  # fmt: skip
    levels = pd.DataFrame(rows)
    bootstrap = PatientBootstrap(levels["patient"].tolist(), 200)
    report = UncertaintyReport({}, {}, uncertainty_estimates(levels, bootstrap), by_group(levels, bootstrap))
    warn_if_less_accurate(report, 0.85)
    assert not caplog.records
    warn_if_less_accurate(report, 0.95)
    assert "the grade of 80.0 % of the levels not referred is right" in caplog.text
    assert "asks for 95.0 %" in caplog.text


def test_too_few_levels_leave_the_model_without_intervals_with_a_reason(tmp_path: Path) -> None:
    model, fit_run = _fit(tmp_path, 2, least_levels=200)
    assert model is None
    assert "levels to calibrate slips on; 200 are needed" in fit_run.data.tags["uncertainty_withheld"]
    assert fit_run.data.metrics == {}


def test_a_model_without_an_uncertainty_source_is_not_calibrated(tmp_path: Path) -> None:
    model, fit_run = _fit(tmp_path, 2, source="none")
    assert model is None
    assert fit_run.data.metrics == {}


def test_a_bundle_keeps_its_uncertainty_or_none(fit_result: tuple[UncertaintyModel, Run, Path], tmp_path: Path) -> None:
    model, _, _ = fit_result
    films, _ = films_with_noise(3, 2)
    slots = films_with_noise(1, 2)[1][0].slots
    bundle = Bundle(build_model(_config(), slots), _config(), MeanShape.fit(films, slots), model)
    save_bundle(bundle, tmp_path / "with")
    assert load_bundle(tmp_path / "with").uncertainty == model
    save_bundle(Bundle(bundle.model, bundle.config, bundle.mean_shape), tmp_path / "without")
    assert load_bundle(tmp_path / "without").uncertainty is None


def test_films_without_a_measurable_true_slip_have_no_uncertainty(
    fit_result: tuple[UncertaintyModel, Run, Path],
) -> None:
    model, _, _ = fit_result
    films, predictions = films_with_noise(5, 3)
    rules = _config().clinical
    bootstrap = PatientBootstrap([film.patient for film in films])
    levels = level_table(PredictionSet(films, predictions), model, rules)
    report = evaluate_uncertainty(levels, PredictionSet(films, predictions), model, bootstrap)
    assert report is not None
    assert report.metrics()["slip_set_coverage"] > 70
    without_true_slips = levels.assign(in_set=float("nan"))
    assert evaluate_uncertainty(without_true_slips, PredictionSet(films, predictions), model, bootstrap) is None


DROPOUT = (
    "--uncertainty.source",
    "dropout",
    "--uncertainty.dropout_passes",
    "5",
    "--model.decoder_dropout",
    "0.02,0.02,0.02,0.02,0.02",
)


@pytest.mark.slow
@pytest.mark.parametrize("source", ["heatmap", "dropout"])
def test_evaluate_applies_the_calibration_of_training(tmp_path: Path, source: str) -> None:
    # Long enough for some vertebrae to be found on their own bodies, and some of their slips to be measurable.
    output = run(
        tmp_path, "train", *TINY, "--data.phantom_films", "200", "--data.max_films", "200",
        "--data.phantom_long_side_px", "96", "--data.val_fraction", "0.6", "--data.test_fraction", "0.1",
        "--training.epochs", "40", "--training.learning_rate", "0.003", "--tracking.panel_films", "0",
        "--uncertainty.least_levels", "10", "--uncertainty.samples", "100",
        *(DROPOUT if source == "dropout" else ()),
    )  # fmt: skip
    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    experiments = [e.experiment_id for e in client.search_experiments()]
    (training_run,) = client.search_runs(experiments)
    assert "val_uncertainty/slip_set_coverage" in training_run.data.metrics, output
    output = run(tmp_path, "evaluate", "--run_id", training_run.info.run_id, "--split", "all", "--resamples", "100")
    evaluation_run = next(r for r in client.search_runs(experiments) if r.info.run_id != training_run.info.run_id)
    assert {"eval/slip_set_coverage", "eval/referred_percent"} <= set(evaluation_run.data.metrics)
    root = Path(client.download_artifacts(evaluation_run.info.run_id, ""))
    for name in (
        "uncertainty/levels.csv",
        "uncertainty/curves.png",
        "report/referral.csv",
        "report/uncertainty_by_level.csv",
        "report/uncertainty_by_grade.csv",
    ):
        assert (root / name).is_file(), name
    assert "true slip inside" in output
    folder = Path(client.download_artifacts(training_run.info.run_id, "uncertainty"))
    assert json.loads((folder / "model.json").read_text(encoding="utf-8"))["source"] == source
