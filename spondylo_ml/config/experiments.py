"""The MLflow experiments of the project, and which command's runs are in which."""

from __future__ import annotations

EXPERIMENT = "spondylo-landmarks"
TOOLS_EXPERIMENT = f"{EXPERIMENT}-tools"

LEARNING_COMMANDS = ("main", "train", "tune", "benchmark", "evaluate", "diagnose", "compare")
"""Commands whose runs are in `EXPERIMENT`; those of all others are in `TOOLS_EXPERIMENT`, so that no training run is
lost between them. `main` is the entry point of MLproject that trains a smoke run."""


def experiment_of_command(command: str) -> str:
    """Name of the experiment of a command's runs, unless the user names another one."""
    return EXPERIMENT if command in LEARNING_COMMANDS else TOOLS_EXPERIMENT
