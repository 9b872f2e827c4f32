"""The few metrics that a run logs, the same in all commands, and rounded; all others are in its tables.

A page of MLflow draws a chart and a column for each metric, so with every metric nobody finds the ones that matter.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from math import floor, isfinite, log10

from spondylo_ml.evaluation.catalogue import find_metric
from spondylo_ml.nan import drop_nan

EPOCH = ("mre_px512", "sdr_6px", "sdr_24px", "detection_f1")
"""Measured in every epoch on the validation films."""

EPOCH_OF_TRAINING_FILMS = ("loss", "mre_px512")
"""In every epoch on training films, beside the parts of the loss."""

HEADLINE = (
    *EPOCH, "median_px512", "presence_recall", "mre_mm", "instance_mre_px512", "named_right_percent",
    "slip_mae_percent", "slip_bias_percent", "grade_accuracy_all", "listhesis_sensitivity_all",
    "listhesis_specificity", "slip_set_coverage", "referred_percent", "nmse", "or_20px704", "cobb_smape_percent",
    "cobb_cmae_deg", "mean_shape_mre_px512", "n_films", "n_labelled", "epoch",
)  # fmt: skip
"""Of the kept weights on some films. Those of grades are NaN on AP films, those of Cobb angles on lateral ones."""

_SIGNIFICANT_DIGITS = 3


def headline(values: Mapping[str, float], prefix: str = "", more: Collection[str] = ()) -> dict[str, float]:
    """The metrics of `HEADLINE`, rounded, with a prefix before their names; NaN is left out.

    Args:
        values: by name without prefix.
        more: other names to keep.
    """
    kept = {name: value for name, value in drop_nan(values).items() if name in HEADLINE or name in more}
    return {f"{prefix}{name}": rounded(name, value) for name, value in kept.items()}


def epoch_headline(values: Mapping[str, float]) -> dict[str, float]:
    """Of the metrics of an epoch, those that a run logs, rounded; names that this project does not log are all kept."""
    return {name: rounded(name, value) for name, value in drop_nan(values).items() if _of_epoch(name)}


def rounded(name: str, value: float) -> float:
    """A value with the digits of its metric, but at least three significant ones; unchanged for an unknown metric."""
    metric = find_metric(name)
    if metric is None or not isfinite(value) or value == 0:
        return value
    return round(value, max(metric.digits, _SIGNIFICANT_DIGITS - 1 - floor(log10(abs(value)))))


def _of_epoch(name: str) -> bool:
    part, _, metric = name.rpartition("/")
    if part == "train":
        return metric in EPOCH_OF_TRAINING_FILMS or metric.startswith("loss_")
    if part == "val" and find_metric(metric) is not None:
        return metric in EPOCH
    return name != "time/films_per_s"
