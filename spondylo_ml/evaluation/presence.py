"""Which vertebrae a model says are on a film, by level name."""

from __future__ import annotations

import numpy as np

from spondylo_ml.evaluation.matching import PRESENCE_THRESHOLD
from spondylo_ml.landmarks import Film, FilmPrediction

COLUMNS = ("film_id", "n_predicted", "n_true", "n_correct")


def presence_rows(film: Film, prediction: FilmPrediction) -> list[tuple[object, ...]]:
    """The film's one row: number of levels predicted, truly there, and both.

    A vertebra beyond the model's slots counts as not predicted.
    """
    rows = np.flatnonzero(prediction.presence >= PRESENCE_THRESHOLD)
    predicted = {prediction.slots.first + int(row) for row in rows}
    true = {vertebra.slot for vertebra in film.vertebrae or ()}
    return [(film.film_id, len(predicted), len(true), len(predicted & true))]
