"""The files that MLflow keeps of a run, its artefacts and its models: their size, and their removal for good.

MLflow's own deletion of a run hides it and leaves its files and its models where they are.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from mlflow.entities import LoggedModel, Run
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.tracking import MlflowClient

REMOVED_TAG = "removed_by_clean"
"""The day on which `clean` deleted the run: it may delete the files of such a run, and of no other deleted one."""


def mark_removed(run_id: str) -> None:
    """Record that `clean` deletes the run; afterwards MLflow accepts no tags for it."""
    MlflowClient().set_tag(run_id, REMOVED_TAG, time.strftime("%Y-%m-%d"))


def files_bytes(run: Run) -> int:
    """Size of the run's artefacts and models; 0 if there are none.

    Raises:
        Exception: of many types; the place where the files are does not answer.
    """
    locations = [run.info.artifact_uri, *(model.artifact_location for model in _models_from(run))]
    return sum(size for location in locations for size in _file_sizes(location))


def delete_files(run: Run) -> None:
    """Delete the run's models, then its artefacts, for good. What a former attempt has deleted may be absent.

    Raises:
        Exception: as `files_bytes`.
    """
    for model in _models_from(run):
        get_artifact_repository(model.artifact_location).delete_artifacts()  # type: ignore[no-untyped-call]
        MlflowClient().delete_logged_model(model.model_id)
    get_artifact_repository(run.info.artifact_uri).delete_artifacts()  # type: ignore[no-untyped-call]


def _models_from(run: Run) -> Iterator[LoggedModel]:
    token = None
    while True:
        found = MlflowClient().search_logged_models(
            [run.info.experiment_id], f"source_run_id = '{run.info.run_id}'", page_token=token
        )
        yield from found
        token = found.token
        if not token:
            return


def _file_sizes(location: str) -> Iterator[int]:
    repository = get_artifact_repository(location)
    folders: list[str | None] = [None]
    while folders:
        for item in repository.list_artifacts(folders.pop()):
            if item.is_dir:
                folders.append(item.path)
            else:
                yield item.file_size or 0
