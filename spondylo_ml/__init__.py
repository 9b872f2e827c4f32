"""Experiment tracking for vertebral corners and spondylolisthesis on lateral radiographs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spondylo_ml.version import __version__

if TYPE_CHECKING:
    from spondylo_ml.config import Backend
    from spondylo_ml.serving.film_model import FilmModel

__all__ = ["__version__", "load"]


def load(
    model: str = "champion", batch_size: int = 8, backend: Backend = "torch", digest: str | None = None
) -> FilmModel:
    """A trained model, ready for films: `load("champion").predict(["film.dcm"])`.

    Args:
        model: an alias (`champion`) or version of the registered model, `models:/<name>@<alias>`,
            `models:/<name>/<version>`, `runs:/<run id>/model`, a run id, or the folder of a model.
        batch_size: films that the network sees at once.
        backend: what computes the network: `torch`, or `onnx` for a folder that `export-onnx` has written.
        digest: SHA-256 of the model's manifest.json: nothing else is loaded. The registry and runs keep it of their
            models; of a folder only the caller can know it.

    Raises:
        ConfigError: no such backend, or its packages are not installed.
        TrackingError: no such version, alias or run in the store that MLFLOW_TRACKING_URI names, or no digest of it.
        DataError: the model's files are missing, damaged, of another format or not those that the digest names, or it
            has no network in ONNX.
    """
    from spondylo_ml.serving.backends import open_model  # slow: torch and mlflow

    return open_model(model, backend, batch_size, digest)
