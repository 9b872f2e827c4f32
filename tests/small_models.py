"""Small models: real networks with little or no training, and one that returns the labels."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
import torch
from builders import prediction_of
from torch import Tensor
from uncertain_films import films_with_noise

from spondylo_ml.config import Config, resolve_config
from spondylo_ml.config.network import MODEL_NAMES, WITHOUT_HEATMAPS
from spondylo_ml.config.schema import PRESETS
from spondylo_ml.data.batches import FilmBatch, plain_loader
from spondylo_ml.data.letterbox import Letterbox
from spondylo_ml.data.prepare import prepare_films
from spondylo_ml.data.synthetic import SLOTS, phantom_films
from spondylo_ml.evaluation import uncertainty
from spondylo_ml.evaluation.mean_shape import MeanShape
from spondylo_ml.evaluation.prediction_set import PredictionSet
from spondylo_ml.evaluation.uncertainty import UncertaintyModel
from spondylo_ml.landmarks import Film
from spondylo_ml.models.base import HeatmapModel, LandmarkModel, Landmarks
from spondylo_ml.models.zoo import build_model
from spondylo_ml.serving.bundle import Bundle

INPUT_HW = (96, 64)
SAME_CORNER_PX = 0.01
"""Tolerance for the corners of a film between batches of different size, whose sums are rounded in another order."""
CONFIG = Config.model_validate(
    {
        "training": {"epochs": 1},
        "model": {"unet": {"width": 9}},
        "data": {"input_hw": list(INPUT_HW)},
        "uncertainty": {"samples": 100},
    }
)


RECIPES = [
    (name, preset)
    for name in MODEL_NAMES
    for preset in PRESETS
    if preset != "finetune"
    if preset != "document" or name not in WITHOUT_HEATMAPS  # which the document does not mention
]


@cache
def fitted_uncertainty() -> UncertaintyModel:
    """Uncertainty fitted on synthetic noise."""
    return uncertainty.calibrate(PredictionSet(*films_with_noise(60, 1)), CONFIG.clinical, CONFIG.uncertainty).model


def unet_bundle() -> Bundle:
    """A U-Net with random weights, batch norm fitted to two films, that predicts every vertebra as present."""
    torch.manual_seed(0)
    model = build_model(CONFIG, SLOTS)
    films = phantom_films(2, 3, 96).films
    (batch,) = plain_loader(prepare_films(films, SLOTS, INPUT_HW), len(films))
    _fit_batch_norm(model, batch)
    return Bundle(model.eval(), CONFIG, MeanShape.fit(films, SLOTS), fitted_uncertainty())


def small_bundle(name: str, side_px: int = 64, steps: int = 0, unet_width: int = 18) -> Bundle:
    """A network of the quick recipe (U-Net: half as wide) with random weights that predicts every vertebra as present.

    Batch norm is fitted to eight films. A few `steps` of training on them give the maps clear peaks and separate the
    vertebrae, which random weights do not.
    """
    torch.manual_seed(0)
    config = resolve_config(
        {
            "preset": "quick",
            "model": {"name": name, "unet": {"width": unet_width}},
            "data": {"input_hw": [side_px, side_px]},
            "training": {"precision": "fp32"},
        }
    )
    model = build_model(config, SLOTS)
    films = phantom_films(8, 3, 96).films
    (batch,) = plain_loader(prepare_films(films, SLOTS, (side_px, side_px)), len(films))
    if steps:
        _train(model, batch, steps)
    _fit_batch_norm(model, batch)
    return Bundle(model.eval(), config, MeanShape.fit(films, SLOTS))


@torch.no_grad()
def _fit_batch_norm(model: LandmarkModel, batch: FilmBatch) -> None:
    """Fit batch norm to the batch and make the presence head predict every vertebra.

    With unfitted batch norm the maps of random weights are so flat that rounding, which depends on the batch size,
    moves corners by hundredths of a px.
    """
    if not isinstance(model, HeatmapModel):
        return
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None  # the mean over the batches, not a running mean that starts at 0
    model.train()(batch.images)
    bias = [p for n, p in model.named_parameters() if n.startswith("presence") and n.endswith("bias")][-1]
    bias.fill_(20.0)


def _train(model: LandmarkModel, batch: FilmBatch, steps: int) -> None:
    optimizer = torch.optim.AdamW(model.train().parameters(), 1e-3)
    for _ in range(steps):
        optimizer.zero_grad()
        torch.stack(list(model.losses(batch).values())).sum().backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()


class KnownCorners(LandmarkModel):
    """Returns the labels of the films in their order, regardless of the pixels."""

    def __init__(self, films: Sequence[Film]) -> None:
        super().__init__(SLOTS)
        self._films, self._next = films, 0

    def losses(self, batch: FilmBatch) -> dict[str, Tensor]:
        raise NotImplementedError

    def predict(self, images: Tensor) -> Landmarks:
        films = self._films[self._next : self._next + len(images)]
        self._next += len(images)
        exact = [prediction_of(film, SLOTS) for film in films]
        corners = np.stack(
            [
                Letterbox(film.size_hw, INPUT_HW).to_input(prediction.corners_xy)
                for film, prediction in zip(films, exact, strict=True)
            ]
        )
        shape = corners.shape[:3]
        return Landmarks(
            torch.from_numpy(corners),
            torch.ones(shape),
            torch.from_numpy(np.stack([prediction.presence for prediction in exact])),
            covariance_px2=0.04 * torch.eye(2).expand(*shape, 2, 2),
            heat_share=torch.full(shape, 0.9),
        )


def bundle_with_known_corners(films: Sequence[Film]) -> Bundle:
    """A bundle whose model returns the labels of these films, in this order."""
    return Bundle(KnownCorners(films), CONFIG, MeanShape.fit(films, SLOTS), fitted_uncertainty())
