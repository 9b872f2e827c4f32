"""The candidates of a promotion, and the noise floor of its metric."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from spondylo_ml.config.promotion import FEWEST_SEEDS, PromoteConfig
from spondylo_ml.errors import TrackingError
from spondylo_ml.evaluation.seed_noise import NOISE_FLOOR, NOISE_FLOOR_OF, checked_floor
from spondylo_ml.tracking.selection import top_runs
from spondylo_ml.tracking.store import get_run

log = logging.getLogger(__name__)

MOST_SUGGESTIONS = 3


@dataclass(frozen=True)
class NoiseFloor:
    """How far another seed alone moves the metric.

    Attributes:
        value: in the unit of the metric; None if unknown.
        source: the run that measured it; if unknown, runs of the store that have measured one.
    """

    value: float | None
    source: str = ""


def candidate_runs(config: PromoteConfig) -> list[Run]:
    """The runs in `config.run_ids`, or else the best run of each model.

    Raises:
        TrackingError: no such run, or no run to choose from.
    """
    if config.run_ids:
        return [get_run(run_id) for run_id in dict.fromkeys(config.run_ids)]
    runs = top_runs(1, config.chosen_by, config.models, per_model=True, experiment=config.experiment)
    models_with_runs = {run.data.tags.get("model") for run in runs}
    if missing := [name for name in config.models if name not in models_with_runs]:
        log.warning("no finished run of %s has %s: no candidate", ", ".join(missing), config.chosen_by)
    return runs


def noise_floor(config: PromoteConfig) -> NoiseFloor:
    """The noise floor that is configured, or the one that a study or a benchmark has measured.

    Raises:
        TrackingError: no such run, or it has no noise floor of this metric.
        ConfigError: the noise floor is negative or not finite.
    """
    name = NOISE_FLOOR + config.metric
    if config.noise_floor is not None:
        return NoiseFloor(checked_floor(config.noise_floor, "noise_floor"))
    if config.noise_floor_from is None:
        return NoiseFloor(None, _suggestions(name))
    run = get_run(config.noise_floor_from)
    if name not in run.data.metrics:
        hint = _suggestions(name) or (
            f"A study with retrain_seeds of {FEWEST_SEEDS} or more measures it, and a benchmark of {FEWEST_SEEDS} seeds"
        )
        floors = sorted(metric for metric in run.data.metrics if metric.startswith(NOISE_FLOOR))
        raise TrackingError(
            f"run {config.noise_floor_from} has no metric {name!r}; its noise floors: {', '.join(floors) or 'none'}. "
            f"{hint}"
        )
    floor = checked_floor(run.data.metrics[name], f"noise_floor_from {config.noise_floor_from}, {name}")
    return NoiseFloor(floor, _measured(run))


def _measured(run: Run) -> str:
    return f"measured by {run.info.run_name} {run.info.run_id[:8]}: {run.data.tags.get(NOISE_FLOOR_OF, 'unknown')}"


def _suggestions(name: str) -> str:
    """Suggest the newest runs of the store that have measured this floor; empty if there are none."""
    client = MlflowClient()
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    runs = client.search_runs(
        experiments, f"metrics.`{name}` >= 0", order_by=["attributes.start_time DESC"], max_results=MOST_SUGGESTIONS
    )
    options = [
        f"noise_floor_from={run.info.run_id} ({run.data.metrics[name]:.3g}, {run.data.tags.get(NOISE_FLOOR_OF, '')})"
        for run in runs
    ]
    return f"The store has: {'; '.join(options)}" if options else ""
