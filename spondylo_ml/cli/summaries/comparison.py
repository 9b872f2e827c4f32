"""Summary of `compare`: the verdict on each run, and its differences from the first run."""

from __future__ import annotations

import math

from spondylo_ml.cli.summaries.table import aligned
from spondylo_ml.cli.summaries.where import where_to_see
from spondylo_ml.evaluation.catalogue import metric_definition
from spondylo_ml.evaluation.run_verdict import METRICS, digits_of_difference, p_text
from spondylo_ml.pages.comparison_page import ComparisonData, interval_text
from spondylo_ml.workflows.compare import Comparison, film_differences


def comparison_summary(comparison: Comparison) -> str:
    """Summary of a comparison: each run against the first run."""
    data = comparison.data
    blocks = [
        "\n".join([verdict.sentence, *(f"  {text}" for text in verdict.details), _against(data, run)])
        for run, verdict in zip(data.runs[1:], data.verdicts(), strict=True)
    ]
    warnings = [f"warning: {remark}" for remark in data.remarks]
    note = f"{data.dataset}; in brackets: intervals over patients"
    return "\n".join([*warnings, *blocks, note, f"run {comparison.run_id}", where_to_see(comparison.run_id)])


def _against(data: ComparisonData, run: str) -> str:
    baseline = data.runs[0]
    rows = [["", "first", "this", "difference", "Wilcoxon p", "effect"]]
    for d in data.differences[run]:
        if d.metric in METRICS:
            digits = metric_definition(d.metric).digits
            values = [interval_text(data.numbers[name][d.metric], digits) for name in (baseline, run)]
            p = p_text(d.wilcoxon_p) or "none"
            effect = "none" if math.isnan(d.rank_biserial) else f"{d.rank_biserial:+.2f}"
            rows.append(
                [d.metric, *values, interval_text(d.difference, digits_of_difference(d, digits + 1)), p, effect]
            )
    change = film_differences(data, run)
    return "\n".join(
        [
            f"{run} against {baseline}",
            *aligned(rows),
            f"  films better {int((change < 0).sum())}, worse {int((change > 0).sum())}",
        ]
    )
