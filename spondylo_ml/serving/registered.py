"""Check a model that MLflow fetched from its registry against the digest of the registered version.

The code of a model cannot see the URI from which MLflow loaded it. For a `models:/` URI, MLflow writes
`registered_model_meta` beside the model, which contains the version.
"""

from __future__ import annotations

import logging
from pathlib import Path

import mlflow
import yaml

from spondylo_ml.errors import DataError, TrackingError
from spondylo_ml.tracking.digests import digest_of_version, find_version
from spondylo_ml.tracking.store_check import require_store, store_name
from spondylo_ml.tracking.store_uri import sqlite_file

log = logging.getLogger(__name__)

ML_MODEL, REGISTERED = "MLmodel", "registered_model_meta"


def require_as_registered(bundle: Path, digest: str) -> None:
    """Raise if the registered version has another digest; warn if the store cannot be reached, as in a container.

    Args:
        bundle: the folder of the bundle within the logged model.
        digest: SHA-256 of its manifest.

    Raises:
        DataError: the digests differ.
        TrackingError: the registry has no digest of the version.
    """
    root = next((folder for folder in bundle.parents if (folder / ML_MODEL).is_file()), None)
    if root is None or not (root / REGISTERED).is_file():
        return
    name, number = _version_in(root / REGISTERED)
    if not name or not number.isdigit():  # fetched by the id of the logged model, which is no version
        return
    try:
        _require_store()
        version = find_version(name, number)
    except TrackingError as error:
        log.warning("%s version %s is not checked against the registry: %s", name, number, error)
        return
    registered_digest = digest_of_version(version)
    if registered_digest != digest:
        raise DataError(
            f"the files of {name} version {number} are not those that were registered (digest {digest[:12]}..., the "
            f"registry has {registered_digest[:12]}...): they were changed after training. Restore them, or promote "
            "another model"
        )


def _version_in(path: Path) -> tuple[str, str]:
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
        return str(tree["model_name"]), str(tree["model_version"])
    except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError):
        raise DataError(f"{path} does not say which registered version the model is: fetch the model again") from None


def _require_store() -> None:
    """Raise `TrackingError` if the store does not answer; never creates a store."""
    file = sqlite_file(mlflow.get_tracking_uri())
    if file is not None and not file.is_file():
        raise TrackingError(f"there is no store {store_name()}")
    require_store()
