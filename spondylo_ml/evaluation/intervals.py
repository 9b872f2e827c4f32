"""Bootstrap intervals over patients: films of one patient are alike, so that patients are resampled, not films.

All estimates of one report come from the same resamples. A resample is a count for each patient (a row of a multinomial
distribution), so that sums over films or corners are matrix products. The interval is the percentile interval (Efron
and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict

from spondylo_ml.errors import DataError
from spondylo_ml.landmarks import FloatArray
from spondylo_ml.nan import Number

LEAST_DEFINED = 0.9
"""Share of the resamples in which a value must exist, or it has no interval."""

BLOCK_BYTES = 64_000_000


class Estimate(BaseModel):
    """A value, its interval, and the observations behind it.

    Attributes:
        value: NaN if there is nothing to measure.
        low, high: limits of the interval; NaN for a single patient.
        n: number of observations (corners, vertebrae, levels, films) with a value.
        n_absent: number of observations without a value, which are left out.
        n_patients: number of patients with an observation.
    """

    model_config = ConfigDict(frozen=True)

    value: Number
    low: Number
    high: Number
    n: int
    n_absent: int = 0
    n_patients: int = 0


Estimates = dict[str, Estimate]
"""Estimates by the name of the metric."""


class PatientBootstrap:
    """Resamples of the patients of one set of films; with `resamples=0` it gives point estimates alone."""

    def __init__(self, patients: Sequence[str], resamples: int = 1000, seed: int = 0, confidence: float = 0.95) -> None:
        """Args: patients: of all films of the set; each counts once, no matter how many films it has."""
        self._names = np.unique(np.asarray(patients, dtype=object).astype(str))
        count = len(self._names)
        rng = np.random.default_rng(seed)
        share = np.full(count, 1 / max(count, 1))
        self._resamples = (
            rng.multinomial(count, share, size=resamples) if count else np.zeros((resamples, 0), dtype=int)
        )
        self._tail = (1 - confidence) / 2

    def mean(self, values: ArrayLike, patients: ArrayLike) -> Estimate:
        """Mean of the values that are not NaN; `patients` names the patient of each value."""
        numbers = np.asarray(values, dtype=np.float64)
        finite_mask = ~np.isnan(numbers)
        return self.ratio(np.where(finite_mask, numbers, 0.0), finite_mask.astype(np.float64), patients, ~finite_mask)

    def ratio(
        self,
        parts: ArrayLike,
        wholes: ArrayLike,
        patients: ArrayLike,
        absent: NDArray[np.bool_] | None = None,
        n: int | None = None,
    ) -> Estimate:
        """Sum of the parts over the sum of the wholes; `n` is the latter by default."""
        part, whole = np.asarray(parts, dtype=np.float64), np.asarray(wholes, dtype=np.float64)
        codes = self._codes(patients)
        size = len(self._names)
        part_sums, whole_sums = (np.bincount(codes, x, size) for x in (part, whole))
        with np.errstate(divide="ignore", invalid="ignore"):
            resampled = (self._resamples @ part_sums) / (self._resamples @ whole_sums)
        total = float(whole.sum())
        value = float(part.sum()) / total if total else math.nan
        n_absent = 0 if absent is None else int(absent.sum())
        return self._estimate(value, resampled, round(total) if n is None else n, n_absent, int((whole_sums > 0).sum()))

    def quantile(self, values: ArrayLike, share: float, patients: ArrayLike) -> Estimate:
        """Quantile of the values that are not NaN, interpolated as `numpy.quantile` does."""
        numbers = np.asarray(values, dtype=np.float64)
        finite_mask = ~np.isnan(numbers)
        numbers, codes = numbers[finite_mask], self._codes(patients)[finite_mask]
        order = np.argsort(numbers, kind="stable")
        numbers, codes = numbers[order], codes[order]
        value = float(np.quantile(numbers, share)) if len(numbers) else math.nan
        step = max(1, BLOCK_BYTES // (8 * max(1, len(numbers))))
        blocks = [
            _weighted_quantile(numbers, self._resamples[i : i + step][:, codes], share)
            for i in range(0, len(self._resamples), step)
        ]
        resampled = np.concatenate(blocks) if blocks else np.zeros(0)
        return self._estimate(value, resampled, len(numbers), int((~finite_mask).sum()), len(np.unique(codes)))

    def statistic(self, function: Callable[[FloatArray], float], patients: ArrayLike, n_absent: int = 0) -> Estimate:
        """Any statistic, as a function of the weights of the rows; the value itself has all weights 1.

        It has no interval if all resamples give the same value, as those of a perfect order do: that says nothing
        about other films.
        """
        codes = self._codes(patients)
        value = function(np.ones(len(codes))) if len(codes) else math.nan
        resampled = (
            [function(row[codes].astype(np.float64)) for row in self._resamples] if not math.isnan(value) else []
        )
        estimate = self._estimate(
            value, np.array(resampled, dtype=np.float64), len(codes), n_absent, len(np.unique(codes))
        )
        alike = estimate.low == estimate.high
        return estimate.model_copy(update={"low": math.nan, "high": math.nan}) if alike else estimate

    def _codes(self, patients: ArrayLike) -> NDArray[np.int64]:
        names = np.asarray(patients, dtype=object).astype(str)
        codes = np.searchsorted(self._names, names).clip(max=max(0, len(self._names) - 1))
        if len(names) and not (len(self._names) and (self._names[codes] == names).all()):
            raise DataError("a row belongs to a patient without films in this set")
        return np.asarray(codes, dtype=np.int64)

    def _estimate(self, value: float, resampled: FloatArray, n: int, n_absent: int, n_patients: int) -> Estimate:
        defined = resampled[~np.isnan(resampled)]
        low = high = math.nan
        if n_patients > 1 and len(defined) and len(defined) >= LEAST_DEFINED * len(resampled):
            low, high = (float(x) for x in np.quantile(defined, [self._tail, 1 - self._tail]))
        return Estimate(value=value, low=low, high=high, n=n, n_absent=n_absent, n_patients=n_patients)


def _weighted_quantile(ordered: FloatArray, weights: NDArray[np.int64], share: float) -> FloatArray:
    """(R,) quantiles of sorted (N,) values, each repeated by its (R, N) weight; NaN without values."""
    if not len(ordered):
        return np.full(len(weights), np.nan)
    cumulated = weights.cumsum(axis=1)
    total = cumulated[:, -1]
    rank = share * (total - 1)
    below = np.floor(rank)
    last = len(ordered) - 1
    lower, upper = (
        ordered[np.minimum((cumulated <= k[:, None]).sum(axis=1), last)]
        for k in (below, np.minimum(below + 1, total - 1))
    )
    return np.where(total > 0, lower + (rank - below) * (upper - lower), np.nan)
