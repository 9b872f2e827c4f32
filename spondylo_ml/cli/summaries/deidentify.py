"""Summary of `deidentify`."""

from __future__ import annotations

from spondylo_ml.cli.summaries.not_used import not_used
from spondylo_ml.cli.summaries.table import aligned
from spondylo_ml.data.film_files import NAMES_FILE
from spondylo_ml.workflows.deidentify import LOOK, DeidentifyResult

LISTED_FILMS = 20


def deidentification_summary(result: DeidentifyResult) -> str:
    """What was written and masked, and each refused film with the reason; only the terminal shows names of files."""
    patients = {one.patient for one in result.written}
    masked = [one for one in result.written if one.masked]
    lines = [
        f"{len(result.written)} film(s) of {len(patients)} patient(s) written to {result.folder}/films; "
        "the table of all films is report.csv",
        f"pictures of them: {result.page}",
    ]
    if masked:
        lines.append(f"letters masked on {len(masked)} film(s):")
        rows = [[one.film.film_id, f"{len(one.masked)} place(s)", str(one.film.path)] for one in masked[:LISTED_FILMS]]
        lines += aligned(rows)
        lines += [f"  and {len(masked) - LISTED_FILMS} more, in report.csv"] if len(masked) > LISTED_FILMS else []
    if result.failed:
        lines.append(f"{len(result.failed)} film(s) refused:")
        lines += [f"  {one.film.path} ({one.film.film_id}): {one.error.reason}" for one in result.failed]
    lines += not_used(result.skipped, result.notes)
    if (result.folder / NAMES_FILE).exists():
        lines.append(f"{NAMES_FILE} says which film is which: delete it before you pass the folder on")
    return "\n".join([*lines, LOOK])
