"""A training run with the model that it logged."""

from __future__ import annotations

from dataclasses import dataclass

from mlflow.entities import Run

from spondylo_ml.serving.artefact import fetch_bundle
from spondylo_ml.serving.bundle import Bundle


@dataclass(frozen=True)
class TrainedRun:
    """A training run, its model, and the name by which pages and tables call it."""

    name: str
    run: Run
    bundle: Bundle


def fetch_trained_run(run: Run) -> TrainedRun:
    """Load the model of a run.

    Raises:
        TrackingError: the run has logged no model.
    """
    run_id = run.info.run_id
    return TrainedRun(f"{run.info.run_name} {run_id[:8]}", run, fetch_bundle(run_id))
