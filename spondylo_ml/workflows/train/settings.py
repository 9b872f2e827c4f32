"""The settings of a training run as MLflow shows them: few, because MLflow puts all under every picture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mlflow

from spondylo_ml.config import Config, flatten
from spondylo_ml.config.differences import COMPARED, settings_text
from spondylo_ml.tracking.mlflow_log import log_params

MOST_DIFFERENCES = 2
"""Most parameters besides those of `COMPARED`: with more than fifteen in all, captions hide the pictures."""

AS_TAG = "preset"
"""Of `COMPARED`, what is a tag of the run."""

FOLD = "data.fold"
SETTINGS_TAG = "settings"
LONGEST_TAG = 5000


def log_settings(config: Config, differences: Mapping[str, Any], films: str = "") -> None:
    """Log the settings that everyone compares and those that differ from the recipe, to the active run.

    The whole configuration is the artefact `config.yaml`; the tag `settings` has all differences in a few words.

    Args:
        films: name of the dataset; empty where the films are not read yet.
    """
    values = flatten(config.model_dump(mode="json"))
    shown = [*(name for name in COMPARED if name != AS_TAG), *([FOLD] if config.data.fold is not None else [])]
    # The parameter `films` already says which films these are.
    others = sorted((name for name in differences if name not in shown), key=lambda name: name.startswith("data."))
    log_params({name: values[name] for name in [*shown, *others[:MOST_DIFFERENCES]]})
    if films:
        log_params({"films": films}, prefix="")
    mlflow.set_tag(SETTINGS_TAG, settings_text(differences)[:LONGEST_TAG] or "as the recipe")
