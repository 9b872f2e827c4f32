"""Claim a run before it is opened, so that a second process is refused and changes nothing of it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from mlflow.entities import Run

from spondylo_ml.tracking.checkpoints import checkpoint_folder, folders_of
from spondylo_ml.tracking.outcome import OPEN
from spondylo_ml.tracking.run_process import HOST, ProcessState, process_state, process_text, require_free
from spondylo_ml.tracking.store import get_run, run_to_open
from spondylo_ml.tracking.training_lock import training_lock

log = logging.getLogger(__name__)


@contextmanager
def claim_run(resumed_run_id: str | None = None, checkpoint: Path | None = None) -> Iterator[None]:
    """Hold the locks of the runs with which `open_run` goes on until the block ends; of a new run there is none yet.

    Args:
        resumed_run_id: the run to resume.
        checkpoint: from which it is resumed; its folder, which may be a copy, is locked as well.

    Raises:
        RunInUseError: another process works on one of them.
        TrackingError: as `run_to_open`, or nothing can be written to the folder of checkpoints.
    """
    opened = run_to_open(resumed_run_id)
    runs = {run.info.run_id: run for run in (opened, get_run(resumed_run_id) if resumed_run_id else None) if run}
    for run in runs.values():
        require_free(run)
        _warn_if_unknown(run)
    folders = [*map(checkpoint_folder, runs), *([checkpoint.parent] if checkpoint else [])]
    with ExitStack() as locks:
        for folder in folders:
            locks.enter_context(training_lock(folder))
        yield


@contextmanager
def existing_folders_locked(run: Run, purpose: str) -> Iterator[None]:
    """Hold the locks of the folders with the run's checkpoints on this machine, if there are any.

    Raises:
        TrackingError: as `training_lock`.
    """
    with ExitStack() as locks:
        for folder in folders_of(run):
            if folder.is_dir():
                locks.enter_context(training_lock(folder, purpose))
        yield


def _warn_if_unknown(run: Run) -> None:
    """Warn of a run that is shown as running by a process of which this machine knows nothing."""
    if run.info.status in OPEN and HOST in run.data.tags and process_state(run) is ProcessState.UNKNOWN:
        log.warning(
            "the store shows run %s as running: make sure that %s has ended, since two processes that train one run "
            "spoil it", run.info.run_id, process_text(run),
        )  # fmt: skip
