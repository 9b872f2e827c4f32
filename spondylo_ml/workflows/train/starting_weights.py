"""The weights from which a training run starts: random, ImageNet's, those of a file, or those of a trained model."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from spondylo_ml.config.network import ModelConfig
from spondylo_ml.landmarks import Film
from spondylo_ml.models.base import LandmarkModel
from spondylo_ml.models.pretrained import load_pretrained
from spondylo_ml.models.starting_weights import start_from
from spondylo_ml.serving.model_source import find_model
from spondylo_ml.workflows.shared.training_films import seen_by_model

log = logging.getLogger(__name__)

FEWEST_FILMS_FOR_SHAPES = 50
"""With fewer training films, a model keeps the shapes of vertebrae that the model which it goes on from has learned."""


def load_starting_weights(model: LandmarkModel, config: ModelConfig) -> str:
    """Load the configured weights and return their source, which is also stored in `model.pretrained`.

    Raises:
        ConfigError: the weights are required and not available, or do not fit the network or its levels.
        TrackingError, DataError: no such model to go on from, or its files are damaged.
    """
    if config.starting_model is None:
        return load_pretrained(model, config)
    source = find_model(config.starting_model)
    start_from(model, source.bundle.model.state_dict(), source.bundle.slots, source.name)
    model.pretrained = f"model {source.name}, digest {source.digest}"
    log.info("training goes on from %s", model.pretrained)
    return model.pretrained


def warn_of_films_seen(which: str | None, val: Sequence[Film]) -> None:
    """Warn if the model that training goes on from was trained on validation films."""
    if which is not None and (seen := seen_by_model(which, val)):
        log.warning(
            "%d of the %d validation films are of patients on whom the model that training goes on from was trained: "
            "the validation error is too low; take other films, synthetic ones by data.phantom_seed", seen, len(val)
        )  # fmt: skip
