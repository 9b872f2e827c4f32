"""The folder of a run's checkpoints: beside the store's file, or where the run's tag says.

So resuming finds them from any folder. For a store that is not a file, they are in the folder in which the training run
was started.
"""

from __future__ import annotations

from pathlib import Path

import mlflow
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from spondylo_ml.errors import DataError, TrackingError
from spondylo_ml.folders import require_writable
from spondylo_ml.tracking.store_uri import sqlite_file

CHECKPOINTS = "checkpoints"
FOLDER_TAG = "checkpoint_folder"


def checkpoint_root() -> Path:
    """The parent of all runs' checkpoint folders: beside the store's file, or in the current folder."""
    file = sqlite_file(mlflow.get_tracking_uri())
    return (file.parent if file else Path.cwd()) / CHECKPOINTS


def checkpoint_folder(run_id: str) -> Path:
    """The run's folder: the one in its tag if it exists on this machine, otherwise the default."""
    return next((folder for folder in checkpoint_folders(run_id) if folder.is_dir()), checkpoint_root() / run_id)


def checkpoint_folders(run_id: str) -> list[Path]:
    """All folders where a run's checkpoints may be, the likeliest first."""
    try:
        return folders_of(MlflowClient().get_run(run_id))
    except MlflowException:
        return _default_folders(run_id)


def folders_of(run: Run) -> list[Path]:
    """As `checkpoint_folders`."""
    tagged = run.data.tags.get(FOLDER_TAG)
    return list(dict.fromkeys([*([Path(tagged)] if tagged else []), *_default_folders(run.info.run_id)]))


def _default_folders(run_id: str) -> list[Path]:
    return list(dict.fromkeys([checkpoint_root() / run_id, Path.cwd() / CHECKPOINTS / run_id]))


def require_checkpoint_place() -> None:
    """Check that new checkpoints can be written.

    Raises:
        TrackingError: they cannot.
    """
    try:
        require_writable(checkpoint_root())
    except DataError as error:
        raise TrackingError(f"checkpoints cannot be written beside the store: {error}") from None
