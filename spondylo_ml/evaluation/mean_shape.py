"""The trivial predictor: each corner at its mean position on the training films. Every model must beat it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spondylo_ml.errors import DataError
from spondylo_ml.evaluation.prediction_set import PredictionSet
from spondylo_ml.landmarks import Film, FilmPrediction, FloatArray, SlotRange


@dataclass(frozen=True)
class MeanShape:
    """Mean corners by slot.

    Attributes:
        corners: (V, 4, 2) offset from the centre of the film, relative to its longer side.
        frequency: (V,) share of the training films that show the vertebra.
    """

    slots: SlotRange
    corners: FloatArray
    frequency: FloatArray

    @classmethod
    def fit(cls, films: Sequence[Film], slots: SlotRange) -> MeanShape:
        """Fit the labelled films; a corner that is on none of them gets the mean of all corners.

        Raises:
            DataError: no film has labels.
        """
        labelled = [film for film in films if film.vertebrae is not None]
        if not labelled:
            raise DataError("the mean shape needs at least one labelled training film")
        shapes = np.stack([_to_shares(slots.corners(f.vertebrae or ()), f.size_hw) for f in labelled])
        known_mask = ~np.isnan(shapes[..., 0])
        total, count = np.nansum(shapes, axis=0), known_mask.sum(axis=0)[..., None]
        overall = np.nansum(shapes, axis=(0, 1, 2)) / max(1, int(known_mask.sum()))
        corners = np.where(count > 0, total / np.maximum(count, 1), overall)
        there = [[any(v.slot == s for v in f.vertebrae or ()) for s in _range(slots)] for f in labelled]
        return cls(slots, corners, np.mean(there, axis=0))

    def predict(self, film: Film) -> FilmPrediction:
        """The mean corners, scaled to the size of the film."""
        height, width = film.size_hw
        corners = self.corners * max(film.size_hw) + np.array([(width - 1) / 2, (height - 1) / 2])
        return FilmPrediction(
            film.film_id, self.slots, corners, np.ones((self.slots.count, 4)), self.frequency.astype(np.float64)
        )

    def predict_films(self, films: Sequence[Film]) -> PredictionSet:
        """The mean corners on each film."""
        return PredictionSet(films, [self.predict(film) for film in films])

    def to_json(self) -> dict[str, object]:
        """JSON values, for `from_json`."""
        return {
            "first_slot": self.slots.first,
            "corners": self.corners.tolist(),
            "frequency": self.frequency.tolist(),
        }

    @classmethod
    def from_json(cls, tree: dict[str, object]) -> MeanShape:
        """The inverse of `to_json`."""
        corners = np.array(tree["corners"], dtype=np.float64)
        frequency = np.array(tree["frequency"], dtype=np.float64)
        return cls(SlotRange(int(str(tree["first_slot"])), len(corners)), corners, frequency)


def _range(slots: SlotRange) -> range:
    return range(slots.first, slots.first + slots.count)


def _to_shares(corners_xy: FloatArray, size_hw: tuple[int, int]) -> FloatArray:
    height, width = size_hw
    return np.asarray((corners_xy - np.array([(width - 1) / 2, (height - 1) / 2])) / max(size_hw))
