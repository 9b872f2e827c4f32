"""Statistics that are robust to wrong labels: median, MAD and minimum covariance determinant."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray
from sklearn.covariance import MinCovDet

from spondylo_ml.data.sampling import evenly_spaced
from spondylo_ml.landmarks import FloatArray

MAD_TO_SD = 1.4826
"""Standard deviation over median absolute deviation of a normal distribution."""

FEWEST_FILMS = 10
"""Minimum number of films for a median and its MAD."""

FEWEST_ROWS = 100
"""Minimum number of rows for a covariance estimate."""

LARGEST_SAMPLE = 500
"""Maximum number of rows used to estimate a covariance; more take seconds without changing the result."""


def robust_z(values: FloatArray, least_sd: float) -> FloatArray:
    """(N,) distance from the median in robust standard deviations; NaN for a NaN value, or if there are too few.

    Args:
        least_sd: lower limit of the standard deviation, so that tiny differences among nearly equal values are not
            outliers.
    """
    values = np.asarray(values, dtype=np.float64)
    finite = values[np.isfinite(values)]
    if len(finite) < FEWEST_FILMS:
        return np.full(len(values), np.nan)
    centre = np.median(finite)
    spread = max(least_sd, MAD_TO_SD * float(np.median(np.abs(finite - centre))))
    return np.asarray((values - centre) / spread)


def group_medians(values: FloatArray, groups: NDArray[np.int64], fewest: int = 1) -> FloatArray:
    """(N, ...) median of each row's group; NaN if the group has fewer than `fewest` rows."""
    out = np.full(values.shape, np.nan)
    order = np.argsort(groups, kind="stable")
    starts = np.flatnonzero(np.diff(groups[order], prepend=groups[order][:1] - 1))
    for rows in np.split(order, starts[1:]) if len(order) else []:
        if len(rows) >= fewest:
            out[rows] = np.median(values[rows], axis=0)
    return out


def mahalanobis(rows: FloatArray) -> FloatArray:
    """(N,) robust Mahalanobis distance of (N, F) rows; NaN for a row with NaN, or if there are too few rows.

    Location and scatter are estimated by the minimum covariance determinant (Rousseeuw and Van Driessen,
    Technometrics 41, 1999).
    """
    out = np.full(len(rows), np.nan)
    complete = np.flatnonzero(np.isfinite(rows).all(axis=1))
    if len(complete) < FEWEST_ROWS:
        return out
    sample = evenly_spaced(complete.tolist(), LARGEST_SAMPLE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of the small determinant, which is expected for small values
        model = MinCovDet(random_state=0).fit(rows[sample])
    out[complete] = np.sqrt(model.mahalanobis(rows[complete]))
    return out
