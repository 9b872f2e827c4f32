"""Small models: a real network without training, and one that knows the corners."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
import torch
from builders import prediction_of
from torch import Tensor
from uncertain_films import films_with_noise

from spondylo_ml.config import Config, resolve_config
from spondylo_ml.config.network import MODEL_NAMES
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
"""How far one film's corners may differ between batches of other sizes, whose sums are rounded in another order."""
CONFIG = Config.model_validate(
    {
        "training": {"epochs": 1},
        "data": {"input_hw": list(INPUT_HW)},
        "uncertainty": {"samples": 100},
    }
)


RECIPES = [
    (name, preset)
    for name in MODEL_NAMES
    for preset in PRESETS
    if (name, preset) != ("keypoint_rcnn", "document")  # the document gives no recipe for it
]


@cache
def calibrated() -> UncertaintyModel:
    """Uncertainty fitted on synthetic noise."""
    return uncertainty.calibrate(PredictionSet(*films_with_noise(60, 1)), CONFIG.clinical, CONFIG.uncertainty).model


def unet_bundle() -> Bundle:
    """A U-Net of random weights that has seen two films and whose presence head says that every vertebra is there."""
    torch.manual_seed(0)
    model = build_model(CONFIG, SLOTS)
    films = phantom_films(2, 3, 96).films
    (batch,) = plain_loader(prepare_films(films, SLOTS, INPUT_HW), len(films))
    _settle(model, batch)
    return Bundle(model.eval(), CONFIG, MeanShape.fit(films, SLOTS), calibrated())


def made_bundle(name: str, side_px: int = 64, steps: int = 0) -> Bundle:
    """A network of random weights that has seen a few films, so that its batch norm knows the size of its features.

    Of the quick recipe, which is what one trains first; its presence head says that every vertebra is there. A few
    `steps` of training on those films give its maps the definite peaks, and its vertebrae the bodies of their own, that
    random weights do not.
    """
    torch.manual_seed(0)
    config = resolve_config(
        {
            "preset": "quick",
            "model": {"name": name},
            "data": {"input_hw": [side_px, side_px]},
            "training": {"precision": "fp32"},
        }
    )
    model = build_model(config, SLOTS)
    films = phantom_films(8, 3, 96).films
    (batch,) = plain_loader(prepare_films(films, SLOTS, (side_px, side_px)), len(films))
    if steps:
        _train(model, batch, steps)
    _settle(model, batch)
    return Bundle(model.eval(), config, MeanShape.fit(films, SLOTS))


@torch.no_grad()
def _settle(model: LandmarkModel, batch: FilmBatch) -> None:
    """Let batch norm know the size of the features, and the presence head say that every vertebra is there.

    Without the first, maps of random weights are so flat that the processor's rounding, which differs with the batch's
    size, moves corners by hundredths of a px.
    """
    if not isinstance(model, HeatmapModel):
        return
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None  # the mean over what was seen, not a running one that starts at 0
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
    """Gives the labels of the films in their order, whatever the pixels show."""

    def __init__(self, films: Sequence[Film]) -> None:
        super().__init__(SLOTS)
        self._films, self._at = films, 0

    def losses(self, batch: FilmBatch) -> dict[str, Tensor]:
        raise NotImplementedError

    def predict(self, images: Tensor) -> Landmarks:
        films = self._films[self._at : self._at + len(images)]
        self._at += len(images)
        exact = [prediction_of(film, SLOTS) for film in films]
        corners = np.stack(
            [Letterbox(film.size_hw, INPUT_HW).to_input(one.corners_xy) for film, one in zip(films, exact, strict=True)]
        )
        shape = corners.shape[:3]
        return Landmarks(
            torch.from_numpy(corners),
            torch.ones(shape),
            torch.from_numpy(np.stack([one.presence for one in exact])),
            covariance_px2=0.04 * torch.eye(2).expand(*shape, 2, 2),
            heat_share=torch.full(shape, 0.9),
        )


def knowing_bundle(films: Sequence[Film]) -> Bundle:
    """A model that is right on these films, in this order."""
    return Bundle(KnownCorners(films), CONFIG, MeanShape.fit(films, SLOTS), calibrated())
