"""Where a model is: the registry by alias or version, a run, or a folder."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import mlflow
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from spondylo_ml.errors import DataError, TrackingError
from spondylo_ml.serving.bundle import DESCRIPTION, Bundle, load_bundle

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


@dataclass(frozen=True)
class FoundModel:
    """A model and which it is.

    Attributes:
        name: for results and reports: the network, and the version, run or folder that an alias stood for.
        folder: where its files lie on this machine.
    """

    bundle: Bundle
    name: str
    folder: Path


def find_model(which: str) -> FoundModel:
    """The model that `which` names, in one of the `FORMS`.

    Raises:
        TrackingError: no such version, alias or run, or the store cannot be reached.
        DataError: not one of the forms, or the files are damaged.
    """
    folder = Path(which).expanduser()
    if folder.is_dir():
        return _loaded(folder, f"folder {folder.resolve().name}")
    uri, told = _resolved(which)
    return _loaded(_downloaded(uri, which), told)


def _resolved(which: str) -> tuple[str, str]:
    """The URI of a model that never changes, and how results say it."""
    if _RUN_ID.fullmatch(which):
        return f"runs:/{which}/{MODEL_NAME}", f"run {which}"
    if which.startswith("runs:/"):
        return which, f"run {which.removeprefix('runs:/').split('/')[0]}"
    if which.isdigit():
        which = f"models:/{REGISTERED_MODEL}/{which}"
    elif _ALIAS.fullmatch(which):
        which = f"models:/{REGISTERED_MODEL}@{which}"
    if by_alias := _BY_ALIAS.fullmatch(which):
        name, alias = by_alias.groups()
        version = _version_of(name, alias)
        return f"models:/{name}/{version}", f"{name} version {version} ({alias})"
    if by_version := _BY_VERSION.fullmatch(which):
        return which, f"{by_version[1]} version {by_version[2]}"
    if which.startswith("models:/"):
        return which, which.removeprefix("models:/")
    raise DataError(f"no model {which!r}: there is no such folder. Give {FORMS}")


def _version_of(name: str, alias: str) -> str:
    client = MlflowClient()
    try:
        return str(client.get_model_version_by_alias(name, alias).version)
    except (MlflowException, OSError):
        try:
            known = ", ".join(sorted(client.get_registered_model(name).aliases)) or "none"
        except (MlflowException, OSError):
            raise TrackingError(
                f"no registered model {name!r} in {mlflow.get_registry_uri()}; give {FORMS}, "
                "or set MLFLOW_TRACKING_URI to the store that has it"
            ) from None
        raise TrackingError(f"{name} has no alias {alias!r}; its aliases: {known}") from None


def _downloaded(uri: str, which: str) -> Path:
    try:
        return Path(mlflow.artifacts.download_artifacts(uri))
    except (MlflowException, OSError) as error:
        first = str(error).splitlines()[0]
        raise TrackingError(f"no model {which!r} in {mlflow.get_tracking_uri()}: {first}") from None


def _loaded(folder: Path, told: str) -> FoundModel:
    places = sorted({path.parent for path in folder.rglob(DESCRIPTION)})
    if len(places) != 1:
        where = "no" if not places else "more than one"
        raise DataError(f"{folder} holds {where} {DESCRIPTION}: give the folder of one model")
    bundle = load_bundle(places[0])
    return FoundModel(bundle, f"{bundle.config.model.name}, {told}", places[0])
