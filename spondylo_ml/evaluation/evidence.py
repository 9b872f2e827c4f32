"""How definite a network's corners are on a film, against those on the films on which it was validated.

A network gives corners for a grey wall, too, and their geometry may be perfect. What gives it away is its heat: round
each corner lies far less of the map's heat than is usual (or, for a model without maps, its scores are far lower). The
measure is the film's median over the corners of the vertebrae said to be there, in logarithms; the reference, its
median and lower spread over the validation films.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from spondylo_ml.evaluation.matching import PRESENCE_THRESHOLD
from spondylo_ml.landmarks import FilmPrediction

FEWEST_FILMS = 5
"""With fewer validation films nothing is known of what is usual."""

LEAST_SPREAD = 0.25
"""Standard deviation of the logarithm that is granted at least: films from elsewhere differ more."""

NONE_AT, FULL_AT = -3.0, -2.0
"""Standard deviations from the usual at which a film has no evidence, and from which on it has all.

On a U-Net trained for two minutes, all of 20 films of noise, 59 of 60 negatives and none of 68 real films lie below the
middle of the two; of a normal distribution, 0.6 % do."""

LOWEST = 1e-6


class Evidence(BaseModel):
    """What is usual for one model.

    Attributes:
        measure: `heat_share` where the model has it, else `corner_score`.
        median_log: of the films' measures.
        spread_log: standard deviation below the median.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    measure: Literal["heat_share", "corner_score"]
    median_log: float
    spread_log: float

    @classmethod
    def fit(cls, predictions: Sequence[FilmPrediction]) -> Evidence | None:
        """From the predictions of the validation films; None where they are too few."""
        shared = bool(predictions) and all(p.heat_share is not None for p in predictions)
        measure: Literal["heat_share", "corner_score"] = "heat_share" if shared else "corner_score"
        logs = np.array([_log_measure(p, measure) for p in predictions])
        logs = logs[np.isfinite(logs)]
        if len(logs) < FEWEST_FILMS:
            return None
        low, middle = np.quantile(logs, [0.159, 0.5])
        return cls(measure=measure, median_log=float(middle), spread_log=max(LEAST_SPREAD, float(middle - low)))

    def of(self, prediction: FilmPrediction) -> float:
        """Evidence on one film, 0 to 1; 1 where no vertebra is said to be there, for there is nothing to believe."""
        log = _log_measure(prediction, self.measure)
        if np.isnan(log):
            return 1.0
        z = (log - self.median_log) / self.spread_log
        return float(np.clip((z - NONE_AT) / (FULL_AT - NONE_AT), 0.0, 1.0))


def _log_measure(prediction: FilmPrediction, measure: str) -> float:
    """NaN without vertebrae; a corner without a number counts as none."""
    values = prediction.heat_share if measure == "heat_share" else prediction.corner_score
    said = prediction.presence >= PRESENCE_THRESHOLD
    if values is None or not said.any():
        return float("nan")
    return float(np.log(max(LOWEST, float(np.median(np.nan_to_num(values[said]))))))
