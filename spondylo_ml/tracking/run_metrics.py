"""All metrics of a run: the few that it logs as such, and the others, which are in a file."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping

import mlflow
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from spondylo_ml.nan import finite_or_none

METRICS_FILE = "metrics.json"
"""All metrics of the kept weights, not rounded, without the prefix under which a run logs some of them."""

BEST, EVALUATION = "val_best/", "eval/"


def metrics_text(values: Mapping[str, float]) -> str:
    """The content of `METRICS_FILE`; NaN becomes null."""
    return json.dumps({name: finite_or_none(value) for name, value in values.items()}, indent=1)


def all_metrics(run: Run) -> dict[str, float]:
    """All metrics of a run; where the file has a metric that is logged as well, the value of the file, not rounded.

    Runs of earlier versions have no file, and have logged every metric.
    """
    logged = dict(run.data.metrics)
    prefix = next((prefix for prefix in (BEST, EVALUATION) if any(name.startswith(prefix) for name in logged)), None)
    if prefix is None:
        return logged
    try:
        content = json.loads(mlflow.artifacts.load_text(f"runs:/{run.info.run_id}/{METRICS_FILE}"))
    except (MlflowException, OSError, ValueError):
        return logged
    return logged | {f"{prefix}{name}": math.nan if value is None else value for name, value in content.items()}


def metric_of(run: Run, name: str) -> float:
    """A metric that the run has logged, or has in its file; NaN if it has none of this name."""
    value = run.data.metrics.get(name)
    if value is None and name.startswith((BEST, EVALUATION)):
        value = all_metrics(run).get(name)
    return math.nan if value is None else value
