"""Which models are judged by `promote`, and how far another seed alone moves its metric."""

from __future__ import annotations

import logging

from mlflow.entities import Run

from spondylo_ml.config.promotion import PromoteConfig
from spondylo_ml.errors import TrackingError
from spondylo_ml.serving.artefact import fetch_bundle
from spondylo_ml.tracking.selection import top_runs
from spondylo_ml.tracking.store import get_run
from spondylo_ml.workflows.compare import Contestant

log = logging.getLogger(__name__)

NOISE_FLOOR = "noise_floor/"
"""Before the name of a metric: how far another seed alone moves it, as a metric of the run that measured it."""


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


def contestant_of(run: Run) -> Contestant:
    """A run with its model.

    Raises:
        TrackingError: it has logged none.
    """
    return Contestant(f"{run.info.run_name} {run.info.run_id[:8]}", run, fetch_bundle(run.info.run_id))


def noise_floor(config: PromoteConfig) -> float | None:
    """How far another seed alone moves the metric: as given, or as a run has measured it; None where nobody has.

    Raises:
        TrackingError: no such run, or it has not measured this metric.
    """
    if config.noise_floor_run is None:
        return config.noise_floor
    metrics, name = get_run(config.noise_floor_run).data.metrics, NOISE_FLOOR + config.metric
    if name not in metrics:
        known = sorted(metric for metric in metrics if metric.startswith(NOISE_FLOOR))
        raise TrackingError(
            f"run {config.noise_floor_run} has no metric {name!r}; of this kind it has: {', '.join(known) or 'none'}"
        )
    return float(metrics[name])
