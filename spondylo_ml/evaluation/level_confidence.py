"""How sure a network is that the levels of a film are right, and not those of the whole spine one or two levels off.

Some networks weigh the same vertebrae one and two levels lower and higher. Their scores sum over many vertebrae that
share their errors, and are far too sure. One temperature, fitted on the validation films, divides them: Guo et al., On
Calibration of Modern Neural Networks (ICML 2017).
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from pydantic import BaseModel, ConfigDict
from scipy.optimize import minimize_scalar
from scipy.special import softmax

from spondylo_ml.evaluation.matching import match_film
from spondylo_ml.landmarks import Film, FilmPrediction, FloatArray

FEWEST_FILMS = 20
"""With fewer validation films there is no calibration."""

HIGHEST_TEMPERATURE = 100.0
FLOOR = 1e-9


class LevelConfidence(BaseModel):
    """The calibration of one model.

    Attributes:
        temperature: divides the scores; at least 1, since a few right films are no reason to be surer.
        n_films: number of films it was fitted on.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    temperature: float
    n_films: int

    @classmethod
    def fit(cls, pairs: Iterable[tuple[Film, FilmPrediction]]) -> LevelConfidence | None:
        """Fit labelled films with their predictions; None if the model gives no scores or there are too few films.

        A film counts as right if more than half of the predicted vertebrae that match a true one have its level: its
        spine is not off as a whole, which is all that these scores can tell. Films without a match do not count. One
        wrong film is added to those seen: without it, right films alone would make the model certain.
        """
        rows = [row for film, prediction in pairs if (row := _scores_and_right(film, prediction))]
        if len(rows) < FEWEST_FILMS:
            return None
        scores = np.stack([row[0] for row in rows])
        right = np.array([row[1] for row in rows])
        typical = np.median(scores, axis=0, keepdims=True)
        scores, right = np.concatenate([scores, typical]), np.append(right, False)
        result = minimize_scalar(
            lambda log: _loss(scores, right, float(np.exp(log))),
            bounds=(0.0, np.log(HIGHEST_TEMPERATURE)),
            method="bounded",
        )
        return cls(temperature=float(np.exp(result.x)), n_films=len(rows))

    def of(self, prediction: FilmPrediction) -> float:
        """Probability that the levels of a film are right; 1 if the model gives no scores."""
        if prediction.shift_scores is None:
            return 1.0
        return float(confidence(prediction.shift_scores[None], self.temperature)[0])


def confidence(shift_scores: FloatArray, temperature: float) -> FloatArray:
    """(N,) share of the reading as named, in the middle, among (N, 2 S + 1) readings."""
    return np.asarray(softmax(shift_scores / temperature, axis=1)[:, shift_scores.shape[1] // 2])


def _loss(scores: FloatArray, right: np.ndarray[tuple[int], np.dtype[np.bool_]], temperature: float) -> float:
    sure = np.clip(confidence(scores, temperature), FLOOR, 1 - FLOOR)
    return float(-np.mean(np.where(right, np.log(sure), np.log(1 - sure))))


def _scores_and_right(film: Film, prediction: FilmPrediction) -> tuple[FloatArray, bool] | None:
    if prediction.shift_scores is None or not film.labelled:
        return None
    right = [vertebra.slot == slot for vertebra, slot in match_film(film, prediction).pairs]
    return (prediction.shift_scores, sum(right) > len(right) / 2) if right else None
