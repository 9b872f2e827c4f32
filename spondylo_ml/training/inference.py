"""Predictions on a batch of films, shared by validation, the panel, `evaluate` and serving, so that they agree."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from spondylo_ml.data.prepare import PreparedFilm
from spondylo_ml.landmarks import FilmPrediction
from spondylo_ml.models.base import LandmarkModel, Landmarks
from spondylo_ml.training.device import Compute

FILMS_AT_ONCE = 8
"""Batch size for predictions, independent of the training batch: so sums are rounded alike everywhere."""


@contextmanager
def inference(compute: Compute) -> Iterator[None]:
    """Compute for inference: in single precision, without gradients."""
    with torch.inference_mode(), compute.exact().autocast():
        yield


def predict_batch(predict: Callable[[Tensor], Landmarks], images: Tensor, compute: Compute) -> Landmarks:
    """Landmarks of (N, 1, H, W) uint8 images, in single precision regardless of the training precision.

    Args:
        predict: the model's `predict`, or a function that adds covariances to it.
        compute: the device of the images and the model.
    """
    with inference(compute):
        return predict(images)


def to_film_predictions(
    films: Sequence[PreparedFilm], landmarks: Landmarks, model: LandmarkModel
) -> list[FilmPrediction]:
    """Convert landmarks in px of the input to predictions in px of each original film."""
    corners, score, presence = (part.cpu().double().numpy() for part in landmarks[:3])
    covariance, share = (None if part is None else part.cpu().double().numpy() for part in landmarks[3:5])
    shifts = None if landmarks.shift_scores is None else landmarks.shift_scores.cpu().double().numpy()
    return [
        FilmPrediction(
            film_id=film.film.film_id,
            slots=model.slots,
            corners_xy=film.letterbox.to_film(corners[i]),
            corner_score=score[i],
            presence=presence[i],
            covariance_px2=None if covariance is None else film.letterbox.covariance_to_film(covariance[i]),
            heat_share=None if share is None else share[i],
            shift_scores=None if shifts is None else shifts[i],
        )
        for i, film in enumerate(films)
    ]
