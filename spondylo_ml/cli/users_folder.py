"""The folder in which the user called `mlflow run`.

MLflow starts commands in the folder of the project, which is a temporary clone if the project was named by a git or zip
URL. The user's paths are relative to the folder of the call, so commands change to it first. Inputs, results,
checkpoints and a local store are then all relative to that folder.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil

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
    starter = _starter(run_id)
    temporary = _is_temporary(here)
    is_mlflow = starter is not None and (_is_mlflow_run(starter) or (temporary and _is_python(starter)))
    users_folder = _folder_of(starter) if starter is not None and is_mlflow else None
    if users_folder is None:
        if temporary:
            raise ConfigError(
                f"this is a temporary clone of the project ({here}), where results would be lost, and the folder in "
                "which mlflow run was called is unknown. Clone the project yourself, and call mlflow run . there"
            )
        return
    if users_folder != here:
        _change_folder(users_folder)


def _starter(run_id: str) -> psutil.Process | None:
    """Return the process that started the run: the nearest ancestor without the run's id in its environment."""
    for process in _ancestors():
        try:
            if process.environ().get(RUN_ID) != run_id:
                return process
        except psutil.Error:
            return None
    return None


def _ancestors() -> Iterator[psutil.Process]:
    process: psutil.Process | None = psutil.Process()
    while process is not None:
        try:
            process = process.parent()
        except psutil.Error:
            return
        if process is not None:
            yield process


def _folder_of(process: psutil.Process) -> Path | None:
    try:
        folder = Path(process.cwd())
    except psutil.Error:
        return None
    return folder if folder.is_dir() else None


def _is_mlflow_run(process: psutil.Process) -> bool:
    """Whether the process is `mlflow run` or `python -m mlflow run`, by its arguments."""
    try:
        words = [Path(word).name for word in process.cmdline()]
    except psutil.Error:
        return False
    return "mlflow" in words and "run" in words[words.index("mlflow") + 1 :]


def _is_python(process: psutil.Process) -> bool:
    """Whether the process may be a program that called `mlflow.projects.run`."""
    try:
        return "python" in process.name()
    except psutil.Error:
        return False


def _is_temporary(folder: Path) -> bool:
    temporary = Path(tempfile.gettempdir()).resolve()
    return folder.is_relative_to(temporary) and folder.relative_to(temporary).parts[0].startswith(TEMPFILE_PREFIX)


def _change_folder(folder: Path) -> None:
    """Change the current folder; child processes still import the project's code."""
    os.chdir(folder)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(PROJECT), os.environ.get("PYTHONPATH")]))
