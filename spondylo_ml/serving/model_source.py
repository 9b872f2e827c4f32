"""Load the starter model, a model from the registry by alias or version, from a run, or from a folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
from mlflow.exceptions import MlflowException

from spondylo_ml.errors import DataError, TrackingError, first_line
from spondylo_ml.serving.bundle import Bundle, bundle_digest, load_bundle, read_model_json
from spondylo_ml.serving.local_model import DESCRIPTION, local_model, only_model
from spondylo_ml.serving.model_address import model_address
from spondylo_ml.tracking.store_check import store_name


@dataclass(frozen=True)
class LoadedModel:
    """A model with its name and location.

    Attributes:
        name: for results and reports: the network, and the version, run or folder that it was loaded from.
        folder: folder of its files on this machine.
        digest: SHA-256 of its manifest.
    """

    bundle: Bundle
    name: str
    folder: Path
    digest: str


def find_model(which: str, digest: str | None = None) -> LoadedModel:
    """The model that `which` names, in one of the `FORMS`.

    A model from the registry or a run must have the digest that the store keeps, the starter model the one that its
    origin states; a folder is only checked against its manifest, unless a digest is given.

    Args:
        digest: SHA-256 of the model's manifest, if the caller knows it.

    Raises:
        TrackingError: no such version, alias or run, the store cannot be reached, or has no digest of the model.
        DataError: not one of the forms, the files are damaged, or are not those that the digest names.
    """
    local = local_model(which)
    if local is not None:
        return _loaded(local.folder, local.name, digest or local.digest)
    address = model_address(which)
    files = _downloaded(address.uri, which)
    return _loaded(files, address.name, address.digest() if digest is None else digest)


def model_folder(which: str) -> Path:
    """The folder of a model's files on this machine; the files are not checked.

    Raises:
        TrackingError, DataError: see `find_model`, except for errors in the files.
    """
    local = local_model(which)
    return only_model(_downloaded(model_address(which).uri, which) if local is None else local.folder)


def config_of_model(which: str) -> Mapping[str, Any]:
    """The configuration of the model that `which` names, as JSON values; it is not checked against its digest.

    Raises:
        TrackingError, DataError: see `find_model`.
    """
    folder = only_model(model_folder(which))
    config = read_model_json(folder, DESCRIPTION).get("config")
    if not isinstance(config, Mapping) or not {"model", "data"} <= config.keys():
        raise DataError(f"{folder}: {DESCRIPTION} has no configuration of a model")
    return config


def _downloaded(uri: str, which: str) -> Path:
    try:
        return Path(mlflow.artifacts.download_artifacts(uri))
    except (MlflowException, OSError) as error:
        raise TrackingError(f"no model {which!r} in {store_name()}: {first_line(error)}") from None


def _loaded(folder: Path, name: str, digest: str | None) -> LoadedModel:
    place = only_model(folder)
    checked = digest or bundle_digest(place)
    bundle = load_bundle(place, checked)
    return LoadedModel(bundle, f"{bundle.config.model.name}, {name}", place, checked)
