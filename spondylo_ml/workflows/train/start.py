"""`train` on the command line: a new run, a resumed run, or a cross-validation."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from spondylo_ml.config import Config, TrainOptions
from spondylo_ml.config.paths import expanded
from spondylo_ml.serving.model_address import run_id_of_model
from spondylo_ml.serving.model_source import config_of_model
from spondylo_ml.tracking.resume import requested_training
from spondylo_ml.workflows.train.cross_validate import CrossValidation, cross_validate
from spondylo_ml.workflows.train.processes import leading
from spondylo_ml.workflows.train.workflow import TrainResult, train

log = logging.getLogger(__name__)


def train_as_requested(options: TrainOptions, overrides: Mapping[str, Any]) -> TrainResult | CrossValidation:
    """Train or resume a run or a cross-validation, together with the other processes that torchrun started.

    Args:
        overrides: the values that the user has set, nested.

    Raises:
        SpondyloError: as `requested_training` and `train`.
    """
    training = requested_training(options, overrides, config_of_model)
    config = with_run_id(training.config)
    if options.print_config:
        log.info("%s", yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False))
    with leading():
        if training.is_cross_validation:
            return cross_validate(config, training.parent)
        return train(config, training.resume)


def with_run_id(config: Config) -> Config:
    """The configuration with the id of the run whose model `model.pretrained` names otherwise.

    What the run records must name the same model later, when another run is the latest.

    Raises:
        TrackingError: see `run_id_of_model`.
    """
    which = config.model.starting_model
    if which is None or expanded(Path(which)).is_dir() or (run_id := run_id_of_model(which)) is None:
        return config
    return config.model_copy(update={"model": config.model.model_copy(update={"pretrained": run_id})})
