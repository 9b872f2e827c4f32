"""How definite a network's corners are on a film, compared with the films on which it was validated.

A network also predicts corners on a blank wall, and their geometry may be perfect. Its heat gives it away: far less of
the heat map than usual lies around each corner (or, for a model without heat maps, its scores are far lower). The
measure is the film's median over the corners of the predicted vertebrae, as a logarithm; the reference is its median
and lower spread over the validation films.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from spondylo_ml.evaluation.matching import PRESENCE_THRESHOLD
from spondylo_ml.landmarks import FilmPrediction

FEWEST_FILMS = 5
"""With fewer validation films there is no reference."""

LEAST_SPREAD = 0.25
"""Least standard deviation of the logarithm that is assumed: films from elsewhere differ more."""

NONE_AT, FULL_AT = -3.0, -2.0
"""Standard deviations from the reference at which a film has no evidence, and full evidence.

For a U-Net trained for two minutes, 20 of 20 films of noise, 59 of 60 films without a spine and 0 of 68 real films lie
below the midpoint of the two; of a normal distribution, 0.6 % do."""

LOWEST = 1e-6


class Evidence(BaseModel):
    """The reference of one model.

    Attributes:
        measure: `heat_share` if the model has it, else `corner_score`.
        median_log: median of the films' measures.
        spread_log: standard deviation below the median.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    measure: Literal["heat_share", "corner_score"]
    median_log: float
    spread_log: float

    @classmethod
    def fit(cls, predictions: Sequence[FilmPrediction]) -> Evidence | None:
        """Fit the predictions of the validation films; None if there are too few."""
        shared = bool(predictions) and all(p.heat_share is not None for p in predictions)
        measure: Literal["heat_share", "corner_score"] = "heat_share" if shared else "corner_score"
        logs = np.array([_log_measure(p, measure) for p in predictions])
        logs = logs[np.isfinite(logs)]
        if len(logs) < FEWEST_FILMS:
            return None
        low, middle = np.quantile(logs, [0.159, 0.5])
        return cls(measure=measure, median_log=float(middle), spread_log=max(LEAST_SPREAD, float(middle - low)))

    def of(self, prediction: FilmPrediction) -> float:
        """Evidence on one film, 0 to 1; 1 if no vertebra is predicted, since there is nothing to doubt."""
        log = _log_measure(prediction, self.measure)
        if np.isnan(log):
            return 1.0
        z = (log - self.median_log) / self.spread_log
        return float(np.clip((z - NONE_AT) / (FULL_AT - NONE_AT), 0.0, 1.0))


def _log_measure(prediction: FilmPrediction, measure: str) -> float:
    """NaN without predicted vertebrae; a corner without a value counts as 0."""
    values = prediction.heat_share if measure == "heat_share" else prediction.corner_score
    predicted = prediction.presence >= PRESENCE_THRESHOLD
    if values is None or not predicted.any():
        return float("nan")
    return float(np.log(max(LOWEST, float(np.median(np.nan_to_num(values[predicted]))))))
