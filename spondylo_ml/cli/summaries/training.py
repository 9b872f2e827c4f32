"""Summaries of training runs."""

from __future__ import annotations

import math

from spondylo_ml.cli.summaries import next_steps
from spondylo_ml.cli.summaries.metric_text import metric_text
from spondylo_ml.cli.summaries.table import named_values
from spondylo_ml.cli.summaries.where import where_to_see
from spondylo_ml.evaluation.catalogue import format_value
from spondylo_ml.evaluation.out_of_fold import FOLDER
from spondylo_ml.evaluation.run_verdict import METRICS as COMPARED_METRICS
from spondylo_ml.workflows.train import TrainResult
from spondylo_ml.workflows.train.cross_validate import CrossValidation

TRAINED_METRICS = ("mre_px512", "median_px512", "sdr_6px", "sdr_24px")


def train_summary(result: TrainResult | CrossValidation) -> str:
    """Summary of a training run or a cross-validation."""
    if isinstance(result, CrossValidation):
        return _cross_validated(result)
    values = {name: metric_text(name, result.fit.best[f"val/{name}"]) for name in TRAINED_METRICS}
    trivial = f"mean shape, the trivial predictor: {result.mean_shape_mre_px512:.2f} px512"
    rows = [
        ("best epoch" if result.fit.lost_best is None else "kept epoch", result.fit.epoch_text),
        ("val MRE", f"{values['mre_px512']}, median {values['median_px512']}; {trivial}"),
        ("val SDR@6, @24", f"{values['sdr_6px']}, {values['sdr_24px']}"),
        ("run", result.run_id),
    ]
    if result.unsent:
        rows.append(("not sent", f"{result.unsent} log calls; their copies are in {result.folder}"))
    return "\n".join([named_values(rows), after_training(result), where_to_see(result.run_id)])


def after_training(result: TrainResult) -> str:
    """The next command, or why this run cannot become champion."""
    if result.fit.best["val/mre_px512"] >= result.mean_shape_mre_px512:
        return "It does not beat the mean shape, which ignores the film: train longer, or on more films."
    if not result.n_test:
        return (
            "The test part has no labelled film, so it cannot become champion: train with data.test_fraction above 0."
        )
    return next_steps.promote(result.run_id)


def _cross_validated(result: CrossValidation) -> str:
    """Metrics over all films out of fold, and the spread between folds."""
    rows = [("folds", f"{len(result.fold_runs)}, a child run each")]
    for metric in COMPARED_METRICS:
        pooled = [result.pooled.get(f"{FOLDER}/{metric}{part}", math.nan) for part in ("", "_low", "_high", "_n")]
        if not math.isnan(pooled[0]):
            value, low, high = (format_value(metric, number) for number in pooled[:3])
            text = f"{value} [{low}, {high}], n {pooled[3]:.0f}"
            if (between := result.between.get(metric)) is not None:
                mean, sd = (format_value(metric, between[part]) for part in ("mean", "sd"))
                text += f"; folds: mean {mean}, sd {sd}, n {between['n']:.0f}"
            rows.append((metric, text))
    rows += [("in brackets", "95% intervals over patients, all films out of fold"), ("run", result.run_id)]
    return named_values(rows) + "\n" + where_to_see(result.run_id)
