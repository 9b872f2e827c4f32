"""The distribution of a level's true slip, given the predicted one and how difficult the level is.

The error of a predicted slip follows Student's t distribution, whose scale is a log-linear function of the level's
difficulty, fitted by maximum likelihood (normalised conformal prediction: Papadopoulos et al., ICTAI 2008). The true
slip follows from it and from the distribution of slips in the calibration films by Bayes' rule: a slip of 7 % measured
with an error of 6 % is more often none, because most levels have none.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from scipy.optimize import minimize
from scipy.special import digamma, gammaln
from scipy.stats import t as student_t

from spondylo_ml.evaluation.slip_set import signed_edges
from spondylo_ml.landmarks import FloatArray

SLIP_GRID = np.concatenate([np.arange(-130, -40, 2), np.arange(-40, 40, 0.5), np.arange(40, 131, 2)]).astype(float)
"""(G,) slips in percent at which the density of true slips is stored."""

GRID_STEPS = np.gradient(SLIP_GRID)
GRID_EDGES = np.concatenate([SLIP_GRID - GRID_STEPS / 2, [SLIP_GRID[-1] + GRID_STEPS[-1] / 2]])

UNIFORM_SHARE = 0.1
"""Share of a uniform distribution in that of the true slips: none is impossible."""

LEAST_BANDWIDTH_PERCENT, RELATIVE_BANDWIDTH = 1.5, 0.15
RIDGE = 5.0
MOST_DEVIATIONS = 3.0
"""A level may be this many standard deviations more or less difficult than the mean; beyond it nothing is known."""

SCALE_LIMITS_PERCENT = (0.1, 200.0)
FREEDOM_LIMITS = (1.0, 50.0)


class SlipDistribution(BaseModel):
    """A fitted distribution.

    Attributes:
        centre: mean of each difficulty, `level_difficulty.DIFFICULTY`.
        deviation: standard deviation of each.
        weights: of the standardised difficulties in the logarithm of the scale.
        by_slot: added to that logarithm at this slot of the upper vertebra.
        log_scale: the logarithm of the scale at a level of mean difficulty.
        degrees_of_freedom: of Student's t distribution.
        density: (G,) of the true slips on `SLIP_GRID`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    centre: tuple[float, ...]
    deviation: tuple[float, ...]
    weights: tuple[float, ...]
    by_slot: dict[int, float]
    log_scale: float
    degrees_of_freedom: float
    density: tuple[float, ...]

    @classmethod
    def fit(
        cls, difficulty: FloatArray, slot: NDArray[np.int64], predicted_percent: FloatArray, true_percent: FloatArray
    ) -> SlipDistribution:
        """Fit (N, D) difficulties, and the (N,) slots of the upper vertebra, predicted and true slips of N levels."""
        centre, deviation = np.nanmean(difficulty, axis=0), np.nanstd(difficulty, axis=0)
        deviation = np.where(deviation > 1e-6, deviation, 1.0)
        slots = np.unique(slot)
        design = np.hstack([_standardised(difficulty, centre, deviation), (slot[:, None] == slots).astype(float)])
        log_scale, weights, freedom = _fit_scale(design, true_percent - predicted_percent)
        n_difficulties = difficulty.shape[1]
        return cls(
            centre=tuple(centre.tolist()),
            deviation=tuple(deviation.tolist()),
            weights=tuple(weights[:n_difficulties].tolist()),
            by_slot=dict(zip(slots.tolist(), weights[n_difficulties:].tolist(), strict=True)),
            log_scale=log_scale,
            degrees_of_freedom=freedom,
            density=tuple(_density(true_percent).tolist()),
        )

    def scale_percent(self, difficulty: FloatArray, slot: NDArray[np.int64]) -> FloatArray:
        """(N,) scale of the error of each predicted slip."""
        standardised = _standardised(difficulty, np.array(self.centre), np.array(self.deviation))
        at_slot = np.array([self.by_slot.get(int(s), 0.0) for s in slot])
        scale = np.exp(self.log_scale + standardised @ np.array(self.weights) + at_slot)
        return np.asarray(np.clip(scale, *SCALE_LIMITS_PERCENT))

    def probabilities(
        self, predicted_percent: FloatArray, scale_percent: FloatArray, limits_percent: FloatArray
    ) -> FloatArray:
        """(N, 11) probability of each of the `SIGNED_GRADES`.

        Args:
            predicted_percent: (N,) slips.
            scale_percent: (N,) of `scale_percent`.
            limits_percent: (N, 7) of `grade_limits`.
        """
        deviates = (SLIP_GRID - predicted_percent[:, None]) / scale_percent[:, None]
        # Only ratios matter; the logarithm keeps them where all densities are almost 0.
        log_density = student_t.logpdf(deviates, self.degrees_of_freedom) + np.log(np.array(self.density) * GRID_STEPS)
        mass = np.exp(log_density - log_density.max(axis=1, keepdims=True))
        cumulative = np.concatenate([np.zeros((len(mass), 1)), np.cumsum(mass, axis=1)], axis=1)
        below = [
            np.interp(edges, GRID_EDGES, row / row[-1])
            for edges, row in zip(signed_edges(limits_percent), cumulative, strict=True)
        ]
        return np.diff(np.array(below).reshape(len(mass), -1), axis=1)


def _standardised(difficulty: FloatArray, centre: FloatArray, deviation: FloatArray) -> FloatArray:
    """(N, D) difficulties in standard deviations from the mean; an absent one counts as the mean."""
    values = np.nan_to_num((difficulty - centre) / deviation, nan=0.0)
    return np.asarray(np.clip(values, -MOST_DEVIATIONS, MOST_DEVIATIONS))


def _density(true_percent: FloatArray) -> FloatArray:
    """(G,) kernel density of the true slips, with a wider kernel where slips are large and rare."""
    width = np.maximum(LEAST_BANDWIDTH_PERCENT, RELATIVE_BANDWIDTH * np.abs(true_percent))
    kernels = np.exp(-0.5 * ((SLIP_GRID[:, None] - true_percent) / width) ** 2) / width
    density = kernels.sum(axis=1)
    density /= (density * GRID_STEPS).sum()
    return np.asarray((1 - UNIFORM_SHARE) * density + UNIFORM_SHARE / GRID_STEPS.sum())


def _fit_scale(design: FloatArray, error_percent: FloatArray) -> tuple[float, FloatArray, float]:
    """Logarithm of the scale, (K,) weights of the (N, K) design, and degrees of freedom, by penalised likelihood."""
    log_freedom = tuple(np.log(FREEDOM_LIMITS))
    log_scale = tuple(np.log(SCALE_LIMITS_PERCENT))
    middle = np.log(np.clip(np.median(np.abs(error_percent)), *SCALE_LIMITS_PERCENT))
    start = np.concatenate([[middle], np.zeros(design.shape[1]), [np.log(4.0)]])
    bounds = [log_scale, *[(None, None)] * design.shape[1], log_freedom]
    fitted = minimize(_loss, start, args=(design, error_percent), jac=True, method="L-BFGS-B", bounds=bounds).x
    return float(fitted[0]), np.asarray(fitted[1:-1]), float(np.exp(fitted[-1]))


def _loss(parameters: FloatArray, design: FloatArray, error_percent: FloatArray) -> tuple[float, FloatArray]:
    """Negative log likelihood with a ridge penalty on the weights, and its gradient."""
    weights, freedom = parameters[1:-1], float(np.exp(parameters[-1]))
    log_scale = parameters[0] + design @ weights
    square = (error_percent * np.exp(-np.clip(log_scale, -50, 50))) ** 2 / freedom
    half = (freedom + 1) / 2
    constant = gammaln(freedom / 2) - gammaln(half) + 0.5 * np.log(freedom)
    loss = (constant + log_scale + half * np.log1p(square)).sum() + RIDGE * weights @ weights
    relative = square / (1 + square)
    by_scale = 1 - 2 * half * relative
    by_freedom = (digamma(freedom / 2) - digamma(half) + 1 / freedom + np.log1p(square)) / 2 - half * relative / freedom
    gradient = [[by_scale.sum()], design.T @ by_scale + 2 * RIDGE * weights, [freedom * by_freedom.sum()]]
    return float(loss), np.concatenate(gradient)
