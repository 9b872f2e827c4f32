"""Summary of the films to label first."""

from __future__ import annotations

import math

from spondylo_ml.active_learning.ranking import RankedFilm, State
from spondylo_ml.cli.summaries import next_steps
from spondylo_ml.cli.summaries.not_used import not_used
from spondylo_ml.cli.summaries.table import aligned
from spondylo_ml.cli.summaries.where import where_to_see
from spondylo_ml.disclaimer import DISCLAIMER
from spondylo_ml.workflows.next_films import NextResult

LISTED_FILMS = 20


def next_films_summary(result: NextResult) -> str:
    """The chosen films with their files, which only the terminal shows, and all that were set aside with the reason."""
    lines = [f"warning: {warning}" for warning in result.warnings]
    chosen = [one for one in result.ranked if one.state is State.CHOSEN]
    rows = [["", "film", "grade wrong", "moves px512", "labelled SD", "chosen SD", "file"]]
    rows += [_row(one, str(result.files[one.film.film_id])) for one in chosen[:LISTED_FILMS]]
    lines += ["", f"{len(chosen)} of {len(result.ranked)} films to label first:", *aligned(rows)]
    if (more := len(chosen) - LISTED_FILMS) > 0:
        lines.append(f"  and {more} more, in next.csv")
    detail = {failure.film_id: failure.reason for failure in result.failed}
    besides = [one for one in result.ranked if one.state not in (State.CHOSEN, State.LEFT)]
    lines += [f"{len(besides)} films without a rank:"] if besides else []
    lines += [
        f"  {result.files[one.film.film_id]} ({one.film.film_id}), {one.state.value}: "
        f"{detail.get(one.film.film_id, one.reason)}"
        for one in besides
    ]
    lines += not_used(result.skipped, result.notes)
    if result.folder is not None:
        lines.append(f"written to {result.folder}")
    lines.append(f"run {result.run_id}")
    if result.folder is not None and result.draft_format is not None:
        lines.append(next_steps.correct_drafts(result.folder, result.draft_format))
    return "\n".join([*lines, where_to_see(result.run_id), DISCLAIMER])


def _row(one: RankedFilm, file: str) -> list[str]:
    values = (one.film.doubt.probability * 100, one.film.shift.px512, one.nearest_labelled_sd, one.nearest_chosen_sd)
    forms = ("{:.0f} %", "{:.1f}", "{:.2f}", "{:.2f}")
    cells = ("unknown" if math.isnan(v) else form.format(v) for v, form in zip(values, forms, strict=True))
    return [str(one.number), one.film.film_id, *cells, file]
