"""The validation report of a trained model: its evaluation with intervals beside the mean shape's, and its costs."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import mlflow
import torch
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from spondylo_ml.data.films import digest
from spondylo_ml.data.prepare import PreparedFilm
from spondylo_ml.errors import TrackingError
from spondylo_ml.evaluation.evaluate_predictions import ReportHeader, evaluate_predictions
from spondylo_ml.evaluation.leaderboard import COSTS
from spondylo_ml.evaluation.paired import paired_values
from spondylo_ml.evaluation.prediction_set import PredictionSet
from spondylo_ml.evaluation.report import REPORT_FILE, EvaluationReport
from spondylo_ml.evaluation.seed_noise import VALUES_FILE, values_text
from spondylo_ml.film_bar import film_bar
from spondylo_ml.models.zoo import parameter_count
from spondylo_ml.nan import drop_nan
from spondylo_ml.serving.bundle import Bundle
from spondylo_ml.serving.predictor import Predictor
from spondylo_ml.training.cost import WARM_UP_CALLS, latency_ms
from spondylo_ml.training.device import Compute
from spondylo_ml.training.fit import FitResult

log = logging.getLogger(__name__)

MODEL_REPORT, MEAN_SHAPE_REPORT = "val_report", "val_report/mean_shape"
COST = "cost/"
TIMED_FILMS = 15


@dataclass(frozen=True)
class ValidationReport:
    """What `log_validation_report` logged to a run.

    Attributes:
        report: of the model on the validation films.
        mean_shape: the same of the mean shape.
        costs: by the names in `COSTS`; NaN if not logged.
    """

    report: EvaluationReport
    mean_shape: EvaluationReport
    costs: dict[str, float]


def read_validation_films(predictor: Predictor, val: Sequence[PreparedFilm]) -> PredictionSet:
    """The predictions of a model in use, with a progress bar: where films are read several times, it takes minutes."""
    with film_bar("reading validation films", len(val), delay_s=5) as bar:
        if bar.disable and predictor.reads_again:
            log.info("reading %d validation films, each several times", len(val))
        predictions = predictor.predict_prepared(val, bar.update)
    return PredictionSet([film.film for film in val], predictions)


def log_validation_report(
    bundle: Bundle, result: FitResult, compute: Compute, val: Sequence[PreparedFilm], dataset: str
) -> None:
    """Evaluate the model and log the results to the active run; the time does not count as training time."""
    films, rules = [film.film for film in val], bundle.config.clinical
    header = ReportHeader(dataset, "val", digest(films, bundle.slots))
    predictor = Predictor(bundle, compute)
    predictions = read_validation_films(predictor, val)
    mean_shape = bundle.mean_shape.predict_films(films)
    for folder, evaluated in ((MODEL_REPORT, predictions), (MEAN_SHAPE_REPORT, mean_shape)):
        for name, text in evaluate_predictions(evaluated, rules, header).files().items():
            mlflow.log_text(text, f"{folder}/{name}")
    mlflow.log_text(values_text(paired_values(predictions, rules)), f"{MODEL_REPORT}/{VALUES_FILE}")
    timed_films = [val[index % len(val)] for index in range(WARM_UP_CALLS + TIMED_FILMS)]
    costs = {
        "parameters": float(parameter_count(bundle.model)),
        "best_epoch": float(result.best_epoch),
        "epochs": float(result.history[-1]["epoch"]),
        "training_s": result.training_s,
        "films_per_s": result.films_per_s,
        "latency_ms": latency_ms(partial(predictor.predict_prepared, [film]) for film in timed_films),
        "threads": float(torch.get_num_threads()),
        "peak_memory_mb": result.peak_memory_mb,
        "peak_gpu_memory_mb": result.peak_gpu_memory_mb,
    }
    mlflow.log_metrics({f"{COST}{name}": value for name, value in drop_nan(costs).items()})


def read_validation_report(run: Run) -> ValidationReport:
    """Read the validation report of a run.

    Raises:
        TrackingError: the run has logged none.
    """
    run_id = run.info.run_id
    try:
        report, mean_shape = (
            EvaluationReport.model_validate_json(mlflow.artifacts.load_text(f"runs:/{run_id}/{folder}/{REPORT_FILE}"))
            for folder in (MODEL_REPORT, MEAN_SHAPE_REPORT)
        )
    except (MlflowException, OSError, ValueError) as error:
        raise TrackingError(
            f"run {run_id} has no validation report ({type(error).__name__}): it was trained without tracking.standing"
        ) from None
    return ValidationReport(report, mean_shape, {name: run.data.metrics.get(COST + name, math.nan) for name in COSTS})
