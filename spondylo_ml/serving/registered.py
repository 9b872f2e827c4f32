"""A model that MLflow fetched from its registry is held to the digest that the registered version carries.

MLflow gives a model's code no URI. It leaves `registered_model_meta` beside the model that it fetches by a `models:/`
URI, which says the version.
"""

from __future__ import annotations

import logging
from pathlib import Path

import mlflow
import yaml

from spondylo_ml.errors import DataError, TrackingError
from spondylo_ml.tracking.digests import digest_of_version, find_version
from spondylo_ml.tracking.reachable import require_store, store_name
from spondylo_ml.tracking.store_uri import sqlite_file

log = logging.getLogger(__name__)

ML_MODEL, REGISTERED = "MLmodel", "registered_model_meta"


def require_as_registered(bundle: Path, digest: str) -> None:
    """Raise `DataError` where the registry knows the version that was fetched by another digest.

    Where the store cannot be asked, as in a container without one, a warning says so.

    Args:
        bundle: the folder of the bundle within the logged model.
        digest: SHA-256 of its manifest.

    Raises:
        DataError: as above.
        TrackingError: the registry has no digest of the version.
    """
    root = next((folder for folder in bundle.parents if (folder / ML_MODEL).is_file()), None)
    if root is None or not (root / REGISTERED).is_file():
        return
    name, number = _version_in(root / REGISTERED)
    if not name or not number.isdigit():  # fetched by the id of the logged model: no version is meant
        return
    try:
        _require_store()
        version = find_version(name, number)
    except TrackingError as error:
        log.warning("%s version %s is not checked against the registry: %s", name, number, error)
        return
    kept = digest_of_version(version)
    if kept != digest:
        raise DataError(
            f"the files of {name} version {number} are not those that were registered (digest {digest[:12]}..., the "
            f"registry has {kept[:12]}...): they were changed after the training. Restore them, or promote another "
            "model"
        )


def _version_in(path: Path) -> tuple[str, str]:
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
        return str(tree["model_name"]), str(tree["model_version"])
    except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError):
        raise DataError(f"{path} does not say which registered version the model is: fetch the model again") from None


def _require_store() -> None:
    """Raise `TrackingError` where there is no store that answers; none is made by asking."""
    file = sqlite_file(mlflow.get_tracking_uri())
    if file is not None and not file.is_file():
        raise TrackingError(f"there is no store {store_name()}")
    require_store()
