"""Runs and experiments of the tracking store: find, check and open them."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlparse

import mlflow
from mlflow.entities import Experiment, LifecycleStage, Run
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from spondylo_ml.config.experiments import EXPERIMENT
from spondylo_ml.errors import DataError, TrackingError
from spondylo_ml.folders import require_writable
from spondylo_ml.tracking.experiments import prepare_experiment
from spondylo_ml.tracking.outcome import OPEN, clear_outcome, record_error, record_stop
from spondylo_ml.tracking.reachable import store_name
from spondylo_ml.tracking.run_process import process_tags
from spondylo_ml.tracking.store_uri import database_url

log = logging.getLogger(__name__)

COMMAND_TAG = "command"
RESUMED_FROM, RESUMED_AS = "resumed_from", "resumed_as"
PARENT_TAG, DESCRIPTION_TAG = "mlflow.parentRunId", "mlflow.note.content"
"""Tags by which MLflow nests runs and describes them on their pages."""


def get_run(run_id: str) -> Run:
    """The run of this id.

    Raises:
        TrackingError: the store has no such run.
    """
    try:
        return mlflow.get_run(run_id)
    except MlflowException:
        raise TrackingError(
            f"no run {run_id!r} in {store_name()}: copy the id from the run's page in the MLflow UI"
        ) from None


def is_run(run_id: str) -> bool:
    """Whether the store has a run with this id."""
    try:
        mlflow.get_run(run_id)
    except MlflowException:
        return False
    return True


def chosen_experiment(requested: str | None, default: str) -> str:
    """Name of the experiment to write to: `requested`, that of `MLFLOW_EXPERIMENT_NAME` or `_ID`, or `default`.

    Raises:
        TrackingError: the two variables name different experiments, or the store has none with this id.
    """
    name, number = (os.environ.get(f"MLFLOW_EXPERIMENT_{kind}") for kind in ("NAME", "ID"))
    if requested or not (name or number):
        return requested or default
    if not number:
        return str(name)
    try:
        name_of_id = str(MlflowClient().get_experiment(number).name)
    except MlflowException:
        raise TrackingError(
            f"MLFLOW_EXPERIMENT_ID is {number}, and {store_name()} has no such experiment: unset "
            "it, or set MLFLOW_TRACKING_URI to its store"
        ) from None
    if name and name != name_of_id:
        raise TrackingError(
            f"MLFLOW_EXPERIMENT_NAME is {name!r} and MLFLOW_EXPERIMENT_ID that of {name_of_id!r}: unset one of them"
        )
    return name_of_id


def require_target(experiment: str, resumed_run_id: str | None = None) -> None:
    """Check that `open_run` with these arguments can work: the run or experiment exists, artefacts can be written.

    Raises:
        TrackingError: `MLFLOW_RUN_ID` names a run that is not in this store or has ended; the run to resume or the
            experiment was deleted; or artefacts cannot be written.
    """
    run = _run_of_mlflow(resumed_run_id)
    if run is None and resumed_run_id is not None:
        run = _not_deleted(get_run(resumed_run_id))
    if run is not None:
        _require_local_place(run.info.artifact_uri)
        return
    existing = find_experiment(experiment)
    if existing is not None:
        _require_local_place(existing.artifact_location)
    elif database_url(mlflow.get_tracking_uri()) is not None:
        _require_local_place("mlruns")  # where MLflow stores artefacts of new experiments of a database


def experiment_id(name: str) -> str:
    """Id of the experiment of this name, created if there is none; unlike MLflow's, it does not become active.

    Raises:
        TrackingError: the experiment was deleted, or cannot be created.
    """
    experiment = find_experiment(name) or _create_experiment(name)
    prepare_experiment(experiment)
    return str(experiment.experiment_id)


def _create_experiment(name: str) -> Experiment:
    client = MlflowClient()
    try:
        return client.get_experiment(client.create_experiment(name))
    except MlflowException as error:
        created_meanwhile = find_experiment(name)
        if created_meanwhile is None:
            raise TrackingError(f"experiment {name!r} cannot be created: {str(error).splitlines()[0]}") from None
        return created_meanwhile


def experiment_of(run: Run) -> str:
    """Name of the run's experiment."""
    return str(mlflow.get_experiment(run.info.experiment_id).name)


@contextmanager
def open_run(
    experiment: str,
    run_name: str,
    resumed_run_id: str | None = None,
    *,
    command: str,
    about: str = "",
    how_to_resume: Callable[[str], str] = lambda run_id: "",
) -> Iterator[str]:
    """Open a run and yield its id: the run that `mlflow run` opened, the one to resume, or a new one.

    Under `mlflow run`, a resumed training run continues in that new run; tags link the two. An error ends the run as
    failed, Ctrl-C and SIGTERM as killed; a tag and the description say why. Inside another run, the new run is its
    child, in its experiment.

    Args:
        command: becomes a tag.
        about: id of the run that this one evaluates, and that becomes its parent.
        how_to_resume: a sentence with the command that goes on with the run of this id; empty if it cannot be resumed.

    Raises:
        TrackingError: as `require_target`.
    """
    parent = mlflow.active_run()
    if parent is None:
        require_target(experiment, resumed_run_id)
    mlflow_run_id = None if parent else os.environ.get("MLFLOW_RUN_ID")
    run_id = mlflow_run_id or resumed_run_id
    where = parent.info.experiment_id if parent else None
    active = mlflow.start_run(
        run_id=run_id,
        experiment_id=None if run_id else where or experiment_id(experiment),
        run_name=None if run_id else run_name,
        nested=parent is not None,
    )
    active_id = active.info.run_id
    # MLflow unsets the variable only if it read the id itself; otherwise a child would reopen its parent.
    os.environ.pop("MLFLOW_RUN_ID", None)
    if mlflow_run_id:
        mlflow.set_tag("mlflow.runName", run_name)
        _prepare_experiment_of_mlflow(active.info.experiment_id)
    mlflow.set_tags({COMMAND_TAG: command, **process_tags(), **({PARENT_TAG: about} if about and not parent else {})})
    if run_id:
        clear_outcome(run_id)
    if resumed_run_id and resumed_run_id != active_id:
        mlflow.set_tag(RESUMED_FROM, resumed_run_id)
        _leave(resumed_run_id, active_id)
    try:
        yield active_id
    except KeyboardInterrupt as interrupt:
        mlflow.end_run(record_stop(active_id, interrupt, how_to_resume(active_id)))
        raise
    except BaseException as error:
        mlflow.end_run(record_error(active_id, error, how_to_resume(active_id)))
        raise
    mlflow.end_run("FINISHED")


def _leave(former_id: str, run_id: str) -> None:
    """Note that a run goes on in another one, and end it if it was killed before it could end itself."""
    client = MlflowClient()
    client.set_tag(former_id, RESUMED_AS, run_id)
    if client.get_run(former_id).info.status in OPEN:
        client.set_terminated(former_id, "KILLED")


def _prepare_experiment_of_mlflow(number: str) -> None:
    """Prepare the experiment in which `mlflow run` opened the run, and warn if that is `Default`."""
    experiment = mlflow.get_experiment(number)
    prepare_experiment(experiment)
    if experiment.name == Experiment.DEFAULT_EXPERIMENT_NAME:
        log.warning(
            "this run is in MLflow's experiment %s: install the project beside mlflow (pip install -e .), or set "
            "MLFLOW_EXPERIMENT_NAME=%s",
            experiment.name,
            EXPERIMENT,
        )


def _run_of_mlflow(resumed_run_id: str | None) -> Run | None:
    """The run that `MLFLOW_RUN_ID` names; raises if it has ended, as the variable may be a leftover."""
    run_id = os.environ.get("MLFLOW_RUN_ID")
    if not run_id:
        return None
    cure = "unset it for a new run, or set MLFLOW_TRACKING_URI to its store"
    try:
        run = mlflow.get_run(run_id)
    except MlflowException:
        where = store_name()
        raise TrackingError(f"MLFLOW_RUN_ID is {run_id}, and {where} has no such run: {cure}") from None
    if run.info.status not in OPEN and run_id != resumed_run_id:
        raise TrackingError(f"MLFLOW_RUN_ID is {run_id}, a run that has ended ({run.info.status}): {cure}")
    return _not_deleted(run)


def _not_deleted(run: Run) -> Run:
    if run.info.lifecycle_stage != LifecycleStage.ACTIVE:
        raise TrackingError(
            f"run {run.info.run_id} was deleted: restore it (mlflow runs restore --run-id {run.info.run_id}), or leave "
            "it out"
        )
    return run


def find_experiment(name: str) -> Experiment | None:
    """The experiment of this name; None if there is none.

    Raises:
        TrackingError: it was deleted; a deleted experiment keeps its name.
    """
    existing = MlflowClient().get_experiment_by_name(name)
    if existing is not None and existing.lifecycle_stage != LifecycleStage.ACTIVE:
        number = existing.experiment_id
        raise TrackingError(
            f"experiment {name!r} was deleted: restore it (mlflow experiments restore --experiment-id {number}), or "
            "give another experiment"
        )
    return existing


def _require_local_place(uri: str) -> None:
    """Check that a local folder of artefacts is writable."""
    parts = urlparse(uri)
    if parts.scheme not in ("", "file"):
        return
    try:
        require_writable(Path(unquote(parts.path)))
    except DataError as error:
        raise TrackingError(f"artefacts of runs cannot be written: {error}") from None
