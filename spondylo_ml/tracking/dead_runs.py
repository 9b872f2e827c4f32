"""Runs that the store shows as running although their process was killed: name them, and end them as killed."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from spondylo_ml.tracking.outcome import record_reason
from spondylo_ml.tracking.resume import how_to_resume
from spondylo_ml.tracking.run_process import has_died, process_text
from spondylo_ml.tracking.search import search_runs

log = logging.getLogger(__name__)

_named: set[str] = set()
"""Runs of which this process has spoken: a cross-validation trains five times."""


def dead_runs() -> list[Run]:
    """The runs that were killed on this machine and are still shown as running, newest first."""
    return [run for run in search_runs("attributes.status = 'RUNNING'") if has_died(run)]


def name_dead_runs(except_run: str | None = None) -> None:
    """Say which runs were killed and are still shown as running, and what to do.

    Args:
        except_run: id of a run that is about to be resumed.
    """
    for run in dead_runs():
        run_id = run.info.run_id
        if run_id not in _named and run_id != except_run:
            _named.add(run_id)
            log.warning(
                "run %s (%s) was killed: the store shows it as running, but %s has ended. %s",
                run_id, run.info.run_name, process_text(run), _what_to_do(run_id),
            )  # fmt: skip


def end_dead_runs(runs: Iterable[Run]) -> None:
    """Set the state of these runs to KILLED, with the reason."""
    for run in runs:
        run_id = run.info.run_id
        record_reason(run_id, f"killed: {process_text(run)} ended without a word. {how_to_resume(run_id)}".rstrip(". "))
        MlflowClient().set_terminated(run_id, "KILLED")


def _what_to_do(run_id: str) -> str:
    marked = "python -m spondylo_ml clean sets its state to KILLED"
    resume = how_to_resume(run_id)
    return f"{resume}; {marked}" if resume else marked
