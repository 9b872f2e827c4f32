"""The metrics of the epoch whose weights are kept, and the table of all epochs."""

from __future__ import annotations

import math
from dataclasses import dataclass

import mlflow
import pandas as pd
from mlflow.entities import Dataset

from spondylo_ml.config import ClinicalConfig
from spondylo_ml.evaluation.headline import headline, rounded
from spondylo_ml.evaluation.prediction_set import PredictionSet
from spondylo_ml.evaluation.slips import slip_agreement
from spondylo_ml.tracking.run_metrics import BEST, METRICS_FILE, metrics_text
from spondylo_ml.training.fit import FitResult

VALIDATION = "val/"
TRAINING_TIME = "time/training_s"
LOST_BEST_TAG = "lost_best_epoch"
"""The epoch with the lowest validation error, if its weights were lost and the metrics are those of another epoch."""

EPOCHS_FILE = "epochs.csv"
"""All metrics of all epochs; the run logs the headline alone."""


@dataclass(frozen=True)
class MeasuredModel:
    """A logged model, and the films on which its metrics were measured: MLflow's Models tab ranks by both."""

    uri: str
    films: Dataset

    @property
    def model_id(self) -> str:
        """The id of the model in MLflow."""
        return self.uri.removeprefix("models:/")


def log_best_epoch(
    result: FitResult,
    predictions: PredictionSet,
    rules: ClinicalConfig,
    mean_shape_mre_px512: float,
    measured: MeasuredModel,
) -> None:
    """Log the kept epoch's metrics, slips and grades included, and the table of all epochs, to the active run.

    Args:
        predictions: of the kept weights on the validation films.
        mean_shape_mre_px512: error of the trivial predictor on these films.
    """
    numbers = {n.removeprefix(VALIDATION): float(v) for n, v in result.best.items() if n.startswith(VALIDATION)}
    levels = predictions.slips(rules)
    if levels["true_slip_percent"].notna().any():
        slips = slip_agreement(levels, predictions.patients(levels["film_id"]), predictions.bootstrap(resamples=0))
        numbers |= {name: estimate.value for name, estimate in slips.items()}
    numbers["epoch"] = float(result.best_epoch)
    if result.lost_best is not None:
        mlflow.set_tag(LOST_BEST_TAG, str(result.lost_best["epoch"]))
    mlflow.log_metrics(headline(numbers, BEST), model_id=measured.model_id, dataset=measured.films)
    if not math.isnan(result.training_s):
        mlflow.log_metric(TRAINING_TIME, rounded(TRAINING_TIME, result.training_s))
    name = "mean_shape_mre_px512"
    mlflow.log_metric(f"{VALIDATION}{name}", rounded(name, mean_shape_mre_px512))
    mlflow.log_text(metrics_text(numbers | {name: mean_shape_mre_px512}), METRICS_FILE)
    mlflow.log_text(pd.DataFrame(result.history).to_csv(index=False), EPOCHS_FILE)
