"""Open a model with a backend for its network: torch, or ONNX Runtime if the model contains its network in ONNX."""

from __future__ import annotations

from spondylo_ml.config import Backend
from spondylo_ml.errors import ConfigError, DataError, unknown_name
from spondylo_ml.serving import onnx_network
from spondylo_ml.serving.bundle import read_network
from spondylo_ml.serving.film_model import BATCH_SIZE, FilmModel
from spondylo_ml.serving.model_source import find_model

BACKENDS: tuple[Backend, ...] = ("torch", "onnx")


def open_model(
    which: str, backend: Backend = "torch", batch_size: int = BATCH_SIZE, digest: str | None = None
) -> FilmModel:
    """The model that `which` names, ready to predict films.

    Args:
        digest: see `find_model`.

    Raises:
        ConfigError: unknown backend, or its packages are not installed.
        TrackingError: no such version, alias or run; the store cannot be reached, or has no digest of the model.
        DataError: not a model, damaged files, files that do not match the digest, or no network in ONNX.
    """
    if backend not in BACKENDS:
        raise ConfigError(unknown_name("backend", backend, BACKENDS))
    if backend == "onnx":
        onnx_network.require_installed()
    loaded = find_model(which, digest)
    if backend == "torch":
        return FilmModel(loaded.bundle, loaded.name, batch_size=batch_size, digest=loaded.digest)
    network = read_network(loaded.folder, loaded.digest)
    if network is None:
        raise DataError(
            f"model {which} has no network in ONNX. Make a copy that has one, and give its folder as the model: "
            f"python -m spondylo_ml export-onnx --model {which} --to <new folder>"
        )
    bundle = onnx_network.with_onnx(loaded.bundle, network)
    return FilmModel(bundle, f"{loaded.name}, ONNX Runtime", onnx_network.COMPUTE, batch_size, digest=loaded.digest)
