"""Experiment tracking for vertebral corners and spondylolisthesis on lateral radiographs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spondylo_ml.serving.film_model import FilmModel

__version__ = "0.1.0"


def load(model: str = "champion", batch_size: int = 8) -> FilmModel:
    """A trained model, ready for films: `load("champion").predict(["film.dcm"])`.

    Args:
        model: an alias (`champion`) or version of the registered model, `models:/<name>@<alias>`,
            `models:/<name>/<version>`, `runs:/<run id>/model`, a run id, or the folder of a model.
        batch_size: films that the network sees at once.

    Raises:
        TrackingError: no such version, alias or run in the store that MLFLOW_TRACKING_URI names.
        DataError: the model's files are missing, damaged or of another format.
    """
    from spondylo_ml.serving.film_model import FilmModel  # slow: torch and mlflow
    from spondylo_ml.serving.model_source import find_model

    found = find_model(model)
    return FilmModel(found.bundle, found.name, batch_size=batch_size)
