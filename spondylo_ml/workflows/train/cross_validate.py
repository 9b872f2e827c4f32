"""`train --folds 5`: train each fold in a child run, then evaluate all films out of fold."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import mlflow
import pandas as pd
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from spondylo_ml.config import Config
from spondylo_ml.config.differences import recipe_differences
from spondylo_ml.config.experiments import EXPERIMENT
from spondylo_ml.data.loading import load_films
from spondylo_ml.disclaimer import DISCLAIMER
from spondylo_ml.errors import DataError, TrackingError
from spondylo_ml.evaluation.headline import EPOCH, rounded
from spondylo_ml.evaluation.leaderboard import spread_statistics
from spondylo_ml.evaluation.out_of_fold import FOLDER, OutOfFold, pooled_headline
from spondylo_ml.film_bar import film_bar
from spondylo_ml.nan import drop_nan
from spondylo_ml.serving.artefact import fetch_bundle
from spondylo_ml.serving.predictor import Predictor
from spondylo_ml.tracking.checkpoints import checkpoint_folder
from spondylo_ml.tracking.claim import claim_run
from spondylo_ml.tracking.provenance import log_environment, require_same_films
from spondylo_ml.tracking.resume import (
    CROSS_VALIDATION_FILE,
    FOLDS_TAG,
    how_to_resume_folds,
    resumed_config,
)
from spondylo_ml.tracking.run_metrics import BEST, all_metrics
from spondylo_ml.tracking.store import DESCRIPTION_TAG, PARENT_TAG, chosen_experiment, get_run, open_run
from spondylo_ml.tracking.store_check import require_store
from spondylo_ml.tracking.training_lock import training_lock
from spondylo_ml.workflows.train.resumable import find_resumable
from spondylo_ml.workflows.train.settings import log_settings
from spondylo_ml.workflows.train.workflow import train

log = logging.getLogger(__name__)

FOLD_PARAM = "config.data.fold"
LOGGED = ("mean", "sd")
FOLDS_TABLE = f"{FOLDER}/between_folds.csv"


@dataclass(frozen=True)
class CrossValidation:
    """The result of `train --folds`.

    Attributes:
        pooled: metrics over all films, each predicted by the fold that was not trained on it, with `_low`, `_high` and
            `_n`.
        between: mean and spread of the folds' validation metrics, by metric.
    """

    run_id: str
    fold_runs: tuple[str, ...]
    pooled: Mapping[str, float]
    between: Mapping[str, Mapping[str, float]]


def cross_validate(config: Config, resumed: Run | None = None) -> CrossValidation:
    """Train each fold that is not finished yet in a child run, then evaluate all films out of fold.

    Args:
        config: with `data.folds`.
        resumed: the parent run of a cross-validation to resume.

    Raises:
        SpondyloError: as `train`; fewer patients than folds.
    """
    require_store()
    count = config.data.folds
    assert count is not None
    experiment = chosen_experiment(config.tracking.experiment, EXPERIMENT)
    name = config.tracking.run_name or f"{config.model.name} {count} folds"
    resumed_id = resumed.info.run_id if resumed else None
    with (
        claim_run(resumed_id),
        open_run(experiment, name, resumed_id, command="train", how_to_resume=how_to_resume_folds) as run_id,
        training_lock(checkpoint_folder(run_id)),
    ):
        if resumed is not None:
            _adopt(resumed, run_id)
        mlflow.set_tags({FOLDS_TAG: str(count), "model": config.model.name, "preset": config.preset})
        mlflow.log_text(config.model_dump_json(indent=1), CROSS_VALIDATION_FILE)
        log_settings(config, recipe_differences(config))
        log_environment()
        run_ids = tuple(_fold_run(config, fold, run_id, name) for fold in range(1, count + 1))
        pooled, files = _evaluate_out_of_fold(config, run_ids)
        between = _spread_between_folds(run_ids)
        _log_metrics(pooled, between)
        for path, text in files.items():
            mlflow.log_text(text, path)
        result = CrossValidation(run_id, run_ids, pooled, between)
        mlflow.set_tag(DESCRIPTION_TAG, _description(result))
    return result


def _adopt(former: Run, run_id: str) -> None:
    """Move the fold runs of the former parent to this run, if `mlflow run` opened a new parent."""
    if former.info.run_id != run_id:
        for run in _children(former.info.run_id, former.info.experiment_id):
            MlflowClient().set_tag(run.info.run_id, PARENT_TAG, run_id)


def _children(parent_id: str, experiment_id: str) -> list[Run]:
    """The child runs, the newest first."""
    experiments = {experiment_id, get_run(parent_id).info.experiment_id}
    return list(
        MlflowClient().search_runs(
            sorted(experiments), f"tags.`{PARENT_TAG}` = '{parent_id}'", order_by=["attributes.start_time DESC"]
        )
    )


def _fold_run(config: Config, fold: int, parent_id: str, name: str) -> str:
    """Id of the finished run of a fold: an existing run, a resumed one or a new one."""
    fold_name = f"{name}: fold {fold} of {config.data.folds}"
    fold_config = config.model_copy(
        update={
            "data": config.data.model_copy(update={"fold": fold}),
            "tracking": config.tracking.model_copy(update={"run_name": fold_name}),
        }
    )
    parent = get_run(parent_id)
    runs = [r for r in _children(parent_id, parent.info.experiment_id) if r.data.params.get(FOLD_PARAM) == str(fold)]
    if finished := [run for run in runs if run.info.status == "FINISHED"]:
        log.info("%s: finished already, kept (run %s)", fold_name, finished[0].info.run_id)
        return str(finished[0].info.run_id)
    for run in runs:
        try:
            resume, point = find_resumable(run.info.run_id)
        except (TrackingError, DataError) as error:
            log.warning("%s: run %s cannot be resumed: %s", fold_name, run.info.run_id, error)
            continue
        log.info("%s: resumed after epoch %d (run %s)", fold_name, point.epoch + 1, run.info.run_id)
        return train(resumed_config(resume.config, _machine_values(fold_config)), resume).run_id
    log.info("%s: started", fold_name)
    return train(fold_config).run_id


def _machine_values(config: Config) -> dict[str, Any]:
    """The values that may differ when a fold is resumed: the folder of the films and the hardware."""
    return {
        "data": config.data.model_dump(mode="json", include={"path", "on_audit_error"}),
        "training": config.training.model_dump(mode="json", include={"device", "workers", "preflight"}),
    }


def _evaluate_out_of_fold(config: Config, run_ids: Sequence[str]) -> tuple[dict[str, float], dict[str, str]]:
    """Predict the validation films of each fold with its model; returns the metrics and files of all films."""
    pooled: OutOfFold | None = None
    for run_id in run_ids:
        bundle = fetch_bundle(run_id)
        films = load_films(bundle.config.data.model_copy(update={"path": config.data.path}))
        require_same_films(run_id, films, ["val"])
        pooled = pooled or OutOfFold(films.name, films.slots)
        val = [film for film in films.part("val") if film.labelled]
        with film_bar("predicting films out of fold", len(val)) as bar:
            pooled.add(val, Predictor(bundle).predict(val, bar.update))
    assert pooled is not None
    return pooled.evaluate(config.clinical)


def _spread_between_folds(run_ids: Sequence[str]) -> dict[str, dict[str, float]]:
    """Mean and spread of the folds' best validation metrics, by metric."""
    runs = [all_metrics(get_run(run_id)) for run_id in run_ids]
    names = sorted({name for metrics in runs for name in metrics if name.startswith(BEST)})
    out = {}
    for name in names:
        values = [v for metrics in runs if not math.isnan(v := metrics.get(name, math.nan))]
        if not values:
            continue
        numbers = spread_statistics(values)
        numbers["n"] = numbers.pop("n_seeds")
        out[name.removeprefix(BEST)] = {"mean": sum(values) / len(values), **numbers}
    return out


def _log_metrics(pooled: Mapping[str, float], between: Mapping[str, Mapping[str, float]]) -> None:
    """Log the headline of the pooled metrics, and mean and spread of those of an epoch; the rest is in tables."""
    mlflow.log_metrics(pooled_headline(pooled))
    spread = {f"{name}_{part}": v for name in EPOCH for part, v in between.get(name, {}).items() if part in LOGGED}
    mlflow.log_metrics({f"folds/{name}": rounded(name, value) for name, value in drop_nan(spread).items()})
    rows = pd.DataFrame.from_dict({name: dict(numbers) for name, numbers in between.items()}, orient="index")
    mlflow.log_text(rows.to_csv(index_label="metric"), FOLDS_TABLE)


def _description(result: CrossValidation) -> str:
    mre = {part: result.pooled[f"{FOLDER}/mre_px512{part}"] for part in ("", "_low", "_high", "_n")}
    between = result.between["mre_px512"]
    return f"""Cross-validation by patient, {len(result.fold_runs)} folds. Each film is predicted by the fold that was \
not trained on it.

| | MRE px512 |
| --- | --- |
| all films together | {mre[""]:.2f} [{mre["_low"]:.2f}, {mre["_high"]:.2f}], n {mre["_n"]:.0f} corners |
| folds | mean {between["mean"]:.2f}, standard deviation {between["sd"]:.2f}, n {between["n"]:.0f} |

Tables are under `{FOLDER}`. The epoch of each fold was chosen on its own validation films, so the numbers are \
slightly optimistic.

{DISCLAIMER}
"""
