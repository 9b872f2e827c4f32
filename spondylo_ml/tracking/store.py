"""The tracking store: is it there, and which run do we write to."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from traceback import extract_tb
from urllib.parse import urlparse

import mlflow
import requests
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from spondylo_ml.errors import SpondyloError, TrackingError

PREFLIGHT_SECONDS = 5
RESUMED_FROM, RESUMED_AS = "resumed_from", "resumed_as"
FAILURE_TAG = "failure"


def preflight() -> str:
    """The URI of the store, once it has answered.

    Raises:
        TrackingError: it does not answer within a few seconds, or cannot be opened.
    """
    uri = mlflow.get_tracking_uri()
    advice = "Start the server, or set MLFLOW_TRACKING_URI (unset: a local mlflow.db)."
    if urlparse(uri).scheme in ("http", "https"):
        try:
            requests.get(f"{uri.rstrip('/')}/health", timeout=PREFLIGHT_SECONDS).raise_for_status()
        except requests.RequestException as error:
            raise TrackingError(f"the MLflow server {uri} does not answer ({type(error).__name__}). {advice}") from None
        return uri
    try:
        MlflowClient().search_experiments(max_results=1)
    except (MlflowException, OSError) as error:
        raise TrackingError(f"the MLflow store {uri} cannot be opened: {error}. {advice}") from None
    return uri


def get_run(run_id: str) -> Run:
    """A run of the store.

    Raises:
        TrackingError: there is none with this id.
    """
    try:
        return mlflow.get_run(run_id)
    except MlflowException:
        raise TrackingError(
            f"no run {run_id!r} in {mlflow.get_tracking_uri()}: copy the id from the run's page in the MLflow UI"
        ) from None


@contextmanager
def open_run(
    experiment: str, run_name: str, resumed_run_id: str | None = None, system_metrics: bool = False
) -> Iterator[str]:
    """The id of the run to write to: the one that `mlflow run` opened, the one that is resumed, or a new one.

    Under `mlflow run` a resumed training goes on in that new run; the two are linked by tags. An error leaves the
    run as failed, Ctrl-C as killed.
    """
    given = os.environ.get("MLFLOW_RUN_ID")
    if not given:
        mlflow.set_experiment(experiment)
    run_id = given or resumed_run_id
    active = mlflow.start_run(run_id=run_id, run_name=None if run_id else run_name, log_system_metrics=system_metrics)
    own_id = active.info.run_id
    if given:
        mlflow.set_tag("mlflow.runName", run_name)
    if resumed_run_id and resumed_run_id != own_id:
        mlflow.set_tag(RESUMED_FROM, resumed_run_id)
        MlflowClient().set_tag(resumed_run_id, RESUMED_AS, own_id)
    try:
        yield own_id
    except KeyboardInterrupt:
        mlflow.end_run("KILLED")
        raise
    except BaseException as error:
        mlflow.set_tag(FAILURE_TAG, failure_text(error)[:500])
        mlflow.end_run("FAILED")
        raise
    mlflow.end_run("FINISHED")


def _is_own(file: Path, package: Path) -> bool:
    """Whether code of this package, this module aside, through which every error of a run passes."""
    return file.is_relative_to(package) and file != Path(__file__)


def failure_text(error: BaseException) -> str:
    """What a run keeps of an error: our own message, or else its type and where in this package it arose.

    Messages of other libraries may hold the paths of films; the terminal shows them in full.
    """
    name = type(error).__name__
    if isinstance(error, SpondyloError):
        return f"{name}: {error.in_run()}"
    package = Path(__file__).resolve().parents[1]
    own = [frame for frame in extract_tb(error.__traceback__) if _is_own(Path(frame.filename), package)]
    if not own:
        return name
    return f"{name} in {Path(own[-1].filename).relative_to(package).as_posix()}, line {own[-1].lineno}"
