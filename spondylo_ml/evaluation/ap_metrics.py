"""Metrics of AP films of the whole spine, as the literature of the AASCE 2019 challenge defines them.

NMSE, OR20 and OR40 follow the public evaluation code of RouterNet (`val.py` of github.com/YingJGuo/RouterNet); the
shares within a distance relative to the film's diagonal are those that others state as 5, 10 and 15 px of 640 x 640 px.
Errors of the Cobb angles are in `cobb.angle_errors`. All true corners count, by level name.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from spondylo_ml.evaluation import cobb
from spondylo_ml.evaluation.agreement import intraclass_correlation
from spondylo_ml.evaluation.intervals import Estimate, Estimates, PatientBootstrap
from spondylo_ml.evaluation.prediction_set import PredictionSet
from spondylo_ml.landmarks import Facing, Film, FloatArray

REFERENCE_HEIGHT_PX = 704
"""px704: px of the film scaled to a height of 704."""

OUTLIER_LIMITS_PX704 = (20, 40)
LIMITS_PERCENT_OF_DIAGONAL = (0.55, 1.10, 1.66)


def ap_estimates(predictions: PredictionSet, bootstrap: PatientBootstrap) -> Estimates:
    """Means of `ap_corner_values` and `cobb.angle_errors`, and agreement; empty without labelled AP films."""
    angles = predictions.cobb_angles
    if not len(angles):
        return {}
    values, film_ids = ap_corner_values(predictions.corners, predictions.films)
    of_corners, of_films = predictions.patients(film_ids), predictions.patients(angles["film_id"])
    estimates = {name: bootstrap.mean(each, of_corners) for name, each in values.items()}
    errors = cobb.angle_errors(*cobb.true_and_predicted_deg(angles))
    estimates |= {name: bootstrap.mean(each, of_films) for name, each in errors.items()}
    return estimates | {"cobb_main_icc_2_1": _main_angle_agreement(angles, of_films, bootstrap)}


def ap_corner_values(corners: pd.DataFrame, films: Iterable[Film]) -> tuple[dict[str, FloatArray], tuple[str, ...]]:
    """One value per true corner of AP films for each metric that is a mean over them, and the film of each.

    `nmse` is (dx / W)^2 + (dy / H)^2 on a film of W x H px. A missed corner is off by the width and the height of its
    film, which is an `nmse` of 2, counts as an outlier and is never detected, so that leaving a corner out never pays.
    Rates are in percent; a corner exactly on a limit is no outlier, and is detected.

    Args:
        corners: rows of `PredictionSet.corners`.
        films: of these rows at least.
    """
    size_hw = {film.film_id: film.size_hw for film in films if film.facing is Facing.NONE}
    rows = corners[corners["film_id"].isin(list(size_hw))]
    film_ids = tuple(rows["film_id"])
    height, width = np.array([size_hw[film_id] for film_id in film_ids], dtype=np.float64).reshape(-1, 2).T
    error_px, dx, dy = (
        values.to_numpy(dtype=np.float64)
        for values in (rows["error_px"], rows["pred_x_px"] - rows["true_x_px"], rows["pred_y_px"] - rows["true_y_px"])
    )
    missed = rows["missed"].to_numpy(dtype=bool)
    values = {"nmse": np.where(missed, 2.0, (dx / width) ** 2 + (dy / height) ** 2)}
    for limit in OUTLIER_LIMITS_PX704:
        far = error_px * REFERENCE_HEIGHT_PX > limit * height
        values[f"or_{limit}px704"] = np.where(far | missed, 100.0, 0.0)
    for percent in LIMITS_PERCENT_OF_DIAGONAL:
        near = 100 * error_px <= percent * np.hypot(width, height)
        values[f"sdr_{percent:g}percent_of_diagonal"] = np.where(near & ~missed, 100.0, 0.0)
    return values, film_ids


def _main_angle_agreement(angles: pd.DataFrame, patients: list[str], bootstrap: PatientBootstrap) -> Estimate:
    main = angles[["true_main_deg", "pred_main_deg"]].to_numpy(dtype=np.float64)
    finite = ~np.isnan(main).any(axis=1)
    return bootstrap.statistic(
        lambda weights: intraclass_correlation(main[finite], weights)[0],
        np.array(patients)[finite],
        int((~finite).sum()),
    )
