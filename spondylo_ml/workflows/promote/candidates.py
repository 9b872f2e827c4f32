"""Which models `promote` evaluates, and how far another seed alone moves its metric."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from spondylo_ml.config.promotion import PromoteConfig
from spondylo_ml.errors import TrackingError
from spondylo_ml.evaluation.seed_noise import NOISE_FLOOR, NOISE_FLOOR_OF, checked_floor
from spondylo_ml.tracking.selection import top_runs
from spondylo_ml.tracking.store import get_run

log = logging.getLogger(__name__)

OFFERED = 3


@dataclass(frozen=True)
class NoiseFloor:
    """How far another seed alone moves the metric.

    Attributes:
        value: None where it is not known.
        source: which run measured it; where it is not known, which runs of the store have.
    """

    value: float | None
    source: str = ""


def candidate_runs(config: PromoteConfig) -> list[Run]:
    """The runs that are named, or else the best one of each model, as `compare` chooses.

    Raises:
        TrackingError: no such run, or none to choose from.
    """
    if config.run_ids:
        return [get_run(run_id) for run_id in dict.fromkeys(config.run_ids)]
    runs = top_runs(1, config.chosen_by, config.models, per_model=True, experiment=config.experiment)
    found = {run.data.tags.get("model") for run in runs}
    if missing := [name for name in config.models if name not in found]:
        log.warning("no finished run of %s has %s: no candidate", ", ".join(missing), config.chosen_by)
    return runs


def noise_floor(config: PromoteConfig) -> NoiseFloor:
    """The floor as given, or as a study or a benchmark has measured it.

    Raises:
        TrackingError: no such run, or it has not measured this metric.
        ConfigError: what was given or measured is no finite number of at least 0.
    """
    name = NOISE_FLOOR + config.metric
    if config.noise_floor is not None:
        return NoiseFloor(checked_floor(config.noise_floor, "noise_floor"))
    if config.noise_floor_from is None:
        return NoiseFloor(None, _offered(name))
    run = get_run(config.noise_floor_from)
    if name not in run.data.metrics:
        known = sorted(metric for metric in run.data.metrics if metric.startswith(NOISE_FLOOR))
        raise TrackingError(
            f"run {config.noise_floor_from} has no metric {name!r}; of this kind it has: {', '.join(known) or 'none'}. "
            f"{_offered(name) or 'A study with retrain_seeds of 2 or more has it, and a benchmark of two seeds'}"
        )
    floor = checked_floor(run.data.metrics[name], f"noise_floor_from {config.noise_floor_from}, {name}")
    return NoiseFloor(floor, _measured(run))


def _measured(run: Run) -> str:
    return f"measured by {run.info.run_name} {run.info.run_id[:8]}: {run.data.tags.get(NOISE_FLOOR_OF, 'unknown')}"


def _offered(name: str) -> str:
    """The newest runs of the store that have measured a floor, in words; empty where there is none."""
    client = MlflowClient()
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    found = client.search_runs(
        experiments, f"metrics.`{name}` >= 0", order_by=["attributes.start_time DESC"], max_results=OFFERED
    )
    listed = [
        f"noise_floor_from={run.info.run_id} ({run.data.metrics[name]:.3g}, {run.data.tags.get(NOISE_FLOOR_OF, '')})"
        for run in found
    ]
    return f"The store has: {'; '.join(listed)}" if listed else ""
