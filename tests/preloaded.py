"""Imported by the process from which `forked.py` forks programs, so that none of them does this again."""

from __future__ import annotations

import stores  # noqa: F401  databases do not wait for the disk
from mlflow.utils.requirements_utils import warn_dependency_requirement_mismatches

# MLflow lists all files of all installed packages, once in each process that logs a model; this takes seconds.
warn_dependency_requirement_mismatches(["mlflow"])
