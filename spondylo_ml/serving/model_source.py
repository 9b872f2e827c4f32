"""Where a model is: the registry by alias or version, a run, or a folder."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import mlflow
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from spondylo_ml.errors import DataError, TrackingError
from spondylo_ml.serving.bundle import DESCRIPTION, Bundle, bundle_digest, load_bundle
from spondylo_ml.tracking.digests import digest_of_run, digest_of_version, find_version
from spondylo_ml.tracking.reachable import store_name
from spondylo_ml.tracking.store_uri import shown

REGISTERED_MODEL = "spondylo-landmarks"
MODEL_NAME = "model"
"""What a run calls the model that it logs."""

FORMS = (
    f"an alias or version of {REGISTERED_MODEL} (champion, 3), models:/<name>@<alias>, models:/<name>/<version>, "
    f"runs:/<run id>/{MODEL_NAME}, a run id, or a folder with a {DESCRIPTION}"
)
_RUN_ID, _ALIAS = re.compile(r"[0-9a-f]{32}"), re.compile(r"[A-Za-z][\w-]*")
_BY_ALIAS = re.compile(r"models:/([^/@]+)@(.+)")
_BY_VERSION = re.compile(r"models:/([^/@]+)/(\d+)")
_BY_ID = re.compile(r"models:/(m-[0-9a-f]+)")


@dataclass(frozen=True)
class FoundModel:
    """A model and which it is.

    Attributes:
        name: for results and reports: the network, and the version, run or folder that an alias stood for.
        folder: where its files lie on this machine.
        digest: SHA-256 of its manifest.
    """

    bundle: Bundle
    name: str
    folder: Path
    digest: str


@dataclass(frozen=True)
class _Resolved:
    """A model of the store that never changes.

    Attributes:
        told: how results say it.
        digest: asks the store for what it keeps of the model.
    """

    uri: str
    told: str
    digest: Callable[[], str]


def find_model(which: str, digest: str | None = None) -> FoundModel:
    """The model that `which` names, in one of the `FORMS`.

    A model from the registry or a run must have the digest that the store keeps of it; a folder is checked against its
    own manifest alone, unless a digest is given.

    Args:
        digest: SHA-256 of the model's manifest, where the caller knows it.

    Raises:
        TrackingError: no such version, alias or run, the store cannot be reached, or has no digest of the model.
        DataError: not one of the forms, the files are damaged, or are not those that the digest names.
    """
    folder = Path(which).expanduser()
    if folder.is_dir():
        return _loaded(folder, f"folder {folder.resolve().name}", digest)
    found = _resolved(which)
    files = _downloaded(found.uri, which)
    kept = found.digest() if digest is None else digest
    return _loaded(files, found.told, kept)


def model_folder(which: str) -> Path:
    """Where the files of a model lie on this machine, unchecked.

    Raises:
        TrackingError, DataError: as `find_model`, but for what the files are.
    """
    folder = Path(which).expanduser()
    return only_model(folder if folder.is_dir() else _downloaded(_resolved(which).uri, which))


def _resolved(which: str) -> _Resolved:
    if _RUN_ID.fullmatch(which):
        which = f"runs:/{which}/{MODEL_NAME}"
    if which.startswith("runs:/"):
        run_id = which.removeprefix("runs:/").split("/")[0]
        return _Resolved(which, f"run {run_id}", partial(digest_of_run, run_id))
    if which.isdigit():
        which = f"models:/{REGISTERED_MODEL}/{which}"
    elif _ALIAS.fullmatch(which):
        which = f"models:/{REGISTERED_MODEL}@{which}"
    if by_alias := _BY_ALIAS.fullmatch(which):
        name, alias = by_alias.groups()
        version = _version_of(name, alias)
        number = str(version.version)
        return _Resolved(
            f"models:/{name}/{number}", f"{name} version {number} ({alias})", partial(digest_of_version, version)
        )
    if by_version := _BY_VERSION.fullmatch(which):
        name, number = by_version.groups()
        return _Resolved(which, f"{name} version {number}", lambda: digest_of_version(find_version(name, number)))
    if by_id := _BY_ID.fullmatch(which):
        return _Resolved(which, by_id[1], lambda: digest_of_run(_run_of(by_id[1])))
    raise DataError(f"no model {which!r}: there is no such folder. Give {FORMS}")


def _run_of(model_id: str) -> str:
    try:
        return str(MlflowClient().get_logged_model(model_id).source_run_id or "")
    except (MlflowException, OSError) as error:
        raise TrackingError(f"no model {model_id!r} in {store_name()} ({type(error).__name__})") from None


def _version_of(name: str, alias: str) -> ModelVersion:
    client = MlflowClient()
    try:
        return client.get_model_version_by_alias(name, alias)
    except (MlflowException, OSError):
        try:
            known = ", ".join(sorted(client.get_registered_model(name).aliases)) or "none"
        except (MlflowException, OSError):
            raise TrackingError(
                f"no registered model {name!r} in {shown(mlflow.get_registry_uri())}; give {FORMS}, "
                "or set MLFLOW_TRACKING_URI to the store that has it"
            ) from None
        raise TrackingError(f"{name} has no alias {alias!r}; its aliases: {known}") from None


def _downloaded(uri: str, which: str) -> Path:
    try:
        return Path(mlflow.artifacts.download_artifacts(uri))
    except (MlflowException, OSError) as error:
        first = str(error).splitlines()[0]
        raise TrackingError(f"no model {which!r} in {store_name()}: {first}") from None


def only_model(folder: Path) -> Path:
    """The folder in it, or itself, that holds a model.

    Raises:
        DataError: there is none, or more than one.
    """
    places = sorted({path.parent for path in folder.rglob(DESCRIPTION)})
    if len(places) != 1:
        where = "no" if not places else "more than one"
        raise DataError(f"{folder} holds {where} {DESCRIPTION}: give the folder of one model")
    return places[0]


def _loaded(folder: Path, told: str, digest: str | None) -> FoundModel:
    place = only_model(folder)
    found = digest or bundle_digest(place)
    bundle = load_bundle(place, found)
    return FoundModel(bundle, f"{bundle.config.model.name}, {told}", place, found)
