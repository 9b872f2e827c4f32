"""How well two measurements of the same things agree. All functions take (N,) weights: how often each row counts."""

from __future__ import annotations

import math
import warnings

import numpy as np
from sklearn.metrics import cohen_kappa_score, roc_auc_score

from spondylo_ml.landmarks import FloatArray

LIMITS_SD = 1.96
"""Distance of the limits of agreement from the mean, in standard deviations (Bland and Altman, Lancet 1986)."""


def limits_of_agreement(difference: FloatArray, weights: FloatArray) -> tuple[float, float]:
    """Lower and upper Bland-Altman limit; NaN for fewer than two rows."""
    n = float(weights.sum())
    if n < 2:
        return math.nan, math.nan
    mean = float(weights @ difference) / n
    spread = math.sqrt(float(weights @ (difference - mean) ** 2) / (n - 1))
    return mean - LIMITS_SD * spread, mean + LIMITS_SD * spread


def slope(true: FloatArray, predicted: FloatArray, weights: FloatArray) -> float:
    """Least squares slope of the predicted over the true values, both (N,); NaN if the true ones are all equal.

    Below 1, large values are predicted too small: a mean error of 0 does not show that.
    """
    total = float(weights.sum())
    if total == 0:
        return math.nan
    offset = true - float(weights @ true) / total
    squared = float(weights @ offset**2)
    return float(weights @ (offset * predicted)) / squared if squared > 0 else math.nan


def intraclass_correlation(ratings: FloatArray, weights: FloatArray) -> tuple[float, float]:
    """ICC(2,1) and ICC(3,1) of (N, K) ratings: K raters, N subjects.

    Shrout and Fleiss, Intraclass correlations: uses in assessing rater reliability (Psychological Bulletin 1979).
    ICC(2,1), absolute agreement, falls with a constant bias; ICC(3,1), consistency, does not. NaN for fewer than two
    subjects, or if nothing varies.
    """
    n, raters = float(weights.sum()), ratings.shape[1]
    if n < 2:
        return math.nan, math.nan
    grand = float(weights @ ratings.mean(axis=1)) / n
    subjects = raters * float(weights @ (ratings.mean(axis=1) - grand) ** 2)
    columns = n * float(((weights @ ratings / n - grand) ** 2).sum())
    total = float(weights @ ((ratings - grand) ** 2).sum(axis=1))
    between = subjects / (n - 1)
    rater = columns / (raters - 1)
    error = max(0.0, total - subjects - columns) / ((n - 1) * (raters - 1))
    absolute = between + (raters - 1) * error + raters * (rater - error) / n
    consistent = between + (raters - 1) * error
    return _share(between - error, absolute), _share(between - error, consistent)


def quadratic_kappa(true: FloatArray, predicted: FloatArray, weights: FloatArray) -> float:
    """Cohen's kappa with quadratic weights of (N,) grades; NaN if all rows have the same grade."""
    counted = weights > 0
    grades = np.unique([true[counted], predicted[counted]])
    if len(grades) < 2:
        return math.nan
    labels = np.arange(grades.min(), grades.max() + 1)
    return float(
        cohen_kappa_score(
            true[counted], predicted[counted], labels=labels, weights="quadratic", sample_weight=weights[counted]
        )
    )


def area_under_curve(positive: FloatArray, score: FloatArray, weights: FloatArray) -> float:
    """Area under the ROC curve; NaN if one of the two classes is missing."""
    counted = weights > 0
    if len(np.unique(positive[counted])) < 2:
        return math.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return float(roc_auc_score(positive[counted], score[counted], sample_weight=weights[counted]))


def _share(part: float, whole: float) -> float:
    return part / whole if whole > 0 else math.nan
