"""The last lines of a verb: a small table, and where to look."""

from __future__ import annotations

from collections.abc import Mapping

import mlflow

from spondylo_ml.evaluation.intervals import Estimate
from spondylo_ml.evaluation.report import EvaluationReport
from spondylo_ml.workflows.evaluate import Judgement
from spondylo_ml.workflows.train import CHECKPOINTS, TrainResult

DISCLAIMER = "Research software, not a medical device."


def trained(result: TrainResult) -> str:
    """Summary of a training."""
    best = result.fit.best
    rows = [
        ("best epoch", f"{result.fit.best_epoch} of {result.fit.history[-1]['epoch']}"),
        ("val MRE", f"{best['val/mre_px512']:.2f} px512"),
        ("val median", f"{best['val/median_px512']:.2f} px512"),
        ("val SDR@6 / @24", f"{best['val/sdr_6px']:.1f} % / {best['val/sdr_24px']:.1f} %"),
        ("val mean shape", f"{result.mean_shape_mre_px512:.2f} px512 (the trivial predictor)"),
        ("run", result.run_id),
    ]
    if result.unsent:
        folder = CHECKPOINTS / result.run_id
        rows.append(("not sent", f"{result.unsent} log calls; the copies lie in {folder}"))
    return _table(rows) + "\n" + _where(result.run_id)


def judged(judgement: Judgement) -> str:
    """Summary of an evaluation."""
    metrics = judgement.metrics
    rows = [("films", f"{judgement.n_films}, {judgement.n_labelled} with labels")]
    if judgement.n_labelled:
        rows += _judged_rows(judgement.report, metrics) if judgement.report else []
    else:
        rows.append(("no labels", "predictions and overlays only: nothing can be measured"))
    return _table([*rows, ("run", judgement.run_id)]) + "\n" + _where(judgement.run_id)


def _judged_rows(report: EvaluationReport, metrics: Mapping[str, float]) -> list[tuple[str, str]]:
    numbers, anatomy = report.numbers, report.tables["anatomy"]
    causes = {kind: row["share_of_error_percent"].value for kind, row in anatomy.items()}
    told = [f"{kind} {share:.0f} %" for kind, share in sorted(causes.items(), key=lambda c: -c[1]) if share >= 0.5]
    rows = [
        ("MRE", f"{_interval(numbers['mre_px512'], 2)} px512, {metrics['mre_px']:.2f} px of the film"),
        ("mean shape", f"{metrics['mean_shape_mre_px512']:.2f} px512 (the trivial predictor)"),
        ("SDR@6 / @24", f"{_interval(numbers['sdr_6px'])} % / {_interval(numbers['sdr_24px'])} %"),
        ("presence", f"precision {metrics['presence_precision']:.1f} %, recall {metrics['presence_recall']:.1f} %"),
        ("by instance", f"MRE {_interval(numbers['instance_mre_px512'], 2)} px512, F1 {metrics['detection_f1']:.1f} %"),
        ("error is", ", ".join(told) or "none"),
    ]
    if "slip_mae_percent" in numbers:
        withheld = report.counts["levels_true_slip_withheld"] + report.counts["levels_predicted_slip_withheld"]
        text = f"MAE {_interval(numbers['slip_mae_percent'])} %, grade right {_interval(numbers['grade_accuracy'])} %"
        rows.append(("slip", f"{text}; {withheld} of {report.counts['levels']} levels withheld"))
    if "slip_set_coverage" in numbers:
        kept = numbers["grade_accuracy_not_referred"]
        text = f"true slip inside {_interval(numbers['slip_set_coverage'])} %, {kept.n} levels not referred"
        rows.append(("intervals", f"{text}, their grade right {_interval(kept)} %"))
    if "cobb_smape_percent" in numbers:
        rows.append(
            ("Cobb SMAPE", f"{_interval(numbers['cobb_smape_percent'])} %, n {numbers['cobb_smape_percent'].n}")
        )
    resampled = f"{report.confidence:.0%} intervals over {report.n_patients} patients"
    return [*rows, ("in brackets", resampled)]


def _interval(estimate: Estimate, digits: int = 1) -> str:
    if estimate.value != estimate.value:
        return "none"
    if estimate.low != estimate.low:
        return f"{estimate.value:.{digits}f}"
    return f"{estimate.value:.{digits}f} [{estimate.low:.{digits}f}, {estimate.high:.{digits}f}]"


def _table(rows: list[tuple[str, str]]) -> str:
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"  {name:<{width}}  {value}" for name, value in rows)


def _where(run_id: str) -> str:
    uri = mlflow.get_tracking_uri()
    if uri.startswith("http"):
        experiment = mlflow.get_run(run_id).info.experiment_id
        look = f"See it: {uri.rstrip('/')}/#/experiments/{experiment}/runs/{run_id}"
    else:
        look = f"See it: mlflow ui --backend-store-uri {uri}, then http://127.0.0.1:5000"
    return f"{look}\n{DISCLAIMER}"
