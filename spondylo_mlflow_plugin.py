"""The experiment that `mlflow run` uses for a run of this project; otherwise MLflow would create the run in `Default`.

MLflow finds the class through the entry point `mlflow.default_experiment_provider` of the installed package, and asks
it only where the user names no experiment. Every `import mlflow` imports this module. It therefore lies outside the
package `spondylo_ml`, which it imports only in `mlflow run`: a registered model brings its own code, and Python would
use the installed package in its place if that had been imported before.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path

from mlflow.tracking.default_experiment.abstract_context import DefaultExperimentProvider

PROJECT_NAME = "spondylo_ml"
PROJECT_LINE = re.compile(rf"^name:\s*{PROJECT_NAME}\s*$", re.M)
REPOSITORY = re.compile(rf"[/:]{PROJECT_NAME}(\.git)?/?(#.*)?$")
ENTRY_POINT = ("-e", "--entry-point")
PROGRAMS = ("mlflow", "mlflow.exe", "__main__.py")


class ProjectExperiment(DefaultExperimentProvider):
    """The experiment of the command that `mlflow run` is asked for."""

    def in_context(self) -> bool:
        """Whether this process is `mlflow run` of this project."""
        return runs_this_project(sys.argv)

    def get_experiment_id(self) -> str:
        """Id of the command's experiment, which is created if there is none."""
        from spondylo_ml.config.experiments import experiment_of_command
        from spondylo_ml.tracking.store import experiment_id

        return experiment_id(experiment_of_command(entry_point(sys.argv)))


def runs_this_project(arguments: Sequence[str]) -> bool:
    """Whether a command line is `mlflow run` of a folder or repository of this project."""
    if Path(arguments[0]).name not in PROGRAMS or "run" not in arguments:
        return False
    return any(_is_this_project(word) for word in arguments[arguments.index("run") + 1 :])


def entry_point(arguments: Sequence[str]) -> str:
    """The entry point that a command line of `mlflow run` names; `main` if it names none."""
    for word, following in zip(arguments, [*arguments[1:], ""], strict=True):
        if word in ENTRY_POINT:
            return following
        if word.startswith(f"{ENTRY_POINT[1]}="):
            return word.partition("=")[2]
    return "main"


def _is_this_project(word: str) -> bool:
    if REPOSITORY.search(word):
        return True
    file = Path(word.removeprefix("file://")) / "MLproject"
    try:
        return PROJECT_LINE.search(file.read_text(encoding="utf-8")) is not None
    except (OSError, ValueError):
        return False
