"""Read films and their mirror images with one network: corners of each, and what the network sees, as features.

A model that averages a film with its mirror image would always agree with itself, so each image is read alone. The
network reads the whole film, not a window of it.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from spondylo_ml.data.batches import plain_loader
from spondylo_ml.data.prepare import PreparedFilm
from spondylo_ml.landmarks import MIRRORED_CORNERS, FilmPrediction, FloatArray
from spondylo_ml.models.base import LandmarkModel, Landmarks
from spondylo_ml.training.device import Compute
from spondylo_ml.training.inference import FILMS_AT_ONCE, predict_batch, to_film_predictions


@dataclass(frozen=True)
class Reading:
    """A film read as it is and mirrored.

    Attributes:
        as_is, mirrored: predictions in px of the film as it is.
        features: (C,) the network's deepest features, averaged over the film and both images; C is 0 if the model
            has no part that they can be taken from.
    """

    as_is: FilmPrediction
    mirrored: FilmPrediction
    features: FloatArray


class TwoWayReader:
    """Reads films as they are and mirrored.

    Attributes:
        has_features: whether features can be taken from the model.
    """

    def __init__(self, model: LandmarkModel, compute: Compute) -> None:
        self._compute = compute.exact()
        self._model = reading_one_image(model).to(self._compute.device).eval()
        self._source = _feature_source(model)
        self.has_features = self._source is not None

    def read(self, films: Sequence[PreparedFilm]) -> list[Reading]:
        """One reading per film, in order."""
        readings: list[Reading] = []
        for batch in plain_loader(films, FILMS_AT_ONCE):
            images = batch.images.to(self._compute.device)
            rows = [films[i] for i in batch.row.tolist()]
            with _recorded(self._source) as recorded:
                as_is = predict_batch(self._model.predict, images, self._compute)
                mirrored = predict_batch(self._model.predict, images.flip(3), self._compute)
            predictions = [
                to_film_predictions(rows, one, self._model) for one in (as_is, mirrored_back(mirrored, images.shape[3]))
            ]
            features = mean_features(recorded, len(rows))
            readings += [Reading(*three) for three in zip(*predictions, features, strict=True)]
        return readings

    def features(self, films: Sequence[PreparedFilm]) -> FloatArray:
        """(N, C) features of the films."""
        readings = self.read(films)
        return np.stack([reading.features for reading in readings]) if readings else np.zeros((0, 0))


def reading_one_image(model: LandmarkModel) -> LandmarkModel:
    """The model with the same weights, without its mirror image in the prediction and without estimates of spread."""
    alone = copy.copy(model)
    config: Any = getattr(model, "config", None)
    if config is not None:
        update = {
            "heatmap": config.heatmap.model_copy(update={"flip_average": False}),
            "uncertainty": config.uncertainty.model_copy(update={"source": "none"}),
        }
        alone.config = config.model_copy(update=update)
    return alone


def mirrored_back(landmarks: Landmarks, width_px: int) -> Landmarks:
    """Landmarks of mirrored images, `width_px` wide, as landmarks of the images; without covariances."""
    order = list(MIRRORED_CORNERS)
    corners = landmarks.corners_xy[:, :, order].clone()
    corners[..., 0] = width_px - 1 - corners[..., 0]
    return Landmarks(corners, landmarks.corner_score[:, :, order], landmarks.presence)


def mean_features(recorded: Sequence[Tensor], count: int) -> FloatArray:
    """(N, C) mean of the features of each pass; (N, 0) if none were recorded."""
    if not recorded:
        return np.zeros((count, 0))
    return np.asarray(torch.stack(list(recorded)).double().mean(dim=0).cpu().numpy())


def _feature_source(model: LandmarkModel) -> nn.Module | None:
    """The part whose output are the deepest features: the backbone, else the last step of the encoder."""
    if model.backbone_net is not None:
        return model.backbone_net.network
    encoder = getattr(model, "encoder", None)
    return encoder[-1] if isinstance(encoder, nn.ModuleList) else None


@contextmanager
def _recorded(source: nn.Module | None) -> Iterator[list[Tensor]]:
    """(N, C) mean over the cells of each output of `source`, in a list that grows while the context is open."""
    recorded: list[Tensor] = []
    if source is None:
        yield recorded
        return

    def record(_module: nn.Module, _inputs: object, output: object) -> None:
        recorded.append(_deepest(output).float().mean(dim=(2, 3)))

    handle = source.register_forward_hook(record)
    try:
        yield recorded
    finally:
        handle.remove()


def _deepest(output: Any) -> Tensor:
    """The last of the (N, C, h, w) features that a network returns as a tensor, a list or a mapping."""
    if isinstance(output, Tensor):
        return output
    deepest: Tensor = list(output.values() if isinstance(output, Mapping) else output)[-1]
    return deepest
