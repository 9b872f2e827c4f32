"""Numbers from a table of corners. What cannot be computed is NaN, and counts are given beside it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from spondylo_ml.evaluation.corner_table import SDR_THRESHOLDS_PX512, corner_table
from spondylo_ml.evaluation.matching import PRESENCE_THRESHOLD, instance_metrics
from spondylo_ml.landmarks import Film, FilmPrediction


def score(films: Sequence[Film], predictions: Sequence[FilmPrediction]) -> dict[str, float]:
    """Metrics of one set of films: `corner_metrics`, `presence_metrics` and `instance_metrics`; fast enough for every
    epoch."""
    strict = corner_metrics(corner_table(films, predictions))
    return strict | presence_metrics(films, predictions) | instance_metrics(films, predictions)


def corner_metrics(table: pd.DataFrame) -> dict[str, float]:
    """Mean radial error and successful detection rate over all true corners, missed ones included.

    Returns:
        `mre_px` (px of the original film), `mre_px512`, `median_px512`, `sdr_6px` ... `sdr_24px` (percent of
        corners within that many px512, limit included), `n_corners`, `n_missed`. NaN where there is no true corner.
    """
    error = table["error_px512"].to_numpy(dtype=float)
    missed = table["missed"].to_numpy(dtype=bool)
    metrics = {
        "mre_px512": _mean(error),
        "mre_px": _mean(table["error_px"].to_numpy(dtype=float)),
        "median_px512": float(np.median(error)) if len(error) else math.nan,
    }
    for limit in SDR_THRESHOLDS_PX512:
        metrics[f"sdr_{limit}px"] = 100 * _mean((error <= limit) & ~missed)
    return metrics | {"n_corners": float(len(table)), "n_missed": float(missed.sum())}


def presence_metrics(films: Sequence[Film], predictions: Sequence[FilmPrediction]) -> dict[str, float]:
    """Precision and recall of the vertebrae said to be on the labelled films, in percent.

    A vertebra beyond the model's slots is one that was not found. NaN where nothing was said or nothing is there.
    """
    true_positive = said = there = 0
    for film, prediction in zip(films, predictions, strict=True):
        if film.vertebrae is None:
            continue
        positive = {prediction.slots.first + int(i) for i in np.flatnonzero(prediction.presence >= PRESENCE_THRESHOLD)}
        true = {vertebra.slot for vertebra in film.vertebrae}
        true_positive += len(positive & true)
        said += len(positive)
        there += len(true)
    return {
        "presence_precision": 100 * true_positive / said if said else math.nan,
        "presence_recall": 100 * true_positive / there if there else math.nan,
    }


def _mean(values: NDArray[np.float64] | NDArray[np.bool_]) -> float:
    return float(np.mean(values)) if len(values) else math.nan
