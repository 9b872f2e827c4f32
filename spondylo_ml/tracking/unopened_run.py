"""The run that `mlflow run` opened for a command, if the command ends without opening it."""

from __future__ import annotations

import os

import mlflow
from mlflow.entities import Run
from mlflow.tracking import MlflowClient
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NAME

from spondylo_ml.errors import RunInUseError
from spondylo_ml.tracking.outcome import OPEN, end_status, record_end
from spondylo_ml.tracking.run_process import HOST, ProcessState, process_state


def end_unopened_run(command: str, error: BaseException | None) -> None:
    """Name the run that `mlflow run` opened for a command, if the command has not opened it itself.

    With an error, also record it and end the run: MLflow would give it a random name and no reason. A run on which
    another process works, or may work, is left as it is.
    """
    run_id = os.environ.get("MLFLOW_RUN_ID")
    if not run_id or isinstance(error, RunInUseError):
        return
    run = mlflow.get_run(run_id)
    if run.info.status not in OPEN or _may_be_of_another(run):
        return
    client = MlflowClient()
    if error is None:
        client.set_tag(run_id, MLFLOW_RUN_NAME, command)
        return
    client.set_tag(run_id, MLFLOW_RUN_NAME, f"{command}, not started")
    record_end(run_id, error)
    client.set_terminated(run_id, end_status(error))


def _may_be_of_another(run: Run) -> bool:
    """Whether a process has opened the run that is not this one and is not known to have ended."""
    return HOST in run.data.tags and process_state(run) in (ProcessState.LIVES, ProcessState.UNKNOWN)
