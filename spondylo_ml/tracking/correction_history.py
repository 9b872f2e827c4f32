"""Results of corrections over time: on the run that trained a model, on its registered version, and in all runs."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import mlflow
from mlflow.entities import Metric, Run
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from spondylo_ml.errors import DataError
from spondylo_ml.evaluation.intervals import Estimate
from spondylo_ml.evaluation.report import EvaluationReport
from spondylo_ml.promotion.check_in_use import UseComparison, UseVerdict, compare_use, withheld
from spondylo_ml.tracking.digests import BUNDLE_DIGEST
from spondylo_ml.tracking.logged_models import logged_model
from spondylo_ml.tracking.search import search_runs
from spondylo_ml.tracking.store import COMMAND_TAG

COMMAND = "corrections"
MODEL_DIGEST, MODEL_NAME = "model_digest", "model_name"
"""Tags of runs of corrections."""

LATEST_TAG, WORSE_TAG = "corrections", "worse_in_use"
"""Tags of a registered version: its newest corrections in words; when and why it was found worse, until removed."""

HISTORY = "corrections/reviewed_films"
"""The metric of a training run whose steps count the runs of corrections."""


@dataclass(frozen=True)
class ModelInUse:
    """What the store knows of a model.

    Attributes:
        run: that trained it; None if this store has none.
        versions: registered versions of it.
    """

    run: Run | None
    versions: tuple[ModelVersion, ...]


def model_in_use(digest: str) -> ModelInUse:
    """The model of this digest."""
    if not digest:
        return ModelInUse(None, ())
    trained = [run for run in search_runs(f"tags.{BUNDLE_DIGEST} = '{digest}'") if logged_model(run) is not None]
    versions = {
        (version.name, version.version): version
        for condition in (f"tags.`{BUNDLE_DIGEST}` = '{digest}'", *(f"run_id = '{run.info.run_id}'" for run in trained))
        for version in MlflowClient().search_model_versions(condition)
    }
    return ModelInUse(trained[0] if trained else None, tuple(versions.values()))


def former_runs(experiment: str) -> list[Run]:
    """Finished runs of corrections in an experiment, oldest first."""
    runs = search_runs(f"tags.{COMMAND_TAG} = '{COMMAND}'", experiment)
    return sorted((run for run in runs if run.info.status == "FINISHED"), key=lambda run: int(run.info.start_time))


def log_history(model: ModelInUse, metrics: Mapping[str, float]) -> None:
    """Log metrics to the run that trained the model, and to its logged model, at the next step of their history."""
    if model.run is None:
        return
    client, run_id = MlflowClient(), model.run.info.run_id
    step = 1 + max((metric.step for metric in client.get_metric_history(run_id, HISTORY)), default=0)
    now = int(time.time() * 1000)
    logged = logged_model(model.run)
    model_id = None if logged is None else logged.model_id
    client.log_batch(
        run_id, metrics=[Metric(name, value, now, step, model_id=model_id) for name, value in metrics.items()]
    )


def compare_with_promotion(version: ModelVersion, in_use: Mapping[str, Estimate]) -> UseComparison:
    """Compare corrections with the report of the version's promotion."""
    run_id, card = version.tags.get("promotion_run"), version.tags.get("model_card")
    if not run_id or not card:
        return withheld("the version was registered without a promotion")
    try:
        folder = mlflow.artifacts.download_artifacts(f"runs:/{run_id}/{PurePosixPath(card).parent}/report")
        report = EvaluationReport.load(Path(folder))
    except (MlflowException, OSError, DataError):
        return withheld(f"the report of its promotion (run {run_id}) cannot be read")
    return compare_use(in_use, report.numbers)


def tag_version(version: ModelVersion, comparison: UseComparison, summary: str, when: str) -> None:
    """Set the tags of a version; a version that was once found worse keeps that tag until a person removes it."""
    client = MlflowClient()
    tags = {LATEST_TAG: f"{when}: {summary}; {comparison}"}
    if comparison.verdict is UseVerdict.WORSE:
        synthetic = " (promoted on synthetic films)" if version.tags.get("synthetic_films") == "true" else ""
        tags[WORSE_TAG] = f"{when}: {comparison}{synthetic}"
    for name, text in tags.items():
        client.set_model_version_tag(version.name, version.version, name, text)
