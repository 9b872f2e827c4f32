"""Summaries of the commands that list and clean the store, or show films. Imports nothing slow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from spondylo_ml.cli.summaries.table import aligned

if TYPE_CHECKING:
    from mlflow.entities import Run

    from spondylo_ml.workflows.clean import Cleaning, OldCheckpoints, OldFiles
    from spondylo_ml.workflows.list_store import Listing
    from spondylo_ml.workflows.show import Shown


def list_summary(listing: Listing) -> str:
    """The table of a list, and how many rows it leaves out."""
    if len(listing.rows) == 1:
        return listing.nothing
    more = [f"and {listing.left_out} more: --count {listing.left_out + len(listing.rows) - 1}"]
    return "\n".join([*aligned(listing.rows), *(more if listing.left_out else [])])


def show_summary(result: Shown) -> str:
    """Where the pictures are."""
    return f"{result.n_films} film(s) of {result.of_films}: open {result.page}"


def clean_summary(cleaning: Cleaning) -> str:
    """What was deleted or would be, what is kept and why, and what to do next."""
    state = "deleted" if cleaning.deleted else "would be deleted"
    n_files = sum(len(item.files) for item in cleaning.checkpoints)
    lines = [
        *(f"run {_named(item)} was killed: its state is no longer RUNNING but KILLED" for item in cleaning.killed),
        *(
            f"run {run_id} was killed, but its state could not be changed: {why}"
            for run_id, why in cleaning.refusals.items()
        ),
        f"checkpoints: {n_files} file(s) of {len(cleaning.checkpoints)} run(s), {_size(cleaning.checkpoints)}, {state}",
        *_aligned(
            [*_run_cells(item.run, cleaning), megabytes(item.n_bytes), ", ".join(file.name for file in item.files)]
            for item in cleaning.checkpoints
        ),
        *_kept(cleaning.kept_checkpoints, "with checkpoints kept"),
        f"runs: {len(cleaning.runs)} {state}",
        *_aligned(_run_cells(run, cleaning) for run in cleaning.runs),
        *_kept(cleaning.kept_runs, "kept"),
        f"artefacts and models: of {len(cleaning.files)} run(s), {_size(cleaning.files)}, {state}",
        *_aligned([*_run_cells(item.run, cleaning), megabytes(item.n_bytes)] for item in cleaning.files),
        *(
            f"artefacts and models of run {run_id} cannot be deleted now: {why}"
            for run_id, why in cleaning.unreachable_files.items()
        ),
    ]
    if cleaning.unknown_folders:
        folders = ", ".join(map(str, cleaning.unknown_folders))
        lines.append(f"left alone, since they belong to no run of this store: {folders}")
    return "\n".join([*lines, *_next_step(cleaning)])


def _size(items: Iterable[OldCheckpoints | OldFiles]) -> str:
    return megabytes(sum(item.n_bytes for item in items))


def _named(run: Run) -> str:
    return f"{run.info.run_id} ({run.info.run_name})" if run.info.run_name else str(run.info.run_id)


def _run_cells(run: Run, cleaning: Cleaning) -> list[str]:
    run_id = run.info.run_id
    rank = f"rank {cleaning.ranks[run_id]}" if run_id in cleaning.ranks else ""
    return [run_id, run.info.run_name or "", run.info.status.lower(), f"{cleaning.ages_days[run_id]:.0f} days", rank]


def _aligned(rows: Iterable[list[str]]) -> list[str]:
    """The rows aligned in columns; nothing for no row."""
    listed_rows = list(rows)
    return aligned(listed_rows) if listed_rows else []


def _kept(counts: Counter[str], what: str) -> Iterator[str]:
    for reason, count in counts.most_common():
        yield f"  {count} {what}: {reason}"


def _next_step(cleaning: Cleaning) -> Iterator[str]:
    if not cleaning.deleted:
        if cleaning.checkpoints or cleaning.runs or cleaning.files:
            size = megabytes(cleaning.n_bytes)
            yield f"Nothing was deleted. To delete what is listed ({size}): the same command with --delete true"
        return
    if cleaning.checkpoints or cleaning.files:
        yield f"{megabytes(cleaning.n_bytes)} freed"
    if cleaning.runs:
        what = "the metrics, parameters and tags of a run" if cleaning.files else "a run with its files"
        yield f"Restore {what}: mlflow runs restore --run-id <run id>"


def megabytes(n_bytes: int) -> str:
    """A size in megabytes of a million bytes."""
    return f"{n_bytes / 1e6:,.1f} MB"
