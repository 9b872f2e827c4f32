"""The trials of a study as tickets: all that were asked for are enqueued, and each is taken once.

The number of trials is exact because a worker never makes one: it takes a waiting one, or leaves. A trial that was cut
off is replaced by another with the same parameters, which takes its place in the count. What enqueues or replaces is
called with the study's lock held.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

from optuna import Study
from optuna.exceptions import ExperimentalWarning, UpdateFinishedTrialError
from optuna.storages import RetryHeartbeatStaleTrialCallback, fail_stale_trials
from optuna.trial import FrozenTrial, TrialState

FAILURE, INTERRUPTED, STARTED, RUN_ID, POINT = "failure", "interrupted", "started", "run_id", "point"
"""Attributes of a trial: why it failed, whether Ctrl-C cut it, its own number once a worker has it, its MLflow run, and
its place in a grid."""

RETRIES_OF_A_LOST_TRIAL = 1


def replaced(trials: Sequence[FrozenTrial]) -> set[int]:
    """Numbers of the trials that were cut off and have a successor."""
    return {number for trial in trials for number in trial.system_attrs.get("retry_history", [])}


def counted(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """The trials that count: all but those that were replaced."""
    gone = replaced(trials)
    return [trial for trial in trials if trial.number not in gone]


def top_up(study: Study, wanted: int | None, grid: Sequence[dict[str, Any]] | None) -> int:
    """Enqueue what is missing; how many that were.

    Args:
        grid: the points of a grid, of which the first `wanted` are tried, or all.
    """
    there = counted(study.get_trials(deepcopy=False))
    if grid is None:
        missing = max(0, (wanted or 0) - len(there))
        for _ in range(missing):
            study.enqueue_trial({})
        return missing
    known = {trial.user_attrs.get(POINT) for trial in there}
    new = [index for index in range(min(wanted or len(grid), len(grid))) if index not in known]
    for index in new:
        study.enqueue_trial(grid[index], user_attrs={POINT: index})
    return len(new)


def replace_cut_trials(study: Study, on_lost: Callable[[FrozenTrial], None]) -> None:
    """Mark trials whose worker is silent as failed, and enqueue a successor of each trial that was cut off.

    A trial whose worker was lost is retried once, one that was interrupted as often as it takes.

    Args:
        on_lost: called with each trial whose worker was lost.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        fail_stale_trials(study)
        trials = study.get_trials(deepcopy=False, states=(TrialState.FAIL,))
        gone = replaced(study.get_trials(deepcopy=False))
        for trial in trials:
            if trial.number in gone or FAILURE in trial.user_attrs:
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
        return  # it came back


def never_started(study: Study) -> list[FrozenTrial]:
    """Trials that a worker took and has not begun."""
    running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    return [trial for trial in running if trial.user_attrs.get(STARTED) != trial.number]


def has(study: Study, state: TrialState) -> bool:
    """Whether any trial is in this state."""
    return bool(study.get_trials(deepcopy=False, states=(state,)))


def same_failure_throughout(trials: Sequence[FrozenTrial], count: int) -> str | None:
    """The reason, where nothing has succeeded yet and the last `count` ended trials all failed for it."""
    own = [trial for trial in trials if FAILURE in trial.user_attrs and trial.state is TrialState.FAIL]
    if len(own) < count or any(t.state in (TrialState.COMPLETE, TrialState.PRUNED) for t in trials):
        return None
    reasons = {trial.user_attrs[FAILURE] for trial in own[-count:]}
    return reasons.pop() if len(reasons) == 1 else None


def _copied(study: Study, number: int) -> FrozenTrial:
    """A copy: the callback writes into the trial's attributes."""
    return next(trial for trial in study.get_trials() if trial.number == number)
