"""The last lines of a verb: a small table, and where to look."""

from __future__ import annotations

import mlflow

from spondylo_ml.data.audit.findings import Severity
from spondylo_ml.workflows.audit import REPORT, AuditResult
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
        rows += [
            ("MRE", f"{metrics['mre_px512']:.2f} px512, {metrics['mre_px']:.2f} px of the film"),
            ("mean shape", f"{metrics['mean_shape_mre_px512']:.2f} px512 (the trivial predictor)"),
            ("SDR@6 / @24", f"{metrics['sdr_6px']:.1f} % / {metrics['sdr_24px']:.1f} %"),
            ("presence", f"precision {metrics['presence_precision']:.1f} %, recall {metrics['presence_recall']:.1f} %"),
        ]
    else:
        rows.append(("no labels", "predictions and overlays only: nothing can be measured"))
    return _table([*rows, ("run", judgement.run_id)]) + "\n" + _where(judgement.run_id)


def audited(result: AuditResult) -> str:
    """Summary of an audit; the errors in full, of the rest the numbers."""
    found = result.audit
    rows = [("films", str(result.n_films)), *((name, str(count)) for name, count in found.counts().items())]
    errors = [f"  {finding}" for finding in found.of(Severity.ERROR)]
    listed = ["Errors:", *errors] if errors else ["No errors."]
    rows += [("digest", found.digest[:16]), ("report", f"{REPORT}, under Artifacts"), ("run", result.run_id)]
    return "\n".join([_table(rows), *listed, _where(result.run_id)])


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
