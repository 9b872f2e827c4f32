"""Intervals by drawing patients again: films of one patient are alike, so that patients are drawn and not films.

All numbers of one report come from the same draws. A resample is a count for each patient (a row of a multinomial
distribution), so that sums over films or corners are products of matrices. The interval is the percentile interval
(Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13).
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
"""Share of the resamples in which a number must exist, or it has no interval."""

BLOCK_BYTES = 64_000_000


class Estimate(BaseModel):
    """A number, its interval, and what it rests on.

    Attributes:
        value: NaN where there is nothing to measure.
        low, high: limits of the interval; NaN for a single patient.
        n: observations (corners, vertebrae, levels, films) that the value rests on.
        n_absent: observations that have no value and are left out.
        n_patients: patients with an observation.
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
    """Draws of the patients of one set of films."""

    def __init__(self, patients: Sequence[str], resamples: int = 1000, seed: int = 0, confidence: float = 0.95) -> None:
        """Args: patients: of all films of the set; each counts once, however many films it has."""
        self._names = np.unique(np.asarray(patients, dtype=object).astype(str))
        count = len(self._names)
        rng = np.random.default_rng(seed)
        share = np.full(count, 1 / max(count, 1))
        self._draws = rng.multinomial(count, share, size=resamples) if count else np.zeros((resamples, 0), dtype=int)
        self._tail = (1 - confidence) / 2

    def mean(self, values: ArrayLike, patients: ArrayLike) -> Estimate:
        """Mean of the values that are not NaN, one patient's name beside each."""
        numbers = np.asarray(values, dtype=np.float64)
        known = ~np.isnan(numbers)
        return self.ratio(np.where(known, numbers, 0.0), known.astype(np.float64), patients, ~known)

    def ratio(
        self,
        parts: ArrayLike,
        wholes: ArrayLike,
        patients: ArrayLike,
        absent: NDArray[np.bool_] | None = None,
        n: int | None = None,
    ) -> Estimate:
        """Sum of the parts over the sum of the wholes, which is also `n` where none is given."""
        part, whole = np.asarray(parts, dtype=np.float64), np.asarray(wholes, dtype=np.float64)
        codes = self._codes(patients)
        size = len(self._names)
        part_sums, whole_sums = (np.bincount(codes, x, size) for x in (part, whole))
        with np.errstate(divide="ignore", invalid="ignore"):
            drawn = (self._draws @ part_sums) / (self._draws @ whole_sums)
        total = float(whole.sum())
        value = float(part.sum()) / total if total else math.nan
        n_absent = 0 if absent is None else int(absent.sum())
        return self._estimate(value, drawn, round(total) if n is None else n, n_absent, int((whole_sums > 0).sum()))

    def quantile(self, values: ArrayLike, share: float, patients: ArrayLike) -> Estimate:
        """Quantile of the values that are not NaN, interpolated as `numpy.quantile` does."""
        numbers = np.asarray(values, dtype=np.float64)
        known = ~np.isnan(numbers)
        numbers, codes = numbers[known], self._codes(patients)[known]
        order = np.argsort(numbers, kind="stable")
        numbers, codes = numbers[order], codes[order]
        value = float(np.quantile(numbers, share)) if len(numbers) else math.nan
        step = max(1, BLOCK_BYTES // (8 * max(1, len(numbers))))
        blocks = [
            _weighted_quantile(numbers, self._draws[i : i + step][:, codes], share)
            for i in range(0, len(self._draws), step)
        ]
        drawn = np.concatenate(blocks) if blocks else np.zeros(0)
        return self._estimate(value, drawn, len(numbers), int((~known).sum()), len(np.unique(codes)))

    def statistic(self, function: Callable[[FloatArray], float], patients: ArrayLike, n_absent: int = 0) -> Estimate:
        """Any number that a function makes of the weights of the rows; all weights are 1 for the value itself."""
        codes = self._codes(patients)
        value = function(np.ones(len(codes))) if len(codes) else math.nan
        drawn = [function(row[codes].astype(np.float64)) for row in self._draws] if not math.isnan(value) else []
        return self._estimate(value, np.array(drawn, dtype=np.float64), len(codes), n_absent, len(np.unique(codes)))

    def _codes(self, patients: ArrayLike) -> NDArray[np.int64]:
        names = np.asarray(patients, dtype=object).astype(str)
        codes = np.searchsorted(self._names, names).clip(max=max(0, len(self._names) - 1))
        if len(names) and not (len(self._names) and (self._names[codes] == names).all()):
            raise DataError("a row belongs to a patient of whom no film was given")
        return np.asarray(codes, dtype=np.int64)

    def _estimate(self, value: float, drawn: FloatArray, n: int, n_absent: int, n_patients: int) -> Estimate:
        defined = drawn[~np.isnan(drawn)]
        low = high = math.nan
        if n_patients > 1 and len(defined) and len(defined) >= LEAST_DEFINED * len(drawn):
            low, high = (float(x) for x in np.quantile(defined, [self._tail, 1 - self._tail]))
        return Estimate(value=value, low=low, high=high, n=n, n_absent=n_absent, n_patients=n_patients)


def _weighted_quantile(ordered: FloatArray, weights: NDArray[np.int64], share: float) -> FloatArray:
    """(R,) quantiles of ordered (N,) values, each repeated as often as the (R, N) weights say; NaN for none."""
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
