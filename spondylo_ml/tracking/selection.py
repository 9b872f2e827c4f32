"""Selects training runs of the store by a metric."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence

from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from spondylo_ml.errors import TrackingError, unknown_name
from spondylo_ml.evaluation.catalogue import lower_is_better
from spondylo_ml.tracking.logged_models import has_model, no_model_error
from spondylo_ml.tracking.run_metrics import all_metrics, metric_of
from spondylo_ml.tracking.search import search_runs
from spondylo_ml.tracking.store import find_experiment
from spondylo_ml.tracking.store_check import store_name


def require_model(run: Run) -> None:
    """Raise `TrackingError` if the run has logged no model."""
    if not has_model(run):
        raise no_model_error(run.info.run_id)


def top_runs(
    count: int, metric: str, models: Sequence[str] = (), per_model: bool = False, experiment: str | None = None
) -> list[Run]:
    """The best `count` finished runs that logged a model, best first.

    Args:
        models: only runs of these models; all if empty.
        per_model: `count` of each model instead of in total.
        experiment: only runs of this experiment; all if None.

    Raises:
        TrackingError: there is no such experiment, or no run has the metric.
        ConfigError: the metric is unknown, or neither lower nor higher values of it are better.
    """
    runs = [run for run in search_runs("attributes.status = 'FINISHED'", experiment) if has_model(run)]
    runs = [run for run in runs if not models or run.data.tags.get("model") in models]
    values = {run.info.run_id: metric_of(run, metric) for run in runs}
    ranked = [run for run in runs if not math.isnan(values[run.info.run_id])]
    if not ranked:
        names = {name for run in runs for name in all_metrics(run)}
        hint = unknown_name("metric", metric, names) if names else "Train one first, or leave out --models."
        raise TrackingError(f"no finished run with a model has {metric!r} in {store_name()}. {hint}")
    sign = 1 if lower_is_better(metric) else -1
    ranked.sort(key=lambda run: (sign * values[run.info.run_id], run.info.start_time))
    if not per_model:
        return ranked[:count]
    counts: Counter[str] = Counter()
    selected = []
    for run in ranked:
        name = run.data.tags.get("model", "")
        counts[name] += 1
        if counts[name] <= count:
            selected.append(run)
    return selected


def metric_history(run_id: str, metric: str) -> list[tuple[int, float]]:
    """(step, value) of a run's metric, sorted by step; the last value logged for a step counts."""
    history = MlflowClient().get_metric_history(run_id, metric)
    latest = {entry.step: entry.value for entry in sorted(history, key=lambda entry: entry.timestamp)}
    return sorted(latest.items())


def numbered_name(experiment: str, name: str) -> str:
    """The name with the number of its run: `unet lr2e-3 #3` for the third of this name in the experiment."""
    found = find_experiment(experiment)
    if found is None:
        return f"{name} #1"
    pattern = re.compile(rf"{re.escape(name)} #(\d+)")
    # In MLflow's filters % and _ are wildcards; the expression above decides.
    similar = name.replace("'", "_")
    runs = MlflowClient().search_runs([found.experiment_id], f"attributes.run_name LIKE '{similar} #%'")
    numbers = [int(match[1]) for run in runs if (match := pattern.fullmatch(str(run.info.run_name)))]
    return f"{name} #{max(numbers, default=0) + 1}"
