"""Summary of the corrections of drafts."""

from __future__ import annotations

from spondylo_ml.cli.summaries import next_steps
from spondylo_ml.cli.summaries.table import aligned
from spondylo_ml.cli.summaries.where import where_to_see
from spondylo_ml.evaluation.catalogue import metric_definition
from spondylo_ml.evaluation.correction_rates import CORRECTED, REVIEWED
from spondylo_ml.pages.comparison_page import interval_text
from spondylo_ml.pages.corrections_page import level_table, review_table
from spondylo_ml.serving.local_model import STARTER
from spondylo_ml.workflows.corrections import CorrectionsResult

LISTED_FILMS = 20


def corrections_summary(result: CorrectionsResult) -> str:
    """Films by review, what was corrected, levels, the version in use, and where the results are."""
    lines = [f"model: {result.drafts.model}, digest {result.drafts.digest[:12] or 'not stated'}"]
    lines += [f"warning: {warning}" for warning in result.warnings]
    not_back = result.films.not_back
    lines += [f"  {result.names.get(name, name)}: {reason}" for name, reason in not_back[:LISTED_FILMS]]
    if (more := len(not_back) - LISTED_FILMS) > 0:
        lines.append(f"  and {more} more, in not_back.csv")
    groups = [group for group in (REVIEWED, CORRECTED) if group in result.numbers]
    shown = [name for name, estimate in result.numbers[REVIEWED].items() if estimate.n]
    rows = [["", *(f"{group} films" for group in groups)]]
    for name in shown:
        definition = metric_definition(name)
        cells = (interval_text(result.numbers[group][name], definition.digits) for group in groups)
        rows.append([definition.heading, *cells])
    levels = [[cell.replace("\n", " ") for cell in row] for row in level_table(result.levels)]
    tables = (review_table(result.corrections.films), rows, levels)
    lines += [line for table in tables for line in ("", *aligned(table))]
    lines += ["", *(f"{name}: {comparison}" for name, comparison in result.comparisons.items())]
    lines.append("in brackets: 95 % intervals over patients")
    return "\n".join([*lines, f"run {result.run_id}", _next_step(result), where_to_see(result.run_id)])


def _next_step(result: CorrectionsResult) -> str:
    """To train on the corrected labels, from the model that drafted if its name says which it is."""
    drafted_by = STARTER if result.drafts.model.endswith(f", {STARTER}") else "<the model that drafted>"
    n_patients = len({film.patient for film in result.films.corrected})
    return next_steps.train_on(result.data, result.trained_by or drafted_by, n_patients)
