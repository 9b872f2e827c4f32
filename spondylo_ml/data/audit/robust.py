"""Median, MAD and the minimum covariance determinant: statistics that wrong labels cannot pull along."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray
from sklearn.covariance import MinCovDet

from spondylo_ml.data.sampling import evenly_spaced
from spondylo_ml.landmarks import FloatArray

MAD_TO_SD = 1.4826
"""Of a normal distribution, standard deviation over median absolute deviation."""

FEWEST_FILMS = 10
"""Below so many films a median and its MAD say nothing about one of them."""

FEWEST_ROWS = 100
"""Below so many rows no covariance is estimated."""

LARGEST_SAMPLE = 500
"""Rows of which a covariance is estimated; more cost seconds and change nothing."""


def robust_z(values: FloatArray, least_sd: float) -> FloatArray:
    """(N,) distance from the median in robust standard deviations; NaN where the value is, or values are too few.

    `least_sd` keeps a set of all but equal values from making outliers of tiny differences.
    """
    values = np.asarray(values, dtype=np.float64)
    known = values[np.isfinite(values)]
    if len(known) < FEWEST_FILMS:
        return np.full(len(values), np.nan)
    centre = np.median(known)
    spread = max(least_sd, MAD_TO_SD * float(np.median(np.abs(known - centre))))
    return np.asarray((values - centre) / spread)


def group_medians(values: FloatArray, groups: NDArray[np.int64], fewest: int = 1) -> FloatArray:
    """(N, ...) the median of each row's group; NaN where the group has fewer than `fewest` rows."""
    out = np.full(values.shape, np.nan)
    order = np.argsort(groups, kind="stable")
    starts = np.flatnonzero(np.diff(groups[order], prepend=groups[order][:1] - 1))
    for rows in np.split(order, starts[1:]) if len(order) else []:
        if len(rows) >= fewest:
            out[rows] = np.median(values[rows], axis=0)
    return out


def mahalanobis(rows: FloatArray) -> FloatArray:
    """(N,) robust Mahalanobis distance of (N, F) rows; NaN for a row that has one, or where rows are too few.

    Location and scatter by the minimum covariance determinant (Rousseeuw and Van Driessen, Technometrics 41, 1999).
    """
    out = np.full(len(rows), np.nan)
    known = np.flatnonzero(np.isfinite(rows).all(axis=1))
    if len(known) < FEWEST_ROWS:
        return out
    sample = evenly_spaced(known.tolist(), LARGEST_SAMPLE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns where the determinant is small, which it is for tiny ratios
        model = MinCovDet(random_state=0).fit(rows[sample])
    out[known] = np.sqrt(model.mahalanobis(rows[known]))
    return out
