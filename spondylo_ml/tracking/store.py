"""Runs and experiments of the tracking store: find, check and open them."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlparse

import mlflow
from mlflow.entities import Experiment, LifecycleStage, Run, RunTag
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from spondylo_ml.config.experiments import EXPERIMENT
from spondylo_ml.errors import DataError, TrackingError, first_line
from spondylo_ml.folders import require_writable
from spondylo_ml.tracking.experiments import prepare_experiment
from spondylo_ml.tracking.killed import set_killed
from spondylo_ml.tracking.outcome import OPEN, clear_outcome, end_status, record_end
from spondylo_ml.tracking.run_process import is_abandoned, process_tags, process_text, require_free
from spondylo_ml.tracking.store_check import store_name
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
        TrackingError: as `run_to_open`; the experiment was deleted; or artefacts cannot be written.
    """
    run = run_to_open(resumed_run_id)
    if run is not None:
        _require_local_place(run.info.artifact_uri)
        return
    existing = find_experiment(experiment)
    if existing is not None:
        _require_local_place(existing.artifact_location)
    elif database_url(mlflow.get_tracking_uri()) is not None:
        _require_local_place("mlruns")  # where MLflow stores artefacts of new experiments of a database


def run_to_open(resumed_run_id: str | None = None) -> Run | None:
    """The run with which `open_run` goes on: the one of `mlflow run`, or the one to resume. None: it creates a run.

    Raises:
        TrackingError: `MLFLOW_RUN_ID` names a run that is not in this store or has ended; or the run was deleted.
        RunInUseError: another process works on the run.
    """
    run = None if mlflow.active_run() else _run_of_mlflow(resumed_run_id)
    if run is None and resumed_run_id is not None:
        run = require_not_deleted(get_run(resumed_run_id))
    if run is not None:
        require_free(run)
    return run


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
            raise TrackingError(f"experiment {name!r} cannot be created: {first_line(error)}") from None
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
    tags = {COMMAND_TAG: command, **process_tags(), **({PARENT_TAG: about} if about and not parent else {})}
    try:
        run_id = _start(mlflow_run_id or resumed_run_id, experiment, run_name, tags, parent)
        # MLflow unsets the variable only if it read the id itself; otherwise a child would reopen its parent.
        os.environ.pop("MLFLOW_RUN_ID", None)
        if mlflow_run_id:
            mlflow.set_tag("mlflow.runName", run_name)
            _prepare_experiment_of_mlflow(get_run(run_id).info.experiment_id)
        if resumed_run_id and resumed_run_id != run_id:
            _leave(resumed_run_id, run_id)
        yield run_id
        mlflow.end_run("FINISHED")
    except BaseException as error:
        _end(error, parent, how_to_resume)
        raise


def _start(known_id: str | None, experiment: str, run_name: str, tags: Mapping[str, str], parent: Run | None) -> str:
    """Start the run of this id again, or a new one; returns its id.

    It has the tags of this process before it is shown as running: `clean` would take it for killed.
    """
    nested = parent is not None
    if known_id:
        MlflowClient().log_batch(known_id, tags=[RunTag(name, value) for name, value in tags.items()])
        mlflow.start_run(run_id=known_id, nested=nested)
        clear_outcome(known_id)
        return known_id
    where = parent.info.experiment_id if parent else experiment_id(experiment)
    started = mlflow.start_run(experiment_id=where, run_name=run_name, nested=nested, tags=dict(tags))
    return str(started.info.run_id)


def _end(error: BaseException, parent: Run | None, how_to_resume: Callable[[str], str]) -> None:
    """End the active run, unless it is the parent: the error came before the run was started."""
    run = mlflow.active_run()
    if run is None or (parent is not None and run.info.run_id == parent.info.run_id):
        return
    try:
        record_end(run.info.run_id, error, how_to_resume)
    finally:  # also after another Ctrl-C: at the end of the program MLflow would end the run as finished
        _set_ended(end_status(error))


def _set_ended(status: str) -> None:
    """End the active run in this status; a store that fails is only logged: the error that ends the run matters."""
    try:
        mlflow.end_run(status)
    except Exception as failure:
        log.warning("the run stays RUNNING in the store, which failed (%s)", type(failure).__name__)


def _leave(former_id: str, run_id: str) -> None:
    """Note that a run goes on in another one, and end it if it was killed before it could end itself."""
    client = MlflowClient()
    client.set_tag(run_id, RESUMED_FROM, former_id)
    client.set_tag(former_id, RESUMED_AS, run_id)
    former = client.get_run(former_id)
    if is_abandoned(former):
        set_killed(former)
    elif former.info.status in OPEN:
        log.warning("run %s stays RUNNING: whether %s has ended is not known here", former_id, process_text(former))


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
    return require_not_deleted(run)


def require_not_deleted(run: Run) -> Run:
    """The run.

    Raises:
        TrackingError: it was deleted.
    """
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
