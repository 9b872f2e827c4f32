"""The limit below which the starter model refuses films, and how its refusals are counted."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from builders import plain_film, square
from torch import Tensor

from spondylo_ml.config import Config
from spondylo_ml.data.batches import FilmBatch
from spondylo_ml.data.conditions import NOT_LUMBAR
from spondylo_ml.evaluation.mean_shape import MeanShape
from spondylo_ml.evaluation.prediction_set import PredictionSet
from spondylo_ml.landmarks import Film, SlotRange
from spondylo_ml.models.base import LandmarkModel, Landmarks
from spondylo_ml.serving.bundle import Bundle
from spondylo_ml.serving.predictor import Predictor
from starter.build import OTHERS_PER_KIND, refusing

SLOTS = SlotRange(0, 2)


class ChequerFinder(LandmarkModel):
    """Finds two vertebrae on every film, definite ones on the chequered films of `lumbar` alone."""

    def __init__(self) -> None:
        super().__init__(SLOTS)

    def losses(self, batch: FilmBatch) -> dict[str, Tensor]:
        raise NotImplementedError

    def predict(self, images: Tensor) -> Landmarks:
        chequered = images.float().std(dim=(1, 2, 3)) > 120
        share = torch.where(chequered, 0.9, 0.1)[:, None, None].expand(-1, 2, 4)
        return Landmarks(torch.zeros(len(images), 2, 4, 2), share, torch.ones(len(images), 2))


def lumbar(count: int) -> tuple[Film, ...]:
    chequered = np.kron(np.indices((8, 8)).sum(axis=0) % 2, np.full((8, 8), 255)).astype(np.uint8)
    spine = (square(0, 5, 30), square(1, 5, 5))
    return tuple(plain_film(f"film-{index}", spine, (64, 64), pixels=chequered) for index in range(count))


def calibrated(count: int) -> Bundle:
    films = lumbar(count)
    config = Config.model_validate({"training": {"epochs": 1}, "data": {"input_hw": [64, 64]}})
    bundle = Bundle(ChequerFinder(), config, MeanShape.fit(films, SLOTS))
    return refusing(bundle, PredictionSet(films, Predictor(bundle).predict(films)))


def test_the_limit_lies_between_lumbar_films_and_others_which_are_all_refused() -> None:
    """1.8 definite vertebrae on each lumbar film, 0.2 on each other one."""
    refusal = calibrated(100).refusal
    assert refusal is not None
    assert refusal.least_vertebrae == pytest.approx(1.0)
    assert (refusal.n_films, refusal.n_refused) == (100, 0)
    assert refusal.n_others == refusal.n_others_refused == OTHERS_PER_KIND * len(NOT_LUMBAR)


def test_with_too_few_films_nothing_is_refused() -> None:
    assert calibrated(30).refusal is None
