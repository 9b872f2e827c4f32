"""Numbers from a table of corners. What cannot be computed is NaN, and counts are given beside it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from spondylo_ml.evaluation.corner_table import SDR_THRESHOLDS_PX512, corner_table
from spondylo_ml.evaluation.matching import PRESENCE_THRESHOLD, instance_metrics
from spondylo_ml.landmarks import Film, FilmPrediction, FloatArray

SDR_THRESHOLDS_PX640 = (5, 10, 15)
SDR_THRESHOLDS_MM = (2, 2.5, 3, 4)
PX640_PER_PX512 = 640 / 512
QUANTILES = {"median_px512": 0.5, "p75_px512": 0.75, "p90_px512": 0.9, "p95_px512": 0.95}
"""Quantiles of the error in px512, by the name of the metric."""


def score(films: Sequence[Film], predictions: Sequence[FilmPrediction]) -> dict[str, float]:
    """Metrics of one set of films: `corner_metrics`, `presence_metrics` and `instance_metrics`; fast enough for every
    epoch."""
    strict = corner_metrics(corner_table(films, predictions))
    return strict | presence_metrics(films, predictions) | instance_metrics(films, predictions)


def corner_metrics(table: pd.DataFrame) -> dict[str, float]:
    """Means of `corner_values`, and quantiles, over all true corners, missed ones included.

    Returns:
        What `corner_values` names, `QUANTILES`, `n_corners`, `n_missed`, and `n_mm`, the corners on films of known
        spacing. NaN where there is no true corner.
    """
    error = table["error_px512"].to_numpy(dtype=float)
    metrics = {name: _mean(values) for name, values in corner_values(table).items()}
    for name, share in QUANTILES.items():
        metrics[name] = float(np.quantile(error, share)) if len(error) else math.nan
    return metrics | {
        "n_corners": float(len(table)),
        "n_missed": float(table["missed"].to_numpy(dtype=bool).sum()),
        "n_mm": float(table["error_mm"].notna().sum()),
    }


def corner_values(table: pd.DataFrame) -> dict[str, FloatArray]:
    """One value a true corner for each metric that is a mean over corners; NaN for a corner that has none.

    `mre_px512`, `mre_px` (px of the original film), `mse_px512` (px512 squared), `mre_mm`, `mre_body_percent` (of the
    body's depth); successful detection rates, percent of corners within a limit, limit included: `sdr_6px` ... (px512),
    `sdr_5px640` ... (px of the film scaled to 640), `sdr_2mm` ... on films of known spacing. A missed corner is never
    detected.
    """
    error, mm = (table[name].to_numpy(dtype=np.float64) for name in ("error_px512", "error_mm"))
    found = ~table["missed"].to_numpy(dtype=bool)
    values = {
        "mre_px512": error,
        "mre_px": table["error_px"].to_numpy(dtype=np.float64),
        "mse_px512": error**2,
        "mre_mm": mm,
        "mre_body_percent": table["error_body_percent"].to_numpy(dtype=np.float64),
    }
    for limit in SDR_THRESHOLDS_PX512:
        values[f"sdr_{limit}px"] = _rate(error <= limit, found)
    for limit in SDR_THRESHOLDS_PX640:
        values[f"sdr_{limit}px640"] = _rate(error * PX640_PER_PX512 <= limit, found)
    for limit_mm in SDR_THRESHOLDS_MM:
        values[f"sdr_{limit_mm:g}mm"] = np.where(np.isnan(mm), np.nan, _rate(mm <= limit_mm, found))
    return values


def presence_counts(films: Sequence[Film], predictions: Sequence[FilmPrediction]) -> pd.DataFrame:
    """One row a labelled film: vertebrae said to be there by name (`n_said`), there (`n_there`), and both (`n_both`).

    A vertebra beyond the model's slots is one that was not found.
    """
    rows = []
    for film, prediction in zip(films, predictions, strict=True):
        if film.vertebrae is None:
            continue
        said = {prediction.slots.first + int(i) for i in np.flatnonzero(prediction.presence >= PRESENCE_THRESHOLD)}
        there = {vertebra.slot for vertebra in film.vertebrae}
        rows.append((film.film_id, len(said), len(there), len(said & there)))
    return pd.DataFrame(rows, columns=["film_id", "n_said", "n_there", "n_both"])


def presence_metrics(films: Sequence[Film], predictions: Sequence[FilmPrediction]) -> dict[str, float]:
    """Precision, recall and F1 of the vertebrae said to be on the labelled films, in percent, strict by name.

    NaN where nothing was said or nothing is there.
    """
    counts = presence_counts(films, predictions)
    said, there, both = (int(counts[name].sum()) for name in ("n_said", "n_there", "n_both"))
    return {
        "presence_precision": 100 * both / said if said else math.nan,
        "presence_recall": 100 * both / there if there else math.nan,
        "presence_f1": 200 * both / (said + there) if said + there else math.nan,
    }


def _rate(within: NDArray[np.bool_], found: NDArray[np.bool_]) -> FloatArray:
    return np.where(within & found, 100.0, 0.0)


def _mean(values: FloatArray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else math.nan
