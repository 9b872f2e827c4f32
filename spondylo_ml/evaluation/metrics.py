"""The metrics that are cheap enough for every epoch: corners, presence, and detection by instance."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from spondylo_ml.evaluation.corner_table import SDR_THRESHOLDS_PX512
from spondylo_ml.evaluation.intervals import Estimates, PatientBootstrap
from spondylo_ml.evaluation.matching import shares_within
from spondylo_ml.evaluation.prediction_set import PredictionSet
from spondylo_ml.landmarks import FloatArray

SDR_THRESHOLDS_PX640 = (5, 10, 15)
SDR_THRESHOLDS_MM = (2, 2.5, 3, 4)
PX640_PER_PX512 = 640 / 512
QUANTILES = {"median_px512": 0.5, "p75_px512": 0.75, "p90_px512": 0.9, "p95_px512": 0.95}
"""Quantile of the error in px512 by metric."""


def score(predictions: PredictionSet) -> dict[str, float]:
    """Point estimates of `score_estimates`, and counts; NaN if there is nothing to measure."""
    estimates = score_estimates(predictions, predictions.bootstrap(resamples=0))
    detections = predictions.detections
    return {name: estimate.value for name, estimate in estimates.items()} | {
        **corner_counts(predictions.corners),
        "n_instance_corners": float(predictions.matched_corners["error_px512"].notna().sum()),
        "n_missing_vertebrae": float((detections["n_true"] - detections["n_matched"]).sum()),
        "n_false_vertebrae": float(detections["n_false"].sum()),
    }


def score_estimates(predictions: PredictionSet, bootstrap: PatientBootstrap) -> Estimates:
    """Metrics of corners and presence by level name, and of detection and corners by instance."""
    corners = predictions.corners
    return (
        corner_estimates(corners, predictions.patients(corners["film_id"]), bootstrap)
        | _presence_and_detection(predictions, bootstrap)
        | _matched_corners(predictions, bootstrap)
    )


def corner_estimates(corners: pd.DataFrame, patients: Sequence[str], bootstrap: PatientBootstrap) -> Estimates:
    """Means of `corner_values`, and `QUANTILES`, over all true corners, missed ones included.

    Args:
        corners: rows of `PredictionSet.corners`.
        patients: one per row.
    """
    means = {name: bootstrap.mean(values, patients) for name, values in corner_values(corners).items()}
    error = corners["error_px512"].to_numpy(dtype=np.float64)
    return means | {name: bootstrap.quantile(error, share, patients) for name, share in QUANTILES.items()}


def corner_counts(corners: pd.DataFrame) -> dict[str, float]:
    """Number of true corners, of missed ones, and of those on films of known spacing."""
    return {
        "n_corners": float(len(corners)),
        "n_missed": float(corners["missed"].to_numpy(dtype=bool).sum()),
        "n_mm": float(corners["error_mm"].notna().sum()),
    }


def corner_metrics(corners: pd.DataFrame) -> dict[str, float]:
    """Point estimates of `corner_estimates`, and `corner_counts`, of some corners, such as those of one film."""
    bootstrap = PatientBootstrap([""], resamples=0)
    estimates = corner_estimates(corners, [""] * len(corners), bootstrap)
    return {name: estimate.value for name, estimate in estimates.items()} | corner_counts(corners)


def corner_values(corners: pd.DataFrame) -> dict[str, FloatArray]:
    """One value per true corner for each metric that is a mean over corners; NaN if a corner has none.

    A successful detection rate is in percent and includes its limit; a missed corner is never detected.
    """
    error, mm = (corners[name].to_numpy(dtype=np.float64) for name in ("error_px512", "error_mm"))
    predicted = ~corners["missed"].to_numpy(dtype=bool)
    values = {
        "mre_px512": error,
        "mre_px": corners["error_px"].to_numpy(dtype=np.float64),
        "mse_px512": error**2,
        "mre_mm": mm,
        "mre_body_percent": corners["error_body_percent"].to_numpy(dtype=np.float64),
    }
    for limit in SDR_THRESHOLDS_PX512:
        values[f"sdr_{limit}px"] = _percent((error <= limit) & predicted)
    for limit in SDR_THRESHOLDS_PX640:
        values[f"sdr_{limit}px640"] = _percent((error * PX640_PER_PX512 <= limit) & predicted)
    for limit_mm in SDR_THRESHOLDS_MM:
        values[f"sdr_{limit_mm:g}mm"] = np.where(np.isnan(mm), np.nan, _percent((mm <= limit_mm) & predicted))
    return values


def _presence_and_detection(predictions: PredictionSet, bootstrap: PatientBootstrap) -> Estimates:
    presence, detections = predictions.presence, predictions.detections
    n_matched = detections["n_matched"]
    n_detected = n_matched + detections["n_false"]
    ratios = {
        "presence_precision": (presence["n_correct"], presence["n_predicted"]),
        "presence_recall": (presence["n_correct"], presence["n_true"]),
        "presence_f1": (2 * presence["n_correct"], presence["n_predicted"] + presence["n_true"]),
        "detection_precision": (n_matched, n_detected),
        "detection_recall": (n_matched, detections["n_true"]),
        "detection_f1": (2 * n_matched, n_detected + detections["n_true"]),
    }
    patients = predictions.patients(detections["film_id"])
    return {name: bootstrap.ratio(100 * part, whole, patients) for name, (part, whole) in ratios.items()}


def _matched_corners(predictions: PredictionSet, bootstrap: PatientBootstrap) -> Estimates:
    corners = predictions.matched_corners
    patients = predictions.patients(corners["film_id"])
    error = corners["error_px512"].to_numpy(dtype=np.float64)
    return {"instance_mre_px512": bootstrap.mean(error, patients)} | {
        f"instance_sdr_{limit}px": bootstrap.mean(shares_within(corners, limit), patients)
        for limit in SDR_THRESHOLDS_PX512
    }


def _percent(condition: NDArray[np.bool_]) -> FloatArray:
    return np.where(condition, 100.0, 0.0)
