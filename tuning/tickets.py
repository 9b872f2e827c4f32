"""The trials of a study as tickets: all of them are enqueued up front, and each is taken once.

A worker never creates a trial, it takes a waiting one or leaves; so the number of trials is exact. A trial that was cut
off is replaced by a new one with the same parameters, which counts in its place. Functions that enqueue or replace
trials are called with the study's lock held.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

from optuna import Study
from optuna.exceptions import ExperimentalWarning, UpdateFinishedTrialError
from optuna.storages import RetryHeartbeatStaleTrialCallback, fail_stale_trials
from optuna.trial import FrozenTrial, TrialState

FAILURE, INTERRUPTED, STARTED, TRIAL_RUN_ID, POINT = "failure", "interrupted", "started", "run_id", "point"
"""Attributes of a trial: why it failed; its own number if Ctrl-C interrupted it; its own number once a worker has
started it; its MLflow run; its index in the grid."""

RETRIES_OF_A_LOST_TRIAL = 1


def replaced(trials: Sequence[FrozenTrial]) -> set[int]:
    """Numbers of the trials that were cut off and replaced."""
    return {number for trial in trials for number in trial.system_attrs.get("retry_history", [])}


def counted(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """The trials that were not replaced."""
    replaced_numbers = replaced(trials)
    return [trial for trial in trials if trial.number not in replaced_numbers]


def top_up(study: Study, wanted: int | None, grid: Sequence[dict[str, Any]] | None) -> int:
    """Enqueue the missing trials and return their number.

    Args:
        grid: the points of a grid, of which the first `wanted` are tried, or all.
    """
    existing = counted(study.get_trials(deepcopy=False))
    if grid is None:
        n_missing = max(0, (wanted or 0) - len(existing))
        for _ in range(n_missing):
            study.enqueue_trial({})
        return n_missing
    existing_points = {trial.user_attrs.get(POINT) for trial in existing}
    missing = [index for index in range(min(wanted or len(grid), len(grid))) if index not in existing_points]
    for index in missing:
        study.enqueue_trial(grid[index], user_attrs={POINT: index})
    return len(missing)


def replace_cut_trials(study: Study, on_lost: Callable[[FrozenTrial], None]) -> None:
    """Mark trials whose worker is silent as failed, and enqueue a replacement for each trial that was cut off.

    A trial whose worker was lost is retried once, an interrupted one as often as needed.

    Args:
        on_lost: called with each trial whose worker was lost.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        fail_stale_trials(study)
        trials = study.get_trials(deepcopy=False, states=(TrialState.FAIL,))
        replaced_numbers = replaced(study.get_trials(deepcopy=False))
        for trial in trials:
            if trial.number in replaced_numbers or FAILURE in trial.user_attrs:
                continue
            interrupted = trial.user_attrs.get(INTERRUPTED) == trial.number
            if not interrupted:
                on_lost(trial)
            RetryHeartbeatStaleTrialCallback(None if interrupted else RETRIES_OF_A_LOST_TRIAL)(
                study, _copied(study, trial.number)
            )


def give_up(study: Study, trial: FrozenTrial) -> None:
    """Mark a trial as failed whose worker was lost before its first heartbeat."""
    try:
        study.tell(trial.number, state=TrialState.FAIL)
    except (ValueError, UpdateFinishedTrialError):
        return  # its worker ended it meanwhile


def never_started(study: Study) -> list[FrozenTrial]:
    """Trials that a worker has taken but not started."""
    running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    return [trial for trial in running if trial.user_attrs.get(STARTED) != trial.number]


def has(study: Study, state: TrialState) -> bool:
    """Whether any trial is in this state."""
    return bool(study.get_trials(deepcopy=False, states=(state,)))


def has_ended(study: Study, number: int) -> bool:
    """Whether the trial of this number is complete, pruned or failed."""
    return study.get_trials(deepcopy=False)[number].state.is_finished()


def same_failure_throughout(trials: Sequence[FrozenTrial], count: int) -> str | None:
    """The common reason if the last `count` ended trials failed for it and no trial has succeeded; None otherwise."""
    failed = [trial for trial in trials if FAILURE in trial.user_attrs and trial.state is TrialState.FAIL]
    if len(failed) < count or any(t.state in (TrialState.COMPLETE, TrialState.PRUNED) for t in trials):
        return None
    reasons = {trial.user_attrs[FAILURE] for trial in failed[-count:]}
    return reasons.pop() if len(reasons) == 1 else None


def _copied(study: Study, number: int) -> FrozenTrial:
    """A copy of a trial: Optuna's callback writes into its attributes."""
    return next(trial for trial in study.get_trials() if trial.number == number)
