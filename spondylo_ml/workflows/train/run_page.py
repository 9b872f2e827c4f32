"""The page of a training run: its kept weights on the validation films, and how they were reached."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import mlflow

from spondylo_ml.config import Config
from spondylo_ml.data.films import digest
from spondylo_ml.data.synthetic import PHANTOM_KIND
from spondylo_ml.evaluation.evaluate_predictions import ReportHeader, evaluate_predictions
from spondylo_ml.evaluation.prediction_set import PredictionSet
from spondylo_ml.models.zoo import parameter_count
from spondylo_ml.serving.bundle import Bundle
from spondylo_ml.training.fit import FitResult
from spondylo_ml.workflows.shared.run_page import RunFacts, log_run_page

RESAMPLES = 200
"""Enough for the intervals of a page; `evaluate` takes more."""

CURVES = {"validation MRE": "val/mre_px512", "training MRE": "train/mre_px512", "training loss": "train/loss"}
FILES = (
    ("config.yaml", "the whole configuration; train --recipe config.yaml repeats the run"),
    ("uncertainty/levels.csv", "interval, grade probabilities and verdict of each validation level"),
    ("data/", "remarks on the films, and which films are in which part"),
    ("images/", "validation films as the training went on"),
)


def log_training_page(
    result: FitResult,
    bundle: Bundle,
    predictions: PredictionSet,
    mean_shape_mre_px512: float,
    dataset: str,
    differences: Mapping[str, Any],
) -> None:
    """Log the page to the active run.

    Args:
        predictions: of the kept weights on the validation films.
        differences: settings that differ from the recipe, by name.
    """
    run = mlflow.active_run()
    if run is None:
        raise ValueError("the page of a training run is logged within the run; none is active")
    header = ReportHeader(dataset, "val", digest(predictions.films, bundle.slots), resamples=RESAMPLES)
    report = evaluate_predictions(predictions, bundle.config.clinical, header)
    about = RunFacts(
        title=str(run.info.run_name),
        facts=_facts(result, bundle, dataset),
        synthetic=bundle.config.data.kind == PHANTOM_KIND,
        mean_shape_mre_px512=mean_shape_mre_px512,
        differences={name: str(value) for name, value in differences.items()},
        curves={label: _curve(result, name) for label, name in CURVES.items()},
        files=FILES,
    )
    log_run_page(about, predictions, report, bundle.config.clinical)


def _facts(result: FitResult, bundle: Bundle, dataset: str) -> list[tuple[str, str]]:
    config: Config = bundle.config
    return [
        ("model", f"{config.model.name}, {parameter_count(bundle.model):,} parameters"),
        ("preset", config.preset),
        ("films", dataset),
        ("best epoch" if result.lost_best is None else "kept epoch", result.epoch_text),
        ("trained for", f"{result.training_s / 60:.1f} min"),
    ]


def _curve(result: FitResult, name: str) -> list[tuple[int, float]]:
    points = [(int(row["epoch"]), float(row.get(name, math.nan))) for row in result.history]
    return [(epoch, value) for epoch, value in points if not math.isnan(value)]
