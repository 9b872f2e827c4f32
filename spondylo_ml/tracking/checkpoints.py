"""Where the checkpoints of a run lie: beside its store, and as the run's tag says.

So `resume` finds them from any folder. A store that is no file has no place of its own: then they lie below the folder
in which the training was started.
"""

from __future__ import annotations

from pathlib import Path

import mlflow
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from spondylo_ml.errors import DataError, TrackingError
from spondylo_ml.folders import require_writable
from spondylo_ml.tracking.store_uri import sqlite_file

CHECKPOINTS = "checkpoints"
FOLDER_TAG = "checkpoint_folder"


def checkpoint_root() -> Path:
    """Where new runs have their folders, one each: beside the store's file, or else below the current folder."""
    file = sqlite_file(mlflow.get_tracking_uri())
    return (file.parent if file else Path.cwd()) / CHECKPOINTS


def checkpoint_folder(run_id: str) -> Path:
    """The run's folder: as its tag says, where that is on this machine; otherwise where a new run has it."""
    return next((folder for folder in checkpoint_folders(run_id) if folder.is_dir()), checkpoint_root() / run_id)


def checkpoint_folders(run_id: str) -> list[Path]:
    """Every place where a run's checkpoints may be, the likeliest first."""
    try:
        tagged = MlflowClient().get_run(run_id).data.tags.get(FOLDER_TAG)
    except MlflowException:
        tagged = None
    usual = [checkpoint_root() / run_id, Path.cwd() / CHECKPOINTS / run_id]
    return list(dict.fromkeys([*([Path(tagged)] if tagged else []), *usual]))


def require_checkpoint_place() -> None:
    """New checkpoints can be written.

    Raises:
        TrackingError: they cannot.
    """
    try:
        require_writable(checkpoint_root())
    except DataError as error:
        raise TrackingError(f"checkpoints cannot be kept beside the store: {error}") from None
