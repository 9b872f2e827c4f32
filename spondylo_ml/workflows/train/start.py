"""`train` on the command line: a new run, a resumed run, or a cross-validation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spondylo_ml.config import TrainOptions
from spondylo_ml.serving.model_source import config_of_model
from spondylo_ml.tracking.resume import requested_training
from spondylo_ml.workflows.train.cross_validate import CrossValidation, cross_validate
from spondylo_ml.workflows.train.workflow import TrainResult, train


def train_as_requested(options: TrainOptions, overrides: Mapping[str, Any]) -> TrainResult | CrossValidation:
    """Train or resume a run or a cross-validation.

    Args:
        overrides: the values that the user has set, nested.

    Raises:
        SpondyloError: as `requested_training` and `train`.
    """
    training = requested_training(options, overrides, config_of_model)
    if training.is_cross_validation:
        return cross_validate(training.config, training.parent)
    return train(training.config, training.resume)
