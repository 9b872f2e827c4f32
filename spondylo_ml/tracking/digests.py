"""The digest of a model in the tracking store, by which its files can be verified wherever they come from.

The digest is the SHA-256 of the model's manifest, which contains those of all its files. A training run logs it as a
tag, a promotion as a tag of the registered version. Changing a model's files does not change these tags.
"""

from __future__ import annotations

import re

import mlflow
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from spondylo_ml.errors import TrackingError
from spondylo_ml.tracking.store import get_run
from spondylo_ml.tracking.store_uri import uri_without_password

BUNDLE_DIGEST = "bundle_digest"
"""Tag of runs and of registered versions."""

_SHA256 = re.compile(r"[0-9a-f]{64}")


def digest_of_run(run_id: str) -> str:
    """The digest that the run logged for its model.

    Raises:
        TrackingError: there is no such run, or it logged no digest.
    """
    return _digest(get_run(run_id).data.tags, f"run {run_id}")


def digest_of_version(version: ModelVersion) -> str:
    """The digest in the version's tag or, for a version registered by hand, the one that its run logged.

    Raises:
        TrackingError: neither has a digest, or the two differ.
    """
    name = f"{version.name} version {version.version}"
    if BUNDLE_DIGEST not in version.tags and version.run_id:
        return digest_of_run(version.run_id)
    return _digest(version.tags, name)


def require_same_digest(version: ModelVersion, digest: str) -> None:
    """Raise `TrackingError` if the version has another digest than its run."""
    registered = version.tags.get(BUNDLE_DIGEST, digest)
    if registered != digest:
        raise TrackingError(
            f"{version.name} version {version.version} was registered with the digest {registered[:12]}..., its run "
            f"{version.run_id} now has {digest[:12]}...: one of the tags {BUNDLE_DIGEST} was changed. Nothing "
            "is promoted until you have found out which one"
        )


def find_version(name: str, number: str) -> ModelVersion:
    """A version of a registered model.

    Raises:
        TrackingError: there is no such version.
    """
    try:
        return MlflowClient().get_model_version(name, number)
    except (MlflowException, OSError):
        raise TrackingError(
            f"no version {number} of a registered model {name!r} in {uri_without_password(mlflow.get_registry_uri())}"
        ) from None


def _digest(tags: dict[str, str], where: str) -> str:
    digest = tags.get(BUNDLE_DIGEST, "")
    if not _SHA256.fullmatch(digest):
        tag = f"{digest!r} as the digest" if digest else "no digest"
        raise TrackingError(
            f"{where} has {tag} of its model (tag {BUNDLE_DIGEST}): its files cannot be verified. If you trust "
            "them, give predict --digest <SHA-256 of their manifest.json>, or set that tag to it"
        )
    return digest
