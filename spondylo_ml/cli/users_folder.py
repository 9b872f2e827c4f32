"""The folder in which the user called `mlflow run`.

MLflow starts commands in the folder of the project, which is a temporary clone if the project was named by a git or zip
URL. The user's paths are relative to the folder of the call, so commands change to it first. Inputs, results,
checkpoints and a local store are then all relative to that folder.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import spondylo_ml
from spondylo_ml.errors import ConfigError

RUN_ID = "MLFLOW_RUN_ID"
PROJECT = Path(spondylo_ml.__file__).resolve().parents[1]
TEMPFILE_PREFIX = "tmp"
"""Prefix of the folders that Python's `tempfile`, and so MLflow, creates."""


def enter_users_folder() -> None:
    """Change to the folder in which `mlflow run` was called; does nothing if the command was started otherwise.

    Raises:
        ConfigError: the current folder was deleted; or it is a temporary clone, and the user's folder is unknown.
    """
    try:
        here = Path.cwd()
    except FileNotFoundError:
        raise ConfigError("the current folder was deleted: go to one that exists") from None
    run_id = os.environ.get(RUN_ID)
    if not run_id or here != PROJECT:  # MLflow sets the run id and starts commands in the project's folder
        return
    from spondylo_ml.cli.starting_process import folder_of_mlflow  # psutil is slow to import, and rarely needed

    temporary = _is_temporary(here)
    users_folder = folder_of_mlflow(run_id, RUN_ID, or_python=temporary)
    if users_folder is None:
        if temporary:
            raise ConfigError(
                f"this is a temporary clone of the project ({here}), where results would be lost, and the folder in "
                "which mlflow run was called is unknown. Clone the project yourself, and call mlflow run . there"
            )
        return
    if users_folder != here:
        _change_folder(users_folder)


def _is_temporary(folder: Path) -> bool:
    temporary = Path(tempfile.gettempdir()).resolve()
    return folder.is_relative_to(temporary) and folder.relative_to(temporary).parts[0].startswith(TEMPFILE_PREFIX)


def _change_folder(folder: Path) -> None:
    """Change the current folder; child processes still import the project's code."""
    os.chdir(folder)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(PROJECT), os.environ.get("PYTHONPATH")]))
