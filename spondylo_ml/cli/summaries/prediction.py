"""Summary of a prediction."""

from __future__ import annotations

from collections.abc import Sequence

from spondylo_ml.cli.summaries import next_steps
from spondylo_ml.cli.summaries.not_used import not_used
from spondylo_ml.cli.summaries.table import named_values
from spondylo_ml.data.film_files import NAMES_FILE
from spondylo_ml.disclaimer import DISCLAIMER
from spondylo_ml.workflows.predict.workflow import Failure, PredictionResult

LISTED_FILMS = 20


def prediction_summary(result: PredictionResult) -> str:
    """Summary of a prediction, with the file names of the films, which only the terminal shows."""
    n_unread = len(result.unread)
    before = f", {result.n_before} of them from before" if result.n_before else ""
    rows = [
        ("films", f"{len(result.films)}, {len(result.films) - n_unread} with results{before}"),
        ("model", result.model),
        ("page", str(result.folder / "index.html")),
        ("tables", f"{result.folder}: predictions.json, films.csv, levels.csv, corners.csv"),
    ]
    if result.dicom_folder is not None:
        n_written = len(result.films) - n_unread - len(result.without_dicom)
        rows.append(
            ("DICOM", f"{result.dicom_folder}: a report and an overlay of {n_written} film(s), with patients' names")
        )
    films = [f"  {film.film_id}  {film.path}" for film in result.films[:LISTED_FILMS]]
    if more := len(result.films) - len(films):
        names = result.folder / NAMES_FILE
        films.append(
            f"  and {more} more, in {names}"
            if names.exists()
            else f"  and {more} more: --private_names true writes them all to {NAMES_FILE}"
        )
    compared = [f"{len(result.compared)} pair(s) of films compared (changes.csv):"] if result.compared else []
    compared += [f"  {pair.title}: {pair.verdict}" for pair in result.compared[:LISTED_FILMS]]
    if (more_pairs := len(result.compared) - LISTED_FILMS) > 0:
        compared.append(f"  and {more_pairs} more")
    compared += [f"  {film.film_id} was compared with no film: {film.reason}" for film in result.not_compared]
    following = next_steps.choose_films(result.asked_for)
    if result.draft_format is not None:
        following = next_steps.correct_drafts(result.folder, result.draft_format)
    failed = _failures("film(s) that the server did not send:", result.not_sent)
    failed += _failures("film(s) without a result:", result.unread)
    failed += _failures("film(s) with a result, but without DICOM objects:", result.without_dicom)
    return "\n".join(
        [
            named_values(rows),
            "Names of the films in the results:",
            *films,
            *not_used(result.skipped, result.notes),
            *compared,
            *failed,
            following,
            DISCLAIMER,
        ]
    )


def _failures(what: str, failures: Sequence[Failure]) -> list[str]:
    lines = [f"  {failure.path} ({failure.film_id}): {failure.reason}" for failure in failures]
    return [f"{len(failures)} {what}", *lines] if failures else []
