"""The process that started a run of `mlflow run`, and its current folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psutil


def folder_of_mlflow(run_id: str, variable: str, or_python: bool) -> Path | None:
    """The current folder of the `mlflow run` that started a run; None if that is not known.

    Args:
        variable: name of the environment variable in which MLflow gives the run's id.
        or_python: also that of a Python program, which may have called `mlflow.projects.run`.
    """
    starter = _starter(run_id, variable)
    if starter is None or not (_is_mlflow_run(starter) or (or_python and _is_python(starter))):
        return None
    return _folder_of(starter)


def _starter(run_id: str, variable: str) -> psutil.Process | None:
    """Return the process that started the run: the nearest ancestor without the run's id in its environment."""
    for process in _ancestors():
        try:
            if process.environ().get(variable) != run_id:
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
