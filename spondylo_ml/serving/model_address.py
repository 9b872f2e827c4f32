"""Resolve the name of a model in the store to its address, without loading it; others are in `local_model`."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import mlflow
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from spondylo_ml.config.references import LATEST, is_whole_id
from spondylo_ml.errors import DataError, TrackingError
from spondylo_ml.serving.local_model import DESCRIPTION, STARTER, local_model
from spondylo_ml.tracking.digests import digest_of_run, digest_of_version, find_version
from spondylo_ml.tracking.logged_models import logged_model
from spondylo_ml.tracking.run_names import find_run, run_or_none
from spondylo_ml.tracking.store_check import store_name
from spondylo_ml.tracking.store_uri import uri_without_password

REGISTERED_MODEL = "spondylo-landmarks"
MODEL_NAME = "model"
"""Name of a run's model in an address, whatever the model is called in MLflow."""

FORMS = (
    f"{STARTER}, an alias or version of {REGISTERED_MODEL} (champion, 3), models:/<name>@<alias>, "
    f"models:/<name>/<version>, runs:/<run id>/{MODEL_NAME}, a run (its id or first digits, its name, or {LATEST}), "
    f"or a folder with a {DESCRIPTION}"
)
_ALIAS, _ADDRESS = re.compile(r"[A-Za-z][\w-]*"), re.compile(r"(runs|models):/")
_BY_ALIAS = re.compile(r"models:/([^/@]+)@(.+)")
_BY_VERSION = re.compile(r"models:/([^/@]+)/(\d+)")
_BY_ID = re.compile(r"models:/(m-[0-9a-f]+)")


@dataclass(frozen=True)
class ModelAddress:
    """The immutable address of a model in the store.

    Attributes:
        name: name of the model in results.
        digest: fetches the model's digest from the store.
    """

    uri: str
    name: str
    digest: Callable[[], str]


def model_address(which: str) -> ModelAddress:
    """The model that `which` currently names, in one of the `FORMS` except those of `local_model`.

    Raises:
        TrackingError: no such alias, or the store cannot be reached.
        DataError: not one of the forms.
    """
    run_id = run_id_of_model(which)
    if run_id is not None:
        which = f"runs:/{run_id}/{MODEL_NAME}"
    if which.startswith("runs:/"):
        run_id, _, name = which.removeprefix("runs:/").partition("/")
        uri = model_uri_of_run(run_id) if name == MODEL_NAME else which
        return ModelAddress(uri, f"run {run_id}", partial(digest_of_run, run_id))
    if which.isdigit():
        which = f"models:/{REGISTERED_MODEL}/{which}"
    elif _ALIAS.fullmatch(which):
        which = f"models:/{REGISTERED_MODEL}@{which}"
    if by_alias := _BY_ALIAS.fullmatch(which):
        name, alias = by_alias.groups()
        version = _version_of(name, alias)
        number = str(version.version)
        return ModelAddress(
            f"models:/{name}/{number}", f"{name} version {number} ({alias})", partial(digest_of_version, version)
        )
    if by_version := _BY_VERSION.fullmatch(which):
        name, number = by_version.groups()
        return ModelAddress(which, f"{name} version {number}", lambda: digest_of_version(find_version(name, number)))
    if by_id := _BY_ID.fullmatch(which):
        return ModelAddress(which, by_id[1], lambda: digest_of_run(_run_of(by_id[1])))
    raise DataError(f"no model {which!r}: there is no such folder. Give {FORMS}")


def run_id_of_model(which: str) -> str | None:
    """Id of the run whose model is named: by the id, its first digits, the run's name, or `latest`.

    None for a name of another form. An alias or a version of that name comes first.

    Raises:
        TrackingError: more than one run has this name, or there is no latest one.
    """
    if is_whole_id(which):
        return which
    if which == LATEST:
        return str(find_run(which).info.run_id)
    if which == STARTER or _ADDRESS.match(which) or _is_registered(which):
        return None
    run = run_or_none(which)
    return None if run is None else str(run.info.run_id)


def training_run_of_model(which: str) -> str | None:
    """Id of the run that trained a model, named in one of the `FORMS`; None for a local model, or if nothing says it.

    Raises:
        TrackingError, DataError: see `model_address`.
    """
    if local_model(which) is not None:
        return None
    if (run_id := run_id_of_model(which)) is not None:
        return run_id
    uri = model_address(which).uri
    if by_version := _BY_VERSION.fullmatch(uri):
        return str(find_version(*by_version.groups()).run_id or "") or None
    if by_id := _BY_ID.fullmatch(uri):
        return _run_of(by_id[1]) or None
    return uri.removeprefix("runs:/").partition("/")[0] if uri.startswith("runs:/") else None


def _is_registered(which: str) -> bool:
    """Whether the text is an alias or a version of the registered model."""
    client = MlflowClient()
    try:
        if which.isdigit():
            client.get_model_version(REGISTERED_MODEL, which)
        else:
            client.get_model_version_by_alias(REGISTERED_MODEL, which)
    except (MlflowException, OSError):
        return False
    return True


def model_uri_of_run(run_id: str) -> str:
    """The address of the model that a run logged, whatever it is called."""
    model_id = model_id_of_run(run_id)
    return f"models:/{model_id}" if model_id else f"runs:/{run_id}/{MODEL_NAME}"


def model_id_of_run(run_id: str) -> str | None:
    """MLflow's id of the model that a run logged, see `logged_model`; None if there is none."""
    try:
        model = logged_model(MlflowClient().get_run(run_id))
    except MlflowException:
        return None
    return None if model is None else str(model.model_id)


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
            aliases = ", ".join(sorted(client.get_registered_model(name).aliases)) or "none"
        except (MlflowException, OSError):
            raise TrackingError(
                f"no registered model {name!r} in {uri_without_password(mlflow.get_registry_uri())}; give {FORMS}, "
                "or set MLFLOW_TRACKING_URI to the store that has it"
            ) from None
        raise TrackingError(f"{name} has no alias {alias!r}; its aliases: {aliases}") from None
