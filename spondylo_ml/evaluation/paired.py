"""Two models on the same films: differences with intervals, a test, and an effect size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from spondylo_ml.config import ClinicalConfig
from spondylo_ml.errors import DataError
from spondylo_ml.evaluation.ap_metrics import ap_corner_values
from spondylo_ml.evaluation.catalogue import lower_is_better
from spondylo_ml.evaluation.cobb import angle_errors, true_and_predicted_deg
from spondylo_ml.evaluation.corner_table import SDR_THRESHOLDS_PX512
from spondylo_ml.evaluation.intervals import Estimate, PatientBootstrap
from spondylo_ml.evaluation.matching import shares_within
from spondylo_ml.evaluation.metrics import corner_values
from spondylo_ml.evaluation.prediction_set import PredictionSet
from spondylo_ml.landmarks import FloatArray


@dataclass(frozen=True)
class PairedValues:
    """One value per observation (corner, level, film), NaN if it has none, with the film of each."""

    values: FloatArray
    film_ids: tuple[str, ...]


@dataclass(frozen=True)
class PairedDifference:
    """Difference of a model from a baseline in one metric.

    Attributes:
        difference: mean of the model's values minus the baseline's, over observations with both.
        wilcoxon_p: two-sided signed-rank test of the patients' mean differences; NaN if none differs.
        rank_biserial: effect size of that test (Kerby 2014), -1 to 1, positive if the model is better.
        n_better, n_worse, n_same: number of patients.
    """

    metric: str
    difference: Estimate
    wilcoxon_p: float
    rank_biserial: float
    n_better: int
    n_worse: int
    n_same: int


def paired_values(predictions: PredictionSet, rules: ClinicalConfig) -> dict[str, PairedValues]:
    """The values that are compared, by metric. There is one per true corner, level or film, the same for all models.

    A withheld grade counts as wrong.
    """
    table, matched = predictions.corners, predictions.matched_corners
    by_level_name = corner_values(table)
    rates = tuple(f"sdr_{limit}px" for limit in SDR_THRESHOLDS_PX512)
    corners = tuple(table["film_id"])
    values = {
        name: PairedValues(by_level_name[name], corners) for name in ("mre_px512", "mre_body_percent", "mre_mm", *rates)
    }
    for limit in SDR_THRESHOLDS_PX512:
        values[f"instance_sdr_{limit}px"] = PairedValues(shares_within(matched, limit), corners)
    levels = predictions.slips(rules)
    levels = levels[levels["true_slip_percent"].notna()]
    if len(levels):
        film_ids = tuple(levels["film_id"])
        slip_error = (levels["pred_slip_percent"] - levels["true_slip_percent"]).abs()
        right = 100.0 * (levels["pred_grade"] == levels["true_grade"])
        values["slip_error_percent"] = PairedValues(np.asarray(slip_error, dtype=np.float64), film_ids)
        values["grade_accuracy_all"] = PairedValues(np.asarray(right, dtype=np.float64), film_ids)
    return values | _ap_values(predictions)


def _ap_values(predictions: PredictionSet) -> dict[str, PairedValues]:
    """The values of AP films, if there are any."""
    angles = predictions.cobb_angles
    if not len(angles):
        return {}
    of_corners, corners = ap_corner_values(predictions.corners, predictions.films)
    of_films, films = angle_errors(*true_and_predicted_deg(angles)), tuple(angles["film_id"])
    return {name: PairedValues(each, corners) for name, each in of_corners.items()} | {
        name: PairedValues(each, films) for name, each in of_films.items()
    }


def paired_differences(
    model: dict[str, PairedValues],
    baseline: dict[str, PairedValues],
    patient_of: dict[str, str],
    bootstrap: PatientBootstrap,
) -> tuple[PairedDifference, ...]:
    """One difference for each metric for which some observation has both values.

    Raises:
        DataError: the observations are not the same.
    """
    differences = []
    for metric, values in model.items():
        other = baseline.get(metric)
        if other is None or other.film_ids != values.film_ids:
            raise DataError(f"{metric}: the two models were not measured on the same films")
        patients = [patient_of[film_id] for film_id in values.film_ids]
        difference = bootstrap.mean(values.values - other.values, patients)
        if difference.n:
            differences.append(_difference(metric, difference, values.values - other.values, patients))
    return tuple(differences)


def difference_row(d: PairedDifference) -> dict[str, object]:
    """The row of a difference in a table."""
    return {
        "metric": d.metric,
        **d.difference.model_dump(),
        "wilcoxon_p": d.wilcoxon_p,
        "rank_biserial": d.rank_biserial,
        "n_better": d.n_better,
        "n_worse": d.n_worse,
        "n_same": d.n_same,
    }


def film_means(values: PairedValues) -> pd.Series:
    """Mean value of each film."""
    return pd.Series(values.values, index=pd.Index(values.film_ids, name="film_id")).groupby(level=0, sort=False).mean()


def _difference(metric: str, difference: Estimate, each: FloatArray, patients: Sequence[str]) -> PairedDifference:
    means = pd.Series(each).groupby(np.asarray(patients, dtype=object)).mean().dropna().to_numpy(dtype=np.float64)
    better = -means if lower_is_better(metric) else means
    # Sums of the same numbers in another order may differ in their last digits, which is no difference.
    better = np.where(np.abs(better) < 1e-9, 0.0, better)
    changed = better[better != 0]
    p = effect = math.nan
    if len(changed):
        p = float(stats.wilcoxon(changed).pvalue)
        ranks = stats.rankdata(np.abs(changed))
        effect = float((ranks * np.sign(changed)).sum() / ranks.sum())
    return PairedDifference(
        metric, difference, p, effect, int((better > 0).sum()), int((better < 0).sum()), int((better == 0).sum())
    )
