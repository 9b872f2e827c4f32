"""Runs that the store shows as running although their process was killed: name them, and end them as killed."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from spondylo_ml.errors import TrackingError
from spondylo_ml.tracking.claim import existing_folders_locked
from spondylo_ml.tracking.killed import set_killed
from spondylo_ml.tracking.outcome import LONGEST_TAG, record_reason
from spondylo_ml.tracking.resume import how_to_resume
from spondylo_ml.tracking.run_process import HOST, has_died, process_text
from spondylo_ml.tracking.search import search_runs
from spondylo_ml.tracking.store import PARENT_TAG, get_run

log = logging.getLogger(__name__)

_NONE_KNOWN = "none known"
_named: set[str] = set()
"""Runs of which this process has spoken, or `_NONE_KNOWN`: a cross-validation trains five times."""


def dead_runs(experiment: str | None = None) -> list[Run]:
    """The runs that were killed on this machine and are still shown as running, newest first.

    The run of a study is not among them while another worker has a trial running.

    Args:
        experiment: name of the only experiment to search; None: all.

    Raises:
        TrackingError: there is no such experiment.
    """
    running = search_runs("attributes.status = 'RUNNING'", experiment)
    living = [run for run in running if HOST in run.data.tags and not has_died(run)]
    their_parents = {run.data.tags.get(PARENT_TAG) for run in living}
    return [run for run in running if has_died(run) and run.info.run_id not in their_parents]


def name_dead_runs(except_run: str | None = None) -> None:
    """Say which runs were killed and are still shown as running, and what to do.

    A store that does not answer is only logged, once: no command needs this.

    Args:
        except_run: id of a run that is about to be resumed.
    """
    try:
        _name_dead_runs(except_run)
    except (MlflowException, OSError) as error:
        if _NONE_KNOWN not in _named:
            _named.add(_NONE_KNOWN)
            log.warning("whether other runs were killed is not known: %s", _in_one_line(error))


def _name_dead_runs(except_run: str | None) -> None:
    for run in dead_runs():
        run_id = run.info.run_id
        if run_id not in _named and run_id != except_run:
            _named.add(run_id)
            log.warning(
                "run %s (%s) was killed: the store shows it as running, but %s has ended. %s",
                run_id, run.info.run_name, process_text(run), _what_to_do(run_id),
            )  # fmt: skip


def end_dead_runs(runs: Iterable[Run]) -> tuple[list[Run], dict[str, str]]:
    """Set the state of these runs to KILLED, with the reason, unless one was resumed meanwhile.

    Returns the runs whose state was set, and why that of others could not be, by run id.
    """
    ended, refusals = [], {}
    for run in runs:
        try:
            with existing_folders_locked(run, "sets its state to KILLED"):
                if has_died(get_run(run.info.run_id)):
                    _end(run)
                    ended.append(run)
        except (MlflowException, TrackingError, OSError) as error:
            refusals[run.info.run_id] = _in_one_line(error)
    return ended, refusals


def _end(run: Run) -> None:
    run_id = run.info.run_id
    set_killed(run)
    record_reason(run_id, f"killed: {process_text(run)} ended without a word. {how_to_resume(run_id)}".rstrip(". "))


def _in_one_line(error: Exception) -> str:
    """The error without the SQL that MLflow quotes after it."""
    return " ".join(str(error).partition("[SQL:")[0].split())[:LONGEST_TAG] or type(error).__name__


def _what_to_do(run_id: str) -> str:
    marked = "python -m spondylo_ml clean sets its state to KILLED"
    resume = how_to_resume(run_id)
    return f"{resume}; {marked}" if resume else marked
