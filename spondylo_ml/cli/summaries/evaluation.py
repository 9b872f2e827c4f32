"""Summaries of evaluations and diagnoses."""

from __future__ import annotations

from collections.abc import Mapping

from spondylo_ml.cli.summaries.metric_text import metric_text
from spondylo_ml.cli.summaries.table import named_values
from spondylo_ml.cli.summaries.where import where_to_see
from spondylo_ml.diagnosis.findings import dead_in
from spondylo_ml.evaluation.catalogue import metric_definition
from spondylo_ml.evaluation.intervals import Estimate
from spondylo_ml.evaluation.report import EvaluationReport
from spondylo_ml.pages.comparison_page import interval_text
from spondylo_ml.workflows.diagnose import PAGE, Diagnosis
from spondylo_ml.workflows.evaluate import EvaluationResult


def evaluation_summary(result: EvaluationResult) -> str:
    """Summary of an evaluation."""
    metrics = result.metrics
    films = f"{result.films}: {result.n_films}, {result.n_labelled} with labels"
    rows = [("model", result.model), ("films", films)]
    if result.chosen_on:
        rows.append(("remark", result.chosen_on))
    if result.n_labelled:
        rows += _evaluation_rows(result.report, metrics) if result.report else []
    else:
        rows.append(("no labels", "predictions and overlays only: nothing can be measured"))
    head = f"warning: {result.warning}\n" if result.warning else ""
    return head + named_values([*rows, ("run", result.run_id)]) + "\n" + where_to_see(result.run_id)


def diagnosis_summary(diagnosis: Diagnosis) -> str:
    """Summary of a diagnosis: the checks, then the findings."""
    report = diagnosis.report
    dead, channels = dead_in(diagnosis.layers)
    causes = {kind: row["share_of_error_percent"].value for kind, row in report.tables["anatomy"].items()}
    census = diagnosis.preflight.census
    rows = [(f"check {r.name}", f"{r.outcome.value}: {r.finding}") for r in diagnosis.preflight.results]
    rows += [
        ("val MRE", _interval(report.numbers, "mre_px512")),
        ("error is", _causes(causes)),
        ("dead channels", f"{dead} of {channels}"),
        ("no gradient", "not checked" if census is None else f"{len(census.unreached)} unused parameter tensors"),
        ("page", f"{PAGE}, under Artifacts"),
        ("run", diagnosis.run_id),
    ]
    findings = [f"{f.title}: {f.seen}\n  {f.meaning}\n  To do: {f.advice}" for f in diagnosis.findings]
    return "\n".join(
        [
            named_values(rows),
            *(findings or ["No finding: nothing needs to be changed."]),
            where_to_see(diagnosis.run_id),
        ]
    )


def _evaluation_rows(report: EvaluationReport, metrics: Mapping[str, float]) -> list[tuple[str, str]]:
    numbers, anatomy = report.numbers, report.tables["anatomy"]
    causes = {kind: row["share_of_error_percent"].value for kind, row in anatomy.items()}
    precision, recall, f1 = (
        metric_text(name, metrics[name]) for name in ("presence_precision", "presence_recall", "detection_f1")
    )
    rows = [
        ("MRE", f"{_interval(numbers, 'mre_px512')}, {metric_text('mre_px', metrics['mre_px'])} of the film"),
        ("mean shape", f"{metrics['mean_shape_mre_px512']:.2f} px512 (the trivial predictor)"),
        ("SDR@6 / @24", f"{_interval(numbers, 'sdr_6px')} / {_interval(numbers, 'sdr_24px')}"),
        ("presence", f"precision {precision}, recall {recall}"),
        ("by instance", f"MRE {_interval(numbers, 'instance_mre_px512')}, F1 {f1}"),
        ("error is", _causes(causes)),
    ]
    if "slip_mae_percent" in numbers:
        withheld = report.counts["levels_true_slip_withheld"] + report.counts["levels_predicted_slip_withheld"]
        withheld_text = f"{withheld} of {report.counts['levels']} levels withheld"
        rows.append(("slip", f"MAE {_interval(numbers, 'slip_mae_percent')}; {withheld_text}"))
        of_measured = f"of those measured {_interval(numbers, 'grade_accuracy')}"
        rows.append(("grade right", f"{_interval(numbers, 'grade_accuracy_all')} of all levels, {of_measured}"))
    if "slip_set_coverage" in numbers:
        n_kept = numbers["grade_accuracy_not_referred"].n
        unknown_percent = metric_text("slip_not_known_percent", numbers["slip_not_known_percent"].value)
        text = (
            f"true slip inside {_interval(numbers, 'slip_set_coverage')}, unknown for {unknown_percent} of the levels"
        )
        text = f"{text}; {n_kept} levels not referred"
        right = f", their grade right {_interval(numbers, 'grade_accuracy_not_referred')}" if n_kept else ""
        rows.append(("intervals", text + right))
    rows += _ap_rows(numbers)
    brackets = f"{report.confidence:.0%} intervals over {report.n_patients} patients"
    return [*rows, ("in brackets", brackets)]


def _ap_rows(numbers: Mapping[str, Estimate]) -> list[tuple[str, str]]:
    """Metrics of AP films, if some were evaluated."""
    if "cobb_smape_percent" not in numbers:
        return []
    smape = numbers["cobb_smape_percent"]
    absent = f", films without angles: {smape.n_absent}" if smape.n_absent else ""
    corners = ", ".join(_labelled(numbers, name) for name in ("nmse", "or_20px704", "or_40px704"))
    angles = ", ".join(_labelled(numbers, name) for name in ("cobb_smape_percent", "cobb_cmae_deg"))
    return [("AP corners", corners), ("AP angles", f"{angles}, n {smape.n}{absent}")]


def _labelled(numbers: Mapping[str, Estimate], metric: str) -> str:
    return f"{metric_definition(metric).label} {_interval(numbers, metric)}"


def _interval(numbers: Mapping[str, Estimate], metric: str) -> str:
    definition = metric_definition(metric)
    return f"{interval_text(numbers[metric], definition.digits)} {definition.unit}".rstrip()


def _causes(shares: Mapping[str, float]) -> str:
    """The causes of the error in percent, the largest first; causes below half a percent are left out."""
    causes = [f"{kind} {share:.0f} %" for kind, share in sorted(shares.items(), key=lambda c: -c[1]) if share >= 0.5]
    return ", ".join(causes) or "none"
