"""Two models on the same films: differences with intervals, a test, and how large the effect is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from spondylo_ml.config import ClinicalConfig
from spondylo_ml.errors import DataError
from spondylo_ml.evaluation import cobb, slips
from spondylo_ml.evaluation.catalogue import lower_is_better
from spondylo_ml.evaluation.corner_table import SDR_THRESHOLDS_PX512, corner_table
from spondylo_ml.evaluation.intervals import Estimate, PatientBootstrap
from spondylo_ml.evaluation.matching import matched_corner_table
from spondylo_ml.evaluation.metrics import corner_values
from spondylo_ml.landmarks import Film, FilmPrediction, FloatArray


@dataclass(frozen=True)
class Values:
    """One value an observation (corner, level, film), NaN where it has none, and whose film it is."""

    values: FloatArray
    film_ids: tuple[str, ...]


@dataclass(frozen=True)
class Difference:
    """How one model differs from a baseline in one metric.

    Attributes:
        difference: mean of the model's values less the baseline's, over observations that both have.
        wilcoxon_p: two-sided signed-rank test of the patients' mean differences; NaN where none differs.
        rank_biserial: effect size of that test (Kerby 2014), -1 to 1, positive where the model is better.
        n_better, n_worse, n_same: patients.
    """

    metric: str
    difference: Estimate
    wilcoxon_p: float
    rank_biserial: float
    n_better: int
    n_worse: int
    n_same: int


def paired_values(
    films: Sequence[Film], predictions: Sequence[FilmPrediction], rules: ClinicalConfig
) -> dict[str, Values]:
    """What is compared, by metric. The observations are those of the truth, so that they are the same for all models.

    Corner metrics strict by level, instance SDR, error of the slip, right grade (withheld ones count as wrong), SMAPE.
    """
    table = corner_table(films, predictions)
    strict = corner_values(table)
    chosen = ("mre_px512", "mre_body_percent", "mre_mm", *(f"sdr_{limit}px" for limit in SDR_THRESHOLDS_PX512))
    corners = tuple(table["film_id"])
    out = {name: Values(strict[name], corners) for name in chosen}
    error = matched_corner_table(films, predictions)["error_px512"].to_numpy(dtype=np.float64)
    for limit in SDR_THRESHOLDS_PX512:
        out[f"instance_sdr_{limit}px"] = Values(np.where(error <= limit, 100.0, 0.0), corners)
    levels = slips.slip_table(films, predictions, rules)
    levels = levels[levels["true_slip_percent"].notna()]
    if len(levels):
        whose = tuple(levels["film_id"])
        off = (levels["pred_slip_percent"] - levels["true_slip_percent"]).abs()
        right = 100.0 * (levels["pred_grade"] == levels["true_grade"])
        out["slip_error_percent"] = Values(np.asarray(off, dtype=np.float64), whose)
        out["grade_accuracy_all"] = Values(np.asarray(right, dtype=np.float64), whose)
    angles = cobb.cobb_table(films, predictions)
    if len(angles):
        true, predicted = (angles.filter(like=f"{who}_").to_numpy(dtype=np.float64) for who in ("true", "pred"))
        out["cobb_smape_percent"] = Values(np.asarray(cobb.smape_percent(true, predicted)), tuple(angles["film_id"]))
    return out


def differences(
    model: dict[str, Values], baseline: dict[str, Values], patient_of: dict[str, str], bootstrap: PatientBootstrap
) -> tuple[Difference, ...]:
    """One for each metric of which both have a value somewhere.

    Raises:
        DataError: the observations are not the same.
    """
    made = []
    for metric, values in model.items():
        other = baseline.get(metric)
        if other is None or other.film_ids != values.film_ids:
            raise DataError(f"{metric}: the two models were not measured on the same films")
        patients = [patient_of[film_id] for film_id in values.film_ids]
        difference = bootstrap.mean(values.values - other.values, patients)
        if difference.n:
            made.append(_difference(metric, difference, values.values - other.values, patients))
    return tuple(made)


def film_means(values: Values) -> pd.Series:
    """Mean value of each film."""
    return pd.Series(values.values, index=pd.Index(values.film_ids, name="film_id")).groupby(level=0, sort=False).mean()


def _difference(metric: str, difference: Estimate, each: FloatArray, patients: Sequence[str]) -> Difference:
    means = pd.Series(each).groupby(np.asarray(patients, dtype=object)).mean().dropna().to_numpy(dtype=np.float64)
    better = -means if lower_is_better(metric) else means
    # Sums of the same numbers in another order differ in their last digits: that is no difference.
    better = np.where(np.abs(better) < 1e-9, 0.0, better)
    changed = better[better != 0]
    p = effect = math.nan
    if len(changed):
        p = float(stats.wilcoxon(changed).pvalue)
        ranks = stats.rankdata(np.abs(changed))
        effect = float((ranks * np.sign(changed)).sum() / ranks.sum())
    return Difference(
        metric, difference, p, effect, int((better > 0).sum()), int((better < 0).sum()), int((better == 0).sum())
    )
