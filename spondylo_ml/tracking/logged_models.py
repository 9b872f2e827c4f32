"""The model that a run logged, told apart from what a killed process left of one."""

from __future__ import annotations

from collections.abc import Iterator

from mlflow.entities import LoggedModel, LoggedModelStatus, Run
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from spondylo_ml.errors import TrackingError
from spondylo_ml.tracking.run_files import REMOVED_TAG


def logged_model(run: Run) -> LoggedModel | None:
    """The model that the run logged last among those that it logged to the end; None if there is none.

    MLflow links a model to its run before the files are written; it then has the status PENDING.
    """
    whole = [model for model in _models_of(run) if model.status == LoggedModelStatus.READY]
    return max(whole, key=lambda model: (model.creation_timestamp, model.model_id), default=None)


def no_model_error(run_id: str) -> TrackingError:
    """The error for a run that has logged no model."""
    return TrackingError(
        f"run {run_id} has no model: it failed, is still running, or its model was deleted. Resume it: train --resume "
        f"{run_id}"
    )


def has_model(run: Run) -> bool:
    """Whether the run has logged a model that is still there."""
    if not (run.outputs and run.outputs.model_outputs):
        return False
    whole = run.info.status == "FINISHED" and REMOVED_TAG not in run.data.tags
    return whole or logged_model(run) is not None


def delete_unfinished_models(run_id: str) -> int:
    """Delete what a killed process left of models of this run, which nobody may be writing; returns how many.

    Also one that was not linked to the run yet.
    """
    client = MlflowClient()
    experiment_id = client.get_run(run_id).info.experiment_id
    models = client.search_logged_models([experiment_id], f"source_run_id = '{run_id}'")
    unfinished = [model for model in models if model.status != LoggedModelStatus.READY]
    for model in unfinished:
        client.delete_logged_model(model.model_id)
    return len(unfinished)


def _models_of(run: Run) -> Iterator[LoggedModel]:
    client = MlflowClient()
    for output in run.outputs.model_outputs if run.outputs else []:
        try:
            yield client.get_logged_model(output.model_id)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":  # that of a deleted model
                raise
