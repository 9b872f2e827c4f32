"""Summary of the comparison of several readers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from spondylo_ml.cli.summaries.table import aligned
from spondylo_ml.cli.summaries.where import where_to_see
from spondylo_ml.evaluation.catalogue import metric_definition
from spondylo_ml.evaluation.intervals import Estimates
from spondylo_ml.evaluation.reader_agreement import disagreement_counts
from spondylo_ml.pages.comparison_page import interval_text
from spondylo_ml.pages.readers_page import model_verdict
from spondylo_ml.workflows.readers import ReadersResult

BETWEEN_READERS = ("mre_px512", "mre_mm", "sdr_6px", "slip_bias_percent", "slip_icc_2_1", "grade_kappa")
OF_MODEL = ("mre_px512", "mre_mm", "sdr_6px", "slip_error_percent", "grade_accuracy")
LISTED_FILMS = 20


def readers_summary(result: ReadersResult) -> str:
    """Who is who, the films that were left out, agreement, disagreements, the model, and where the results are."""
    study = result.study
    lines = [f"  reader {reader}: {folder}" for reader, folder in result.folders.items()]
    lines += [f"warning: {warning}" for warning in result.warnings]
    lines += [f"  {name}: {', '.join(states)}" for name, states in study.incomplete[:LISTED_FILMS]]
    if (more := len(study.incomplete) - LISTED_FILMS) > 0:
        lines.append(f"  and {more} more, in films.csv")
    lines += ["", *_table(result.agreement.numbers, BETWEEN_READERS), ""]
    for pair, counts in disagreement_counts(result.agreement.disagreements).items():
        lines.append(f"{pair}: {', '.join(f'{count} bodies {kind}' for kind, count in counts.items())}")
    lines.append(f"consensus: {len(result.consensus.spread)} corners; {len(result.consensus.open_levels)} levels open")
    if result.model is not None:
        verdict = model_verdict(result.model)
        lines += ["", *_table(result.model.errors, OF_MODEL), "", verdict.sentence, *verdict.details]
    if result.written is not None:
        lines.append(f"consensus labels written as {result.written.films.kind} to {result.written.folder}")
        lines += [f"not stored by this layout: {loss}" for loss in result.written.losses]
    note = f"{len(study.films)} films that all readers labelled; in brackets: 95 % intervals over patients"
    return "\n".join([*lines, note, f"run {result.run_id}", where_to_see(result.run_id)])


def _table(numbers: Mapping[str, Estimates], metrics: Sequence[str]) -> list[str]:
    """One row per group, one column per metric that some group has."""
    shown = [name for name in metrics if any(name in group and group[name].n for group in numbers.values())]
    rows = [["", *(metric_definition(name).heading for name in shown)]]
    for group, estimates in numbers.items():
        cells = (
            interval_text(estimates[name], metric_definition(name).digits) if name in estimates else ""
            for name in shown
        )
        rows.append([group, *cells])
    return aligned(rows)
