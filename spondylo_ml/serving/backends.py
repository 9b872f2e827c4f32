"""What computes a model's network: torch, or ONNX Runtime where the model has its network in ONNX too."""

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
    """The model that `which` names, ready for films.

    Args:
        digest: as `find_model`.

    Raises:
        ConfigError: no such backend, or its packages are not installed.
        TrackingError: no such version, alias or run, or the store cannot be reached, or has no digest of the model.
        DataError: not a model, its files are damaged or not those that the digest names, or it has no network in ONNX;
            says how to make one.
    """
    if backend not in BACKENDS:
        raise ConfigError(unknown_name("backend", backend, BACKENDS))
    if backend == "onnx":
        onnx_network.require_installed()
    found = find_model(which, digest)
    if backend == "torch":
        return FilmModel(found.bundle, found.name, batch_size=batch_size)
    network = read_network(found.folder, found.digest)
    if network is None:
        raise DataError(
            f"model {which} has no network in ONNX. Make a copy that has one, and give its folder as the model: "
            f"python -m spondylo_ml export-onnx --model {which} --to <new folder>"
        )
    bundle = onnx_network.with_onnx(found.bundle, network)
    return FilmModel(bundle, f"{found.name}, ONNX Runtime", onnx_network.COMPUTE, batch_size)
