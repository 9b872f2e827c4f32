"""Refuse films that do not look like lateral lumbar films.

A film is refused if its `definite_vertebrae` are fewer than a limit. With n validation films, the limit is at most the
k-th lowest of their values, where k / (n + 1) is below the rate that is allowed: no more than this share of new films
of the same kind is refused (split conformal prediction; Vovk et al., Algorithmic Learning in a Random World, 2005).
Films from elsewhere may differ, so that the limit is lower where films without a lumbar spine leave room below.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict

from spondylo_ml.evaluation.definite_vertebrae import definite_vertebrae
from spondylo_ml.landmarks import Facing, Film, FilmPrediction

NOT_LUMBAR = (
    "this does not look like a lateral lumbar film: the network finds far fewer definite vertebrae than on the "
    "validation films"
)

OTHERS_QUANTILE = 0.95
"""Share of the films without a lumbar spine that the limit lies well above, if lumbar films leave room."""


class Refusal(BaseModel):
    """The limit of one model.

    Attributes:
        least_vertebrae: a film with fewer definite vertebrae is refused.
        n_films, n_refused: number of lateral lumbar validation films, and how many of them are refused.
        n_others, n_others_refused: the same of films that show no lateral lumbar spine; 0 if none was read.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    least_vertebrae: float
    n_films: int
    n_refused: int
    n_others: int = 0
    n_others_refused: int = 0

    @classmethod
    def fit(
        cls,
        pairs: Iterable[tuple[Film, FilmPrediction]],
        largest_rate: float,
        others: Sequence[FilmPrediction] = (),
    ) -> Refusal | None:
        """Fit validation films with their predictions; None if there are too few to promise the rate.

        Args:
            pairs: films without a labelled vertebra and AP films do not count.
            largest_rate: largest share of lateral lumbar films that may be refused.
            others: predictions of films that show no lateral lumbar spine.
        """
        values = np.sort(
            [definite_vertebrae(p) for film, p in pairs if film.vertebrae and film.facing is not Facing.NONE]
        )
        rank = math.ceil(largest_rate * (len(values) + 1)) - 1
        if rank < 1:
            return None
        highest = float(values[rank - 1])
        of_others = np.array([definite_vertebrae(p) for p in others])
        middle = (float(np.quantile(of_others, OTHERS_QUANTILE)) + highest) / 2 if len(of_others) else highest
        limit = min(highest, middle)
        return cls(
            least_vertebrae=limit,
            n_films=len(values),
            n_refused=int((values < limit).sum()),
            n_others=len(of_others),
            n_others_refused=int((of_others < limit).sum()),
        )

    def of(self, prediction: FilmPrediction) -> str:
        """Why the film is refused; empty if it is not."""
        return NOT_LUMBAR if definite_vertebrae(prediction) < self.least_vertebrae else ""

    def recounted(self, others: Sequence[FilmPrediction]) -> Refusal:
        """With the refusals among films that show no lateral lumbar spine, predicted by the model that has this limit.

        Such a model looks closer before it refuses a film, and so may refuse fewer than the predictions of `fit` say.
        """
        refused = sum(bool(prediction.refusal) for prediction in others)
        return self.model_copy(update={"n_others": len(others), "n_others_refused": refused})

    @property
    def in_words(self) -> str:
        """The limit with the rates at which films were refused."""
        rate = f"{self.n_refused} of {self.n_films} validation films"
        others = f", {self.n_others_refused} of {self.n_others} films without a lateral lumbar spine"
        return f"below {self.least_vertebrae:.2f} definite vertebrae: {rate}{others if self.n_others else ''}"
